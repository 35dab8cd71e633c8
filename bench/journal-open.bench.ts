import { join } from 'node:path';
import { Journal } from 'holdfast';
import { outputOf } from '../test/support/child.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Question } from './harness/question.js';

const gibibyte = 2 ** 30;
const recordBytes = 2 ** 20;

export const question: Question = {
  description: 'opening 10 GiB of journal that was closed: time, and memory of a fresh process',
  async *cases(surroundings) {
    const { isQuick } = surroundings;
    const place = scratchPlace(surroundings);
    try {
      const directory = join(place.path, 'journal');
      const bytes = isQuick ? gibibyte : 10 * gibibyte;
      await make(directory, bytes);
      const name = `open ${bytes / gibibyte} GiB`;
      yield opening(name, 'ms', 100, async () => (await opened(directory)).ms);
      yield opening(
        `${name}: the most memory`,
        'MiB',
        95,
        async () => (await opened(directory)).mib,
      );
    } finally {
      place.close();
    }
  },
};

async function make(directory: string, bytes: number): Promise<void> {
  const journal = await Journal.open(directory, { sync: false });
  const record = Buffer.alloc(recordBytes, 7);
  for (let done = 0; done < bytes; done += recordBytes) await journal.append(record);
  await journal.close();
}

function opening(
  name: string,
  unit: 'ms' | 'MiB',
  valueAtMost: number,
  measure: () => Promise<number>,
): Case {
  const subject = 'Journal.open';
  const subjects = [{ name: subject, round: async () => [await measure()] }];
  return { name, unit, higherIsBetter: false, subjects, goals: [{ subject, valueAtMost }] };
}

const source = `
  import { Journal } from 'holdfast';
  const began = performance.now();
  const journal = await Journal.open(process.argv[1]);
  const ms = performance.now() - began;
  const mib = process.resourceUsage().maxRSS / 1024;
  await journal.close();
  console.log(JSON.stringify({ ms, mib, wasClosed: journal.recovery.wasClosed }));`;

async function opened(directory: string): Promise<{ ms: number; mib: number }> {
  const told = JSON.parse(await outputOf({ source, args: [directory] }));
  if (told.wasClosed !== true) throw new Error('it had not been closed');
  return told;
}

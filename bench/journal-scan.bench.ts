import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Journal, verifyJournal } from 'holdfast';
import { scratchPlace } from './harness/places.js';
import type { Case, Question } from './harness/question.js';

export const question: Question = {
  description: 'what opening a journal reads, from the page cache, in a second of processor time',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    try {
      for (const bytes of [64, 4096]) yield await scan(place.path, bytes, surroundings.isQuick);
    } finally {
      place.close();
    }
  },
};

async function scan(path: string, bytes: number, isQuick: boolean): Promise<Case> {
  const directory = mkdtempSync(join(path, 'journal-'));
  const count = Math.round((isQuick ? 8e6 : 64e6) / bytes);
  const journal = await Journal.open(directory, { sync: false });
  const record = Buffer.alloc(bytes, 7);
  for (let index = 0; index < count; index++) journal.write(record);
  await journal.close();
  const isSmall = bytes === 64;
  const unit = isSmall ? ('1/s' as const) : ('MB/s' as const);
  const worth = (passedMs: number): number => {
    return isSmall ? (count / passedMs) * 1000 : (count * bytes) / passedMs / 1000;
  };
  const timed = async (work: () => Promise<unknown>): Promise<number[]> => {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    return [worth((user + system) / 1000)];
  };
  return {
    name: `${bytes} B`,
    unit,
    higherIsBetter: true,
    subjects: [
      { name: 'verifyJournal', round: () => timed(() => verifyJournal(directory)) },
      { name: 'open', round: () => timed(() => opened(directory)) },
      {
        name: 'for await, every record',
        round: () => timed(() => readAll(directory)),
        close: () => rmSync(directory, { recursive: true }),
      },
    ],
  };
}

async function opened(directory: string): Promise<void> {
  const journal = await Journal.open(directory, { readOnly: true, verifyBytes: 2 ** 40 });
  await journal.close();
}

async function readAll(directory: string): Promise<void> {
  const journal = await Journal.open(directory, { readOnly: true, verifyBytes: 0 });
  let bytes = 0;
  for await (const { data } of journal.read()) bytes += data.length;
  await journal.close();
  if (bytes === 0) throw new Error('there were no records');
}

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadPeer, peerLabel } from './harness/peers.js';
import { durablePlaces, type Place } from './harness/places.js';
import type { Case, Question, Subject, Surroundings } from './harness/question.js';

/** Files of one directory that are replaced at a time. */
const atATime = 64;
const inARow = 32;

export const question: Question = {
  description: 'many files of one directory: one after the other, 64 at a time, in one call',
  async *cases(surroundings) {
    const places = durablePlaces(surroundings);
    try {
      for (const place of places) yield await manyCase(place, surroundings);
    } finally {
      for (const place of places) place.close();
    }
  },
};

const alone = 'replaceFile, one after the other';
const beside = `replaceFile, ${atATime} at a time`;
const inOneCall = `replaceFiles, ${atATime} in one call`;

type Write = (path: string, data: Uint8Array) => Promise<unknown>;

async function manyCase(place: Place, surroundings: Surroundings): Promise<Case> {
  const { replaceFile, replaceFiles } = await import('holdfast');
  const data = new Uint8Array(4096).fill(0x78);
  const paths = (name: string): string[] => {
    const directory = join(place.path, name);
    mkdirSync(directory);
    return Array.from({ length: atATime }, (_, at) => join(directory, `${at}`));
  };
  const subject = (
    name: string,
    durable: boolean,
    count: number,
    run: () => Promise<unknown>,
  ): Subject => ({
    name,
    durable,
    async round() {
      const from = performance.now();
      await run();
      return [(count * 1000) / (performance.now() - from)];
    },
  });
  const together = (name: string, label: string, durable: boolean, write: Write): Subject => {
    const all = paths(name);
    return subject(label, durable, atATime, () =>
      Promise.all(all.map((path) => write(path, data))),
    );
  };
  const [one, many] = [paths('alone'), paths('in one call')];
  const subjects = [
    subject(alone, true, inARow, async () => {
      for (const path of one.slice(0, inARow)) await replaceFile(path, data);
    }),
    together('beside', beside, true, (path, content) => replaceFile(path, content)),
    subject(inOneCall, true, atATime, () => replaceFiles(many.map((path) => ({ path, data })))),
    ...(await peers(together, surroundings)),
  ];
  return {
    name: `4 KiB on ${place.fileSystem}`,
    unit: '1/s',
    higherIsBetter: true,
    rounds: 24,
    subjects,
    goals: [
      { subject: beside, against: alone, rateAtLeast: 5 },
      { subject: inOneCall, against: alone, rateAtLeast: 5 },
    ],
  };
}

/** None of them syncs the directory: after a power cut the old content may be back. */
async function peers(
  together: (name: string, label: string, durable: boolean, write: Write) => Subject,
  surroundings: Surroundings,
): Promise<Subject[]> {
  const label = (name: string): string => `${peerLabel(name)}, ${atATime} at a time`;
  const subjects: Subject[] = [];
  const one = await loadPeer<{ readonly default: Write }>('write-file-atomic', surroundings);
  if (one) subjects.push(together('wfa', label('write-file-atomic'), false, one.default));
  const two = await loadPeer<{ readonly writeFile: Write }>('atomically', surroundings);
  if (two) subjects.push(together('atomically', label('atomically'), false, two.writeFile));
  return subjects;
}

import { openSync, readSync, readvSync } from 'node:fs';
import { join } from 'node:path';
import { makeFile } from './gather/writers.js';
import { looped } from './harness/measure.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Question, Subject } from './harness/question.js';

const fileBytes = 64 * 1024 * 1024;
const offsetCount = 1 << 14;

export const question: Question = {
  description: 'random reads from the page cache on the calling thread: readAtSync, fs.readSync',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    try {
      const path = join(place.path, 'file');
      makeFile(path, fileBytes);
      yield readCase(path, 4096, [
        { subject: 'file.readAtSync', against: 'fs.readSync', rateAtLeast: 1.3 },
      ]);
      yield readCase(path, 65_536, []);
    } finally {
      place.close();
    }
  },
};

function readCase(path: string, length: number, goals: Case['goals'] = []): Case {
  const offsets = randomOffsets(length);
  const view = new Uint8Array(length);
  const fd = openSync(path, 'r');
  return {
    name: `${length / 1024} KiB`,
    unit: 'ns',
    higherIsBetter: false,
    goals,
    subjects: [
      holdfastSubject(path, view, offsets),
      nodeSubject('fs.readSync', offsets, (offset) => readSync(fd, view, 0, length, offset)),
      nodeSubject('fs.readvSync', offsets, (offset) => readvSync(fd, [view], offset)),
    ],
  };
}

function randomOffsets(length: number): Uint32Array {
  const places = Math.floor(fileBytes / length);
  return Uint32Array.from(
    { length: offsetCount },
    () => Math.floor(Math.random() * places) * length,
  );
}

function holdfastSubject(path: string, view: Uint8Array, offsets: Uint32Array): Subject {
  const opening = (async () => {
    const { openFileSync } = await import('holdfast');
    return openFileSync(path);
  })();
  // Awaited in the first round, which is where a failure is told.
  opening.catch(() => undefined);
  let subject: Subject | undefined;
  return {
    name: 'file.readAtSync',
    async round() {
      const file = await opening;
      subject ??= nodeSubject('file.readAtSync', offsets, (offset) =>
        file.readAtSync(view, offset),
      );
      return subject.round();
    },
    close: async () => (await opening.catch(() => undefined))?.close(),
  };
}

function nodeSubject(
  name: string,
  offsets: Uint32Array,
  read: (offset: number) => number,
): Subject {
  return looped({
    name,
    unit: 'ns',
    run: (count) => {
      let bytes = 0;
      for (let i = 0; i < count; i++) bytes += read(offsets[i & (offsetCount - 1)] as number);
      if (bytes === 0) throw new Error('nothing was read');
    },
  });
}

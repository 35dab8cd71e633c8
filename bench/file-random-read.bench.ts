import { close, open, read } from 'node:fs';
import { open as openHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Engine } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { makeFile } from './gather/writers.js';
import { looped } from './harness/measure.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Question, Subject } from './harness/question.js';

const fileBytes = 64 * 1024 * 1024;
const readBytes = 4096;
const depths = [1, 4, 32, 128];

export const question: Question = {
  description: 'random 4 KiB reads from the page cache, awaited, with several in flight',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    try {
      const path = join(place.path, 'file');
      makeFile(path, fileBytes);
      for (const depth of depths) yield await depthCase(path, depth);
    } finally {
      place.close();
    }
  },
};

async function depthCase(path: string, depth: number): Promise<Case> {
  const ours = 'await file.readAt, pool';
  const goals: Case['goals'] =
    depth === 32
      ? [
          { subject: ours, against: 'await FileHandle.read', rateAtLeast: 2 },
          { subject: ours, against: 'fs.read', rateAtLeast: 1 },
        ]
      : [];
  const subjects = [
    await holdfastSubject(ours, path, depth, engineNamed('pool')),
    await holdfastSubject('await file.readAt, portable', path, depth, engineNamed('portable')),
    await handleSubject(path, depth),
    await callbackSubject(path, depth),
  ];
  return { name: `${depth} in flight`, unit: 'us', higherIsBetter: false, subjects, goals };
}

/** Keeps `depth` reads in flight until `count` are done; a sample is the time of one of them. */
async function keepInFlight(
  depth: number,
  count: number,
  readOne: (view: Uint8Array, offset: number) => Promise<unknown>,
): Promise<void> {
  let left = count;
  let seed = 1;
  const lane = async (): Promise<void> => {
    const view = new Uint8Array(readBytes);
    while (left-- > 0) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      await readOne(view, ((seed >>> 8) % (fileBytes / readBytes)) * readBytes);
    }
  };
  await Promise.all(Array.from({ length: depth }, lane));
}

async function holdfastSubject(
  name: string,
  path: string,
  depth: number,
  engine: Engine,
): Promise<Subject> {
  const { openFile } = await import('holdfast');
  const file = await openFile(path, { engine });
  return looped({
    name,
    unit: 'us',
    run: (count) => keepInFlight(depth, count, (view, offset) => file.readAt(view, offset)),
    close: () => file.close(),
  });
}

async function handleSubject(path: string, depth: number): Promise<Subject> {
  const handle = await openHandle(path);
  return looped({
    name: 'await FileHandle.read',
    unit: 'us',
    run: (count) =>
      keepInFlight(depth, count, (view, offset) => handle.read(view, 0, readBytes, offset)),
    close: () => handle.close(),
  });
}

async function callbackSubject(path: string, depth: number): Promise<Subject> {
  const fd = await promisify(open)(path, 'r');
  const readOne = (view: Uint8Array, offset: number): Promise<number> =>
    new Promise((resolve, reject) => {
      read(fd, view, 0, readBytes, offset, (error, bytes) =>
        error === null ? resolve(bytes) : reject(error),
      );
    });
  return looped({
    name: 'fs.read',
    unit: 'us',
    run: (count) => keepInFlight(depth, count, readOne),
    close: () => promisify(close)(fd),
  });
}

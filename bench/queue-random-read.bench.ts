import { join } from 'node:path';
import { makeFile } from './gather/writers.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Question, Subject, Surroundings } from './harness/question.js';
import { fioSubject, hasFio } from './random/fio.js';
import {
  batch,
  callbackSubject,
  fileSubject,
  handleSubject,
  queueSubject,
  type Reads,
} from './random/reads.js';

const fileBytes = 64 * 1024 * 1024;
const depths = [1, 4, 16, 32, 64, 128, 256];

const limit = 'fio io_uring, fixed buffers and files, batch 16';
const fixed = 'queue.readFixed, ring';
const handle = 'await FileHandle.read';

export const question: Question = {
  description: 'random 4 KiB reads, 1 to 256 in flight, buffered and direct, by every way there is',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    try {
      const path = join(place.path, 'file');
      makeFile(path, fileBytes);
      for (const isDirect of [false, true]) {
        for (const depth of surroundings.isQuick ? [1, 32, 128] : depths) {
          yield await depthCase({ path, fileBytes, depth, isDirect }, surroundings);
        }
      }
    } finally {
      place.close();
    }
  },
};

async function depthCase(reads: Reads, surroundings: Surroundings): Promise<Case> {
  const { depth, isDirect } = reads;
  return {
    name: `${isDirect ? 'direct' : 'page cache'}, ${depth} in flight`,
    unit: 'us',
    higherIsBetter: false,
    rounds: 5,
    subjects: await subjectsFor(reads, surroundings),
    goals: goalsFor(depth, isDirect),
  };
}

async function subjectsFor(reads: Reads, { note }: Surroundings): Promise<Subject[]> {
  const retrieves = reads.isDirect ? 'waitSync' : 'poll';
  const subjects = [
    await queueSubject(fixed, { engine: 'ring', isFixed: true, retrieves }, reads),
    await queueSubject('queue.read, ring', { engine: 'ring', isFixed: false, retrieves }, reads),
    await queueSubject('queue.read, pool', { engine: 'pool', isFixed: false, retrieves }, reads),
    await fileSubject('await file.readAt, ring', 'ring', reads),
    await fileSubject('await file.readAt, pool', 'pool', reads),
    await handleSubject(handle, reads),
    await callbackSubject('fs.read', reads),
  ];
  const { path, depth, isDirect } = reads;
  if (!isDirect) subjects.push(await portableSubject(reads));
  if (hasFio()) {
    subjects.push(fioSubject({ name: limit, path, depth, isDirect, batch, tells: 'mean' }));
  } else note('fio is not here: without the limit');
  return subjects;
}

function goalsFor(depth: number, isDirect: boolean): NonNullable<Case['goals']> {
  if (isDirect) {
    const isAsked = depth === 32 || depth === 128;
    return isAsked ? [{ subject: fixed, against: limit, rateAtLeast: 0.97 }] : [];
  }
  if (depth !== 32) return [];
  return [
    { subject: fixed, against: limit, rateAtLeast: 1.2 },
    { subject: fixed, against: handle, rateAtLeast: 15 },
  ];
}

/* It has no direct I/O. */
function portableSubject(reads: Reads): Promise<Subject> {
  const choices = { engine: 'portable', isFixed: false, retrieves: 'wait' } as const;
  return queueSubject('queue.read, portable, awaited', choices, reads);
}

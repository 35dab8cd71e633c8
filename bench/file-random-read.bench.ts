import { join } from 'node:path';
import { makeFile } from './gather/writers.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Question } from './harness/question.js';
import { callbackSubject, fileSubject, handleSubject, type Reads } from './random/reads.js';

const fileBytes = 64 * 1024 * 1024;
const depths = [1, 4, 32, 128];
const ours = 'await file.readAt, ring';
const pool = 'await file.readAt, pool';
const handle = 'await FileHandle.read';

export const question: Question = {
  description: 'random 4 KiB reads from the page cache, awaited, with several in flight',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    try {
      const path = join(place.path, 'file');
      makeFile(path, fileBytes);
      for (const depth of depths) {
        yield await depthCase({ path, fileBytes, depth, isDirect: false });
      }
    } finally {
      place.close();
    }
  },
};

async function depthCase(reads: Reads): Promise<Case> {
  const { depth } = reads;
  const goals: Case['goals'] =
    depth === 32
      ? [
          { subject: ours, against: handle, rateAtLeast: 10 },
          { subject: ours, against: 'fs.read', rateAtLeast: 3 },
          { subject: pool, against: handle, rateAtLeast: 2 },
          { subject: pool, against: 'fs.read', rateAtLeast: 1 },
        ]
      : [];
  const subjects = [
    await fileSubject(ours, 'ring', reads),
    await fileSubject(pool, 'pool', reads),
    await fileSubject('await file.readAt, portable', 'portable', reads),
    await handleSubject(handle, reads),
    await callbackSubject('fs.read', reads),
  ];
  return { name: `${depth} in flight`, unit: 'us', higherIsBetter: false, subjects, goals };
}

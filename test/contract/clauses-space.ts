/** Space and hints: what a file holds after them on every engine, and what is told. */
import { patterned } from '../file/bytes.js';
import type { Clause, Stage } from './suite.js';

const BLOCK = 4096;

async function holds(stage: Stage): Promise<unknown> {
  const bytes = patterned(8 * BLOCK);
  const file = await stage.open(bytes);
  const check = (expected: Uint8Array): void => {
    const content = stage.place.content('file') ?? new Uint8Array(0);
    stage.told.push(content.length, Buffer.compare(content, expected) === 0);
  };
  await stage.call(file, 'allocate', 0, 10 * BLOCK);
  const grown = Buffer.concat([bytes, new Uint8Array(2 * BLOCK)]);
  check(grown);
  await stage.call(file, 'allocate', 0, 20 * BLOCK, { keepSize: true });
  check(grown);
  await stage.call(file, 'punchHole', BLOCK + 3, 2 * BLOCK);
  grown.fill(0, BLOCK + 3, 3 * BLOCK + 3);
  check(grown);
  await stage.call(file, 'punchHole', 9 * BLOCK, 20 * BLOCK);
  check(grown);
  await stage.call(file, 'zeroRange', 4 * BLOCK, 2 * BLOCK);
  grown.fill(0, 4 * BLOCK, 6 * BLOCK);
  check(grown);
  await stage.call(file, 'zeroRange', 9 * BLOCK, 2 * BLOCK + 5);
  check(Buffer.concat([grown, new Uint8Array(BLOCK + 5)]));
  return stage.told;
}

async function exact(stage: Stage): Promise<unknown> {
  const file = await stage.open(patterned(8 * BLOCK));
  await stage.tell(() => stage.call(file, 'allocate', 0, 10 * BLOCK));
  await stage.tell(() => stage.call(file, 'punchHole', 0, BLOCK));
  await stage.tell(() => stage.call(file, 'zeroRange', 0, BLOCK));
  return stage.told;
}

async function collapses(stage: Stage): Promise<unknown> {
  const bytes = patterned(8 * BLOCK + 9);
  const file = await stage.open(bytes);
  await stage.tell(() => stage.call(file, 'collapseRange', 1, BLOCK));
  await stage.tell(() => stage.call(file, 'collapseRange', 0, 100));
  await stage.tell(() => stage.call(file, 'collapseRange', 4 * BLOCK, 40 * BLOCK));
  await stage.tell(() => stage.call(file, 'collapseRange', 2 * BLOCK, 4 * BLOCK));
  const rest = Buffer.concat([bytes.subarray(0, 2 * BLOCK), bytes.subarray(6 * BLOCK)]);
  stage.told.push(Buffer.compare(stage.place.content('file') ?? new Uint8Array(0), rest));
  return stage.told;
}

async function hints(stage: Stage): Promise<unknown> {
  const file = await stage.open(patterned(BLOCK));
  const strict = { strict: true };
  await stage.tell(() => stage.call(file, 'advise', 'sequential', 0, 0, strict));
  await stage.tell(() => stage.call(file, 'setWriteLifetime', 'short', strict));
  await stage.tell(() => stage.call(file, 'startWriteback', 0, 0, strict));
  return stage.told;
}

const done = { method: 'fallocate', isExact: true };
const taken = { taken: true };

export const spaceClauses: readonly Clause[] = [
  {
    name: 'space: what a file holds after each call',
    body: holds,
    comesTo: [...new Array(5).fill([10 * BLOCK, true]).flat(), 11 * BLOCK + 5, true],
  },
  {
    name: 'space: exact where the system is asked',
    needs: ['native-calls'],
    body: exact,
    comesTo: [done, done, done],
  },
  {
    name: 'collapseRange: whole blocks move, others are refused',
    needs: ['native-calls'],
    body: collapses,
    comesTo: [...new Array(3).fill('EINVAL invalid'), done, 0],
  },
  {
    name: 'hints are taken',
    needs: ['native-calls'],
    body: hints,
    comesTo: [taken, taken, taken],
  },
];

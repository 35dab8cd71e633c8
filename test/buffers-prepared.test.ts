/** Prepared sequences: checked once, used wherever buffers are, refused once a view has changed. */
import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buffersCount, buffersLength, prepareBuffers, sliceBuffers } from 'holdfast';
import { sequenceOf } from '#holdfast/buffers.js';
import { cutEvery, joined, patterned } from './file/bytes.js';
import { onAllDoors } from './file/doors.js';
import { scratch } from './support/scratch.js';

const apart = (bytes: Uint8Array, length: number): Uint8Array[] =>
  cutEvery(bytes, length).map((view) => view.slice());

test('prepareBuffers() reads an iterable once, and is taken wherever buffers are', () => {
  let asked = 0;
  function* views(): Generator<Uint8Array> {
    asked++;
    yield* apart(patterned(20), 3);
  }
  const prepared = prepareBuffers(views());
  equal(buffersLength(prepared), 20);
  equal(buffersCount(prepared), 7);
  deepEqual(joined(sliceBuffers(prepared, 2, 9)), Buffer.from(patterned(7, 2)));
  deepEqual(joined([...prepared]), Buffer.from(patterned(20)));
  deepEqual(joined([...prepared]), Buffer.from(patterned(20)));
  equal(asked, 1);
});

test('sequenceOf() takes a prepared sequence as it is', () => {
  const prepared = prepareBuffers(apart(patterned(20), 3));
  equal(sequenceOf(prepared).views, prepared.views);
});

test('prepareBuffers() joins neighbours in memory, and only those', () => {
  const bytes = patterned(64);
  equal(prepareBuffers(cutEvery(bytes, 8)).views.length, 1);
  const [first, second, third] = cutEvery(bytes, 8) as [Uint8Array, Uint8Array, Uint8Array];
  equal(prepareBuffers([second, first]).views.length, 2);
  equal(prepareBuffers([first, third]).views.length, 2);
  equal(prepareBuffers([first, first]).views.length, 2);
  const joinedAll = prepareBuffers([second, third, first, second, third]);
  deepEqual(joined(joinedAll.views), Buffer.concat([second, third, first, second, third]));
  equal(joinedAll.views.length, 2);
});

test('prepareBuffers() joins no views of memory that may change its length', () => {
  const Sized = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer;
  const memory = new Sized(16, { maxByteLength: 32 });
  const views = [new Uint8Array(memory, 0, 8), new Uint8Array(memory, 8)];
  equal(prepareBuffers(views).views.length, 2);
});

test('prepareBuffers() refuses what is no view, and names the place', () => {
  throws(() => prepareBuffers([Uint8Array.of(1), 7] as never), /"buffers\[1\]"/);
  throws(() => prepareBuffers(7 as never), /"buffers"/);
});

onAllDoors('writeAt() of a prepared sequence writes its bytes of the day', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path);
  const views = apart(patterned(5000), 7);
  const prepared = prepareBuffers(views);
  for (let round = 0; round < 3; round++) {
    (views[3] as Uint8Array)[0] = round;
    equal(await doors.writeAt(file, prepared, round * 5000), 5000);
  }
  const expected = [0, 1, 2].flatMap((round) => {
    const bytes = patterned(5000);
    bytes[21] = round;
    return [bytes];
  });
  deepEqual(readFileSync(path), joined(expected));
});

onAllDoors('readAt() fills the views of a prepared sequence', async (t, doors) => {
  const file = await doors.create(join(scratch(t), 'file'));
  await doors.writeAt(file, patterned(1000), 0);
  const views = Array.from({ length: 10 }, () => new Uint8Array(100));
  equal(await doors.readAt(file, prepareBuffers(views), 0), 1000);
  deepEqual(joined(views), Buffer.from(patterned(1000)));
});

onAllDoors(
  'a call that comes upon a lost view of a prepared sequence says so',
  async (t, doors) => {
    const path = join(scratch(t), 'file');
    const file = await doors.create(path);
    for (const length of [10, 1000]) {
      const views = apart(patterned(10 * length), length);
      const prepared = prepareBuffers(views);
      equal(prepared.isIntact, true);
      const memory = (views[9] as Uint8Array).buffer as ArrayBuffer;
      structuredClone(memory, { transfer: [memory] });
      equal(prepared.isIntact, false);
      const changed = { code: 'ERR_BUFFER_CHANGED', bytesDone: 0, path, offset: 5 };
      await rejects(doors.writeAt(file, prepared, 5), changed);
      await rejects(doors.readAt(file, prepared, 5), changed);
      equal(readFileSync(path).length, 0);
    }
    equal(file.latch.cause, undefined);
  },
);

onAllDoors('a view lost behind the first window leaves what came before it', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path);
  const views = apart(patterned(2000), 1);
  const prepared = prepareBuffers(views);
  const memory = (views[1500] as Uint8Array).buffer as ArrayBuffer;
  structuredClone(memory, { transfer: [memory] });
  const changed = { code: 'ERR_BUFFER_CHANGED', bytesDone: 1024, path, offset: 0 };
  await rejects(doors.writeAt(file, prepared, 0), changed);
  deepEqual(readFileSync(path), Buffer.from(patterned(1024)));
});

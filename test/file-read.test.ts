/** Reading: to the end and not beyond, far out in sparse files, files whose size is not told. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { appendFileSync, ftruncateSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Code } from '#holdfast/platform.js';
import { cutEvery, joined, patterned } from './file/bytes.js';
import { onAllDoors } from './file/doors.js';
import { scratch } from './support/scratch.js';

onAllDoors('readAt() answers fewer bytes only at the end of the file', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(100));
  const file = await doors.open(path);
  for (const [offset, length, expected] of [
    [0, 100, 100],
    [0, 101, 100],
    [90, 20, 10],
    [99, 1, 1],
    [99, 2, 1],
    [100, 5, 0],
    [1000, 5, 0],
  ] as const) {
    for (const make of [(view: Uint8Array) => view, (view: Uint8Array) => cutEvery(view, 7)]) {
      const target = new Uint8Array(length).fill(255);
      equal(await doors.readAt(file, make(target), offset), expected, `${length} at ${offset}`);
      deepEqual(target.slice(0, expected), patterned(100).slice(offset, offset + expected));
      ok(
        target.slice(expected).every((byte) => byte === 255),
        'the rest is untouched',
      );
    }
  }
});

onAllDoors('readAt() of an empty file is 0', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, '');
  const file = await doors.open(path);
  equal(await doors.readAt(file, new Uint8Array(10), 0), 0);
  equal(await doors.readAt(file, [new Uint8Array(10), new Uint8Array(10)], 0), 0);
  equal((await doors.readAll(file)).length, 0);
});

/*
 * fs.readv stops silently at 1024 views: whoever reads into more gets a short count and no error.
 */
onAllDoors(
  'readAt() fills more than 1024 views, and stops inside one at the end',
  async (t, doors) => {
    const path = join(scratch(t), 'file');
    const bytes = patterned(5000 * 3 - 10);
    writeFileSync(path, bytes);
    const file = await doors.open(path);
    const target = new Uint8Array(5000 * 3).fill(255);
    equal(await doors.readAt(file, cutEvery(target, 3), 0), bytes.length);
    ok(joined([target.subarray(0, bytes.length)]).equals(bytes));
    ok(target.subarray(bytes.length).every((byte) => byte === 255));
  },
);

/* Offsets cut to 32 bits wrote over the beginning of the file in other libraries. */
onAllDoors('writeAt() and readAt() reach beyond 4 GiB', async (t, doors) => {
  const path = join(scratch(t), 'sparse');
  const file = await doors.create(path);
  const bytes = patterned(1000);
  const places = [2 ** 31 - 3, 2 ** 32 - 5, 5 * 2 ** 30 + 1, 2 ** 40 + 7];
  for (const [index, place] of places.entries()) {
    const offset = index % 2 === 0 ? place : BigInt(place);
    equal(await doors.writeAt(file, index < 2 ? bytes : cutEvery(bytes, 9), offset), 1000);
  }
  equal((await doors.stat(file)).size, 2 ** 40 + 1007);
  for (const [index, offset] of places.entries()) {
    const target = new Uint8Array(1000);
    equal(await doors.readAt(file, index < 2 ? cutEvery(target, 11) : target, offset), 1000);
    deepEqual(target, bytes, `at ${offset}`);
  }
  const start = new Uint8Array(2000);
  equal(await doors.readAt(file, start, 0), 2000);
  ok(
    start.every((byte) => byte === 0),
    'nothing was written at the beginning',
  );
  await doors.truncate(file, 2 ** 33 + 1);
  equal((await doors.stat(file)).size, 2 ** 33 + 1);
});

onAllDoors('readAll() reads what has no size: files of /proc', async (_, doors) => {
  const path = '/proc/self/limits';
  const file = await doors.open(path);
  equal((await doors.stat(file)).size, 0);
  equal(Buffer.from(await doors.readAll(file)).toString(), readFileSync(path, 'utf8'));
});

onAllDoors('readAll() reads large files of /proc whole', async (_, doors) => {
  const path = '/proc/kallsyms';
  const expected = readFileSync(path);
  ok(expected.length > 200_000, `${path} has ${expected.length} bytes`);
  const file = await doors.open(path);
  ok(joined([await doors.readAll(file)]).equals(expected));
});

onAllDoors('readAll() reads files of any size', async (t, doors) => {
  const path = join(scratch(t), 'file');
  for (const length of [0, 1, 4095, 4096, 65536, 1_000_003]) {
    writeFileSync(path, patterned(length));
    const file = await doors.open(path);
    ok(joined([await doors.readAll(file)]).equals(patterned(length)), `${length} bytes`);
    deepEqual(await doors.readAll(file), patterned(length), 'it has no position: again the same');
  }
});

onAllDoors('readAll() reads on when the file grows meanwhile', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(1000));
  let reads = 0;
  const judged = doors.judged(({ code }) => {
    if (code === Code.Read && reads++ === 0) appendFileSync(path, patterned(200_000, 1000));
    return undefined;
  });
  const file = await judged.open(path);
  ok(joined([await judged.readAll(file)]).equals(patterned(201_000)));
});

onAllDoors('readAll() answers what there is when the file shrinks meanwhile', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(1000));
  const judged = doors.judged(({ code }) => {
    if (code === Code.Read) truncateSync(path, 10);
    return undefined;
  });
  const file = await judged.open(path);
  deepEqual(await judged.readAll(file), patterned(10));
});

onAllDoors('readSomeAt() is exactly one call', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(100_000));
  const judged = doors.judged(({ code }) => (code === Code.Read ? { moves: 70 } : undefined));
  const file = await judged.open(path);
  const target = new Uint8Array(1000);
  equal(await judged.readSomeAt(file, target, 10), 70);
  equal(await judged.readSomeAt(file, cutEvery(target, 9), 10), 70);
  equal(await judged.readSomeAt(file, target, 100_000), 0);
  equal(judged.engine.asked.filter((name) => name === 'read').length, 3);
  deepEqual(target.subarray(0, 70), patterned(100_000).subarray(10, 80));
});

onAllDoors('readSomeAt() reads into the views one call takes', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(100_000));
  const file = await doors.open(path);
  const target = new Uint8Array(5000 * 3);
  equal(await doors.readSomeAt(file, cutEvery(target, 3), 0), 1024 * 3);
  deepEqual(file.stats().systemCalls.preadv, 1);
  deepEqual(target.slice(0, 3072), patterned(3072));
});

onAllDoors('writeSomeAt() is exactly one call', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const judged = doors.judged(({ code }) => (code === Code.Write ? { moves: 70 } : undefined));
  const file = await judged.create(path);
  equal(await judged.writeSomeAt(file, patterned(1000), 0), 70);
  equal(await judged.writeSomeAt(file, cutEvery(patterned(1000, 70), 9), 70), 70);
  equal(judged.engine.asked.filter((name) => name === 'write').length, 2);
  ok(readFileSync(path).equals(patterned(140)));
});

onAllDoors('writeSomeAt() writes the views one call takes', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path);
  const written = await doors.writeSomeAt(file, cutEvery(patterned(5000 * 600), 600), 0);
  equal(written, 1024 * 600);
  deepEqual(file.stats().systemCalls, { pwritev: 1 });
  ok(readFileSync(path).equals(patterned(written)));
});

onAllDoors('truncate() cuts, and grows with zeros', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path);
  await doors.writeAt(file, patterned(100), 0);
  await doors.truncate(file, 10);
  ok(readFileSync(path).equals(patterned(10)));
  await doors.truncate(file, 20n);
  deepEqual([...readFileSync(path)], [...patterned(10), ...new Array<number>(10).fill(0)]);
  ftruncateSync(file.fd, 3);
  equal((await doors.stat(file)).size, 3);
});

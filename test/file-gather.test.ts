/** Gather and scatter: however bytes are cut into views they stay the same, and in few calls. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { OpenFile } from 'holdfast';
import { cutEvery, cutInto, joined, patterned, seedOf, splitBy } from './file/bytes.js';
import { type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import { scratch } from './support/scratch.js';

function newFile(doors: Doors): Promise<OpenFile> {
  return doors.create(join(scratch(doors.t), 'file'));
}

/** The calls that a piece of work made on a file, by name. */
async function callsOf(file: OpenFile, work: () => unknown): Promise<Record<string, number>> {
  const before = file.stats().systemCalls;
  await work();
  const calls = Object.entries(file.stats().systemCalls);
  const made = calls.map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(made.filter(([, count]) => count > 0));
}

onAllDoors('writeAt() writes the same bytes for every split of a sequence', async (_, doors) => {
  const file = await newFile(doors);
  const bytes = patterned(9);
  for (let mask = 0; mask < 256; mask++) {
    equal(await doors.writeAt(file, splitBy(mask, bytes), mask * 9), 9);
  }
  const written = readFileSync(file.path as string);
  equal(written.length, 256 * 9);
  for (let mask = 0; mask < 256; mask++) {
    deepEqual(written.subarray(mask * 9, mask * 9 + 9), Buffer.from(bytes), `split ${mask}`);
  }
});

onAllDoors('readAt() reads the same bytes for every split of a sequence', async (_, doors) => {
  const file = await newFile(doors);
  const bytes = patterned(9 + 3);
  await doors.writeAt(file, bytes, 0);
  for (let mask = 0; mask < 256; mask++) {
    const target = new Uint8Array(9);
    equal(await doors.readAt(file, splitBy(mask, target), 3), 9);
    deepEqual(target, bytes.slice(3), `split ${mask}`);
  }
});

onAllDoors('writeAt() and readAt() agree for random splits of long sequences', async (t, doors) => {
  const file = await newFile(doors);
  const length = fc.oneof(
    { arbitrary: fc.nat(700), weight: 4 },
    { arbitrary: fc.constantFrom(0, 1, 511, 512, 513, 4096, 65535, 65536, 65537), weight: 1 },
  );
  const lengths = fc.array(length, { maxLength: 40 });
  const property = fc.asyncProperty(lengths, lengths, fc.nat(9000), async (out, back, offset) => {
    const bytes = patterned(
      out.reduce((sum, one) => sum + one, 0),
      offset,
    );
    equal(await doors.writeAt(file, cutInto(bytes, out), offset), bytes.length);
    const target = new Uint8Array(bytes.length);
    equal(await doors.readAt(file, cutInto(target, back), offset), bytes.length);
    ok(joined([target]).equals(bytes));
    ok(
      readFileSync(file.path as string)
        .subarray(offset, offset + bytes.length)
        .equals(bytes),
    );
  });
  await fc.assert(property, { seed: seedOf(t), numRuns: 60 });
});

/*
 * Small neighbours are copied into one staging block; a view at the threshold, a block that is just
 * full and a sequence that goes on after it are where bytes were lost or written twice by others.
 */
onAllDoors('writeAt() keeps the order around the copying thresholds', async (_, doors) => {
  const file = await newFile(doors);
  const sequences: readonly (readonly number[])[] = [
    [511, 512, 513, 512, 511],
    [513, 1, 513, 1, 513],
    [1, 100000, 1, 100000, 1],
    new Array<number>(128).fill(512),
    [...new Array<number>(128).fill(512), 1],
    [...new Array<number>(127).fill(512), 511, 1, 1],
    new Array<number>(300).fill(500),
    [65536, 65536],
    [65535, 2, 65535],
    ...Array.from({ length: 8 }, (_, index) => new Array<number>(1020 + index).fill(63 + index)),
    new Array<number>(17000).fill(5),
    new Array<number>(17000).fill(600),
    Array.from({ length: 17000 }, (_, index) => (index % 2 === 0 ? 3 : 600)),
    new Array<number>(2100).fill(512),
  ];
  for (const lengths of sequences) {
    const bytes = patterned(lengths.reduce((sum, one) => sum + one, 0));
    equal(await doors.writeAt(file, cutInto(bytes, lengths), 0), bytes.length);
    const written = readFileSync(file.path as string).subarray(0, bytes.length);
    ok(written.equals(bytes), `${lengths.length} views of ${lengths.slice(0, 5)} ...`);
  }
});

onAllDoors('writeAt() makes ceil(n / viewCountMax) calls for n views', async (_, doors) => {
  const file = await newFile(doors);
  equal(file.explain().viewCountMax, 1024);
  for (const [count, calls] of [
    [2, 1],
    [1024, 1],
    [1025, 2],
    [5000, 5],
  ] as const) {
    for (const length of [64, 700]) {
      const views = cutEvery(patterned(count * length), length);
      deepEqual(await callsOf(file, () => doors.writeAt(file, views, 0)), { pwritev: calls });
      const back = cutEvery(new Uint8Array(count * length), length);
      deepEqual(await callsOf(file, () => doors.readAt(file, back, 0)), { preadv: calls });
      ok(joined(back).equals(joined(views)));
    }
  }
  const one = patterned(100);
  deepEqual(await callsOf(file, () => doors.writeAt(file, one, 0)), { pwrite: 1 });
  deepEqual(await callsOf(file, () => doors.writeAt(file, [one], 0)), { pwrite: 1 });
  deepEqual(await callsOf(file, () => doors.readAt(file, one, 0)), { pread: 1 });
});

onAllDoors('writeAt() skips empty views, which take no room in a call', async (_, doors) => {
  const file = await newFile(doors);
  const none = new Uint8Array(0);
  const bytes = patterned(1024);
  const views = cutEvery(bytes, 1).flatMap((view) => [none, view, new Float64Array(0)]);
  deepEqual(await callsOf(file, () => doors.writeAt(file, views, 0)), { pwritev: 1 });
  ok(readFileSync(file.path as string).equals(bytes));
});

onAllDoors('an empty sequence moves nothing by no call', async (_, doors) => {
  const file = await newFile(doors);
  const none = new Uint8Array(0);
  for (const empty of [
    none,
    [],
    [none],
    [none, none],
    new Set<Uint8Array>(),
    new DataView(none.buffer),
  ]) {
    const calls = await callsOf(file, async () => {
      equal(await doors.writeAt(file, empty, 5), 0);
      equal(await doors.readAt(file, empty, 5), 0);
      equal(await doors.writeSomeAt(file, empty, 5), 0);
      equal(await doors.readSomeAt(file, empty, 5), 0);
    });
    deepEqual(calls, {});
  }
  equal((await doors.stat(file)).size, 0);
});

/*
 * Peers wrote 100 of a Float64Array's 800 bytes: the length of a view was taken for its bytes.
 */
onAllDoors('writeAt() writes every kind of view as its bytes', async (_, doors) => {
  const file = await newFile(doors);
  const doubles = Float64Array.from({ length: 100 }, (_, index) => index / 3);
  const shared = new Uint8Array(new SharedArrayBuffer(300), 10, 200).fill(5);
  const pooled = Buffer.from('a slice of the pool that Buffer.from shares');
  const window = new DataView(patterned(64).slice().buffer, 3, 17);
  const words = Uint16Array.from({ length: 33 }, (_, index) => index * 1999);
  const views = [doubles, shared, pooled, window, words];
  const expected = Buffer.concat(
    views.map((view) => Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength)),
  );
  equal(await doors.writeAt(file, doubles, 0), 800);
  equal(await doors.writeAt(file, views, 0), expected.length);
  ok(readFileSync(file.path as string).equals(expected));
  for (const view of views) {
    equal(await doors.writeAt(file, view, 0), view.byteLength);
    const [first] = cutInto(expected, [view.byteLength]);
    if (view === doubles)
      ok(
        readFileSync(file.path as string)
          .subarray(0, 800)
          .equals(first!),
      );
  }
});

onAllDoors('readAt() fills every kind of view as its bytes', async (_, doors) => {
  const file = await newFile(doors);
  const doubles = Float64Array.from({ length: 10 }, (_, index) => index / 3);
  await doors.writeAt(file, [doubles, patterned(100)], 0);
  const back = new Float64Array(10);
  equal(await doors.readAt(file, back, 0), 80);
  deepEqual(back, doubles);
  const shared = new Uint8Array(new SharedArrayBuffer(60), 5, 50);
  const window = new DataView(new ArrayBuffer(64), 7, 50);
  equal(await doors.readAt(file, [back.fill(0), shared, window], 0), 180);
  deepEqual(back, doubles);
  ok(Buffer.from(shared).equals(patterned(100).subarray(0, 50)));
  ok(Buffer.from(window.buffer, 7, 50).equals(patterned(100).subarray(50)));
  deepEqual([...new Uint8Array(window.buffer, 0, 7)], [0, 0, 0, 0, 0, 0, 0]);
});

onAllDoors('writeAt() takes any iterable of views', async (_, doors) => {
  const file = await newFile(doors);
  const bytes = patterned(50);
  const views = cutEvery(bytes, 7);
  function* generated(): Generator<Uint8Array> {
    yield* views;
  }
  const iterables = [new Set(views), views.values(), generated()];
  for (const [index, iterable] of iterables.entries()) {
    equal(await doors.writeAt(file, iterable, index * 50), 50);
  }
  ok(readFileSync(file.path as string).equals(Buffer.concat([bytes, bytes, bytes])));
});

/* Staging blocks are kept and used again: not before the call that has them has ended. */
onBothEngines('writeAt() of small views side by side mixes nothing up', async (_, doors) => {
  const file = await newFile(doors);
  const length = 40_000;
  const bytes = patterned(64 * length);
  for (let round = 0; round < 3; round++) {
    const writes = Array.from({ length: 64 }, (_, lane) => {
      const part = bytes.subarray(lane * length, (lane + 1) * length);
      return file.writeAt(cutEvery(part, 100 + lane), lane * length);
    });
    for (const write of writes) equal(await write, length);
    ok(readFileSync(file.path as string).equals(bytes));
    await file.truncate(0);
  }
});

/* What the views hold when the call is made is what counts, not what they hold later. */
onBothEngines('writeAt() needs the views only until it settles', async (_, doors) => {
  const file = await newFile(doors);
  const views = cutEvery(patterned(10_000).slice(), 100);
  await file.writeAt(views, 0);
  for (const view of views) view.fill(0);
  ok(readFileSync(file.path as string).equals(patterned(10_000)));
});

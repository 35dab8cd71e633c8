/** Buffer sequences: views in order are one run of bytes, however they are cut. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Buffers,
  buffersCount,
  buffersLength,
  Cursor,
  copyBuffers,
  frontOf,
  sliceBuffers,
  splitBuffers,
} from 'holdfast';
import { sequenceOf, Window } from '#holdfast/buffers.js';
import { cutEvery, cutInto, joined, patterned, seedOf, splitBy } from './file/bytes.js';

const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const unusable = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
const outOfRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
type ViewKind = new (memory: ArrayBuffer, offset: number, length: number) => ArrayBufferView;
const VIEW_KINDS: readonly ViewKind[] = [Uint8Array, Uint16Array, Float64Array, DataView];
const bytesOf = (buffers: Buffers): Buffer => joined(sequenceOf(buffers).views);

/* ------------------------------------------------------------------------------- sequences */

test('sequenceOf() takes every kind of view as its bytes', () => {
  const memory = patterned(64).slice().buffer;
  const kinds = [Int8Array, Uint8ClampedArray, Uint16Array, Int32Array, Float32Array];
  const wide = [Float64Array, BigInt64Array, BigUint64Array];
  for (const Kind of [...kinds, ...wide]) {
    const view = new Kind(memory, 8, 2);
    const expected = Buffer.from(memory, 8, view.byteLength);
    deepEqual(bytesOf(view), expected, Kind.name);
    deepEqual(bytesOf([view]), expected, Kind.name);
  }
  deepEqual(bytesOf(new DataView(memory, 3, 5)), Buffer.from(memory, 3, 5));
  deepEqual(bytesOf([new DataView(memory, 3, 5)]), Buffer.from(memory, 3, 5));
});

test('sequenceOf() shares the memory of the views', () => {
  const view = new Uint16Array(4);
  const [bytes] = sequenceOf(view).views;
  (bytes as Uint8Array)[0] = 7;
  equal(view[0], 7);
});

test('sequenceOf() takes arrays, sets, generators and other iterables', () => {
  const views = cutEvery(patterned(20), 3);
  const iterable = { [Symbol.iterator]: () => views.values() };
  for (const buffers of [
    views,
    new Set(views),
    views.values(),
    iterable,
    new Map(views.entries()).values(),
  ]) {
    deepEqual(bytesOf(buffers), Buffer.from(patterned(20)));
  }
});

test('buffersCount(), buffersLength() and frontOf() leave empty views out', () => {
  const none = new Uint8Array(0);
  const some = [none, Uint8Array.of(1, 2), none, none, Uint8Array.of(3), none];
  equal(buffersCount(some), 2);
  equal(buffersLength(some), 3);
  deepEqual(frontOf(some), Uint8Array.of(1, 2));
  equal(buffersCount([]), 0);
  equal(buffersLength([none, none]), 0);
  equal(frontOf([none]), undefined);
  equal(buffersLength(new Float64Array(100)), 800);
});

test('sequenceOf() refuses what is no view, and names the place', () => {
  const values: readonly unknown[] = [
    null,
    undefined,
    7,
    'bytes',
    true,
    {},
    new ArrayBuffer(8),
    7n,
  ];
  for (const value of values) {
    throws(() => sequenceOf(value as Buffers), { ...wrongType, message: /"buffers"/ });
    throws(() => sequenceOf([Uint8Array.of(1), value] as never), {
      ...wrongType,
      message: /"buffers\[1\]"/,
    });
  }
  throws(() => sequenceOf([[Uint8Array.of(1)]] as never), { message: /"buffers\[0\]"/ });
  const sparse: Uint8Array[] = new Array(3);
  sparse[0] = Uint8Array.of(1);
  throws(() => sequenceOf(sparse), { message: /"buffers\[1\]"/ });
});

test('sequenceOf() refuses a view whose buffer was detached', () => {
  for (const Kind of VIEW_KINDS) {
    const memory = new ArrayBuffer(16);
    const view = new Kind(memory, 0, 2);
    structuredClone(memory, { transfer: [memory] });
    throws(() => sequenceOf(view), { ...unusable, message: /"buffers"/ }, Kind.name);
    throws(() => sequenceOf([Uint8Array.of(1), view]), {
      ...unusable,
      message: /"buffers\[1\]"/,
    });
  }
});

test('sequenceOf() refuses a view past the end of a buffer that was cut', () => {
  for (const Kind of VIEW_KINDS) {
    const memory = resizable(32, 32);
    const view = new Kind(memory, 8, 2);
    (memory as Resizable).resize(9);
    throws(() => sequenceOf(view), unusable, Kind.name);
  }
});

test('sequenceOf() takes a view that follows the length of its buffer', () => {
  const memory = resizable(4, 64);
  const view = new Uint8Array(memory);
  (memory as Resizable).resize(12);
  equal(sequenceOf(view).byteLength, 12);
  (memory as Resizable).resize(0);
  equal(sequenceOf(view).byteLength, 0);
});

test('sequenceOf() lets through what an iterable throws', () => {
  function* torn(): Generator<Uint8Array> {
    yield Uint8Array.of(1);
    throw new Error('half way');
  }
  throws(() => sequenceOf(torn()), /half way/);
});

interface Resizable extends ArrayBuffer {
  resize(length: number): void;
}

function resizable(length: number, maxByteLength: number): ArrayBuffer {
  const Sized = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer;
  return new Sized(length, { maxByteLength });
}

/* ------------------------------------------------------------------------------ algorithms */

test('copyBuffers() copies across every pair of splits', () => {
  const source = patterned(6);
  for (let from = 0; from < 32; from++) {
    for (let into = 0; into < 32; into++) {
      const target = new Uint8Array(6);
      equal(copyBuffers(splitBy(into, target), splitBy(from, source)), 6);
      deepEqual(target, source, `${from} into ${into}`);
    }
  }
});

test('copyBuffers() stops at the end of the shorter', () => {
  const target = new Uint8Array(5).fill(9);
  equal(copyBuffers(cutEvery(target, 2), [patterned(3)]), 3);
  deepEqual([...target.subarray(3)], [9, 9]);
  equal(copyBuffers(target, patterned(50)), 5);
  equal(copyBuffers([], patterned(5)), 0);
  equal(copyBuffers(target, []), 0);
});

test('sliceBuffers() gives the bytes between any two positions, without copying', () => {
  const bytes = patterned(12);
  const views = cutInto(bytes, [3, 1, 0, 5]);
  for (let start = 0; start <= 14; start++) {
    deepEqual(joined(sliceBuffers(views, start)), Buffer.from(bytes.subarray(start)));
    for (let end = start; end <= 14; end++) {
      const slice = sliceBuffers(views, start, end);
      deepEqual(joined(slice), Buffer.from(bytes.subarray(start, end)), `${start} to ${end}`);
      ok(slice.every((view) => view.buffer === bytes.buffer && view.byteLength > 0));
    }
  }
  throws(() => sliceBuffers(views, 5, 4), outOfRange);
  throws(() => sliceBuffers(views, -1), outOfRange);
  throws(() => sliceBuffers(views, 0, 0.5), outOfRange);
});

test('splitBuffers() cuts in two at any position', () => {
  const bytes = patterned(12);
  for (let position = 0; position <= 14; position++) {
    const [head, tail] = splitBuffers(cutInto(bytes, [3, 1, 0, 5]), position);
    deepEqual(joined(head), Buffer.from(bytes.subarray(0, position)));
    deepEqual(joined(tail), Buffer.from(bytes.subarray(position)));
  }
  throws(() => splitBuffers([bytes], -1), outOfRange);
  throws(() => splitBuffers([bytes], Number.NaN), outOfRange);
});

test('Cursor gives the same bytes whatever the steps', (t) => {
  const lengths = fc.array(fc.nat(20), { maxLength: 20 });
  const property = fc.property(
    lengths,
    fc.array(fc.integer({ min: 1, max: 30 })),
    (cuts, steps) => {
      const bytes = patterned(cuts.reduce((sum, cut) => sum + cut, 0));
      const cursor = new Cursor(cutInto(bytes, cuts));
      let done = 0;
      for (const step of steps) {
        const length = Math.min(step, cursor.remaining);
        deepEqual(joined(cursor.views()), Buffer.from(bytes.subarray(done)));
        if (step % 2 === 0) cursor.consume(length);
        else
          deepEqual(joined(cursor.take(length)), Buffer.from(bytes.subarray(done, done + length)));
        done += length;
        equal(cursor.remaining, bytes.length - done);
        equal(cursor.front === undefined, cursor.remaining === 0);
      }
    },
  );
  fc.assert(property, { seed: seedOf(t), numRuns: 300 });
});

test('Cursor refuses to go further than there are bytes', () => {
  const cursor = new Cursor(cutEvery(patterned(10), 4));
  cursor.consume(4);
  throws(() => cursor.consume(7), outOfRange);
  throws(() => cursor.take(7), outOfRange);
  throws(() => cursor.consume(-1), outOfRange);
  throws(() => cursor.consume(0.5), outOfRange);
});

/* ---------------------------------------------------------------------------------- windows */

/** What calls see of a sequence when each moves as many bytes as `moves` says. */
function seenThrough(views: Uint8Array[], max: number, moves: (bytes: number) => number) {
  const window = new Window(sequenceOf(views), max, 'gather');
  const seen: Uint8Array[] = [];
  let calls = 0;
  while (!window.isDone) {
    window.fill();
    const { payload } = window;
    const parts = Array.isArray(payload) ? payload : [payload];
    ok(parts.length <= max, 'no more views than a call takes');
    equal(buffersLength(parts), window.bytes);
    const moved = moves(window.bytes);
    seen.push(joined(sliceBuffers(parts, 0, moved)));
    window.consume(moved);
    calls++;
  }
  window.release();
  return { bytes: joined(seen), calls };
}

test('Window passes every byte once, for every split and every short count', () => {
  const bytes = patterned(8);
  for (let mask = 0; mask < 128; mask++) {
    const views = splitBy(mask, bytes);
    for (const max of [1, 2, 3, 1024]) {
      for (const step of [1, 2, 3, 5, 8]) {
        const seen = seenThrough(views, max, (given) => Math.min(step, given));
        deepEqual(seen.bytes, Buffer.from(bytes), `mask ${mask}, max ${max}, step ${step}`);
      }
    }
  }
});

test('Window passes every byte once, small and large views mixed, cut anywhere', (t) => {
  const length = fc.oneof(fc.constantFrom(1, 511, 512, 513, 65535, 65536, 65537), fc.nat(2000));
  const step = fc.oneof(fc.constantFrom(1 / 3, 0.5, 1), fc.constantFrom(0.999));
  const lengths = fc.array(length, { minLength: 1, maxLength: 60 });
  const property = fc.property(
    lengths,
    fc.integer({ min: 1, max: 40 }),
    step,
    (cuts, max, part) => {
      const bytes = patterned(cuts.reduce((sum, cut) => sum + cut, 0));
      const moves = (given: number): number => Math.max(1, Math.floor(given * part));
      deepEqual(seenThrough(cutInto(bytes, cuts), max, moves).bytes, Buffer.from(bytes));
    },
  );
  fc.assert(property, { seed: seedOf(t), numRuns: 200 });
});

test('Window needs ceil(n / viewCountMax) calls at most for n views', () => {
  for (const [count, max] of [
    [1, 4],
    [4, 4],
    [5, 4],
    [1024, 1024],
    [1025, 1024],
    [5000, 1024],
  ]) {
    for (const length of [1, 64, 600]) {
      const views = cutEvery(patterned((count as number) * length), length);
      const { calls } = seenThrough(views, max as number, (given) => given);
      ok(
        calls <= Math.ceil((count as number) / (max as number)),
        `${count} of ${length}: ${calls}`,
      );
    }
  }
});

/*
 * A buffer cut while a transfer was under way left the count of bytes and the views at odds: the
 * loop would go on for ever, or report bytes that were never written. The window notices.
 */
test('Window notices a view that lost its bytes on the way', () => {
  const memory = resizable(8, 8);
  const window = new Window(sequenceOf([patterned(4), new Uint8Array(memory)]), 1, 'gather');
  window.fill();
  window.consume(window.bytes);
  (memory as Resizable).resize(0);
  throws(() => window.fill(), { name: 'IoError', code: 'ERR_BUFFER_CHANGED', bytesDone: 4 });
});

/** GrowableBuffer and RingBuffer against a model that is a plain array of bytes. */
import { deepEqual, equal, notEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { copyBuffers, GrowableBuffer, IoError, RingBuffer } from 'holdfast';
import { patterned, seedOf } from './file/bytes.js';

type Dynamic = GrowableBuffer | RingBuffer;

const outOfRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };

function viewsOf(views: Uint8Array | Uint8Array[]): Uint8Array[] {
  return Array.isArray(views) ? views : [views];
}

function bytesIn(buffer: Dynamic): Buffer {
  return Buffer.concat(viewsOf(buffer.data()));
}

/** A buffer beside the array of what should be in it. */
class Modelled {
  readonly buffer: Dynamic;
  readonly expected: number[] = [];
  #next = 0;

  constructor(buffer: Dynamic) {
    this.buffer = buffer;
  }

  put(prepared: number, committed: number): void {
    const free = this.buffer.maxSize - this.expected.length;
    if (prepared > free) {
      throws(() => this.buffer.prepare(prepared), outOfRange);
      return;
    }
    const views = viewsOf(this.buffer.prepare(prepared));
    equal(Buffer.concat(views).length, prepared);
    const bytes = patterned(Math.min(prepared, committed), this.#next);
    this.#next += bytes.length;
    copyBuffers(views, bytes);
    this.buffer.commit(bytes.length);
    this.expected.push(...bytes);
  }

  take(length: number): void {
    if (length > this.expected.length) {
      throws(() => this.buffer.consume(length), outOfRange);
      return;
    }
    this.buffer.consume(length);
    this.expected.splice(0, length);
  }

  check(): void {
    const { buffer, expected } = this;
    equal(buffer.size, expected.length);
    deepEqual(bytesIn(buffer), Buffer.from(expected));
    equal(buffer.capacity >= buffer.size && buffer.capacity <= buffer.maxSize, true);
  }
}

const kinds: Readonly<Record<string, (maxSize: number) => Dynamic>> = {
  GrowableBuffer: (maxSize) => new GrowableBuffer({ maxSize }),
  RingBuffer: (maxSize) => new RingBuffer(maxSize),
};

for (const [name, make] of Object.entries(kinds)) {
  test(`${name} holds what a model holds, whatever the steps`, (t) => {
    const length = fc.nat(90);
    const step = fc.tuple(fc.constantFrom('put', 'take'), length, length);
    fc.assert(
      fc.property(
        fc.constantFrom(0, 1, 7, 64, 700),
        fc.array(step, { maxLength: 60 }),
        (max, all) => {
          const modelled = new Modelled(make(max));
          for (const [what, first, second] of all) {
            if (what === 'put') modelled.put(first, second);
            else modelled.take(first);
            modelled.check();
          }
        },
      ),
      { seed: seedOf(t), numRuns: 500 },
    );
  });

  test(`${name} refuses lengths that are none, and changes nothing`, () => {
    const buffer = make(16);
    new Modelled(buffer).put(4, 4);
    buffer.prepare(3);
    for (const call of [
      (length: number) => buffer.prepare(length),
      (length: number) => buffer.commit(length),
      (length: number) => buffer.consume(length),
    ]) {
      for (const length of [-1, 1.5, Number.NaN, 2 ** 53, 17]) {
        throws(() => call(length), outOfRange, `${length}`);
      }
      throws(() => call('1' as never), wrongType);
    }
    deepEqual(bytesIn(buffer), Buffer.from(patterned(4)));
  });

  test(`${name} commits once what was prepared once`, () => {
    const buffer = make(16);
    buffer.prepare(4);
    buffer.commit(3);
    throws(() => buffer.commit(1), outOfRange);
    buffer.prepare(4);
    buffer.prepare(2);
    throws(() => buffer.commit(3), outOfRange);
    equal(buffer.size, 3);
  });

  test(`${name} keeps what is being prepared in its place while bytes are consumed`, () => {
    const buffer = make(16);
    const modelled = new Modelled(buffer);
    modelled.put(5, 5);
    copyBuffers(buffer.prepare(4), Uint8Array.of(9, 8, 7, 6));
    buffer.consume(5);
    buffer.commit(4);
    deepEqual(bytesIn(buffer), Buffer.of(9, 8, 7, 6));
  });

  test(`${name} tells that its memory was detached`, () => {
    const buffer = make(16);
    new Modelled(buffer).put(4, 4);
    const [view] = viewsOf(buffer.data());
    const memory = (view as Uint8Array).buffer as ArrayBuffer;
    structuredClone(memory, { transfer: [memory] });
    const changed = (error: unknown): boolean =>
      error instanceof IoError && error.code === 'ERR_BUFFER_CHANGED';
    throws(() => buffer.data(), changed);
    throws(() => buffer.prepare(1), changed);
  });
}

test('GrowableBuffer is one view, and its last views stay what they were when it grows', () => {
  const buffer = new GrowableBuffer();
  buffer.prepare(3).set([1, 2, 3]);
  buffer.commit(3);
  const before = buffer.data();
  buffer.prepare(100_000).fill(7);
  buffer.commit(100_000);
  notEqual(buffer.data().buffer, before.buffer);
  deepEqual(before, Uint8Array.of(1, 2, 3));
  deepEqual(buffer.data().subarray(0, 4), Uint8Array.of(1, 2, 3, 7));
});

test('GrowableBuffer used as a queue stays at twice what it holds', () => {
  const buffer = new GrowableBuffer();
  for (let round = 0; round < 10_000; round++) {
    buffer.prepare(10).fill(round);
    buffer.commit(10);
    if (buffer.size > 1000) buffer.consume(10);
  }
  equal(buffer.capacity <= 4096, true, `${buffer.capacity}`);
});

test('GrowableBuffer that is full moves its bytes down before it gives up', () => {
  const modelled = new Modelled(new GrowableBuffer({ maxSize: 10 }));
  modelled.put(10, 10);
  modelled.take(2);
  modelled.put(2, 2);
  modelled.check();
  throws(() => modelled.buffer.prepare(1), outOfRange);
});

test('GrowableBuffer and RingBuffer refuse sizes that are none', () => {
  throws(() => new GrowableBuffer({ maxSize: -1 }), { ...outOfRange, message: /options\.maxSize/ });
  throws(() => new GrowableBuffer({ maxSize: 5, capacity: 6 }), outOfRange);
  throws(() => new GrowableBuffer({ capacity: 'x' as never }), wrongType);
  throws(() => new GrowableBuffer(null as never), wrongType);
  throws(() => new RingBuffer(1.5), outOfRange);
  throws(() => new RingBuffer(undefined as never), wrongType);
});

test('RingBuffer larger than memory can be is an IoError', () => {
  throws(
    () => new RingBuffer(2 ** 50),
    (error) => error instanceof IoError && error.code === 'ENOMEM' && error.kind === 'limit',
  );
});

test('RingBuffer gives two views where it goes round, and never moves a byte', () => {
  const ring = new RingBuffer(8);
  equal(ring.prepare(8).length, 1);
  ring.commit(6);
  const kept = ring.data()[0]?.subarray(4) as Uint8Array;
  kept.set([1, 2]);
  ring.consume(4);
  equal(ring.prepare(6).length, 2);
  ring.commit(6);
  equal(ring.data().length, 2);
  deepEqual([...kept], [1, 2]);
  deepEqual(bytesIn(ring).subarray(0, 2), Buffer.of(1, 2));
});

/** IovecWriter: what stands where, what is copied and what is not, what is refused. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type IovecSlot, IovecWriter } from 'holdfast';
import { joined, patterned, seedOf } from './file/bytes.js';
import { onAllDoors } from './file/doors.js';
import { scratch } from './support/scratch.js';

const big = (length = 1000, start = 0): Uint8Array => patterned(length, start);

test('append() answers where the bytes stand, and copies none of a large view', () => {
  const writer = new IovecWriter();
  const [first, second] = [big(1000), new Float64Array(100)];
  equal(writer.append(first), 0);
  equal(writer.append(second), 1000);
  equal(writer.append([big(600), big(700)]), 1800);
  equal(writer.offset, 3100);
  equal(writer.finalize(), 3100);
  const views = writer.buffers();
  equal(views.length, 4);
  equal(views[0], first);
  equal(views[1]?.buffer, second.buffer);
  equal(writer.byteLength, 3100);
});

test('appendAligned() fills the gap with zeros, whatever was in memory', () => {
  const writer = new IovecWriter({ alignment: 8 });
  const memory = new Uint8Array(64).fill(0xaa);
  writer.append(memory.subarray(0, 3));
  equal(writer.appendAligned(memory.subarray(8, 9)), 8);
  equal(writer.appendAligned(memory.subarray(8, 9), 4096 * 4), 4096 * 4);
  equal(writer.align(2), 4096 * 4 + 2);
  writer.finalize();
  const whole = new Uint8Array(4096 * 4 + 2);
  whole.fill(0xaa, 0, 3);
  whole[8] = 0xaa;
  whole[4096 * 4] = 0xaa;
  deepEqual(writer.toBuffer(), whole);
  const dirty = new Uint8Array(whole.length + 5).fill(0x55);
  deepEqual(writer.toBuffer(dirty), whole);
  equal(writer.toBuffer(dirty).buffer, dirty.buffer);
  deepEqual([...dirty.subarray(whole.length)], [0x55, 0x55, 0x55, 0x55, 0x55]);
});

test('padding is one page, however much there is of it', () => {
  const writer = new IovecWriter();
  for (let count = 0; count < 100; count++) writer.appendAligned(big(1000), 1 << 16);
  const memories = new Set(writer.buffers().map(({ buffer }) => buffer));
  equal(memories.size, 101);
});

test('small neighbours are one view, a small one alone is the caller’s', () => {
  const writer = new IovecWriter();
  const alone = big(5);
  writer.append(alone);
  writer.append(big(1000));
  for (let count = 0; count < 5000; count++) writer.append(big(7, count));
  writer.append(big(1000));
  const views = writer.buffers();
  equal(views[0], alone);
  equal(views.length, 4);
  equal(joined(views).length, 5 + 1000 + 35_000 + 1000);
  deepEqual(views[2]?.subarray(7, 14), big(7, 1));
});

test('views that are neighbours in memory are one', () => {
  const bytes = big(4000);
  const writer = new IovecWriter();
  for (let at = 0; at < 4000; at += 1000) writer.append(bytes.subarray(at, at + 1000));
  equal(writer.buffers().length, 1);
  equal(writer.buffers()[0]?.buffer, bytes.buffer);
});

test('reserve() leaves a place that fill() takes, without a copy', () => {
  const writer = new IovecWriter();
  writer.append(big(3));
  const header = writer.reserve(1024, 8, 'header');
  deepEqual([header.offset, header.length, header.name], [8, 1024, 'header']);
  const second = writer.reserve(4, 1);
  equal(writer.append(big(900)), 1036);
  const bytes = big(1024, 5);
  writer.fill(second, Int32Array.of(7));
  writer.fill(header, bytes);
  equal(writer.finalize(), 1936);
  ok(writer.buffers().includes(bytes));
  deepEqual(writer.toBuffer().subarray(8, 1032), bytes);
  equal(writer.toBuffer()[1032], 7);
});

test('an unfilled slot is named, and the image not given out', () => {
  const writer = new IovecWriter();
  const slots = [writer.reserve(8, 8, 'first'), writer.reserve(24, 8), writer.reserve(0, 1)];
  writer.fill(slots[0] as IovecSlot, new Uint8Array(8));
  const says = { name: 'TypeError', message: /"slot 1".*24 bytes at offset 8/ };
  throws(() => writer.finalize(), says);
  throws(() => writer.buffers(), says);
  throws(() => writer.toBuffer(), says);
  writer.fill(slots[1] as IovecSlot, new Uint8Array(24));
  throws(() => writer.finalize(), /"slot 2"/);
  writer.fill(slots[2] as IovecSlot, []);
  equal(writer.finalize(), 32);
});

test('a writer that is finalized takes no more; buffers() before that is the image so far', () => {
  const writer = new IovecWriter();
  writer.append(big(10));
  equal(joined(writer.buffers()).length, 10);
  writer.append(big(10));
  equal(joined(writer.buffers()).length, 20);
  writer.finalize();
  equal(writer.finalize(), 20);
  for (const call of [
    () => writer.append(big(1)),
    () => writer.appendAligned(big(1), 8),
    () => writer.reserve(1, 8),
    () => writer.align(8),
  ]) {
    throws(call, { name: 'TypeError', message: /finalized/ });
  }
});

test('drain() gives out what stands before the first unfilled slot, once', () => {
  const writer = new IovecWriter();
  writer.append(big(700));
  deepEqual(joined(writer.drain()), Buffer.from(big(700)));
  const slot = writer.reserve(600, 16);
  writer.append(big(800));
  equal(joined(writer.drain()).length, 4);
  deepEqual(writer.drain(), []);
  writer.fill(slot, big(600, 9));
  writer.append(big(900));
  equal(writer.finalize(), 704 + 600 + 800 + 900);
  const rest = joined(writer.drain());
  deepEqual(rest, joined([big(600, 9), big(800), big(900)]));
  throws(() => writer.buffers(), { name: 'TypeError', message: /drained/ });
  equal(writer.byteLength, 3004);
});

test('bad input is refused, named, before anything happens', () => {
  const writer = new IovecWriter();
  const slot = writer.reserve(8, 8);
  const other = new IovecWriter().reserve(8, 8);
  const bad: readonly (readonly [() => unknown, string, RegExp])[] = [
    [() => new IovecWriter({ alignment: 3 }), 'RangeError', /alignment.*power of two/],
    [() => new IovecWriter({ alignment: '8' as never }), 'TypeError', /alignment/],
    [() => new IovecWriter(8 as never), 'TypeError', /options/],
    [() => writer.append('text' as never), 'TypeError', /bytes/],
    [() => writer.append([7] as never), 'TypeError', /bytes\[0\]/],
    [() => writer.appendAligned(big(1), 0), 'RangeError', /alignment/],
    [() => writer.appendAligned(7 as never, 8), 'TypeError', /bytes/],
    [() => writer.reserve(-1, 8), 'RangeError', /length/],
    [() => writer.reserve(1.5, 8), 'RangeError', /length/],
    [() => writer.reserve(Number.MAX_SAFE_INTEGER, 8), 'RangeError', /offset/],
    [() => writer.reserve(2 ** 53, 8), 'RangeError', /length/],
    [() => writer.fill(slot, big(7)), 'RangeError', /8 bytes of "slot 0"/],
    [() => writer.fill(slot, big(9)), 'RangeError', /8 bytes of "slot 0"/],
    [() => writer.fill(other, big(8)), 'TypeError', /slot/],
    [() => writer.fill({ ...slot }, big(8)), 'TypeError', /slot/],
  ];
  for (const [call, name, message] of bad) throws(call, { name, message });
  equal(writer.offset, 8);
  writer.fill(slot, big(8));
  throws(() => writer.fill(slot, big(8)), { name: 'TypeError', message: /filled/ });
  throws(() => writer.toBuffer(new Uint8Array(7)), { name: 'RangeError', message: /target/ });
  throws(() => writer.toBuffer([] as never), { name: 'TypeError', message: /target/ });
  deepEqual(writer.toBuffer(), big(8));
});

test('a view that lost its bytes after append() is told', () => {
  const writer = new IovecWriter();
  const bytes = big(1000);
  writer.append(bytes);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
  throws(() => writer.finalize(), { code: 'ERR_BUFFER_CHANGED' });
});

interface Step {
  readonly action: 'append' | 'aligned' | 'reserve' | 'align' | 'drain';
  readonly length: number;
  readonly power: number;
}

const stepOf = fc.record<Step>({
  action: fc.constantFrom('append', 'aligned', 'reserve', 'align', 'drain'),
  length: fc.oneof(fc.nat(40), fc.nat(3000)),
  power: fc.nat(13),
});

/* The image as it should be, and as the writer gives it: in one buffer, in views, in pieces. */
function built(steps: readonly Step[], drains: boolean, dirt: number) {
  const writer = new IovecWriter();
  const wanted: number[] = [];
  const slots: [IovecSlot, Uint8Array][] = [];
  const drained: Uint8Array[] = [];
  const pad = (alignment: number): void => {
    while (wanted.length % alignment !== 0) wanted.push(0);
  };
  for (const [index, { action, length, power }] of steps.entries()) {
    const memory = new Uint8Array(length + 20).fill(dirt);
    memory.set(patterned(length, index), 10);
    const bytes = memory.subarray(10, 10 + length);
    const alignment = 2 ** power;
    if (action === 'drain') {
      if (drains) drained.push(...writer.drain().map((view) => view.slice()));
      continue;
    }
    if (action !== 'append') pad(alignment);
    if (action === 'append') equal(writer.append(bytes), wanted.length);
    if (action === 'aligned') equal(writer.appendAligned(bytes, alignment), wanted.length);
    if (action === 'align') equal(writer.align(alignment), wanted.length);
    if (action === 'reserve') slots.push([writer.reserve(length, alignment), bytes]);
    if (action !== 'align') wanted.push(...bytes);
  }
  for (const [slot, bytes] of slots.reverse()) writer.fill(slot, bytes);
  equal(writer.finalize(), wanted.length);
  return { writer, wanted: Buffer.from(wanted), drained };
}

test('gathered, copied and drained images are what was asked for, byte for byte', (t) => {
  const seed = seedOf(t);
  fc.assert(
    fc.property(fc.array(stepOf, { maxLength: 30 }), (steps) => {
      const { writer, wanted } = built(steps, false, 0);
      deepEqual(joined(writer.buffers()), wanted);
      deepEqual(Buffer.from(writer.toBuffer()), wanted);
      deepEqual(joined(built(steps, false, 0xee).writer.buffers()), wanted);
      const pieces = built(steps, true, 0x11);
      deepEqual(joined([...pieces.drained, ...pieces.writer.drain()]), wanted);
    }),
    { seed, numRuns: 300 },
  );
});

onAllDoors('a writer’s views are written as they stand, by one gather', async (t, doors) => {
  const path = join(scratch(t), 'image');
  const file = await doors.create(path);
  const writer = new IovecWriter();
  for (let count = 0; count < 1000; count++) writer.appendAligned(big(600, count), 64);
  writer.finalize();
  equal(writer.buffers().length, 1999);
  equal(await doors.writeAt(file, writer.buffers(), 0), writer.byteLength);
  deepEqual(readFileSync(path), Buffer.from(writer.toBuffer()));
  const { systemCalls } = file.stats();
  const writes = Object.entries(systemCalls).filter(([name]) => /write/.test(name));
  equal(
    writes.reduce((sum, [, count]) => sum + count, 0),
    Math.ceil(1999 / 1024),
  );
});

/** Arithmetic on bytes: nothing is rounded the wrong way, nothing leaves the exact integers. */
import { equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { alignDown, alignUp } from 'holdfast';
import { byteCount, checkRange, isPowerOfTwo } from '#holdfast/bytes.js';
import { seedOf } from './file/bytes.js';

const MAX = Number.MAX_SAFE_INTEGER;
const NOT_COUNTS: readonly unknown[] = [-1, 0.5, Number.NaN, Infinity, -Infinity, MAX + 1, -1n];
const NOT_NUMBERS: readonly unknown[] = ['1', null, undefined, {}, [], true, new Number(1)];
const outOfRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };

test('isPowerOfTwo() is true for powers of two and for nothing else', () => {
  for (let power = 0; power <= 52; power++) {
    const value = 2 ** power;
    equal(isPowerOfTwo(value), true, String(value));
    if (power > 1) {
      equal(isPowerOfTwo(value - 1), false, String(value - 1));
      equal(isPowerOfTwo(value + 1), false, String(value + 1));
    }
  }
  for (const value of [0, -1, -2, 3, 0.5, 1.5, Number.NaN, Infinity, 2 ** 53]) {
    equal(isPowerOfTwo(value), false, String(value));
  }
});

test('byteCount() takes safe integers from 0 on, as number or bigint', () => {
  for (const value of [0, 1, 4096, 2 ** 32, 2 ** 40, MAX]) {
    equal(byteCount(value, 'x'), value);
    equal(byteCount(BigInt(value), 'x'), value);
  }
});

test('byteCount() refuses what counts no bytes', () => {
  for (const value of [...NOT_COUNTS, BigInt(MAX) + 1n]) {
    throws(() => byteCount(value, 'size'), { ...outOfRange, message: /"size"/ }, String(value));
  }
  for (const value of NOT_NUMBERS) {
    throws(() => byteCount(value, 'size'), { ...wrongType, message: /"size"/ }, String(value));
  }
});

test('checkRange() lets a range end at 2^53 - 1 and not beyond', () => {
  checkRange(MAX, 0, 'offset');
  checkRange(MAX - 10, 10, 'offset');
  throws(() => checkRange(MAX - 10, 11, 'offset'), outOfRange);
  throws(() => checkRange(MAX, MAX, 'offset'), outOfRange);
});

test('alignUp() and alignDown() give the nearest multiples on either side', (t) => {
  const values = fc.oneof(
    fc.maxSafeNat().filter((n) => n < 2 ** 52),
    fc.nat(70000),
  );
  const powers = fc.nat(40).map((power) => 2 ** power);
  const property = fc.property(values, powers, (value, alignment) => {
    const down = alignDown(value, alignment);
    const up = alignUp(value, alignment);
    ok(down % alignment === 0 && up % alignment === 0, 'both are multiples');
    ok(down <= value && value - down < alignment, 'the one below is the nearest');
    ok(up >= value && up - value < alignment, 'the one above is the nearest');
    equal(alignUp(down, alignment), down);
    equal(alignDown(up, alignment), up);
  });
  fc.assert(property, { seed: seedOf(t), numRuns: 2000 });
});

test('alignUp() is exact beyond 4 GiB, where 32-bit masks are not', () => {
  equal(alignUp(2 ** 32 + 1, 4096), 2 ** 32 + 4096);
  equal(alignDown(2 ** 40 + 4095, 4096), 2 ** 40);
  equal(alignUp(0, 512), 0);
  equal(alignUp(511, 1), 511);
});

test('alignUp() refuses a result above 2^53 - 1; alignDown() has none there', () => {
  throws(() => alignUp(MAX, 4096), outOfRange);
  equal(alignDown(MAX, 4096), MAX - 4095);
});

test('alignUp() and alignDown() refuse bad values and bad alignments', () => {
  for (const align of [alignUp, alignDown]) {
    for (const value of NOT_COUNTS) throws(() => align(value as number, 8), outOfRange);
    for (const value of NOT_NUMBERS) throws(() => align(value as number, 8), wrongType);
    for (const bad of [0, 3, 12, -8, 0.5, Number.NaN]) throws(() => align(8, bad), outOfRange);
    for (const bad of ['8', null, undefined, 8n] as unknown[]) {
      throws(() => align(8, bad as number), wrongType);
    }
  }
});

/** CRC-32C: the same number for the same bytes, whoever computes it and wherever they lie. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32c } from '#holdfast/bytes.js';
import { checksum, loadAddon } from '#holdfast/platform.js';
import { seedOf } from './file/bytes.js';

const { addon } = loadAddon();

/* RFC 3720 B.4, and the check value of the catalogue of parametrised CRC algorithms. */
const KNOWN: readonly (readonly [bytes: Uint8Array, crc: number])[] = [
  [new Uint8Array(0), 0],
  [new Uint8Array(32), 0x8a9136aa],
  [new Uint8Array(32).fill(0xff), 0x62a8ab43],
  [Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
  [Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
  [new TextEncoder().encode('123456789'), 0xe3069283],
];

test('crc32c() and checksum() give the numbers of RFC 3720', () => {
  for (const [bytes, crc] of KNOWN) {
    equal(crc32c(bytes), crc);
    equal(checksum(bytes), crc);
    if (addon !== undefined) equal(addon.crc32c(bytes, 0), crc);
  }
});

test('crc32c() and checksum() agree, go on from a seed, and mind no alignment', (t) => {
  const bytes = fc.uint8Array({ maxLength: 400 });
  const property = fc.property(bytes, fc.nat(16), fc.nat(400), (content, skip, cut) => {
    const memory = new Uint8Array(content.length + skip);
    memory.set(content, skip);
    const view = memory.subarray(skip);
    const whole = crc32c(content);
    equal(crc32c(view), whole);
    equal(crc32c(view.subarray(cut), crc32c(view.subarray(0, cut))), whole);
    equal(checksum(view.subarray(cut), checksum(view.subarray(0, cut))), whole);
    if (addon !== undefined) equal(addon.crc32c(view, 0), whole);
  });
  fc.assert(property, { seed: seedOf(t), numRuns: 2000 });
});

test('crc32c() of the addon tells any single bit from another', {
  skip: addon === undefined,
}, () => {
  const bytes = new Uint8Array(64);
  const seen = new Set<number>([checksum(bytes)]);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3] = 1 << (bit & 7);
    seen.add(checksum(bytes));
    bytes[bit >> 3] = 0;
  }
  equal(seen.size, bytes.length * 8 + 1);
});

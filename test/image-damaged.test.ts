/** Images that are not as they were written: what is noticed when, and that it is all there is. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { IoError } from 'holdfast';
import { encodeImage, imageOf, list, openImage, ref, struct, text, u8, u32 } from 'holdfast/image';
import { seedOf } from './file/bytes.js';
import { forged, partsOf, seal } from './image/forge.js';
import { Shape, shape, Tree } from './struct/schemas.js';
import { scratch } from './support/scratch.js';

const image = encodeImage(Shape, shape).toBuffer();
const plain = imageOf(image, Shape).copy();
const modes = ['header', 'lazy', 'full'] as const;
type Mode = (typeof modes)[number];

/* What comes of bytes: a value, or the code of an error of ours; anything else passes through. */
function outcome(bytes: Uint8Array, verify: Mode): unknown {
  try {
    return imageOf(bytes, Shape, { verify }).copy();
  } catch (error) {
    if (error instanceof IoError && error.code.startsWith('ERR_IMAGE_')) return error.code;
    throw error;
  }
}

/* The same bytes in the midst of others: what is outside must not show. */
function amidst(bytes: Uint8Array, dirt: number): Uint8Array {
  const memory = new Uint8Array(bytes.length + 8192).fill(dirt);
  memory.set(bytes, 4096);
  return memory.subarray(4096, 4096 + bytes.length);
}

test('every bit that is flipped is noticed under full, and never shown under lazy', () => {
  const bytes = image.slice();
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const at = bit >> 3;
    bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
    equal(typeof outcome(bytes, 'full'), 'string', `bit ${bit}`);
    equal(typeof outcome(bytes, 'lazy'), 'string', `bit ${bit}`);
    bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
  }
  deepEqual(outcome(bytes, 'full'), plain);
});

test('every bit that is flipped under header is noticed, or shows a value of the image', () => {
  let shown = 0;
  for (let bit = 0; bit < image.length * 8; bit += 3) {
    const bytes = image.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    const first = outcome(amidst(bytes, 0xee), 'header');
    deepEqual(outcome(amidst(bytes, 0x11), 'header'), first, `bit ${bit}`);
    if (typeof first !== 'string') shown++;
  }
  ok(shown > 100);
});

test('an image cut or extended anywhere is refused in every mode', () => {
  for (const verify of modes) {
    for (let length = 0; length < image.length; length += length < 200 ? 1 : 7) {
      equal(outcome(image.subarray(0, length), verify), 'ERR_IMAGE_DAMAGED');
      equal(outcome(image.subarray(image.length - length), verify), 'ERR_IMAGE_DAMAGED');
    }
    for (const extra of [1, 8, 64, 5000]) {
      const longer = new Uint8Array(image.length + extra);
      longer.set(image);
      equal(outcome(longer, verify), 'ERR_IMAGE_DAMAGED');
      longer.set(image.subarray(image.length - 64), image.length + extra - 64);
      equal(outcome(longer, verify), 'ERR_IMAGE_DAMAGED');
    }
    const twice = new Uint8Array([...image, ...image]);
    equal(outcome(twice, verify), 'ERR_IMAGE_DAMAGED');
  }
});

test('a version that is not known is refused, in words', () => {
  const newer = forged(image, (bytes) => bytes.set([2, 0], 8));
  for (const verify of modes) equal(outcome(newer, verify), 'ERR_IMAGE_VERSION');
  throws(() => imageOf(newer, Shape), { kind: 'unsupported', message: /version 2.*version 1/ });
});

test('the layout is proved by its description, not by its hash', () => {
  const other = forged(image, (bytes) => bytes.fill(0, 16, 24));
  deepEqual(outcome(other, 'full'), plain);
  const Other = struct({ ...ShapeLike });
  throws(() => imageOf(image, Other), { code: 'ERR_IMAGE_LAYOUT', name: 'LayoutMismatchError' });
  const wrong = forged(image, (bytes) =>
    bytes.fill(0x20, partsOf(image).end, partsOf(image).end + 4),
  );
  equal(outcome(wrong, 'header'), 'ERR_IMAGE_DAMAGED');
});
const ShapeLike = { id: u32, name: text };

/* Puts a 64-bit number where the root has one: fields by what the format document says of them. */
function withCount(at: number, count: bigint): Uint8Array {
  const { root } = partsOf(image);
  return forged(image, (bytes) => {
    new DataView(bytes.buffer).setBigUint64(root + at, count, true);
  });
}

test('spans that lead outside, backwards, askew or beyond all bounds are refused', () => {
  const { root, end } = partsOf(image);
  /* corners, counts, name, points, raw, tags */
  const spans = [8, 24, 40, 80, 96, 136];
  const counts = [
    2n ** 64n - 1n,
    2n ** 63n,
    2n ** 53n,
    2n ** 53n - 1n,
    2n ** 32n,
    2n ** 32n - 1n,
    BigInt(image.length),
    BigInt(end),
  ];
  for (const verify of modes) {
    for (const at of spans) {
      for (const count of counts) {
        equal(outcome(withCount(at + 8, count), verify), 'ERR_IMAGE_DAMAGED', `${at}: ${count}`);
        equal(outcome(withCount(at, count), verify), 'ERR_IMAGE_DAMAGED', `${at}: ${count}`);
      }
      for (const offset of [0n, 1n, 63n, BigInt(root + at), BigInt(root + at - 2)]) {
        equal(outcome(withCount(at, offset), verify), 'ERR_IMAGE_DAMAGED', `${at}: ${offset}`);
      }
    }
    equal(outcome(withCount(0, 65n), verify), 'ERR_IMAGE_DAMAGED');
  }
});

test('values that refer to themselves or to what comes after them are refused', () => {
  const Both = struct({ tree: Tree, one: ref(struct({ x: u8, names: list(text) })) });
  const value = {
    tree: { name: 'a', kids: [{ name: 'b', kids: [] }] },
    one: { x: 1, names: ['n'] },
  };
  const whole = encodeImage(Both, value).toBuffer();
  const { root } = partsOf(whole);
  for (let at = 0; at < 48; at += 8) {
    for (const target of [root, root + 8, root + at]) {
      const looped = forged(whole, (bytes) => {
        new DataView(bytes.buffer).setBigUint64(root + at, BigInt(target), true);
      });
      try {
        imageOf(looped, Both).copy();
      } catch (error) {
        equal((error as IoError).code, 'ERR_IMAGE_DAMAGED');
      }
    }
  }
  const back = forged(whole, (bytes) => {
    new DataView(bytes.buffer).setBigUint64(root, BigInt(root), true);
  });
  throws(() => imageOf(back, Both).copy(), { code: 'ERR_IMAGE_DAMAGED', kind: 'corrupt' });
});

test('a table of sections that overlap, leave gaps or lead outside is refused', () => {
  const { table, sections, data } = partsOf(image);
  for (let index = 0; index < sections; index++) {
    for (const [field, delta] of [
      [0, 8],
      [0, -8],
      [8, 8],
      [8, -8],
      [8, 65_536],
      [16, 1],
    ] as const) {
      const at = table + index * 32 + field;
      const changed = forged(image, (bytes) => {
        const value = data.getBigUint64(at, true) + BigInt(delta);
        new DataView(bytes.buffer).setBigUint64(at, BigInt.asUintN(64, value), true);
      });
      for (const verify of modes) equal(outcome(changed, verify), 'ERR_IMAGE_DAMAGED');
    }
  }
});

test('a trailer that lies about any of its parts is refused', () => {
  const { trailer } = partsOf(image);
  for (const [at, bytes] of [
    [0, 8],
    [8, 8],
    [16, 8],
    [24, 4],
    [28, 4],
    [32, 8],
  ] as const) {
    for (const value of [0n, 1n, 7n, 63n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 64n - 1n]) {
      const lying = image.slice();
      const data = new DataView(lying.buffer);
      if (bytes === 8) data.setBigUint64(trailer + at, value, true);
      else data.setUint32(trailer + at, Number(value & 0xffffffffn), true);
      seal(lying, trailer);
      for (const verify of modes) equal(typeof outcome(lying, verify), 'string', `${at}: ${value}`);
    }
  }
});

test('whatever is done to an image, opening and looking throws our error or shows a value', (t) => {
  const seed = seedOf(t);
  const change = fc.record({
    at: fc.nat(image.length - 1),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 9 }),
  });
  const kinds: Record<string, number> = {};
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      fc.constantFrom(...modes),
      (changes, isForged, verify) => {
        const apply = (bytes: Uint8Array): void => {
          for (const { at, bytes: put } of changes) {
            bytes.set(put.subarray(0, Math.min(put.length, image.length - at)), at);
          }
        };
        let bytes: Uint8Array = image.slice();
        apply(bytes);
        if (isForged) {
          try {
            bytes = forged(image, (copy) => {
              apply(copy.subarray(0, partsOf(image).trailer));
            });
          } catch {
            return;
          }
        }
        const first = outcome(amidst(bytes, 0xee), verify);
        deepEqual(outcome(amidst(bytes, 0x11), verify), first);
        const kind = typeof first === 'string' ? first : 'a value';
        kinds[kind] = (kinds[kind] ?? 0) + 1;
      },
    ),
    { seed, numRuns: 4000 },
  );
  t.diagnostic(JSON.stringify(kinds));
  ok((kinds['a value'] ?? 0) > 50 && (kinds.ERR_IMAGE_DAMAGED ?? 0) > 500);
});

test('files at random are no images', (t) => {
  const seed = seedOf(t);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...modes), (bytes, verify) => {
      equal(outcome(bytes, verify), 'ERR_IMAGE_DAMAGED');
    }),
    { seed, numRuns: 500 },
  );
});

test('damage in a file is told with its path and place, in both modes', async (t) => {
  const path = join(scratch(t), 'image');
  const Rows = struct({ a: list(u32), b: list(u32) });
  const rows = new Uint32Array(100_000).fill(5);
  const bytes = encodeImage(Rows, { a: rows, b: rows }).toBuffer().slice();
  const at = 64 + 400_000 + 70_000;
  bytes[at] = 6;
  writeFileSync(path, bytes);
  for (const mode of ['map', 'read'] as const) {
    const told = {
      code: 'ERR_IMAGE_DAMAGED',
      kind: 'corrupt',
      path,
      offset: 64 + 400_000 + 65_536,
    };
    await rejects(openImage(path, Rows, { mode, verify: 'full' }), told);
    await using lazy = await openImage(path, Rows, { mode, verify: 'lazy' });
    equal(lazy.a.length, 100_000);
    throws(() => lazy.b, told);
    throws(() => lazy.b, told);
    await rejects(lazy.verify(), told);
    await using header = await openImage(path, Rows, { mode, verify: 'header' });
    equal(header.b[17_500], 6);
  }
});

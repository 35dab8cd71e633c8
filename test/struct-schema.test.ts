/** Schemas as such: what tells them apart, what may change, what is refused. */
import { deepEqual, equal, notEqual, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AnySchema,
  array,
  copyOf,
  enumeration,
  f32,
  f64,
  i8,
  i32,
  i64,
  isDifference,
  list,
  map,
  optional,
  ref,
  schemaOf,
  seenAs,
  struct,
  type Type,
  text,
  u8,
  u16,
  u32,
  u64,
  union,
} from '#holdfast/struct.js';
import { encoded, seen } from './struct/memory.js';

import { Point, Shape, shape, Tree } from './struct/schemas.js';

test('a schema inside itself is refused when it is first used', () => {
  const Bad = struct({ x: u8, self: (): Type<never, unknown> => Bad as never });
  throws(() => Bad.layoutHash, { name: 'TypeError', message: /inside itself/ });
  const Worse = struct({ x: optional((): Type<never, unknown> => Worse as never) });
  throws(() => schemaOf(Worse), { name: 'TypeError', message: /inside itself/ });
  const Wide = struct({ x: array((): Type<never, unknown> => Wide as never, 2) });
  throws(() => schemaOf(Wide), /inside itself/);
});

test('the layout hash is of the structure, not of the order it was declared in', () => {
  const one = struct({ a: u8, b: text, c: union({ p: u8, q: text }), d: enumeration('x', 'y') });
  const other = struct({ d: enumeration('y', 'x'), c: union({ q: text, p: u8 }), b: text, a: u8 });
  equal(one.layoutHash, other.layoutHash);
  ok(/^[0-9a-f]{16}$/.test(one.layoutHash));
  const Twin = struct({ x: f64, y: f64 });
  const pairs = [
    struct({ a: Point, b: Point }),
    struct({ a: Point, b: Twin }),
    struct({ a: Twin, b: struct({ y: f64, x: f64 }) }),
  ];
  equal(new Set(pairs.map(({ layoutHash }) => layoutHash)).size, 1);
  interface Self {
    readonly s: readonly Self[];
  }
  const Knot = struct({ s: list((): Type<Self, Self> => Knot as never) });
  const Outer = struct({ s: list(Knot) });
  equal(Knot.layoutHash, Outer.layoutHash);
});

test('any other structure has another hash', () => {
  const hashes = [
    struct({ a: u8 }),
    struct({ b: u8 }),
    struct({ a: i8 }),
    struct({ a: optional(u8) }),
    struct({ a: list(u8) }),
    struct({ a: array(u8, 2) }),
    struct({ a: array(u8, 3) }),
    struct({ a: ref(u8) }),
    struct({ a: map(u8, u8) }),
    struct({ a: map(u8, i8) }),
    struct({ a: enumeration('x') }),
    struct({ a: enumeration('y') }),
    struct({ a: union({ x: u8 }) }),
    struct({ a: u8, b: u8 }),
    struct({}),
  ].map(({ layoutHash }) => layoutHash);
  equal(new Set(hashes).size, hashes.length);
});

test('values that do not fit are refused: the field, the value, the range', () => {
  const All = struct({
    shape: Shape,
    small: list(struct({ n: i8, f: f32, w: u64, z: i64, i: i32 })),
  });
  const small = { n: 1, f: 1, w: 1, z: 1, i: 1 };
  const good = { shape, small: [small, small] };
  encoded(All, good);
  const bad: readonly (readonly [object, string, RegExp])[] = [
    [
      { small: [small, { ...small, n: 128 }] },
      'RangeError',
      /"value\.small\[1\]\.n" must be an integer from -128 to 127 \(i8\); got 128/,
    ],
    [{ small: [{ ...small, n: 1.5 }] }, 'RangeError', /small\[0\]\.n/],
    [{ small: [{ ...small, n: '1' }] }, 'TypeError', /small\[0\]\.n.*got "1"/],
    [{ small: [{ ...small, f: 1e39 }] }, 'RangeError', /small\[0\]\.f/],
    [{ small: [{ ...small, w: -1n }] }, 'RangeError', /\.w.*from 0/],
    [{ small: [{ ...small, w: 2 ** 53 }] }, 'RangeError', /\.w.*safe integer/],
    [{ small: [{ ...small, z: 2n ** 63n }] }, 'RangeError', /\.z/],
    [{ small: [{ ...small, i: undefined }] }, 'TypeError', /\.i.*got undefined/],
    [{ small: 'text' }, 'TypeError', /value\.small/],
    [{ small: [null] }, 'TypeError', /small\[0\]/],
    [{ shape: { ...shape, name: 7 } }, 'TypeError', /"value\.shape\.name" must be a string; got 7/],
    [{ shape: { ...shape, name: '\ud800' } }, 'TypeError', /shape\.name.*surrogate/],
    [{ shape: { ...shape, matrix: [1, 2, 3] } }, 'TypeError', /matrix.*exactly 4 elements/],
    [{ shape: { ...shape, matrix: [1, 2, 3, 4, 5] } }, 'TypeError', /matrix.*exactly 4/],
    [{ shape: { ...shape, matrix: new Set([1, 2, 3, 4, 5]) } }, 'TypeError', /exactly 4/],
    [{ shape: { ...shape, colour: 'blue' } }, 'TypeError', /colour.*green, red.*"blue"/],
    [{ shape: { ...shape, size: { kind: 'none', value: 1 } } }, 'TypeError', /size.*exact, rough/],
    [{ shape: { ...shape, size: { kind: 'exact', value: -1 } } }, 'RangeError', /size\.value/],
    [{ shape: { ...shape, size: undefined } }, 'TypeError', /size/],
    [{ shape: { ...shape, isOpen: 1 } }, 'TypeError', /isOpen/],
    [{ shape: { ...shape, raw: [1] } }, 'TypeError', /raw.*ArrayBufferView/],
    [
      {
        shape: {
          ...shape,
          counts: [
            ['a', 1],
            ['a', 2],
          ],
        },
      },
      'TypeError',
      /counts.*key twice.*"a"/,
    ],
    [{ shape: { ...shape, counts: [[1, 1]] } }, 'TypeError', /counts/],
    [{ shape: { ...shape, counts: [1] } }, 'TypeError', /counts\[0\].*pair/],
    [{ shape: { ...shape, counts: { a: -1 } } }, 'RangeError', /counts/],
    [{ shape: { ...shape, child: undefined } }, 'TypeError', /child/],
    [
      { shape: { ...shape, tags: (async function* () {})() } },
      'TypeError',
      /tags.*field of the root/,
    ],
  ];
  for (const [part, name, message] of bad) {
    throws(() => encoded(All, { ...good, ...part }), { name, message });
  }
  for (const value of [undefined, null, 7, 'x']) {
    throws(() => encoded(All, value), { name: 'TypeError', message: /"value"/ });
  }
});

test('types that are none are refused by name', () => {
  const bad: readonly (readonly [() => unknown, string, RegExp])[] = [
    [() => struct({ a: 7 } as never), 'TypeError', /"a".*type of a schema/],
    [() => struct(undefined as never), 'TypeError', /fields/],
    [() => list('u8' as never), 'TypeError', /element/],
    [() => array(u8, 0), 'RangeError', /count/],
    [() => array(u8, 1.5), 'RangeError', /count/],
    [() => optional(undefined as never), 'TypeError', /type/],
    [() => ref(null as never), 'TypeError', /type/],
    [() => enumeration(), 'TypeError', /names/],
    [() => enumeration('a', 'a'), 'TypeError', /names/],
    [() => enumeration(1 as never), 'TypeError', /names/],
    [() => union({}), 'TypeError', /types/],
    [() => schemaOf(struct({ a: map(f64, u8) })), 'TypeError', /key/],
    [() => schemaOf(struct({ a: () => 7 as never })), 'TypeError', /"a"/],
    [() => schemaOf({}), 'TypeError', /schema/],
    [() => schemaOf(struct({ a: array(array(f64, 2 ** 50), 2 ** 50) })), 'RangeError', /size/],
  ];
  for (const [call, name, message] of bad) throws(call, { name, message });
});

test('optional fields that only one side has are read both ways; all else differs by name', () => {
  const older = struct({ a: u8, in: list(struct({ x: u32 })), z: optional(text) });
  const newer = struct({
    a: u8,
    in: list(struct({ x: u32, more: optional(list(u8)) })),
    z: optional(text),
    aa: optional(text),
  });
  const put = { a: 1, in: [{ x: 2 }, { x: 3 }], z: 'z' };
  const forth = seenAs(older.description, newer, 0).seen;
  const back = seenAs(newer.description, older, 0).seen;
  ok(!isDifference(forth) && !isDifference(back));
  deepEqual(copyOf(seen(forth as never, encoded(older, put))), put);
  const full = { ...put, in: [{ x: 2, more: [1] }, { x: 3 }], aa: 'more' };
  deepEqual(copyOf(seen(back as never, encoded(newer, full))), put);
  equal((seen(forth as never, encoded(older, put)) as { aa?: string }).aa, undefined);
  const differs = (image: AnySchema, schema: AnySchema) => {
    const { seen: found } = seenAs(image.description, schema, 0);
    return isDifference(found) ? [found.field, found.image, found.schema] : [];
  };
  deepEqual(differs(struct({ a: u8 }), struct({ a: u16 })), ['a', 'u8', 'u16']);
  deepEqual(differs(struct({ a: u8 }), struct({ a: u8, b: u8 })), ['b', 'not there', 'u8']);
  deepEqual(differs(struct({ a: u8, b: u8 }), struct({ a: u8 })), ['b', 'u8', 'not there']);
  const deep = (type: Type<never, unknown>) =>
    struct({ p: struct({ q: list(struct({ r: type })) }) });
  deepEqual(differs(deep(u8), deep(text)), ['p.q[].r', 'u8', 'text']);
  deepEqual(differs(deep(array(u8, 2)), deep(array(u8, 3))), [
    'p.q[].r',
    'array of 2',
    'array of 3',
  ]);
  deepEqual(differs(deep(enumeration('x')), deep(enumeration('x', 'y'))), [
    'p.q[].r',
    'enumeration of x',
    'enumeration of x, y',
  ]);
  deepEqual(differs(deep(optional(u8)), deep(u8)), ['p.q[].r', 'optional', 'u8']);
  deepEqual(seenAs(Tree.description, Tree, 0).seen, Tree);
});

test('a description that is none is told as damage', () => {
  const broken = [
    '',
    '7',
    '[]',
    '["u8"]',
    '[["struct",[["a",1]]]]',
    '[["struct",[["a",0]]]]',
    '[["struct",[["a",1],["a",1]]],"u8"]',
    '[["struct",[[1,1]]],"u8"]',
    '[["struct",[["a",1]]],"u7"]',
    '[["struct",[["a",1]]],["array",2,0],"u8"]',
    '[["struct",[["a",1]]],["array",2,1e300],"u8"]',
    '[["struct",[["a",1]]],["optional",1]]',
    '[["struct",[["a",1]]],["map",2,2],"f64"]',
    '[["struct",null]]',
    '[["union",[]]]',
    `[["struct",[["a",1]]]${',["optional",1]'.repeat(70_000)}]`,
  ];
  for (const description of broken) {
    throws(() => seenAs(description, Tree, 9), { code: 'ERR_IMAGE_DAMAGED', kind: 'corrupt' });
  }
  notEqual(Tree.description, '');
});

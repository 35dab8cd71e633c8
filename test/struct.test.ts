/** Schemas: what is put is seen again, what lies where, what is refused, what may change. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import {
  bytes,
  copyOf,
  Emitter,
  encodeSteps,
  f64,
  i8,
  i64,
  ListView,
  list,
  map,
  type OutputOf,
  optional,
  ref,
  struct,
  type Type,
  text,
  u8,
  u16,
  u32,
  u64,
} from '#holdfast/struct.js';
import { seedOf } from './file/bytes.js';
import { encoded, open, seen, through } from './struct/memory.js';
import { examples } from './struct/random.js';

import { Point, Shape, shape, Tree } from './struct/schemas.js';

test('values at random are seen as they were put, and equal ones have equal bytes', (t) => {
  const seed = seedOf(t);
  fc.assert(
    fc.property(examples, ({ schema, value, plain }) => {
      const first = encoded(schema, value);
      deepEqual(copyOf(seen(schema, first)), plain);
      deepEqual(encoded(schema, structuredClone(value)).bytes.length >= 64, true);
      deepEqual(encoded(schema, value).bytes, first.bytes);
    }),
    { seed, numRuns: 400 },
  );
});

test('every type is seen by its own kind of view', () => {
  const view: OutputOf<typeof Shape> = through(Shape, shape);
  deepEqual([view.id, view.name, view.colour, view.isOpen], [7, 'häuschen', 'green', true]);
  deepEqual(view.points, Float64Array.of(1.5, -0, Number.NaN));
  deepEqual([view.child.x, view.child.y], [1, 2]);
  ok(view.corners instanceof ListView);
  equal(view.corners.length, 2);
  equal(view.corners.at(1)?.y, 4);
  equal(view.corners.at(-2)?.x, 0);
  equal(view.corners.at(2), undefined);
  equal(view.corners.at(-3), undefined);
  deepEqual([...view.tags], ['a', '', 'ccc']);
  deepEqual(view.tags.toArray(), ['a', '', 'ccc']);
  equal(view.note, undefined);
  deepEqual(view.raw, Uint8Array.of(1, 0, 2, 0));
  deepEqual(view.matrix, Float32Array.of(1, 2, 3, 4));
  deepEqual(view.size, { kind: 'exact', value: 5n });
  equal(view.counts.size, 2);
  deepEqual([view.counts.get('a'), view.counts.get('b'), view.counts.get('c')], [1, 2, undefined]);
  deepEqual([view.counts.has('a'), view.counts.has('')], [true, false]);
  deepEqual(
    [...view.counts],
    [
      ['a', 1],
      ['b', 2],
    ],
  );
  deepEqual(
    [[...view.counts.keys()], [...view.counts.values()]],
    [
      ['a', 'b'],
      [1, 2],
    ],
  );
});

test('views show themselves: in JSON, in inspect, as copies', () => {
  const { child } = through(Shape, shape);
  equal(JSON.stringify(child), '{"x":1,"y":2}');
  equal(inspect(child), '{ x: 1, y: 2 }');
  deepEqual(copyOf(child), { x: 1, y: 2 });
  throws(() => copyOf({ x: 1 }), { name: 'TypeError', message: /view/ });
});

test('a field may have the name of anything', () => {
  const Odd = struct({ toJSON: u8, constructor: text, ['__proto__']: u16, '': i8, size: u8 });
  const value = Object.fromEntries([
    ['toJSON', 1],
    ['constructor', 'c'],
    ['__proto__', 3],
    ['', -4],
    ['size', 5],
  ]) as never;
  const view = through(Odd, value) as unknown as Record<string, unknown>;
  deepEqual(
    [view.toJSON, view.constructor, Reflect.get(view, '__proto__'), view[''], view.size],
    [1, 'c', 3, -4, 5],
  );
});

test('numbers and bytes are seen without a copy, aligned to their size', () => {
  const Rows = struct({ a: list(u8), b: list(f64), c: list(u16), d: bytes, e: list(u64) });
  const value = { a: [1, 2, 3], b: [1], c: [5], d: Uint8Array.of(9), e: [1n] };
  const whole = encoded(Rows, value);
  const view = seen(Rows, whole);
  for (const row of [view.a, view.b, view.c, view.d, view.e]) {
    equal(row.buffer, whole.bytes.buffer);
    equal(row.byteOffset % row.BYTES_PER_ELEMENT, 0);
  }
  whole.bytes[view.a.byteOffset] = 77;
  equal(view.a[0], 77);
});

test('bytes at an odd place of memory are seen too, by a copy of the numbers', () => {
  const Rows = struct({ b: list(f64), x: f64 });
  const whole = encoded(Rows, { b: [1.25, 2.5], x: 3 });
  const memory = new Uint8Array(whole.bytes.length + 1);
  memory.set(whole.bytes, 1);
  const view = seen(Rows, { ...whole, bytes: memory.subarray(1) });
  deepEqual([view.b, view.x], [Float64Array.of(1.25, 2.5), 3]);
});

test('large rows and bytes are passed on from where they lie, small ones are gathered', () => {
  const Rows = struct({ b: list(f64), c: bytes });
  const b = new Float64Array(1000).fill(0.5);
  const c = new Uint8Array(5000).fill(7);
  const parts: Uint8Array[] = [];

  const sink = { append: (part: Uint8Array) => parts.push(part) };
  const steps = encodeSteps(Rows, { b, c }, new Emitter(sink, 64), []);
  while (!steps.next().done);
  deepEqual(parts.filter(({ buffer }) => buffer === b.buffer || buffer === c.buffer).length, 2);
  deepEqual(seen(Rows, encoded(Rows, { b, c })).b, b);
});

test('a list in many segments is found by index, in order, and by a view that moves', () => {
  const Item = struct({ n: u32, name: text });
  const Many = struct({ items: list(Item), names: list(text), nested: list(list(text)) });
  const count = 5000;
  const numbers = Array.from({ length: count }, (_, n) => n);
  const view = through(Many, {
    items: numbers.map((n) => ({ n, name: `name ${n}` })),
    names: numbers.map((n) => `${n}`),
    nested: numbers.map((n) => [`${n}`, 'x']),
  });
  equal(view.items.length, count);
  for (const index of [0, 1, 681, 682, 1023, 1024, 4095, 4096, count - 1]) {
    deepEqual(copyOf(view.items.at(index)), { n: index, name: `name ${index}` });
    equal(view.names.at(index), `${index}`);
    equal(view.nested.at(index)?.at(0), `${index}`);
  }
  deepEqual(
    [...view.items].map(({ n }) => n),
    numbers,
  );
  const moving = new Set<unknown>();
  let sum = 0;
  for (const item of view.items.scan()) {
    moving.add(item);
    sum += item.n;
  }
  deepEqual([sum, moving.size], [(count * (count - 1)) / 2, 1]);
  deepEqual([...view.names.scan()].length, count);
});

test('what is shared by refs is put once; equal text too', () => {
  const Pair = struct({ a: ref(Point), b: ref(Point), c: ref(text), d: ref(text) });
  const point = { x: 1, y: 2 };
  const once = encoded(Pair, { a: point, b: point, c: 'long text', d: 'long text' });
  const twice = encoded(Pair, { a: point, b: { ...point }, c: 'long text', d: 'other text' });
  ok(once.bytes.length < twice.bytes.length);
  deepEqual(copyOf(seen(Pair, once)), { a: point, b: point, c: 'long text', d: 'long text' });
});

test('a type may contain itself by a list or a ref', () => {
  const leaf = (name: string): Tree => ({ name, kids: [] });
  const value: Tree = { name: 'root', kids: [leaf('a'), { name: 'b', kids: [leaf('c')] }] };
  deepEqual(copyOf(through(Tree, value)), value);
});

test('values nest to the limit, and are refused beyond it by either side', () => {
  const nested = (levels: number): Tree => {
    let tree: Tree = { name: 'leaf', kids: [] };
    for (let level = 0; level < levels; level++) tree = { name: `${level}`, kids: [tree] };
    return tree;
  };
  deepEqual(copyOf(through(Tree, nested(499))), nested(499));
  throws(() => encoded(Tree, nested(500)), { name: 'TypeError', message: /nested no deeper than/ });
  interface Link {
    readonly next?: Link | undefined;
  }
  const Chain = struct({ next: optional(ref((): Type<Link, Link> => Chain as never)) });
  let chain: Link = {};
  for (let level = 0; level < 499; level++) chain = { next: chain };
  const whole = encoded(Chain, chain);
  deepEqual(copyOf(seen(Chain, whole)), chain);
  /* Records of 16 bytes, each of which refers to the one before: as many more as there is room. */
  const bytes = new Uint8Array(64 + 16 * 5000);
  const data = new DataView(bytes.buffer);
  for (let at = 80; at < bytes.length; at += 16) {
    data.setBigUint64(at, BigInt(at - 16), true);
    data.setUint8(at + 8, 1);
  }
  const long = { bytes, root: bytes.length - 16, starts: [] };
  throws(() => copyOf(seen(Chain, long)), { code: 'ERR_IMAGE_DAMAGED', message: /nest deeper/ });
});

test('0 and -0 are told apart behind refs, as they are elsewhere', () => {
  const Zeros = struct({ a: ref(f64), b: ref(f64), c: f64 });
  const { a, b, c } = through(Zeros, { a: 0, b: -0, c: -0 });
  ok(Object.is(a, 0) && Object.is(b, -0) && Object.is(c, -0));
});

test('values inside themselves are refused, by ref and by list', () => {
  interface Node {
    next: Node | undefined;
  }
  const Link = struct({ next: optional(ref((): Type<Node, Node> => Link as never)) });
  const loop: Node = { next: undefined };
  loop.next = loop;
  throws(() => encoded(Link, loop), { name: 'TypeError', message: /value\.next.*refer to itself/ });
  const kids: Tree[] = [];
  const tree: Tree = { name: 'x', kids };
  kids.push(tree);
  throws(() => encoded(Tree, tree), { name: 'TypeError', message: /nested no deeper than/ });
});

test('keys are ordered as their bytes, also beyond the basic plane; all are found', () => {
  const Words = struct({ m: map(text, u32), n: map(i64, text) });
  const keys = ['', 'a', 'aa', 'ä', '\uffff', '\ue000', '\u{1f600}', '\u{10ffff}', '\ud7ff', 'b'];
  const view = through(Words, {
    m: new Map(keys.map((key, index) => [key, index])),
    n: [
      [-5n, 'x'],
      [5n, 'y'],
      [0, 'z'],
    ],
  });
  const byBytes = [...keys].sort((one, other) =>
    Buffer.compare(Buffer.from(one), Buffer.from(other)),
  );
  deepEqual([...view.m.keys()], byBytes);
  for (const [index, key] of keys.entries()) equal(view.m.get(key), index);
  deepEqual(
    [...view.n],
    [
      [-5n, 'x'],
      [0n, 'z'],
      [5n, 'y'],
    ],
  );
  deepEqual([view.n.get(5 as never), view.n.get(5n), view.n.get(4n)], ['y', 'y', undefined]);
  equal(view.m.get(7 as never), undefined);
});

test('every getter asks whether the bytes are still there, and still what was written', () => {
  const whole = encoded(Shape, shape);
  let isAlive = true;
  const asked: number[] = [];
  const alive = (): void => {
    if (!isAlive) throw new Error('gone');
  };
  const verify = (offset: number): void => void asked.push(offset);
  const view = seen(Shape, whole, { alive, verify });
  const { corners, tags } = view;
  asked.length = 0;
  corners.at(0);
  tags.at(0);
  view.points;
  ok(asked.length >= 3);
  isAlive = false;
  for (const look of [() => view.name, () => corners.at(1), () => tags.at(1), () => view.child]) {
    throws(look, /gone/);
  }
});

test('whatever the bytes are, a view throws or shows something, and never looks outside', (t) => {
  const seed = seedOf(t);
  const whole = encoded(Shape, shape);
  const Both = struct({ shape: Shape, tree: Tree });
  const both = encoded(Both, { shape, tree: { name: 'r', kids: [{ name: 'k', kids: [] }] } });
  let damages = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(both.bytes.length - 65), fc.nat(255)), {
        minLength: 1,
        maxLength: 6,
      }),
      (changes) => {
        const memory = new Uint8Array(both.bytes.length + 64).fill(0xee);
        const damaged = memory.subarray(0, both.bytes.length);
        damaged.set(both.bytes);
        for (const [at, byte] of changes) damaged[64 + at] = byte;
        try {
          copyOf(seen(Both, { ...both, bytes: damaged }, open));
        } catch (error) {
          damages++;
          equal((error as { code?: unknown }).code, 'ERR_IMAGE_DAMAGED', String(error));
        }
      },
    ),
    { seed, numRuns: 3000 },
  );
  ok(damages > 100 && whole.root > 0);
});

/** Images: written and seen again by every way, whole or in part, older and newer, streamed. */
import { deepEqual, equal, match, notEqual, ok, rejects, throws } from 'node:assert/strict';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { LayoutMismatchError, mapFile, openFile, replaceFile } from 'holdfast';
import {
  bytes,
  encodeImage,
  f64,
  imageOf,
  list,
  map,
  type OpenImageOptions,
  openImage,
  openImageSync,
  optional,
  ref,
  struct,
  text,
  u8,
  u32,
  writeImage,
  writeImageSync,
} from 'holdfast/image';
import { joined, seedOf } from './file/bytes.js';
import { engineFor, engineNames } from './file/doors.js';
import { examples } from './struct/random.js';
import { Shape, shape } from './struct/schemas.js';
import { openDescriptors, scratch, scratchInMemory } from './support/scratch.js';

const Item = struct({ n: u32, name: text });
const Table = struct({
  items: list(Item),
  numbers: list(f64),
  names: map(text, u32),
  raw: bytes,
  title: text,
});
const count = 3000;
const table = {
  items: Array.from({ length: count }, (_, n) => ({ n, name: `item ${n}` })),
  numbers: new Float64Array(50_000).map((_, n) => n / 4),
  names: new Map(Array.from({ length: 500 }, (_, n) => [`key ${n}`, n])),
  raw: new Uint8Array(10_000).fill(7),
  title: 'ein Titel',
};

/* By each mode and face, on one engine. */
async function* opened(t: TestContext, path: string, options: OpenImageOptions = {}) {
  for (const mode of ['map', 'read'] as const) {
    const all = { ...options, mode };
    await using later = await openImage(path, Table, all);
    yield later;
    using now = openImageSync(path, Table, all);
    yield now;
    t.diagnostic(`${mode}: ${later.explain().method}`);
  }
}

for (const name of engineNames) {
  test(`an image is written and seen again on ${name}, by each mode and face`, async (t) => {
    const engine = engineFor(t, name);
    if (engine === undefined) return;
    const path = join(scratch(t), 'image');
    const before = openDescriptors().size;
    const report = await writeImage(path, Table, table, { engine });
    deepEqual([report.durability, report.isStreamed], ['full', false]);
    equal(report.bytes, statSync(path).size);
    equal(report.layoutHash, Table.layoutHash);
    for (const verify of ['header', 'lazy', 'full'] as const) {
      for await (const image of opened(t, path, { engine, verify })) {
        equal(image.title, 'ein Titel');
        equal(image.root.title, 'ein Titel');
        equal(image.items.at(2999)?.name, 'item 2999');
        deepEqual(image.numbers, table.numbers);
        equal(image.names.get('key 77'), 77);
        deepEqual(image.raw, table.raw);
        equal(image.byteLength, report.bytes);
        ok(image.intact);
        image.verifySync();
        const { isExact, layoutHash, verify: mode } = image.explain();
        deepEqual([isExact, layoutHash, mode], [true, Table.layoutHash, verify]);
      }
    }
    writeImageSync(`${path}2`, Table, table, { engine });
    deepEqual(readFileSync(`${path}2`), readFileSync(path));
    equal(openDescriptors().size, before);
  });
}

test('gathered, copied, into a map, streamed: the same bytes', async (t) => {
  const directory = scratch(t);
  const writer = encodeImage(Table, table);
  const whole = Buffer.from(writer.toBuffer());
  deepEqual(joined(writer.buffers()), whole);
  deepEqual(Buffer.from(writer.toBuffer(new Uint8Array(whole.length).fill(0xaa))), whole);
  await using file = await openFile(join(directory, 'gather'), {
    access: 'read-write',
    create: true,
  });
  await file.writeAt(writer.buffers(), 0);
  deepEqual(readFileSync(join(directory, 'gather')), whole);
  await writeImage(join(directory, 'durable'), Table, table);
  deepEqual(readFileSync(join(directory, 'durable')), whole);
  const path = join(directory, 'map');
  writeFileSync(path, Buffer.alloc(whole.length, 0x55));
  if ((await mapFile(path).then((one) => one.explain())).method === 'map') {
    await using target = await mapFile(path, { write: 'shared' });
    writer.toBuffer(target.bytes);
    await target.sync();
    deepEqual(readFileSync(path), whole);
  }
  async function* later() {
    yield* table.items;
  }
  function* now() {
    yield* table.items;
  }
  for (const items of [later(), now(), new Set(table.items)]) {
    await writeImage(path, Table, { ...table, items });
    deepEqual(readFileSync(path), whole);
  }
});

test('random values have equal bytes by each path, and are seen as they were put', (t) => {
  const seed = seedOf(t);
  fc.assert(
    fc.property(examples, ({ schema, value, plain }) => {
      const writer = encodeImage(schema, value);
      const whole = Buffer.from(writer.toBuffer());
      deepEqual(joined(writer.buffers()), whole);
      deepEqual(Buffer.from(encodeImage(schema, value).toBuffer()), whole);
      for (const verify of ['header', 'lazy', 'full'] as const) {
        deepEqual(imageOf(whole, schema, { verify }).copy(), plain);
      }
    }),
    { seed, numRuns: 300 },
  );
});

test('an image larger than what is held is streamed, and appears when it is whole', async (t) => {
  const path = join(scratch(t), 'image');
  /* With a gap behind each mark: blocks are used again, and hold what they held. */
  const Mark = struct({ n: u32, kind: u8 });
  const Big = struct({ rows: list(Item), more: list(f64), marks: list(Mark) });
  const marks = Array.from({ length: 300_000 }, (_, n) => ({ n, kind: n & 0xff }));
  const rows = 400_000;
  let shown = 0;
  async function* source() {
    for (let n = 0; n < rows; n++) {
      if (n % 1000 === 0 && n > 0) await undefined;
      yield { n, name: `the name of row ${n}` };
      shown++;
    }
  }
  const report = await writeImage(path, Big, { rows: source(), more: [1, 2, 3], marks });
  deepEqual([report.isStreamed, shown, report.bytes], [true, rows, statSync(path).size]);
  ok(report.bytes > 16_000_000);
  await using image = await openImage(path, Big, { verify: 'full' });
  deepEqual([image.rows.length, [...image.more]], [rows, [1, 2, 3]]);
  for (const n of [0, 1, 511, 512, 399_999]) equal(image.rows.at(n)?.name, `the name of row ${n}`);
  const whole = readFileSync(path);
  const atOnce = { rows: image.rows, more: [1, 2, 3], marks };
  ok(whole.equals(encodeImage(Big, atOnce).toBuffer()));
  async function* interrupted() {
    yield* (await openImage(path, Big)).rows;
    throw new Error('the source has dried up');
  }
  await rejects(writeImage(path, Big, { rows: interrupted(), more: [], marks: [] }), /dried up/);
  async function* misfit() {
    for (const row of image.rows) yield row;
    yield { n: -1, name: '' };
  }
  await rejects(writeImage(path, Big, { rows: misfit(), more: [], marks: [] }), {
    name: 'RangeError',
    message: /"value\.rows\[400000\]\.n".*got -1/,
  });
  deepEqual(readFileSync(path), whole);
});

test('a source is let go of when the image is not to be', async (t) => {
  const path = join(scratch(t), 'image');
  const Rows = struct({ rows: list(u8) });
  let isOver = false;
  async function* source() {
    try {
      yield 1;
      yield 1000;
      yield 2;
    } finally {
      isOver = true;
    }
  }
  await rejects(writeImage(path, Rows, { rows: source() }), /rows\[1\]/);
  ok(isOver);
  const early = source();
  throws(() => encodeImage(Rows, { rows: early }), { name: 'TypeError', message: /writeImage/ });
  throws(() => writeImageSync(path, Rows, { rows: source() }), TypeError);
});

test('sections are loaded one by one, each run of them by one read', async (t) => {
  const path = join(scratch(t), 'image');
  await writeImage(path, Table, table);
  for (const face of ['async', 'sync']) {
    const options = { mode: 'read', sections: ['title'] } as const;
    const image =
      face === 'sync' ? openImageSync(path, Table, options) : await openImage(path, Table, options);
    const loaded = () => image.sections.filter(({ isLoaded }) => isLoaded).map(({ name }) => name);
    deepEqual(loaded(), ['title', '']);
    equal(image.title, 'ein Titel');
    throws(() => image.numbers, { code: 'ERR_IMAGE_SECTION', kind: 'not-found' });
    if (face === 'sync') image.loadSync(['numbers', 'raw']);
    else await image.load(['numbers', 'raw']);
    deepEqual(loaded(), ['numbers', 'raw', 'title', '']);
    deepEqual(image.numbers, table.numbers);
    await rejects(image.load(['numbers', 'none']), { name: 'TypeError', message: /names\[1\]/ });
    await image.load();
    deepEqual(image.items.at(7)?.name, 'item 7');
    await image.close();
    await image.close();
  }
});

test('optional fields may come and go; any other layout is refused by field', async (t) => {
  const path = join(scratch(t), 'image');
  await writeImage(path, Table, table);
  const Newer = struct({
    items: list(struct({ n: u32, name: text, weight: optional(f64) })),
    numbers: list(f64),
    names: map(text, u32),
    raw: bytes,
    title: text,
    author: optional(text),
  });
  await using newer = await openImage(path, Newer, { verify: 'full' });
  deepEqual([newer.author, newer.items.at(9)?.weight], [undefined, undefined]);
  deepEqual([newer.title, newer.items.at(9)?.name], ['ein Titel', 'item 9']);
  equal(newer.explain().isExact, false);
  notEqual(newer.explain().layoutHash, Newer.layoutHash);
  const more = table.items.map((item) => ({ ...item, weight: 1.5 }));
  await writeImage(path, Newer, { ...table, items: more, author: 'x' });
  await using older = await openImage(path, Table, { verify: 'full' });
  deepEqual(older.items.at(9)?.name, 'item 9');
  ok(!('author' in older));
  const Other = struct({ ...TableFields, items: list(struct({ n: text, name: text })) });
  await rejects(openImage(path, Other), (error: unknown) => {
    ok(error instanceof LayoutMismatchError);
    deepEqual([error.field, error.image, error.schema], ['items[].n', 'u32', 'text']);
    deepEqual([error.code, error.kind, error.path], ['ERR_IMAGE_LAYOUT', 'wrong-type', path]);
    match(error.message, /"items\[\]\.n" is u32 in the image and text in the schema/);
    return true;
  });
});

const TableFields = {
  items: list(Item),
  numbers: list(f64),
  names: map(text, u32),
  raw: bytes,
  title: text,
};

test('an open image stays as it was when the file is replaced', async (t) => {
  const path = join(scratch(t), 'image');
  await writeImage(path, Table, table);
  for await (const image of opened(t, path)) {
    await writeImage(path, Table, { ...table, title: 'another', items: [] });
    equal(image.title, 'ein Titel');
    equal(image.items.length, count);
    ok(image.intact);
    await writeImage(path, Table, table);
  }
});

test('after the close nothing is seen any more', async (t) => {
  const path = join(scratch(t), 'image');
  await writeImage(path, Table, table);
  for (const mode of ['map', 'read'] as const) {
    const image = await openImage(path, Table, { mode });
    const { root, items } = image;
    const item = items.at(5);
    await image.close();
    equal(image.intact, false);
    const closed = { code: 'ERR_IMAGE_CLOSED', kind: 'closed' };
    throws(() => image.title, closed);
    throws(() => root.title, closed);
    throws(() => items.at(5), closed);
    throws(() => image.root, closed);
    throws(() => item?.name, closed);
    await rejects(image.load(), closed);
    await rejects(image.verify(), closed);
    equal(image.byteLength > 0, true);
  }
});

test('a file cut under its image does not end the process, and is noticed', async (t) => {
  const path = join(scratch(t), 'image');
  await writeImage(path, Table, table);
  const image = await openImage(path, Table);
  if (image.explain().method !== 'map') return t.skip(image.explain().reason);
  const { root } = image;
  truncateSync(path, 4096);
  equal(image.intact, false);
  throws(() => image.root, { kind: 'broken' });
  throws(() => {
    for (let looks = 0; looks < 1000; looks++) root.title;
  });
  await image.close();
});

test('writing into a view of a map changes neither the file nor ends the process', async (t) => {
  const path = join(scratch(t), 'image');
  await writeImage(path, Table, table);
  const whole = readFileSync(path);
  await using image = await openImage(path, Table);
  image.numbers[0] = 99;
  image.raw.fill(1);
  deepEqual(readFileSync(path), whole);
});

test('values shared across sections are found in either', async (t) => {
  const path = join(scratch(t), 'image');
  const Pair = struct({ a: ref(Item), b: list(ref(Item)), c: ref(text) });
  const item = { n: 1, name: 'one' };
  await writeImage(path, Pair, { a: item, b: [item, item], c: 'one' });
  await using image = await openImage(path, Pair, { mode: 'read', verify: 'full' });
  deepEqual(image.copy(), { a: item, b: [item, item], c: 'one' });
  await using part = await openImage(path, Pair, { mode: 'read', sections: ['b'] });
  throws(() => part.b.at(0)?.name, { code: 'ERR_IMAGE_SECTION' });
});

test('fields called as members of an image are at the root', () => {
  const Odd = struct({ root: u8, close: text, title: text });
  const image = imageOf(encodeImage(Odd, { root: 1, close: 'c', title: 't' }).toBuffer(), Odd);
  deepEqual([image.root.root, image.root.close, image.title], [1, 'c', 't']);
  equal(typeof image.close, 'function');
});

test('bad input is refused before anything happens', async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'image');
  const bad: readonly (readonly [() => Promise<unknown>, string, RegExp])[] = [
    [() => writeImage(path, {} as never, table as never), 'TypeError', /schema/],
    [() => writeImage(path, Table, undefined as never), 'TypeError', /"value"/],
    [() => writeImage(path, Table, table, 7 as never), 'TypeError', /options/],
    [() => writeImage(7 as never, Table, table), 'TypeError', /path/],
    [() => openImage(path, {} as never), 'TypeError', /schema/],
    [() => openImage(path, Table, 7 as never), 'TypeError', /options/],
    [() => openImage(path, Table, { mode: 'x' as never }), 'TypeError', /options\.mode/],
    [() => openImage(path, Table, { verify: 'x' as never }), 'TypeError', /options\.verify/],
    [() => openImage(path, Table, { sections: ['x'] }), 'TypeError', /options\.sections\[0\]/],
    [() => openImage(path, Table, { sections: 'x' as never }), 'TypeError', /options\.sections/],
    [async () => imageOf('x' as never, Table), 'TypeError', /bytes/],
    [async () => openImageSync(path, 7 as never), 'TypeError', /schema/],
  ];
  for (const [call, name, message] of bad) await rejects(call, { name, message });
  await rejects(openImage(path, Table), { code: 'ENOENT' });
  await rejects(openImage(directory, Table), { kind: 'wrong-type' });
  await replaceFile(path, '');
  await rejects(openImage(path, Table), { code: 'ERR_IMAGE_DAMAGED', path });
  await replaceFile(path, 'no image');
  await rejects(openImage(path, Table), { code: 'ERR_IMAGE_DAMAGED', path });
  const gone = AbortSignal.abort();
  await writeImage(path, Shape, shape);
  await rejects(openImage(path, Shape, { signal: gone }), { name: 'AbortError' });
  await rejects(writeImage(path, Shape, shape, { signal: gone }), { name: 'AbortError' });
});

test('images in memory file systems, many times, leave nothing behind', async (t) => {
  const path = join(scratchInMemory(t), 'image');
  await writeImage(path, Table, table);
  const before = openDescriptors().size;
  const maps = (): number => {
    if (!existsSync('/proc/self/maps')) return 0;
    return readFileSync('/proc/self/maps', 'utf8').split(path).length - 1;
  };
  for (let turn = 0; turn < 500; turn++) {
    using image = openImageSync(path, Table, { verify: 'header' });
    equal(image.items.at(turn)?.n, turn);
  }
  await Promise.all(
    Array.from({ length: 50 }, async (_, turn) => {
      await using image = await openImage(path, Table);
      equal(image.names.get(`key ${turn}`), turn);
    }),
  );
  deepEqual([openDescriptors().size, maps()], [before, 0]);
});

test('a copy has the types of a plain value, and needs the image no longer', () => {
  const image = imageOf(encodeImage(Table, table).toBuffer(), Table);
  const { items, names, numbers, title } = image.copy();
  image.closeSync();
  equal(items[7]?.name.length, 6);
  equal(names.get('key 3'), 3);
  equal((numbers[4] as number) + 1, 2);
  equal(title.toUpperCase(), 'EIN TITEL');
});

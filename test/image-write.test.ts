/** How images get to the disk: system calls, power cuts, full disks; and what stands there. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  bytes,
  copyOf,
  encodeImage,
  imageOf,
  list,
  openImage,
  openImageSync,
  struct,
  text,
  u32,
  writeImage,
  writeImageSync,
} from 'holdfast/image';
import { crashEverywhere, simulatedDisk } from 'holdfast/testing';
import { engineFor, engineNames } from './file/doors.js';
import { golden, goldens } from './image/goldens.js';
import { Shape, shape } from './struct/schemas.js';
import { outputOf } from './support/child.js';
import { scratch } from './support/scratch.js';

const Views = struct({ views: list(bytes) });

for (const name of engineNames) {
  test(`writeImage() on ${name} takes ceil(views / 1024) system calls`, async (t) => {
    const engine = engineFor(t, name);
    if (engine === undefined) return;
    const path = join(scratch(t), 'image');
    /* Of different memories, so that no two are joined; odd lengths need padding between. */
    const views = Array.from({ length: 3000 }, (_, n) => new Uint8Array(4097 + (n % 5)).fill(n));
    const pieces = encodeImage(Views, { views }).buffers();
    ok(pieces.length > 3000);
    const counted = () => {
      const { pwritev = 0, pwrite = 0 } = engine.stats().systemCalls;
      return pwritev + pwrite;
    };
    const before = counted();
    const report = await writeImage(path, Views, { views }, { engine });
    equal(counted() - before, Math.ceil(pieces.length / 1024));
    equal(report.isStreamed, false);
    writeImageSync(path, Views, { views }, { engine });
    equal(counted() - before, 2 * Math.ceil(pieces.length / 1024));
    using image = openImageSync(path, Views, { engine, mode: 'read' });
    deepEqual(image.views.at(2999), views[2999]);
  });
}

test('what is streamed takes a call for each megabyte or more', async (t) => {
  const engine = engineFor(t, 'pool');
  if (engine === undefined) return;
  const Rows = struct({ rows: list(struct({ n: u32, name: text })) });
  function* rows() {
    for (let n = 0; n < 300_000; n++) yield { n, name: `row ${n}` };
  }
  const before = engine.stats().systemCalls;
  const { bytes: length, isStreamed } = await writeImage(
    join(scratch(t), 'image'),
    Rows,
    { rows: rows() },
    { engine },
  );
  const after = engine.stats().systemCalls;
  const calls = (after.pwritev ?? 0) + (after.pwrite ?? 0);
  const used = calls - (before.pwritev ?? 0) - (before.pwrite ?? 0);
  ok(isStreamed && used <= Math.ceil(length / 2 ** 20) + 1, `${used} for ${length}`);
});

test('opening an image takes two reads, whatever its size; a section takes one more', async (t) => {
  const engine = engineFor(t, 'pool');
  if (engine === undefined) return;
  const path = join(scratch(t), 'image');
  const Two = struct({ large: bytes, small: text, other: bytes });
  await writeImage(path, Two, {
    large: new Uint8Array(3_000_000),
    small: 'x',
    other: new Uint8Array(300_000),
  });
  const reads = () => {
    const { pread = 0, preadv = 0 } = engine.stats().systemCalls;
    return pread + preadv;
  };
  const before = reads();
  await using image = await openImage(path, Two, { engine, mode: 'read', sections: ['small'] });
  /* The header, the end, and one run of sections: small and the root stand side by side. */
  equal(reads() - before, 3);
  equal(image.small, 'x');
  await image.load(['large', 'other']);
  equal(reads() - before, 4);
  await using mapped = await openImage(path, Two, { engine });
  equal(mapped.small, 'x');
  ok(reads() - before <= 5);
});

const old = encodeImage(Shape, { ...shape, name: 'the old one' }).toBuffer();

for (const streams of [false, true]) {
  const way = streams ? 'streamed' : 'in one';
  test(`writeImage() ${way} leaves the old image or the new, wherever the power goes`, async () => {
    async function* tags() {
      yield* shape.tags as string[];
    }
    const report = await crashEverywhere({
      seed: 11,
      prepare: (disk) => disk.put('/d/image', old),
      run: async (disk) => {
        const value = streams ? { ...shape, tags: tags() } : shape;
        await writeImage('/d/image', Shape, value, { engine: disk.engine });
      },
      check: (state, isDone) => {
        const content = state.read('/d/image');
        ok(content !== undefined);
        const image = imageOf(content, Shape, { verify: 'full' });
        if (isDone) equal(image.name, shape.name);
        else ok([shape.name, 'the old one'].includes(image.name));
      },
    });
    ok(report.stateCount > 20);
  });
}

test('a full disk leaves the old image', async () => {
  const disk = simulatedDisk(3);
  disk.put('/d/image', old);
  disk.refuseNth(1, 'ENOSPC', { operations: ['Write'] });
  const { engine } = disk;
  await rejects(writeImage('/d/image', Shape, shape, { engine }), {
    code: 'ENOSPC',
    durable: 'old',
  });
  await using image = await openImage('/d/image', Shape, { engine, verify: 'full' });
  equal(image.name, 'the old one');
  deepEqual(disk.list('/d'), ['image']);
});

test('where there are no maps the image is read, and says why', async () => {
  const disk = simulatedDisk(3);
  disk.put('/d/image', old);
  await using image = await openImage('/d/image', Shape, { engine: disk.engine });
  const { method, reason } = image.explain();
  equal(method, 'read');
  ok(reason.length > 10, reason);
  equal(image.name, 'the old one');
});

for (const { name, schema, value } of goldens) {
  test(`the image of ${name} is byte for byte what version 1 has always written`, () => {
    const bytesOf = encodeImage(schema as never, value as never).toBuffer();
    const path = golden(name);
    if (process.env.HOLDFAST_GOLDEN === 'write') writeFileSync(path, bytesOf);
    ok(existsSync(path), 'HOLDFAST_GOLDEN=write makes it, once');
    const kept = readFileSync(path);
    deepEqual(Buffer.from(bytesOf), kept);
    const image = imageOf(kept, schema as never, { verify: 'full' });
    deepEqual(image.copy(), copyOf(imageOf(bytesOf, schema as never).root));
  });
}

const STREAM = `
  import { readFileSync, writeFileSync } from 'node:fs';
  import { list, struct, text, u32, writeImage } from 'holdfast/image';
  const Rows = struct({ rows: list(struct({ n: u32, name: text })) });
  function* rows(count) {
    for (let n = 0; n < count; n++) yield { n, name: 'the name of row ' + n };
  }
  const peak = () => {
    const kilobytes = /VmHWM:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1];
    writeFileSync('/proc/self/clear_refs', '5');
    return Number(kilobytes) / 1000;
  };
  const [path] = process.argv.slice(1);
  await writeImage(path, Rows, { rows: rows(300_000) }, { durable: false });
  peak();
  const before = peak();
  const { bytes } = await writeImage(path, Rows, { rows: rows(3_000_000) }, { durable: false });
  console.log(JSON.stringify({ megabytes: bytes / 1e6, more: peak() - before }));
`;

test('an image of 140 MB is streamed within half of that', async (t) => {
  if (!existsSync('/proc/self/clear_refs')) return t.skip('no peaks here');
  const output = await outputOf({ source: STREAM, args: [join(scratch(t), 'image')] });
  const { megabytes, more } = JSON.parse(output) as { megabytes: number; more: number };
  t.diagnostic(output.trim());
  ok(megabytes > 130 && more < 70, output);
});

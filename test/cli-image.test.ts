/** Images that nobody has a schema for: `readImageSchema`, and `holdfast image` in a shell. */
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  enumeration,
  f64,
  list,
  map,
  openImage,
  optional,
  readImageSchema,
  ref,
  struct,
  type Type,
  text,
  u32,
  writeImage,
} from 'holdfast/image';
import { projectRoot, scratch } from './support/scratch.js';

const program = join(projectRoot, 'dist', 'cli.js');

function image(...words: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'image', ...words], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { code: status, out: stdout, err: stderr };
}

interface Node {
  readonly name: string;
  readonly next: Node | undefined;
}

const node = struct({ name: text, next: optional(ref((): Type<Node, Node> => node as never)) });
const schema = struct({
  count: u32,
  colour: enumeration('red', 'green'),
  points: list(f64),
  names: map(text, u32),
  first: optional(node),
});

async function written(path: string): Promise<void> {
  await writeImage(path, schema, {
    count: 7,
    colour: 'green',
    points: Float64Array.from({ length: 20_000 }, (_, index) => index),
    names: new Map([['a', 1]]),
    first: { name: 'x', next: { name: 'y', next: undefined } },
  });
}

test('an image is opened by the schema it carries', async (t) => {
  const path = join(scratch(t), 'an.image');
  await written(path);
  const own = await readImageSchema(path);
  equal(own.layoutHash, schema.layoutHash);
  equal(own.description, schema.description);
  const opened = await openImage(path, own);
  const { count, colour, points } = opened.root as unknown as {
    count: number;
    colour: string;
    points: Float64Array;
  };
  deepEqual([count, colour, points[19_999]], [7, 'green', 19_999]);
  await opened.verify();
  await opened.close();
  await rejects(readImageSchema(7 as unknown as string), TypeError);
  await rejects(readImageSchema(path, 7 as unknown as object), TypeError);
});

test('image inspect tells fields, types and sizes', async (t) => {
  const path = join(scratch(t), 'an.image');
  await written(path);
  const { code, out } = image('inspect', path);
  equal(code, 0);
  match(out, /^.*an\.image: 15\d\.\d KiB, layout [0-9a-f]{16}\n/);
  match(out, /^ +points +156\.\d KiB +list of f64$/m);
  match(out, /^ +count +in the root +u32$/m);
  match(out, /^ +colour +in the root +enumeration of green, red$/m);
  match(out, /^ +names .* map of text to u32$/m);
  match(out, /^ +first .* optional of struct \{ /m);
  const told = JSON.parse(image('inspect', path, '--json').out);
  equal(told.layoutHash, schema.layoutHash);
  equal(told.fields.find(({ name }: { name: string }) => name === 'points').length, 160_000);
});

test('image verify ends with 3 and the place where a byte is another one', async (t) => {
  const path = join(scratch(t), 'an.image');
  await written(path);
  match(image('verify', path).out, /: intact, /);
  equal(JSON.parse(image('verify', path, '--json').out).isIntact, true);
  const bytes = readFileSync(path);
  bytes[80_000] = (bytes[80_000] as number) ^ 1;
  writeFileSync(path, bytes);
  const damaged = image('verify', path);
  equal(damaged.code, 3);
  match(damaged.out, /: DAMAGED\n +Cannot /);
  const told = JSON.parse(image('verify', path, '--json').out);
  equal(told.isIntact, false);
  equal(typeof told.offset, 'number');
  truncateSync(path, 1000);
  equal(image('verify', path).code, 3);
  equal(image('inspect', path).code, 1);
});

test('what is no image, or not there, is told', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'text'), 'no image');
  for (const [words, code, says] of [
    [['inspect', join(directory, 'absent')], 1, /no such file/],
    [['verify', join(directory, 'absent')], 1, /no such file/],
    [['inspect', join(directory, 'text')], 1, /^holdfast image: Cannot /],
    [['inspect', directory], 1, /directory/],
    [['verfy', 'x'], 2, /did you mean "verify"/],
  ] as const) {
    const ended = image(...words);
    equal(ended.code, code, `${words}: ${ended.err}`);
    match(ended.err, says);
  }
  deepEqual(readdirSync(directory), ['text']);
});

/**
 * What the systems other than Linux translate, tried where the answers are known: layouts beside
 * those the kernel fills, words beside Linux' own, and entries of directories as macOS tells them.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decodeEntries, decodeStat, entryKind, type FileKind } from '#holdfast/platform.js';
import { hasTool, runChild } from './support/child.js';
import { compiledProgram } from './support/compile.js';
import { projectRoot, scratch } from './support/scratch.js';

const isLinux = process.platform === 'linux';

/** The program, or a skip that is heard. */
function programFor(t: TestContext): string | undefined {
  if (isLinux && hasTool('cc')) {
    const sources = ['native/layouts.c', 'native/bulk.c', 'native/words.c'];
    return compiledProgram('native/words', { headers: ['native'], sources });
  }
  t.diagnostic('NOT TESTED: no C compiler on Linux, which knows the answers');
  t.skip('no C compiler on Linux');
  return undefined;
}

function outputOf(program: string, args: readonly string[], input = Buffer.alloc(0)): Buffer {
  const options = { input, timeout: 60_000, maxBuffer: 2 ** 26 };
  const { status, signal, stdout, stderr } = spawnSync(program, args, options);
  equal(signal ?? status, 0, `${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

test('layout_stat() writes what statx(2) writes', (t) => {
  const program = programFor(t);
  if (program === undefined) return;
  const folder = scratch(t);
  const file = join(folder, 'file');
  writeFileSync(file, 'x'.repeat(5000), { mode: 0o640 });
  truncateSync(file, 2 ** 33 + 5);
  linkSync(file, join(folder, 'hard'));
  symlinkSync('file', join(folder, 'soft'));
  mkdirSync(join(folder, 'directory'));
  const places = [file, join(folder, 'soft'), join(folder, 'directory'), '/dev/null', '/'];
  for (const path of places) {
    const both = outputOf(program, ['stat', path]);
    equal(both.length, 512);
    const own = decodeStat(both.subarray(0, 256));
    const kernel = decodeStat(both.subarray(256));
    deepEqual(own, { ...kernel, mount: undefined, direct: undefined }, path);
    ok(kernel.createdMs !== undefined || path === '/dev/null', 'birth times are compared');
  }
});

interface Told {
  readonly name: string;
  readonly kind: FileKind;
  /** As enum vtype of macOS; left out: not returned. */
  readonly type?: number;
  readonly inode?: bigint;
  readonly error?: number;
}

/** One entry as getattrlistbulk(2) packs it: attributes by the order of their bits, then names. */
function bulkEntry({ name, type, inode, error }: Told): Buffer {
  const returned = [0x80000000, 0x00000001];
  const fields: Buffer[] = [];
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    return bytes;
  };
  const text = Buffer.from(`${name}\0`, 'latin1');
  const tail: Buffer[] = [];
  if (error !== undefined) returned.push(0x20000000);
  if (type !== undefined) {
    returned.push(0x8);
    tail.push(u32(type));
  }
  if (inode !== undefined) {
    returned.push(0x02000000);
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(inode);
    tail.push(bytes);
  }
  const set = Buffer.alloc(20);
  set.writeUInt32LE(returned.reduce((all, bit) => (all | bit) >>> 0, 0));
  const after = Buffer.concat(tail);
  const reference = Buffer.concat([u32(8 + after.length), u32(text.length)]);
  if (error !== undefined) fields.push(u32(error));
  const body = Buffer.concat([set, ...fields, reference, after, text]);
  const length = Math.ceil((4 + body.length) / 8) * 8;
  return Buffer.concat([u32(length), body, Buffer.alloc(length - 4 - body.length)]);
}

interface Case {
  readonly bytes: Buffer;
  readonly count: number;
}

function turned(program: string, cases: readonly Case[]): { result: number; bytes: Buffer }[] {
  const input = cases.map(({ bytes, count }) => {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(bytes.length);
    head.writeInt32LE(count, 4);
    return Buffer.concat([head, bytes]);
  });
  const output = outputOf(program, ['entries'], Buffer.concat(input));
  let at = 0;
  return cases.map(() => {
    const result = Number(output.readBigInt64LE(at));
    const length = Math.max(0, result);
    const bytes = output.subarray(at + 8, at + 8 + length);
    at += 8 + length;
    return { result, bytes };
  });
}

const listed: readonly Told[] = [
  { name: 'a', kind: 'file', type: 1, inode: 5n },
  { name: 'a longer name, of some bytes', kind: 'directory', type: 2, inode: 2n ** 60n },
  { name: 'block', kind: 'block-device', type: 3, inode: 1n },
  { name: 'character', kind: 'character-device', type: 4, inode: 1n },
  { name: 'link', kind: 'symlink', type: 5, inode: 7n },
  { name: 'socket', kind: 'socket', type: 6, inode: 8n },
  { name: 'fifo', kind: 'fifo', type: 7, inode: 9n },
  { name: 'z'.repeat(255), kind: 'file', type: 1, inode: 10n },
  { name: 'strange', kind: 'unknown', type: 200, inode: 11n },
  { name: 'without an inode', kind: 'file', type: 1 },
  { name: 'not to be looked at', kind: 'unknown', error: 13 },
  { name: '\xff\xfe', kind: 'file', type: 1, inode: 12n },
];

test('bulk_to_entries() makes of what macOS tells what Linux tells', (t) => {
  const program = programFor(t);
  if (program === undefined) return;
  const whole = { bytes: Buffer.concat(listed.map(bulkEntry)), count: listed.length };
  const [all, none] = turned(program, [whole, { bytes: Buffer.alloc(0), count: 0 }]);
  const { names, kinds } = decodeEntries(all?.bytes as Buffer, all?.result as number);
  deepEqual(
    names.map((name, index) => ({ name, kind: entryKind(kinds[index] as number) })),
    listed.map(({ name, kind }) => ({ name, kind })),
  );
  equal(none?.result, 0);
});

test('bulk_to_entries() trusts no length it reads', (t) => {
  const program = programFor(t);
  if (program === undefined) return;
  const bytes = Buffer.concat(listed.slice(0, 3).map(bulkEntry));
  const cases: Case[] = [];
  for (let length = 0; length < bytes.length; length++) {
    cases.push({ bytes: bytes.subarray(0, length), count: 3 });
  }
  for (let at = 0; at < bytes.length; at++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const bent = Buffer.from(bytes);
      bent[at] = value;
      cases.push({ bytes: bent, count: 3 });
    }
  }
  const results = turned(program, cases).map(({ result }) => result);
  ok(
    results.slice(0, bytes.length).every((result) => result === -5),
    'what is cut is told',
  );
  ok(results.some((result) => result > 0));
});

test('direct I/O on macOS is one bit, to C and to TypeScript', async () => {
  const source = `
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    const { OpenFlag } = await import('#holdfast/platform.js');
    console.log(OpenFlag.Direct);
  `;
  const { code, stdout, stderr } = await runChild({ source });
  equal(code, 0, stderr);
  const text = readFileSync(join(projectRoot, 'native/darwin.c'), 'utf8');
  equal(Number(stdout), Number(/#define FLAG_DIRECT (\w+)/.exec(text)?.[1]));
});

test('each word of Linux is that word on Linux, and others are none', (t) => {
  const program = programFor(t);
  if (program === undefined) return;
  const known: Readonly<Record<string, readonly number[]>> = {
    whence: [0, 1, 2, 3, 4],
    lock: [0, 1, 2],
    told: [0, 1, 2],
    at: [0x100, 0x200, 0x300, 0x400],
    rename: [0, 1, 2, 3],
    directory: [-100, 7],
  };
  const within = new Map<number, number>();
  for (const line of outputOf(program, ['words']).toString().trim().split('\n')) {
    const [name = '', number, answer] = line.split(' ');
    if (name === 'within') within.set(Number(number), Number(answer));
    else {
      const expected = known[name]?.includes(Number(number)) ? Number(number) : -1;
      equal(Number(answer), expected, line);
    }
  }
  deepEqual(
    [...within],
    [
      [0, 0],
      [9, 0],
      [10, 2],
      [14, 2],
      [15, 3],
      [114, 3],
      [115, 4],
      [1000, 4],
    ],
  );
});

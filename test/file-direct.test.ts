/** Direct I/O: in force or told, misalignment named before anything happens, tails exact. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, openSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AlignmentError,
  alignedBuffer,
  type Buffers,
  type OpenFile,
  openFile,
  openFileSync,
} from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { Code, errnoOf, OpenFlag } from '#holdfast/platform.js';
import { callBy, toldBy } from './contract/call.js';
import { type Ground, onMounts } from './contract/mounts.js';
import { patterned } from './file/bytes.js';
import { type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import { refusalOf } from './file/told.js';
import { hasTool, toolEnvironment } from './support/child.js';
import { mountFor } from './support/mounts.js';
import { scratch } from './support/scratch.js';
import { traceFor } from './support/strace.js';

/** A file for direct I/O and the length it deals in. */
async function directFile({ doors, directory }: Ground, name = 'file') {
  const file = await doors.create(join(directory, name), { direct: true });
  ok(file.direct, JSON.stringify(file.explain().fallbacks));
  return { file, block: file.alignment.length };
}

/** Bytes that tell their place, where direct I/O takes them from. */
function aligned(length: number, start = 0): Uint8Array {
  const bytes = alignedBuffer(length, 4096);
  bytes.set(patterned(length, start));
  return bytes;
}

function isDirect(file: OpenFile): boolean {
  const info = readFileSync(`/proc/self/fdinfo/${file.fd}`, 'latin1');
  const flags = Number.parseInt(/^flags:\s+(\d+)/m.exec(info)?.[1] as string, 8);
  return (flags & OpenFlag.Direct) !== 0;
}

async function misalignment(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    ok(error instanceof AlignmentError, String(error));
    ok(error instanceof RangeError && error.code === 'ERR_OUT_OF_RANGE');
    match(error.message, new RegExp(`${error.past} bytes past`));
    return [error.which, error.past, /buffers(\[\d+\])?/.exec(error.message)?.[0]];
  }
  throw new Error('It was not refused');
}

onMounts('openFile() with direct goes round the page cache', 'pool', async (ground) => {
  for (const direct of [true, 'strict'] as const) {
    const path = join(ground.directory, `file-${direct}`);
    writeFileSync(path, 'of before');
    const file = await ground.doors.create(path, { direct });
    equal(statSync(path).size, 0);
    const { memory, offset, length } = file.alignment;
    for (const bytes of [memory, offset, length]) {
      ok(Number.isInteger(Math.log2(bytes)) && bytes <= 65536, `${bytes} is a power of two`);
    }
    ok(file.direct && isDirect(file));
    const { direct: isTold, alignment, fallbacks } = file.explain();
    deepEqual([isTold, alignment], [true, file.alignment]);
    deepEqual(fallbacks, []);
    const bytes = aligned(4 * 4096);
    equal(await ground.doors.writeAt(file, bytes, 4096), bytes.length);
    const back = alignedBuffer(bytes.length, 4096);
    equal(await ground.doors.readAt(file, back, 4096), bytes.length);
    deepEqual(back, bytes);
    ok(readFileSync(path).subarray(4096).equals(bytes));
  }
  const plain = await ground.doors.create(join(ground.directory, 'plain'));
  deepEqual([plain.direct, isDirect(plain)], [false, false]);
});

onMounts('the misaligned is named with its amount, nothing is written', 'pool', async (ground) => {
  const { doors } = ground;
  const { file, block } = await directFile(ground);
  await doors.writeAt(file, aligned(4 * block), 0);
  const before = file.stats().systemCallCount;
  const off = (bytes: number) => aligned(3 * block + bytes).subarray(bytes);
  const write = (buffers: Buffers, offset: number) =>
    misalignment(() => doors.writeAt(file, buffers, offset));
  const read = (buffers: Buffers, offset: number) =>
    misalignment(() => doors.readAt(file, buffers, offset));
  const pair = [aligned(block), aligned(block)];
  const shorter = [aligned(block - 1), aligned(block)];
  const aside = [aligned(block), off(1).subarray(0, block)];
  for (const check of [write, read]) {
    deepEqual(await check(pair, 1), ['offset', 1, undefined]);
    deepEqual(await check(pair, 2 * block - 1), ['offset', block - 1, undefined]);
    deepEqual(await check(off(1), 0), ['memory', 1, 'buffers']);
    deepEqual(await check(aside, 0), ['memory', 1, 'buffers[1]']);
    deepEqual(await check(shorter, 0), ['length', block - 1, 'buffers[0]']);
  }
  deepEqual(await read(aligned(block + 5), 0), ['length', 5, 'buffers']);
  deepEqual(await read([aligned(block), aligned(7)], 0), ['length', 7, 'buffers[1]']);
  equal(file.stats().systemCallCount, before, 'nothing reached the system');
  ok(readFileSync(file.path as string).equals(patterned(4 * block)));
});

onMounts('writeSomeAt() and readSomeAt() take whole blocks only', 'pool', async (ground) => {
  const { doors } = ground;
  const { file, block } = await directFile(ground);
  const some = (bytes: number) => () => doors.writeSomeAt(file, aligned(bytes), 0);
  deepEqual(await misalignment(some(block + 3)), ['length', 3, 'buffers']);
  equal(statSync(file.path as string).size, 0);
  equal(await doors.writeSomeAt(file, aligned(block), 0), block);
  const read = () => doors.readSomeAt(file, aligned(1), 0);
  deepEqual(await misalignment(read), ['length', 1, 'buffers']);
});

/* Every length for blocks of 512; for larger ones those about the blocks, and some between. */
function tailLengths(block: number): number[] {
  const all = Array.from({ length: 2 * block + 1 }, (_, index) => index + 1);
  if (block <= 512) return all;
  return all.filter((n) => n % block < 3 || n % block > block - 3 || n % 97 === 0);
}

onMounts('a tail at the end of the file is exact in size and content', 'pool', async (ground) => {
  const { doors } = ground;
  const { file, block } = await directFile(ground);
  const path = file.path as string;
  for (const start of [0, block]) {
    for (const length of tailLengths(block)) {
      await doors.truncate(file, start);
      equal(await doors.writeAt(file, aligned(length, start + length), start), length);
      const written = readFileSync(path);
      equal(written.length, start + length);
      ok(written.subarray(start).equals(patterned(length, start + length)), `tail of ${length}`);
    }
  }
});

onMounts('a tail of many views is exact too, and may overwrite one', 'pool', async (ground) => {
  const { doors } = ground;
  const { file, block } = await directFile(ground);
  const path = file.path as string;
  await doors.writeAt(file, [aligned(2 * block), aligned(block), aligned(13)], 0);
  equal(statSync(path).size, 3 * block + 13);
  await doors.writeAt(file, [aligned(block, 5), aligned(13, 9)], 2 * block);
  const parts = [patterned(2 * block), patterned(block, 5), patterned(13, 9)];
  ok(readFileSync(path).equals(Buffer.concat(parts)), 'as long as the one before');
  await doors.writeAt(file, aligned(200, 3), 3 * block);
  equal(statSync(path).size, 3 * block + 200, 'longer');
});

onMounts('a tail in the middle is refused, nothing is overwritten', 'pool', async (ground) => {
  const { doors } = ground;
  const { file, block } = await directFile(ground);
  const path = file.path as string;
  for (const size of [2 * block, block + 2, 2 * block + 1]) {
    writeFileSync(path, patterned(size));
    const write = () => doors.writeAt(file, aligned(block + 1, 99), 0);
    deepEqual(await misalignment(write), ['length', 1, 'buffers']);
    ok(readFileSync(path).equals(patterned(size)));
  }
});

/*
 * The cut after a padded tail took away what a write beside it had put behind the tail, although
 * that write had been acknowledged. A tail is alone now, or told that it is not.
 */
onMounts('a tail does not cut off what is written beside it', 'pool', async (ground) => {
  if (ground.doors.face === 'sync') return;
  for (const [first, second] of [
    [5, 4096],
    [4096, 5],
  ] as const) {
    let beside: Promise<unknown> | undefined;
    let isBegun = false;
    const doors = ground.doors.judged(({ code }) => {
      if (code !== Code.Write || isBegun) return undefined;
      isBegun = true;
      beside = Promise.all([
        toldBy(() => file.writeAt(aligned(second), 65536)),
        toldBy(() => file.writeSomeAt(aligned(4096), 131072)),
        toldBy(() => file.writeAtSync(aligned(second), 0)),
      ]);
      return undefined;
    });
    const { file } = await directFile({ ...ground, doors }, `file-${first}`);
    equal(await file.writeAt(aligned(first), 0), first);
    const busy = 'EBUSY busy after 0';
    const some = first === 5 ? busy : 4096;
    deepEqual(await beside, [busy, some, busy]);
    ok(
      readFileSync(file.path as string)
        .subarray(0, first)
        .equals(patterned(first)),
    );
    equal(await file.writeAt(aligned(second), 262144), second, 'it goes on');
    equal(await file.writeAt(aligned(4096), 0), 4096);
  }
});

/* The block with the tail was a write of its own, and a refusal of it told of 0 bytes. */
onMounts('a tail that is refused half way tells what reached the file', 'pool', async (ground) => {
  let writes = 0;
  const doors = ground.doors.judged(({ code }) => {
    if (code !== Code.Write) return undefined;
    return ++writes === 1 ? { moves: 8192 } : { answers: errnoOf('ENOSPC') };
  });
  const { file } = await directFile({ ...ground, doors });
  const write = () => doors.writeAt(file, [aligned(4096), aligned(4096 + 5, 4096)], 0);
  equal(await toldBy(write), 'ENOSPC no-space after 8192');
  ok(readFileSync(file.path as string).equals(patterned(8192)));
});

/* Only the cut is left then, and without it the padding would stay. */
onMounts('an abort does not leave the padding of a tail behind', 'pool', async (ground) => {
  if (ground.doors.face === 'sync') return;
  const controller = new AbortController();
  const doors = ground.doors.judged(({ code }) => {
    if (code === Code.Write) controller.abort();
    return undefined;
  });
  const { file } = await directFile({ ...ground, doors });
  await toldBy(() => file.writeAt(aligned(5), 0, { signal: controller.signal }));
  ok(readFileSync(file.path as string).equals(patterned(5)));
});

onMounts('readAll() reads direct files of any length', 'pool', async (ground) => {
  const { doors } = ground;
  const { file, block } = await directFile(ground);
  for (const size of [0, 1, block - 1, block, block + 1, 3 * block + 7, 300_000]) {
    writeFileSync(file.path as string, patterned(size));
    deepEqual(await doors.readAll(file), patterned(size));
  }
});

onMounts('readAt() of a direct file ends where the file does', 'pool', async (ground) => {
  const { doors } = ground;
  const { file, block } = await directFile(ground);
  writeFileSync(file.path as string, patterned(block + 100));
  const target = alignedBuffer(4 * block, 4096);
  equal(await doors.readAt(file, target, 0), block + 100);
  equal(file.stats().systemCalls.pread, 1, 'no call goes on in the middle of a block');
  deepEqual(target.slice(0, block + 100), patterned(block + 100));
  equal(await doors.readAt(file, [target.subarray(0, block), target.subarray(block)], block), 100);
  equal(await doors.readAt(file, target, 16 * block), 0);
});

onMounts('append() to a direct file goes on at whole blocks', 'pool', async (ground) => {
  const { doors, directory } = ground;
  for (const access of ['append', 'read-write'] as const) {
    const path = join(directory, access);
    const file = await doors.create(path, { direct: true, access });
    const block = file.alignment.length;
    equal(await doors.append(file, aligned(2 * block)), 0);
    equal(await doors.append(file, [aligned(block, 1), aligned(6, 2)]), 2 * block);
    const parts = [patterned(2 * block), patterned(block, 1), patterned(6, 2)];
    ok(readFileSync(path).equals(Buffer.concat(parts)));
    const append = () => doors.append(file, aligned(block));
    deepEqual(await misalignment(append), ['offset', 6, undefined]);
    ok(readFileSync(path).equals(Buffer.concat(parts)));
  }
});

onMounts('read() and write() go through a direct file block by block', 'pool', async (ground) => {
  const { face } = ground.doors;
  const { file, block } = await directFile(ground);
  for (const place of [0, 1]) await callBy(face, file, 'write', aligned(block, place * block));
  await callBy(face, file, 'write', aligned(9, 2 * block));
  equal(file.position, 2 * block + 9);
  await callBy(face, file, 'seek', 0);
  const target = alignedBuffer(3 * block, 4096);
  equal(await callBy(face, file, 'read', target), 2 * block + 9);
  deepEqual(target.slice(0, file.position), patterned(2 * block + 9));
});

async function fallsBack(doors: Doors, path: string, reason: RegExp): Promise<void> {
  const file = await doors.open(path, { direct: true });
  equal(file.direct, false);
  deepEqual(file.alignment, { memory: 1, offset: 1, length: 1 });
  const { direct, fallbacks } = file.explain();
  equal(direct, false);
  match(fallbacks.find(({ what }) => what === 'direct')?.reason ?? '', reason);
  equal(await doors.readAt(file, new Uint8Array(3), 1), 3, 'it reads all the same');
  const error = await refusalOf(() => doors.open(path, { direct: 'strict' }));
  deepEqual([error.code, error.kind, error.path], ['ENOTSUP', 'unsupported', path]);
}

onAllDoors('direct is refused by /proc: told, and strict rejects', async (_, doors) => {
  await fallsBack(doors, '/proc/self/status', /EINVAL|needs|addon|node:fs/);
});

onAllDoors('without the capability direct falls back, and strict rejects', async (t, doors) => {
  const capabilities = { ...doors.engine.capabilities, 'status-flags': 'it is not here' };
  const without = doors.judged(() => undefined);
  Object.assign(without.engine, { capabilities });
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(100));
  await fallsBack(without, path, /it is not here/);
});

/* open(2) checks O_DIRECT before it cuts; a refused open of ours had cut the file already. */
onAllDoors('a refused strict open leaves the file as it was', async (t, doors) => {
  const capabilities = { ...doors.engine.capabilities, 'status-flags': 'it is not here' };
  const without = doors.judged(() => undefined);
  Object.assign(without.engine, { capabilities });
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'content');
  const choices = { access: 'write', direct: 'strict', create: true } as const;
  await refusalOf(() => without.open(path, { ...choices, truncate: true }));
  equal(readFileSync(path, 'utf8'), 'content');
  await refusalOf(() => without.open(`${path}-new`, choices));
  equal(existsSync(`${path}-new`), false);
});

/* ext4 answers F_SETFL with success for a file with its data in the journal, and buffers it. */
test('a file with its data in the journal is not said to be direct', async (t) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const options = { env: toolEnvironment, encoding: 'utf8' } as const;
  const words = ['--noheadings', '--output', 'SOURCE', mount.path];
  const device = spawnSync('findmnt', words, options).stdout.trim();
  const tuned = spawnSync('tune2fs', ['-o', 'journal_data', device], options);
  if (tuned.status !== 0) return t.skip(`tune2fs: ${tuned.stderr}`);
  mount.reopen();
  const path = join(mount.path, 'file');
  writeFileSync(path, 'content');
  const engine = engineNamed('pool');
  const file = openFileSync(path, { direct: true, engine });
  const told = [file.direct, isDirect(file), file.explain().fallbacks[0]?.reason];
  file.closeSync();
  deepEqual(told, [false, false, 'the file system refuses it for this file']);
  const strict = { access: 'write', direct: 'strict', truncate: true, engine } as const;
  equal((await refusalOf(() => openFile(path, strict))).code, 'ENOTSUP');
  equal(readFileSync(path, 'utf8'), 'content');
});

onBothEngines('the options of direct are checked', async (t, { engine }) => {
  const path = join(scratch(t), 'file');
  for (const direct of ['yes', 1, null] as unknown as true[]) {
    const told = await toldBy(() => openFileSync(path, { direct, engine }));
    equal(told, 'TypeError ERR_INVALID_ARG_VALUE');
  }
});

const TRACED = `
  import { alignedBuffer, openFile } from 'holdfast';
  import { engineNamed } from '#holdfast/engine.js';
  const [path] = process.argv.slice(1);
  const options = { access: 'read-write', create: true, engine: engineNamed('pool') };
  const file = await openFile(path, { ...options, direct: true });
  await file.writeAt(alignedBuffer(8192).fill(1), 0);
  await file.writeAt(alignedBuffer(5).fill(2), 8192);
  await file.close();
`;

test('direct sets O_DIRECT, and a tail is one padded write and one cut', async (t) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const path = join(mount.path, 'file');
  const calls = ['fcntl', 'pwrite64', 'pwritev', 'ftruncate'];
  const trace = await traceFor(t, { source: TRACED, args: [path], calls });
  if (trace === undefined) return;
  equal(trace.code, 0, trace.stderr);
  const made = trace.calls.filter(({ args }) => args.includes(path));
  const set = made.find(({ name }) => name === 'fcntl');
  match(set?.args ?? '', /F_SETFL, O_RDONLY\|O_DIRECT|F_SETFL, O_DIRECT/);
  const rest = made
    .filter(({ name }) => name !== 'fcntl')
    .map(({ name, result }) => [name, result]);
  const block = statSync(path).size === 8197 ? (rest[1]?.[1] as number) : 0;
  deepEqual(rest, [
    ['pwrite64', 8192],
    ['pwrite64', block],
    ['ftruncate', 0],
  ]);
  equal(block % 512, 0);
});

test('what direct I/O writes is not in the page cache', async (t) => {
  if (!hasTool('fincore')) return t.skip('fincore (util-linux) is not installed');
  const mount = mountFor(t, 'xfs');
  if (mount === undefined) return;
  const cached = (path: string): string => {
    const words = ['--noheadings', '--raw', '--output', 'PAGES', path];
    return spawnSync('fincore', words, { env: toolEnvironment, encoding: 'utf8' }).stdout.trim();
  };
  for (const [direct, pages] of [
    [true, '0'],
    [false, '16'],
  ] as const) {
    const path = join(mount.path, `file-${direct}`);
    const options = { access: 'write', create: true, engine: engineNamed('pool') } as const;
    const file = openFileSync(path, { ...options, direct });
    file.writeAtSync(alignedBuffer(65536).fill(1), 0);
    file.closeSync();
    equal(cached(path), pages);
  }
});

onMounts('fromFd() of a direct descriptor keeps to its alignment', 'pool', async (ground) => {
  const { OpenFile } = await import('holdfast');
  const path = join(ground.directory, 'file');
  const fd = openSync(path, OpenFlag.ReadWrite | OpenFlag.Create | OpenFlag.Direct, 0o600);
  truncateSync(path, 0);
  const file = OpenFile.fromFd(fd, { ownership: 'take', engine: ground.doors.engine, path });
  ground.doors.t.after(() => file.close());
  ok(file.direct && file.explain().direct);
  equal(await ground.doors.writeAt(file, aligned(5), 0), 5);
  equal(statSync(path).size, 5);
});

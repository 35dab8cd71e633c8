/** Copies of one file: what comes over, what is refused before harm, what the caller is told. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AbortError,
  type CopyProgress,
  copyFile,
  copyFileSync,
  type Engine,
  IoError,
} from 'holdfast';
import { copyFaces, copying, copyWith, onEngines, refusedCopy } from './copy/worlds.js';
import { engineHere, modeAt } from './replace/worlds.js';
import { mountFor } from './support/mounts.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';

const MEBIBYTE = 1048576;

/* 4099 is prime: a block of the wrong place shows. */
const TILE = Buffer.from(Array.from({ length: 4099 }, (_, at) => 1 + ((at * 7) % 251)));

function filled(bytes: number): Buffer {
  return Buffer.alloc(bytes, TILE);
}

copying('copies content of any length, and says so', async (t, copy) => {
  const directory = scratch(t);
  const source = join(directory, 'source');
  const target = join(directory, 'target');
  await copy(source, target).catch(() => undefined);
  const before = openDescriptors();
  for (const bytes of [0, 1, 4095, 65536, 65537, 5 * MEBIBYTE + 3, 33 * MEBIBYTE]) {
    const content = filled(bytes);
    writeFileSync(source, content);
    const report = await copy(source, target);
    ok(readFileSync(target).equals(content), `${bytes} bytes`);
    equal(report.bytes, bytes);
    equal(report.durability, 'full');
    equal(report.path, target);
    equal(report.replaced, bytes > 0);
    ok(['reflink', 'copy_file_range', 'read-write'].includes(report.method));
    ok(report.method === 'reflink' || report.holeBytes === 0);
  }
  assertHoldsOnly(directory, ['source', 'target']);
  assertNoNewDescriptors(before);
});

copying('copies what the kernel makes up, whole', async (t, copy) => {
  const directory = scratch(t);
  const target = join(directory, 'target');
  const told = ['/proc/version', '/proc/cpuinfo', '/proc/filesystems', '/sys/kernel/mm/ksm/run'];
  for (const source of told) {
    const report = await copy(source, target);
    const content = readFileSync(source, 'latin1');
    /* The frequency of a processor is another at every look. */
    const stable = (text: string): string => text.replace(/MHz.*|bogomips.*/g, '');
    equal(stable(readFileSync(target, 'latin1')), stable(content), source);
    ok(report.bytes > 0 && report.method === 'read-write');
    ok(report.fallbacks.some(({ what }) => what === 'reflink'));
  }
});

copying('puts the copy in the place of the old file, links followed', async (t, copy) => {
  const directory = scratch(t);
  const at = (name: string): string => join(directory, name);
  mkdirSync(at('d'));
  writeFileSync(at('source'), 'new');
  symlinkSync('source', at('to-source'));
  writeFileSync(at('d/file'), 'old content, longer');
  symlinkSync('d/file', at('link'));
  const report = await copy(at('to-source'), at('link'));
  equal(report.path, join(directory, 'd/file'));
  ok(report.replaced);
  equal(readFileSync(at('d/file'), 'latin1'), 'new');
  equal(readlinkSync(at('link')), 'd/file');
  await copy(at('source'), at('link'), { followSymlink: false });
  ok(lstatSync(at('link')).isFile(), 'a file stands in place of the link');
  equal(readFileSync(at('link'), 'latin1'), 'new');
});

/*
 * fs.copyFile opens the target with O_TRUNC before it compares: of two names of one file nothing
 * would be left but for a check of its own. What guards ours: the content after each refusal.
 */
copying('refuses a target that is its source before harm', async (t, copy) => {
  const directory = scratch(t);
  const at = (name: string): string => join(directory, name);
  writeFileSync(at('source'), 'content');
  linkSync(at('source'), at('hard'));
  symlinkSync('source', at('soft'));
  for (const target of [
    'source',
    'hard',
    'soft',
    '../'.concat(directory.split('/').pop() as string, '/source'),
  ]) {
    const error = await refusedCopy(copy(at('source'), join(directory, target)));
    deepEqual([error.code, error.kind, error.durable], ['EINVAL', 'invalid', 'old']);
    equal(error.path, at('source'));
    equal(error.dest, join(directory, target));
  }
  equal(readFileSync(at('source'), 'latin1'), 'content');
  equal(statSync(at('source')).nlink, 2);
  assertHoldsOnly(directory, ['hard', 'soft', 'source']);
});

copying('with replace: false refuses a target that exists', async (t, copy) => {
  const directory = scratch(t);
  const at = (name: string): string => join(directory, name);
  writeFileSync(at('source'), 'new');
  writeFileSync(at('target'), 'old');
  symlinkSync('nowhere', at('dangling'));
  const error = await refusedCopy(copy(at('source'), at('target'), { replace: false }));
  deepEqual([error.code, error.kind, error.durable], ['EEXIST', 'exists', 'old']);
  equal(readFileSync(at('target'), 'latin1'), 'old');
  const report = await copy(at('source'), at('fresh'), { replace: false });
  equal(report.replaced, false);
  equal(readFileSync(at('fresh'), 'latin1'), 'new');
  assertHoldsOnly(directory, ['dangling', 'fresh', 'source', 'target']);
});

/* The look at the target and its naming are two calls: who makes it in between must win. */
onEngines('a target that is made during a copy with replace: false wins', async (t, engine) => {
  const directory = scratch(t);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, 'copy');
  const onProgress = (): void => writeFileSync(target, 'theirs');
  const error = await refusedCopy(copyFile(source, target, { engine, replace: false, onProgress }));
  deepEqual([error.code, error.step, error.durable], ['EEXIST', 'rename', 'old']);
  equal(readFileSync(target, 'latin1'), 'theirs');
  assertHoldsOnly(directory, ['source', 'target']);
});

copying('refuses what is not a regular file, and waits for no FIFO', async (t, copy) => {
  const directory = scratch(t);
  const at = (name: string): string => join(directory, name);
  const { execFileSync } = await import('node:child_process');
  execFileSync('mkfifo', [at('fifo')]);
  writeFileSync(at('source'), 'x');
  mkdirSync(at('d'));
  const refusals: readonly [string, string, string][] = [
    ['/dev/zero', 'target', 'ERR_WRONG_TYPE'],
    ['fifo', 'target', 'ESPIPE'],
    ['d', 'target', 'EISDIR'],
    ['missing', 'target', 'ENOENT'],
    ['source', 'd', 'EISDIR'],
    ['source', 'missing/target', 'ENOENT'],
    ['source', 'fifo', 'ERR_WRONG_TYPE'],
    ['source', 'source/x', 'ENOTDIR'],
  ];
  for (const [source, target, code] of refusals) {
    const from = source.startsWith('/') ? source : at(source);
    const error = await refusedCopy(copy(from, at(target)));
    deepEqual([error.code, error.durable, error.path, error.dest], [code, 'old', from, at(target)]);
  }
  assertHoldsOnly(directory, ['d', 'fifo', 'source']);
});

copying('tells how far it is, and at the end that it is all', async (t, copy) => {
  const directory = scratch(t);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  for (const bytes of [0, 100, 40 * MEBIBYTE]) {
    writeFileSync(source, filled(bytes));
    const told: CopyProgress[] = [];
    await copy(source, target, { reflink: 'never', onProgress: (one) => told.push(one) });
    deepEqual(told.at(-1), { bytes, total: bytes });
    for (const [index, one] of told.entries()) {
      equal(one.total, bytes);
      ok(index === 0 || one.bytes > (told[index - 1] as CopyProgress).bytes, 'it grows');
    }
    ok(told.length <= 1 + bytes / MEBIBYTE, `${told.length} times: not at every small step`);
    ok(bytes < 10 * MEBIBYTE || told.length > 1);
  }
});

copying('ends with what onProgress throws, the target untouched', async (t, copy) => {
  const directory = scratch(t);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, filled(20 * MEBIBYTE));
  writeFileSync(target, 'old');
  const before = openDescriptors();
  const mine = new Error('enough');
  const onProgress = (): void => {
    throw mine;
  };
  await rejects(copy(source, target, { onProgress }), (error) => error === mine);
  equal(readFileSync(target, 'latin1'), 'old');
  assertHoldsOnly(directory, ['source', 'target']);
  assertNoNewDescriptors(before);
});

onEngines(
  'copyFile() aborted on its way leaves the target and tells the bytes',
  async (t, engine) => {
    const directory = scratch(t);
    const [source, target] = [join(directory, 'source'), join(directory, 'target')];
    writeFileSync(source, filled(40 * MEBIBYTE));
    writeFileSync(target, 'old');
    for (const isTimeout of [false, true]) {
      const controller = new AbortController();
      const reason = new Error('changed my mind');
      let at = 0;
      const onProgress = ({ bytes }: CopyProgress): void => {
        at = bytes;
        if (!isTimeout) controller.abort(reason);
        const end = Date.now() + 30;
        while (isTimeout && Date.now() < end);
      };
      const stop = isTimeout ? { timeoutMs: 25 } : { signal: controller.signal };
      const options = { engine, reflink: 'never', onProgress, ...stop } as const;
      const error = await copyFile(source, target, options).then(
        () => undefined,
        (thrown: AbortError | IoError) => thrown,
      );
      ok(error instanceof (isTimeout ? IoError : AbortError), `${error}`);
      if (error instanceof AbortError) equal(error.cause, reason);
      else equal(error.kind, 'timeout');
      equal(error.bytesDone, at);
      equal(readFileSync(target, 'latin1'), 'old');
      assertHoldsOnly(directory, ['source', 'target']);
    }
    await rejects(copyFile(source, target, { engine, signal: AbortSignal.abort() }), AbortError);
  },
);

copying('keeps permissions whatever the mask, and times on request', async (t, copy) => {
  const directory = scratch(t);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, 'x');
  utimesSync(source, 1_000_000.25, 2_000_000.5);
  for (const mode of [0o600, 0o777, 0o444, 0o4755, 0o2750]) {
    chmodSync(source, mode);
    await copy(source, target);
    equal(modeAt(target), mode);
    ok(statSync(target).mtimeMs > 2_000_000_500);
  }
  await copy(source, target, { keepTimes: true });
  equal(statSync(target).mtimeMs, 2_000_000_500);
});

onEngines('copies to one target take turns with replaces of it', async (t, engine) => {
  const { replaceFile } = await import('holdfast');
  const directory = scratch(t);
  const target = join(directory, 'target');
  const sources = [1, 2, 3].map((n) => {
    const path = join(directory, `source-${n}`);
    writeFileSync(path, `content ${n}`.padEnd(n === 1 ? 8 * MEBIBYTE : 20));
    return path;
  });
  const all = sources.map((source) => copyFile(source, target, { engine }));
  const last = replaceFile(target, 'last', { engine });
  await Promise.all([...all, last]);
  equal(readFileSync(target, 'latin1'), 'last');
});

test('copyFile() refuses bad input before anything happens', async (t) => {
  const directory = scratch(t);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, 'x');
  const wrong: readonly [unknown, unknown, unknown, RegExp][] = [
    [7, target, {}, /"source"/],
    [source, '', {}, /"target"/],
    [source, 'a\0b', {}, /"target"/],
    [source, target, null, /"options"/],
    [source, target, { reflink: 'sometimes' }, /"options.reflink"/],
    [source, target, { onProgress: 7 }, /"options.onProgress"/],
    [source, target, { replace: 1 }, /"options.replace"/],
    [source, target, { durable: true }, /"options.durable"/],
    [source, target, { keepTimes: 'no' }, /"options.keepTimes"/],
    [source, target, { followSymlink: 0 }, /"options.followSymlink"/],
    [source, target, { signal: {} }, /"options.signal"/],
    [source, target, { timeoutMs: -1 }, /"options.timeoutMs"/],
    [source, target, { engine: 'pool' }, /"options.engine"/],
  ];
  for (const [from, to, options, words] of wrong) {
    const isBad = (error: unknown): boolean =>
      (error instanceof TypeError || error instanceof RangeError) && words.test(error.message);
    await rejects(copyFile(from as string, to as string, options as object), isBad);
    if (/signal|timeoutMs/.test(String(words))) continue;
    let thrown: unknown;
    try {
      copyFileSync(from as string, to as string, options as object);
    } catch (error) {
      thrown = error;
    }
    ok(isBad(thrown), `${thrown}`);
  }
  assertHoldsOnly(directory, ['source']);
});

/** What a copy asks of the system. */
async function callsOf(
  engine: Engine,
  run: () => Promise<unknown>,
): Promise<Record<string, number>> {
  const before = engine.stats().systemCalls;
  await run();
  const counts: Record<string, number> = {};
  for (const [name, count] of Object.entries(engine.stats().systemCalls)) {
    const more = count - (before[name] ?? 0);
    if (more > 0) counts[name] = more;
  }
  return counts;
}

for (const face of copyFaces) {
  test(`${face}() makes no system call that it could do without`, async (t) => {
    const engine = engineHere('pool');
    if (typeof engine === 'string') return t.skip(`needs the addon: ${engine}`);
    const mount = mountFor(t, 'ext4', { sizeBytes: 256 * MEBIBYTE });
    if (mount === undefined) return;
    const copy = copyWith(face, engine);
    const [source, target] = [join(mount.path, 'source'), join(mount.path, 'target')];
    writeFileSync(source, filled(40 * MEBIBYTE));
    await copy(source, target);
    const calls = await callsOf(engine, () => copy(source, target));
    deepEqual(calls, {
      close: 3,
      copy_file_range: 3,
      fchmod: 1,
      fchown: 1,
      fcntl: 1,
      flock: 1,
      fsync: 2,
      getxattr: 1,
      'ioctl(FICLONE)': 1,
      listxattr: 1,
      lseek: 2,
      open: 3,
      rename: 1,
      stat: 3,
      sync_file_range: 3,
    });
  });
}

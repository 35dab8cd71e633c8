/**
 * How the new file gets its name: without a name before, without replacing, in exchange for the old
 * one; and who moves directories about meanwhile.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ReplaceOptions, type ReplaceReport, replaceFile } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { Code, errnoOf, type Operation } from '#holdfast/platform.js';
import { FaultyEngine, type Judge } from './replace/faulty.js';
import {
  engineHere,
  engineWords,
  everywhere,
  faces,
  facesOn,
  fallbacksIn,
  modeAt,
  needsRoot,
  pieces,
  refusalOf,
  reports,
  temporaries,
  worldOf,
} from './replace/worlds.js';
import { Child, outputOf } from './support/child.js';
import { assertHoldsOnly, scratch } from './support/scratch.js';
import { straceRefusal, traceFor } from './support/strace.js';

/** The pool, or a skip aloud: what only the addon can do. */
function pool(t: TestContext) {
  const engine = engineHere('pool');
  if (typeof engine !== 'string') return engine;
  t.diagnostic(`NOT TESTED: ${engine}`);
  t.skip(engine);
  return undefined;
}

/** A replace in one go by either face, and one bit by bit. */
async function inEveryWay(
  judge: Judge,
  options: ReplaceOptions,
  check: (done: Promise<ReplaceReport>, way: string, path: string) => Promise<void>,
  t: TestContext,
): Promise<void> {
  const inner = pool(t);
  if (inner === undefined) return;
  for (const way of [...faces, 'pieces']) {
    const path = join(scratch(t), 'file');
    const engine: FaultyEngine = new FaultyEngine(inner, judge);
    const done =
      way === 'pieces'
        ? replaceFile(path, pieces('new'), { ...options, engine })
        : worldOf(way as 'replaceFile', engine).replace(path, 'new', options);
    await check(done, way, path);
    deepEqual([...engine.open], [], way);
    equal(engine.wrongCloses, 0);
  }
}

test('ifAbsent makes a file that has no name before it is whole', async (t) => {
  const inner = pool(t);
  if (inner === undefined) return;
  const directory = scratch(t);
  const seen: string[][] = [];
  const judge: Judge = ({ code }) => {
    if (code === Code.Sync) seen.push(readdirSync(directory));
    return undefined;
  };
  const engine: FaultyEngine = new FaultyEngine(inner, judge);
  const path = join(directory, 'file');
  const report = await replaceFile(path, pieces('a', 'b'), { engine, ifAbsent: true, mode: 0o640 });
  reports(report, { method: 'link of an unnamed file', replaced: false, durability: 'full' });
  deepEqual(seen, [[], ['file']], 'nothing, then the file');
  equal(readFileSync(path, 'latin1'), 'ab');
  deepEqual([modeAt(path), statSync(path).nlink], [0o640, 1]);
});

test('ifAbsent killed half way leaves nothing at all', async (t) => {
  if (pool(t) === undefined) return;
  const directory = scratch(t);
  const source = `
    import { replaceFile } from 'holdfast';
    async function* pieces() {
      yield Buffer.alloc(200_000);
      console.log('half');
      await new Promise((r) => setTimeout(r, 60_000));
    }
    await replaceFile(process.argv[1] + '/file', pieces(), { ifAbsent: true });`;
  const child = new Child({ source, args: [directory] });
  await child.waitFor('half');
  await child.kill();
  assertHoldsOnly(directory, []);
});

/* linkat(2): AT_EMPTY_PATH took CAP_DAC_READ_SEARCH before Linux 6.10; /proc takes nothing. */
test('ifAbsent names its file through /proc where it may not by descriptor', async (t) => {
  const judge: Judge = ({ code, place }) =>
    code === Code.Link && place?.name === '' ? { refuse: 'ENOENT' } : undefined;
  await inEveryWay(
    judge,
    { ifAbsent: true },
    async (done, way, path) => {
      reports(await done, { method: 'link of an unnamed file' });
      equal(readFileSync(path, 'latin1'), 'new', way);
    },
    t,
  );
});

test('ifAbsent by a user without privileges makes the file, and no second', async (t) => {
  if (pool(t) === undefined || !needsRoot(t)) return;
  const directory = scratch(t);
  chmodSync(directory, 0o777);
  const source = `
    import { replaceFile, replaceFileSync } from 'holdfast';
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    const path = process.argv[1];
    const options = { ifAbsent: true };
    console.log((await replaceFile(path + '/a', 'a', options)).method);
    console.log(replaceFileSync(path + '/b', 'b', options).method);
    console.log(await replaceFile(path + '/a', 'x', options).catch((error) => error.code));`;
  const told = await outputOf({ source, args: [directory] });
  const method = 'link of an unnamed file';
  deepEqual(told.trim().split('\n'), [method, method, 'EEXIST']);
  assertHoldsOnly(directory, ['a', 'b']);
});

test('ifAbsent takes a named file where unnamed ones cannot be had', async (t) => {
  const unnamed: Judge = ({ code, flags }) =>
    code === Code.Open && (flags & 0o20000000) !== 0 ? { refuse: 'EOPNOTSUPP' } : undefined;
  const noProc: Judge = ({ code, place }) => {
    const isLink = code === Code.Link && (place?.name === '' || place?.path.startsWith('/proc'));
    const isLook = code === Code.Stat && place?.path === '/proc/self/fd';
    return isLink || isLook ? { refuse: 'ENOENT' } : undefined;
  };
  for (const judge of [unnamed, noProc]) {
    await inEveryWay(
      judge,
      { ifAbsent: true },
      async (done, way, path) => {
        reports(await done, { method: 'rename without replacing', durability: 'full' });
        equal(readFileSync(path, 'latin1'), 'new', way);
        assertHoldsOnly(join(path, '..'), ['file']);
      },
      t,
    );
  }
});

test('ifAbsent links where renames cannot be told not to replace', async (t) => {
  const judge: Judge = ({ code, flags }) => {
    if (code === Code.Rename && flags === 1) return { refuse: 'EINVAL' };
    const isUnnamed = code === Code.Open && (flags & 0o20000000) !== 0;
    return isUnnamed ? { refuse: 'EOPNOTSUPP' } : undefined;
  };
  const check = async (done: Promise<ReplaceReport>, way: string, path: string): Promise<void> => {
    reports(await done, { method: 'link', fallbacks: [] });
    equal(readFileSync(path, 'latin1'), 'new', way);
    equal(statSync(path).nlink, 1);
    assertHoldsOnly(join(path, '..'), ['file']);
  };
  await inEveryWay(judge, { ifAbsent: true }, check, t);
});

/* ------------------------------------------------------------------------------ exchange */

everywhere('exchanges the old and the new file, and tells where the old is', async (t, world) => {
  const { replace, engine } = world;
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old', { mode: 0o640 });
  const { ino } = statSync(path);
  if (engine.capabilities['exchange-names'] !== true) {
    const error = await refusalOf(replace(path, 'new', { exchange: true }), {
      code: 'ENOTSUP',
      kind: 'unsupported',
      step: 'exchange',
    });
    match(error.message, /node:fs/);
    equal(readFileSync(path, 'latin1'), 'old');
    return assertHoldsOnly(directory, ['file']);
  }
  const report = await replace(path, 'new', { exchange: true });
  reports(report, { method: 'exchange', replaced: true, durability: 'full', fallbacks: [] });
  const { oldPath = '' } = report;
  match(oldPath, /\/\.holdfast-[0-9a-f]{32}\.old$/);
  equal(readFileSync(path, 'latin1'), 'new');
  equal(readFileSync(oldPath, 'latin1'), 'old');
  deepEqual([statSync(oldPath).ino, modeAt(path)], [ino, 0o640]);
  assertHoldsOnly(directory, ['file', oldPath.slice(directory.length + 1)]);
  rmSync(oldPath);
  reports(await replace(path, 'newer'), { oldPath: undefined, method: 'rename' });
});

everywhere('exchanges with what is there, or refuses', async (t, { replace, engine }) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  const both = replace(path, 'new', { exchange: true, ifAbsent: true });
  await both.then(
    () => ok(false),
    (error: Error) => match(error.message, /options.exchange/),
  );
  if (engine.capabilities['exchange-names'] !== true) return;
  const absent = replace(path, 'new', { exchange: true });
  await refusalOf(absent, { code: 'ENOENT', kind: 'not-found', step: 'inspect' });
  assertHoldsOnly(directory, []);
  symlinkSync('nowhere', path);
  const { oldPath } = await replace(path, 'new', { exchange: true, followSymlink: false });
  equal(readlinkSync(oldPath as string), 'nowhere');
  ok(lstatSync(path).isFile());
});

test('an exchange that the file system lacks is refused, and nothing is left', async (t) => {
  for (const refuse of ['EINVAL', 'ENOSYS', 'EOPNOTSUPP']) {
    const judge: Judge = ({ code, flags, place2 }) => {
      if (code === Code.Stat && place2 === undefined) return undefined;
      return code === Code.Rename && flags === 2 ? { refuse } : undefined;
    };
    const inner = pool(t);
    if (inner === undefined) return;
    for (const face of faces) {
      const directory = scratch(t);
      const path = join(directory, 'file');
      writeFileSync(path, 'old');
      const { replace } = worldOf(face, new FaultyEngine(inner, judge));
      const expected = { code: 'ENOTSUP', kind: 'unsupported', step: 'exchange' };
      await refusalOf(replace(path, 'new', { exchange: true }), expected);
      equal(readFileSync(path, 'latin1'), 'old');
      assertHoldsOnly(directory, ['file']);
    }
  }
});

test('the old file of an exchange is nobody to remove, wherever it stops', async (t) => {
  const inner = pool(t);
  if (inner === undefined) return;
  const alone = (index: number, k: number): boolean => index === k;
  /* And all that follows, but what tidies up. */
  const onward = (index: number, k: number): boolean => index >= k;
  for (const [face, isStruck] of faces.flatMap(
    (one) =>
      [
        [one, alone],
        [one, onward],
      ] as const,
  )) {
    for (let k = 0; ; k++) {
      const directory = scratch(t);
      const path = join(directory, 'file');
      writeFileSync(path, 'old');
      const judge: Judge = ({ mustRun, code }, index) => {
        const tidies = mustRun && code !== Code.Rename && code !== Code.Sync;
        return isStruck(index, k) && !tidies ? { refuse: 'EIO' } : undefined;
      };
      const engine: FaultyEngine = new FaultyEngine(inner, judge);
      const { replace } = worldOf(face, engine);
      await replace(path, 'new', { exchange: true }).catch(() => undefined);
      const contents = readdirSync(directory).map((name) =>
        readFileSync(join(directory, name), 'latin1'),
      );
      ok(contents.includes('old'), `${face}: the old file is gone after a refusal at ${k}`);
      deepEqual([...engine.open], []);
      if (engine.asked.length <= k) break;
    }
  }
});

test('an exchange on a simulated disk keeps both files through every crash', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const disk = simulatedDisk(seed);
    const { engine } = disk;
    await replaceFile('/file', 'old', { engine });
    const { oldPath = '' } = await replaceFile('/file', 'new', { engine, exchange: true });
    const after = disk.crash().engine;
    const reread = await contentOn(after, '/file');
    equal(reread, 'new');
    equal(await contentOn(after, oldPath), 'old');
  }
});

async function contentOn(
  engine: NonNullable<ReplaceOptions['engine']>,
  path: string,
): Promise<string> {
  const { openFile } = await import('holdfast');
  const file = await openFile(path, { engine });
  const text = Buffer.from(await file.readAll()).toString('latin1');
  await file.close();
  return text;
}

/* ---------------------------------------------------------------------- moved directories */

/*
 * At every step the directory is swapped for one of an attacker's, who has prepared files of the
 * same names. The engine performs the operations one by one, so that there is a moment for it.
 */
test('a directory swapped at any step does not redirect a replace', async (t) => {
  const inner = pool(t);
  if (inner === undefined) return;
  for (const given of ['d/file', 'd/link', 'link']) {
    for (const ifAbsent of [false, true]) {
      for (let k = 1; ; k++) {
        const root = scratch(t);
        const [real, evil, aside] = ['d', 'evil', 'aside'].map((name) => join(root, name));
        for (const directory of [real, evil] as string[]) {
          mkdirSync(directory);
          if (!ifAbsent) writeFileSync(join(directory, 'file'), `old of ${directory}`);
          symlinkSync('file', join(directory, 'link'));
        }
        symlinkSync('d/file', join(root, 'link'));
        let opened = false;
        let at = -1;
        const judge: Judge = ({ code, place }, index) => {
          /* From the moment on that the directory of the target is held. */
          const isReal = code === Code.Open && place?.path.endsWith('/d') === true;
          if (opened && at < 0) at = index;
          if (at >= 0 && index === at + k - 1) {
            renameSync(real as string, aside as string);
            renameSync(evil as string, real as string);
          }
          opened ||= isReal;
          return undefined;
        };
        const engine: FaultyEngine = new FaultyEngine(inner, judge);
        await replaceFile(join(root, given), 'new', { engine, ifAbsent });
        const isSwapped = existsSync(aside as string);
        const [kept, other] = isSwapped ? [aside, real] : [real, evil];
        const held = `${given}, ${ifAbsent}, step ${k}`;
        equal(readFileSync(join(kept as string, 'file'), 'latin1'), 'new', held);
        if (ifAbsent) equal(existsSync(join(other as string, 'file')), false, held);
        else match(readFileSync(join(other as string, 'file'), 'latin1'), /^old of .*evil$/, held);
        for (const one of [kept, other]) assertHoldsOnly(one as string, namesAt(one as string));
        deepEqual(temporaries(kept as string), []);
        deepEqual(temporaries(other as string), []);
        if (!isSwapped) break;
      }
    }
  }
});

function namesAt(directory: string): string[] {
  return readdirSync(directory).filter((name) => !name.startsWith('.'));
}

/* The same with the kernel's own calls: the rename waits, the directory is swapped, it goes on. */
test('a directory swapped while the rename is about to happen does not redirect it', async (t) => {
  if (pool(t) === undefined) return;
  if (straceRefusal() !== undefined) return t.skip(straceRefusal());
  for (const face of faces) {
    const root = scratch(t);
    for (const name of ['d', 'evil']) {
      mkdirSync(join(root, name));
      writeFileSync(join(root, name, 'file'), `old of ${name}`);
    }
    const source = `
      import { ${face} } from 'holdfast';
      await ${face}(process.argv[1] + '/d/file', 'new');`;
    const watch = setInterval(() => {
      if (temporaries(join(root, 'd')).length === 0) return;
      clearInterval(watch);
      renameSync(join(root, 'd'), join(root, 'aside'));
      renameSync(join(root, 'evil'), join(root, 'd'));
    }, 2);
    t.after(() => clearInterval(watch));
    const inject = ['renameat2:delay_enter=300000'];
    const trace = await traceFor(t, { source, args: [root], calls: ['renameat2'], inject });
    if (trace === undefined) return;
    equal(trace.code, 0, trace.stderr);
    ok(existsSync(join(root, 'aside')), 'the directory was swapped in time');
    equal(readFileSync(join(root, 'aside/file'), 'latin1'), 'new');
    equal(readFileSync(join(root, 'd/file'), 'latin1'), 'old of evil');
    assertHoldsOnly(join(root, 'aside'), ['file']);
    assertHoldsOnly(join(root, 'd'), ['file']);
  }
});

/*
 * A relative link was followed by its path: who swapped its directory between the reading and
 * the following led the content elsewhere. What guards it: it is seen from the directory that it
 * was read in.
 */
test('a relative link is followed from the directory that it was read in', async (t) => {
  const inner = pool(t);
  if (inner === undefined) return;
  const root = scratch(t);
  for (const name of ['links', 'evil']) {
    mkdirSync(join(root, name, 'below'), { recursive: true });
    writeFileSync(join(root, name, 'below/file'), `old of ${name}`);
    symlinkSync('below/file', join(root, name, 'link'));
  }
  const judge: Judge = ({ code }: Operation) => {
    if (code !== Code.ReadLink) return undefined;
    renameSync(join(root, 'links'), join(root, 'aside'));
    renameSync(join(root, 'evil'), join(root, 'links'));
    return undefined;
  };
  const engine: FaultyEngine = new FaultyEngine(inner, judge);
  await replaceFile(join(root, 'links/link'), 'new', { engine });
  equal(readFileSync(join(root, 'aside/below/file'), 'latin1'), 'new');
  equal(readFileSync(join(root, 'links/below/file'), 'latin1'), 'old of evil');
});

/* ------------------------------------------------------------------- what stands in the way */

test('refusals of the rename keep the old and leave nothing', async (t) => {
  for (const [refuse, kind] of [
    ['EXDEV', 'cross-device'],
    ['EBUSY', 'busy'],
    ['EPERM', 'access'],
    ['EACCES', 'access'],
    ['EDQUOT', 'quota'],
    ['ENOSPC', 'no-space'],
    ['EIO', 'io'],
  ] as const) {
    for (const word of engineWords) {
      const inner = engineHere(word);
      if (typeof inner === 'string') continue;
      const judge: Judge = ({ code }) => (code === Code.Rename ? { refuse } : undefined);
      for (const face of facesOn(inner)) {
        const directory = scratch(t);
        const path = join(directory, 'file');
        writeFileSync(path, 'old');
        const { replace } = worldOf(face, new FaultyEngine(inner, judge));
        await refusalOf(replace(path, 'new'), { code: refuse, kind, step: 'rename', path });
        equal(readFileSync(path, 'latin1'), 'old');
        assertHoldsOnly(directory, ['file']);
      }
    }
  }
  ok(errnoOf('EXDEV') < 0);
});

everywhere('tells that other names keep the old file', async (t, { replace }) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  linkSync(path, join(directory, 'a'));
  linkSync(path, join(directory, 'b'));
  const report = await replace(path, 'new');
  ok(fallbacksIn(report).includes('hard links'));
  match(report.fallbacks.map(({ reason }) => reason).join(), /2 other names/);
  ok(!fallbacksIn(await replace(path, 'new')).includes('hard links'));
});

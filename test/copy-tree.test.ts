/** Copies of trees: everything in them, each file whole, nothing but them; and what is refused. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  AbortError,
  CopyTreeError,
  type CopyTreeOptions,
  type CopyTreeProgress,
  type CopyTreeReport,
  copyTree,
  copyTreeSync,
  type Engine,
  IoError,
  type TreeEntry,
} from 'holdfast';
import { Code } from '#holdfast/platform.js';
import { engineOr, engineWords, onEngines, wordsFor } from './copy/worlds.js';
import { accessOf, attributesOf, setAttribute, setDefaultAccess } from './replace/attributes.js';
import { FaultyEngine, type Judge } from './replace/faulty.js';
import { engineHere } from './replace/worlds.js';
import { mountFor } from './support/mounts.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

type Face = 'copyTree' | 'copyTreeSync';
const faces: readonly Face[] = ['copyTree', 'copyTreeSync'];

type CopyOfTree = (
  source: string,
  target: string,
  options?: CopyTreeOptions,
) => Promise<CopyTreeReport>;

function treeWith(face: Face, engine: Engine): CopyOfTree {
  return async (source, target, options = {}) => {
    const all = { ...options, engine };
    return face === 'copyTree' ? copyTree(source, target, all) : copyTreeSync(source, target, all);
  };
}

function trees(
  criterion: string,
  run: (t: TestContext, copy: CopyOfTree, engine: Engine) => Promise<void>,
): void {
  for (const face of faces) {
    const name = `${face}() ${criterion}`;
    onEngines(name, (t, engine) => run(t, treeWith(face, engine), engine), wordsFor(face));
  }
}

/** A tree with something of everything but special files. */
function makeTree(root: string): void {
  mkdirSync(join(root, 'a/b/c'), { recursive: true });
  mkdirSync(join(root, 'empty'));
  mkdirSync(Buffer.concat([Buffer.from(join(root, 'bytes-')), Buffer.from([0xff])]));
  writeFileSync(
    Buffer.concat([Buffer.from(join(root, 'bytes-')), Buffer.from([0xff, 0x2f, 0xfe])]),
    'no text',
  );
  writeFileSync(join(root, 'a/file'), 'content');
  writeFileSync(join(root, 'a/ü\nñ'), 'text');
  writeFileSync(join(root, 'a/b/large'), Buffer.alloc(300_000, 'large'));
  for (let at = 0; at < 10; at++) writeFileSync(join(root, `a/b/c/${at}`), `file ${at}`);
  linkSync(join(root, 'a/file'), join(root, 'a/b/hard'));
  linkSync(join(root, 'a/file'), join(root, 'empty/harder'));
  symlinkSync('../file', join(root, 'a/b/soft'));
  symlinkSync('nowhere/at all', join(root, 'dangling'));
  symlinkSync('a', join(root, 'to-directory'));
  chmodSync(join(root, 'a/file'), 0o4711);
  chmodSync(join(root, 'a/b'), 0o2750);
  chmodSync(join(root, 'a/b/c'), 0o555);
}

/** All that is below, by path: what it is and what it holds. */
function pictureOf(root: string, under = Buffer.from(root)): Record<string, string> {
  const picture: Record<string, string> = {};
  const numbers = new Map<number, string>();
  const look = (directory: Buffer): void => {
    const names = readdirSync(directory, { encoding: 'buffer' }) as unknown as Buffer[];
    for (const name of names.sort(Buffer.compare)) {
      const path = Buffer.concat([directory, Buffer.from('/'), name]);
      const key = path.toString('latin1').slice(under.length);
      const stat = lstatSync(path);
      const words = `${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid}`;
      if (stat.isDirectory()) {
        picture[key] = `directory ${words}`;
        look(path);
      } else if (stat.isSymbolicLink()) picture[key] = `link to ${readlinkSync(path)}`;
      else {
        const first = numbers.get(stat.ino) ?? key;
        numbers.set(stat.ino, first);
        picture[key] = `${words} ${first} ${readFileSync(path, 'latin1').slice(0, 50)}`;
      }
    }
  };
  look(under);
  return picture;
}

function temporariesIn(root: string): string[] {
  return Object.keys(pictureOf(root)).filter((path) => path.endsWith('.tmp'));
}

trees('copies everything in a tree, links as links', async (t, copy, engine) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  makeTree(source);
  utimesSync(join(source, 'a'), 1000, 2000);
  const before = openDescriptors();
  const report = await copy(source, `${target}/`, { keepTimes: true });
  deepEqual(pictureOf(target), pictureOf(source));
  equal(statSync(join(target, 'a')).mtimeMs, 2_000_000);
  /* node:fs sets times to the microsecond. */
  const late =
    lstatSync(join(target, 'dangling')).mtimeMs - lstatSync(join(source, 'dangling')).mtimeMs;
  ok(Math.abs(late) < 0.002, `the times of a link: ${late}`);
  const { files, directories, links, hardLinks, skipped, bytes, durability, path } = report;
  deepEqual(
    { files, directories, links, hardLinks, skipped, durability, path },
    {
      files: 14,
      directories: 6,
      links: 3,
      hardLinks: 2,
      skipped: 0,
      durability: 'full',
      path: target,
    },
  );
  equal(statSync(join(target, 'a/file')).nlink, 3);
  ok(bytes > 300_000);
  equal(
    Object.values(report.methods).reduce((sum, count) => sum + count),
    files,
  );
  equal(report.engine, engine.name);
  assertNoNewDescriptors(before);
});

trees('refuses to copy a tree into itself before anything is made', async (t, copy) => {
  const root = scratch(t);
  const source = join(root, 'source');
  makeTree(source);
  symlinkSync('source/a', join(root, 'way-in'));
  const before = pictureOf(root);
  for (const target of [
    'source',
    'source/new',
    'source/a/b/new',
    'way-in/new',
    'source/a/../new',
  ]) {
    await rejects(copy(source, join(root, target)), (error: IoError) => {
      deepEqual([error.code, error.kind, error.durable], ['EINVAL', 'invalid', 'old']);
      equal(error.dest, join(root, target));
      return true;
    });
    deepEqual(pictureOf(root), before);
  }
  await copy(join(source, 'a/b'), join(source, 'beside'));
  deepEqual(pictureOf(join(source, 'beside')), pictureOf(join(source, 'a/b')));
});

trees('refuses roots that are no directories', async (t, copy) => {
  const root = scratch(t);
  const source = join(root, 'source');
  makeTree(source);
  symlinkSync('nowhere', join(root, 'dangling'));
  const refusals: readonly [string, string, string][] = [
    ['missing', 'target', 'ENOENT'],
    ['source/a/file', 'target', 'ENOTDIR'],
    ['source', 'missing/target', 'ENOENT'],
    ['source/a', 'source/a/file', 'ENOTDIR'],
    ['source', 'dangling', 'EEXIST'],
  ];
  for (const [from, to, code] of refusals) {
    const refused = copy(join(root, from), join(root, to));
    await rejects(refused, (error) => error instanceof IoError && error.code === code);
  }
  deepEqual(readdirSync(root), ['dangling', 'source']);
});

trees('merges into a tree that stands, and follows no link in it', async (t, copy) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  makeTree(source);
  mkdirSync(join(target, 'a/b'), { recursive: true });
  chmodSync(join(target, 'a'), 0o700);
  writeFileSync(join(root, 'outside'), 'theirs');
  writeFileSync(join(target, 'a/old'), 'stays');
  writeFileSync(join(target, 'a/b/hard'), 'goes');
  writeFileSync(join(target, 'dangling'), 'goes');
  symlinkSync(join(root, 'outside'), join(target, 'a/file'));
  await copy(source, target);
  const expected = pictureOf(source);
  expected['/a/old'] = (pictureOf(target) as { '/a/old': string })['/a/old'];
  expected['/a'] = 'directory 700 0:0';
  expected['/a/b'] = pictureOf(target)['/a/b'] as string;
  const { uid, gid } = statSync(join(target, 'a'));
  expected['/a'] = `directory 700 ${uid}:${gid}`;
  deepEqual(pictureOf(target), expected);
  equal(readFileSync(join(root, 'outside'), 'latin1'), 'theirs');
  await copy(source, target);
  deepEqual(pictureOf(target), expected, 'again, over hard links and all');
  deepEqual(temporariesIn(target), []);
});

trees('enters no directory through a link that stands in the target', async (t, copy) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  makeTree(source);
  mkdirSync(join(root, 'elsewhere'));
  mkdirSync(target);
  symlinkSync(join(root, 'elsewhere'), join(target, 'a'));
  await rejects(copy(source, target), (error) => error instanceof CopyTreeError);
  deepEqual(readdirSync(join(root, 'elsewhere')), []);
});

trees('with replace: false refuses a target that exists', async (t, copy) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  makeTree(source);
  mkdirSync(target);
  const refused = copy(source, target, { replace: false });
  await rejects(refused, (error: IoError) => error.code === 'EEXIST' && error.kind === 'exists');
  deepEqual(readdirSync(target), []);
  await copy(source, join(root, 'fresh'), { replace: false });
  deepEqual(pictureOf(join(root, 'fresh')), pictureOf(source));
});

trees('refuses special files, or leaves them out', async (t, copy) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  mkdirSync(source);
  execFileSync('mkfifo', [join(source, 'fifo')]);
  writeFileSync(join(source, 'file'), 'x');
  await rejects(copy(source, target), (error) => {
    ok(error instanceof CopyTreeError);
    deepEqual(
      [error.code, error.path, error.completed.files],
      ['ERR_WRONG_TYPE', join(source, 'fifo'), 0],
    );
    return true;
  });
  const report = await copy(source, target, { special: 'skip' });
  deepEqual([report.files, report.skipped], [1, 1]);
  deepEqual(readdirSync(target), ['file']);
});

trees('asks the filter about everything but what it left out', async (t, copy) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  makeTree(source);
  const asked: TreeEntry[] = [];
  const report = await copy(source, target, {
    filter: (entry) => {
      asked.push(entry);
      return entry.path !== 'a/b' && entry.kind !== 'symlink';
    },
  });
  ok(!asked.some(({ path }) => path.startsWith('a/b/')));
  deepEqual(
    asked.find(({ path }) => path === 'a/file'),
    { path: 'a/file', kind: 'file', size: 7 },
  );
  equal(report.skipped, 3);
  equal(report.links, 0);
  ok(!existsSync(join(target, 'a/b')) && existsSync(join(target, 'a/file')));
  const mine = new Error('mine');
  const thrower = (): boolean => {
    throw mine;
  };
  await rejects(copy(source, join(root, 'other'), { filter: thrower }), (error) => error === mine);
  const wrong = copy(source, join(root, 'third'), { filter: () => 1 as unknown as boolean });
  await rejects(wrong, TypeError);
});

test('copyTree() waits for a filter, and the twin refuses to', async (t) => {
  const root = scratch(t);
  const source = join(root, 'source');
  makeTree(source);
  const filter = async ({ path }: TreeEntry): Promise<boolean> => {
    await new Promise((resolve) => setImmediate(resolve));
    return path !== 'empty';
  };
  await copyTree(source, join(root, 'target'), { filter });
  ok(!existsSync(join(root, 'target/empty')) && existsSync(join(root, 'target/a/b/c/9')));
  throws(() => copyTreeSync(source, join(root, 'other'), { filter }), TypeError);
});

trees('tells its progress, never less than before', async (t, copy) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  makeTree(source);
  writeFileSync(join(source, 'huge'), Buffer.alloc(40_000_000, 1));
  const told: CopyTreeProgress[] = [];
  const onProgress = (one: CopyTreeProgress): void => {
    told.push(one);
  };
  const report = await copy(source, target, { reflink: 'never', onProgress, concurrency: 1 });
  const { files, directories, links, bytes } = report;
  deepEqual(told.at(-1), { path: '', files, directories, links, bytes });
  for (const [index, one] of told.entries()) {
    const before = told[index - 1] ?? { bytes: 0, files: 0 };
    ok(one.bytes >= before.bytes && one.files >= before.files);
  }
  ok(told.filter(({ path }) => path === 'huge').length > 2, 'on the way through a large file');
});

/** Runs one at a time, as many as are under way counted. */
class Watched extends FaultyEngine {
  underWay = 0;
  most = 0;

  override submit(...[head, waiter]: Parameters<Engine['submit']>): void {
    this.most = Math.max(this.most, ++this.underWay);
    const settle = (): void => {
      this.underWay--;
      waiter.settle();
    };
    super.submit(head, { settle });
  }
}

onEngines('copyTree() does no more than it may at the same time', async (t, inner) => {
  const root = scratch(t);
  const source = join(root, 'source');
  makeTree(source);
  for (const concurrency of [1, 3]) {
    const engine = new Watched(inner, () => undefined);
    await copyTree(source, join(root, `target-${concurrency}`), { engine, concurrency });
    equal(engine.most, concurrency);
    deepEqual([...engine.open], []);
  }
});

trees('syncs each file and each directory once', async (t, _, inner) => {
  const root = scratch(t);
  const source = join(root, 'source');
  makeTree(source);
  for (const face of faces) {
    for (const durable of ['full', 'file', false] as const) {
      const engine = new FaultyEngine(inner, () => undefined);
      const target = join(root, `${face}-${durable}`);
      const report = await treeWith(face, engine)(source, target, { durable });
      const { files, directories } = report;
      const syncs = engine.asked.filter((code) => code === Code.Sync).length;
      const expected = { full: files + directories + 1, file: files, false: 0 };
      equal(syncs, expected[`${durable}`]);
      equal(report.durability, durable === false ? 'none' : durable);
    }
  }
});

trees('ends with the first failure and tells what is whole', async (t, _, inner) => {
  const root = scratch(t);
  const source = join(root, 'source');
  makeTree(source);
  for (let at = 0; at < 40; at++) writeFileSync(join(source, `more-${at}`), 'more');
  for (const face of faces) {
    let renames = 0;
    const judge: Judge = ({ code }) =>
      code === Code.Rename && ++renames === 8 ? { refuse: 'ENOSPC' } : undefined;
    const engine = new FaultyEngine(inner, judge);
    const target = join(root, `target-${face}`);
    const before = openDescriptors();
    await rejects(treeWith(face, engine)(source, target, { concurrency: 4 }), (error) => {
      ok(error instanceof CopyTreeError && error instanceof IoError);
      deepEqual([error.code, error.kind, error.step], ['ENOSPC', 'no-space', 'rename']);
      ok(error.path?.startsWith(source) && error.dest?.startsWith(target));
      const { files, bytes } = error.completed;
      equal(error.bytesDone, bytes);
      const whole = Object.entries(pictureOf(target)).filter(([, words]) => /^[0-7]+ /.test(words));
      ok(files > 0 && files <= whole.length && whole.length < 40, `${files} of ${whole.length}`);
      return true;
    });
    ok(renames < 30, 'what had not begun did not begin');
    deepEqual(temporariesIn(target), []);
    deepEqual([...engine.open], []);
    assertNoNewDescriptors(before);
  }
});

onEngines('copyTree() aborted tells what is whole', async (t, engine) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  makeTree(source);
  for (let at = 0; at < 40; at++) writeFileSync(join(source, `more-${at}`), 'more');
  const controller = new AbortController();
  let files = 0;
  const onProgress = (one: CopyTreeProgress): void => {
    files = one.files;
    if (files > 10) controller.abort('enough');
  };
  const { signal } = controller;
  await rejects(copyTree(source, target, { engine, signal, onProgress }), (error) => {
    ok(error instanceof AbortError);
    equal(error.cause, 'enough');
    const { completed } = error as AbortError & { completed: CopyTreeReport };
    ok(completed.files >= files && completed.files < 54);
    equal(error.bytesDone, completed.bytes);
    return true;
  });
  deepEqual(temporariesIn(target), []);
  const early = copyTree(source, join(root, 'no'), { engine, signal: AbortSignal.abort() });
  await rejects(early, AbortError);
  ok(!existsSync(join(root, 'no')));
});

test('copyTree() keeps attributes and ACLs of directories, and gives none away', async (t) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const engine = engineHere('pool');
  if (typeof engine === 'string') return t.skip(`needs the addon: ${engine}`);
  for (const face of faces) {
    const source = join(mount.path, `source-${face}`);
    mkdirSync(join(source, 'd'), { recursive: true });
    mkdirSync(join(source, 'plain'), { mode: 0o750 });
    writeFileSync(join(source, 'plain/file'), 'x', { mode: 0o640 });
    setAttribute(join(source, 'd'), 'user.holdfast', Buffer.from('kept'));
    setDefaultAccess(join(source, 'd'), 'u:77:rx');
    const above = join(mount.path, `above-${face}`);
    mkdirSync(above);
    setDefaultAccess(above, 'u:99:rwx', 'g:98:rwx');
    await treeWith(face, engine)(source, join(above, 'target'));
    for (const name of ['', 'd', 'plain', 'plain/file']) {
      const [from, to] = [join(source, name), join(above, 'target', name)];
      deepEqual(accessOf(to), accessOf(from), name);
      deepEqual(attributesOf(to), attributesOf(from), name);
    }
  }
});

for (const kind of ['ext4', 'xfs'] as const) {
  test(`copyTree() that has resolved survives a power cut on ${kind}`, async (t) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const source = join(scratch(t), 'source');
    makeTree(source);
    const expected = pictureOf(source);
    for (const word of engineWords) {
      const engine = engineOr(word);
      if (typeof engine === 'string') continue;
      for (const face of faces) {
        const target = join(mount.path, `${word}-${face}`);
        await treeWith(face, engine)(source, target);
        mount.cutPower();
        deepEqual(pictureOf(target), expected);
      }
    }
  });
}

test('copyTree() refuses bad input before anything happens', async (t) => {
  const root = scratch(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  mkdirSync(source);
  const wrong: readonly [object, RegExp][] = [
    [{ concurrency: 0 }, /"options.concurrency"/],
    [{ concurrency: '4' }, /"options.concurrency"/],
    [{ special: 'copy' }, /"options.special"/],
    [{ filter: true }, /"options.filter"/],
    [{ onProgress: 'x' }, /"options.onProgress"/],
    [{ reflink: 3 }, /"options.reflink"/],
    [{ durable: 'yes' }, /"options.durable"/],
  ];
  for (const [options, words] of wrong) {
    await rejects(copyTree(source, target, options), words);
    throws(() => copyTreeSync(source, target, options), words);
  }
  ok(!existsSync(target));
});

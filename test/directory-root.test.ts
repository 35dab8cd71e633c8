/** openRoot(): the same calls inside, and nobody gets out: by a path, a link, or a race. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Engine, openRoot, openRootSync, Root } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { Code, type Operation } from '#holdfast/platform.js';
import { refusedAs } from './directory/doors.js';
import { engineHere, engineWords, onEngines } from './replace/worlds.js';
import { Child, outputOf } from './support/child.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

interface Jailed {
  readonly root: Root;
  /** The directory around the root, with a secret in it. */
  readonly home: string;
  readonly inside: string;
}

/** A root with links in it that lead everywhere. */
function plant(t: TestContext): { home: string; inside: string } {
  const home = scratch(t);
  const inside = join(home, 'root');
  mkdirSync(join(inside, 'a/b'), { recursive: true });
  mkdirSync(join(home, 'outside/deep'), { recursive: true });
  writeFileSync(join(home, 'outside/secret'), 'secret');
  writeFileSync(join(inside, 'a/file'), 'content');
  symlinkSync('/', join(inside, 'slash'));
  symlinkSync(join(home, 'outside'), join(inside, 'absolute'));
  symlinkSync('../outside', join(inside, 'up'));
  symlinkSync('a/../../outside/secret', join(inside, 'winding'));
  symlinkSync('up/secret', join(inside, 'twice'));
  symlinkSync('../../root/../outside', join(inside, 'a/long'));
  symlinkSync('..', join(inside, 'parent'));
  symlinkSync('/proc/self/root', join(inside, 'magic'));
  symlinkSync('a', join(inside, 'inner'));
  symlinkSync('../inner/file', join(inside, 'a/kept'));
  symlinkSync('loop', join(inside, 'loop'));
  return { home, inside };
}

type Run = (t: TestContext, jailed: Jailed) => Promise<void>;

/** One test by each way of resolving, on each engine that has it. */
function inRoots(name: string, run: Run): void {
  for (const word of engineWords) {
    for (const resolve of ['kernel', 'walk'] as const) {
      test(`${name} (${word}, ${resolve})`, async (t) => {
        const engine = engineHere(word);
        if (typeof engine === 'string') return t.skip(engine);
        const { home, inside } = plant(t);
        const root = await openRoot(inside, { engine, resolve }).catch((error) => error as Error);
        if (!(root instanceof Root)) {
          equal(word, 'portable', root.message);
          equal((root as Error & { kind?: string }).kind, 'unsupported');
          return;
        }
        equal(root.explain().resolution, resolve);
        await run(t, { root, home, inside });
        await root.close();
      });
    }
  }
}

const ESCAPES = [
  '..',
  '../outside/secret',
  'a/../../outside/secret',
  'a/..',
  '/etc/passwd',
  '/',
  'slash/etc/passwd',
  'absolute/secret',
  'up/secret',
  'winding',
  'twice',
  'a/long/secret',
  'parent/outside/secret',
  'magic/etc/passwd',
  './/../outside',
];

inRoots('Root refuses every path that leads out', async (_t, { root, home }) => {
  const before = openDescriptors();
  const kindOf = async (done: Promise<unknown>): Promise<string> => {
    return (await refusedAs(done)).split(' ').slice(0, 2).join(' ');
  };
  for (const path of ESCAPES) {
    const inner = `${path}/x`.replace('secret/x', 'x').replace('passwd/x', 'x');
    const tries: Record<string, () => Promise<unknown>> = {
      openFile: () => root.openFile(path, { access: 'read' }),
      readFile: () => root.readFile(path),
      stat: () => root.stat(path),
      listDirectory: () => root.listDirectory(path),
      makeDirectory: () => root.makeDirectory(`${inner}/y`),
      replaceFile: () => root.replaceFile(path, 'stolen'),
      create: () => root.openFile(inner, { access: 'write', create: true }),
      move: () => root.moveFile('a/file', inner),
      moveOut: () => root.moveFile(inner, 'a/stolen'),
      findFiles: () => root.findFiles(path, '**'),
    };
    for (const [name, attempt] of Object.entries(tries)) {
      const isLeaf = ['winding', 'twice'].includes(path);
      const told = await kindOf(attempt());
      /* Names in what is a file: it does not get so far as to lead out. */
      if (isLeaf && told.startsWith('ENOTDIR')) continue;
      equal(told, 'ERR_ESCAPE escape', `${name} ${path}`);
    }
  }
  equal(await kindOf(root.readFile('loop')), 'ELOOP loop');
  deepEqual(readdirSync(join(home, 'outside')).sort(), ['deep', 'secret']);
  equal(readFileSync(join(home, 'outside/secret'), 'utf8'), 'secret');
  assertNoNewDescriptors(before);
});

inRoots('Root does the same calls inside', async (_t, { root, home, inside }) => {
  const before = openDescriptors();
  equal(Buffer.from(await root.readFile('a/file')).toString(), 'content');
  equal(Buffer.from(root.readFileSync('a/kept')).toString(), 'content', 'a link that stays inside');
  equal(Buffer.from(await root.readFile('./inner//file')).toString(), 'content');
  const made = await root.makeDirectory('inner/c/d');
  deepEqual(made.created, ['inner/c', 'inner/c/d']);
  ok(lstatSync(join(inside, 'a/c/d')).isDirectory());
  deepEqual(root.makeDirectorySync('x').created, ['x']);
  const report = await root.replaceFile('a/kept', 'replaced');
  deepEqual([report.durability, report.replaced], ['full', true]);
  equal(readFileSync(join(inside, 'a/file'), 'utf8'), 'replaced', 'through the link');
  ok(lstatSync(join(inside, 'a/kept')).isSymbolicLink());
  root.replaceFileSync('a/kept', 'here', { followSymlink: false });
  ok(lstatSync(join(inside, 'a/kept')).isFile());
  await root.replaceFile(
    'x/pieces',
    (async function* () {
      yield 'in ';
      yield 'pieces';
    })(),
  );
  equal(readFileSync(join(inside, 'x/pieces'), 'utf8'), 'in pieces');
  const file = await root.openFile('x/open', { access: 'write', create: 'exclusive' });
  await file.writeAt(Buffer.from('open'), 0);
  await file.close();
  equal((await root.stat('x/open')).size, 4);
  equal((await root.stat('up', { followSymlink: false })).kind, 'symlink');
  equal(root.statSync('.').kind, 'directory');
  deepEqual(await root.listDirectory('x'), ['open', 'pieces']);
  deepEqual(root.listDirectorySync('a/c'), ['d']);
  equal((await root.moveFile('x/open', 'a/c/moved')).method, 'rename');
  deepEqual(await root.findFiles('.', '**/moved'), ['a/c/moved']);
  deepEqual(root.findFilesSync('a', 'c/*'), ['a/c/moved']);
  const paths: string[] = [];
  for await (const { path } of root.scanDirectory('a', { recursive: true })) paths.push(path);
  deepEqual(paths.sort(), ['a/b', 'a/c', 'a/c/d', 'a/c/moved', 'a/file', 'a/kept', 'a/long']);
  equal([...root.scanDirectorySync('.')].length, readdirSync(inside).length);
  equal((await root.countDirectory('x')).files, 1);
  equal((await root.removeFile('a/long')).removed, true);
  deepEqual((await root.removeTree('a')).directories, 4);
  equal((await root.removeTree('absolute')).files, 1, 'the link, not what it leads to');
  equal(root.removeTreeSync('none').files, 0);
  deepEqual(readdirSync(join(home, 'outside')).sort(), ['deep', 'secret']);
  assertNoNewDescriptors(before);
});

inRoots('Root takes names that are not UTF-8', async (_t, { root, inside }) => {
  const raw = Buffer.from([0x66, 0xff]);
  const below = Buffer.concat([raw, Buffer.from('/gr\u00fcn')]);
  await root.makeDirectory(below);
  await root.replaceFile(Buffer.concat([below, Buffer.from('/file')]), 'x');
  const names = await root.listDirectory(raw, { encoding: 'buffer' });
  deepEqual(names, [Buffer.from('gr\u00fcn')]);
  ok(existsSync(Buffer.concat([Buffer.from(`${inside}/`), below])));
  for (const entry of root.scanDirectorySync(raw, { recursive: true })) {
    if (entry.kind === 'file') equal((await root.readFile(entry.bytes as Uint8Array)).length, 1);
  }
});

inRoots('Root holds on to its directory when that is moved', async (_t, { root, home, inside }) => {
  renameSync(inside, join(home, 'moved'));
  mkdirSync(inside);
  writeFileSync(join(inside, 'other'), '');
  equal(Buffer.from(await root.readFile('a/file')).toString(), 'content');
  await root.replaceFile('a/file', 'new');
  equal(readFileSync(join(home, 'moved/a/file'), 'utf8'), 'new');
  deepEqual(readdirSync(inside), ['other']);
});

inRoots('Root that is closed refuses, after what is under way', async (_t, { root }) => {
  const before = openDescriptors();
  const reading = root.readFile('a/file');
  const closing = root.close();
  equal(root.isClosed, true);
  equal((await reading).length, 7);
  await closing;
  equal(await refusedAs(root.readFile('a/file')), 'EBADF closed ');
  equal(await refusedAs(root.listDirectory()), 'EBADF closed ');
  equal(openDescriptors().size, before.size - 1);
});

/** An engine that lets something happen before the n-th operation that names a place. */
function between(engine: Engine, n: number, happen: () => void): Engine {
  let left = n;
  const look = (head: Operation): void => {
    for (let at: Operation | undefined = head; at; at = at.next) {
      const isNamed = at.place !== undefined && at.code !== Code.ReadEntries;
      if (isNamed && --left === 0) happen();
    }
  };
  return Object.create(engine, {
    capabilities: { value: engine.capabilities },
    name: { value: engine.name },
    perform: {
      value: (head: Operation) => {
        look(head);
        engine.perform(head);
      },
    },
  }) as Engine;
}

/** What becomes a link to what is outside. */
const SWAPS = [
  { name: 'a/b', outside: 'outside' },
  { name: 'a/b/target', outside: 'outside/target' },
];

const LOOSE = { durable: false } as const;

const WORKS: readonly ((root: Root) => unknown)[] = [
  (root) => root.readFileSync('a/b/target'),
  (root) => root.replaceFileSync('a/b/target', 'inside', LOOSE),
  (root) => root.makeDirectorySync('a/b/new/er', LOOSE),
  (root) => root.removeFileSync('a/b/target', LOOSE),
  (root) => root.removeTreeSync('a/b', LOOSE),
  (root) => root.moveFileSync('a/b/target', 'a/b/moved', LOOSE),
  (root) => root.findFilesSync('a', '**'),
  (root) => root.openFileSync('a/b/target', { access: 'write', truncate: true }).closeSync(),
];

/** One call with one swap before its n-th operation; whether it came so far. */
function swapped(
  t: TestContext,
  engine: Engine,
  n: number,
  work: (root: Root) => unknown,
): boolean {
  let isSwapped = false;
  for (const { name, outside } of SWAPS) {
    for (const resolve of ['kernel', 'walk'] as const) {
      if (resolve === 'kernel' && engine.capabilities['paths-beneath'] !== true) continue;
      const { home, inside } = plant(t);
      writeFileSync(join(inside, 'a/b/target'), 'inside');
      writeFileSync(join(home, 'outside/target'), 'outside');
      writeFileSync(join(home, 'outside/deep/target'), 'outside');
      const sly = between(engine, n, () => {
        isSwapped = true;
        if (!existsSync(join(inside, name))) return;
        renameSync(join(inside, name), join(home, 'old'));
        symlinkSync(join(home, outside), join(inside, name));
      });
      const root = openRootSync(inside, { engine: sly, resolve });
      let answer: unknown;
      try {
        answer = work(root);
      } catch {}
      root.closeSync();
      if (answer instanceof Uint8Array) equal(Buffer.from(answer).toString(), 'inside');
      if (Array.isArray(answer)) ok(!answer.some((path) => String(path).includes('secret')));
      deepEqual(readdirSync(join(home, 'outside')).sort(), ['deep', 'secret', 'target']);
      equal(readFileSync(join(home, 'outside/target'), 'utf8'), 'outside');
      deepEqual(readdirSync(join(home, 'outside/deep')), ['target']);
    }
  }
  return isSwapped;
}

/*
 * Whoever checks a path and then uses it can be led out in between, by an exchange of a directory
 * for a link (runc, CVE-2021-30465). Here one is exchanged before each of the calls that a door
 * makes, one after the other: what is written must never be outside.
 */
onEngines('Root is not led out whenever a directory becomes a link', (t, engine) => {
  let swaps = 0;
  for (const work of WORKS) {
    let n = 1;
    while (swapped(t, engine, n, work)) n++;
    swaps += n - 1;
  }
  ok(swaps > 20, `${swaps} swaps`);
});

for (const word of engineWords) {
  for (const resolve of ['kernel', 'walk'] as const) {
    test(`Root stands a process that swaps all the time (${word}, ${resolve})`, async (t) => {
      const engine = engineHere(word);
      if (typeof engine === 'string') return t.skip(engine);
      if (resolve === 'kernel' && engine.capabilities['paths-beneath'] !== true) return;
      const { home, inside } = plant(t);
      const source = `
        import { renameSync, symlinkSync, mkdirSync } from 'node:fs';
        const [home, inside] = process.argv.slice(1);
        symlinkSync(home + '/outside', home + '/link');
        mkdirSync(inside + '/swap');
        console.log('ready');
        const quietly = (work) => { try { work(); } catch {} };
        const end = Date.now() + 20000;
        while (Date.now() < end) {
          quietly(() => renameSync(inside + '/swap', home + '/kept'));
          quietly(() => renameSync(home + '/link', inside + '/swap'));
          quietly(() => renameSync(inside + '/swap', home + '/link'));
          quietly(() => renameSync(home + '/kept', inside + '/swap'));
        }`;
      const child = new Child({ source, args: [home, inside] });
      await child.waitFor(/ready/);
      const root = await openRoot(inside, { engine, resolve });
      let done = 0;
      let refused = 0;
      const attempt = (work: Promise<unknown>): Promise<void> =>
        work.then(
          () => void done++,
          () => void refused++,
        );
      for (let turn = 0; turn < 80 || (turn < 3000 && (done < 20 || refused < 20)); turn++) {
        await attempt(root.replaceFile('swap/stolen', 'x', { durable: false }));
        await attempt(root.makeDirectory('swap/stolen-directory', { durable: false }));
        await attempt(root.readFile('swap/secret').then(() => ok(false, 'read the secret')));
        await attempt(root.removeTree('swap/deep', { durable: false }));
      }
      await child.kill();
      await root.close();
      deepEqual(readdirSync(join(home, 'outside')).sort(), ['deep', 'secret']);
      ok(done > 0 && refused > 0, `${done} done, ${refused} refused: the race was no race`);
    });
  }
}

test('openRoot() falls back to the walk where openat2 is refused, and says so', async (t) => {
  const { inside } = plant(t);
  const engine = engineHere('pool');
  if (typeof engine === 'string') return t.skip(engine);
  for (const [errno, code] of [
    [-38, 'ENOSYS'],
    [-1, 'EPERM'],
  ] as const) {
    const without = Object.create(engine, {
      capabilities: { value: engine.capabilities },
      name: { value: 'pool' },
      perform: {
        value: (head: Operation) => {
          if (head.code === Code.OpenBeneath) head.result = errno;
          else engine.perform(head);
        },
      },
    }) as Engine;
    const root = openRootSync(inside, { engine: without });
    equal(root.explain().resolution, 'walk');
    equal(root.explain().reason, `openat2 answers ${code}`);
    equal(root.readFileSync('a/kept').length, 7);
    equal([...root.scanDirectorySync('.', { recursive: true })].length, 14);
    root.closeSync();
    const kernel = (): Root => openRootSync(inside, { engine: without, resolve: 'kernel' });
    await rejects(async () => kernel(), { kind: 'unsupported' });
  }
});

test('openRoot() under seccomp that refuses openat2 still holds', async (t) => {
  const { inside } = plant(t);
  const compiled = spawnSync('sh', ['-c', 'command -v cc']).status === 0;
  if (!compiled) return t.skip('cc is not installed');
  const launcher = join(scratch(t), 'launcher');
  const program = `
    #include <stddef.h>
    #include <linux/filter.h>
    #include <linux/seccomp.h>
    #include <sys/prctl.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
      struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 437, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      };
      struct sock_fprog program = {4, filter};
      if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 1;
      if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 2;
      execvp(argv[1], argv + 1);
      return 3;
    }`;
  const made = spawnSync('cc', ['-x', 'c', '-', '-o', launcher], { input: program });
  equal(made.status, 0, String(made.stderr));
  const source = `
    import { openRoot } from 'holdfast';
    const root = await openRoot(process.argv[1]);
    const told = await root.readFile('up/secret').catch(({ kind }) => kind);
    console.log([root.explain().reason, told, (await root.readFile('a/kept')).length].join('; '));`;
  const told = await outputOf({ source, args: [inside], under: [launcher] });
  const engine = engineHere('pool');
  if (typeof engine !== 'string') equal(told, 'openat2 answers EPERM; escape; 7\n');
});

test('openRoot() refuses where names cannot be seen from a directory', async () => {
  const disk = simulatedDisk(1, { without: { 'held-directories': 'for the test' } });
  disk.makeDirectory('/root');
  const options = { engine: disk.engine };
  await rejects(openRoot('/root', options), { kind: 'unsupported', code: 'ENOTSUP' });
  deepEqual(disk.openDescriptors, []);
});

test('openRoot() refuses bad input and what is no directory', async (t) => {
  const { inside } = plant(t);
  await rejects(openRoot(''), TypeError);
  await rejects(openRoot(inside, { resolve: 'never' as 'walk' }), TypeError);
  equal(await refusedAs(openRoot(join(inside, 'a/file'))), 'ENOTDIR wrong-type open the directory');
  equal(await refusedAs(openRoot(join(inside, 'none'))), 'ENOENT not-found open the directory');
});

for (const resolve of ['kernel', 'walk'] as const) {
  test(`Root on a simulated disk leads nobody out (${resolve})`, async () => {
    const disk = simulatedDisk(1);
    disk.put('/outside/secret', 'secret');
    disk.put('/root/a/file', 'content');
    disk.makeLink('/root/up', '../outside');
    disk.makeLink('/root/absolute', '/outside');
    disk.makeLink('/root/inner', 'a/../a/file');
    const root = await openRoot('/root', { engine: disk.engine, resolve });
    for (const path of ['up/secret', 'absolute/secret', '../outside/secret', '/outside/secret']) {
      await rejects(root.readFile(path), { kind: 'escape' }, path);
    }
    equal(Buffer.from(await root.readFile('inner')).toString(), 'content');
    await root.replaceFile('b', 'new');
    await root.close();
    deepEqual(disk.openDescriptors, []);
    equal(Buffer.from(disk.crash({ keep: 'none' }).read('/root/b') ?? []).toString(), 'new');
  });
}

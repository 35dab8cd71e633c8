/** removeFile() and removeTree(): what goes, what stays, and who cannot lead them astray. */
import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AbortError, type Engine, removeTree, removeTreeSync } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { Code, type Operation } from '#holdfast/platform.js';
import { Doors, onAllDoors, refusedAs } from './directory/doors.js';
import { engineHere, engineWords, missingHere, needsRoot } from './replace/worlds.js';
import { Child, hasTool, outputOf } from './support/child.js';
import { mountFor } from './support/mounts.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';
import { callsBetween, markSource, traceFor } from './support/strace.js';

/** A tree with something of each kind in it; 9 files and links, 5 directories. */
function plant(home: string): string {
  const tree = join(home, 'tree');
  mkdirSync(join(tree, 'a/b/c'), { recursive: true });
  mkdirSync(join(tree, 'empty'));
  for (const name of ['one', 'a/two', 'a/b/three', 'a/b/c/four', '.hidden']) {
    writeFileSync(join(tree, name), name);
  }
  mkdirSync(join(home, 'outside'), { recursive: true });
  writeFileSync(join(home, 'outside/kept'), 'kept');
  symlinkSync(join(home, 'outside'), join(tree, 'a/away'));
  symlinkSync('../../..', join(tree, 'a/b/up'));
  symlinkSync('nowhere', join(tree, 'dangling'));
  spawnSync('mkfifo', [join(tree, 'fifo')]);
  return tree;
}

onAllDoors('removeFile() removes one name and tells', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  writeFileSync(join(home, 'file'), '');
  const report = await doors.removeFile(join(home, 'file'));
  deepEqual(report, {
    path: join(home, 'file'),
    removed: true,
    durability: 'full',
    engine: doors.engine.name,
    fallbacks: [],
  });
  equal((await doors.removeFile(join(home, 'file'), { mustExist: false })).removed, false);
  equal(
    (await doors.removeFile(join(home, 'none'), { mustExist: false, durable: false })).durability,
    'none',
  );
  deepEqual(readdirSync(home), []);
  assertNoNewDescriptors(before);
});

onAllDoors('removeFile() removes links, FIFOs and any name, and opens none', async (t, doors) => {
  const home = scratch(t);
  writeFileSync(join(home, 'kept'), 'kept');
  symlinkSync('kept', join(home, 'link'));
  spawnSync('mkfifo', [join(home, 'fifo')]);
  const raw = Buffer.concat([Buffer.from(`${home}/`), Buffer.from([0xff, 0x0a, 0x80])]);
  writeFileSync(raw, '');
  writeFileSync(join(home, 'n'.repeat(255)), '');
  for (const path of [join(home, 'link'), join(home, 'fifo'), raw, join(home, 'n'.repeat(255))]) {
    equal((await doors.removeFile(path)).removed, true);
  }
  deepEqual(readdirSync(home), ['kept']);
});

onAllDoors('removeFile() refuses what it cannot remove', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  mkdirSync(join(home, 'directory'));
  writeFileSync(join(home, 'file'), '');
  const refused = (name: string): Promise<string> => refusedAs(doors.removeFile(join(home, name)));
  equal(await refused('none'), 'ENOENT not-found unlink');
  equal(await refused('directory'), 'EISDIR wrong-type unlink');
  equal(await refused('none/file'), 'ENOENT not-found open the directory');
  equal(await refused('file/file'), 'ENOTDIR wrong-type open the directory');
  equal(await refusedAs(doors.removeFile(`${home}/..`)), 'EINVAL invalid inspect');
  assertNoNewDescriptors(before);
});

onAllDoors('removeTree() removes all of a tree, counts it, follows no link', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  const tree = plant(home);
  const report = await doors.removeTree(`${tree}/`);
  const told = { path: tree, files: 9, directories: 5, durability: 'full', fallbacks: [] };
  deepEqual(report, { ...told, engine: doors.engine.name });
  deepEqual(readdirSync(home), ['outside']);
  deepEqual(readdirSync(join(home, 'outside')), ['kept']);
  assertNoNewDescriptors(before);
});

onAllDoors('removeTree() takes a file, a link, and nothing', async (t, doors) => {
  const home = scratch(t);
  mkdirSync(join(home, 'outside'));
  writeFileSync(join(home, 'outside/kept'), '');
  symlinkSync('outside', join(home, 'link'));
  writeFileSync(join(home, 'file'), '');
  const counted = async (name: string): Promise<number[]> => {
    const { files, directories } = await doors.removeTree(join(home, name));
    return [files, directories];
  };
  deepEqual(await counted('link'), [1, 0]);
  deepEqual(await counted('file'), [1, 0]);
  deepEqual(await counted('none'), [0, 0]);
  const must = doors.removeTree(join(home, 'none'), { mustExist: true });
  equal(await refusedAs(must), 'ENOENT not-found inspect');
  equal(await refusedAs(doors.removeTree('/')), 'EINVAL invalid inspect');
  equal(
    await refusedAs(doors.removeTree(`${join(home, 'outside', '.')}/.`)),
    'EINVAL invalid inspect',
  );
  deepEqual(readdirSync(join(home, 'outside')), ['kept']);
});

/*
 * A tree deeper than a path can be, and than descriptors should be held: its paths have no end, and
 * the upper directories are found again through `..`.
 */
onAllDoors('removeTree() removes a tree deeper than any path', async (t, doors) => {
  const home = scratch(t);
  const source = `
    import { mkdirSync, writeFileSync } from 'node:fs';
    process.chdir(process.argv[1]);
    for (let depth = 0; depth < 200; depth++) {
      mkdirSync('d'.repeat(40));
      writeFileSync('file', '');
      process.chdir('d'.repeat(40));
    }`;
  mkdirSync(join(home, 'tree'));
  await outputOf({ source, args: [join(home, 'tree')] });
  const { files, directories } = await doors.removeTree(join(home, 'tree'));
  deepEqual([files, directories], [200, 201]);
  deepEqual(readdirSync(home), []);
});

test('removeTree() holds no more directories than it has to', () => {
  const disk = simulatedDisk(1, { descriptorsMax: 70 });
  disk.put(`/tree/${'d/'.repeat(300)}file`, 'x');
  const { directories } = removeTreeSync('/tree', { engine: disk.engine });
  equal(directories, 301);
  deepEqual(disk.list('/'), []);
});

onAllDoors('removeTree() removes a directory of thousands', async (t, doors) => {
  const home = scratch(t);
  mkdirSync(join(home, 'tree'));
  for (let index = 0; index < 1000; index++) {
    writeFileSync(join(home, `tree/${'n'.repeat(120)}${index}`), '');
  }
  equal((await doors.removeTree(join(home, 'tree'))).files, 1000);
  deepEqual(readdirSync(home), []);
});

test('removeTree() beside others that remove the same tree removes it once', async (t) => {
  for (const word of engineWords) {
    const engine = engineHere(word);
    if (typeof engine === 'string') continue;
    const home = scratch(t);
    for (let index = 0; index < 30; index++) {
      mkdirSync(join(home, `tree/${index % 5}/${index}`), { recursive: true });
      writeFileSync(join(home, `tree/${index % 5}/${index}/file`), '');
    }
    const doors = new Doors('async', engine);
    const reports = await Promise.all([1, 2, 3, 4].map(() => doors.removeTree(join(home, 'tree'))));
    const sum = (key: 'files' | 'directories'): number => {
      return reports.reduce((total, report) => total + report[key], 0);
    };
    deepEqual([sum('files'), sum('directories')], [30, 36]);
    deepEqual(readdirSync(home), []);
  }
});

/** An engine that lets something happen before each operation of a code. */
function before(engine: Engine, code: Code, happen: (operation: Operation) => void): Engine {
  const look = (head: Operation): void => {
    for (let at: Operation | undefined = head; at; at = at.next) if (at.code === code) happen(at);
  };
  return Object.create(engine, {
    perform: {
      value: (head: Operation) => {
        look(head);
        engine.perform(head);
      },
    },
    capabilities: { value: engine.capabilities },
  }) as Engine;
}

/*
 * Who looks at a name, sees a directory, and goes into what is a link by then removes files that
 * somebody else has chosen, with all the rights he has (Rust's remove_dir_all, CVE-2022-21658). The
 * opening is O_NOFOLLOW and relative to the directory that is held.
 */
test('removeTree() is not led away by a directory swapped for a link', (t) => {
  for (const word of engineWords) {
    const engine = engineHere(word);
    if (typeof engine === 'string') continue;
    const home = scratch(t);
    const tree = plant(home);
    const swapped: string[] = [];
    const swapping = before(engine, Code.Open, ({ place }) => {
      const path = place?.path ?? '';
      if (!path.startsWith(`${tree}/`) || swapped.length > 0) return;
      rmSync(path, { recursive: true });
      symlinkSync(join(home, 'outside'), path);
      swapped.push(path);
    });
    removeTreeSync(tree, { engine: swapping });
    equal(swapped.length, 1, 'somebody came between');
    deepEqual(readdirSync(join(home, 'outside')), ['kept'], word);
    equal(existsSync(tree), false);
  }
});

/* The directory is moved away and another put in its place: names are seen from what is held. */
test('removeTree() is not led away by a moved parent', (t) => {
  for (const word of engineWords) {
    const engine = engineHere(word);
    if (typeof engine === 'string') continue;
    const home = scratch(t);
    const tree = plant(home);
    const victim = join(home, 'victim');
    mkdirSync(join(victim, 'a/b/c'), { recursive: true });
    for (const name of ['one', 'a/two', 'a/b/three']) writeFileSync(join(victim, name), '');
    let moves = 0;
    const moving = before(engine, Code.Unlink, () => {
      if (moves++ > 0) return;
      spawnSync('mv', [tree, join(home, 'moved')]);
      spawnSync('mv', [victim, tree]);
    });
    throws(() => removeTreeSync(tree, { engine: moving }), { code: 'ENOTEMPTY' });
    deepEqual(readdirSync(tree).sort(), ['a', 'one'], 'the tree that was put there stands');
    deepEqual(readdirSync(join(home, 'moved')), [], 'the one that was meant is empty');
  }
});

test('removeTree() stands a process that swaps directories all the time', async (t) => {
  const home = scratch(t);
  mkdirSync(join(home, 'outside/deep'), { recursive: true });
  writeFileSync(join(home, 'outside/deep/kept'), '');
  const source = `
    import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
    const [home] = process.argv.slice(1);
    console.log('ready');
    const quietly = (work) => { try { work(); } catch {} };
    const end = Date.now() + 20000;
    for (let turn = 0; Date.now() < end; turn++) {
      quietly(() => mkdirSync(home + '/tree/x/deep', { recursive: true }));
      quietly(() => symlinkSync(home + '/outside', home + '/link' + turn));
      quietly(() => renameSync(home + '/tree/x', home + '/old' + turn));
      quietly(() => renameSync(home + '/link' + turn, home + '/tree/x'));
      quietly(() => rmSync(home + '/old' + turn, { recursive: true }));
      quietly(() => rmSync(home + '/link' + turn));
    }`;
  const child = new Child({ source, args: [home] });
  await child.waitFor(/ready/);
  for (let turn = 0; turn < 300; turn++) {
    await removeTree(join(home, 'tree')).catch(({ code }) => equal(code, 'ENOTEMPTY'));
  }
  await child.kill();
  deepEqual(readdirSync(join(home, 'outside/deep')), ['kept']);
});

for (const word of engineWords) {
  const skip = missingHere(word);
  test(`removeTree() syncs the one directory that owes it (${word})`, { skip }, async (t) => {
    const home = scratch(t);
    plant(home);
    const source = `${markSource}
      import { configure, removeTreeSync } from 'holdfast';
      configure({ engine: '${word}' });
      mark('begin'); removeTreeSync(process.argv[1] + '/tree'); mark('end');`;
    const calls = ['fsync', 'rmdir', 'unlink', 'unlinkat'];
    const trace = await traceFor(t, { source, args: [home], calls, stringBytesMax: 300 });
    if (trace === undefined) return;
    equal(trace.code, 0, trace.stderr);
    const made = callsBetween(trace.calls, 'begin', 'end');
    equal(made.filter(({ name }) => name !== 'fsync').length, 14);
    const last = made.at(-1);
    deepEqual([last?.name, last?.args.replace(/^\d+/, '')], ['fsync', `<${home}>`]);
    equal(made.filter(({ name }) => name === 'fsync').length, 1);
  });
}

onAllDoors('removeTree() on what cannot be removed tells where', async (t, doors) => {
  if (!needsRoot(t)) return;
  if (!hasTool('chattr')) return t.skip('chattr (e2fsprogs) is not installed');
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  mkdirSync(join(mount.path, 'tree/a'), { recursive: true });
  const held = join(mount.path, 'tree/a/held');
  writeFileSync(held, '');
  spawnSync('chattr', ['+i', held]);
  equal(await refusedAs(doors.removeFile(held)), 'EPERM access unlink');
  await rejects(doors.removeTree(join(mount.path, 'tree')), { code: 'EPERM', path: held });
  equal(await refusedAs(doors.move(held, join(mount.path, 'x'))), 'EPERM access rename');
  spawnSync('chattr', ['-i', held]);
  mount.remount('read-only');
  equal(await refusedAs(doors.removeFile(held)), 'EROFS read-only unlink');
  equal(await refusedAs(doors.removeTree(join(mount.path, 'tree'))), 'EROFS read-only unlink');
});

test('removeTree() ends between two steps when it is aborted, with nothing held', async (t) => {
  const home = scratch(t);
  const tree = plant(home);
  const before = openDescriptors();
  const controller = new AbortController();
  const removal = removeTree(tree, { signal: controller.signal });
  controller.abort();
  await rejects(removal, AbortError);
  chmodSync(tree, 0o755);
  assertNoNewDescriptors(before);
});

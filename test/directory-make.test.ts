/** makeDirectory(): which levels are made, told and synced, and what is refused. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AbortError, makeDirectory, makeDirectorySync } from 'holdfast';
import { onAllDoors, refusedAs } from './directory/doors.js';
import { engineWords, missingHere, needsRoot } from './replace/worlds.js';
import { outputOf } from './support/child.js';
import { mountFor } from './support/mounts.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';
import { callsBetween, markSource, traceFor } from './support/strace.js';

onAllDoors('makeDirectory() makes every level that is absent and tells them', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  mkdirSync(join(home, 'a'));
  const report = await doors.make(`${home}/a/b//c/d/`);
  const made = ['b', 'b//c', 'b//c/d'].map((level) => `${home}/a/${level}`);
  deepEqual(report.created, made);
  equal(report.durability, 'full');
  equal(report.engine, doors.engine.name);
  deepEqual(report.fallbacks, []);
  ok(statSync(join(home, 'a/b/c/d')).isDirectory());
  assertNoNewDescriptors(before);
});

onAllDoors('makeDirectory() finds one that is there', async (t, doors) => {
  const home = scratch(t);
  deepEqual((await doors.make(home)).created, []);
  symlinkSync(home, join(home, 'link'));
  deepEqual((await doors.make(join(home, 'link'))).created, []);
  deepEqual((await doors.make(join(home, 'link/under'))).created, [join(home, 'link/under')]);
  ok(statSync(join(home, 'under')).isDirectory());
  deepEqual((await doors.make('/')).created, []);
  deepEqual((await doors.make('.')).created, []);
});

onAllDoors('makeDirectory() with recursive: false makes one', async (t, doors) => {
  const home = scratch(t);
  const one = { recursive: false };
  equal(await refusedAs(doors.make(join(home, 'a/b'), one)), 'ENOENT not-found open the directory');
  deepEqual((await doors.make(join(home, 'a'), one)).created, [join(home, 'a')]);
  equal(await refusedAs(doors.make(join(home, 'a'), one)), 'EEXIST exists make');
  equal(await refusedAs(doors.make('/', one)), 'EINVAL invalid inspect');
});

onAllDoors('makeDirectory() refuses what stands in the way', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  writeFileSync(join(home, 'file'), '');
  symlinkSync('nowhere', join(home, 'dangling'));
  symlinkSync('file', join(home, 'link'));
  for (const name of ['file', 'dangling', 'link']) {
    equal(await refusedAs(doors.make(join(home, name))), 'EEXIST exists make', name);
  }
  equal(
    await refusedAs(doors.make(join(home, 'file/under'))),
    'ENOTDIR wrong-type open the directory',
  );
  equal(await refusedAs(doors.make(join(home, 'dangling/under'))), 'EEXIST exists make');
  const long = 'n'.repeat(256);
  equal(await refusedAs(doors.make(join(home, 'x', long))), 'ENAMETOOLONG invalid make');
  deepEqual(readdirSync(home).sort(), ['dangling', 'file', 'link', 'x']);
  assertNoNewDescriptors(before);
});

onAllDoors('makeDirectory() takes any name that the system takes', async (t, doors) => {
  const home = scratch(t);
  const names = ['n'.repeat(255), 'new\nline', 'grün', '-rf', '*', ' '];
  for (const name of names) await doors.make(join(home, name, 'under'));
  const raw = Buffer.from([0x66, 0xff, 0xfe]);
  const path = Buffer.concat([Buffer.from(`${home}/`), raw, Buffer.from('/gr\u00fcn')]);
  await doors.make(path);
  const found = readdirSync(home, { encoding: 'buffer' }) as unknown as Buffer[];
  ok(found.some((name) => name.equals(raw)));
  equal(found.length, names.length + 1);
  ok(statSync(path).isDirectory());
});

onAllDoors('makeDirectory() gives each level the mode, less the mask', async (t, doors) => {
  const home = scratch(t);
  await doors.make(join(home, 'a/b'), { mode: 0o1750 });
  for (const name of ['a', 'a/b']) equal(statSync(join(home, name)).mode & 0o7777, 0o1750);
  await doors.make(join(home, 'c'));
  equal(statSync(join(home, 'c')).mode & 0o7777, 0o777 & ~process.umask());
});

onAllDoors('makeDirectory() lets many make the same levels', async (t, doors) => {
  const home = scratch(t);
  const path = join(home, 'a/b/c/d/e');
  const reports = await Promise.all(Array.from({ length: 40 }, () => doors.make(path)));
  const created = reports.flatMap((report) => report.created);
  equal(created.length, 5, 'each level was made once');
  equal(new Set(created).size, 5);
});

test('makeDirectory() lets processes make the same levels', async (t) => {
  const home = scratch(t);
  const source = `
    import { makeDirectory } from 'holdfast';
    let made = 0;
    for (let round = 0; round < 60; round++) {
      const { created } = await makeDirectory(process.argv[1] + '/' + round + '/a/b/c');
      made += created.length;
    }
    console.log(made);`;
  const children = [1, 2, 3].map(() => outputOf({ source, args: [home] }));
  const counts = (await Promise.all(children)).map(Number);
  equal(
    counts.reduce((sum, count) => sum + count, 0),
    240,
  );
});

for (const word of engineWords) {
  const skip = missingHere(word);
  test(`makeDirectory() syncs each level in the directory above it (${word})`, {
    skip,
  }, async (t) => {
    const home = scratch(t);
    const source = `${markSource}
      import { configure, makeDirectorySync } from 'holdfast';
      configure({ engine: '${word}' });
      const home = process.argv[1];
      makeDirectorySync(home + '/warm');
      mark('three'); makeDirectorySync(home + '/a/b/c');
      mark('none'); makeDirectorySync(home + '/a/b/c');
      mark('loose'); makeDirectorySync(home + '/x/y', { durable: false });
      mark('end');`;
    const calls = ['openat', 'mkdir', 'mkdirat', 'fsync'];
    const trace = await traceFor(t, { source, args: [home], calls, stringBytesMax: 300 });
    if (trace === undefined) return;
    equal(trace.code, 0, trace.stderr);
    const synced = (from: string, to: string): string[] =>
      callsBetween(trace.calls, from, to)
        .filter(({ name }) => name === 'fsync')
        .map(({ args }) => /<(.*)>/.exec(args)?.[1] ?? args);
    deepEqual(synced('three', 'none'), [home, join(home, 'a'), join(home, 'a/b')]);
    deepEqual(synced('none', 'loose'), [join(home, 'a/b')], 'one that stood is settled too');
    deepEqual(synced('loose', 'end'), []);
  });
}

const NOBODY = 65534;

test('makeDirectory() without the right is EACCES, and leaves nothing', async (t) => {
  if (!needsRoot(t)) return;
  const home = scratch(t);
  chmodSync(home, 0o755);
  const source = `
    import { makeDirectory, removeFile, moveFile, removeTree } from 'holdfast';
    process.setgroups([]); process.setgid(${NOBODY}); process.setuid(${NOBODY});
    const [home] = process.argv.slice(1);
    const told = [];
    const tell = (done) => done.then(() => 'done', ({ code, kind }) => code + ' ' + kind);
    told.push(await tell(makeDirectory(home + '/a/b')));
    told.push(await tell(removeFile(home + '/file')));
    told.push(await tell(removeTree(home + '/tree')));
    told.push(await tell(moveFile(home + '/file', home + '/other')));
    told.push(await tell(removeFile(home + '/sticky/file')));
    console.log(JSON.stringify(told));`;
  writeFileSync(join(home, 'file'), '');
  mkdirSync(join(home, 'tree/under'), { recursive: true });
  mkdirSync(join(home, 'sticky'));
  writeFileSync(join(home, 'sticky/file'), '');
  chmodSync(join(home, 'sticky'), 0o1777);
  const told = JSON.parse(await outputOf({ source, args: [home] })) as string[];
  /* In a sticky directory it is EPERM: unlink(2). */
  deepEqual(
    told,
    ['EACCES', 'EACCES', 'EACCES', 'EACCES', 'EPERM'].map((code) => `${code} access`),
  );
  deepEqual(readdirSync(home).sort(), ['file', 'sticky', 'tree']);
  ok(statSync(join(home, 'tree/under')).isDirectory());
});

onAllDoors('makeDirectory() on a read-only file system is EROFS', async (t, doors) => {
  const mount = mountFor(t, 'tmpfs');
  if (mount === undefined) return;
  mkdirSync(join(mount.path, 'there'));
  mount.remount('read-only');
  equal(await refusedAs(doors.make(join(mount.path, 'a/b'))), 'EROFS read-only make');
  deepEqual((await doors.make(join(mount.path, 'there'))).created, []);
});

test('makeDirectory() refuses bad input before anything happens', async (t) => {
  const home = scratch(t);
  const bad: readonly [() => unknown, RegExp][] = [
    [() => makeDirectorySync(''), /"path" must be a path that is not empty/],
    [() => makeDirectorySync('a\0b'), /without NUL/],
    [() => makeDirectorySync(7 as unknown as string), /"path" must be a string/],
    [() => makeDirectorySync(join(home, 'a'), { mode: 0o10000 }), /"options.mode"/],
    [() => makeDirectorySync(join(home, 'a'), { mode: 'x' as unknown as number }), /options.mode/],
    [() => makeDirectorySync(join(home, 'a'), { recursive: 1 as unknown as boolean }), /recursive/],
    [() => makeDirectorySync(join(home, 'a'), { durable: 'file' as 'full' }), /options.durable/],
    [() => makeDirectorySync(join(home, 'a'), null as unknown as object), /"options"/],
  ];
  for (const [call, words] of bad) throws(call, words);
  await rejects(makeDirectory(''), TypeError);
  await rejects(makeDirectory(join(home, 'a'), { timeoutMs: -1 }), RangeError);
  const signal = AbortSignal.abort('enough');
  await rejects(makeDirectory(join(home, 'a'), { signal }), AbortError);
  deepEqual(readdirSync(home), []);
  match(
    String(await makeDirectory(join(home, 'a'), { timeoutMs: 1000 }).then((r) => r.path)),
    /a$/,
  );
});

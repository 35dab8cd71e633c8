/** findFiles(): what each glob finds, and that no glob costs more than it should. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type Engine, findFiles, findFilesSync } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { onAllDoors } from './directory/doors.js';
import { scratch } from './support/scratch.js';

const FILES = [
  'a.ts',
  'a.js',
  'b.ts',
  'ab.ts',
  '.hidden.ts',
  'src/a.ts',
  'src/deep/a.ts',
  'src/deep/er/a.test.ts',
  'src/.git/a.ts',
  'lib/a.ts',
  'lib/[x].ts',
  'lib/{y}.ts',
  'lib/*.ts',
  'lib/grün.ts',
  'lib/\u{1f33f}.ts',
];

const CASES: readonly [pattern: string | readonly string[], found: readonly string[]][] = [
  ['a.ts', ['a.ts']],
  ['*.ts', ['a.ts', 'ab.ts', 'b.ts']],
  ['?.ts', ['a.ts', 'b.ts']],
  ['[ab].ts', ['a.ts', 'b.ts']],
  ['[!a].ts', ['b.ts']],
  ['[^a].ts', ['b.ts']],
  ['[a-b]?.ts', ['ab.ts']],
  ['a.{ts,js}', ['a.js', 'a.ts']],
  ['{a,b}.{ts,js}', ['a.js', 'a.ts', 'b.ts']],
  ['{,src/}a.ts', ['a.ts', 'src/a.ts']],
  ['{a.ts,{b,ab}.ts}', ['a.ts', 'ab.ts', 'b.ts']],
  ['src/**', ['src/a.ts', 'src/deep/a.ts', 'src/deep/er/a.test.ts']],
  ['src/*', ['src/a.ts']],
  ['**/a.ts', ['a.ts', 'lib/a.ts', 'src/a.ts', 'src/deep/a.ts']],
  ['**/deep/**/*.ts', ['src/deep/a.ts', 'src/deep/er/a.test.ts']],
  ['src/**/**/er/*', ['src/deep/er/a.test.ts']],
  ['*/a.ts', ['lib/a.ts', 'src/a.ts']],
  ['./src//a.ts', ['src/a.ts']],
  ['.*', ['.hidden.ts']],
  ['src/.git/*', ['src/.git/a.ts']],
  ['lib/[[]x].ts', ['lib/[x].ts']],
  ['lib/\\[x\\].ts', ['lib/[x].ts']],
  ['lib/{y}.ts', ['lib/{y}.ts']],
  ['lib/\\*.ts', ['lib/*.ts']],
  ['lib/[*].ts', ['lib/*.ts']],
  ['lib/[]x].ts', []],
  ['lib/[x', []],
  ['lib/gr?n.ts', ['lib/grün.ts']],
  ['lib/?.ts', ['lib/*.ts', 'lib/a.ts', 'lib/\u{1f33f}.ts']],
  ['lib/[\u{1f331}-\u{1f340}].ts', ['lib/\u{1f33f}.ts']],
  [
    ['*.js', 'src/*.ts', '*.js'],
    ['a.js', 'src/a.ts'],
  ],
  ['none', []],
  ['src/a.ts/x', []],
];

function plant(home: string): void {
  for (const file of FILES) {
    mkdirSync(dirname(join(home, file)), { recursive: true });
    writeFileSync(join(home, file), '');
  }
  symlinkSync('src', join(home, 'link'));
  symlinkSync('a.ts', join(home, 'link.ts'));
}

function sorted(home: string, names: readonly string[]): string[] {
  return names.map((name) => `${home}/${name}`).sort();
}

onAllDoors('findFiles() finds what a glob means', async (t, doors) => {
  const home = scratch(t);
  plant(home);
  for (const [pattern, found] of CASES) {
    deepEqual(await doors.find(home, pattern), sorted(home, found), String(pattern));
  }
});

onAllDoors('findFiles() passes over dotfiles and links, unless told', async (t, doors) => {
  const home = scratch(t);
  plant(home);
  const dotted = await doors.find(home, '**/*.ts', { dotfiles: true });
  equal(dotted.length, FILES.length - 1);
  const links = await doors.find(home, '**', { kinds: ['symlink'] });
  deepEqual(links, sorted(home, ['link', 'link.ts']), 'found and not followed');
  const directories = await doors.find(home, ['src/**/', '*/']);
  deepEqual(directories, sorted(home, ['lib', 'src', 'src/deep', 'src/deep/er']));
  const ignored = { ignore: ['**/deep', 'lib/**', '*.js'] };
  deepEqual(
    await doors.find(home, '**', ignored),
    sorted(home, ['a.ts', 'ab.ts', 'b.ts', 'src/a.ts']),
  );
});

test('findFiles() does not read directories that no pattern reaches', () => {
  const disk = simulatedDisk(1);
  for (const name of ['src/a/b/file.ts', 'other/deep/file.ts', 'src/x/file.js'])
    disk.put(`/${name}`, '');
  const before = disk.engine.stats().systemCalls.open ?? 0;
  deepEqual(findFilesSync('/', 'src/a/*/*.ts', { engine: disk.engine }), ['/src/a/b/file.ts']);
  const opens = (disk.engine.stats().systemCalls.open ?? 0) - before;
  const beneath = disk.engine.stats().systemCalls.openat2 ?? 0;
  equal(opens + beneath, 2 + 3, '/ and its own answer to openat2; src, a, b');
  const skipped = findFilesSync('/', '**', { engine: disk.engine, ignore: 'src/**' });
  deepEqual(skipped, ['/other/deep/file.ts']);
});

/** How many steps an engine made for a search: reads of directories alone, whatever the glob. */
function filesNamed(name: string): Engine {
  const disk = simulatedDisk(1);
  disk.put(`/${name}`, '');
  return disk.engine;
}

/*
 * A glob made of stars is exponential in matchers that try every way to share a name out between
 * them (CVE-2022-3517 minimatch, CVE-2024-4067 micromatch): seconds at 30 characters, years at 60.
 * These would not end; the test's own time limit is what notices.
 */
test('findFiles() ends whatever the stars', { timeout: 20_000 }, () => {
  const name = 'a'.repeat(255);
  const engine = filesNamed(name);
  for (const pattern of [
    `${'*a'.repeat(100)}b`,
    `${'*'.repeat(1000)}b`,
    `${'a*'.repeat(127)}c`,
    `${'*[a-z]'.repeat(80)}0`,
    `${'*?'.repeat(120)}0`,
    `${'**/'.repeat(1000)}b`,
    `${'**/*a*/'.repeat(100)}b`,
  ]) {
    deepEqual(findFilesSync('/', pattern, { engine }), [], pattern.slice(0, 20));
  }
  deepEqual(findFilesSync('/', `${'*a'.repeat(100)}*`, { engine }), [`/${name}`]);
});

test('findFiles() ends in a deep tree whatever the double stars', { timeout: 20_000 }, () => {
  const disk = simulatedDisk(1);
  disk.put(`/${'a/'.repeat(150)}file`, '');
  const { engine } = disk;
  deepEqual(findFilesSync('/', `${'**/a/'.repeat(60)}none`, { engine }), []);
  equal(findFilesSync('/', `${'**/a/'.repeat(60)}**/file`, { engine }).length, 1);
  const most = `{${'a,'.repeat(500)}b}/**/file`;
  equal(findFilesSync('/', most, { engine }).length, 1);
});

test('findFiles() refuses bombs and bad patterns before anything happens', async () => {
  const bad: readonly [pattern: unknown, words: RegExp][] = [
    ['{a,b}'.repeat(11), /at most 1024 alternatives/],
    ['{a,b}'.repeat(500), /at most 1024 alternatives/],
    [`${'{a,'.repeat(1300)}b${'}'.repeat(1300)}`, /at most/],
    [`${'{a,b}'.repeat(10)}${'x'.repeat(200)}`, /at most 65536 characters/],
    ['x'.repeat(5000), /at most 4096 characters/],
    ['/etc/*', /does not begin with "\/"/],
    ['../*', /without a part ".."/],
    ['a/{b,..}/*', /without a part ".."/],
    ['', /not empty/],
    [['*', 7], /a string or strings/],
    [undefined, /a string or strings/],
  ];
  for (const [pattern, words] of bad) {
    throws(() => findFilesSync('/none', pattern as string), words, String(pattern).slice(0, 20));
  }
  await rejects(findFiles('/none', ''), TypeError);
  throws(() => findFilesSync('/', '*', { kinds: ['nothing' as 'file'] }), /options.kinds/);
  ok(true);
});

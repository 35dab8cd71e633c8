/** Where probe() looks: at the path it is given, through links, at what does not exist yet. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  configure,
  defaultEngine,
  formatProbe,
  IoError,
  type ProbeReport,
  probe,
  probeSync,
} from 'holdfast';
import { mountAmong, mountsIn } from '#holdfast/probe.js';
import { itemsOf, onAllProbers } from './probe/items.js';
import { mountFor } from './support/mounts.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';

/*
 * A probe that opened "." told of the working directory's drive: a program started from a RAM disk
 * was told that its data directory has no cache to empty. The path's own descriptor decides now.
 */
onAllProbers('probe() looks at the drive of the path, not the working directory', async (t, p) => {
  const ext4 = mountFor(t, 'ext4');
  const tmpfs = mountFor(t, 'tmpfs');
  if (ext4 === undefined || tmpfs === undefined) return;
  const before = process.cwd();
  t.after(() => process.chdir(before));
  process.chdir(tmpfs.path);
  const report = await p.probe(ext4.path);
  process.chdir(before);
  equal(report.fileSystem.type.value, 'ext4');
  equal(report.fileSystem.mountPoint.value, ext4.path);
  match(report.device.name.value ?? '', /^loop\d+$/);
  process.chdir(ext4.path);
  const other = await p.probe(tmpfs.path);
  process.chdir(before);
  equal(other.fileSystem.type.value, 'tmpfs');
});

onAllProbers('probe() without a path looks at the working directory', async (t, { engine }) => {
  const tmpfs = mountFor(t, 'tmpfs');
  if (tmpfs === undefined) return;
  const before = process.cwd();
  t.after(() => process.chdir(before));
  process.chdir(tmpfs.path);
  const report = await probe(undefined, { engine });
  process.chdir(before);
  equal(report.path, '.');
  equal(report.place.probed.value, tmpfs.path);
});

onAllProbers('probe() of a path that does not exist says which parent it took', async (t, p) => {
  const directory = scratch(t);
  const path = join(directory, 'not', 'yet', 'there');
  const report = await p.probe(path);
  equal(report.path, path);
  equal(report.place.probed.value, directory);
  match(report.place.exists.no ?? '', new RegExp(`nearest existing parent is ${directory}$`));
  equal(report.place.kind.value, 'directory');
  assertHoldsOnly(directory, []);
});

onAllProbers('probe() of a file tries things beside it and leaves it alone', async (t, p) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'content');
  const report = await p.probe(path);
  equal(report.place.probed.value, path);
  equal(report.place.kind.value, 'file');
  equal(report.place.exists.value, true);
  equal(report.features.unnamedFiles.unknown, undefined);
  equal(readFileSync(path, 'utf8'), 'content');
  assertHoldsOnly(directory, ['file']);
});

onAllProbers('probe() follows links, also to what is not there yet', async (t, p) => {
  const tmpfs = mountFor(t, 'tmpfs');
  if (tmpfs === undefined) return;
  const directory = scratch(t);
  mkdirSync(join(tmpfs.path, 'deep'));
  symlinkSync(join(tmpfs.path, 'deep'), join(directory, 'link'));
  symlinkSync('link/absent/file', join(directory, 'dangling'));
  const there = await p.probe(join(directory, 'link'));
  equal(there.place.probed.value, join(tmpfs.path, 'deep'));
  equal(there.fileSystem.type.value, 'tmpfs');
  const later = await p.probe(join(directory, 'dangling'));
  equal(later.place.probed.value, join(tmpfs.path, 'deep'));
  equal(later.fileSystem.type.value, 'tmpfs');
  ok(later.place.exists.no);
});

onAllProbers('probe() refuses links in a circle and ways through a file', async (t, p) => {
  const directory = scratch(t);
  symlinkSync('b', join(directory, 'a'));
  symlinkSync('a', join(directory, 'b'));
  writeFileSync(join(directory, 'file'), '');
  const loop = { name: 'IoError', code: 'ELOOP', path: join(directory, 'a') };
  await rejects(p.probe(join(directory, 'a')), loop);
  const through = { name: 'IoError', code: 'ENOTDIR', kind: 'wrong-type' };
  await rejects(p.probe(join(directory, 'file', 'x')), through);
});

onAllProbers('probe() tries nothing beside devices and pipes', async (_, p) => {
  const report = await p.probe('/dev/null');
  equal(report.place.kind.value, 'character-device');
  match(report.features.reflink.unknown ?? '', /is a character-device: nothing is tried beside it/);
});

onAllProbers('probe() leaves no file and no descriptor', async (t, p) => {
  const directory = scratch(t);
  await p.probe(directory, { measure: true });
  const before = openDescriptors();
  const path = join(directory, 'file');
  writeFileSync(path, '');
  for (let round = 0; round < 5; round++) {
    await p.probe(directory, { measure: round === 4 });
    await p.probe(path);
  }
  assertHoldsOnly(directory, ['file']);
  assertNoNewDescriptors(before);
});

onAllProbers('probe() measures syncs only when asked', async (t, p) => {
  const directory = scratch(t);
  const count = (): number => {
    const { fsync = 0, fdatasync = 0 } = p.engine.stats().systemCalls;
    return fsync + fdatasync;
  };
  const start = count();
  const plain = await p.probe(directory);
  equal(count() - start, 1, 'the directory, once');
  equal(plain.sync.full.value?.primitive, 'fsync');
  equal(plain.sync.full.value?.medianMs, undefined);
  match(plain.sync.full.note ?? '', /not measured/);
  const measured = await p.probe(directory, { measure: true });
  ok(count() - start > 6);
  for (const item of Object.values(measured.sync)) {
    ok((item.value?.medianMs ?? 0) > 0, JSON.stringify(item));
    ok((item.value?.rounds ?? 0) >= 1);
  }
});

onAllProbers('probe() says that what it measured in memory tells nothing', async (t, p) => {
  const mount = mountFor(t, 'tmpfs');
  if (mount === undefined) return;
  const { sync } = await p.probe(mount.path, { measure: true });
  ok(sync.full.value?.medianMs !== undefined);
  for (const item of Object.values(sync)) match(item.note ?? '', /in memory: tells nothing/);
});

onAllProbers('probe() says of the engine what is so', async (t, p) => {
  const { engine } = await p.probe(scratch(t));
  equal(engine.engine.value, p.engine.name);
  equal(engine.threads.value, p.isNative ? p.engine.threads : undefined);
  const { maps } = p.engine.capabilities;
  deepEqual(engine.maps, maps === true ? { value: true } : { no: maps });
  ok(engine.ring.value !== undefined || /io_uring/.test(engine.ring.no ?? ''));
  match(engine.ring.note ?? engine.ring.no ?? '', /io_uring/);
});

onAllProbers('formatProbe() prints every item, and plain text', async (t, p) => {
  const report = await p.probe(scratch(t), { measure: true });
  const text = formatProbe(report);
  const lines = text.split('\n');
  const rows = lines.filter((line) => /^ {2}\S/.test(line));
  equal(rows.length, itemsOf(report).length);
  const flat = text.replace(/\s+/g, ' ');
  const answers = itemsOf(report).flatMap(([, { no, unknown }]) => {
    if (no !== undefined) return `no ${no}`;
    return unknown === undefined ? [] : `unknown ${unknown}`;
  });
  for (const answer of new Set(answers)) {
    const times = answers.filter((words) => words.startsWith(answer)).length;
    equal(flat.split(` ${answer}`).length - 1, times, `as often as it is given: ${answer}`);
  }
  ok(/^[\n\x20-\x7e]*$/.test(text), 'no control characters');
  const columns = rows.map((row) => row.indexOf(row.slice(2).trimStart().split(/ {2,}/)[1] ?? ''));
  equal(new Set(columns.filter((at) => at > 0)).size, 1, 'one column of answers');
});

test('formatProbe() shows control characters of a path as text', async (t) => {
  const directory = join(scratch(t), 'a\u001b[31mb\nc');
  mkdirSync(directory);
  const text = formatProbe(await probe(directory));
  ok(!text.includes('\u001b'));
  match(text, /^Probe of .*a\\u001b\[31mb\\u000ac$/m);
});

test('formatProbe() refuses what is not a report', () => {
  for (const value of [undefined, null, 5, 'x', {}]) {
    throws(() => formatProbe(value as unknown as ProbeReport), { code: 'ERR_INVALID_ARG_TYPE' });
  }
});

onAllProbers('probe() takes names that are not UTF-8, and those that are', async (t, p) => {
  const directory = scratch(t);
  const path = Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0xff, 0xfe])]);
  mkdirSync(path);
  const report = await p.probe(path as unknown as string);
  equal(report.place.exists.value, true);
  equal(report.features.unnamedFiles.value, true, 'tried in it');
  deepEqual(readdirSync(path), []);
  const named = join(directory, 'n\u00e9\u4e2d');
  mkdirSync(named);
  const other = await p.probe(named);
  equal(other.place.probed.value, named);
  equal(other.features.unnamedFiles.value, true);
});

test('probe() refuses bad input before anything happens', async (t) => {
  const bad: [unknown, unknown, string][] = [
    ['', undefined, 'ERR_INVALID_ARG_VALUE'],
    ['a\0b', undefined, 'ERR_INVALID_ARG_VALUE'],
    [5, undefined, 'ERR_INVALID_ARG_TYPE'],
    [null, undefined, 'ERR_INVALID_ARG_TYPE'],
    ['.', null, 'ERR_INVALID_ARG_TYPE'],
    ['.', { measure: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['.', { engine: 'pool' }, 'ERR_INVALID_ARG_TYPE'],
    ['.', { signal: 5 }, 'ERR_INVALID_ARG_TYPE'],
  ];
  const before = openDescriptors();
  for (const [path, options, code] of bad) {
    await rejects(probe(path as string, options as object), { code }, String(path));
    if (!(options as { signal?: unknown })?.signal) {
      throws(() => probeSync(path as string, options as object), { code });
    }
  }
  assertNoNewDescriptors(before);
  assertHoldsOnly(scratch(t), []);
});

test('probe() uses the engine that is configured', async (t) => {
  const { name } = defaultEngine();
  t.after(() => configure({ engine: name }));
  configure({ engine: 'portable' });
  equal((await probe(scratch(t))).engine.engine.value, 'portable');
});

test('probe() stops at an abort and removes its files', async (t) => {
  const directory = scratch(t);
  await probe(directory);
  const before = openDescriptors();
  let reached = 0;
  for (let turns = 0; turns < 60; turns++) {
    const controller = new AbortController();
    const pending = probe(directory, { signal: controller.signal });
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
    controller.abort();
    try {
      await pending;
      reached++;
    } catch (error) {
      ok(!(error instanceof IoError));
      equal((error as Error).name, 'AbortError');
    }
    assertHoldsOnly(directory, []);
  }
  assertNoNewDescriptors(before);
  ok(reached < 60);
});

const TABLE = [
  '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
  '40 22 7:2 / /data rw,relatime shared:5 master:1 - ext4 /dev/loop2 rw,barrier=0',
  '41 40 7:2 /sub /data/sub rw - ext4 /dev/loop2 rw',
  '42 22 0:39 / /with\\040space\\134 rw,nosuid - btrfs /dev/loop4 rw,subvol=/',
  '43 22 7:3 / /data ro - xfs /dev/loop3 ro',
  '44 43 7:3 /part /data ro - xfs /dev/loop3 ro',
  'nonsense',
].join('\n');

test('mountsIn() reads optional fields and escapes', () => {
  const mounts = mountsIn(TABLE);
  equal(mounts.length, 6);
  equal(mounts[3]?.point, '/with space\\');
  deepEqual(mounts[1]?.options, ['rw', 'relatime', 'barrier=0']);
  deepEqual([mounts[2]?.root, mounts[2]?.type, mounts[2]?.source], ['/sub', 'ext4', '/dev/loop2']);
});

test('mountAmong() takes the number, else the longest way on the same device', () => {
  const mounts = mountsIn(TABLE);
  const at = (id: number | undefined, path: string, device: string): number | undefined =>
    mountAmong(mounts, { id, path, device })?.id;
  equal(at(42, '/data', '7:2'), 42, 'the number of the mount decides');
  equal(at(99, '/data', '7:2'), undefined, 'and no other stands in for it');
  equal(at(undefined, '/data/sub/x', '7:2'), 41);
  equal(at(undefined, '/data/subject', '7:2'), 40, 'a longer name is not under it');
  equal(at(undefined, '/data/x', '7:3'), 44, 'mounted over the other');
  equal(at(undefined, '/elsewhere', '254:0'), 22);
  equal(at(undefined, '/data', '8:1'), undefined);
});

/** A replace that waits for the journal once: where it is taken, where it is refused, and how. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Engine, probe, replaceFileSync, replaceFiles } from 'holdfast';
import { refuseNth, simulatedDisk } from 'holdfast/testing';
import { oneCommitOf } from '#holdfast/probe.js';
import {
  engineHere,
  faces,
  facesOn,
  onEngines,
  refusalOf,
  reports,
  temporaries,
  worldOf,
} from './replace/worlds.js';
import { type MountKind, type MountOptions, mountFor } from './support/mounts.js';
import { scratch } from './support/scratch.js';
import { markSource, traceFor } from './support/strace.js';

const oneCommit = true;

/** The engine that has the addon; without it there is nothing to test here. */
function poolFor(t: TestContext): Engine | undefined {
  const engine = engineHere('pool');
  if (typeof engine !== 'string') return engine;
  t.diagnostic(`NOT TESTED: ${engine}`);
  t.skip(engine);
  return undefined;
}

/** How often an engine has synced, and written out without a sync. */
function syncsOf(engine: Engine): { fsync: number; range: number } {
  const { systemCalls } = engine.stats();
  return { fsync: systemCalls.fsync ?? 0, range: systemCalls.sync_file_range ?? 0 };
}

function syncsSince(engine: Engine, before: ReturnType<typeof syncsOf>): typeof before {
  const { fsync, range } = syncsOf(engine);
  return { fsync: fsync - before.fsync, range: range - before.range };
}

for (const kind of ['ext4', 'xfs'] as const) {
  test(`replaceFile() with oneCommit syncs once on ${kind}, old files and new`, async (t) => {
    const engine = poolFor(t);
    const mount = engine && mountFor(t, kind);
    if (mount === undefined) return;
    const path = join(mount.path, 'file');
    for (const [index, face] of [...faces, ...faces].entries()) {
      const { replace } = worldOf(face, engine as Engine);
      const before = syncsOf(engine as Engine);
      const report = await replace(path, `turn ${index}`, { oneCommit });
      const replaced = index > 0;
      reports(report, { oneCommit, durability: 'full', fallbacks: [], replaced });
      deepEqual(syncsSince(engine as Engine, before), { fsync: 1, range: 1 });
      mount.cutPower();
      equal(readFileSync(path, 'utf8'), `turn ${index}`);
    }
    const items = await probe(mount.path);
    deepEqual(items.fileSystem.oneCommit, { value: true });
  });
}

test('replaceFile() with oneCommit has the bytes on the device before the rename', async (t) => {
  const engine = poolFor(t);
  const mount = engine && mountFor(t, 'ext4');
  if (mount === undefined) return;
  const source = `${markSource}
    import { replaceFileSync, configure } from 'holdfast';
    configure({ engine: 'pool' });
    replaceFileSync(process.argv[1], 'content', { oneCommit: true, sweep: false });`;
  const calls = ['pwrite64', 'sync_file_range', 'renameat2', 'fsync', 'fdatasync'];
  const trace = await traceFor(t, { source, args: [join(mount.path, 'file')], calls });
  if (trace === undefined) return;
  equal(trace.code, 0, trace.stderr);
  const ours = trace.calls.filter(({ name, args }) => {
    return calls.includes(name) && (name !== 'pwrite64' || /content/.test(args));
  });
  deepEqual(
    ours.map(({ name }) => name),
    ['pwrite64', 'sync_file_range', 'renameat2', 'fsync'],
  );
  match(
    ours[1]?.args ?? '',
    /, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE\|SYNC_FILE_RANGE_WRITE\|SYNC_FILE_RANGE_WAIT_AFTER$/,
  );
});

test('replaceFiles() with oneCommit syncs once for all of a directory', async (t) => {
  const engine = poolFor(t);
  const mount = engine && mountFor(t, 'ext4');
  if (mount === undefined) return;
  const names = ['a', 'b', 'c', 'd'];
  const before = syncsOf(engine as Engine);
  const reports = await replaceFiles(
    names.map((name) => ({ path: join(mount.path, name), data: name })),
    { engine, oneCommit },
  );
  deepEqual(
    reports.map((report) => [report.oneCommit, report.durability]),
    names.map(() => [true, 'full']),
  );
  /* The writing of each is begun, then waited for. */
  deepEqual(syncsSince(engine as Engine, before), { fsync: 1, range: 8 });
  mount.cutPower();
  deepEqual(
    names.map((name) => readFileSync(join(mount.path, name), 'utf8')),
    names,
  );
});

/** Where one commit is not enough or not proved. */
const refused: readonly (readonly [MountKind, MountOptions, RegExp])[] = [
  ['btrfs', {}, /not proved for btrfs/],
  ['tmpfs', {}, /not proved for tmpfs/],
  ['ext4', { make: ['-O', '^has_journal'] }, /without a journal/],
  ['ext4', { mount: 'nobarrier' }, /not proved for ext4 with nobarrier/],
  ['ext4', { mount: 'journal_async_commit,data=writeback' }, /with journal_async_commit/],
];

for (const [kind, options, reason] of refused) {
  const how = [kind, ...(options.make ?? []), options.mount ?? ''].join(' ').trim();
  test(`replaceFile() with oneCommit syncs twice on ${how}, and says why`, async (t) => {
    const engine = poolFor(t);
    const mount = engine && mountFor(t, kind, options);
    if (mount === undefined) return;
    const before = syncsOf(engine as Engine);
    const { replace } = worldOf('replaceFile', engine as Engine);
    const report = await replace(join(mount.path, 'file'), 'content', { oneCommit });
    reports(report, { oneCommit: false, durability: 'full' });
    equal(report.fallbacks[0]?.what, 'one commit');
    match(report.fallbacks[0]?.reason ?? '', reason);
    deepEqual(syncsSince(engine as Engine, before), { fsync: 2, range: 0 });
    match((await probe(mount.path)).fileSystem.oneCommit.no ?? '', reason);
  });
}

onEngines('replaceFile() with oneCommit keeps every promise anywhere', async (t, engine) => {
  const path = join(scratch(t), 'file');
  for (const face of facesOn(engine)) {
    const { replace } = worldOf(face, engine);
    const report = await replace(path, face, { oneCommit });
    reports(report, { durability: 'full' });
    equal(report.oneCommit, report.fallbacks.length === 0);
    equal(readFileSync(path, 'utf8'), face);
  }
});

test('replaceFileSync() with oneCommit asks nothing of the real world for a simulated disk', () => {
  const disk = simulatedDisk(1);
  const report = replaceFileSync('/file', 'content', { oneCommit, engine: disk.engine });
  deepEqual(report.fallbacks, [{ what: 'one commit', reason: 'not proved for a simulated disk' }]);
});

test('replaceFile() with oneCommit leaves the old file when the bytes fail', async (t) => {
  const engine = poolFor(t);
  const mount = engine && mountFor(t, 'ext4');
  if (mount === undefined) return;
  const path = join(mount.path, 'file');
  writeFileSync(path, 'old');
  const faulty = refuseNth(engine as Engine, 1, 'EIO', { operations: ['StartWriteback'] });
  const { replace } = worldOf('replaceFile', faulty);
  const step = 'write the file out';
  await refusalOf(replace(path, 'new', { oneCommit }), { code: 'EIO', step, durable: 'old' });
  equal(readFileSync(path, 'utf8'), 'old');
  deepEqual(temporaries(mount.path), []);
});

test('replaceFile() refuses oneCommit without full durability, and what is no boolean', (t) => {
  const path = join(scratch(t), 'file');
  for (const durable of ['file', false] as const) {
    const message = /"options\.oneCommit" must be false unless options\.durable is 'full'/;
    throws(() => replaceFileSync(path, '', { oneCommit, durable }), { name: 'TypeError', message });
  }
  throws(() => replaceFileSync(path, '', { oneCommit: 1 as never }), {
    name: 'TypeError',
    message: /options\.oneCommit/,
  });
});

test('oneCommitOf() takes only what was proved', () => {
  const own = ['rw', 'relatime'];
  const ext4 = [...own, 'barrier', 'delalloc', 'data=ordered', 'commit=5', 'errors=continue'];
  const taken = (type: string, options: readonly string[], kernel = '6.18.44-x'): unknown =>
    oneCommitOf({ type, options }, type === 'ext4' ? options : undefined, kernel);
  deepEqual(taken('ext4', ext4), { value: true });
  deepEqual(taken('xfs', [...own, 'attr2', 'inode64', 'logbufs=8', 'noquota']), { value: true });
  for (const kernel of ['6.4.0', '6.18.44-x', '7.0.0-rc1', '10.2']) {
    deepEqual(taken('ext4', ext4, kernel), { value: true }, kernel);
  }
  const reasons: readonly (readonly [unknown, RegExp])[] = [
    [taken('ext4', ext4, '6.3.99'), /before 6\.4/],
    [taken('ext4', ext4, '5.15.0'), /before 6\.4/],
    [taken('ext4', [...ext4, 'dax=always']), /with dax=always/],
    [taken('ext4', [...ext4, 'nobarrier']), /with nobarrier/],
    [taken('ext4', [...ext4, 'journal_async_commit']), /journal_async_commit/],
    [taken('ext4', [...own, 'barrier']), /without a journal/],
    [taken('xfs', [...own, 'rtdev=/dev/sdb']), /rtdev/],
    [taken('xfs', [...own, 'logdev=/dev/sdb']), /logdev/],
    [taken('ext3', ext4), /ext3/],
    [taken('constructor', own), /not proved for constructor/],
  ];
  for (const [answer, reason] of reasons) match((answer as { no: string }).no, reason);
  const hidden = oneCommitOf({ type: 'ext4', options: own }, undefined, '6.18');
  ok(hidden.unknown !== undefined, 'where /proc/fs/ext4 is hidden nothing is known');
});

/** What a file tells about itself: counts, reasons, what it is. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cutEvery, patterned } from './file/bytes.js';
import { onAllDoors } from './file/doors.js';
import { isTransfer } from './file/faults.js';
import { scratch } from './support/scratch.js';

onAllDoors('stats() counts calls by name, bytes and short transfers', async (t, doors) => {
  const judged = doors.judged((operation) =>
    isTransfer(operation) && operation.length === 77 ? { moves: 7 } : undefined,
  );
  const file = await judged.create(join(scratch(t), 'file'));
  deepEqual(file.stats(), {
    systemCalls: {},
    systemCallCount: 0,
    bytesRead: 0,
    bytesWritten: 0,
    shortTransfers: 0,
  });
  await judged.writeAt(file, patterned(100), 0);
  await judged.writeAt(file, cutEvery(patterned(100), 10), 100);
  await judged.writeAt(file, patterned(77), 0);
  await judged.readAt(file, new Uint8Array(50), 0);
  await judged.readAt(file, cutEvery(new Uint8Array(60), 6), 0);
  await judged.sync(file);
  await judged.syncData(file);
  await judged.stat(file);
  await judged.truncate(file, 10);
  await judged.close(file);
  const systemCalls = {
    pwrite: 3,
    pwritev: 1,
    pread: 1,
    preadv: 1,
    fsync: 1,
    fdatasync: 1,
    stat: 1,
    ftruncate: 1,
    close: 1,
  };
  deepEqual(file.stats(), {
    systemCalls,
    systemCallCount: 11,
    bytesRead: 110,
    bytesWritten: 277,
    shortTransfers: 1,
  });
});

onAllDoors('stats() of the engine counts what its files ask', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path);
  const { engine } = doors;
  const before = engine.stats();
  await doors.writeAt(file, patterned(100), 0);
  await doors.readAt(file, new Uint8Array(200), 0);
  const after = engine.stats();
  equal(after.bytesWritten - before.bytesWritten, 100);
  equal(after.bytesRead - before.bytesRead, 100);
  const more = (name: string): number =>
    (after.systemCalls[name] ?? 0) - (before.systemCalls[name] ?? 0);
  equal(more('pwrite'), 1);
  equal(more('pread'), 2, 'the second finds the end');
  equal(after.shortTransfers - before.shortTransfers, 2);
});

onAllDoors(
  'explain() tells the engine, the primitives and each fallback with its reason',
  async (t, doors) => {
    const path = join(scratch(t), 'file');
    const file = await doors.create(path);
    const told = file.explain();
    equal(told.path, path);
    equal(told.engine, doors.engine.name);
    equal(told.reason, doors.engine.reason);
    ok(told.reason.length > 0);
    equal(told.direct, false);
    equal(told.viewCountMax, 1024);
    equal(told.sync.full, 'fsync');
    equal(told.sync.data, 'fdatasync');
    const names = told.fallbacks.map(({ what }) => what);
    if (doors.engine.name !== 'portable') deepEqual(names, []);
    else {
      ok(names.includes('native-calls'), names.join());
      ok(names.includes('append-in-place'), names.join());
    }
    for (const { reason } of told.fallbacks) match(reason, /node:fs/);
  },
);

onAllDoors('sync() and syncData() tell the primitive they used', async (t, doors) => {
  const file = await doors.create(join(scratch(t), 'file'));
  equal((await doors.sync(file)).primitive, 'fsync');
  equal((await doors.syncData(file)).primitive, 'fdatasync');
  deepEqual(file.stats().systemCalls, { fsync: 1, fdatasync: 1 });
});

onAllDoors('stat() tells what the system does', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(5000), { mode: 0o640 });
  utimesSync(path, 1_000_000_000.25, 1_600_000_000.5);
  const file = await doors.open(path);
  const stat = await doors.stat(file);
  const expected = statSync(path, { bigint: true });
  equal(stat.kind, 'file');
  equal(stat.size, 5000);
  equal(stat.mode, Number(expected.mode) & 0o7777);
  equal(stat.user, Number(expected.uid));
  equal(stat.group, Number(expected.gid));
  equal(stat.links, 1);
  equal(stat.inode, expected.ino);
  equal(stat.allocatedBytes, Number(expected.blocks) * 512);
  equal(stat.blockBytes, Number(expected.blksize));
  equal(stat.accessedMs, 1_000_000_000_250);
  equal(stat.modifiedMs, 1_600_000_000_500);
  ok(Math.abs(stat.changedMs - Number(expected.ctimeNs) / 1e6) < 1);
  deepEqual([...stat.times], [1_000_000_000n, 250_000_000n, 1_600_000_000n, 500_000_000n]);
});

onAllDoors('stat() tells times before 1970', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, '');
  /* fs.utimes takes a negative number for the present: touch(1) does not. */
  const touch = ['-a', '-m', '-d', '1969-12-31 23:59:58.5 UTC', path];
  equal(spawnSync('touch', touch).status, 0);
  const stat = await doors.stat(await doors.open(path));
  equal(stat.accessedMs, -1500);
  equal(stat.modifiedMs, -1500);
  deepEqual([...stat.times], [-2n, 500_000_000n, -2n, 500_000_000n]);
});

/** What probe() tells of real file systems: mounted for the test, so that the truth is known. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ProbeReport, probe } from 'holdfast';
import { deviceOf, folders, Home, onAllProbers, runTool } from './probe/items.js';
import { Mount, type MountKind, mountFor, mountRefusal, tryMount } from './support/mounts.js';
import { assertHoldsOnly } from './support/scratch.js';

function needsMounts(t: TestContext): boolean {
  const refusal = mountRefusal('tmpfs');
  if (refusal === undefined) return true;
  t.diagnostic(`NOT TESTED: ${refusal}`);
  t.skip(refusal);
  return false;
}

const journals: Readonly<Record<MountKind, boolean>> = {
  ext4: true,
  xfs: true,
  btrfs: false,
  tmpfs: false,
};

for (const kind of ['ext4', 'xfs', 'btrfs'] as const) {
  onAllProbers(`probe() knows ${kind} and its device`, async (t, p) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const { fileSystem, device, below } = await p.probe(mount.path);
    const loop = deviceOf(mount.path);
    const sizes = statfsSync(mount.path);
    equal(fileSystem.type.value, kind);
    equal(fileSystem.mountPoint.value, mount.path);
    equal(fileSystem.source.value, `/dev/${loop}`);
    equal(fileSystem.readOnly.value, false);
    equal(fileSystem.syncMount.value, false);
    ok(fileSystem.options.value?.includes('rw'));
    equal(fileSystem.journal.value ?? false, journals[kind]);
    equal(fileSystem.barriers.value, true);
    equal(fileSystem.dataMode.value, kind === 'ext4' ? 'ordered' : undefined);
    equal(fileSystem.sizeBytes.value, sizes.blocks * sizes.bsize);
    equal(fileSystem.blockBytes.value, sizes.bsize);
    equal(device.name.value, loop);
    equal(device.logicalSectorBytes.value, 512);
    equal(device.writeCache.value, 'write back');
    const image = join(dirname(mount.path), 'image');
    match(device.standsOn.value?.[0] ?? '', new RegExp(`^${image} \\(`));
    const holder = deviceOf(dirname(mount.path));
    equal(below[0]?.name.value, holder, 'the device that holds the image');
    assertHoldsOnly(mount.path, kind === 'ext4' ? ['lost+found'] : []);
  });
}

onAllProbers('probe() says that nothing survives on tmpfs', async (t, p) => {
  const mount = mountFor(t, 'tmpfs');
  if (mount === undefined) return;
  const { fileSystem, device, below } = await p.probe(mount.path);
  equal(fileSystem.medium.value, 'memory');
  match(fileSystem.medium.note ?? '', /nothing survives a power cut/);
  match(fileSystem.journal.no ?? '', /memory/);
  match(device.name.no ?? '', /tmpfs keeps everything in memory/);
  match(device.writeCache.no ?? '', /tmpfs keeps everything in memory/);
  deepEqual(below, []);
});

onAllProbers('probe() says that nothing survives on an image that lies on tmpfs', async (t, p) => {
  if (!needsMounts(t)) return;
  const tmpfs = tryMount('tmpfs', { sizeBytes: 64 * 1024 * 1024 });
  ok(tmpfs instanceof Mount, 'tmpfs');
  const ext4 = tryMount('ext4', { under: tmpfs.path });
  t.after(() => {
    if (ext4 instanceof Mount) ext4.unmount();
    tmpfs.unmount();
  });
  ok(ext4 instanceof Mount, 'ext4');
  const { fileSystem, device } = await p.probe(ext4.path);
  equal(fileSystem.type.value, 'ext4');
  equal(fileSystem.medium.value, 'memory');
  match(device.standsOn.value?.[0] ?? '', /image \(tmpfs\)$/);
});

/** What a trial finds on each file system of a kernel of ours (6.1 and later). */
const features: Readonly<
  Record<MountKind, Partial<Record<keyof ProbeReport['features'], boolean>>>
> = {
  ext4: { reflink: false, punchHole: true, zeroRange: true, collapseRange: true, allocate: true },
  xfs: { reflink: true, punchHole: true, zeroRange: true, collapseRange: true, allocate: true },
  btrfs: { reflink: true, punchHole: true, zeroRange: true, collapseRange: false },
  tmpfs: { reflink: false, punchHole: true, zeroRange: false, collapseRange: false },
};
const EVERYWHERE = {
  unnamedFiles: true,
  locks: true,
  advise: true,
  allocateKeepingSize: true,
  attributes: true,
  renameWithoutReplacing: true,
  renameExchanging: true,
};
const byNode = ['reflink', 'unnamedFiles'];

for (const kind of ['ext4', 'xfs', 'btrfs', 'tmpfs'] as const) {
  onAllProbers(`probe() tries the features of ${kind}`, async (t, p) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const report = await p.probe(mount.path);
    const expected = { ...features[kind], ...EVERYWHERE };
    for (const [name, has] of Object.entries(expected)) {
      const item = report.features[name as keyof ProbeReport['features']];
      if (p.isNative || byNode.includes(name)) {
        equal(item.value ?? false, has, `${name}: ${JSON.stringify(item)}`);
        if (!has) match(item.no ?? '', /the system answers E/);
      } else {
        match(item.unknown ?? '', /portable engine uses node:fs alone/, name);
      }
    }
    equal(report.sync.directory.value?.primitive, 'fsync of the directory');
  });
}

onAllProbers('probe() tells the alignment of direct I/O, or why not', async (t, p) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const path = join(mount.path, 'file');
  writeFileSync(path, 'x');
  for (const place of [mount.path, path]) {
    const { direct } = await p.probe(place);
    if (p.isNative) {
      equal(direct.opens.value, true);
      equal(direct.offsetAlignmentBytes.value, 512);
      ok((direct.memoryAlignmentBytes.value ?? 0) >= 4);
    } else {
      match(direct.opens.no ?? '', /portable engine/);
      match(direct.offsetAlignmentBytes.unknown ?? '', /portable engine/);
    }
  }
});

onAllProbers('probe() of a read-only mount says that nothing could be tried', async (t, p) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  mount.remount('read-only');
  const { fileSystem, features: found, sync, direct } = await p.probe(mount.path);
  equal(fileSystem.readOnly.value, true);
  equal(found.reflink.unknown, `${mount.path} is not writable (EROFS)`);
  equal(found.locks.unknown, `${mount.path} is not writable (EROFS)`);
  equal(direct.opens.unknown, `${mount.path} is not writable (EROFS)`);
  match(sync.full.note ?? '', /not writable/);
  equal(fileSystem.journal.value, true, 'still known');
});

onAllProbers('probe() sees mount options: no barriers, sync', async (t, p) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  runTool('mount', ['-o', 'remount,nobarrier,sync', mount.path]);
  const { fileSystem } = await p.probe(mount.path);
  match(fileSystem.barriers.no ?? '', /does not empty the cache/);
  equal(fileSystem.syncMount.value, true);
});

onAllProbers('probe() tells an ext4 without a journal', async (t, p) => {
  if (!needsMounts(t)) return;
  const home = new Home(t);
  const image = join(home.path, 'image');
  runTool('truncate', ['-s', '16M', image]);
  runTool('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', image]);
  const point = home.mount(['-o', 'loop', image]);
  const { fileSystem } = await p.probe(point);
  match(fileSystem.journal.no ?? '', /without one/);
  equal(fileSystem.dataMode.no, 'no journal');
});

onAllProbers('probe() looks through a bind mount', async (t, p) => {
  const home = new Home(t);
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const [part = ''] = folders(mount.path, 'part');
  const point = home.mount(['--bind', part]);
  const { fileSystem, device } = await p.probe(join(point, 'absent'));
  equal(fileSystem.type.value, 'ext4');
  equal(fileSystem.mountPoint.value, point);
  match(fileSystem.mountPoint.note ?? '', /shows \/part of/);
  equal(device.name.value, deviceOf(mount.path));
});

/* The mounts of a path hide one another: the last one is what a program writes to. */
onAllProbers('probe() sees the upper one of two mounts on one point', async (t, p) => {
  const home = new Home(t);
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const [point = ''] = folders(mount.path, 'point');
  home.mount(['-t', 'tmpfs', '-o', 'size=1m', 'none'], point);
  equal((await p.probe(point)).fileSystem.type.value, 'tmpfs');
  equal((await p.probe(mount.path)).fileSystem.type.value, 'ext4');
});

/* Tried beside a file that is mounted alone, the trials would tell of another file system. */
onAllProbers('probe() of a file mounted by itself tries nothing beside it', async (t, p) => {
  const home = new Home(t);
  const mount = mountFor(t, 'xfs');
  if (mount === undefined) return;
  const [inside, outside] = [join(mount.path, 'inside'), join(home.path, 'outside')] as const;
  writeFileSync(inside, '');
  writeFileSync(outside, '');
  home.mount(['--bind', inside], outside);
  const { fileSystem, device, features: found } = await p.probe(outside);
  equal(fileSystem.type.value, 'xfs');
  equal(device.name.value, deviceOf(mount.path));
  match(found.reflink.unknown ?? '', /is mounted by itself/);
});

onAllProbers('probe() finds the device of a btrfs subvolume', async (t, p) => {
  const mount = mountFor(t, 'btrfs');
  if (mount === undefined) return;
  const path = join(mount.path, 'volume');
  runTool('btrfs', ['subvolume', 'create', path]);
  const { fileSystem, device } = await p.probe(path);
  equal(fileSystem.type.value, 'btrfs');
  equal(device.name.value, deviceOf(mount.path));
});

onAllProbers('probe() follows an overlay to its upper layer once it has seen it', async (t, p) => {
  const home = new Home(t);
  const lower = mountFor(t, 'tmpfs');
  const upper = mountFor(t, 'ext4');
  if (lower === undefined || upper === undefined) return;
  const [data = '', work = ''] = folders(upper.path, 'data', 'work');
  const options = `lowerdir=${lower.path},upperdir=${data},workdir=${work}`;
  const point = home.mount(['-t', 'overlay', '-o', options, 'overlay']);
  const { fileSystem, device } = await p.probe(point);
  equal(fileSystem.type.value, 'overlay');
  equal(device.name.value, deviceOf(upper.path));
  equal(fileSystem.medium.value, 'device');
  assertHoldsOnly(data, []);
  runTool('mount', ['-o', 'remount,ro', point]);
  const closed = await p.probe(point);
  equal(closed.device.name.unknown, `${point} is not writable (EROFS)`, 'and no guess');
});

/* What the options name was moved away, and something else has its name now. */
onAllProbers('probe() does not believe the upper layer an overlay names', async (t, p) => {
  const home = new Home(t);
  const upper = mountFor(t, 'ext4');
  if (upper === undefined) return;
  const [lower = '', data = '', work = ''] = folders(upper.path, 'lower', 'data', 'work');
  const options = `lowerdir=${lower},upperdir=${data},workdir=${work}`;
  const point = home.mount(['-t', 'overlay', '-o', options, 'overlay']);
  home.mount(['-t', 'tmpfs', '-o', 'size=1m', 'none'], data);
  const { device, fileSystem } = await p.probe(point);
  match(device.name.unknown ?? '', /upper layer .* is not in sight/);
  ok(fileSystem.medium.unknown);
});

test('probe() of a block device tells of that device', async (t) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const loop = deviceOf(mount.path);
  const report = await probe(`/dev/${loop}`);
  equal(report.place.kind.value, 'block-device');
  equal(report.device.name.value, loop);
  match(report.features.allocate.unknown ?? '', /nothing is tried beside it/);
});

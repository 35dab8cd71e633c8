/**
 * The latch: after a failed sync, or a write of unknown extent, nothing is known about the bytes on
 * the device. fsync(2) failed once answers 0 the next time, with the old bytes on the disk: seen on
 * ext4, xfs and btrfs, kernel 6.18. So the file stays broken.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IoError, OpenFile } from 'holdfast';
import { Code, errnoOf, type Operation } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import type { FaultyEngine, Verdict } from './file/faults.js';
import { refusalOf, refusedAs } from './file/told.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

/** Doors that refuse one code with one errno, from the `when`th time on that it is asked. */
function refusing(doors: Doors, code: number, errno: string, when = 1) {
  let asked = 0;
  return doors.judged((operation: Operation): Verdict => {
    if (operation.code !== code || ++asked !== when) return undefined;
    return { answers: errnoOf(errno) };
  });
}

type Judged = Doors & { readonly engine: FaultyEngine };

/** Every call is refused with the first cause, and only `close` reaches the system. */
async function isBroken(doors: Judged, file: OpenFile, first: IoError): Promise<void> {
  const before = doors.engine.asked.length;
  for (let round = 0; round < 2; round++) {
    for (const [name, call] of Object.entries(doors.everyCall(file))) {
      const error = await refusalOf(call);
      deepEqual([error.kind, error.code, error.path], ['broken', first.code, file.path], name);
      equal(error.cause, first, `${name} names the first cause`);
    }
  }
  deepEqual(doors.engine.asked.slice(before), [], 'nothing reaches the system');
  await doors.close(file);
  deepEqual(doors.engine.asked.slice(before), ['close']);
}

for (const [name, code] of [
  ['sync', Code.Sync],
  ['syncData', Code.SyncData],
] as const) {
  for (const errno of ['EIO', 'ENOSPC', 'EDQUOT']) {
    onAllDoors(`${name}() that fails with ${errno} breaks the file for good`, async (t, doors) => {
      const judged = refusing(doors, code, errno);
      const path = join(scratch(t), 'file');
      const file = await judged.create(path);
      await judged.writeAt(file, patterned(10), 0);
      const before = openDescriptors();
      const first = await refusalOf(() => judged[name](file));
      equal(first.code, errno);
      ok(first.kind !== 'broken');
      await isBroken(judged, file, first);
      assertNoNewDescriptors(before);
    });
  }
}

/*
 * The kernel tells an error of writeback once to a descriptor: of two syncs under way, one is told
 * EIO and the other 0, for the same lost pages. The other must not resolve: nor one that was asked
 * for before and is answered after.
 */
onBothEngines('a sync under way beside one that fails is no success', async (t, doors) => {
  for (const second of ['sync', 'syncData'] as const) {
    let syncs = 0;
    const judged = doors.judged(({ code }) => {
      if (code !== Code.Sync && code !== Code.SyncData) return undefined;
      return { answers: ++syncs === 1 ? errnoOf('EIO') : 0 };
    });
    const file = await judged.create(join(scratch(t), 'file'));
    const all = await Promise.allSettled([file.sync(), file[second](), file.sync()]);
    const told = all.map((one) =>
      one.status === 'fulfilled' ? 'resolved' : (one.reason as IoError).kind,
    );
    deepEqual(told, ['io', 'broken', 'broken']);
  }
});

onBothEngines('the first failure stays the cause, whatever fails after it', async (t, doors) => {
  let writes = 0;
  const judged = doors.judged(({ code }) => {
    if (code !== Code.Write) return undefined;
    return { answers: errnoOf(++writes === 1 ? 'EIO' : 'EREMOTEIO') };
  });
  const file = await judged.create(join(scratch(t), 'file'));
  const write = (): Promise<IoError> => refusalOf(() => file.writeAt(patterned(10), 0));
  const [first, second] = (await Promise.all([write(), write()])) as [IoError, IoError];
  deepEqual([first.code, second.code], ['EIO', 'EREMOTEIO']);
  await isBroken(judged, file, first);
});

/* Sync refused by a system that cannot do it for this kind of file has lost nothing. */
onAllDoors('sync() that the system does not have breaks nothing', async (t, doors) => {
  for (const errno of ['EINVAL', 'EROFS', 'ENOTSUP', 'ENOSYS']) {
    const judged = refusing(doors, Code.Sync, errno);
    const file = await judged.create(join(scratch(t), errno));
    equal((await refusalOf(() => judged.sync(file))).code, errno);
    equal(await judged.writeAt(file, patterned(10), 0), 10);
    await judged.sync(file);
  }
});

onAllDoors(
  'a write that fails with EIO breaks the file: its extent is unknown',
  async (t, doors) => {
    const writes: readonly ((judged: Doors, file: OpenFile) => Promise<number>)[] = [
      (judged, file) => judged.writeAt(file, patterned(10), 0),
      (judged, file) => judged.writeAt(file, cutEvery(patterned(2000), 600), 0),
      (judged, file) => judged.writeSomeAt(file, patterned(10), 0),
      (judged, file) => judged.append(file, patterned(10)),
    ];
    for (const write of writes) {
      const judged = refusing(doors, Code.Write, 'EIO');
      const file = await judged.create(join(scratch(t), 'file'));
      const first = await refusalOf(() => write(judged, file));
      deepEqual([first.code, first.kind, first.bytesDone], ['EIO', 'io', 0]);
      await isBroken(judged, file, first);
    }
  },
);

onAllDoors('a write that fails otherwise breaks nothing', async (t, doors) => {
  for (const [errno, kind] of [
    ['ENOSPC', 'no-space'],
    ['EDQUOT', 'quota'],
    ['EFBIG', 'too-large'],
  ] as const) {
    const judged = refusing(doors, Code.Write, errno);
    const path = join(scratch(t), errno);
    const file = await judged.create(path);
    equal(await refusedAs(() => judged.writeAt(file, patterned(10), 0)), `${errno} ${kind}`);
    equal(await judged.writeAt(file, patterned(10), 0), 10);
    await judged.sync(file);
    ok(readFileSync(path).equals(patterned(10)));
  }
});

onAllDoors('a read that fails with EIO breaks nothing', async (t, doors) => {
  const judged = refusing(doors, Code.Read, 'EIO');
  const file = await judged.create(join(scratch(t), 'file'));
  await judged.writeAt(file, patterned(10), 0);
  equal(await refusedAs(() => judged.readAt(file, new Uint8Array(5), 0)), 'EIO io');
  equal(await judged.readAt(file, new Uint8Array(5), 0), 5);
});

/* Calls that were made before the failure have not reached the system yet: they must not. */
onBothEngines(
  'appends waiting for their turn are refused when the file breaks',
  async (t, doors) => {
    for (const access of ['append', 'read-write'] as const) {
      const judged = refusing(doors, Code.Write, 'EIO', 2);
      const path = join(scratch(t), 'file');
      const file = await judged.create(path, { access });
      const all = ['one', 'two', 'three', 'four'].map((text) => file.append(Buffer.from(text)));
      const told = (await Promise.allSettled(all)).map((one) =>
        one.status === 'fulfilled' ? one.value : (one.reason as IoError).kind,
      );
      deepEqual(told, [0, 'io', 'broken', 'broken'], access);
      equal(readFileSync(path, 'utf8'), 'one');
      equal(judged.engine.asked.at(-1), 'write', 'nothing follows the write that failed');
    }
  },
);

onBothEngines('a write of many calls stops when the file breaks meanwhile', async (t, doors) => {
  let writes = 0;
  let synced: Promise<IoError> | undefined;
  const judged: Judged = doors.judged((operation) => {
    if (operation.code === Code.Sync) return { answers: errnoOf('EIO') };
    if (operation.code === Code.Write && ++writes === 1) synced = refusalOf(() => file.sync());
    return undefined;
  });
  const file: OpenFile = await judged.create(join(scratch(t), 'file'));
  const many = cutEvery(patterned(1024 * 600 * 50), 600);
  const error = await refusalOf(() => file.writeAt(many, 0));
  const first = await (synced as Promise<IoError>);
  equal(first.code, 'EIO');
  deepEqual([error.kind, error.cause], ['broken', first]);
  ok(writes < 50, `${writes} of 50 calls were made`);
  equal(error.bytesDone, readFileSync(file.path as string).length);
});

onAllDoors(
  'two files of one path break apart: the latch is of the file that is open',
  async (t, doors) => {
    const judged = refusing(doors, Code.Sync, 'EIO');
    const path = join(scratch(t), 'file');
    const broken = await judged.create(path);
    const whole = await judged.open(path, { access: 'read-write' });
    await refusalOf(() => judged.sync(broken));
    equal(await judged.writeAt(whole, patterned(3), 0), 3);
    await judged.sync(whole);
  },
);

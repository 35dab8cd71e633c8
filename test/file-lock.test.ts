/** Locks of open files: who excludes whom, who is next, what ends them. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Engine, type Lock, LockHeldError, OpenFile, openFile } from 'holdfast';
import { refuseNth, simulatedDisk } from 'holdfast/testing';
import { engineNamed } from '#holdfast/engine.js';
import { Code, errnoOf, Operation, RangeLock } from '#holdfast/platform.js';
import { holder, lockBy, onEveryLock, onRealFile, settled } from './lock/worlds.js';
import { hasTool, outputOf } from './support/child.js';
import { scratch } from './support/scratch.js';

const shared = { exclusive: false };

for (const face of ['async', 'sync'] as const) {
  onEveryLock(`lock() excludes others and tells what it is, ${face}`, async (_, { open, path }) => {
    const [one, two] = [await open(), await open()];
    const lock = await lockBy(face, one);
    deepEqual(
      [lock.exclusive, lock.offset, lock.length, lock.isHeld, lock.path, lock.primitive],
      [true, 0, Number.POSITIVE_INFINITY, true, path, 'ofd'],
    );
    equal(await two.tryLock(), undefined);
    equal(two.tryLockSync(shared), undefined);
    equal(one.tryLockSync(), undefined, 'nor does the same file pass its own lock');
    await (face === 'sync' ? lock.releaseSync() : lock.release());
    equal(lock.isHeld, false);
    const next = two.tryLockSync();
    ok(next?.isHeld);
    next.releaseSync();
    next.releaseSync();
    await next.release();
  });
}

onEveryLock('lock() shared goes with shared and not with exclusive', async (_, { open }) => {
  const [one, two] = [await open(), await open('read')];
  const first = await one.lock(shared);
  const second = await two.tryLock(shared);
  ok(second?.isHeld);
  equal(await one.tryLock(), undefined);
  await first.release();
  equal(await one.tryLock(), undefined);
  await second.release();
  ok(await one.tryLock());
});

onEveryLock('lock() of bytes leaves the others free', async (_, { open }) => {
  const [one, two] = [await open(), await open()];
  await one.lock({ offset: 10, length: 10 });
  equal(await two.tryLock({ offset: 19, length: 1 }), undefined);
  equal(await two.tryLock({ offset: 0, length: 11 }), undefined);
  ok(await two.tryLock({ offset: 20 }), 'to the end, and beyond it');
  ok(await two.tryLock({ offset: 0n, length: 10n }));
  equal(await one.tryLock({ offset: 2 ** 40, length: 1 }), undefined);
});

onEveryLock('lock() whose time is up names this process', async (_, { open }) => {
  const [one, two] = [await open(), await open()];
  const lock = await one.lock();
  for (const timeoutMs of [0, 20]) {
    const error = await two.lock({ timeoutMs }).catch((refused: unknown) => refused);
    ok(error instanceof LockHeldError);
    deepEqual([error.code, error.kind, error.step], ['ETIMEDOUT', 'timeout', 'lock']);
    deepEqual([error.owner?.pid, error.owner?.sinceMs], [process.pid, lock.sinceMs]);
    match(error.message, /held by this process since \d{4}-/);
  }
  await lock.release();
  ok(await two.tryLock(), 'who gave up is not in the queue');
});

onEveryLock('lockSync() does not wait for its own process', async (_, { open }) => {
  const [one, two] = [await open(), await open()];
  const lock = await one.lock();
  throws(() => two.lockSync(), { code: 'EBUSY', kind: 'busy', message: /cannot wait for itself/ });
  await lock.release();
  two.lockSync().releaseSync();
});

onEveryLock('lock() that is aborted leaves the queue', async (_, { open }) => {
  const [one, two, three] = [await open(), await open(), await open()];
  const lock = await one.lock();
  const giveUp = new AbortController();
  const second = two.lock({ signal: giveUp.signal });
  const third = three.lock();
  await settled();
  giveUp.abort(new Error('enough'));
  await rejects(second, { name: 'AbortError' });
  await lock.release();
  ok((await third).isHeld);
  await rejects(two.lock({ signal: AbortSignal.abort() }), { name: 'AbortError' });
});

onEveryLock('close() ends locks, and the wait for them', async (_, { open }) => {
  const [one, two, three] = [await open(), await open(), await open()];
  const lock = await one.lock();
  const second = two.lock();
  const third = three.lock();
  await settled();
  const closed = two.close();
  await rejects(second, { kind: 'closed' });
  await closed;
  await one.close();
  equal(lock.isHeld, false);
  ok((await third).isHeld);
  await lock.release();
  three.closeSync();
  ok(await (await open()).tryLock());
});

onEveryLock('using lets go of a lock', async (_, { open }) => {
  const [one, two] = [await open(), await open()];
  {
    await using lock = await one.lock();
    equal(await two.tryLock(), undefined, String(lock.isHeld));
  }
  {
    using lock = two.lockSync();
    equal(one.tryLockSync(), undefined, String(lock.isHeld));
  }
  ok(one.tryLockSync());
});

/* ------------------------------------------------------------------------------------- change */

onEveryLock('change() makes a lock exclusive when the others have gone', async (_, { open }) => {
  const [one, two, three] = [await open(), await open(), await open()];
  const lock = await one.lock(shared);
  const other = await two.lock(shared);
  const writer = three.lock();
  await rejects(lock.change({ exclusive: true, timeoutMs: 0 }), { code: 'ETIMEDOUT' });
  deepEqual([lock.exclusive, lock.isHeld], [false, true]);
  throws(() => lock.changeSync({ exclusive: true }), { code: 'EBUSY' });
  const changed = lock.change({ exclusive: true });
  await rejects(lock.change({ exclusive: true }), { code: 'EBUSY', message: /changing already/ });
  await rejects(other.change({ exclusive: true }), { code: 'EDEADLK', kind: 'busy' });
  equal(await three.tryLock(shared), undefined, 'nobody comes in between');
  await other.release();
  await changed;
  equal(lock.exclusive, true);
  equal(await two.tryLock(shared), undefined);
  await lock.release();
  ok((await writer).isHeld);
});

onEveryLock('change() lets others share', async (_, { open }) => {
  const [one, two] = [await open(), await open()];
  const lock = await one.lock({ offset: 5, length: 5 });
  const reading = two.lock(shared);
  await settled();
  await lock.change({ exclusive: false });
  await lock.change({ exclusive: false });
  const other = await reading;
  equal(await one.tryLock(), undefined);
  await other.release();
  lock.changeSync({ exclusive: true });
  equal(await two.tryLock(shared), undefined);
  await lock.release();
  await rejects(lock.change({ exclusive: true }), { code: 'ERR_LOCK_RELEASED', kind: 'closed' });
});

test('change() is refused where a lock would be given up first, and it stays shared', async () => {
  const disk = simulatedDisk(7, { without: { 'lock-upgrade': 'as on Windows' } });
  disk.put('/file', 'content');
  const { engine } = disk;
  const file = await openFile('/file', { access: 'read-write', engine });
  const lock = await file.lock();
  await lock.change({ exclusive: false });
  const refused = { code: 'ENOTSUP', kind: 'unsupported', message: /as on Windows/ };
  await rejects(lock.change({ exclusive: true }), refused);
  throws(() => lock.changeSync({ exclusive: true }), refused);
  deepEqual([lock.exclusive, lock.isHeld], [false, true]);
  await file.close();
});

onEveryLock('change() that is aborted stays shared, and in nobody’s way', async (_, { open }) => {
  const [one, two, three] = [await open(), await open(), await open()];
  const lock = await one.lock(shared);
  await two.lock(shared);
  const giveUp = new AbortController();
  const changed = lock.change({ exclusive: true, signal: giveUp.signal });
  const third = three.lock(shared);
  await settled();
  giveUp.abort();
  await rejects(changed, { name: 'AbortError' });
  equal(lock.exclusive, false);
  ok((await third).isHeld);
});

/* -------------------------------------------------------------- one open file, several locks */

onEveryLock('release() leaves what another lock of the file holds', async (_, { open }) => {
  const [one, two] = [await open(), await open()];
  const range = (offset: number, length: number) => ({ ...shared, offset, length });
  const long = await one.lock(range(0, 100));
  const inside = await one.lock(range(40, 20));
  await long.release();
  const free = async () => {
    const bytes: number[] = [];
    for (let offset = 0; offset < 110; offset += 10) {
      const lock = await two.tryLock({ offset, length: 1 });
      if (lock === undefined) bytes.push(offset);
      await lock?.release();
    }
    return bytes;
  };
  deepEqual(await free(), [40, 50]);
  const again = await one.lock(range(0, 100));
  await Promise.all([inside.release(), again.release()]);
  deepEqual(await free(), [], 'also when both go at once');
});

test('locks of one file, whatever comes and goes, are what the kernel holds', async (t) => {
  const seed = Number(process.env.HOLDFAST_SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`HOLDFAST_SEED=${seed}`);
  let state = seed;
  const below = (bound: number): number => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * bound);
  };
  const disk = simulatedDisk(seed, { reorderCompletions: true });
  disk.put('/file', '');
  const { engine } = disk;
  const file = await openFile('/file', { access: 'read-write', engine });
  const probe = await openFile('/file', { access: 'read-write', engine });
  /* One byte is a stranger's: whoever wants it is refused by the kernel when its turn has come. */
  const stranger = await openFile('/file', { access: 'read-write', engine });
  const taken = { fd: stranger.fd, flags: RangeLock.Exclusive, offset: 13, length: 1 };
  engine.perform(Object.assign(new Operation(Code.SetLock), taken));
  const held = new Set<Lock>();
  for (let round = 0; round < 400; round++) {
    const work: Promise<unknown>[] = [];
    for (let many = below(3); many >= 0; many--) {
      const lock = [...held][below(Math.max(held.size, 1))];
      if (lock !== undefined && below(2) === 0) {
        held.delete(lock);
        work.push(lock.release());
        continue;
      }
      const options = { exclusive: below(4) === 0, offset: below(12), length: 1 + below(8) };
      work.push(file.tryLock(options).then((one) => one && held.add(one)));
    }
    await Promise.all(work);
    const expected = new Set<number>([13]);
    for (const { offset, length } of held) {
      for (let at = offset; at < offset + length; at++) expected.add(at);
    }
    /* Past the queue of this process, to the simulated kernel itself. */
    deepEqual(
      lockedBytes(engine, probe.fd, 24),
      [...expected].sort((a, b) => a - b),
    );
  }
});

/* -------------------------------------------------------------------------- other processes */

onRealFile('lock() waits for another process, and has it when it ends', async (t, world) => {
  for (const how of ['kill', 'exit'] as const) {
    const child = await holder(t, world.path, { offset: 3, length: 4 });
    const file = await world.open();
    equal(await file.tryLock(), undefined);
    equal(file.tryLockSync(), undefined);
    ok((await file.tryLock({ offset: 7 }))?.isHeld);
    const waiting = file.lock({ length: 7 });
    await settled();
    if (how === 'kill') await child.kill();
    else process.kill(child.pid as number, 'SIGTERM');
    ok((await waiting).isHeld);
    await file.close();
  }
});

onRealFile(
  'lock() whose time is up names the other process, and that it is stopped',
  async (t, w) => {
    const child = await holder(t, w.path, shared);
    const file = await w.open();
    /* The library looks for 100 ms, in which a machine at work comes nowhere. */
    const told = async () => {
      for (let tries = 0; ; tries++) {
        const error = await file.lock({ timeoutMs: 30 }).catch((refused: unknown) => refused);
        ok(error instanceof LockHeldError);
        if (error.owner !== undefined || tries === 20) return error;
      }
    };
    const running = await told();
    deepEqual([running.owner?.pid, running.owner?.state], [child.pid, 'running']);
    await child.stop();
    const stopped = await told();
    match(stopped.message, new RegExp(`held by pid ${child.pid} \\(.+, stopped\\)`));
    throws(() => file.lockSync({ timeoutMs: 5 }), { code: 'ETIMEDOUT', kind: 'timeout' });
    ok(await file.tryLock(shared));
  },
);

onRealFile('lock() that is aborted stops asking', async (t, { path, open }) => {
  await holder(t, path);
  const file = await open();
  const giveUp = new AbortController();
  const waiting = file.lock({ signal: giveUp.signal });
  await settled();
  giveUp.abort();
  await rejects(waiting, { name: 'AbortError' });
  const asked = file.stats().systemCalls['fcntl(F_OFD_SETLK)'];
  await new Promise((resolve) => setTimeout(resolve, 60));
  equal(file.stats().systemCalls['fcntl(F_OFD_SETLK)'], asked);
});

/*
 * Regression: fs-ext sends waiting locks to libuv's four threads, and four of them freeze all of
 * node:fs until somebody lets go. A lock that waits here is asked for again, and holds no thread.
 */
onRealFile('lock() that waits keeps no thread from others', async (t, { path, open }) => {
  await holder(t, path);
  const files = await Promise.all(Array.from({ length: 20 }, () => open()));
  const giveUp = new AbortController();
  const waiting = files.map((file) => file.lock({ signal: giveUp.signal }));
  await settled();
  const target = new Uint8Array(7);
  for (const file of files) {
    equal(await file.readAt(target, 0), 7);
    await file.sync();
  }
  giveUp.abort();
  const ends = await Promise.allSettled(waiting);
  ok(ends.every(({ status }) => status === 'rejected'));
});

/*
 * Regression: a lock of fcntl(2) that belongs to the process, as os-lock takes it, is dropped when
 * any descriptor of the file is closed. Locks of open file descriptions are not.
 */
onRealFile('a lock outlives the close of another descriptor of the file', async (_, world) => {
  const file = await world.open();
  await file.lock();
  const other = await world.open();
  await other.close();
  const copy = OpenFile.fromFd(file.fd, { ownership: 'duplicate' });
  await copy.close();
  equal(await tryElsewhere(world.path), 'refused');
  await file.close();
  equal(await tryElsewhere(world.path), 'taken');
});

onRealFile('close() gives up the locks of a descriptor that stays open', async (_, world) => {
  const file = await world.open();
  for (const ownership of ['duplicate', 'borrow'] as const) {
    const other = OpenFile.fromFd(file.fd, { ownership });
    await other.lock();
    equal(await tryElsewhere(world.path), 'refused');
    await other.close();
    equal(await tryElsewhere(world.path), 'taken');
  }
});

onRealFile('lock() with flock excludes flock(1), and not ofd', async (t, { path, open }) => {
  if (!hasTool('flock')) return t.skip('flock (util-linux) is not installed');
  const [one, two] = [await open('read'), await open()];
  const flock = { primitive: 'flock' } as const;
  const lock = await one.lock(flock);
  equal(lock.primitive, 'flock');
  const elsewhere = () => spawnSync('flock', ['-n', path, 'true']).status;
  equal(elsewhere(), 1);
  equal(await two.tryLock(flock), undefined);
  ok(await two.tryLock(), 'flock(2) and fcntl(2) do not know of each other');
  await rejects(lock.change({ exclusive: false }), { kind: 'unsupported' });
  await lock.release();
  equal(elsewhere(), 0);
  const sharing = [
    await one.lock({ ...flock, ...shared }),
    await one.lock({ ...flock, ...shared }),
  ];
  await sharing[0]?.release();
  equal(elsewhere(), 1, 'the other of the same file still holds it');
  await sharing[1]?.release();
  equal(elsewhere(), 0);
});

onRealFile('release() works on a file that is broken', async (_, { engine, path }) => {
  const refusing = refuseNth(engine, 1, 'EIO', { operations: ['Sync'] });
  const file = await openFile(path, { access: 'read-write', engine: refusing });
  const lock = await file.lock();
  await rejects(file.sync(), { code: 'EIO' });
  await rejects(file.lock({ timeoutMs: 0 }), { kind: 'broken' });
  equal(await tryElsewhere(path), 'refused');
  await lock.release();
  equal(await tryElsewhere(path), 'taken');
  await file.close();
});

/* ------------------------------------------------------------------------------------- edges */

test('locks of a simulated disk go with the crash and with the last descriptor', async () => {
  const disk = simulatedDisk(3);
  disk.put('/file', '');
  const file = await openFile('/file', { access: 'read-write', engine: disk.engine });
  await file.lock();
  const after = disk.crash();
  const again = await openFile('/file', { access: 'read-write', engine: after.engine });
  ok(await again.tryLock());
  await file.close();
  const other = await openFile('/file', { access: 'read-write', engine: disk.engine });
  ok(await other.tryLock());
});

test('lock() is refused where the engine has no locks', async (t) => {
  const path = join(scratch(t), 'file');
  const engine = engineNamed('portable');
  const options = { access: 'read-write', create: true, engine } as const;
  await using file = await openFile(path, options);
  const told = { kind: 'unsupported', message: /node:fs/ };
  await rejects(file.lock(), told);
  await rejects(file.tryLock(), told);
  throws(() => file.lockSync(), told);
});

onEveryLock('lock() refuses what it cannot use, before anything happens', async (_, { open }) => {
  const file = await open();
  const refuses = async (options: unknown, name: RegExp) => {
    await rejects(file.lock(options as object), name);
    await rejects(file.tryLock(options as object), name);
    throws(() => file.lockSync(options as object), name);
  };
  await refuses(null, /TypeError/);
  await refuses({ exclusive: 1 }, /"options.exclusive" must be true or false/);
  await refuses({ offset: -1 }, /"options.offset"/);
  await refuses({ length: 0 }, /"options.length" must be at least 1/);
  await refuses({ offset: 2 ** 53 - 1, length: 2 }, /RangeError/);
  await refuses({ primitive: 'posix' }, /"options.primitive" must be 'ofd' or 'flock'/);
  await refuses({ primitive: 'flock', offset: 1 }, /"options.offset" must be left out/);
  await rejects(file.lock({ timeoutMs: -1 }), RangeError);
  const lock = await file.lock();
  await rejects(lock.change({} as { exclusive: boolean }), /"options.exclusive"/);
  await lock.release();
  equal(file.stats().systemCalls['fcntl(F_OFD_SETLK)'], 2);
  const access = { code: 'EBADF', kind: 'access' };
  await rejects((await open('read')).lock(), access);
  await rejects((await open('append')).lock(shared), access);
  const closed = await open();
  await closed.close();
  await rejects(closed.lock(), { kind: 'closed' });
});

/** The bytes that nobody else may have, one by one. */
function lockedBytes(engine: Engine, fd: number, count: number): number[] {
  const locked: number[] = [];
  for (let offset = 0; offset < count; offset++) {
    const one = Object.assign(new Operation(Code.SetLock), { fd, offset, length: 1 });
    one.flags = RangeLock.Exclusive;
    engine.perform(one);
    if (one.result === errnoOf('EAGAIN')) locked.push(offset);
    const none = Object.assign(new Operation(Code.SetLock), { fd, offset, length: 1 });
    none.flags = RangeLock.None;
    engine.perform(none);
  }
  return locked;
}

const elsewhere = `
  import { openFile } from 'holdfast';
  const file = await openFile(process.argv[1], { access: 'read-write' });
  process.stdout.write((await file.tryLock()) === undefined ? 'refused' : 'taken');
`;

function tryElsewhere(path: string): Promise<string> {
  return outputOf({ source: elsewhere, args: [path] });
}

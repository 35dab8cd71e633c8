/** Lock files: made safely, held truly, found again when they are moved about, told of well. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { configure, type Engine, LockHeldError, lockFile, lockFileSync } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { engineNamed } from '#holdfast/engine.js';
import { Code, errnoOf, OpenFlag, Operation, placeOf, RangeLock } from '#holdfast/platform.js';
import { FaultyEngine, type Judge } from './file/faults.js';
import { lockingWords, realEngine, settled } from './lock/worlds.js';
import { Child, hasTool, outputOf } from './support/child.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';

interface World {
  readonly engine: Engine;
  readonly directory: string;
  readonly path: string;
}

/** One test on a real file. */
function onLockFile(name: string, body: (t: TestContext, world: World) => unknown): void {
  for (const word of lockingWords) {
    test(`${name} (${word})`, { timeout: 60_000 }, async (t) => {
      const engine = realEngine(t, word);
      if (engine === undefined) return;
      const directory = scratch(t);
      /* Most calls here name no engine. */
      configure({ engine: word });
      t.after(() => configure({ engine: 'auto' }));
      await body(t, { engine, directory, path: join(directory, 'app.lock') });
    });
  }
}

const holding = `
  import { lockFile, lockFileSync } from 'holdfast';
  const lock = await lockFile(process.argv[1], JSON.parse(process.argv[2]));
  process.stdout.write('held');
  setTimeout(() => undefined, 30_000);
`;

async function holder(t: TestContext, path: string, options = {}): Promise<Child> {
  const child = new Child({ source: holding, args: [path, JSON.stringify(options)] });
  t.after(() => child.kill());
  await child.waitFor('held');
  return child;
}

async function refusalOf(work: () => unknown): Promise<LockHeldError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof LockHeldError) return error;
    throw error;
  }
  throw new Error('It was not refused');
}

/** With an owner: the library looks for 100 ms, in which a machine at work comes nowhere. */
async function ownerTold(work: () => unknown): Promise<LockHeldError> {
  for (let tries = 0; ; tries++) {
    const error = await refusalOf(work);
    if ((error.owner?.state ?? 'gone') !== 'gone' || tries === 20) return error;
  }
}

for (const face of ['lockFile', 'lockFileSync'] as const) {
  const take = async (path: string, options = {}) =>
    face === 'lockFile' ? lockFile(path, options) : lockFileSync(path, options);

  onLockFile(`${face}() makes the file for its owner alone, and leaves it`, async (_, world) => {
    const { path, directory } = world;
    const before = openDescriptors();
    const lock = await take(path);
    equal(lstatSync(path).mode & 0o777, 0o600);
    deepEqual([lock.path, lock.exclusive, lock.isHeld], [path, true, true]);
    deepEqual([lock.offset, lock.length], [0, Number.POSITIVE_INFINITY]);
    const { pid, host, since } = JSON.parse(readFileSync(path, 'latin1'));
    deepEqual([pid, host], [process.pid, hostname()]);
    ok(Math.abs(Date.parse(since) - lock.sinceMs) <= 1000);
    await (face === 'lockFile' ? lock.release() : lock.releaseSync());
    equal(readFileSync(path, 'latin1').trim(), '', 'nobody holds it now');
    assertHoldsOnly(directory, ['app.lock']);
    assertNoNewDescriptors(before);
    const again = await take(path, { mode: 0o640 });
    equal(lstatSync(path).mode & 0o777, 0o600, 'the mode is for a file that is made');
    await again.release();
  });

  onLockFile(`${face}() does not follow a link, and takes files alone`, async (_, world) => {
    const { directory, path } = world;
    writeFileSync(join(directory, 'victim'), 'precious');
    symlinkSync('victim', path);
    await rejects(take(path), { code: 'ELOOP', kind: 'loop', path });
    equal(readFileSync(join(directory, 'victim'), 'utf8'), 'precious');
    mkdirSync(join(directory, 'd'));
    await rejects(take(join(directory, 'd')), { kind: 'wrong-type' });
    spawnSync('mkfifo', [join(directory, 'fifo')]);
    await rejects(take(join(directory, 'fifo')), { kind: 'wrong-type', message: /it is a fifo/ });
    await rejects(take(join(directory, 'absent', 'lock')), { code: 'ENOENT' });
    await rejects(take('/dev/null'), { kind: 'wrong-type' });
    await rejects(take(`${directory}/`), { kind: 'wrong-type' });
  });

  /* Regression: who gives a lock file a file of data by mistake must not lose its first bytes. */
  onLockFile(`${face}() writes nothing into a file of data`, async (_, { path }) => {
    for (const data of ['{"state":1}', 'x'.repeat(256), `{"pid":1}${' '.repeat(247)}`]) {
      writeFileSync(path, data);
      const lock = await take(path);
      equal(readFileSync(path, 'utf8'), data);
      await lock.change({ exclusive: false });
      await lock.change({ exclusive: true });
      await lock.release();
      equal(readFileSync(path, 'utf8'), data);
    }
  });

  onLockFile(`${face}() names the process that holds it`, async (t, { path }) => {
    const child = await holder(t, path);
    const running = await refusalOf(() => take(path, { timeoutMs: 0 }));
    deepEqual([running.code, running.kind, running.path], ['ETIMEDOUT', 'timeout', path]);
    const { owner } = running;
    deepEqual([owner?.pid, owner?.state, owner?.isThisProcess], [child.pid, 'running', false]);
    match(running.message, new RegExp(`held by pid ${child.pid} \\(.+\\) since 20.*Z; the time`));
    await child.stop();
    const stopped = await refusalOf(() => take(path, { timeoutMs: 20 }));
    match(stopped.message, new RegExp(`held by pid ${child.pid} \\(.+, stopped\\) since`));
    equal(stopped.owner?.state, 'stopped');
    await child.kill();
    const lock = await take(path, { timeoutMs: 0 });
    await lock.release();
  });
}

onLockFile(
  'lockFile() names a holder that wrote no record, and one of another host',
  async (t, w) => {
    const child = await holder(t, w.path, { exclusive: false });
    const seen = await ownerTold(() => lockFile(w.path, { timeoutMs: 0 }));
    equal(seen.owner?.pid, child.pid);
    const since = '2026-01-02T03:04:05.678Z';
    const record = (pid: number, host: string) =>
      writeFileSync(w.path, `${JSON.stringify({ pid, host, since }).padEnd(255)}\n`);
    record(77, 'elsewhere.example');
    const told = await refusalOf(() => lockFile(w.path, { timeoutMs: 0 }));
    match(told.message, /held by pid 77 \(on elsewhere.example\) since 2026-01-02T03:04:05.678Z/);
    record(2 ** 22 + 5, hostname());
    const stale = await ownerTold(() => lockFile(w.path, { timeoutMs: 0 }));
    equal(stale.owner?.pid, child.pid, 'a record whose process is gone is not believed');
  },
);

onLockFile(
  'lockFile() in one process waits its turn; lockFileSync() cannot',
  async (_, { path }) => {
    const first = await lockFile(path);
    const order: number[] = [];
    const later = [1, 2, 3].map(async (index) => {
      const lock = await lockFile(path);
      order.push(index);
      await lock.release();
    });
    await settled();
    throws(() => lockFileSync(path), { code: 'EBUSY', message: /held by this process since/ });
    const told = await refusalOf(() => lockFile(path, { timeoutMs: 5 }));
    ok(told.owner?.isThisProcess);
    await first.release();
    await Promise.all(later);
    deepEqual(order.sort(), [1, 2, 3]);
  },
);

onLockFile('lockFile() shared lets others share', async (t, { path }) => {
  await holder(t, path, { exclusive: false });
  const before = openDescriptors();
  const lock = await lockFile(path, { exclusive: false });
  await rejects(lock.change({ exclusive: true, timeoutMs: 10 }), { code: 'ETIMEDOUT' });
  equal(readFileSync(path, 'latin1'), '', 'those who share write no record');
  const giveUp = AbortSignal.timeout(10);
  await rejects(lockFile(path, { signal: giveUp }), { name: 'AbortError' });
  await lock.release();
  assertNoNewDescriptors(before);
});

onLockFile('lockFile() shares the lock of a file that may only be read', async (_, world) => {
  writeFileSync(world.path, '');
  const opens: number[] = [];
  const engine = judged(world.engine, ({ code, flags }) => {
    if (code !== Code.Open) return undefined;
    opens.push(flags & 3);
    return (flags & 3) === 0 ? undefined : { answers: errnoOf('EACCES') };
  });
  await rejects(lockFile(world.path, { engine }), { code: 'EACCES', kind: 'access' });
  const lock = await lockFile(world.path, { engine, exclusive: false });
  deepEqual(opens, [2, 2, 0]);
  await rejects(lock.change({ exclusive: true }), { code: 'EBADF' });
  await lock.release();
});

/* --------------------------------------------------------------- names that are moved about */

/*
 * Regression: a lock is taken on a file that was removed between open and lock; whoever comes next
 * makes a new one, and there are two holders of "the" lock. The name is looked at again.
 */
for (const how of ['removed', 'replaced'] as const) {
  onLockFile(`lockFile() finds the file anew that is ${how} before it has it`, async (_, world) => {
    const { path, engine } = world;
    const before = openDescriptors();
    let isMoved = false;
    const moving = judged(engine, ({ code }) => {
      if (code !== Code.SetLock || isMoved) return undefined;
      isMoved = true;
      unlinkSync(path);
      if (how === 'replaced') writeFileSync(path, '');
      return undefined;
    });
    const lock = await lockFile(path, { engine: moving });
    ok(isMoved);
    ok(await lock.intact());
    equal(await tryElsewhere(path), 'refused');
    await lock.release();
    equal(await tryElsewhere(path), 'taken');
    assertNoNewDescriptors(before);
  });

  onLockFile(`lockFile() that waits goes on when the file is ${how}`, async (t, { path }) => {
    const child = await holder(t, path);
    const waiting = lockFile(path);
    await settled();
    unlinkSync(path);
    if (how === 'replaced') renameSync(made(`${path}.new`), path);
    const lock = await waiting;
    equal(child.stdout, 'held');
    ok(await lock.intact());
    await lock.release();
  });
}

onLockFile('intact() tells that the file was removed under its holder', async (_, { path }) => {
  const lock = await lockFile(path);
  deepEqual([await lock.intact(), lock.intactSync()], [true, true]);
  renameSync(path, `${path}.old`);
  deepEqual([await lock.intact(), lock.intactSync()], [false, false]);
  renameSync(`${path}.old`, path);
  equal(lock.intactSync(), true);
  await lock.release();
  equal(await lock.intact(), false);
});

onLockFile('lockFile() by a relative path holds when the process goes elsewhere', async (t, w) => {
  const source = `
    import { mkdirSync } from 'node:fs';
    import { lockFile } from 'holdfast';
    const { openFile } = await import('holdfast');
    process.chdir(process.argv[1]);
    mkdirSync('below');
    const lock = await lockFile('app.lock');
    process.chdir('below');
    process.stdout.write(String(await lock.intact()));
  `;
  equal(await outputOf({ source, args: [w.directory] }), 'true');
  equal(statSync(w.path).size, 256);
  t.diagnostic('the process ended with the lock');
  equal(await tryElsewhere(w.path), 'taken');
});

/* ---------------------------------------------------------------------------------- refusals */

onLockFile('lockFile() holds on a full disk, without a record', async (_, { path, engine }) => {
  const before = openDescriptors();
  const full = judged(engine, ({ code }) =>
    code === Code.Write ? { answers: errnoOf('ENOSPC') } : undefined,
  );
  const lock = await lockFile(path, { engine: full });
  equal(await tryElsewhere(path), 'refused');
  await lock.release();
  equal(await tryElsewhere(path), 'taken');
  assertNoNewDescriptors(before);
});

onLockFile(
  'lockFile() leaves no descriptor when a step is refused',
  async (_, { path, engine }) => {
    const before = openDescriptors();
    for (let refused = 0; refused < 6; refused++) {
      let asked = 0;
      const refusing = judged(engine, ({ code }) => {
        const isCounted = code !== Code.Close && code !== Code.Write && asked++ === refused;
        return isCounted ? { answers: errnoOf('EIO') } : undefined;
      });
      const outcome = await lockFile(path, { engine: refusing }).catch((error: unknown) => error);
      if (outcome instanceof Error) equal((outcome as NodeJS.ErrnoException).code, 'EIO');
      else await (outcome as Awaited<ReturnType<typeof lockFile>>).release();
    }
    assertNoNewDescriptors(before);
    equal(await tryElsewhere(path), 'taken');
  },
);

onLockFile('lockFile() with flock excludes flock(1)', async (t, { path }) => {
  if (!hasTool('flock')) return t.skip('flock (util-linux) is not installed');
  const lock = await lockFile(path, { primitive: 'flock' });
  equal(spawnSync('flock', ['-n', path, 'true']).status, 1);
  await lock.release();
  equal(spawnSync('flock', ['-n', path, 'true']).status, 0);
});

test('lockFile() on a simulated disk: exclusion, and nothing left after a crash', async () => {
  const disk = simulatedDisk(11);
  const { engine } = disk;
  const lock = await lockFile('app.lock', { engine });
  await rejects(lockFile('/app.lock', { engine, timeoutMs: 1000 }), { code: 'ETIMEDOUT' });
  const after = disk.crash({ keep: 'all' });
  ok((await lockFile('/app.lock', { engine: after.engine, timeoutMs: 0 })).isHeld);
  await lock.release();
  lockFileSync('/app.lock', { engine }).releaseSync();
  deepEqual(disk.openDescriptors, []);
});

/*
 * Regression: the ring of a killed process keeps its files open for some 50 ms, and whoever asks at
 * once is told that a process that is no more holds the lock. It is asked again for a while.
 */
test('lockFile() outlasts a holder that is gone, and nobody else', async () => {
  for (const [pid, end] of [
    [2 ** 22 + 5, 'had'],
    [process.ppid, 'ETIMEDOUT'],
  ] as const) {
    const disk = simulatedDisk(12);
    const record = { pid, host: hostname(), since: '2026-01-02T03:04:05.678Z' };
    disk.put('/lock', `${JSON.stringify(record).padEnd(255)}\n`);
    const held = { offset: 0, length: 1, flags: RangeLock.Exclusive };
    const perform = (code: Code, fields: Partial<Operation>): number => {
      const operation = Object.assign(new Operation(code), fields);
      disk.engine.perform(operation);
      return operation.result;
    };
    const fd = perform(Code.Open, { place: placeOf('/lock'), flags: OpenFlag.ReadWrite });
    equal(perform(Code.SetLock, { ...held, fd }), 0);
    let asked = 0;
    const engine = judged(disk.engine, ({ code }) => {
      if (code === Code.SetLock && ++asked === 5) perform(Code.Close, { fd });
      return undefined;
    });
    const outcome = await lockFile('/lock', { engine, timeoutMs: 0 }).catch((error) => error.code);
    equal(typeof outcome === 'string' ? outcome : 'had', end);
    await (outcome as { release?: () => Promise<void> }).release?.();
  }
});

test('lockFile() is refused where the engine has no locks, and makes no file', async (t) => {
  const directory = scratch(t);
  const engine = engineNamed('portable');
  const told = { kind: 'unsupported', message: /node:fs/ };
  await rejects(lockFile(join(directory, 'lock'), { engine }), told);
  throws(() => lockFileSync(join(directory, 'lock'), { engine }), told);
  assertHoldsOnly(directory, []);
});

onLockFile('lockFile() refuses what it cannot use, before anything happens', async (_, world) => {
  const { path, directory } = world;
  const refuses = async (options: unknown, name: RegExp) => {
    await rejects(lockFile(path, options as object), name);
    throws(() => lockFileSync(path, options as object), name);
  };
  await refuses(null, /TypeError/);
  await refuses({ exclusive: 'yes' }, /"options.exclusive"/);
  await refuses({ timeoutMs: Number.NaN }, /"options.timeoutMs"/);
  await refuses({ signal: {} }, /"options.signal"/);
  await refuses({ primitive: 'lockf' }, /"options.primitive"/);
  await refuses({ mode: 8 ** 5 }, /"options.mode"/);
  await refuses({ engine: 'pool' }, /"options.engine"/);
  await rejects(lockFile(''), /TypeError/);
  await rejects(lockFile(path, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  assertHoldsOnly(directory, []);
});

/*
 * Regression: a program that takes a lock in a loop lets go of it for some microseconds at a time,
 * and whoever asks every 25 ms finds it held for minutes. It steps back for those who wait.
 */
onLockFile('lockFile() gets its turn beside a process that never stops', async (t, { path }) => {
  const child = new Child({
    source: `
      import { lockFileSync } from 'holdfast';
      process.stdout.write('began');
      for (;;) {
        const lock = lockFileSync(process.argv[1]);
        const end = performance.now() + 100;
        while (performance.now() < end);
        lock.releaseSync();
      }
    `,
    args: [path],
  });
  t.after(() => child.kill());
  await child.waitFor('began');
  for (let turn = 0; turn < 5; turn++) {
    const lock = await lockFile(path, { timeoutMs: 4000 });
    await lock.release();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

function judged(engine: Engine, judge: Judge): FaultyEngine {
  return new FaultyEngine(engine, judge);
}

function made(path: string): string {
  writeFileSync(path, '');
  return path;
}

const trying = `
  import { lockFile } from 'holdfast';
  const lock = await lockFile(process.argv[1], { timeoutMs: 0 }).catch(() => undefined);
  process.stdout.write(lock === undefined ? 'refused' : 'taken');
`;

function tryElsewhere(path: string): Promise<string> {
  return outputOf({ source: trying, args: [path] });
}

/** Updates: what they read and write, what leaves the file alone, who takes turns. */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  IoError,
  LockHeldError,
  lockFile,
  replaceFile,
  type UpdateOptions,
  updateFile,
  updateFileSync,
  updateJson,
  updateJsonSync,
} from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { engineNamed } from '#holdfast/engine.js';
import { realEngine, settled } from './lock/worlds.js';
import { Child } from './support/child.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';
import { type Change, onBothFaces, type World, worldOf } from './update/worlds.js';

const text = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');

onBothFaces('updateFile() gives the old bytes and writes the new ones', async (_, world) => {
  const { path, directory } = world;
  const before = openDescriptors();
  const seen: unknown[] = [];
  const first = await world.file((old: Uint8Array | undefined) => {
    seen.push(text(old));
    return 'one';
  });
  const second = await world.file((old: Uint8Array | undefined) => {
    seen.push(text(old));
    return [Buffer.from('t'), Buffer.from('wo')];
  });
  deepEqual(seen, [undefined, 'one']);
  equal(readFileSync(path, 'utf8'), 'two');
  const lockPath = join(directory, '.state.json.lock');
  const { replaced, durability, exclusion } = first as Awaited<ReturnType<typeof updateFile>>;
  deepEqual([replaced, durability, exclusion], [false, 'full', 'processes']);
  deepEqual((second as { lockPath: string }).lockPath, lockPath);
  equal(lstatSync(lockPath).mode & 0o777, 0o600);
  assertHoldsOnly(directory, ['.state.json.lock', 'state.json']);
  assertNoNewDescriptors(before);
});

onBothFaces('updateJson() gives the old value and writes the new one', async (_, world) => {
  const seen: unknown[] = [];
  const change: Change<{ count: number }> = (old) => {
    seen.push(old);
    const value = old ?? { count: 0 };
    value.count++;
    return value;
  };
  const report = (await world.json(change)) as { value: unknown };
  deepEqual(report.value, { count: 1 });
  equal(readFileSync(world.path, 'utf8'), '{"count":1}\n');
  await world.json(change, { indent: 2, mode: 0o600 } as UpdateOptions);
  deepEqual(seen, [undefined, { count: 2 }]);
  equal(readFileSync(world.path, 'utf8'), '{\n  "count": 2\n}\n');
  equal(lstatSync(world.path).mode & 0o777, 0o600);
  writeFileSync(world.path, '\ufeff"with a mark"');
  deepEqual(((await world.json((old: string) => [old])) as { value: unknown }).value, [
    'with a mark',
  ]);
  await world.json(() => null);
  equal(readFileSync(world.path, 'utf8'), 'null\n');
});

onBothFaces('an update that throws leaves the file alone and the lock free', async (_, world) => {
  const { path } = world;
  writeFileSync(path, '{"a":1}');
  const inode = lstatSync(path).ino;
  const before = openDescriptors();
  const mine = new Error('no');
  const thrower = () => {
    throw mine;
  };
  await rejects(world.file(thrower), mine);
  await rejects(world.json(thrower), mine);
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const rubbish = [
    undefined,
    () => 1,
    Symbol('s'),
    cycle,
    1n,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
  ];
  for (const value of rubbish) {
    await rejects(
      world.json(() => value),
      { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' },
    );
  }
  await rejects(
    world.json(() => 1n),
    /value that was returned.*got 1n/,
  );
  const own = { toJSON: thrower };
  await rejects(
    world.json(() => own),
    mine,
  );
  for (const value of [undefined, null, 7, true, () => 'x', {}, [1]]) {
    await rejects(
      world.file(() => value),
      { name: 'TypeError' },
    );
  }
  equal(readFileSync(path, 'utf8'), '{"a":1}');
  equal(lstatSync(path).ino, inode);
  assertNoNewDescriptors(before);
  await world.json(() => ({ a: 2 }), { timeoutMs: 1000 });
});

test('a change that rejects leaves the file alone; a sync one may not wait', async (t) => {
  if (realEngine(t) === undefined) return;
  const path = join(scratch(t), 'state.json');
  const mine = new Error('later no');
  await rejects(
    updateFile(path, () => Promise.reject(mine)),
    mine,
  );
  await rejects(
    updateJson(path, async () => undefined),
    TypeError,
  );
  throws(() => updateFileSync(path, (async () => 'x') as unknown as () => string), /not a promise/);
  throws(() => updateJsonSync(path, async () => 1), /value that was returned/);
  const { value } = await updateJson<number[]>(path, async (old = []) => [...old, 1]);
  deepEqual(value, [1]);
});

onBothFaces('updates go where links lead, and share one lock', async (_, world) => {
  const { directory, path } = world;
  mkdirSync(join(directory, 'deep'));
  symlinkSync('deep/middle', path);
  symlinkSync('real.json', join(directory, 'deep', 'middle'));
  const report = await world.file(() => 'content');
  equal(readFileSync(join(directory, 'deep', 'real.json'), 'utf8'), 'content');
  equal((report as { lockPath: string }).lockPath, join(directory, 'deep', '.real.json.lock'));
  deepEqual(readdirSync(join(directory, 'deep')).sort(), [
    '.real.json.lock',
    'middle',
    'real.json',
  ]);
  symlinkSync('loop', join(directory, 'loop'));
  const loop = worldLike(world, join(directory, 'loop'));
  await rejects(loop, { code: 'ELOOP', durable: 'old' });
});

function worldLike({ engine }: World, path: string): Promise<unknown> {
  return updateFile(path, () => 'x', { engine });
}

onBothFaces('updates of names of 255 bytes, and with a lock file elsewhere', async (_, world) => {
  const { directory, engine } = world;
  const name = 'n'.repeat(255);
  const { lockPath } = await updateFile(join(directory, name), () => 'x', { engine });
  match(lockPath as string, /\/\.holdfast-[0-9a-f]{8}\.lock$/);
  const own = join(directory, 'mine.lock');
  await world.file(() => 'x', { lockPath: own, lockMode: 0o660 });
  ok((lstatSync(own).mode & 0o600) === 0o600);
  ok(!readdirSync(directory).includes('.state.json.lock'));
});

onBothFaces('an update keeps what a replace keeps', async (_, world) => {
  writeFileSync(world.path, '1');
  chmodSync(world.path, 0o640);
  await world.json((old: number) => old + 1);
  equal(lstatSync(world.path).mode & 0o777, 0o640);
});

/* ------------------------------------------------------------------------------------- turns */

test('updates of one process take place in the order of the calls', async (t) => {
  if (realEngine(t) === undefined) return;
  const path = join(scratch(t), 'list');
  const calls = Array.from({ length: 40 }, (_, index) =>
    updateJson<number[]>(path, async (old = []) => [...old, index], { durable: false }),
  );
  throws(() => updateFileSync(path, () => 'x'), { code: 'EBUSY' });
  await Promise.all(calls);
  deepEqual(JSON.parse(readFileSync(path, 'utf8')), [...calls.keys()]);
});

test('an update whose time is up, or that is aborted, is not one', async (t) => {
  if (realEngine(t) === undefined) return;
  const directory = scratch(t);
  const path = join(directory, 'state');
  const lock = await lockFile(join(directory, '.state.lock'));
  let calls = 0;
  const change = () => `${calls++}`;
  await rejects(updateFile(path, change, { timeoutMs: 10 }), LockHeldError);
  await rejects(updateFile(path, change, { signal: AbortSignal.timeout(10) }), /aborted/);
  await lock.release();
  const giveUp = new AbortController();
  const hangs = updateFile(path, () => new Promise<string>(() => undefined), {
    signal: giveUp.signal,
  });
  const late = updateFile(path, () => new Promise<string>(() => undefined), { timeoutMs: 30 });
  await settled();
  giveUp.abort();
  await rejects(hangs, { name: 'AbortError' });
  await rejects(late, { code: 'ETIMEDOUT', path, step: 'update', durable: 'old' });
  assertHoldsOnly(directory, ['.state.lock']);
  equal(calls, 0);
  await updateFile(path, change, { timeoutMs: 5000, signal: giveUp.signal }).catch(() => undefined);
  await updateFile(path, change, { timeoutMs: 5000 });
  equal(readFileSync(path, 'utf8'), '0');
});

/*
 * Regression: with the lock file removed, another process makes a new one and updates as well; what
 * the first one replaces then would undo that. It looks at the name once more before it replaces.
 */
test('an update whose lock file was removed meanwhile is refused', async (t) => {
  if (realEngine(t) === undefined) return;
  const directory = scratch(t);
  const path = join(directory, 'state');
  writeFileSync(path, 'old');
  const refused = updateFile(path, async () => {
    unlinkSync(join(directory, '.state.lock'));
    await replaceFile(path, 'of another');
    return 'new';
  });
  await rejects(refused, { code: 'ESTALE', kind: 'stale', durable: 'old' });
  equal(readFileSync(path, 'utf8'), 'of another');
  await updateFile(path, (old) => `${text(old)}, changed`);
  equal(readFileSync(path, 'utf8'), 'of another, changed');
});

const increments = new URL('./update/increments.js', import.meta.url);

async function incremented(
  t: TestContext,
  path: string,
  work: { kinds: readonly string[]; processes: number; times: number; durable: 'full' | 'no' },
): Promise<void> {
  const children = Array.from({ length: work.processes }, (_, index) => {
    const kind = work.kinds[index % work.kinds.length] as string;
    const args = [path, kind, String(work.times), work.durable];
    return new Child({ module: increments, args, timeoutMs: 100_000 });
  });
  t.after(() => Promise.all(children.map((child) => child.kill())));
  const ends = await Promise.all(children.map((child) => child.ended));
  for (const { code, stdout, stderr } of ends) deepEqual([code, stdout], [0, 'done'], stderr);
}

test('8 processes x 1000 increments lose none', { timeout: 110_000 }, async (t) => {
  if (realEngine(t) === undefined) return;
  const path = join(scratch(t), 'counter.json');
  const kinds = ['json', 'jsonSync'];
  await incremented(t, path, { kinds, processes: 8, times: 1000, durable: 'no' });
  equal(JSON.parse(readFileSync(path, 'utf8')).count, 8000);
});

test('4 processes x 50 durable increments lose none', { timeout: 110_000 }, async (t) => {
  if (realEngine(t) === undefined) return;
  const path = join(scratch(t), 'counter.json');
  await incremented(t, path, { kinds: ['json'], processes: 4, times: 50, durable: 'full' });
  equal(JSON.parse(readFileSync(path, 'utf8')).count, 200);
});

test('16 processes update one file: readers see no torn one, no update is lost', async (t) => {
  if (realEngine(t) === undefined) return;
  const path = join(scratch(t), 'numbers');
  writeFileSync(path, '0-0');
  let reads = 0;
  let seen = 0;
  let isOver = false;
  const watch = async (): Promise<void> => {
    while (!isOver) {
      const content = readFileSync(path, 'latin1');
      const [, first, last] = /^(\d+)[^\d]+(\d+)$/.exec(content) ?? [];
      ok(first !== undefined && first === last, `torn: ${content.slice(0, 40)}`);
      ok(Number(first) >= seen, 'it never goes back');
      seen = Number(first);
      reads++;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const watching = watch();
  const kinds = ['file', 'fileSync'];
  await incremented(t, path, { kinds, processes: 16, times: 60, durable: 'no' });
  isOver = true;
  await watching;
  equal(Number.parseInt(readFileSync(path, 'latin1'), 10), 16 * 60);
  ok(reads > 100);
});

test('updates go on after processes that are killed in the middle', async (t) => {
  if (realEngine(t) === undefined) return;
  const path = join(scratch(t), 'counter.json');
  let least = 0;
  for (let round = 0; round < 5; round++) {
    const args = [path, 'json', '100000', 'no'];
    const children = [1, 2, 3].map(() => new Child({ module: increments, args }));
    t.after(() => Promise.all(children.map((child) => child.kill())));
    const until = least + 30;
    while (counted(path) < until) await new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all(children.map((child) => child.kill()));
    least = counted(path);
    const { value } = await updateJson<{ count: number }>(path, (old) => ({
      count: (old?.count ?? 0) + 1,
    }));
    equal(value.count, least + 1);
    least = value.count;
  }
});

function counted(path: string): number {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).count;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

/* --------------------------------------------------------------------------- without locks */

for (const face of ['async', 'sync'] as const) {
  test(`updates without locks say so, or take turns in this process, ${face}`, async (t) => {
    const world = worldOf(engineNamed('portable'), scratch(t), face);
    let calls = 0;
    const told = { kind: 'unsupported', message: /exclusion 'this-process' does without/ };
    await rejects(
      world.file(() => `${calls++}`),
      told,
    );
    equal(calls, 0);
    assertHoldsOnly(world.directory, []);
    const options = { exclusion: 'this-process' } as const;
    const work = Array.from({ length: face === 'async' ? 20 : 1 }, () =>
      world.json((old: number | undefined) => (old ?? 0) + 1, options),
    );
    const reports = (await Promise.all(work)) as { lockPath: unknown; exclusion: string }[];
    equal(readFileSync(world.path, 'utf8'), `${work.length}\n`);
    deepEqual([reports[0]?.lockPath, reports[0]?.exclusion], [undefined, 'this-process']);
    assertHoldsOnly(world.directory, ['state.json']);
    const link = join(world.directory, 'link');
    symlinkSync('state.json', link);
    const engine = world.engine;
    const both = [world.path, link, world.path, link].map((path) =>
      updateJson<number>(path, async (old = 0) => old + 1, { ...options, engine }),
    );
    await Promise.all(both);
    equal(readFileSync(world.path, 'utf8'), `${work.length + 4}\n`, 'two names, one turn');
  });
}

onBothFaces('updates refuse what they cannot use, before anything happens', async (_, world) => {
  const { directory, path } = world;
  const change = () => 'x';
  for (const call of [world.file, world.json]) {
    await rejects(call('x'), /"change" must be a function/);
    await rejects(call(change, { exclusion: 'none' as 'processes' }), /"options.exclusion"/);
    await rejects(call(change, { lockMode: -1 }), /"options.lockMode"/);
    await rejects(call(change, { lockPath: '' }), /"options.lockPath"/);
    await rejects(call(change, { timeoutMs: '1' as unknown as number }), /"options.timeoutMs"/);
    await rejects(call(change, { durable: true as unknown as false }), /"options.durable"/);
  }
  await rejects(world.json(change, { indent: {} } as object), /"options.indent"/);
  await rejects(updateFile('', change), /"path"/);
  await rejects(updateFile(path, change, null as unknown as object), /"options"/);
  await rejects(updateFile(join(directory, 'absent', 'x'), change), { code: 'ENOENT' });
  await rejects(updateFile(`${directory}/`, change), IoError);
  await rejects(updateFile(directory, change), { kind: 'wrong-type' });
});

test('updates on a simulated disk: crash anywhere, and the old or the new stands', async () => {
  const disk = simulatedDisk(5);
  disk.put('/state', '1');
  const { engine } = disk;
  await updateJson<number>('/state', (old = 0) => old + 1, { engine });
  equal(text(disk.crash().read('/state')), '2\n');
  deepEqual(disk.openDescriptors, []);
});

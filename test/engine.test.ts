/** Engines: threads that can be changed, fairness, and what a choice that cannot be had answers. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { configure, defaultEngine, type Engine, openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { Barrier, handed, longAfter, nop, threadCount } from './contract/engines.js';
import { patterned } from './file/bytes.js';
import { engineFor } from './file/doors.js';
import { runChild } from './support/child.js';
import { scratch } from './support/scratch.js';

/** The pool, and barriers that hold its threads until the test ends. */
class Pool {
  readonly engine: Engine;
  readonly #barriers: Barrier[] = [];

  private constructor(engine: Engine) {
    this.engine = engine;
  }

  /** With so many threads, and none of them started yet. */
  static of(t: TestContext, threads: number): Pool | undefined {
    const engine = engineFor(t, 'pool');
    if (engine === undefined) return undefined;
    const before = engine.threads;
    configure({ threads: 1 });
    configure({ threads });
    const pool = new Pool(engine);
    t.after(() => pool.#end(before));
    return pool;
  }

  barrier(directory: string, name?: string): Barrier {
    const barrier = new Barrier(this.engine, directory, name);
    this.#barriers.push(barrier);
    return barrier;
  }

  /* A thread that is held would be waited for by the thread that alone can let it go. */
  #end(threads: number): void {
    for (const barrier of this.#barriers) barrier.close();
    configure({ threads });
  }
}

async function readsOn(directory: string, engine: Engine): Promise<void> {
  const path = join(directory, 'other');
  writeFileSync(path, patterned(5000));
  const file = await openFile(path, { engine });
  const target = new Uint8Array(5000);
  equal(await file.readAt(target, 0), 5000);
  deepEqual(target, patterned(5000));
  await file.syncData();
  await file.close();
}

const limited = { timeout: 60_000 };

test('a hundred waits on one descriptor let other files through', limited, async (t) => {
  for (const threads of [2, 4]) {
    const pool = Pool.of(t, threads);
    if (pool === undefined) return;
    const { engine } = pool;
    const directory = scratch(t);
    const barrier = pool.barrier(directory);
    const fd = barrier.open();
    let settled = 0;
    const waits = Array.from({ length: 100 }, async () => {
      const { result } = await barrier.wait(fd);
      settled++;
      return result;
    });
    for (let time = 0; time < 10; time++) await readsOn(directory, engine);
    equal(settled, 0, 'all hundred still wait');
    barrier.release();
    deepEqual(await Promise.all(waits), new Array(100).fill(0));
  }
});

/*
 * Descriptors were told apart by their number modulo 64: in a process with many files a sync of one
 * stood behind the hundred syncs of another.
 */
test('a descriptor 64 above a busy one is let through too', limited, async (t) => {
  const pool = Pool.of(t, 4);
  if (pool === undefined) return;
  const { engine } = pool;
  const directory = scratch(t);
  const barrier = pool.barrier(directory);
  const fd = barrier.open();
  const waits = Array.from({ length: 100 }, () => barrier.wait(fd));
  const path = join(directory, 'file');
  writeFileSync(path, patterned(10));
  const opened: number[] = [];
  t.after(() => {
    for (const other of opened) closeSync(other);
  });
  while (!opened.some((other) => other === fd + 64)) opened.push(openSync(path, 'r'));
  for (const other of opened) {
    const { OpenFile } = await import('holdfast');
    const file = OpenFile.fromFd(other, { ownership: 'borrow', engine });
    await file.syncData();
  }
  barrier.release();
  for (const { result } of await Promise.all(waits)) equal(result, 0);
});

/*
 * Threads that had been called but had not woken were counted as idle for the next batch too: no
 * other was started, and an operation stood behind two that waited, with two threads to be had.
 */
test('three batches in a row get three threads', limited, async (t) => {
  for (let round = 0; round < 40; round++) {
    const pool = Pool.of(t, 4);
    if (pool === undefined) return;
    const { engine } = pool;
    const barrier = pool.barrier(scratch(t));
    await Promise.all([handed(engine, nop()), handed(engine, nop())]);
    const fds = [barrier.open(), barrier.open()] as const;
    const first = barrier.wait(fds[0]);
    await null;
    const second = barrier.wait(fds[1]);
    await null;
    const answered = handed(engine, nop());
    const told = await Promise.race([answered, pause(10_000, undefined, { ref: false })]);
    ok(told !== undefined, `round ${round}: the third stands behind the two`);
    barrier.release();
    const one = await Promise.race([first, second]);
    equal(one.result, 0);
    closeSync(one.fd);
    await Promise.all([first, second]);
    barrier.forget(one.fd);
  }
});

test('configure() of more threads lets through what waits for one', limited, async (t) => {
  const pool = Pool.of(t, 2);
  if (pool === undefined) return;
  const { engine } = pool;
  const barriers = [0, 1].map((index) => pool.barrier(scratch(t), `barrier-${index}`));
  const waits = barriers.map((barrier) => barrier.wait(barrier.open()));
  let isThrough = false;
  const through = handed(engine, nop()).then(() => {
    isThrough = true;
  });
  await longAfter();
  equal(isThrough, false, 'both threads are held');
  configure({ threads: 3 });
  equal(engine.threads, 3);
  await through;
  for (const barrier of barriers) barrier.release();
  for (const { result } of await Promise.all(waits)) equal(result, 0);
});

test('configure() of fewer threads loses nothing that is under way', limited, async (t) => {
  const pool = Pool.of(t, 16);
  if (pool === undefined) return;
  const { engine } = pool;
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(1_000_000));
  const files = await Promise.all(Array.from({ length: 20 }, () => openFile(path, { engine })));
  const atMost = threadCount();
  for (const threads of [8, 1, 16, 2]) {
    const reads = Array.from({ length: 300 }, async (_, index) => {
      const target = new Uint8Array(3000);
      const offset = index * 3001;
      const moved = await files[index % files.length]?.readAt(target, offset);
      return moved === 3000 && Buffer.compare(target, patterned(3000, offset)) === 0;
    });
    await Promise.race(reads);
    configure({ threads });
    equal(engine.threads, threads);
    equal((await Promise.all(reads)).filter((isRight) => !isRight).length, 0);
  }
  ok(threadCount() <= atMost - 14, 'the other threads are gone');
  await Promise.all(files.map((file) => file.close()));
});

test('configure() refuses what cannot be had and changes nothing', (t) => {
  const pool = Pool.of(t, 3);
  if (pool === undefined) return;
  const { engine } = pool;
  const wrong = [0, 65, 1.5, -1, Number.NaN, Number.POSITIVE_INFINITY];
  for (const threads of wrong) throws(() => configure({ threads }), { code: 'ERR_OUT_OF_RANGE' });
  for (const threads of ['4', null, 4n] as unknown as number[]) {
    throws(() => configure({ threads }), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
  }
  for (const name of ['threads', '', null, 4] as unknown as 'pool'[]) {
    const refused = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE', message: /engine/ };
    throws(() => configure({ engine: name, threads: 7 }), refused);
  }
  for (const options of [null, 'pool', undefined] as unknown as object[]) {
    throws(() => configure(options), { name: 'TypeError' });
  }
  equal(engine.threads, 3);
});

test('configure() sets the engine of files opened from then on', async (t) => {
  if (Pool.of(t, 4) === undefined) return;
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'content');
  t.after(() => configure({ engine: 'auto' }));
  configure({ engine: 'portable' });
  equal(defaultEngine(), engineNamed('portable'));
  const before = await openFile(path);
  configure({ engine: 'pool' });
  const after = await openFile(path);
  deepEqual([before.explain().engine, after.explain().engine], ['portable', 'pool']);
  equal(await before.readAt(new Uint8Array(7), 0), 7, 'the open file keeps its engine');
  await Promise.all([before.close(), after.close()]);
  configure({ engine: 'auto' });
  equal(defaultEngine(), engineNamed('auto'));
  ok(defaultEngine().reason.length > 0);
});

test('HOLDFAST_ENGINE forces an engine, and refuses an unknown one', async () => {
  const source = `
    import { defaultEngine } from 'holdfast';
    try { const { name, reason } = defaultEngine(); console.log(name + ': ' + reason); }
    catch ({ code, message }) { console.log(code + ' ' + message); }
  `;
  const told = async (name: string): Promise<string> => {
    const { stdout } = await runChild({ source, env: { HOLDFAST_ENGINE: name } });
    return stdout.trim();
  };
  match(await told('portable'), /^portable: ./);
  match(await told('pool'), /^pool: ./);
  match(await told('auto'), /^(ring|pool): ./);
  match(await told('rocket'), /^ERR_INVALID_ARG_VALUE .*HOLDFAST_ENGINE.*"rocket"/);
});

test('an engine that is absent is refused with the reason', async () => {
  const source = `
    import { configure, defaultEngine } from 'holdfast';
    try { configure({ engine: 'pool' }); } catch ({ name, code, message }) {
      console.log(name, code, message);
    }
    console.log(defaultEngine().name, defaultEngine().reason);
  `;
  const { stdout } = await runChild({ source, nodeArgs: ['--no-addons'] });
  const [refused, chosen] = stdout.trim().split('\n');
  match(refused ?? '', /^TypeError ERR_INVALID_ARG_VALUE .*engine.*addon/);
  match(chosen ?? '', /^portable .*addon/);
});

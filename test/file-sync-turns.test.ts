/**
 * Two syncs of one file beside each other: the kernel tells the first of a lost page and the second
 * 0 (fsync(2), NOTES). The 0 could be delivered first, and acknowledged what was lost. What guards
 * it now: syncs take turns, and what is asked meanwhile shares the next.
 */
import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type EngineStats, IoError, openFile } from 'holdfast';
import { defaultEngine, type Engine, type Waiter } from '#holdfast/engine.js';
import { Code, errnoOf, type Operation } from '#holdfast/platform.js';
import { scratch } from './support/scratch.js';

/** Holds every sync back until it is let go, with an answer of the test's choosing. */
class HeldSyncs implements Engine {
  readonly inner: Engine = defaultEngine();
  readonly name = this.inner.name;
  readonly reason = this.inner.reason;
  readonly viewCountMax = this.inner.viewCountMax;
  readonly capabilities = this.inner.capabilities;
  readonly threads = this.inner.threads;
  readonly held: { readonly operation: Operation; readonly waiter: Waiter }[] = [];
  begun = 0;

  perform(run: Operation): void {
    this.inner.perform(run);
  }

  submit(run: Operation, waiter: Waiter): void {
    if (run.code !== Code.Sync && run.code !== Code.SyncData) {
      this.inner.submit(run, waiter);
      return;
    }
    this.begun++;
    this.held.push({ operation: run, waiter });
  }

  async letGo(result: number): Promise<void> {
    const next = this.held.shift();
    if (next === undefined) throw new Error('no sync is held');
    next.operation.result = result;
    next.waiter.settle();
    await new Promise((resolve) => setImmediate(resolve));
  }

  stats(): EngineStats {
    return this.inner.stats();
  }
}

async function heldFile(directory: string) {
  const engine = new HeldSyncs();
  const path = join(directory, 'file');
  return { engine, file: await openFile(path, { engine, access: 'read-write', create: true }) };
}

test('sync() begins one at a time, and those that wait share the next', async (t) => {
  const { engine, file } = await heldFile(scratch(t));
  const first = file.sync();
  const waiting = [file.sync(), file.sync(), file.sync()];
  const data = file.syncData();
  equal(engine.begun, 1);
  await engine.letGo(0);
  deepEqual(await first, { primitive: 'fsync' });
  equal(engine.begun, 2, 'three that waited are one');
  await engine.letGo(0);
  deepEqual(await Promise.all(waiting), Array(3).fill({ primitive: 'fsync' }));
  await engine.letGo(0);
  deepEqual(await data, { primitive: 'fdatasync' });
  equal(engine.begun, 3);
  await file.close();
});

test('sync() asked while one is under way is not acknowledged by that one', async (t) => {
  const { engine, file } = await heldFile(scratch(t));
  const first = file.sync();
  let isDone = false;
  const second = file.sync().then(() => {
    isDone = true;
  });
  await engine.letGo(0);
  await first;
  equal(isDone, false, 'a write between the two is not covered by the first');
  await engine.letGo(0);
  await second;
  await file.close();
});

test('sync() after one that failed rejects with its cause and asks nothing', async (t) => {
  const { engine, file } = await heldFile(scratch(t));
  const first = file.sync();
  const others = [file.sync(), file.syncData(), file.sync({ timeoutMs: 5000 })];
  const told = others.map((other) =>
    rejects(other, (error) => error instanceof IoError && error.kind === 'broken'),
  );
  const cause = rejects(first, { code: 'EIO', kind: 'io' });
  await engine.letGo(errnoOf('EIO'));
  await cause;
  await Promise.all(told);
  equal(engine.begun, 1);
  await file.close();
});

test('syncSync() while a sync is under way is EBUSY', async (t) => {
  const { engine, file } = await heldFile(scratch(t));
  const first = file.sync();
  throws(() => file.syncSync(), { code: 'EBUSY' });
  throws(() => file.syncDataSync(), { code: 'EBUSY' });
  await engine.letGo(0);
  await first;
  file.syncSync();
  await file.close();
});

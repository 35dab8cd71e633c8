/** Many linked runs at a time on the ring: each goes on to its end. */
import { deepEqual, equal } from 'node:assert/strict';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Engine, replaceFile, replaceFiles } from 'holdfast';
import { Code, linked, Operation } from '#holdfast/platform.js';
import { resultsOf } from './contract/engines.js';
import { engineFor } from './file/doors.js';
import { scratch } from './support/scratch.js';

const RUNS = 120;
/* EXT4_SUPER_MAGIC: statfs(2). */
const EXT4 = 0xef53;

/** Rejects in place of a promise that nobody will ever keep. */
async function inTime<T>(t: TestContext, promise: Promise<T>): Promise<T> {
  let stop: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    stop = setTimeout(() => reject(new Error('runs are left for ever')), 10_000);
  });
  t.after(() => clearTimeout(stop));
  return Promise.race([promise, late]).finally(() => clearTimeout(stop));
}

function ended(engine: Engine, head: Operation): Promise<void> {
  return new Promise((settle) => engine.submit(head, { settle: () => settle() }));
}

/*
 * One call does at most twenty pieces of work (IO_LOCAL_TW_DEFAULT_MAX, Linux 6.13), keeps the rest
 * and says nothing of it. The start of the next operation of a run is such a piece and leaves no
 * completion: 64 replaces at a time stood still for ever, in one program of two. What guards it:
 * the kernel is called as often as there may be work left.
 */
test('linked runs on the ring all end, however many there are at a time', async (t) => {
  const engine = engineFor(t, 'ring');
  if (engine === undefined) return;
  const fd = openSync(join(scratch(t), 'file'), 'w');
  t.after(() => closeSync(fd));
  engine.learnVolume?.(fd, EXT4);
  const before = engine.stats().ring?.submissions ?? 0;
  for (let round = 0; round < 20; round++) {
    const heads = Array.from({ length: RUNS }, () => {
      const view = new Uint8Array(512);
      const fields = { fd, offset: 0, payload: view, length: view.length };
      const writes = Array.from({ length: 3 }, () =>
        Object.assign(new Operation(Code.Write), fields),
      );
      const sync = Object.assign(new Operation(Code.SyncData), { fd });
      return linked(writes[0] as Operation, ...writes.slice(1), sync);
    });
    await inTime(t, Promise.all(heads.map((head) => ended(engine, head))));
    for (const head of heads) deepEqual(resultsOf(head), [512, 512, 512, 0]);
  }
  equal((engine.stats().ring?.submissions ?? 0) - before, 20 * RUNS * 4, 'all by the ring');
});

test('64 replaces at a time on the ring all end, and batches beside them', async (t) => {
  const engine = engineFor(t, 'ring');
  if (engine === undefined) return;
  const directory = scratch(t);
  const paths = Array.from({ length: 64 }, (_, at) => join(directory, `${at}`));
  for (let round = 0; round < 15; round++) {
    const data = `round ${round}`;
    const all = paths.map((path) => replaceFile(path, data, { engine, durable: 'full' }));
    const some = paths.slice(0, 20).map((path) => ({ path: `${path}-batch`, data }));
    await inTime(t, Promise.all([...all, replaceFiles(some, { engine })]));
    for (const path of paths) equal(readFileSync(path, 'latin1'), data);
  }
});

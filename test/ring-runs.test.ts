/** Many linked runs at a time on the ring: each goes on to its end. */
import { equal } from 'node:assert/strict';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Engine, replaceFile, replaceFiles } from 'holdfast';
import { Code, linked, Operation } from '#holdfast/platform.js';
import { engineFor } from './file/doors.js';
import { scratch } from './support/scratch.js';

const RUNS = 120;

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
  for (let round = 0; round < 20; round++) {
    const heads = Array.from({ length: RUNS }, () => {
      const syncs = Array.from({ length: 4 }, () => {
        const sync = new Operation(Code.SyncData);
        sync.fd = fd;
        return sync;
      });
      return linked(syncs[0] as Operation, ...syncs.slice(1));
    });
    await inTime(t, Promise.all(heads.map((head) => ended(engine, head))));
    for (const head of heads) {
      for (let at: Operation | undefined = head; at !== undefined; at = at.next)
        equal(at.result, 0);
    }
  }
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

/** Runs and batches: how they cross, how long they may be, and that each is told once. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Engine, openFile } from 'holdfast';
import {
  type Addon,
  Code,
  errnoOf,
  linked,
  loadAddon,
  Operation,
  placeOf,
} from '#holdfast/platform.js';
import { toldBy } from './contract/call.js';
import { handed, nop, nops, resultsOf } from './contract/engines.js';
import { patterned } from './file/bytes.js';
import { engineFor, onBothEngines } from './file/doors.js';
import {
  assertNoNewDescriptors,
  openDescriptors,
  projectRoot,
  scratch,
} from './support/scratch.js';

interface Crossings {
  /** Rows of each crossing. */
  readonly rows: number[];
  /** Answers in place of the addon, once. */
  refuseWith: number | undefined;
}

/** Listens at the border of the pool. */
function crossingsOf(t: TestContext): Crossings | undefined {
  const { addon, reason } = loadAddon();
  if (addon === undefined) {
    t.skip(`no addon: ${reason}`);
    return undefined;
  }
  const crossings: Crossings = { rows: [], refuseWith: undefined };
  const door = addon as { submit: Addon['submit'] };
  const { submit } = door;
  door.submit = (count, payloads, first) => {
    crossings.rows.push(count);
    const { refuseWith } = crossings;
    crossings.refuseWith = undefined;
    return refuseWith ?? submit(count, payloads, first);
  };
  t.after(() => {
    door.submit = submit;
  });
  return crossings;
}

test('operations of one tick cross together', async (t) => {
  const crossings = crossingsOf(t);
  const engine = engineFor(t, 'pool');
  if (crossings === undefined || engine === undefined) return;
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(100_000));
  const file = await openFile(path, { access: 'read-write', engine });
  t.after(() => file.close());
  crossings.rows.length = 0;
  const target = new Uint8Array(100);
  await Promise.all([
    ...Array.from({ length: 500 }, (_, index) => file.readAt(target, index * 7)),
    ...Array.from({ length: 200 }, (_, index) => file.writeAt(patterned(9), index * 9)),
    file.sync(),
  ]);
  deepEqual(crossings.rows, [701]);
});

test('more operations in a tick than a batch holds cross in several', async (t) => {
  const crossings = crossingsOf(t);
  const engine = engineFor(t, 'pool');
  if (crossings === undefined || engine === undefined) return;
  const told = new Array<number>(5000).fill(0);
  const all = told.map(
    (_, index) =>
      new Promise<void>((resolve) => {
        const settle = (): void => {
          told[index] = (told[index] as number) + 1;
          resolve();
        };
        engine.submit(nops(1 + (index % 3)), { settle });
      }),
  );
  deepEqual(told, new Array(5000).fill(0), 'nobody is told from inside submit');
  await Promise.all(all);
  deepEqual(told, new Array(5000).fill(1));
  const rows = Array.from({ length: 5000 }, (_, index) => 1 + (index % 3));
  equal(
    crossings.rows.reduce((sum, count) => sum + count),
    rows.reduce((sum, n) => sum + n),
  );
  ok(crossings.rows.length <= 11 && Math.max(...crossings.rows) <= 1024);
});

/* A run of more rows than the addon takes at once ended in an assertion of the addon's. */
onBothEngines('a run may have 1024 operations, by either face', async (_, { engine }) => {
  for (const count of [1, 32, 33, 500, 1024]) {
    const waiting = nops(count);
    engine.perform(waiting);
    deepEqual(resultsOf(waiting), new Array(count).fill(0));
    deepEqual(resultsOf(await handed(engine, nops(count))), new Array(count).fill(0));
  }
  engine.perform(nop());
});

test('a longer run is refused before any of it is begun', async (t) => {
  const crossings = crossingsOf(t);
  const engine = engineFor(t, 'pool');
  if (crossings === undefined || engine === undefined) return;
  const beside = handed(engine, nop());
  const run = nops(1025);
  const refused = 'AssertionFailure ERR_INTERNAL_ASSERTION';
  equal(await toldBy(() => engine.perform(run)), refused);
  equal(await toldBy(() => handed(engine, run)), refused);
  equal((await beside).result, 0);
  deepEqual(crossings.rows, [1]);
});

/** Opens a file, reads from it and closes it, then two that do nothing: one run. */
function runOver(path: string, bytes: number): { head: Operation; target: Uint8Array } {
  const open = new Operation(Code.Open);
  open.place = placeOf(path);
  const target = new Uint8Array(bytes);
  const read = new Operation(Code.Read);
  Object.assign(read, { fd: -1000, offset: 0, payload: target, length: bytes });
  const close = new Operation(Code.Close);
  close.fd = -1000;
  return { head: linked(open, read, close, nop()), target };
}

onBothEngines('a run uses what it opens and stops at a refusal', async (t, { engine }) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(50));
  const cancelled = errnoOf('ECANCELED');
  for (const way of ['perform', 'submit'] as const) {
    const through = async (head: Operation): Promise<number[]> => {
      if (way === 'perform') engine.perform(head);
      else await handed(engine, head);
      return resultsOf(head);
    };
    const before = openDescriptors();
    const whole = runOver(path, 50);
    const [fd, ...rest] = await through(whole.head);
    ok((fd as number) >= 0);
    deepEqual(rest, [50, 0, 0]);
    deepEqual(whole.target, patterned(50));
    assertNoNewDescriptors(before);
    const absent = runOver(`${path}-absent`, 50);
    deepEqual(await through(absent.head), [errnoOf('ENOENT'), cancelled, cancelled, cancelled]);
    const short = runOver(path, 51);
    const [opened, ...after] = await through(short.head);
    deepEqual(after, [50, cancelled, cancelled], 'a short transfer stops it too');
    const close = new Operation(Code.Close);
    close.fd = opened as number;
    deepEqual(await through(close), [0]);
    assertNoNewDescriptors(before);
  }
});

/*
 * Told from inside submit, a waiter that goes on at once filled rows which the submission under way
 * then filled again.
 */
test('a refused batch is told to each waiter, later and once', async (t) => {
  const crossings = crossingsOf(t);
  const engine = engineFor(t, 'pool');
  if (crossings === undefined || engine === undefined) return;
  crossings.refuseWith = errnoOf('EAGAIN');
  const again: Promise<Operation>[] = [];
  let isInside = false;
  const results: number[][] = [];
  const submit = (): void => {
    const run = nops(2);
    const settle = (): void => {
      equal(isInside, false, 'from inside submit');
      results.push(resultsOf(run));
      again.push(handed(engine, nops(2)));
    };
    isInside = true;
    engine.submit(run, { settle });
    isInside = false;
  };
  for (let index = 0; index < 600; index++) submit();
  await handed(engine, nop());
  while (results.length < 600) await new Promise(setImmediate);
  const refused = [errnoOf('EAGAIN'), errnoOf('ECANCELED')];
  deepEqual(results.slice(0, 512), new Array(512).fill(refused));
  deepEqual(results.slice(512), new Array(88).fill([0, 0]));
  for (const run of await Promise.all(again)) deepEqual(resultsOf(run), [0, 0]);
});

/*
 * What was told of a refused batch was written behind what the addon had written, also where there
 * was no room any more: then nobody was told.
 */
test('a batch refused behind thousands that were done at once is told too', async (t) => {
  const crossings = crossingsOf(t);
  const engine = engineFor(t, 'pool');
  if (crossings === undefined || engine === undefined) return;
  const fd = openSync(join(projectRoot, 'package.json'), 'r');
  t.after(() => closeSync(fd));
  const payload = new Uint8Array(8);
  const read = (): Operation =>
    Object.assign(new Operation(Code.Read), {
      fd,
      offset: 0,
      length: 8,
      payload,
      triesNow: true,
    });
  const ended: Promise<Operation>[] = [];
  for (let batch = 0; batch < 4; batch++) {
    for (let index = 0; index < 1000; index++) ended.push(handed(engine, read()));
    engine.handOver?.();
  }
  crossings.refuseWith = errnoOf('EAGAIN');
  for (let index = 0; index < 1000; index++) ended.push(handed(engine, read()));
  const results = (await Promise.all(ended)).map(({ result }) => result);
  const done = new Array(4000).fill(8);
  deepEqual(results, [...done, ...new Array(1000).fill(errnoOf('EAGAIN'))]);
});

test('a file whose batch is refused tells the reason and goes on', async (t) => {
  const crossings = crossingsOf(t);
  const engine: Engine | undefined = engineFor(t, 'pool');
  if (crossings === undefined || engine === undefined) return;
  const path = join(scratch(t), 'file');
  const file = await openFile(path, { access: 'read-write', create: true, engine });
  crossings.refuseWith = errnoOf('ENOMEM');
  equal(await toldBy(() => file.writeAt(patterned(10), 0)), 'ENOMEM limit after 0');
  equal(await file.writeAt(patterned(10), 0), 10);
  await file.close();
});

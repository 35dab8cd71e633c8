/** Aborts and timeouts: before, while the system has the memory, and too late. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { AbortError, type CallOptions, IoError, type OpenFile, openFile } from 'holdfast';
import { toldBy } from './contract/call.js';
import { longAfter } from './contract/engines.js';
import { HeldEngine } from './contract/held.js';
import { cutEvery, patterned } from './file/bytes.js';
import { Doors, onBothEngines } from './file/doors.js';
import { scratch } from './support/scratch.js';

interface Held {
  readonly engine: HeldEngine;
  readonly file: OpenFile;
  readonly path: string;
}

/** A file of 100 bytes whose completions a test keeps back. */
async function heldFile(doors: Doors, bytes = patterned(100)): Promise<Held> {
  const engine = new HeldEngine(doors.engine);
  const path = join(scratch(doors.t), 'file');
  writeFileSync(path, bytes);
  const file = await new Doors(doors.t, engine, 'async').open(path, { access: 'read-write' });
  return { engine, file, path };
}

type Call = (options: CallOptions) => Promise<unknown>;

/** Every call that does not wait, each of them for something. */
function everyCall(file: OpenFile): Readonly<Record<string, Call>> {
  const bytes = new Uint8Array(3);
  return {
    readAt: (options) => file.readAt(bytes, 0, options),
    readAtOfMany: (options) => file.readAt([bytes, bytes], 0, options),
    writeAt: (options) => file.writeAt(bytes, 0, options),
    readSomeAt: (options) => file.readSomeAt(bytes, 0, options),
    writeSomeAt: (options) => file.writeSomeAt(bytes, 0, options),
    append: (options) => file.append(bytes, options),
    read: (options) => file.read(bytes, options),
    write: (options) => file.write(bytes, options),
    seek: (options) => file.seek(7, 'set', options),
    seekEnd: (options) => file.seek(0, 'end', options),
    readAll: (options) => file.readAll(options),
    stat: (options) => file.stat(options),
    truncate: (options) => file.truncate(1, options),
    sync: (options) => file.sync(options),
    syncData: (options) => file.syncData(options),
    syncBarrier: (options) => file.syncBarrier(options),
    allocate: (options) => file.allocate(0, 4096, options),
    punchHole: (options) => file.punchHole(0, 50, options),
    zeroRange: (options) => file.zeroRange(0, 50, options),
    collapseRange: (options) => file.collapseRange(0, 4096, options),
    advise: (options) => file.advise('normal', 0, 0, options),
    setWriteLifetime: (options) => file.setWriteLifetime('short', options),
    startWriteback: (options) => file.startWriteback(0, 0, options),
  };
}

onBothEngines('a call that was aborted before asks nothing, whichever it is', async (_, doors) => {
  const { engine, file, path } = await heldFile(doors);
  const before = engine.submitted;
  const reason = new Error('enough');
  for (const [name, call] of Object.entries(everyCall(file))) {
    const error = await call({ signal: AbortSignal.abort(reason) }).catch((e: unknown) => e);
    ok(error instanceof AbortError, name);
    deepEqual([error.cause, error.bytesDone], [reason, 0], name);
  }
  equal(engine.submitted, before);
  equal(file.position, 0);
  ok(readFileSync(path).equals(patterned(100)));
});

onBothEngines('options are checked by every call before it asks anything', async (_, doors) => {
  const { engine, file, path } = await heldFile(doors);
  const before = engine.submitted;
  const open: Call = (options) => openFile(path, { engine, ...options });
  for (const [name, call] of Object.entries({ ...everyCall(file), open })) {
    for (const timeoutMs of [-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) {
      equal(await toldBy(() => call({ timeoutMs })), 'RangeError ERR_OUT_OF_RANGE', name);
    }
    for (const timeoutMs of ['5', null, 5n] as unknown as number[]) {
      equal(await toldBy(() => call({ timeoutMs })), 'TypeError ERR_INVALID_ARG_TYPE', name);
    }
    const signal = new EventTarget() as AbortSignal;
    equal(await toldBy(() => call({ signal })), 'TypeError ERR_INVALID_ARG_TYPE', name);
  }
  equal(engine.submitted, before);
});

onBothEngines('a timeout of 0 asks nothing', async (_, doors) => {
  const { engine, file } = await heldFile(doors);
  const before = engine.submitted;
  for (const [name, call] of Object.entries(everyCall(file))) {
    equal(await toldBy(() => call({ timeoutMs: 0 })), 'ETIMEDOUT timeout after 0', name);
  }
  equal(engine.submitted, before);
});

const MANY = 3000;
/* Long enough for a call to begin on a busy machine, and when that time is up. */
const SOON_MS = 200;
const LATER_MS = 250;
const manyViews = (bytes: Uint8Array): Uint8Array[] => cutEvery(bytes, bytes.length / MANY);

/** Whether a promise is still open when everything that can happen by itself has. */
async function isOpen(work: Promise<unknown>): Promise<boolean> {
  const settled = work.then(
    () => false,
    () => false,
  );
  return Promise.race([settled, longAfter().then(() => true)]);
}

/*
 * The memory is the kernel's until the completion: a promise that settled before it would hand a
 * buffer back that is written to still.
 */
onBothEngines('a timeout settles nothing while the system has the memory', async (_, doors) => {
  const { engine, file } = await heldFile(doors, patterned(MANY * 600));
  engine.isHolding = true;
  const before = engine.submitted;
  const target = new Uint8Array(MANY * 600);
  const read = file.readAt(manyViews(target), 0, { timeoutMs: SOON_MS });
  await engine.ended();
  await after(LATER_MS);
  equal(await isOpen(read), true);
  equal(engine.submitted, before + 1, 'nothing follows the first read');
  engine.tellOne();
  const error = await read.catch((e: unknown) => e);
  ok(error instanceof IoError);
  const { code, kind, bytesDone } = error;
  deepEqual(
    { code, kind, bytesDone },
    {
      code: 'ETIMEDOUT',
      kind: 'timeout',
      bytesDone: 1024 * 600,
    },
  );
  deepEqual(target.subarray(0, bytesDone), patterned(1024 * 600));
  engine.tellAll();
  equal(await file.readAt(new Uint8Array(3), 0), 3, 'the file goes on');
});

onBothEngines('an abort settles nothing while the system has the memory', async (_, doors) => {
  const { engine, file, path } = await heldFile(doors, new Uint8Array(0));
  engine.isHolding = true;
  const controller = new AbortController();
  const bytes = patterned(MANY * 600);
  const write = file.writeAt(manyViews(bytes), 0, { signal: controller.signal });
  await engine.ended();
  controller.abort('enough');
  equal(await isOpen(write), true);
  engine.tellOne();
  await rejects(write, { name: 'AbortError', bytesDone: 1024 * 600, cause: 'enough' });
  ok(readFileSync(path).equals(bytes.subarray(0, 1024 * 600)));
  engine.tellAll();
});

onBothEngines('what is done when the time is up is done', async (_, doors) => {
  const { engine, file } = await heldFile(doors);
  const calls = everyCall(file);
  for (const name of ['readAt', 'writeAt', 'sync', 'stat', 'truncate', 'advise']) {
    engine.isHolding = true;
    const controller = new AbortController();
    const options = { timeoutMs: SOON_MS, signal: controller.signal };
    const call = (calls[name] as Call)(options);
    await engine.ended();
    await after(LATER_MS);
    controller.abort();
    equal(await isOpen(call), true, name);
    engine.tellAll();
    await call;
  }
});

onBothEngines(
  'a call that waits for its turn times out in it, the next goes on',
  async (_, doors) => {
    const { engine, file } = await heldFile(doors);
    engine.isHolding = true;
    const first = file.read(new Uint8Array(10));
    const second = file.read(new Uint8Array(10), { timeoutMs: SOON_MS });
    const third = file.read(new Uint8Array(10));
    await engine.ended();
    await after(LATER_MS);
    const before = engine.submitted;
    engine.tellAll();
    equal(await first, 10);
    await rejects(second, { name: 'IoError', code: 'ETIMEDOUT', kind: 'timeout', bytesDone: 0 });
    equal(await third, 10);
    equal(engine.submitted, before + 1, 'the second asked nothing');
    equal(file.position, 20);
  },
);

onBothEngines('of a signal and a timeout the first counts', async (_, doors) => {
  for (const first of ['signal', 'timeout'] as const) {
    const { engine, file } = await heldFile(doors, patterned(MANY * 3));
    engine.isHolding = true;
    const controller = new AbortController();
    const timeoutMs = first === 'signal' ? 60_000 : SOON_MS;
    const options = { signal: controller.signal, timeoutMs };
    const read = file.readAt(manyViews(new Uint8Array(MANY * 3)), 0, options);
    await engine.ended();
    if (first === 'signal') controller.abort();
    else await after(LATER_MS);
    engine.tellAll();
    equal(await read.catch((e: Error) => e.name), first === 'signal' ? 'AbortError' : 'IoError');
  }
});

onBothEngines('openFile() that times out leaves nothing open', async (t, doors) => {
  const engine = new HeldEngine(doors.engine);
  const path = join(scratch(t), 'file');
  writeFileSync(path, '');
  const judged = new Doors(t, engine, 'async');
  engine.isHolding = true;
  const options = { engine, direct: true, timeoutMs: SOON_MS } as const;
  const opened = openFile(path, options);
  await engine.ended();
  await after(LATER_MS);
  engine.tellAll();
  const told = await toldBy(async () => (await opened).close());
  ok(told === undefined || told === 'ETIMEDOUT timeout after 0', String(told));
  equal(await judged.open(path).then((file) => file.isClosed), false);
});

/*
 * A timer that outlived its call stayed for as long as it had been given: a million calls a minute
 * with a timeout of a minute were a million timers.
 */
onBothEngines('a call that has ended leaves no timer behind', async (t, doors) => {
  const { file } = await heldFile(doors);
  const real = { set: globalThis.setTimeout, clear: globalThis.clearTimeout };
  const open = new Set<unknown>();
  const watched = (...values: Parameters<typeof real.set>): NodeJS.Timeout => {
    const timer = real.set(...values);
    open.add(timer);
    return timer;
  };
  globalThis.setTimeout = Object.assign(watched, real.set);
  globalThis.clearTimeout = (timer) => {
    open.delete(timer);
    real.clear(timer);
  };
  t.after(() => {
    globalThis.setTimeout = real.set;
    globalThis.clearTimeout = real.clear;
  });
  for (const call of Object.values(everyCall(file))) {
    await call({ timeoutMs: 60_000 }).catch(() => undefined);
    await call({ timeoutMs: 60_000, signal: new AbortController().signal }).catch(() => undefined);
  }
  equal(open.size, 0);
});

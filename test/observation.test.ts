/** What is told of each operation, to whom, when; and that nobody else pays or notices. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawnSync } from 'node:child_process';
import { tracingChannel } from 'node:diagnostics_channel';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  CompletionQueue,
  IoError,
  OPERATION_CHANNEL,
  type OperationEvent,
  observeOperations,
  openFile,
  recordLatency,
  replaceFile,
} from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import { projectRoot, scratch } from './support/scratch.js';

const KINDS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;
type Kind = (typeof KINDS)[number];

interface Told {
  readonly kind: Kind;
  readonly event: OperationEvent;
}

/** Hears everything on the channels themselves, until the test ends. */
function hear(t: TestContext): { readonly told: Told[]; leave(): void } {
  const told: Told[] = [];
  const channel = tracingChannel<unknown, OperationEvent>(OPERATION_CHANNEL);
  const listeners = Object.fromEntries(
    KINDS.map((kind) => [kind, (event: OperationEvent) => void told.push({ kind, event })]),
  ) as unknown as Parameters<typeof channel.subscribe>[0];
  channel.subscribe(listeners);
  const leave = (): void => void channel.unsubscribe(listeners);
  t.after(leave);
  return { told, leave };
}

const kindsOf = (told: readonly Told[]): Kind[] => told.map(({ kind }) => kind);

function fileOf(doors: Doors, text = 'some bytes') {
  const path = join(scratch(doors.t), 'file');
  writeFileSync(path, text);
  return doors.open(path, { access: 'read-write' });
}

test('the names of the channels are a contract', () => {
  equal(OPERATION_CHANNEL, 'holdfast.operation');
  const { start, asyncEnd } = tracingChannel(OPERATION_CHANNEL);
  equal(start.name, 'tracing:holdfast.operation:start');
  equal(asyncEnd.name, 'tracing:holdfast.operation:asyncEnd');
});

onAllDoors(
  'a read is told at its start and at its end, with what is known of it',
  async (t, doors) => {
    const file = await fileOf(doors);
    const { told, leave } = hear(t);
    equal(await doors.readAt(file, new Uint8Array(4), 3), 4);
    leave();
    const isSync = doors.face === 'sync';
    const kinds = isSync ? ['start', 'end'] : ['start', 'end', 'asyncStart', 'asyncEnd'];
    deepEqual(kindsOf(told), kinds);
    const [{ event }] = told as [Told];
    ok(
      told.every((one) => one.event === event),
      'the same object each time',
    );
    const { durationMs, ...rest } = event;
    ok(durationMs !== undefined && durationMs >= 0 && durationMs < 60_000);
    deepEqual(rest, {
      operation: 'read',
      api: doors.face,
      engine: doors.engine.name,
      path: file.path,
      dest: undefined,
      fd: file.fd,
      offset: 3,
      length: 4,
      runIndex: 0,
      runCount: 1,
      result: 4,
      bytes: 4,
    });
  },
);

onAllDoors('what is not known yet at the start is not told', async (t, doors) => {
  const file = await fileOf(doors);
  const seen: unknown[] = [];
  const observation = observeOperations({
    started: ({ operation, result, durationMs, bytes }) => {
      seen.push([operation, result, durationMs, bytes]);
    },
  });
  t.after(() => observation.stop());
  await doors.writeAt(file, Buffer.from('x'), 0);
  deepEqual(seen, [['write', undefined, undefined, undefined]]);
});

onAllDoors('a refusal is told as an error of its own', async (t, doors) => {
  const path = join(scratch(t), 'absent');
  const { told, leave } = hear(t);
  const caught = await doors.open(path).catch((error) => error);
  leave();
  equal(caught.code, 'ENOENT');
  const errors = told.filter(({ kind }) => kind === 'error');
  equal(errors.length, 1);
  const { event } = errors[0] as Told;
  ok(event.error instanceof IoError);
  deepEqual([event.operation, event.path, event.error.code], ['open', path, 'ENOENT']);
  equal(event.error.syscall, 'open');
  ok((event.result as number) < 0);
  const ended = told.filter(({ kind }) => kind === (doors.face === 'sync' ? 'end' : 'asyncEnd'));
  ok(ended.length > 1);
  for (const { event: other } of ended.slice(1)) {
    deepEqual([other.isSkipped, other.error], [true, undefined], other.operation);
  }
});

onAllDoors('those that run as one are told one by one', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'x');
  const { told, leave } = hear(t);
  const file = await doors.open(path);
  leave();
  const started = told.filter(({ kind }) => kind === 'start').map(({ event }) => event);
  deepEqual(
    started.slice(0, 3).map(({ operation }) => operation),
    ['open', 'stat', 'fcntl'],
  );
  for (const [index, event] of started.entries()) {
    equal(event.path, path, event.operation);
    if (event.runCount === 1) continue;
    deepEqual([event.runIndex, event.runCount], [index, started.length]);
  }
  equal(started[0]?.result, file.fd);
});

onAllDoors(
  'every event that is started is ended, and a path goes with its file',
  async (t, doors) => {
    const first = await fileOf(doors);
    const { told, leave } = hear(t);
    await doors.writeAt(first, [Buffer.from('a'), new Uint8Array(5000)], 0);
    await doors.append(first, Buffer.from('b'));
    await doors.sync(first);
    await doors.truncate(first, 3);
    await doors.close(first);
    const second = await fileOf(doors);
    await doors.readAll(second);
    await doors.close(second);
    leave();
    const started = told.filter(({ kind }) => kind === 'start').map(({ event }) => event);
    const end: Kind = doors.face === 'sync' ? 'end' : 'asyncEnd';
    const ended = told.filter(({ kind }) => kind === end).map(({ event }) => event);
    deepEqual(new Set(ended), new Set(started));
    equal(ended.length, started.length);
    const { length } = started.filter(({ path }) => path === first.path);
    ok(length >= 6);
    ok(
      started.slice(0, length).every(({ path }) => path === first.path),
      'then the other',
    );
    ok(started.slice(length).every(({ path }) => path === second.path));
    const close = started.find(({ operation }) => operation === 'close');
    equal(close?.path, first.path);
  },
);

onBothEngines('replaceFile() shows in which order it becomes durable', async (t, doors) => {
  const path = join(scratch(t), 'state');
  writeFileSync(path, 'old');
  const seen: string[] = [];
  const observation = observeOperations({
    ended: ({ operation, isSkipped }) => void (isSkipped || seen.push(operation)),
  });
  await replaceFile(path, 'new', { engine: doors.engine });
  observation.stop();
  const order = ['write', 'fsync', 'rename', 'fsync'];
  let at = 0;
  for (const operation of seen) if (operation === order[at]) at++;
  equal(at, order.length, seen.join(' '));
});

onBothEngines('a descriptor that is given out again has no path of before', async (t, doors) => {
  const file = await fileOf(doors);
  await file.close();
  const { told } = hear(t);
  await replaceFile(join(scratch(t), 'state'), 'new', { engine: doors.engine });
  ok(told.length > 0);
  ok(told.every(({ event }) => event.path !== file.path));
});

onBothEngines('operations of a queue are told too, chains and single ones', async (t, doors) => {
  const file = await fileOf(doors);
  const queue = new CompletionQueue({ engine: doors.engine });
  t.after(() => void queue.close());
  const seen: unknown[] = [];
  const observation = observeOperations({
    ended: ({ operation, path, api, bytes }) => void seen.push([operation, path, api, bytes]),
  });
  queue.write(file, new Uint8Array(100), 0, 1, { link: true });
  queue.sync(file, 'data', 2);
  await queue.wait({ atLeast: 2 });
  queue.read(file, new Uint8Array(10), 0, 3);
  await queue.wait();
  observation.stop();
  deepEqual(seen, [
    ['write', file.path, 'async', 100],
    ['fdatasync', file.path, 'async', undefined],
    ['read', file.path, 'async', 10],
  ]);
});

onAllDoors('who comes later hears of later operations, who leaves of none', async (t, doors) => {
  const file = await fileOf(doors);
  const reading = doors.face === 'async' ? file.readAt(new Uint8Array(3), 0) : undefined;
  const { told, leave } = hear(t);
  await reading;
  deepEqual(told, [], 'begun before');
  await doors.readAt(file, new Uint8Array(3), 0);
  ok(told.length > 0);
  const { length } = told;
  leave();
  await doors.readAt(file, new Uint8Array(3), 0);
  equal(told.length, length);
});

onBothEngines('each of the channels is enough to be told', async (_, doors) => {
  const file = await fileOf(doors);
  const channel = tracingChannel(OPERATION_CHANNEL);
  for (const kind of KINDS) {
    let count = 0;
    const count1 = (): void => void count++;
    channel[kind].subscribe(count1);
    await file.readAt(new Uint8Array(3), 0);
    await openFile('/absent', { engine: doors.engine }).catch(() => undefined);
    channel[kind].unsubscribe(count1);
    ok(count > 0, kind);
  }
});

onBothEngines(
  'a call of several operations is told in the context of its caller',
  async (t, doors) => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const observation = observeOperations({
      started: ({ operation }) => void seen.push([operation, storage.getStore()]),
      ended: () => void seen.push(storage.getStore()),
    });
    t.after(() => observation.stop());
    const path = join(scratch(t), 'state');
    const { engine } = doors;
    await Promise.all([
      storage.run('one', () => replaceFile(`${path}-1`, 'x', { engine })),
      storage.run('two', () => replaceFile(`${path}-2`, 'y', { engine })),
    ]);
    ok(seen.length > 20);
    for (const one of seen) ok(['one', 'two'].includes([one].flat().at(-1) as string), `${one}`);
  },
);

onBothEngines(
  'stores that are bound to start are there while an operation begins',
  async (t, doors) => {
    const file = await fileOf(doors);
    const storage = new AsyncLocalStorage<OperationEvent>();
    const { start } = tracingChannel<OperationEvent, OperationEvent>(OPERATION_CHANNEL);
    start.bindStore(storage, (event) => event);
    t.after(() => void start.unbindStore(storage));
    const { told } = hear(t);
    await file.readAt(new Uint8Array(3), 0);
    equal(told[0]?.event.operation, 'read');
    equal(storage.getStore(), undefined, 'and not for the caller');
  },
);

test('a simulated disk tells as well, also when its power goes', async (t) => {
  const { engine } = simulatedDisk(3);
  const { told, leave } = hear(t);
  const file = await openFile('/file', { engine, access: 'read-write', create: true });
  await file.writeAt(Buffer.from('abc'), 0);
  await file.sync();
  leave();
  const names = told.filter(({ kind }) => kind === 'asyncEnd').map(({ event }) => event.operation);
  deepEqual(names.slice(-2), ['write', 'fsync']);
  ok(told.every(({ event }) => event.engine === 'simulated'));
});

onAllDoors('recordLatency() has a histogram for each kind of operation', async (t, doors) => {
  const file = await fileOf(doors);
  const recorder = recordLatency();
  t.after(() => recorder.stop());
  for (let round = 0; round < 50; round++) await doors.readAt(file, new Uint8Array(3), 0);
  await doors.syncData(file);
  recorder.stop();
  recorder.stop();
  await doors.readAt(file, new Uint8Array(3), 0);
  deepEqual([...recorder.histograms.keys()].sort(), ['fdatasync', 'read']);
  const reads = recorder.histograms.get('read');
  equal(reads?.count, 50);
  ok((reads?.min ?? 0) >= 1 && (reads?.percentile(99) ?? 0) >= (reads?.percentile(50) ?? 1));
});

test('what a listener throws does not reach the call', () => {
  const source = `
    import { observeOperations, openFile } from 'holdfast';
    const caught = [];
    process.on('uncaughtException', ({ message }) => caught.push(message));
    observeOperations({ ended: () => { throw new Error('mine'); } });
    const file = await openFile('package.json');
    const bytes = await file.readAt(new Uint8Array(5), 0);
    file.readAtSync(new Uint8Array(5), 0);
    await new Promise((resolve) => setTimeout(resolve, 10));
    console.log(bytes, new Set(caught));`;
  const words = ['--input-type=module', '--eval', source];
  const { stdout, stderr } = spawnSync(process.execPath, words, {
    cwd: projectRoot,
    encoding: 'utf8',
    timeout: 30_000,
  });
  equal(stdout, "5 Set(1) { 'mine' }\n", stderr);
});

test('who listens changes nothing: the contract of the engines, listened to', {
  timeout: 60_000,
}, () => {
  const listener = `
    import { subscribe } from 'node:diagnostics_channel';
    for (const kind of ${JSON.stringify(KINDS)}) {
      subscribe('tracing:holdfast.operation:' + kind, (event) => { globalThis.heard = event; });
    }`;
  const suite = join(projectRoot, 'build/test/contract.test.js');
  ok(existsSync(suite));
  const words = ['--import', `data:text/javascript,${encodeURIComponent(listener)}`, suite];
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, words, {
    cwd: projectRoot,
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 1e8,
    env,
  });
  equal(status, 0, stdout.slice(-3000));
  match(stdout, /# pass \d\d/);
});

test('the documents name every field of an event', () => {
  const text = readFileSync(join(projectRoot, 'docs/observation.md'), 'utf8');
  const fields = ['operation', 'api', 'engine', 'path', 'dest', 'fd', 'offset', 'length'];
  const ends = ['runIndex', 'runCount', 'result', 'bytes', 'durationMs', 'error', 'isSkipped'];
  for (const field of [...fields, ...ends]) match(text, new RegExp(`\`${field}\``), field);
  for (const kind of KINDS) match(text, new RegExp(`tracing:holdfast\\.operation:${kind}\``), kind);
});

/** What a queue refuses, before anything happens; and memory that is taken away meanwhile. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { Completion, CompletionQueue, OpenFile, type SubmitOptions } from 'holdfast';
import { refuseNth } from 'holdfast/testing';
import { patterned } from './file/bytes.js';
import { gated } from './queue/gate.js';
import { all, inEveryWorld, inWorlds, isFree, only, said } from './queue/worlds.js';

const wrongType = { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' } as const;
const wrongValue = { code: 'ERR_INVALID_ARG_VALUE', name: 'TypeError' } as const;
const outOfRange = { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' } as const;

/** Values that no type allows. */
const any = (value: unknown): never => value as never;

inWorlds(['pool'], 'a queue is made of a depth and an engine', ({ engine }) => {
  for (const depth of [0, -1, 1.5, Number.NaN, 2 ** 20, 32769, Number.POSITIVE_INFINITY]) {
    throws(() => new CompletionQueue({ depth, engine }), {
      ...outOfRange,
      message: /options\.depth/,
    });
  }
  for (const depth of ['1', null, 10n, {}]) {
    throws(() => new CompletionQueue({ depth: any(depth), engine }), wrongType);
  }
  for (const name of ['kqueue', '', 'simulated', 1, null, {}]) {
    throws(() => new CompletionQueue({ engine: any(name) }), { ...wrongValue, message: /engine/ });
  }
  for (const options of [null, 1, 'depth']) {
    throws(() => new CompletionQueue(any(options)), wrongType);
  }
  equal(new CompletionQueue({ depth: undefined, engine: undefined }).capacity, 256);
});

inEveryWorld('what is wrong is refused, and nothing of it is accepted', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  const view = patterned(10);
  queue.registerBuffers([new Uint8Array(100)]);
  const notFiles = [undefined, null, 3, file.fd, {}, Object.create(OpenFile.prototype) && 'file'];
  for (const not of notFiles) {
    throws(() => queue.read(any(not), view, 0, 1), { ...wrongType, message: /"file"/ });
    throws(() => queue.write(any(not), view, 0, 1), wrongType);
    throws(() => queue.sync(any(not), 'data', 1), wrongType);
    throws(() => queue.allocate(any(not), 0, 1, 1), wrongType);
    throws(() => queue.closeFile(any(not), 1), wrongType);
    throws(() => queue.readFixed(any(not), 0, 0, 1), wrongType);
    throws(() => queue.registerFiles([any(not)]), wrongType);
  }
  for (const tag of [undefined, null, '1', 1.5, Number.NaN, 2 ** 53, {}]) {
    throws(() => queue.nop(any(tag)), { ...wrongType, message: /"tag"/ });
    throws(() => queue.read(file, view, 0, any(tag)), wrongType);
    throws(() => queue.cancel(any(tag)), wrongType);
  }
  for (const buffers of [undefined, null, 1, 'text', [1], [view, null], {}, new ArrayBuffer(3)]) {
    throws(() => queue.read(file, any(buffers), 0, 1), { name: 'TypeError' });
    throws(() => queue.write(file, any(buffers), null, 1), { name: 'TypeError' });
    throws(() => queue.registerBuffers(any(buffers)), { name: 'TypeError' });
  }
  for (const offset of [-1, 1.5, Number.NaN, 2 ** 53, -1n, 2n ** 64n]) {
    throws(() => queue.read(file, view, offset, 1), outOfRange);
    throws(() => queue.write(file, [view, view.slice()], offset, 1), outOfRange);
    throws(() => queue.readFixed(file, 0, offset, 1), outOfRange);
  }
  throws(() => queue.read(file, view, Number.MAX_SAFE_INTEGER, 1), outOfRange);
  for (const offset of [undefined, '0', {}]) {
    throws(() => queue.read(file, view, any(offset), 1), wrongType);
    throws(() => queue.writeFixed(file, 0, any(offset), 1), wrongType);
  }
  for (const mode of [undefined, 'all', true]) {
    throws(() => queue.sync(file, any(mode), 1), { ...wrongValue, message: /"mode"/ });
  }
  equal(queue.outstanding, 0);
  await isFree(queue, [view], file);
});

inEveryWorld('options are of their types', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  queue.registerBuffers([new Uint8Array(100)]);
  const submits: ((options: SubmitOptions) => void)[] = [
    (options) => queue.nop(1, options),
    (options) => queue.read(file, new Uint8Array(1), 0, 1, options),
    (options) => queue.write(file, [new Uint8Array(1)], null, 1, options),
    (options) => queue.readFixed(file, 0, 0, 1, options),
    (options) => queue.sync(file, 'data', 1, options),
    (options) => queue.allocate(file, 0, 10, 1, options),
    (options) => queue.open(world.path('file'), {}, 1, options),
    (options) => queue.closeFile(file, 1, options),
    (options) => queue.rename('a', 'b', 1, options),
    (options) => queue.unlink('a', 1, options),
  ];
  for (const submit of submits) {
    for (const not of [null, 1, 'link']) throws(() => submit(any(not)), wrongType);
    throws(() => submit({ link: any(1) }), { ...wrongType, message: /options\.link/ });
    throws(() => submit({ drain: any('yes') }), { ...wrongType, message: /options\.drain/ });
    throws(() => submit({ timeoutMs: any('5') }), { ...wrongType, message: /options\.timeoutMs/ });
    for (const timeoutMs of [0, -1, Number.NaN, 2 ** 31])
      throws(() => submit({ timeoutMs }), outOfRange);
  }
  for (const [option, value] of [
    ['start', -1],
    ['start', 101],
    ['length', 101],
    ['length', 1.5],
  ] as const) {
    throws(() => queue.readFixed(file, 0, 0, 1, { [option]: value }), {
      ...outOfRange,
      message: new RegExp(option),
    });
  }
  throws(() => queue.readFixed(file, 0, 0, 1, { start: 60, length: 41 }), outOfRange);
  throws(() => queue.readFixed(file, 0, 0, 1, { start: any('0') }), wrongType);
  for (const slot of [1, -1, 0.5, Number.NaN, '0', undefined]) {
    throws(() => queue.writeFixed(file, any(slot), 0, 1), { ...outOfRange, message: /"slot"/ });
  }
  equal(queue.outstanding, 0);
});

inEveryWorld('what a wait, a poll or an open is told is of its type', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  const atLeasts = [-1, 1.5, Number.NaN, 257];
  for (const atLeast of atLeasts) {
    await rejects(queue.wait({ atLeast }), outOfRange);
    throws(() => queue.waitSync({ atLeast }), outOfRange);
  }
  await rejects(queue.wait({ timeoutMs: any('1') }), wrongType);
  await rejects(queue.wait({ timeoutMs: -1 }), outOfRange);
  await rejects(queue.wait(any(null)), wrongType);
  for (const out of [undefined, {}, new Completion(), 3])
    throws(() => queue.poll(any(out)), wrongType);
  for (const choices of [
    undefined,
    null,
    3,
    { access: 'both' },
    { mode: -1 },
    { memory: 'mine' },
  ]) {
    throws(() => queue.open(world.path('file'), any(choices), 1), /options/);
  }
  for (const stray of ['engine', 'signal', 'timeoutMs']) {
    throws(() => queue.open(world.path('file'), any({ [stray]: 1 }), 1), {
      ...wrongValue,
      message: new RegExp(stray),
    });
  }
  for (const path of [undefined, 3, '', 'a\0b', {}]) {
    throws(() => queue.open(any(path), {}, 1), /path/);
    throws(() => queue.unlink(any(path), 1), /path/);
    throws(() => queue.rename('a', any(path), 1), /target/);
  }
  throws(() => queue.allocate(file, -1, 10, 1), outOfRange);
  equal(queue.outstanding, 0);
  deepEqual(await queue.wait(), []);
});

inEveryWorld('a file that is closed, broken, or not open for it is refused', async (world) => {
  const queue = world.queue();
  const view = patterned(10);
  const file = await world.open('file');
  await file.close();
  for (const submit of [
    () => queue.read(file, view, 0, 1),
    () => queue.write(file, [view], null, 1),
    () => queue.sync(file, 'full', 1),
    () => queue.allocate(file, 0, 1, 1),
    () => queue.registerFiles([file]),
  ]) {
    throws(submit, { code: 'EBADF', kind: 'closed' });
  }
  queue.closeFile(file, 2);
  deepEqual(await all(queue), ['2: 0, 0'], 'a close of what is closed is done');
  const engine = refuseNth(world.engine, 1, 'EIO', { operations: ['Sync'] });
  const other = world.queue({ engine });
  const broken = await world.open('file', {}, engine);
  await rejects(broken.sync(), { code: 'EIO' });
  throws(() => other.write(broken, view, 0, 1), { code: 'EIO', kind: 'broken' });
  throws(() => other.sync(broken, 'data', 1), { kind: 'broken' });
  const reader = await world.open('file', { access: 'read', create: false });
  throws(() => queue.write(reader, view, 0, 1), { code: 'EBADF', kind: 'access' });
  throws(() => queue.write(reader, [view], null, 1), { kind: 'access' });
  const appender = await world.open('file', { access: 'append', create: false });
  throws(() => queue.write(appender, view, 0, 1), { kind: 'access' });
  throws(() => queue.read(appender, view, 0, 1), { kind: 'access' });
  equal(queue.outstanding, 0);
  await isFree(queue, [view], reader);
});

inEveryWorld('a view under way is refused to others, and free when it has ended', async (world) => {
  const { gate, queue, file } = await gated(world);
  const [one, two] = [patterned(10), patterned(10)];
  queue.registerBuffers([new Uint8Array(100)]);
  queue.read(file, one, 0, 1);
  for (const buffers of [one, [one], [two, one]]) {
    throws(() => queue.read(file, buffers, 0, 2), { ...wrongValue, message: /buffers/ });
    throws(() => queue.write(file, buffers, 0, 2), wrongValue);
    throws(() => queue.write(file, buffers, null, 2), wrongValue);
  }
  throws(() => queue.read(file, [two, two], 0, 2), wrongValue);
  /* Many writes take from the same view; a read fills none of these. */
  queue.write(file, two, 0, 3);
  queue.write(file, [two, two], 10, 4);
  throws(() => queue.read(file, two, 0, 5), wrongValue);
  queue.readFixed(file, 0, 0, 6, { start: 10, length: 10 });
  throws(() => queue.readFixed(file, 0, 0, 7), { ...wrongValue, message: /slot/ });
  throws(() => queue.writeFixed(file, 0, 0, 7, { start: 19, length: 1 }), wrongValue);
  throws(() => queue.readFixed(file, 0, 0, 7, { start: 5, length: 6 }), wrongValue);
  queue.writeFixed(file, 0, 50, 7, { start: 20 });
  queue.writeFixed(file, 0, 130, 8, { start: 90 });
  throws(() => queue.readFixed(file, 0, 0, 9, { start: 99 }), wrongValue);
  equal(queue.outstanding, 6);
  gate.open();
  equal((await all(queue)).length, 6);
  await isFree(queue, [one, two], file);
  queue.readFixed(file, 0, 0, 1);
  deepEqual(await all(queue), ['1: 0, 100']);
});

interface GrowableConstructor {
  new (
    length: number,
    options: { maxByteLength: number },
  ): ArrayBuffer & {
    resize(length: number): void;
  };
}

/*
 * A view that grows with its buffer was asked for what was not registered: the whole batch that it
 * was in was refused.
 */
inEveryWorld('a registered buffer is as long as it was, or is no more', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  const Growable = ArrayBuffer as unknown as GrowableConstructor;
  const buffer = new Growable(100, { maxByteLength: 1000 });
  queue.registerBuffers(new Uint8Array(buffer));
  buffer.resize(1000);
  queue.writeFixed(file, 0, 0, 1);
  queue.write(file, patterned(10), 500, 2);
  throws(() => queue.writeFixed(file, 0, 0, 3, { length: 101 }), outOfRange);
  deepEqual(await all(queue), ['1: 0, 100', '2: 0, 10']);
  buffer.resize(99);
  throws(() => queue.readFixed(file, 0, 0, 3), { ...wrongValue, message: /"slot"/ });
  equal(queue.outstanding, 0);
});

/*
 * An iterator that queued something itself was given the same submission as the call it was an
 * argument of.
 */
inEveryWorld('an iterator or a getter may use the queue', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  function* views(): Generator<Uint8Array> {
    queue.nop(1);
    yield patterned(4);
    queue.write(file, patterned(4), 100, 2);
    yield patterned(4, 4);
  }
  queue.write(file, views(), 0, 3);
  const options = {
    get link(): boolean {
      queue.nop(4);
      return false;
    },
  };
  queue.write(file, patterned(2), 8, 5, options);
  deepEqual(await all(queue), ['1: 0, 0', '2: 0, 4', '3: 0, 8', '4: 0, 0', '5: 0, 2']);
  ok(Buffer.compare(world.content('file').subarray(0, 8), patterned(8)) === 0);
});

type Transferable = ArrayBuffer & { transfer?(): ArrayBuffer };

/* Node 20 copies what is marked, later ones refuse: either way it stays where it is. */
function takeAway(view: Uint8Array): void {
  try {
    structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  } catch (error) {
    equal((error as Error).name, 'DataCloneError');
  }
  equal(view.length, 64);
}

/* Bytes landed in whoever had the memory by then; and nobody was told. */
inWorlds(
  ['ring', 'pool', 'portable'],
  'memory transferred away while it is under way is told',
  async (world) => {
    for (const way of ['clone', 'transfer'] as const) {
      for (const many of [false, true]) {
        const { gate, queue, file } = await gated(world);
        world.put('file', patterned(100));
        const view = new Uint8Array(64);
        queue.read(file, many ? [view, new Uint8Array(8)] : view, 0, 1);
        queue.submit();
        const buffer = view.buffer as Transferable;
        if (way === 'clone') structuredClone(buffer, { transfer: [buffer] });
        else if (buffer.transfer !== undefined) buffer.transfer();
        else continue;
        equal(view.length, 0);
        gate.open();
        const { error, status } = await only(queue);
        deepEqual([status, error?.code], [6, 'ERR_BUFFER_CHANGED']);
      }
    }
    const queue = world.queue();
    const view = new Uint8Array(64);
    queue.registerBuffers([view]);
    takeAway(view);
    const marked = await world.open('marked', { memory: 'mark' });
    const mine = new Uint8Array(64);
    queue.read(marked, mine, 0, 1);
    takeAway(mine);
    const copied = await world.open('copied', { memory: 'copy' });
    const given = patterned(64);
    queue.write(copied, given, 0, 2);
    queue.readFixed(copied, 0, 0, 3, { drain: true });
    deepEqual(await all(queue), ['1: 0, 0', '2: 0, 64', '3: 0, 64']);
    ok(Buffer.compare(view, patterned(64)) === 0);
  },
);

/*
 * One system call moves 2^31 - 4096 bytes at most: more than that was cut to its low 32 bits. Pages
 * that nobody has touched are written to a device that takes everything: no memory, no disk.
 */
inWorlds(
  ['ring', 'pool', 'portable'],
  'more than 2^31 bytes go in one operation',
  async (world) => {
    const bytes = 2 ** 31 + 12_345;
    const file = await world.open('../../../../../../../../dev/null', { create: false });
    const view = new Uint8Array(bytes);
    const queue = world.queue();
    queue.write(file, view, 0, 1);
    deepEqual(await all(queue), [`1: 0, ${bytes}`]);
    queue.write(file, [view.subarray(0, 10), view.subarray(10)], 0, 2);
    deepEqual(await all(queue), [`2: 0, ${bytes}`]);
    const { systemCallCount, bytesWritten } = file.stats();
    deepEqual([systemCallCount, bytesWritten], [4, 2 * bytes]);
  },
);

/* What is read to its end at the border: a hole of 4 GiB and some bytes behind it. */
inWorlds(['ring', 'pool', 'portable'], 'offsets beyond 2^32 are whole', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  for (const offset of [2 ** 31 - 5, 2 ** 32 - 5, 2 ** 40 + 3]) {
    queue.write(file, patterned(10), offset, 1, { link: true });
    const target = new Uint8Array(10);
    queue.read(file, target, BigInt(offset), 2);
    deepEqual((await queue.wait({ atLeast: 2 })).map(said), ['1: 0, 10', '2: 0, 10']);
    ok(Buffer.compare(target, patterned(10)) === 0);
  }
  equal((await file.stat()).size, 2 ** 40 + 13);
});

inWorlds(['simulated'], 'a file of another world is refused', async (world) => {
  const queue = new CompletionQueue({ engine: 'portable' });
  const file = await world.open('file');
  const other = { ...wrongValue, message: /world/ };
  throws(() => queue.read(file, new Uint8Array(1), 0, 1), other);
  throws(() => queue.closeFile(file, 1), other);
  equal(queue.outstanding, 0);
});

/** What becomes of operations whose end is asked for: by a cancel, by their time. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { configure, OpenFile, Status } from 'holdfast';
import { Barrier } from './contract/engines.js';
import { patterned } from './file/bytes.js';
import { gated } from './queue/gate.js';
import { all, inEveryWorld, inWorlds, isFree, said, type World } from './queue/worlds.js';

inEveryWorld('cancel() of what is staged: Cancelled, and nothing was done', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  const view = patterned(10);
  const many = [patterned(5), patterned(5)];
  queue.write(file, view, 0, 1);
  queue.write(file, many, 0, 2n);
  queue.write(file, patterned(3), null, 3);
  queue.sync(file, 'data', 4);
  queue.unlink(world.path('file'), 5);
  queue.closeFile(file, 6);
  queue.nop(7);
  for (const tag of [1, 2n, 3, 4, 5, 6, 7]) equal(queue.cancel(tag), 1);
  deepEqual(
    await all(queue),
    [1, 2, 3, 4, 5, 6, 7].map((tag) => `${tag}: 9 ECANCELED, 0`),
  );
  equal(world.content('file').length, 0);
  equal(file.isClosed, false, 'a close that was cancelled has not closed');
  await isFree(queue, [view, ...many], file);
  equal(queue.stats().cancelled, 7);
  equal(await file.write(patterned(2)), 2, 'the place in the order was given up');
});

inEveryWorld(
  'cancel() of what has ended, and of a tag nobody has, finds nothing',
  async (world) => {
    const queue = world.queue();
    equal(queue.cancel(1), 0);
    queue.nop(1);
    while (queue.stats().completed === 0) await setImmediate();
    equal(queue.cancel(1), 0);
    equal(queue.outstanding, 1);
    deepEqual(await all(queue), ['1: 0, 0']);
    equal(queue.cancel(1), 0);
    queue.nop(2);
    equal(queue.cancel(2n), 0, 'a number and a bigint are two tags');
    equal(queue.cancel(3), 0);
    await all(queue);
  },
);

inEveryWorld('cancel() finds every submission with the tag', async (world) => {
  const queue = world.queue();
  for (const tag of [7, 8, 7, 7]) queue.nop(tag);
  equal(queue.cancel(7), 3);
  deepEqual(await all(queue), [
    '7: 9 ECANCELED, 0',
    '7: 9 ECANCELED, 0',
    '7: 9 ECANCELED, 0',
    '8: 0, 0',
  ]);
});

for (const cancels of [true, false]) {
  const outcome = cancels ? 'Cancelled' : 'what came of it, where the engine does not';
  inEveryWorld(`cancel() of what is under way: ${outcome}`, async (world) => {
    const { gate, queue, file } = await gated(world);
    gate.cancels = cancels;
    const view = patterned(10);
    queue.write(file, view, 0, 1);
    queue.submit();
    equal(queue.cancel(1), 1);
    equal(queue.cancel(1), 1, 'asked again it is still there');
    if (!cancels) gate.open();
    const told = await all(queue);
    deepEqual(told, [cancels ? '1: 9 ECANCELED, 0' : '1: 0, 10']);
    await all(queue);
    gate.open();
    await isFree(queue, [view], file);
    equal(world.content('file').length, cancels ? 0 : 10);
  });
}

/* A run that is cancelled on the pool is taken out whole: its first was told it was cancelled. */
inEveryWorld('cancel() of a later one leaves an earlier one alone', async (world) => {
  const { gate, queue, file } = await gated(world);
  queue.write(file, patterned(10), 0, 1, { link: true });
  queue.write(file, patterned(10), 10, 2, { link: true });
  queue.sync(file, 'data', 3, { link: true });
  queue.nop(4);
  queue.submit();
  equal(queue.cancel(2), 1);
  while (gate.heldCount === 0) await setImmediate();
  gate.open();
  deepEqual(await all(queue), [
    '1: 0, 10',
    '2: 9 ECANCELED, 0',
    '3: 9 ECANCELED, 0',
    '4: 9 ECANCELED, 0',
  ]);
  equal(world.content('file').length, 10);
});

/* PIPEFS_MAGIC of statfs(2). */
const PIPES = 0x50495045;

/** Reads of a FIFO that nobody has written to: under way on a ring for as long as one likes. */
function fifo(world: World): { file: OpenFile; give: (bytes: Uint8Array) => void } {
  const path = world.path('fifo');
  execFileSync('mkfifo', [path]);
  /* Not a number whose close is still to be told of: what is said of it would be forgotten. */
  const recent = Array.from({ length: 64 }, () => openSync('/dev/null', 'r'));
  const fd = openSync(path, 'r+');
  for (const other of recent) closeSync(other);
  world.t.after(() => closeSync(fd));
  const parts = { access: 'read', isOwned: false, alignment: undefined, fallbacks: [] } as const;
  const stat = fstatSync(fd, { bigint: true });
  const where = { device: stat.dev, inode: stat.ino };
  const file = new OpenFile({ engine: world.engine, fd, path, stat: where, ...parts });
  /* What opening would have asked: threads cannot read a FIFO at an offset. */
  world.engine.learnVolume?.(fd, PIPES);
  return { file, give: (bytes) => writeSync(fd, bytes) };
}

inWorlds(['ring'], 'cancel() of a read that the kernel waits for', async (world) => {
  const queue = world.queue();
  const { file, give } = fifo(world);
  const views = [new Uint8Array(4), new Uint8Array(4), new Uint8Array(4)];
  for (const [tag, view] of views.entries()) queue.read(file, view, 0, tag);
  deepEqual(await queue.wait({ timeoutMs: 20 }), []);
  equal(queue.cancel(1), 1);
  deepEqual((await queue.wait()).map(said), ['1: 9 ECANCELED, 0']);
  give(patterned(8, 1));
  deepEqual(await all(queue), ['0: 0, 4', '2: 0, 4']);
  equal(views[1]?.[0], 0);
  queue.read(file, views[1] as Uint8Array, 0, 1);
  queue.read(file, views[0] as Uint8Array, 0, 0, { timeoutMs: 15 });
  deepEqual((await queue.wait()).map(said), ['0: 8 ETIMEDOUT, 0']);
  const closing = queue.close({ cancel: true });
  await closing;
  deepEqual(await all(queue), ['1: 9 ECANCELED, 0']);
});

/* The kernel does not look for what waits behind a link: it may be done all the same. */
inWorlds(['ring'], 'cancel() of what waits behind a link in the kernel', async (world) => {
  const queue = world.queue();
  const { file, give } = fifo(world);
  const target = await world.open('file');
  queue.read(file, new Uint8Array(4), 0, 1, { link: true });
  queue.write(target, patterned(10), 0, 2, { link: true });
  queue.sync(target, 'data', 3);
  queue.submit();
  equal(queue.cancel(2), 1);
  give(patterned(4));
  const [first, second, third] = await all(queue);
  equal(first, '1: 0, 4');
  const isDone = second === '2: 0, 10';
  deepEqual(
    [second, third],
    isDone ? ['2: 0, 10', '3: 0, 0'] : ['2: 9 ECANCELED, 0', '3: 9 ECANCELED, 0'],
  );
  equal(world.content('file').length, isDone ? 10 : 0);
});

inWorlds(
  ['ring'],
  'a time limit and a cancel reach the kernel while the loop is blocked',
  async (world) => {
    const queue = world.queue();
    const { file, give } = fifo(world);
    queue.read(file, new Uint8Array(4), 0, 1, { timeoutMs: 20 });
    queue.read(file, new Uint8Array(4), 0, 2);
    queue.read(file, [new Uint8Array(2), new Uint8Array(2)], 0, 3);
    deepEqual(queue.waitSync().map(said), ['1: 8 ETIMEDOUT, 0']);
    queue.cancel(2);
    deepEqual(queue.waitSync().map(said), ['2: 9 ECANCELED, 0']);
    deepEqual(queue.waitSync({ timeoutMs: 10 }), []);
    give(patterned(4));
    deepEqual(queue.waitSync().map(said), ['3: 0, 4']);
    const { timedOut, cancelled } = queue.stats();
    deepEqual([timedOut, cancelled], [1, 1]);
  },
);

/** A pool of one thread that waits for a lock until it is let go. */
async function busyPool(world: World, body: (barrier: Barrier) => Promise<void>): Promise<void> {
  configure({ threads: 1 });
  const barrier = new Barrier(world.engine, world.directory);
  const held = barrier.wait(barrier.open());
  const waiter = new RegExp(`-> FLOCK.*:${statSync(barrier.path).ino} `);
  try {
    /* A thread that is slow to wake takes whatever has come by then. */
    while (!waiter.test(readFileSync('/proc/locks', 'utf8'))) await setImmediate();
    await body(barrier);
  } finally {
    barrier.release();
    await held;
    barrier.close();
    configure({ threads: 4 });
  }
}

inWorlds(['pool'], 'cancel() and time of what waits for a thread', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  await busyPool(world, async (barrier) => {
    for (let tag = 1; tag <= 4; tag++) queue.write(file, patterned(10), 10 * tag, tag);
    queue.write(file, patterned(10), 0, 5, { timeoutMs: 20 });
    queue.write(file, patterned(5), 100, 6, { link: true });
    queue.sync(file, 'data', 7);
    queue.submit();
    equal(queue.cancel(2), 1);
    equal(queue.cancel(7), 1);
    deepEqual((await queue.wait({ atLeast: 2 })).map(said).sort(), [
      '2: 9 ECANCELED, 0',
      '5: 8 ETIMEDOUT, 0',
    ]);
    barrier.release();
    deepEqual(await all(queue), [
      '1: 0, 10',
      '3: 0, 10',
      '4: 0, 10',
      '6: 0, 5',
      '7: 9 ECANCELED, 0',
    ]);
  });
});

inWorlds(['pool'], 'a time limit is kept while the loop is blocked', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  await busyPool(world, async (barrier) => {
    queue.write(file, patterned(10), 0, 1, { timeoutMs: 20 });
    queue.write(file, patterned(10), 0, 2);
    deepEqual(queue.waitSync().map(said), ['1: 8 ETIMEDOUT, 0']);
    deepEqual(queue.waitSync({ timeoutMs: 10 }), []);
    barrier.release();
    deepEqual(queue.waitSync().map(said), ['2: 0, 10']);
  });
});

inEveryWorld('a time limit ends what can be ended, and says Timeout', async (world) => {
  const { gate, queue, file } = await gated(world);
  const view = patterned(10);
  queue.write(file, view, 0, 1, { timeoutMs: 10 });
  queue.nop(2, { timeoutMs: 10, link: true });
  queue.nop(3, { timeoutMs: 60_000 });
  const told = await all(queue);
  deepEqual(told, ['1: 8 ETIMEDOUT, 0', '2: 8 ETIMEDOUT, 0', '3: 9 ECANCELED, 0']);
  gate.open();
  await isFree(queue, [view], file);
});

inEveryWorld('a time limit that is not reached changes nothing', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  const timeoutMs = 30_000;
  queue.write(file, patterned(10), 0, 1, { timeoutMs, link: true });
  queue.sync(file, 'data', 2, { timeoutMs, link: true });
  queue.read(file, new Uint8Array(20), 0, 3, { timeoutMs, link: true });
  queue.nop(4, { timeoutMs });
  /* The short read stops the chain: what it leaves out was cancelled, not late. */
  deepEqual(await all(queue), ['1: 0, 10', '2: 0, 0', '3: 0, 10', '4: 9 ECANCELED, 0']);
  equal(queue.stats().timedOut, 0);
});

inEveryWorld('what waits for its place in a file can be cancelled', async (world) => {
  const { gate, queue, file } = await gated(world);
  const views = [patterned(1), patterned(2), patterned(3)];
  for (const [tag, view] of views.entries()) queue.write(file, view, null, tag);
  queue.submit();
  equal(gate.heldCount, 1);
  equal(queue.cancel(1), 1);
  deepEqual((await queue.wait()).map(said), ['1: 9 ECANCELED, 0']);
  gate.open();
  deepEqual(await all(queue), ['0: 0, 1', '2: 0, 3']);
  deepEqual([file.position, world.content('file').length], [4, 4]);
  await isFree(queue, views, file);
});

inEveryWorld('thousands that are cancelled behind each other are each told', async (world) => {
  const queue = world.queue({ depth: 20_000 });
  for (let tag = 0; tag < 20_000; tag++) queue.nop(tag, { drain: true });
  equal(queue.cancel(10_000), 1);
  await queue.close({ cancel: true });
  const told = await queue.wait({ atLeast: 20_000 });
  equal(told.length, 20_000);
  ok(told.every(({ status }) => status === Status.Cancelled));
});

/** How completions come back: poll, wait, waitSync, for await; and what may be outstanding. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { Completion, CompletionQueue, IoError, Status } from 'holdfast';
import { cutEvery, patterned } from './file/bytes.js';
import { gated } from './queue/gate.js';
import { all, inEveryWorld, inWorlds, isFree, said } from './queue/worlds.js';

inEveryWorld(
  'capacity bounds outstanding, and a full queue throws and loses nothing',
  async (world) => {
    const queue = world.queue({ depth: 3 });
    const file = await world.open('file');
    const views = [patterned(10), patterned(10), patterned(10)];
    deepEqual([queue.capacity, queue.outstanding], [3, 0]);
    for (const [index, view] of views.entries()) queue.write(file, view, 10 * index, index);
    equal(queue.outstanding, 3);
    const isFull = (error: unknown): boolean => {
      ok(error instanceof IoError);
      deepEqual([error.code, error.kind, error.status], ['EAGAIN', 'busy', Status.NoResources]);
      return true;
    };
    const fourth = new Uint8Array(5);
    throws(() => queue.read(file, fourth, 0, 4), isFull);
    throws(() => queue.nop(4), isFull);
    throws(() => queue.closeFile(file, 4), isFull);
    throws(() => queue.open(world.path('file'), {}, 4), isFull);
    const out = [new Completion()];
    while (queue.poll(out) === 0) await setImmediate();
    equal(queue.outstanding, 2, 'what has ended counts until it is retrieved');
    queue.read(file, fourth, 0, 4);
    throws(() => queue.nop(5), isFull);
    const rest = await queue.wait({ atLeast: 3 });
    const tags = [...out, ...rest].map(({ tag }) => tag);
    deepEqual(tags.sort(), [0, 1, 2, 4]);
    await isFree(queue, [...views, fourth], file);
    equal(world.content('file').length, 30);
  },
);

inEveryWorld('depth 1 and a deep queue work', async (world) => {
  const file = await world.open('file');
  for (const [depth, count] of [
    [1, 1],
    [32768, 5000],
  ] as const) {
    const queue = world.queue({ depth });
    equal(queue.capacity, depth);
    for (let round = 0; round < 3; round++) {
      for (let tag = 0; tag < count; tag++) queue.nop(tag);
      const told = await queue.wait({ atLeast: count });
      equal(new Set(told.map(({ tag }) => tag)).size, count);
    }
    queue.write(file, patterned(10), 0, 1);
    deepEqual(await all(queue), ['1: 0, 10']);
  }
});

inEveryWorld('submit() tells how many it handed over, and happens by itself', async (world) => {
  const queue = world.queue();
  equal(queue.submit(), 0);
  queue.nop(1);
  queue.nop(2, { link: true });
  queue.nop(3);
  equal(queue.submit(), 3);
  equal(queue.submit(), 0);
  queue.nop(4);
  deepEqual(await all(queue), ['1: 0, 0', '2: 0, 0', '3: 0, 0', '4: 0, 0']);
});

inEveryWorld(
  'poll() fills the objects that are there, and as many as there is room',
  async (world) => {
    const queue = world.queue();
    const file = await world.open('file');
    const objects = [new Completion(), new Completion()];
    const out = [...objects];
    equal(queue.poll(out), 0);
    for (let tag = 1; tag <= 5; tag++) queue.write(file, patterned(tag), 0, tag);
    const seen: string[] = [];
    while (seen.length < 5) {
      const count = queue.poll(out);
      ok(count <= 2);
      for (const completion of out.slice(0, count)) seen.push(said(completion));
      if (count === 0) await setImmediate();
    }
    deepEqual(seen.sort(), ['1: 0, 1', '2: 0, 2', '3: 0, 3', '4: 0, 4', '5: 0, 5']);
    ok(out[0] === objects[0] && out[1] === objects[1]);
    equal(queue.poll(out), 0);
    /* What an earlier completion had does not stay behind. */
    queue.open(world.path('absent'), {}, 6);
    while (queue.poll(out) === 0) await setImmediate();
    ok(out[0]?.error instanceof IoError);
    queue.nop(7);
    while (queue.poll(out) === 0) await setImmediate();
    deepEqual([out[0]?.tag, out[0]?.error, out[0]?.file], [7, undefined, undefined]);
    const empty: Completion[] = [];
    queue.nop(8);
    queue.nop(9);
    let count = 0;
    while (count < 2) {
      count += queue.poll(empty);
      if (count < 2) await setImmediate();
    }
    ok(empty[0] instanceof Completion);
    const holes: Completion[] = new Array(3);
    queue.nop(10);
    while (queue.poll(holes) === 0) await setImmediate();
    equal(holes[0]?.tag, 10);
  },
);

inWorlds(['ring', 'pool', 'simulated'], 'poll() alone drives a queue', async (world) => {
  const queue = world.queue({ depth: 8 });
  const file = await world.open('file');
  queue.registerBuffers(Array.from({ length: 8 }, () => patterned(512)));
  const out = Array.from({ length: 8 }, () => new Completion());
  for (let slot = 0; slot < 8; slot++) queue.writeFixed(file, slot, slot * 512, slot);
  let begun = 8;
  let ended = 0;
  const counts = new Array(8).fill(0);
  while (ended < 400) {
    const count = queue.poll(out);
    for (let index = 0; index < count; index++) {
      const { tag, status, bytes } = out[index] as Completion;
      deepEqual([status, bytes], [0, 512]);
      counts[tag as number]++;
      ended++;
      if (begun++ < 400) queue.readFixed(file, Number(tag), 512, tag);
    }
  }
  equal(queue.outstanding, 0);
  ok(
    counts.every((count) => count > 0),
    String(counts),
  );
});

inEveryWorld(
  'wait() waits for as many as asked, and no longer than there are any',
  async (world) => {
    const queue = world.queue();
    deepEqual(await queue.wait(), []);
    deepEqual(await queue.wait({ atLeast: 200 }), []);
    for (let tag = 0; tag < 5; tag++) queue.nop(tag);
    equal((await queue.wait({ atLeast: 5 })).length, 5);
    queue.nop(5);
    equal((await queue.wait({ atLeast: 256 })).length, 1);
    queue.nop(6);
    deepEqual(await queue.wait({ atLeast: 0 }), []);
    equal((await queue.wait()).length, 1);
  },
);

inEveryWorld('wait() answers what is there when the time is over', async (world) => {
  const { gate, queue } = await gated(world);
  queue.nop(1);
  deepEqual(await queue.wait({ timeoutMs: 20 }), []);
  equal(queue.outstanding, 1);
  queue.nop(2);
  queue.submit();
  gate.letOne();
  deepEqual((await queue.wait({ atLeast: 2, timeoutMs: 50 })).map(said), ['1: 0, 0']);
  deepEqual(await queue.wait({ timeoutMs: 0 }), []);
  gate.open();
  deepEqual(await all(queue), ['2: 0, 0']);
});

/*
 * Of two that waited the second was answered nothing though its completion was still to come, and
 * one that waited while another retrieved everything waited for ever.
 */
inEveryWorld(
  'each of several that wait gets its own, or learns that there are none',
  async (world) => {
    const { gate, queue } = await gated(world);
    queue.nop(1);
    queue.nop(2);
    queue.submit();
    const both = [queue.wait(), queue.wait()];
    gate.letOne();
    const first = await Promise.race(both);
    equal(first.length, 1);
    gate.open();
    const [one, two] = await Promise.all(both);
    deepEqual([one?.length, two?.length], [1, 1]);
    gate.isShut = true;
    queue.nop(3);
    queue.submit();
    const waiting = queue.wait();
    gate.open();
    const polled: Completion[] = [];
    while (queue.poll(polled) === 0) {
      /* In one tick, where the engine can: nobody else has heard of it then. */
      if (world.name === 'portable') await setImmediate();
      if (queue.outstanding === 0) break;
    }
    equal((await waiting).length + polled.length, 1);
  },
);

inEveryWorld('waitSync() waits on the calling thread', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  deepEqual(queue.waitSync(), []);
  const bytes = patterned(20_000);
  queue.write(file, cutEvery(bytes, 3), 0, 1, { link: true });
  queue.sync(file, 'data', 2);
  deepEqual(queue.waitSync({ atLeast: 2 }).map(said), ['1: 0, 20000', '2: 0, 0']);
  const target = new Uint8Array(20_000);
  queue.read(file, target, 0, 3);
  queue.rename(world.path('file'), world.path('other'), 4, { drain: true });
  deepEqual(queue.waitSync({ atLeast: 2 }).map(said), ['3: 0, 20000', '4: 0, 0']);
  ok(Buffer.compare(target, bytes) === 0);
  queue.open(world.path('other'), {}, 5);
  const [{ file: other } = {}] = queue.waitSync();
  ok(other !== undefined);
  queue.read(other, new Uint8Array(10), null, 6);
  queue.read(other, new Uint8Array(10), null, 7);
  queue.closeFile(other, 8);
  equal(queue.waitSync({ atLeast: 3 }).length, 3);
  equal(other.fd, -1);
});

inWorlds(['portable'], 'waitSync() refuses to wait for what the loop alone ends', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  queue.write(file, patterned(10), 0, 1);
  await Promise.resolve();
  await Promise.resolve();
  const isUnsupported = { code: 'ENOTSUP', kind: 'unsupported' };
  throws(() => queue.waitSync(), isUnsupported);
  throws(() => queue.waitSync({ timeoutMs: 1000 }), isUnsupported);
  queue.nop(2);
  throws(() => queue.waitSync({ atLeast: 2 }), isUnsupported);
  equal(queue.outstanding, 2);
  deepEqual(queue.waitSync({ atLeast: 0 }).map(said), ['2: 0, 0']);
  deepEqual(await all(queue), ['1: 0, 10']);
});

inWorlds(
  ['ring', 'pool'],
  'waitSync() waits for what an earlier tick handed over',
  async (world) => {
    const queue = world.queue();
    const file = await world.open('file');
    for (let tag = 0; tag < 20; tag++) queue.write(file, patterned(4096), tag * 4096, tag);
    await Promise.resolve();
    await Promise.resolve();
    equal(queue.waitSync({ atLeast: 20 }).length, 20);
    queue.sync(file, 'full', 1);
    await Promise.resolve();
    queue.nop(2);
    equal(queue.waitSync({ atLeast: 2 }).length, 2);
  },
);

inEveryWorld('waitSync() answers what is there when the time is over', async (world) => {
  const { gate, queue } = await gated(world);
  queue.nop(1);
  queue.nop(2);
  queue.submit();
  const before = performance.now();
  deepEqual(queue.waitSync({ timeoutMs: 20 }), []);
  ok(performance.now() - before >= 19);
  gate.open();
  deepEqual(await all(queue), ['1: 0, 0', '2: 0, 0']);
});

/*
 * A completion that only a microtask can bring was waited for in a loop that never ended, since
 * nothing was under way with the engine.
 */
inEveryWorld('waitSync() does not wait for ever for what ends in the loop', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  await file.close();
  queue.closeFile(file, 1);
  throws(() => queue.waitSync(), { kind: 'unsupported' });
  deepEqual(await all(queue), ['1: 0, 0']);
});

inEveryWorld('for await gives completions until the queue is closed', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  const seen: string[] = [];
  const reading = (async () => {
    for await (const completion of queue) {
      seen.push(said(completion));
      if (seen.length < 10) queue.write(file, patterned(4), 0, seen.length);
    }
  })();
  queue.write(file, patterned(4), 0, 0);
  while (seen.length < 10) await setImmediate();
  queue.nop(100);
  queue.nop(101);
  await queue.close();
  await reading;
  equal(queue.outstanding, 0);
  deepEqual(
    seen.sort(),
    [...Array.from({ length: 10 }, (_, tag) => `${tag}: 0, 4`), '100: 0, 0', '101: 0, 0'].sort(),
  );
});

inEveryWorld('for await may be left, and the rest stays in the queue', async (world) => {
  const queue = world.queue();
  for (let tag = 0; tag < 4; tag++) queue.nop(tag);
  const tags: unknown[] = [];
  for await (const { tag } of queue) {
    tags.push(tag);
    if (tags.length === 2) break;
  }
  equal(queue.outstanding, 2);
  tags.push(...(await queue.wait({ atLeast: 2 })).map(({ tag }) => tag));
  deepEqual(tags.sort(), [0, 1, 2, 3]);
});

inEveryWorld(
  'a completion that failed has an error, and no promise is left unhandled',
  async (world) => {
    const queue = world.queue();
    queue.open(world.path('absent'), {}, 1);
    const [completion] = await queue.wait();
    equal(completion?.error?.code, 'ENOENT');
    await rejects(queue.wait({ atLeast: -1 }), { code: 'ERR_OUT_OF_RANGE' });
    ok(new CompletionQueue() instanceof CompletionQueue);
  },
);

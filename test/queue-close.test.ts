/** The end of a queue, of its files, of its memory, of whoever forgot it. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { IoError } from 'holdfast';
import { cutEvery, patterned } from './file/bytes.js';
import { gated } from './queue/gate.js';
import { all, inEveryWorld, inWorlds, said } from './queue/worlds.js';
import { outputOf } from './support/child.js';
import { scratch } from './support/scratch.js';

const closed = { code: 'EBADF', kind: 'closed' } as const;

inEveryWorld('close() waits for what is outstanding, whose completions stay', async (world) => {
  const { gate, queue, file } = await gated(world);
  queue.write(file, patterned(10), 0, 1);
  queue.submit();
  queue.sync(file, 'data', 2);
  const closing = queue.close();
  equal(queue.close(), closing, 'again is the same promise');
  let isClosed = false;
  void closing.then(() => {
    isClosed = true;
  });
  for (let turn = 0; turn < 5; turn++) await setImmediate();
  equal(isClosed, false);
  throws(() => queue.nop(3), closed);
  throws(() => queue.read(file, new Uint8Array(1), 0, 3), closed);
  throws(() => queue.registerBuffers([new Uint8Array(1)]), closed);
  throws(() => queue.registerFiles([file]), closed);
  gate.open();
  await closing;
  equal(queue.outstanding, 2);
  deepEqual(await all(queue), ['1: 0, 10', '2: 0, 0']);
  deepEqual(await queue.wait(), []);
  equal(queue.poll([]), 0);
  equal(queue.cancel(1), 0);
  throws(() => queue.readFixed(file, 0, 0, 3), closed);
});

inEveryWorld('close({ cancel: true }) ends what can be ended', async (world) => {
  const { gate, queue, file } = await gated(world);
  queue.write(file, patterned(10), 0, 1);
  queue.write(file, patterned(10), 10, 2, { link: true });
  queue.sync(file, 'data', 3);
  queue.submit();
  queue.nop(4, { drain: true });
  queue.write(file, patterned(10), null, 5);
  queue.closeFile(file, 6);
  await queue.close({ cancel: true });
  deepEqual(
    await all(queue),
    [1, 2, 3, 4, 5, 6].map((tag) => `${tag}: 9 ECANCELED, 0`),
  );
  equal(gate.heldCount, 0);
  equal(world.content('file').length, 0);
  gate.open();
  equal(await file.write(patterned(2)), 2);
});

inEveryWorld('close() of a queue with nothing in it, and by await using', async (world) => {
  const queue = world.queue();
  await queue.close();
  await queue.close({ cancel: true });
  await rejects(queue.close(1 as never), { code: 'ERR_INVALID_ARG_TYPE' });
  const file = await world.open('file');
  {
    await using other = world.queue();
    other.write(file, patterned(10), 0, 1);
  }
  equal(world.content('file').length, 10);
  throws(() => queue.nop(1), IoError);
});

inEveryWorld('a file waits for what a queue has of it, staged or under way', async (world) => {
  const { gate, queue, file } = await gated(world);
  queue.write(file, patterned(10), 0, 1);
  queue.submit();
  queue.write(file, cutEvery(patterned(10), 4), 10, 2);
  queue.sync(file, 'full', 3, { drain: true });
  const closing = file.close();
  throws(() => queue.read(file, new Uint8Array(1), 0, 4), closed);
  for (let turn = 0; turn < 5; turn++) await setImmediate();
  ok(file.fd >= 0, 'the descriptor is open');
  gate.open();
  await closing;
  equal(file.fd, -1);
  deepEqual(await all(queue), ['1: 0, 10', '2: 0, 10', '3: 0, 0']);
  equal(world.content('file').length, 20);
});

/* The table of registered buffers is shared by all queues of an engine, and has 1024 places. */
inWorlds(['ring', 'pool', 'portable'], 'close() gives registered buffers back', async (world) => {
  const file = await world.open('file');
  const told = new Set<string>();
  for (let time = 0; time < 5; time++) {
    const queue = world.queue();
    const slots = queue.registerBuffers(Array.from({ length: 600 }, () => new Uint8Array(512)));
    equal(slots.length, 600);
    told.add(queue.stats().registered);
    queue.writeFixed(file, 599, 0, 1);
    await queue.close();
    deepEqual(await all(queue), ['1: 0, 512']);
  }
  equal(told.size, 1, [...told].join());
});

inWorlds(
  ['ring', 'pool', 'portable'],
  'more buffers than the kernel has places for work too',
  async (world) => {
    const queue = world.queue({ depth: 2000 });
    const file = await world.open('file');
    const views = Array.from({ length: 1100 }, (_, slot) => patterned(16, slot * 16));
    queue.registerBuffers(views);
    for (const slot of views.keys()) queue.writeFixed(file, slot, slot * 16, slot);
    equal((await queue.wait({ atLeast: 1100 })).filter(({ bytes }) => bytes === 16).length, 1100);
    ok(Buffer.compare(world.content('file'), patterned(1100 * 16)) === 0);
    await queue.close();
  },
);

const HEAD = `
  import { readFileSync } from 'node:fs';
  import { CompletionQueue, openFile } from 'holdfast';
  const [path, engine] = process.argv.slice(1);
  const file = await openFile(path, { access: 'read-write', create: true });
`;

/* The kernel wrote into memory that had been collected with the queue. */
inWorlds(
  ['ring', 'pool', 'portable'],
  'a queue that is collected with work outstanding does it',
  async ({ t, name }) => {
    const source = `${HEAD}
    const views = 200;
    const reads = [];
    function forget(round) {
      const queue = new CompletionQueue({ engine });
      queue.registerBuffers([new Uint8Array(4096).fill(round + 1)]);
      for (let index = 0; index < views; index++) {
        const view = new Uint8Array(4096).fill(round + 1);
        queue.write(file, index % 3 ? view : [view], (round * views + index) * 4096, index);
      }
      queue.writeFixed(file, 0, (round * views + views - 1) * 4096, 1000);
      for (let index = 0; index < 50; index++) queue.read(file, new Uint8Array(65536), 0, index);
      if (round % 2) queue.submit();
      return new WeakRef(queue);
    }
    const forgotten = [];
    for (let round = 0; round < 20; round++) {
      forgotten.push(forget(round));
      globalThis.gc();
      if (round % 5 === 4) await new Promise(setImmediate);
      reads.push(new Uint8Array(65536).fill(7));
    }
    await file.close();
    for (let time = 0; time < 10; time++) { await new Promise(setImmediate); globalThis.gc(); }
    const bytes = readFileSync(path);
    const whole = bytes.every((byte, index) => byte === Math.floor(index / 4096 / views) + 1);
    const intact = reads.every((view) => view.every((byte) => byte === 7));
    const left = forgotten.filter((one) => one.deref() !== undefined).length;
    console.log(bytes.length === 20 * views * 4096, whole, intact, left < 20);`;
    const nodeArgs = ['--expose-gc'];
    const args = [`${scratch(t)}/file`, name];
    equal(await outputOf({ source, args, nodeArgs }), 'true true true true\n');
  },
);

/* The table was used up by queues that nobody closed, and the memory pinned for good. */
inWorlds(
  ['ring', 'pool'],
  'a queue that is collected gives registered buffers back',
  async (world) => {
    const source = `${HEAD}
    function forget() {
      const queue = new CompletionQueue({ engine });
      queue.registerBuffers(Array.from({ length: 600 }, () => new Uint8Array(64)));
      queue.writeFixed(file, 599, 0, 1);
      told.add(queue.stats().registered);
      return new WeakRef(queue);
    }
    const turn = () => new Promise(setImmediate);
    const told = new Set();
    for (let round = 0; round < 5; round++) {
      const forgotten = forget();
      do { await turn(); globalThis.gc(); } while (forgotten.deref() !== undefined);
      for (let time = 0; time < 10; time++) await turn();
    }
    await file.close();
    console.log(told.size);`;
    const args = [`${scratch(world.t)}/file`, world.name];
    equal(
      await outputOf({ source, args, nodeArgs: ['--expose-gc'] }),
      '1\n',
      'all were registered alike',
    );
  },
);

inWorlds(
  ['ring', 'pool', 'portable'],
  'a process ends by itself, and waits for what is outstanding',
  async ({ t, name }) => {
    const source = `${HEAD}
    const queue = new CompletionQueue({ engine });
    process.on('exit', () => console.log(queue.stats().completed, readFileSync(path).length));
    for (let tag = 0; tag < 100; tag++) queue.write(file, new Uint8Array(4096), tag * 4096, tag);
    queue.nop(100, { timeoutMs: 600000 });
    queue.sync(file, 'data', 101, { drain: true });`;
    const args = [`${scratch(t)}/file`, name];
    equal(await outputOf({ source, args, timeoutMs: 20_000 }), '102 409600\n');
  },
);

inEveryWorld(
  'completions of a closed queue can still be waited for on the calling thread',
  async (world) => {
    const queue = world.queue();
    queue.nop(1);
    void queue.close();
    deepEqual((await queue.wait()).map(said), ['1: 0, 0']);
    deepEqual(queue.waitSync(), []);
  },
);

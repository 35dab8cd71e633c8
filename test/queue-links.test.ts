/** What depends on what: links, that stop at the first that falls short, and drains. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { CompletionQueue, Status } from 'holdfast';
import { refuseNth, simulatedDisk } from 'holdfast/testing';
import { Code, type Operation } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { FaultyEngine, type Verdict } from './file/faults.js';
import { gated } from './queue/gate.js';
import { all, inEveryWorld, inWorlds, only, said, type World } from './queue/worlds.js';
import { limitsRefusal, outputOf } from './support/child.js';
import { scratch } from './support/scratch.js';

const link = { link: true } as const;

inEveryWorld(
  'a chain does one after the other, and its completions come in its order',
  async (world) => {
    const queue = world.queue();
    const file = await world.open('file');
    const target = new Uint8Array(8);
    queue.write(file, patterned(4), 0, 1, link);
    queue.write(file, [patterned(2, 4), patterned(2, 6)], 4, 2, link);
    queue.sync(file, 'data', 3, link);
    queue.sync(file, 'full', 4, link);
    queue.rename(world.path('file'), world.path('other'), 5, link);
    queue.read(file, target, 0, 6, link);
    queue.unlink(world.path('other'), 7, link);
    queue.closeFile(file, 8);
    const told = await queue.wait({ atLeast: 8 });
    deepEqual(told.map(said), [
      '1: 0, 4',
      '2: 0, 4',
      '3: 0, 0',
      '4: 0, 0',
      '5: 0, 0',
      '6: 0, 8',
      '7: 0, 0',
      '8: 0, 0',
    ]);
    ok(Buffer.compare(target, patterned(8)) === 0);
    deepEqual(world.names(), []);
  },
);

inEveryWorld(
  'a failure, a short read, a cancel: the rest of the chain is Cancelled',
  async (world) => {
    const queue = world.queue();
    const file = await world.open('file');
    world.put('file', patterned(10));
    queue.nop(0, link);
    queue.unlink(world.path('absent'), 1, link);
    queue.write(file, patterned(3), 0, 2, link);
    queue.nop(3);
    queue.nop(4);
    deepEqual(await all(queue), [
      '0: 0, 0',
      '1: 2 ENOENT, 0',
      '2: 9 ECANCELED, 0',
      '3: 9 ECANCELED, 0',
      '4: 0, 0',
    ]);
    for (const many of [false, true]) {
      const target = new Uint8Array(20);
      queue.read(file, many ? cutEvery(target, 3) : target, 5, 1, link);
      queue.nop(2);
      deepEqual(await all(queue), ['1: 0, 5', '2: 9 ECANCELED, 0']);
    }
    queue.read(file, new Uint8Array(5), 5, 1, link);
    queue.nop(2, link);
    queue.sync(file, 'data', 3, link);
    queue.nop(4);
    equal(queue.cancel(2), 1);
    deepEqual(await all(queue), [
      '1: 0, 5',
      '2: 9 ECANCELED, 0',
      '3: 9 ECANCELED, 0',
      '4: 9 ECANCELED, 0',
    ]);
  },
);

inEveryWorld('a chain ends at submit, and with the last that is linked', async (world) => {
  const queue = world.queue();
  queue.unlink(world.path('absent'), 1, link);
  equal(queue.submit(), 1);
  queue.nop(2, link);
  queue.nop(3);
  queue.nop(4);
  deepEqual(await all(queue), ['1: 2 ENOENT, 0', '2: 0, 0', '3: 0, 0', '4: 0, 0']);
});

inEveryWorld('a chain of thousands is done', async (world) => {
  const queue = world.queue({ depth: 4000 });
  const file = await world.open('file');
  for (let tag = 0; tag < 3999; tag++) queue.write(file, patterned(1, tag), tag, tag, link);
  queue.sync(file, 'data', 3999);
  const told = await queue.wait({ atLeast: 4000 });
  deepEqual(
    told.map(({ tag }) => tag),
    told.map((_, index) => index),
  );
  ok(told.every(({ status }) => status === Status.Ok));
  ok(Buffer.compare(world.content('file'), patterned(3999)) === 0);
});

/** An engine that writes down transfers and syncs in the order in which they reach the file. */
function watched(world: World, judge: (operation: Operation) => Verdict) {
  const engine = new FaultyEngine(world.engine, judge);
  const queue = world.queue({ engine });
  return { engine, queue };
}

const isWanted = (name: string): boolean => ['read', 'write', 'fsync', 'fdatasync'].includes(name);

/*
 * A sync that is linked behind a write stood for bytes that were not there yet: a short write is
 * 0 <= result, and went for one that was done.
 */
inWorlds(
  ['ring', 'pool', 'portable'],
  'a short write is written to its end before the sync',
  async (world) => {
    for (const many of [false, true]) {
      let left = 2;
      const falling = (operation: Operation): Verdict =>
        operation.code === Code.Write && left-- > 0 ? { moves: 3 } : undefined;
      const { engine, queue } = watched(world, falling);
      const file = await world.open('file', { truncate: true });
      queue.write(file, many ? cutEvery(patterned(10), 4) : patterned(10), 0, 1, link);
      queue.sync(file, 'data', 2, link);
      queue.nop(3);
      deepEqual(await all(queue), ['1: 0, 10', '2: 0, 0', '3: 0, 0']);
      deepEqual(engine.asked.filter(isWanted), ['write', 'write', 'write', 'fdatasync']);
      ok(Buffer.compare(world.content('file'), patterned(10)) === 0);
      await file.close();
    }
  },
);

inWorlds(
  ['ring', 'pool', 'portable'],
  'a write that fails after a part keeps the sync from happening',
  async (world) => {
    let writes = 0;
    const judge = ({ code }: Operation): Verdict => {
      if (code !== Code.Write) return undefined;
      return ++writes === 1 ? { moves: 3 } : { answers: -28 };
    };
    const { engine, queue } = watched(world, judge);
    const file = await world.open('file');
    queue.write(file, patterned(10), 0, 1, link);
    queue.sync(file, 'data', 2);
    deepEqual(await all(queue), ['1: 4 ENOSPC, 3', '2: 9 ECANCELED, 0']);
    deepEqual(engine.asked.filter(isWanted), ['write', 'write']);
  },
);

/* The same by the kernel itself: RLIMIT_FSIZE cuts a write, through a ring too. */
for (const name of ['ring', 'pool', 'portable'] as const) {
  inWorlds(
    [name],
    'a write that the kernel cuts short is no success for its sync',
    async ({ t }) => {
      const refusal = limitsRefusal();
      if (refusal !== undefined) return t.skip(refusal);
      const source = `
      import { CompletionQueue, openFile } from 'holdfast';
      process.on('SIGXFSZ', () => {});
      const queue = new CompletionQueue({ engine: process.argv[2] });
      const file = await openFile(process.argv[1], { access: 'read-write', create: true });
      queue.write(file, new Uint8Array(6000), 0, 1, { link: true });
      queue.sync(file, 'data', 2);
      queue.write(file, [new Uint8Array(3000), new Uint8Array(3000)], 0, 3, { link: true });
      queue.sync(file, 'data', 4);
      queue.write(file, new Uint8Array(5000), 0, 5, { link: true });
      queue.sync(file, 'data', 6);
      const told = await queue.wait({ atLeast: 6 });
      told.sort((one, two) => one.tag - two.tag);
      const line = ({ status, bytes, error }) => [status, bytes, error?.code];
      console.log(JSON.stringify(told.map(line)));`;
      const args = [`${scratch(t)}/file`, name];
      const told = JSON.parse(await outputOf({ source, args, limits: { fileSizeBytes: 5000 } }));
      deepEqual(told, [
        [4, 5000, 'EFBIG'],
        [9, 0, 'ECANCELED'],
        [4, 5000, 'EFBIG'],
        [9, 0, 'ECANCELED'],
        [0, 5000, null],
        [0, 0, null],
      ]);
    },
  );
}

inEveryWorld(
  'a sync that fails breaks its file, and nothing behind it is asked of the file',
  async (world) => {
    for (const options of [link, {}]) {
      const engine = refuseNth(world.engine, 1, 'EIO', { operations: ['SyncData'] });
      const queue = world.queue({ engine });
      const file = await world.open('file', {}, engine);
      queue.write(file, patterned(10), 0, 1, link);
      queue.sync(file, 'data', 2, options);
      queue.write(file, patterned(10), 10, 3, { drain: true });
      queue.write(file, cutEvery(patterned(10), 3), 20, 4, { drain: true });
      queue.sync(file, 'full', 5, { drain: true });
      const told = (await queue.wait({ atLeast: 5 })).map(
        (one) => `${said(one)} ${one.error?.kind}`,
      );
      deepEqual(told.slice(0, 3), [
        '1: 0, 10 undefined',
        '2: 7 EIO, 0 io',
        options === link ? '3: 9 ECANCELED, 0 cancelled' : '3: 7 EIO, 0 broken',
      ]);
      deepEqual(
        told.slice(3).map((line) => line.split(' ').at(-1)),
        ['broken', 'broken'],
      );
      equal(world.content('file').length, 10);
      await file.close();
    }
  },
);

inEveryWorld('drain: everything before has ended, nothing later has begun', async (world) => {
  const { gate, queue, file } = await gated(world);
  queue.write(file, patterned(4), 0, 1);
  queue.write(file, patterned(4), 4, 2);
  queue.nop(3, { drain: true });
  queue.write(file, patterned(4), 8, 4);
  queue.nop(5, { drain: true });
  equal(queue.submit(), 2);
  equal(gate.heldCount, 2, 'the first two, and nothing behind the drain');
  gate.letOne();
  deepEqual((await queue.wait()).map(said), ['1: 0, 4']);
  equal(gate.heldCount, 1);
  gate.letOne();
  deepEqual((await queue.wait()).map(said), ['2: 0, 4']);
  equal(gate.heldCount, 1, 'the drained one alone');
  gate.letOne();
  deepEqual((await queue.wait()).map(said), ['3: 0, 0']);
  equal(gate.heldCount, 1);
  gate.letOne();
  deepEqual((await queue.wait()).map(said), ['4: 0, 4']);
  gate.letOne();
  deepEqual((await queue.wait()).map(said), ['5: 0, 0']);
  gate.open();
});

inEveryWorld('a drain in a chain drains for the whole chain', async (world) => {
  const { gate, queue, file } = await gated(world);
  queue.nop(1);
  queue.write(file, patterned(4), 0, 2, link);
  queue.sync(file, 'data', 3, { drain: true, link: true });
  queue.nop(4);
  queue.nop(5);
  queue.submit();
  equal(gate.heldCount, 1);
  gate.letOne();
  deepEqual((await queue.wait()).map(said), ['1: 0, 0']);
  equal(gate.heldCount, 1, 'the chain, as one run');
  gate.letOne();
  deepEqual((await queue.wait({ atLeast: 3 })).map(said), ['2: 0, 4', '3: 0, 0', '4: 0, 0']);
  equal(gate.heldCount, 1);
  gate.open();
  deepEqual(await all(queue), ['5: 0, 0']);
});

/*
 * What was still to be staged behind a drain went out with what had been submitted: a chain was cut
 * in two by a completion that came at the wrong moment.
 */
inWorlds(
  ['ring', 'pool', 'simulated'],
  'what is staged is not handed over by what ends meanwhile',
  async (world) => {
    const queue = world.queue();
    const other = world.queue();
    queue.nop(1);
    queue.nop(2, { drain: true });
    queue.submit();
    queue.unlink(world.path('absent'), 3, link);
    other.nop(1);
    const out: never[] = [];
    for (let times = 0; times < 1000 && queue.stats().completed < 2; times++) {
      if (other.outstanding === 0) other.nop(1);
      other.poll(out);
    }
    queue.nop(4);
    deepEqual(await all(queue), ['1: 0, 0', '2: 0, 0', '3: 2 ENOENT, 0', '4: 9 ECANCELED, 0']);
    await all(other);
  },
);

/* A queued close waited for what stood behind it, which waited for the close. */
inEveryWorld(
  'nothing is taken for a file whose close is queued, and nobody waits in a ring',
  async (world) => {
    const queue = world.queue();
    const file = await world.open('file');
    queue.write(file, patterned(10), 0, 1, link);
    queue.closeFile(file, 2);
    let refused: unknown;
    try {
      queue.read(file, new Uint8Array(1), 0, 3, { drain: true });
    } catch (error) {
      refused = error;
    }
    equal((refused as { kind?: string }).kind, 'closed');
    queue.closeFile(file, 4, { drain: true });
    deepEqual(await all(queue), ['1: 0, 10', '2: 0, 0', '4: 0, 0']);
    const second = await world.open('file');
    queue.unlink(world.path('absent'), 1, link);
    queue.closeFile(second, 2);
    await all(queue);
    queue.read(second, new Uint8Array(10), 0, 3);
    deepEqual(await all(queue), ['3: 0, 10'], 'the close was cancelled: it is open');
  },
);

inEveryWorld('two files in a chain, and two chains of the same files, end', async (world) => {
  const queue = world.queue();
  const one = await world.open('one');
  const two = await world.open('two');
  for (const [first, second] of [
    [one, two],
    [two, one],
  ] as const) {
    queue.write(first, patterned(10), 0, 1, link);
    queue.sync(first, 'data', 2, link);
    queue.write(second, patterned(10), 10, 3, link);
    queue.sync(second, 'full', 4, link);
    queue.sync(first, 'full', 5, link);
    queue.sync(first, 'data', 6);
  }
  queue.sync(one, 'data', 7);
  await Promise.all([one.sync(), two.syncData()]);
  const told = await all(queue);
  equal(told.length, 13);
  ok(
    told.every((line) => line.includes(': 0')),
    String(told),
  );
});

/* The power went, and whoever waited for a queue waited for ever. */
for (const chain of [false, true]) {
  const what = chain ? 'a chain' : 'single ones';
  inWorlds(['simulated'], `a power cut ends what is outstanding: ${what}`, async ({ t }) => {
    const disk = simulatedDisk(1);
    t.diagnostic(disk.origin);
    disk.put('/file', patterned(100));
    const queue = new CompletionQueue({ engine: disk.engine });
    queue.open('/file', { access: 'read-write' }, 0);
    const { file } = await only(queue);
    ok(file !== undefined);
    disk.crashAt(2);
    for (let tag = 1; tag <= 6; tag++) {
      if (tag === 3) queue.write(file, cutEvery(patterned(10), 3), 0, tag, { link: chain });
      else if (tag === 4) queue.sync(file, 'data', tag, { link: chain });
      else queue.write(file, patterned(10), 0, tag, { link: chain && tag < 6 });
    }
    const told = await queue.wait({ atLeast: 6 });
    equal(told.length, 6);
    /* Of a run that has no end nobody learns how far it came. */
    equal(told.filter(({ status }) => status === Status.Ok).length, chain ? 0 : 1);
    ok(told.some(({ error }) => String(error?.cause).includes('The power went')));
    queue.nop(7);
    deepEqual(await all(queue), ['7: 7 EIO, 0']);
    await queue.close();
  });
}

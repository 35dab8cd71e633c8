/** What a completion queue does: every operation, on every engine. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { IoError, type OpenFile, Status } from 'holdfast';
import { refuseNth } from 'holdfast/testing';
import { errnoOf } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { all, bytesOf, inEveryWorld, only, said, textOf, type World } from './queue/worlds.js';

inEveryWorld(
  'each operation gives one completion with its tag, status and bytes',
  async (world) => {
    const queue = world.queue();
    world.put('old', bytesOf('old content'));
    queue.open(world.path('file'), { access: 'read-write', create: true }, 1);
    const opened = await only(queue);
    equal(said(opened), '1: 0, 0');
    const file = opened.file as OpenFile;
    world.t.after(() => file.close());
    equal(file.engine, queue.engine);
    equal(queue.engine, world.engine);
    const target = new Uint8Array(20);
    const steps: [string, () => void][] = [
      ['2: 0, 11', () => queue.write(file, bytesOf('hello world'), 0, 2)],
      ['3n: 0, 11', () => queue.read(file, target, 0, 3n)],
      ['-4: 0, 0', () => queue.sync(file, 'data', -4)],
      ['5: 0, 0', () => queue.sync(file, 'full', 5)],
      ['6: 0, 0', () => queue.rename(world.path('old'), world.path('new'), 6)],
      ['7: 0, 0', () => queue.unlink(world.path('new'), 7)],
      ['8: 0, 0', () => queue.nop(8)],
      ['9: 0, 0', () => queue.closeFile(file, 9)],
    ];
    for (const [line, step] of steps) {
      step();
      equal(said(await only(queue)), line.replace('n:', ':'));
    }
    equal(textOf(target.subarray(0, 11)), 'hello world');
    deepEqual(world.names(), ['file']);
    equal(file.isClosed, true);
    equal(file.fd, -1);
    const { accepted, completed, engine, system } = queue.stats();
    deepEqual([accepted, completed, engine], [9, 9, queue.engine.name]);
    ok((system.systemCalls.fsync ?? 0) >= 1 && (system.systemCalls.fdatasync ?? 0) >= 1);
  },
);

inEveryWorld('a file counts what a queue did with it', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  queue.write(file, patterned(100), 0, 1, { link: true });
  queue.sync(file, 'data', 2);
  queue.sync(file, 'full', 3);
  queue.read(file, new Uint8Array(60), 0, 4, { drain: true });
  await all(queue);
  const { systemCalls, bytesRead, bytesWritten } = file.stats();
  const { fdatasync, fsync } = systemCalls;
  deepEqual(
    { fdatasync, fsync, bytesRead, bytesWritten },
    {
      fdatasync: 1,
      fsync: 1,
      bytesRead: 60,
      bytesWritten: 100,
    },
  );
});

inEveryWorld('read() and write() take one view or any number of any kind', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  const bytes = patterned(40_000);
  const shapes: (() => ArrayBufferView[] | Uint8Array)[] = [
    () => bytes.slice(),
    () => [bytes.slice()],
    () => cutEvery(bytes.slice(), 8),
    () => cutEvery(bytes.slice(), 40),
    () => [new Float64Array(bytes.slice().buffer), new Uint8Array(0)],
    () => new Set(cutEvery(bytes.slice(), 7000)) as unknown as Uint8Array[],
  ];
  equal(cutEvery(bytes, 8).length, 5000);
  for (const [index, shape] of shapes.entries()) {
    const offset = index * 40_000;
    queue.write(file, shape(), BigInt(offset), index);
    equal(said(await only(queue)), `${index}: 0, 40000`);
    const target = new Uint8Array(40_000);
    queue.read(file, cutEvery(target, 8), offset, index);
    equal(said(await only(queue)), `${index}: 0, 40000`);
    ok(Buffer.compare(target, bytes) === 0, `shape ${index}`);
  }
  queue.write(file, new Uint8Array(0), 0, 1);
  queue.write(file, [], 0, 2);
  queue.read(file, [], 0, 3);
  deepEqual(await all(queue), ['1: 0, 0', '2: 0, 0', '3: 0, 0']);
});

inEveryWorld('read() moves fewer bytes at the end of the file only', async (world) => {
  const queue = world.queue();
  world.put('file', patterned(1000));
  const file = await world.open('file');
  queue.read(file, new Uint8Array(300), 900, 1);
  queue.read(file, new Uint8Array(300), 1000, 2);
  queue.read(file, cutEvery(new Uint8Array(300), 10), 950, 3);
  deepEqual(await all(queue), ['1: 0, 100', '2: 0, 0', '3: 0, 50']);
});

inEveryWorld('what was moved short goes on, alone and vectored', async (world) => {
  const options = { operations: ['Read', 'Write'], short: 7, sticky: true } as const;
  const engine = refuseNth(world.engine, 1, 'EIO', options);
  const queue = world.queue({ engine });
  const file = await world.open('file', {}, engine);
  queue.write(file, patterned(100), 0, 1);
  queue.write(file, cutEvery(patterned(100, 100), 30), 100, 2);
  deepEqual(await all(queue), ['1: 0, 100', '2: 0, 100']);
  const target = new Uint8Array(200);
  queue.read(file, target, 0, 3);
  deepEqual(await all(queue), ['3: 0, 200']);
  ok(Buffer.compare(target, patterned(200)) === 0);
  ok(engine.struckCount > 20);
});

/*
 * A place in the order was given when the operation began: what stood behind a drain or in a chain
 * read what was meant for a later one.
 */
inEveryWorld(
  'offset null is the position of the file, in the order of the calls',
  async (world) => {
    const queue = world.queue();
    const file = await world.open('file');
    const letters = 'abcdefgh';
    for (const [index, letter] of [...letters].entries()) {
      const options = { 2: { drain: true }, 4: { link: true }, 5: { link: true } }[index] ?? {};
      queue.write(file, bytesOf(letter), null, index, options);
    }
    await all(queue);
    equal(textOf(world.content('file')), letters);
    equal(file.position, 8);
    await file.seek(2);
    const targets = Array.from({ length: 4 }, () => new Uint8Array(2));
    for (const [index, target] of targets.entries()) {
      if (index === 1) queue.nop(100, { link: true });
      queue.read(file, index === 2 ? [target] : target, null, index);
    }
    deepEqual(await all(queue), ['0: 0, 2', '100: 0, 0', '1: 0, 2', '2: 0, 2', '3: 0, 0'].sort());
    deepEqual(targets.map(textOf), ['cd', 'ef', 'gh', '\0\0']);
    const appender = await world.open('appended', { access: 'append' });
    queue.write(appender, bytesOf('one '), null, 1);
    queue.write(appender, [bytesOf('two '), bytesOf('three')], null, 2);
    await all(queue);
    equal(textOf(world.content('appended')), 'one two three');
  },
);

inEveryWorld(
  'readFixed() and writeFixed() use registered buffers, whole and in part',
  async (world) => {
    const queue = world.queue();
    const file = await world.open('file');
    const whole = patterned(4096);
    const [first, second] = queue.registerBuffers([whole, new Float64Array(8)]) as [number, number];
    deepEqual([first, second], [0, 1]);
    queue.writeFixed(file, first, 0, 1);
    queue.writeFixed(file, first, 4096n, 2, { start: 100, length: 50 });
    queue.writeFixed(file, first, 5000, 3, { start: 4000 });
    deepEqual(await all(queue), ['1: 0, 4096', '2: 0, 50', '3: 0, 96']);
    const written = world.content('file');
    ok(Buffer.compare(written.subarray(0, 4096), whole) === 0);
    ok(Buffer.compare(written.subarray(4096, 4146), whole.subarray(100, 150)) === 0);
    ok(Buffer.compare(written.subarray(5000), whole.subarray(4000)) === 0);
    whole.fill(0);
    /* Parts that share no byte are under way at the same time. */
    for (let part = 0; part < 64; part++) {
      queue.readFixed(file, first, part * 64, part, { start: part * 64, length: 64 });
    }
    queue.readFixed(file, second, 5090, 100);
    queue.readFixed(file, second, 5090, 101, { length: 0 });
    const told = await all(queue);
    equal(told.length, 66);
    ok(told.includes('100: 0, 6') && told.includes('101: 0, 0'), String(told));
    ok(Buffer.compare(whole, patterned(4096)) === 0);
    ok(queue.stats().registered.length > 0);
  },
);

inEveryWorld('registerFiles() changes nothing of what a file does', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  queue.registerFiles([file, file]);
  queue.registerBuffers(patterned(512));
  queue.writeFixed(file, 0, 0, 1);
  queue.write(file, patterned(512, 512), 512, 2);
  queue.write(file, cutEvery(patterned(512, 1024), 5), 1024, 3);
  await all(queue);
  queue.sync(file, 'data', 4);
  queue.closeFile(file, 5);
  deepEqual(await all(queue), ['4: 0, 0', '5: 0, 0']);
  ok(Buffer.compare(world.content('file'), patterned(1536)) === 0);
  const again = await world.open('file');
  queue.read(again, new Uint8Array(10), 0, 6);
  equal(said(await only(queue)), '6: 0, 10');
});

inEveryWorld('allocate() sets space aside, or tells that it cannot', async (world) => {
  const queue = world.queue();
  const file = await world.open('file');
  queue.allocate(file, 0, 65536, 1);
  const { status, error } = await only(queue);
  if (status === Status.Ok) equal((await file.stat()).size, 65536);
  else deepEqual([status, error?.kind], [Status.NotApplicable, 'unsupported']);
  queue.allocate(file, 0, 131072, 2, { keepSize: true });
  const kept = await only(queue);
  equal(kept.status, status);
  if (status === Status.Ok) equal((await file.stat()).size, 65536);
});

inEveryWorld('tags are what they were, and may be the same', async (world) => {
  const queue = world.queue();
  const tags = [0, -1, Number.MAX_SAFE_INTEGER, 0n, 2n ** 64n - 1n, -(2n ** 70n), 7, 7, 7n];
  for (const tag of tags) queue.nop(tag);
  const told = (await queue.wait({ atLeast: tags.length })).map(({ tag }) => tag);
  const order = (one: number | bigint) => `${typeof one} ${one}`;
  deepEqual(told.map(order).sort(), tags.map(order).sort());
});

const statuses: readonly [code: string, status: Status, kind: string][] = [
  ['ENOENT', Status.NotFound, 'not-found'],
  ['EACCES', Status.AccessDenied, 'access'],
  ['EROFS', Status.AccessDenied, 'read-only'],
  ['ENOSPC', Status.NoResources, 'no-space'],
  ['EDQUOT', Status.NoResources, 'quota'],
  ['EMFILE', Status.NoResources, 'limit'],
  ['EISDIR', Status.NotApplicable, 'wrong-type'],
  ['ENAMETOOLONG', Status.InvalidArgument, 'invalid'],
  ['EIO', Status.Io, 'io'],
  ['ETIMEDOUT', Status.Timeout, 'timeout'],
  ['ENXIO', Status.NotApplicable, 'wrong-type'],
  ['ENOLINK', Status.Unknown, 'unknown'],
];

inEveryWorld('a refusal has its status, and keeps the number of the system', async (world) => {
  for (const [code, status, kind] of statuses) {
    for (const operation of ['Write', 'Rename', 'Open'] as const) {
      const engine = refuseNth(world.engine, operation === 'Open' ? 2 : 1, code, {
        operations: [operation],
      });
      const queue = world.queue({ engine });
      const file = await world.open('file', {}, engine);
      world.put('some', bytesOf('some'));
      if (operation === 'Write') queue.write(file, patterned(10), 0, 1);
      if (operation === 'Rename') queue.rename(world.path('some'), world.path('other'), 1);
      if (operation === 'Open') queue.open(world.path('some'), {}, 1);
      const completion = await only(queue);
      if (operation === 'Open') equal(engine.struckCount, 1);
      const { error } = completion;
      ok(error instanceof IoError);
      deepEqual(
        [completion.status, error.status, error.code, error.errno, error.kind],
        [status, status, code, errnoOf(code), kind],
        `${operation} ${code}`,
      );
      await file.close();
    }
  }
});

async function refusals(world: World): Promise<string[]> {
  const queue = world.queue();
  world.put('file', bytesOf('text'));
  queue.open(world.path('absent'), {}, 1);
  queue.open(world.path('file/below'), {}, 2);
  queue.open(world.path('file'), { access: 'write', create: 'exclusive' }, 3);
  queue.open(world.directory, {}, 4);
  queue.open(world.path('n'.repeat(300)), {}, 5);
  queue.rename(world.path('absent'), world.path('other'), 6);
  queue.unlink(world.path('absent'), 7);
  queue.unlink(world.directory, 8);
  return all(queue);
}

inEveryWorld('what the system refuses completes with a status', async (world) => {
  deepEqual(await refusals(world), [
    '1: 2 ENOENT, 0',
    '2: 5 ENOTDIR, 0',
    '3: 6 EEXIST, 0',
    '4: 5 EISDIR, 0',
    '5: 6 ENAMETOOLONG, 0',
    '6: 2 ENOENT, 0',
    '7: 2 ENOENT, 0',
    '8: 5 EISDIR, 0',
  ]);
  deepEqual(world.names(), ['file']);
});

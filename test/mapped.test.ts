/** Files as memory: what is seen, what is written, what becomes durable, what is left behind. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { defaultEngine, type IoError, mapFile, mapFileSync, openFile } from 'holdfast';
import { FaultyEngine } from './file/faults.js';
import { refusalOf, refusedAs } from './file/told.js';
import { fileOf, mappingsOf, onAllMaps, onRealMaps, PAGE } from './mapped/maps.js';
import { outputOf } from './support/child.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

/* Places at, before and behind the ends of pages and of the file. */
const EDGES = [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE - 1, 3 * PAGE, 3 * PAGE + 7];

onAllMaps('mapFile() shows the bytes from any offset, of any length', async (t, doors) => {
  const size = 3 * PAGE + 7;
  const path = fileOf(t, size);
  const content = readFileSync(path);
  for (const offset of EDGES) {
    for (const end of EDGES) {
      if (end < offset) continue;
      const map = await doors.map(path, { offset, length: end - offset });
      ok(content.subarray(offset, end).equals(map.bytes), `${offset} to ${end}`);
      deepEqual([map.offset, map.length, map.intact], [offset, end - offset, true]);
      await doors.release(map);
    }
    const map = await doors.map(path, { offset: BigInt(offset) });
    ok(content.subarray(offset).equals(map.bytes), `${offset} to the end`);
  }
});

onAllMaps('mapFile() of an open file lives on when that is closed', async (t, doors) => {
  const path = fileOf(t, 10_000);
  const file = await openFile(path, { engine: doors.engine });
  const map = await doors.map(file, { offset: 5 });
  await file.close();
  ok(readFileSync(path).subarray(5).equals(map.bytes));
  equal(map.intact, true);
  equal(map.path, path);
});

onRealMaps('write shared: the file has it at once, and sync() is one msync', async (t, doors) => {
  const path = fileOf(t, 3 * PAGE);
  const map = await doors.map(path, { offset: PAGE + 100, write: 'shared' });
  map.bytes.set([1, 2, 3], 5);
  deepEqual([...readFileSync(path).subarray(PAGE + 105, PAGE + 108)], [1, 2, 3]);
  const before = doors.engine.stats().systemCalls.msync ?? 0;
  deepEqual(await doors.sync(map), { primitive: 'msync' });
  deepEqual(await doors.sync(map, { offset: 5, length: 3 }), { primitive: 'msync' });
  deepEqual(await doors.sync(map, { offset: map.length }), { primitive: 'msync' });
  equal(doors.engine.stats().systemCalls.msync, before + 3);
  equal(map.explain().sync, 'msync');
});

onRealMaps('write true is shared, and others see it', async (t, doors) => {
  const path = fileOf(t, 100);
  const one = await doors.map(path, { write: true });
  const other = await doors.map(path, { write: 'shared' });
  const onlooker = await doors.map(path);
  one.bytes[50] = 77;
  deepEqual([other.bytes[50], onlooker.bytes[50], one.write], [77, 77, 'shared']);
});

for (const write of ['private', false] as const) {
  onAllMaps(`write ${write}: a store stays in this map`, async (t, doors) => {
    const path = fileOf(t, PAGE);
    const before = readFileSync(path);
    const map = await doors.map(path, { write });
    const other = await doors.map(path);
    map.bytes[10] = (before[10] as number) ^ 255;
    equal(map.bytes[10], (before[10] as number) ^ 255);
    equal(other.bytes[10], before[10]);
    ok(readFileSync(path).equals(before));
    equal(await refusedAs(() => doors.sync(map)), 'EBADF access');
    equal(map.explain().sync, 'none');
  });
}

onRealMaps('dontneed keeps what was written to a private map', async (t, doors) => {
  const map = await doors.map(fileOf(t, PAGE), { write: 'private' });
  map.bytes[10] = 250;
  await doors.advise(map, 'dontneed');
  equal(map.bytes[10], 250);
});

onAllMaps('an empty range is an empty map', async (t, doors) => {
  const path = fileOf(t, 0);
  const map = await doors.map(path, { populate: true, advise: 'random' });
  deepEqual([map.bytes.length, map.intact], [0, true]);
  deepEqual((await doors.advise(map, 'willneed')).taken, doors.maps);
  truncateSync(path, 10);
  equal(map.bytes.length, 0);
  await doors.release(map);
  throws(() => map.bytes, { code: 'ERR_MAP_RELEASED', kind: 'closed' });
});

onRealMaps('sync() of an empty shared map has nothing to do', async (t, doors) => {
  const map = await doors.map(fileOf(t, 0), { write: 'shared' });
  deepEqual(await doors.sync(map), { primitive: 'none' });
});

onRealMaps('populate reads the file in; no page of it is copied', async (t, doors) => {
  for (const write of [false, 'private', 'shared'] as const) {
    const path = fileOf(t, 64 * PAGE);
    const plain = await doors.map(path, { write });
    equal(mappingsOf(path)[0]?.residentBytes, 0);
    await doors.release(plain);
    const map = await doors.map(path, { write, populate: true });
    equal(mappingsOf(path)[0]?.residentBytes, 64 * PAGE, `${write}`);
    const fallbacks = map.explain().fallbacks.map(({ what }) => what);
    deepEqual(fallbacks, []);
  }
});

onRealMaps('advise reaches the kernel: of the whole map, and of a part', async (t, doors) => {
  const path = fileOf(t, 4 * PAGE);
  const map = await doors.map(path, { advise: 'random', offset: 10 });
  deepEqual(
    mappingsOf(path).map(({ flags }) => flags.includes('rr')),
    [true],
  );
  deepEqual(await doors.advise(map, 'sequential', { offset: 2 * PAGE, length: 1 }), {
    taken: true,
  });
  const shown = mappingsOf(path).map(({ flags }) => [flags.includes('rr'), flags.includes('sr')]);
  deepEqual(shown, [
    [true, false],
    [false, true],
    [true, false],
  ]);
  for (const advice of ['normal', 'willneed', 'dontneed'] as const) {
    deepEqual(await doors.advise(map, advice), { taken: true });
  }
});

onAllMaps('release: views have no length, accesses throw, again is nothing', async (t, doors) => {
  const before = openDescriptors();
  const path = fileOf(t, 3 * PAGE);
  const map = await doors.map(path, { offset: 1 });
  const { bytes } = map;
  const words = new Uint16Array(bytes.buffer, 2, 4);
  equal(map.isReleased, false);
  await doors.release(map);
  deepEqual([bytes.length, words.length, bytes.buffer.byteLength, bytes[5]], [0, 0, 0, undefined]);
  deepEqual([map.isReleased, map.intact], [true, false]);
  throws(() => map.bytes, { name: 'IoError', code: 'ERR_MAP_RELEASED', kind: 'closed' });
  equal(await refusedAs(() => doors.sync(map)), 'ERR_MAP_RELEASED closed');
  equal(await refusedAs(() => doors.advise(map, 'normal')), 'ERR_MAP_RELEASED closed');
  await doors.release(map);
  map.releaseSync();
  deepEqual(mappingsOf(path), []);
  assertNoNewDescriptors(before);
});

test('using: a map is released at the end of its block', async (t) => {
  const path = fileOf(t, PAGE);
  let kept: Uint8Array;
  {
    using map = mapFileSync(path);
    kept = map.bytes;
    equal(kept.length, PAGE);
  }
  equal(kept.length, 0);
  {
    await using map = await mapFile(path);
    kept = map.bytes;
  }
  equal(kept.length, 0);
});

test('10,000 maps made and released leave nothing behind', async (t) => {
  const path = fileOf(t, 2 * PAGE + 5);
  const before = openDescriptors();
  for (let time = 0; time < 10_000; time++) {
    const map = mapFileSync(path, { offset: time % PAGE, write: time % 2 === 0 });
    equal(map.bytes.length, map.length);
    map.releaseSync();
  }
  deepEqual(mappingsOf(path), []);
  assertNoNewDescriptors(before);
});

test('maps that were dropped end when their memory is collected', async (t) => {
  const path = fileOf(t, 2 * PAGE);
  const source = `
    import { mapFileSync } from 'holdfast';
    import { readdirSync, readFileSync } from 'node:fs';
    import { setTimeout } from 'node:timers/promises';
    const path = ${JSON.stringify(path)};
    const shown = () => readFileSync('/proc/self/maps', 'latin1').split(path).length - 1;
    const descriptors = () => readdirSync('/proc/self/fd').length;
    mapFileSync(path).releaseSync();
    const before = descriptors();
    let kept = mapFileSync(path).bytes;
    for (let time = 0; time < 200; time++) mapFileSync(path).bytes[5];
    const most = shown();
    const end = performance.now() + 20000;
    while ((shown() > 1 || descriptors() > before + 1) && performance.now() < end) {
      gc();
      await setTimeout(5);
    }
    console.log(JSON.stringify([most > 1, shown(), descriptors() - before, kept[5]]));
  `;
  const output = await outputOf({ source, nodeArgs: ['--expose-gc'] });
  deepEqual(JSON.parse(output), [true, 1, 1, readFileSync(path)[5]]);
});

test('the memory of a map cannot be transferred away', async (t) => {
  const map = mapFileSync(fileOf(t, PAGE), { write: 'shared' });
  t.after(() => map.release());
  const { bytes } = map;
  const buffer = bytes.buffer as ArrayBuffer & { transfer?: () => ArrayBuffer };
  const copy = structuredClone(bytes);
  ok(Buffer.from(copy).equals(bytes));
  try {
    structuredClone(buffer, { transfer: [buffer] });
  } catch (error) {
    equal((error as Error).name, 'DataCloneError');
  }
  if (buffer.transfer !== undefined) throws(() => buffer.transfer?.(), TypeError);
  equal(bytes.length, PAGE);
  equal(map.bytes, bytes);
});

onRealMaps('what uses the memory when it is released meets nobody else’s', async (t, doors) => {
  const path = fileOf(t, 256 * PAGE);
  const content = readFileSync(path);
  const choices = { access: 'read-write', create: true, engine: doors.engine } as const;
  const target = await openFile(join(scratch(t), 'target'), choices);
  t.after(() => target.close());
  for (let round = 0; round < 20; round++) {
    const map = await doors.map(path);
    const write = target.writeAt(map.bytes, 0).catch((error: IoError) => error.code);
    await doors.release(map);
    /* What would have the addresses of the map, were they free. */
    const others = Array.from({ length: 4 }, () => mapFileSync(path, { write: 'private' }));
    for (const other of others) other.bytes.fill(255);
    const outcome = await write;
    ok(outcome === 256 * PAGE || outcome === 'ERR_BUFFER_CHANGED', `${outcome}`);
    const written = await target.readAll();
    ok(written.every((byte, at) => byte === content[at] || byte === 0));
    for (const other of others) other.releaseSync();
  }
});

test('parts of a file behind 4 GiB are mapped, too much at once is refused', async (t) => {
  const path = join(scratch(t), 'file');
  const fd = openSync(path, 'w');
  const end = 2 ** 34 + 2 ** 20;
  ftruncateSync(fd, end);
  writeSync(fd, 'beyond', 2 ** 32 + 5000);
  writeSync(fd, 'the end', end - 7);
  closeSync(fd);
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
  const part = await mapFile(path, { offset: 2 ** 32 + 5000, length: 6, write: 'shared' });
  equal(text(part.bytes), 'beyond');
  part.bytes[0] = 'B'.charCodeAt(0);
  await part.sync();
  await part.release();
  const last = await mapFile(path, { offset: end - 7 });
  equal(text(last.bytes), 'the end');
  await last.release();
  const whole = await mapFile(path, { length: 2 ** 32, offset: 2 ** 20 });
  deepEqual([whole.bytes.length, whole.bytes[2 ** 32 + 5000 - 2 ** 20]], [2 ** 32, 0x42]);
  await whole.release();
  const error = await refusalOf(() => mapFile(path));
  deepEqual([error.code, error.kind], ['EOVERFLOW', 'too-large']);
});

test('release() waits for a sync that is under way, and the views do not', async (t) => {
  if (defaultEngine().capabilities.maps !== true) return t.skip('no maps');
  const path = fileOf(t, PAGE);
  const engine = new FaultyEngine(defaultEngine(), () => undefined);
  const map = await mapFile(path, { write: 'shared', engine });
  const { bytes } = map;
  const order: string[] = [];
  const syncs = [map.sync(), map.sync({ length: 1 })];
  for (const sync of syncs) sync.then(() => order.push('synced'));
  throws(() => map.syncSync(), { code: 'EBUSY' });
  const release = map.release().then(() => order.push('released'));
  equal(bytes.length, 0);
  map.releaseSync();
  await Promise.all([...syncs, release]);
  deepEqual(order, ['synced', 'synced', 'released']);
  deepEqual(engine.asked.slice(-3), ['msync', 'msync', 'munmap']);
  deepEqual(mappingsOf(path), []);
});

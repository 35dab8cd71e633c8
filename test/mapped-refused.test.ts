/** Maps that cannot be had, or not as they were asked for: refused, told, nothing left behind. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import {
  defaultEngine,
  type IoError,
  type MapAdviceName,
  type MapOptions,
  mapFile,
  mapFileSync,
  openFile,
} from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { engineNamed } from '#holdfast/engine.js';
import {
  Code,
  errnoOf,
  MAP_READ_WRITE,
  MapFlag,
  mapLook,
  mapMemory,
  Operation,
} from '#holdfast/platform.js';
import { FaultyEngine } from './file/faults.js';
import { refusalOf, refusedAs } from './file/told.js';
import { fileOf, mappingsOf, onAllMaps, onRealMaps, PAGE } from './mapped/maps.js';
import { outputOf } from './support/child.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

onAllMaps('what is no regular file is refused', async (t, doors) => {
  const directory = scratch(t);
  mkdirSync(join(directory, 'inner'));
  await outputOf({
    source: `(await import('node:child_process')).execFileSync('mkfifo', process.argv.slice(1));`,
    args: [join(directory, 'fifo')],
  });
  const before = openDescriptors();
  equal(await refusedAs(() => doors.map(join(directory, 'inner'))), 'EISDIR wrong-type');
  equal(await refusedAs(() => doors.map(join(directory, 'fifo'))), 'ESPIPE wrong-type');
  equal(await refusedAs(() => doors.map('/dev/zero')), 'ERR_WRONG_TYPE wrong-type');
  equal(await refusedAs(() => doors.map(join(directory, 'absent'))), 'ENOENT not-found');
  assertNoNewDescriptors(before);
});

onRealMaps(
  'a file without pages, of /proc, is refused and not taken for empty',
  async (_, doors) => {
    const error = await refusalOf(() => doors.map('/proc/self/status'));
    ok(['EIO', 'ENODEV'].includes(error.code), error.message);
  },
);

onAllMaps('write shared of a file open for reading is refused', async (t, doors) => {
  const path = fileOf(t, 10);
  for (const [access, write] of [
    ['read', 'shared'],
    ['write', false],
    ['append', 'private'],
  ] as const) {
    const file = await openFile(path, { access, engine: doors.engine });
    const error = await refusalOf(() => doors.map(file, { write }));
    deepEqual([error.code, error.kind, error.path], ['EBADF', 'access', path], access);
    await file.close();
    equal(await refusedAs(() => doors.map(file)), 'EBADF closed');
  }
});

const BAD: readonly [options: unknown, name: string, names: RegExp][] = [
  [null, 'TypeError', /"options"/],
  [{ offset: -1 }, 'RangeError', /"options.offset".* -1/],
  [{ offset: 1.5 }, 'RangeError', /"options.offset"/],
  [{ offset: '1' }, 'TypeError', /"options.offset"/],
  [{ offset: 2 ** 53 }, 'RangeError', /"options.offset"/],
  [{ offset: 2 ** 53 - 1, length: 1 }, 'RangeError', /"options.offset"/],
  [{ offset: 101 }, 'RangeError', /"options.offset".*100 bytes of the file; got 101/],
  [{ length: 101 }, 'RangeError', /"options.length".*100 bytes of the file.*grow.*got 101/],
  [{ offset: 60, length: 41 }, 'RangeError', /"options.length".*40 bytes.*got 41/],
  [{ length: Number.NaN }, 'RangeError', /"options.length"/],
  [{ length: -1n }, 'RangeError', /"options.length"/],
  [{ write: 'yes' }, 'TypeError', /"options.write".*"yes"/],
  [{ write: 1 }, 'TypeError', /"options.write"/],
  [{ populate: 'all' }, 'TypeError', /"options.populate"/],
  [{ advise: 'noreuse' }, 'TypeError', /"options.advise"/],
  [{ signal: {} }, 'TypeError', /"options.signal"/],
  [{ engine: {} }, 'TypeError', /"options.engine"/],
];

test('bad options are refused by name, value and expectation', async (t) => {
  const path = fileOf(t, 100);
  const before = openDescriptors();
  for (const [options, name, message] of BAD) {
    await rejects(() => mapFile(path, options as MapOptions), { name, message });
    if ((options as MapOptions)?.signal !== undefined) continue;
    throws(() => mapFileSync(path, options as MapOptions), { name, message });
  }
  for (const source of [undefined, 5, {}, '']) {
    await rejects(() => mapFile(source as string), { name: 'TypeError', message: /"path"/ });
  }
  assertNoNewDescriptors(before);
});

onRealMaps('bad ranges and advice are refused', async (t, doors) => {
  const map = await doors.map(fileOf(t, 100), { write: 'shared' });
  const range = (range: unknown, name: string, message: RegExp): Promise<void> =>
    rejects(() => doors.sync(map, range as object), { name, message });
  await range({ offset: 101 }, 'RangeError', /"range.offset".*100 bytes/);
  await range({ offset: 90, length: 11 }, 'RangeError', /"range.length".*10 bytes/);
  await range({ offset: -1 }, 'RangeError', /"range.offset"/);
  await range({ length: 'all' }, 'TypeError', /"range.length"/);
  await range(5, 'TypeError', /"range"/);
  const advice = 'hugepage' as MapAdviceName;
  await rejects(() => doors.advise(map, advice), { name: 'TypeError', message: /"advice"/ });
});

test('an abort leaves nothing mapped and nothing open', async (t) => {
  const path = fileOf(t, PAGE);
  const before = openDescriptors();
  const gone = AbortSignal.abort();
  await rejects(() => mapFile(path, { signal: gone }), { name: 'AbortError' });
  const controller = new AbortController();
  const begun = mapFile(path, { signal: controller.signal, populate: true });
  controller.abort();
  await rejects(begun, { name: 'AbortError' });
  await rejects(() => mapFile(path, { timeoutMs: 0 }), { code: 'ETIMEDOUT' });
  if (defaultEngine().capabilities.maps === true) {
    const map = await mapFile(path, { write: 'shared' });
    await rejects(() => map.sync({ signal: gone }), { name: 'AbortError' });
    await rejects(() => map.advise('random', { timeoutMs: 0 }), { code: 'ETIMEDOUT' });
    deepEqual(await map.sync({ length: 1 }), { primitive: 'msync' });
    await map.release();
  }
  deepEqual(mappingsOf(path), []);
  assertNoNewDescriptors(before);
});

const sometimes = (code: number, errno: string, when: number) => {
  let asked = 0;
  return (operation: Operation) => {
    if (operation.code !== code || ++asked !== when) return undefined;
    return { answers: errnoOf(errno) };
  };
};

test('a sync that fails breaks the map, and the file it was made of', async (t) => {
  if (defaultEngine().capabilities.maps !== true) return t.skip('no maps');
  for (const errno of ['EIO', 'ENOSPC']) {
    const engine = new FaultyEngine(defaultEngine(), sometimes(Code.SyncMap, errno, 1));
    const path = fileOf(t, PAGE);
    const file = await openFile(path, { access: 'read-write', engine });
    const map = await mapFile(file, { write: 'shared' });
    const later = await mapFile(file, { write: 'shared' });
    const [first, second] = await Promise.allSettled([map.sync(), later.sync()]);
    equal(first.status, 'rejected');
    const cause = (first as PromiseRejectedResult).reason as IoError;
    deepEqual([cause.code, cause.syscall, cause.step], [errno, 'msync', 'msync']);
    equal(second.status, 'rejected', 'the one that waited its turn does not ask');
    for (const call of [
      async () => map.bytes,
      () => map.sync(),
      () => map.advise('normal'),
      async () => later.syncSync(),
      () => file.sync(),
      () => file.readAt(new Uint8Array(1), 0),
      () => mapFile(file),
    ]) {
      const error = await refusalOf(call);
      deepEqual([error.kind, error.code], ['broken', errno]);
      equal(error.cause, cause);
    }
    equal(engine.asked.filter((name) => name === 'msync').length, 1);
    await Promise.all([map.release(), later.release(), file.close()]);
  }
});

test('a sync that the system does not have breaks nothing', async (t) => {
  const engine = new FaultyEngine(defaultEngine(), sometimes(Code.SyncMap, 'EINVAL', 1));
  if (engine.capabilities.maps !== true) return t.skip('no maps');
  await using map = await mapFile(fileOf(t, PAGE), { write: 'shared', engine });
  equal(await refusedAs(() => map.sync()), 'EINVAL invalid');
  deepEqual(await map.sync(), { primitive: 'msync' });
});

test('every refusal on the way to a map is told, and leaves nothing', async (t) => {
  if (defaultEngine().capabilities.maps !== true) return t.skip('no maps');
  const path = fileOf(t, PAGE);
  const before = openDescriptors();
  for (const [code, name] of [
    [Code.Open, 'ENFILE limit'],
    [Code.Stat, 'EIO io'],
    [Code.Map, 'ENOMEM limit'],
    [Code.Map, 'ENODEV unsupported'],
    [Code.AdviseMap, 'EIO io'],
  ] as const) {
    const engine = new FaultyEngine(defaultEngine(), sometimes(code, name.split(' ')[0] ?? '', 1));
    equal(await refusedAs(() => mapFile(path, { engine, populate: true })), name);
  }
  const engine = new FaultyEngine(defaultEngine(), sometimes(Code.AdviseMap, 'EFAULT', 1));
  equal(await refusedAs(() => mapFile(path, { engine, populate: true })), 'ERR_MAP_TORN broken');
  await setImmediate();
  deepEqual(mappingsOf(path), []);
  assertNoNewDescriptors(before);
});

test('advice that is not taken, and populate of an old kernel, are told', async (t) => {
  if (defaultEngine().capabilities.maps !== true) return t.skip('no maps');
  const path = fileOf(t, PAGE);
  const refused = new FaultyEngine(defaultEngine(), sometimes(Code.AdviseMap, 'EINVAL', 1));
  await using advised = await mapFile(path, { engine: refused, advise: 'random' });
  deepEqual(
    advised.explain().fallbacks.map(({ what }) => what),
    ['advise'],
  );
  const old = new FaultyEngine(defaultEngine(), sometimes(Code.AdviseMap, 'EINVAL', 1));
  await using populated = await mapFile(path, { engine: old, populate: true });
  deepEqual(
    populated.explain().fallbacks.map(({ what }) => what),
    ['populate'],
  );
  equal(old.asked.filter((name) => name === 'madvise').length, 2);
  equal(populated.bytes[3], readFileSync(path)[3]);
});

test('where there are no maps the file is read, and explain() says so', async (t) => {
  const path = fileOf(t, 1000);
  const disk = simulatedDisk(1);
  const [real, world] = [engineNamed('portable'), disk.engine];
  await using made = await openFile('/file', { access: 'read-write', create: true, engine: world });
  await made.writeAt(readFileSync(path), 0);
  for (const [engine, name] of [
    [real, path],
    [world, '/file'],
  ] as const) {
    await using map = await mapFile(name, { offset: 10, length: 90, engine, advise: 'random' });
    ok(readFileSync(path).subarray(10, 100).equals(map.bytes));
    const { method, reason, fallbacks, write } = map.explain();
    deepEqual([method, reason, write], ['read', engine.capabilities.maps, false]);
    deepEqual(
      fallbacks.map(({ what }) => what),
      ['advise'],
    );
    deepEqual(await map.advise('willneed'), { taken: false, reason });
    const error = await refusalOf(() => mapFile(name, { engine, write: 'shared' }));
    deepEqual([error.code, error.kind], ['ENOTSUP', 'unsupported']);
  }
  await using copy = await mapFile(path, { engine: real });
  truncateSync(path, 0);
  deepEqual([copy.intact, copy.bytes.length], [true, 1000]);
  const buffer = copy.bytes.buffer as ArrayBuffer;
  structuredClone(buffer, { transfer: [buffer] });
  throws(() => copy.bytes, { code: 'ERR_BUFFER_CHANGED' });
  copy.releaseSync();
  throws(() => copy.bytes, { code: 'ERR_MAP_RELEASED' });
});

test('no memory for a map: the file is read', async (t) => {
  const path = fileOf(t, 1000);
  const source = `
    import { mapFileSync } from 'holdfast';
    const { method, reason } = mapFileSync(${JSON.stringify(path)}).explain();
    console.log(JSON.stringify([method, reason]));
  `;
  const [method, reason] = JSON.parse(await outputOf({ source, nodeArgs: ['--jitless'] }));
  equal(method, 'read');
  ok(/WebAssembly|addresses/.test(reason), reason);
});

/*
 * V8 may give the addresses of a collected memory away before anybody is told that it was
 * collected; a fault there would count for the map that is gone.
 */
onRealMaps('a map in memory that was another’s ends that one', (t, { engine }) => {
  const path = fileOf(t, PAGE);
  const fd = openSync(path, 'r');
  t.after(() => closeSync(fd));
  const memory = mapMemory(PAGE) as Uint8Array;
  const mapped = (): number => {
    const map = new Operation(Code.Map);
    Object.assign(map, { fd, payload: memory, flags: MapFlag.Private, offset: 0 });
    map.mode = MAP_READ_WRITE;
    engine.perform(map);
    return map.result;
  };
  const before = openDescriptors();
  const [first, second] = [mapped(), mapped()];
  ok(first >= 0 && second >= 0 && first !== second);
  deepEqual([mapLook(first), mapLook(second)], [errnoOf('EBADF'), PAGE]);
  const leave = new Operation(Code.Unmap);
  leave.fd = second;
  engine.perform(leave);
  equal(leave.result, 0);
  deepEqual([mapLook(second), memory[5]], [errnoOf('EBADF'), 0]);
  engine.perform(leave);
  equal(leave.result, errnoOf('EBADF'));
  assertNoNewDescriptors(before);
});

onRealMaps('a map over memory that is not whole pages is refused', (t, { engine }) => {
  const fd = openSync(fileOf(t, PAGE), 'r');
  t.after(() => closeSync(fd));
  const memory = mapMemory(3 * PAGE) as Uint8Array;
  for (const view of [memory.subarray(1, PAGE + 1), memory.subarray(0, 5), memory.subarray(0, 0)]) {
    const map = new Operation(Code.Map);
    Object.assign(map, { fd, payload: view, flags: MapFlag.Private, mode: MAP_READ_WRITE });
    map.offset = 0;
    engine.perform(map);
    equal(map.result, errnoOf('EINVAL'));
  }
});

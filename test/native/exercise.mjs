// Everything the addon can be asked for, once and compactly, for runs under a sanitizer.
//
//   node test/native/exercise.mjs <folder with dist/, build/doors/, prebuilds/> <scratch folder>

import { equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const [home, directory, workerEngine] = isMainThread ? process.argv.slice(2) : workerData;
const room = (name) => import(pathToFileURL(join(home, 'build/doors', `${name}.js`)).href);
const library = await room('index');
const { Code, LOCK_EXCLUSIVE_NOW, loadAddon, Operation } = await room('platform');
const { engineNamed, ringState } = await room('engine');
const frameRoom = await room('frames');
const { CompletionQueue, configure, mapFile, openFile, openFileSync, OpenFile } = library;
const { replaceFile, replaceFileSync } = library;

let engine = engineNamed('pool');
let everything = { access: 'read-write', create: true, engine };

function useEngine(name) {
  engine = engineNamed(name);
  everything = { ...everything, engine };
}

const bytes = (length, value = 7) => new Uint8Array(length).fill(value);
const views = (count, length) => Array.from({ length: count }, (_, index) => bytes(length, index));
const handed = (run) =>
  new Promise((resolve) => engine.submit(run, { settle: () => resolve(run.result) }));
const refused = (work) =>
  work().then(
    () => 'done',
    ({ code }) => code,
  );

function operation(code, fields = {}) {
  return Object.assign(new Operation(code), fields);
}

function nops(count) {
  const head = operation(Code.Nop);
  for (let at = head, made = 1; made < count; made++, at = at.next) at.next = operation(Code.Nop);
  return head;
}

async function everyCall(file) {
  await file.writeAt(bytes(100_000), 0);
  await file.writeAt(views(3000, 17), 5);
  await file.writeAt(views(9, 4096), 5);
  await file.readAt(views(3000, 17), 5);
  await file.readAt(bytes(300_000), 0);
  await file.append(views(20, 600));
  await file.write([bytes(10), bytes(5000)]);
  await file.read(bytes(10));
  await file.seek(0, 'end');
  await file.readAll();
  await file.stat();
  await file.truncate(65536);
  await file.sync();
  await file.syncData();
  await file.syncBarrier();
  await file.allocate(0, 131072);
  await file.allocate(131072, 65536, { keepSize: true });
  await file.punchHole(4096, 8192);
  await file.zeroRange(0, 4096);
  await refused(() => file.collapseRange(0, 4096));
  await refused(() => file.collapseRange(1, 1));
  await file.advise('sequential');
  await file.setWriteLifetime('short');
  await file.startWriteback(0, 0);
  await refused(() => file.readAt(bytes(10), Number.MAX_SAFE_INTEGER - 10));
}

function everyWaitingCall(file) {
  file.writeAtSync(bytes(70_000), 0);
  file.writeAtSync(views(3000, 17), 5);
  file.writeAtSync(views(9, 4096), 5);
  for (let time = 0; time < 3; time++) file.readAtSync(bytes(100), 7);
  const again = bytes(4096);
  for (let time = 0; time < 3; time++) file.readAtSync(again, 7);
  file.readAtSync(views(3000, 17), 5);
  file.appendSync(views(20, 600));
  file.readAllSync();
  file.statSync();
  file.allocateSync(0, 131072);
  file.punchHoleSync(4096, 8192);
  file.syncSync();
  file.truncateSync(0);
}

async function files() {
  const file = await openFile(join(directory, 'file'), everything);
  await everyCall(file);
  everyWaitingCall(file);
  const options = { ownership: 'duplicate', engine };
  const other = OpenFile.fromFd(file.fd, options);
  await other.writeAt(bytes(10), 0);
  await Promise.all([other.close(), file.close()]);
  const direct = openFileSync(join(directory, 'direct'), { ...everything, direct: true });
  await direct.writeAt(library.alignedBuffer(8192), 0);
  await direct.writeAt(library.alignedBuffer(5), 8192);
  await direct.readAll();
  direct.closeSync();
  equal(await refused(() => openFile(join(directory, 'absent'), { engine })), 'ENOENT');
  equal(await refused(() => openFile(directory, { engine })), 'EISDIR');
}

async function replaces() {
  const path = join(directory, 'replaced');
  for (let time = 0; time < 3; time++) {
    await replaceFile(path, `content ${time}`, { engine });
    replaceFileSync(path, views(2000, 3), { engine, keepTimes: true });
  }
  await Promise.all(views(20, 100).map((view) => replaceFile(path, view, { engine })));
  equal(readFileSync(path).length, 100);
}

async function runs() {
  for (const count of [1, 2, 33, 1024]) {
    engine.perform(nops(count));
    await handed(nops(count));
  }
  const all = Array.from({ length: 5000 }, (_, index) => handed(nops(1 + (index % 4))));
  ok((await Promise.all(all)).every((result) => result === 0));
  const { addon } = loadAddon();
  for (const wrong of [() => addon.performView('no view'), () => addon.setThreads(0)]) {
    try {
      wrong();
      ok(false, 'it was not refused');
    } catch (error) {
      equal(error.code, 'ERR_INTERNAL_ASSERTION');
    }
  }
}

async function journals() {
  const journal = await library.Journal.open(join(directory, `journal-${engine.name}`), {
    engine,
    segmentBytes: 65536,
  });
  const all = Array.from({ length: 500 }, (_, index) => journal.append(bytes(index)));
  await Promise.all(all);
  await journal.appendBatch(views(50, 77));
  await journal.trimBefore(await all[400]);
  for (let index = 0; index < 500; index++) journal.write(bytes(index));
  await journal.close();
  /* Lengths that do not add up, and places outside the memory. */
  const { addon } = loadAddon();
  const memory = bytes(64, 0xff);
  equal(addon.sealFrames(memory, Float64Array.of(0, 64, 8, 8, 1)), false);
  equal(addon.sealFrames(memory, Float64Array.of(0, 15, 8, 8, 1)), false);
  equal(addon.sealFrames(memory, Float64Array.of(0, 0, 8, 8, 1)), true);
  for (const place of [
    [-1, 8],
    [8, 0],
    [0, 65],
    [Number.NaN, 8],
  ]) {
    try {
      addon.sealFrames(memory, Float64Array.of(...place, 8, 8, 1));
      ok(false, 'it was not refused');
    } catch (error) {
      equal(error.code, 'ERR_INTERNAL_ASSERTION');
    }
  }
}

/* Numbers from a seed: xorshift32. */
function chanceOf(seed) {
  let state = seed | 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

/* Memory that ends where the frames end: what reads or writes behind them is seen. */
function framesOf(below) {
  const records = Array.from({ length: 1 + below(20) }, () => bytes(below(below(4) ? 90 : 5000)));
  const lengths = records.map(({ length }) => 16 + length + (-length & 7));
  const start = 8 * below(5);
  const memory = bytes(start + lengths.reduce((sum, length) => sum + length, 0), 0xee);
  const words = new DataView(memory.buffer);
  let at = start;
  for (const record of records) {
    for (let index = 0; index < record.length; index++) record[index] = below(256);
    const sequence = { views: [record], byteLength: record.length };
    at = frameRoom.putFrame(memory, words, at, sequence, below(4) << 28);
  }
  equal(at, memory.length);
  const firstLsn = 8 * below(2 ** 31) + below(2) * 2 ** 50;
  const syncedEndLsn = Math.max(0, firstLsn - 8 * below(below(2) ? 9 : 2 ** 26));
  return { memory, words, start, end: at, firstLsn, syncedEndLsn, seed: below(2 ** 32), records };
}

/* The frames that C seals are those of JavaScript, and JavaScript reads them. */
async function frames() {
  const below = chanceOf(workerEngine === undefined ? 7 : Date.now());
  const { addon } = loadAddon();
  const head = new frameRoom.FrameHead();
  for (let time = 0; time < 400; time++) {
    const made = framesOf(below);
    const { memory, start, end, firstLsn, syncedEndLsn, seed, records } = made;
    const copy = memory.slice();
    const place = Float64Array.of(start, end, firstLsn, syncedEndLsn, seed);
    equal(addon.sealFrames(memory, place), true);
    frameRoom.sealHere({ ...made, memory: copy, words: new DataView(copy.buffer) });
    equal(Buffer.compare(memory, copy), 0, `group ${time}`);
    let at = start;
    for (const record of records) {
      equal(head.read(made.words, at, firstLsn + at - start, seed), undefined);
      equal(head.length, record.length);
      ok(frameRoom.isPayloadWhole(memory, at, head));
      at += frameRoom.frameBytes(record.length);
    }
  }
  /* Any lengths at all, true or not: it answers, and touches nothing behind the end. */
  for (let time = 0; time < 400; time++) {
    const memory = bytes(72 + below(400), 0);
    for (let at = 0; at < memory.length; at++) memory[at] = below(3) ? 0 : below(256);
    const start = below(memory.length);
    const end = start + below(memory.length - start);
    const answer = addon.sealFrames(memory, Float64Array.of(start, end, 8, 8, time));
    equal(typeof answer, 'boolean');
  }
}

/* More descriptors than buckets, some of them held, while the threads come and go. */
async function threads() {
  const path = join(directory, 'lock');
  writeFileSync(path, bytes(100_000));
  const opened = await Promise.all(Array.from({ length: 80 }, () => openFile(path, everything)));
  const holder = openSync(path, 'r');
  engine.perform(operation(Code.Lock, { fd: holder, flags: LOCK_EXCLUSIVE_NOW }));
  const held = handed(operation(Code.Lock, { fd: opened[70].fd, flags: 2 }));
  for (const count of [8, 16, 64]) {
    configure({ threads: count });
    await Promise.all(opened.map((file) => file.syncData()));
    await Promise.all(opened.map((file, index) => file.writeAt(bytes(999), index * 1000)));
  }
  engine.perform(operation(Code.Lock, { fd: holder, flags: 8 }));
  equal(await held, 0);
  engine.perform(operation(Code.Lock, { fd: opened[70].fd, flags: 8 }));
  for (const count of [2, 1, 4]) {
    const work = opened.map((file) => file.writeAt(views(4, 700), 0));
    configure({ threads: count });
    await Promise.all(work);
  }
  await Promise.all(opened.map((file) => file.close()));
}

async function queues() {
  const queue = new CompletionQueue({ engine: engine.name, depth: 512 });
  const file = await openFile(join(directory, 'queued'), everything);
  const registered = views(4, 65536);
  queue.registerBuffers(registered);
  queue.registerFiles([file]);
  for (let round = 0; round < 3; round++) {
    for (let tag = 0; tag < 100; tag++) {
      const options = { link: tag % 4 < 3, timeoutMs: tag % 7 === 0 ? 5000 : undefined };
      if (options.timeoutMs === undefined) delete options.timeoutMs;
      if (tag % 4 === 3) queue.sync(file, tag % 8 === 3 ? 'data' : 'full', tag, options);
      else if (tag % 4 === 2) queue.writeFixed(file, round, tag * 999, tag, options);
      else queue.write(file, tag % 4 ? views(20, 700) : bytes(9000), tag * 999, tag, options);
    }
    for (let tag = 100; tag < 200; tag++) {
      if (tag % 3 === 0) queue.readFixed(file, 3, tag * 99, tag, { start: tag * 256, length: 256 });
      else queue.read(file, tag % 3 === 1 ? views(40, 100) : bytes(4096), tag * 99, tag);
      if (tag % 10 === 0) queue.cancel(tag);
    }
    queue.nop(200);
    let ended = round === 0 ? queue.waitSync().length : queue.poll([]);
    while (ended < 201) ended += (await queue.wait()).length;
  }
  for (let tag = 0; tag < 300; tag++) queue.write(file, views(3, 5000), tag * 15000, tag);
  await queue.close({ cancel: true });
  await file.close();
}

/* More maps than a segment of the table has, faults in some of them, from two threads at once. */
async function maps() {
  if (engine.capabilities.maps !== true) {
    console.log(`WITHOUT maps: ${engine.capabilities.maps}`);
    return;
  }
  const path = (index) => join(directory, `mapped ${index % 40}`);
  for (let index = 0; index < 40; index++) writeFileSync(path(index), bytes(40_000));
  const all = [];
  for (let index = 0; index < 200; index++) {
    const write = index % 2 === 0 ? 'shared' : 'private';
    all.push(await mapFile(path(index), { engine, write, offset: index, populate: true }));
    if (index % 5 === 4) await all.splice(index % all.length, 1)[0].release();
  }
  const seen = all.map((map) => map.bytes);
  const shared = all.find(({ write }) => write === 'shared');
  await shared.sync();
  await shared.advise('random');
  for (let index = 0; index < 40; index += 2) truncateSync(path(index), 4096);
  ok(seen.every((view) => view[5] === 7));
  ok(seen.some((view) => view[30_000] === 0));
  ok(all.some((map) => !map.intact));
  for (const map of all) map.releaseSync();
}

/* One by one through the ring, which does runs that open on threads. */
async function names() {
  const { OpenFlag, placeOf } = await room('platform');
  const place = (name) => placeOf(join(directory, name));
  const flags = OpenFlag.ReadWrite | OpenFlag.Create;
  const open = operation(Code.Open, { place: place('named'), flags, mode: 0o600 });
  const fd = await handed(open);
  ok(fd > 0);
  await handed(operation(Code.Open, { place: place('left open'), flags, mode: 0o600 }));
  await handed(operation(Code.Stat, { fd }));
  await handed(operation(Code.Stat, { place: place('named') }));
  await handed(operation(Code.Allocate, { fd, offset: 0, length: 65536 }));
  await handed(operation(Code.Truncate, { fd, length: 100 }));
  equal(await handed(operation(Code.Close, { fd })), 0);
  await handed(operation(Code.Link, { place: place('named'), place2: place('linked') }));
  await handed(operation(Code.Rename, { place: place('linked'), place2: place('renamed') }));
  equal(await handed(operation(Code.Unlink, { place: place('renamed') })), 0);
}

async function workers() {
  for (let time = 0; time < 4; time++) {
    const data = [home, directory, time % 2 === 0 ? 'pool' : 'ring'];
    const worker = new Worker(new URL(import.meta.url), { workerData: data });
    await once(worker, 'message');
    await worker.terminate();
  }
}

async function beWorker() {
  if (workerEngine === 'pool' || ringState().isThere) useEngine(workerEngine);
  const file = await openFile(join(directory, 'worker'), everything);
  for (let index = 0; index < 1000; index++) {
    const view = bytes(4096, index);
    const work = index % 2 ? file.writeAt([view, view], index * 99) : file.readAt(view, index * 99);
    work.catch(() => undefined);
  }
  await maps();
  await frames();
  const queue = new CompletionQueue({ engine: engine.name, depth: 1024 });
  for (let tag = 0; tag < 500; tag++) queue.write(file, views(3, 5000), tag * 15000, tag);
  queue.submit();
  await handed(nops(1));
  parentPort.postMessage('going');
}

if (isMainThread) {
  const parts = [files, replaces, runs, queues, names, maps, journals, frames, threads];
  const engines = ringState().isThere ? ['pool', 'ring'] : ['pool'];
  for (const name of engines) {
    useEngine(name);
    for (const part of parts) {
      await part();
      console.log(name, part.name);
    }
  }
  if (engines.length === 1) console.log(`WITHOUT the ring: ${ringState().reason}`);
  await workers();
  console.log('workers');
} else {
  await beWorker();
}

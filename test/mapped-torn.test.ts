/**
 * Pages that cannot be had: a file cut under its map, a full disk, a device that fails. Each is a
 * SIGBUS, which ends a process that does not mend it; so what might end one runs in a child.
 */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { deflate } from 'node:zlib';
import { defaultEngine, type MappedFile, mapFileSync, openFile } from 'holdfast';
import { refusedAs } from './file/told.js';
import { fileOf, type MapDoors, onRealMaps, PAGE } from './mapped/maps.js';
import { Faulty, faultyRefusal } from './ring/faulty.js';
import { endsWorkers, runChild } from './support/child.js';
import { compiledProgram } from './support/compile.js';
import { mountFor } from './support/mounts.js';
import { scratch, type Test } from './support/scratch.js';

function filled(t: Test, pages: number, value = 7): string {
  return fileOf(t, new Uint8Array(pages * PAGE).fill(value));
}

const torn = { name: 'IoError', code: 'ERR_MAP_TORN', kind: 'broken' };

for (const write of ['shared', 'private', false] as const) {
  onRealMaps(
    `a file cut under a map (${write}): zeros, and every access throws`,
    async (t, doors) => {
      const path = filled(t, 16);
      const map = await doors.map(path, { write });
      const { bytes } = map;
      if (write !== false) bytes[9 * PAGE] = 8;
      truncateSync(path, 4 * PAGE + 100);
      const seen = [4 * PAGE - 1, 4 * PAGE + 99, 4 * PAGE + 100, 5 * PAGE, 9 * PAGE, 16 * PAGE - 1];
      deepEqual(
        seen.map((at) => bytes[at]),
        [7, 7, 0, 0, 0, 0],
      );
      equal(map.intact, false);
      throws(() => map.bytes, torn);
      const next = () => (write === 'shared' ? doors.sync(map) : doors.advise(map, 'normal'));
      equal(await refusedAs(next), 'ERR_MAP_TORN broken');
      bytes.fill(3, 5 * PAGE);
      equal(bytes[6 * PAGE], 3, 'what takes their place can be written');
      equal(readFileSync(path).length, 4 * PAGE + 100);
      await doors.release(map);
      equal(bytes.length, 0);
    },
  );
}

onRealMaps(
  'a cut is seen without a fault, and remembered when the file grows back',
  async (t, doors) => {
    const path = filled(t, 3);
    const map = await doors.map(path, { length: 2 * PAGE });
    truncateSync(path, 2 * PAGE);
    equal(map.intact, true, 'the map does not reach so far');
    truncateSync(path, 2 * PAGE - 1);
    equal(map.intact, false);
    appendFileSync(path, new Uint8Array(PAGE));
    equal(map.intact, false);
    throws(() => map.bytes, torn);
    const again = await doors.map(path);
    equal(again.intact, true);
  },
);

onRealMaps('of many maps the one whose file was cut is torn', async (t, doors) => {
  const directory = scratch(t);
  const maps: MappedFile[] = [];
  for (let index = 0; index < 300; index++) {
    const path = join(directory, `${index}`);
    writeFileSync(path, new Uint8Array(2 * PAGE).fill(index % 251));
    maps.push(await doors.map(path, { write: index % 2 === 0 }));
    if (index % 3 === 2) await doors.release(maps[index - 1] as MappedFile);
  }
  const alive = maps.map((map, index) => ({ map, index })).filter(({ map }) => !map.isReleased);
  const views = alive.map(({ map }) => map.bytes);
  const cut = new Set(alive.filter((_, at) => at % 7 === 3));
  for (const { index } of cut) truncateSync(join(directory, `${index}`), PAGE);
  for (const bytes of views) bytes.reduce((sum, byte) => sum + byte, 0);
  for (const [at, one] of alive.entries()) {
    equal(one.map.intact, !cut.has(one), `map ${one.index}`);
    deepEqual(
      [views[at]?.[PAGE - 1], views[at]?.[PAGE]],
      cut.has(one) ? [one.index % 251, 0] : [one.index % 251, one.index % 251],
    );
  }
});

onRealMaps(
  'a system call that meets the cut is refused, and so is its caller',
  async (t, doors) => {
    const path = filled(t, 16);
    const map = await doors.map(path);
    const { bytes } = map;
    truncateSync(path, 0);
    const choices = { access: 'read-write', create: true, engine: doors.engine } as const;
    const target = await openFile(join(scratch(t), 'target'), choices);
    t.after(() => target.close());
    equal(await refusedAs(() => target.writeAt(bytes.subarray(0, PAGE), 0)), 'EFAULT invalid');
  },
);

onRealMaps('a thread of the runtime meets the cut', async (t, doors) => {
  const path = filled(t, 256);
  const { bytes } = await doors.map(path);
  truncateSync(path, 0);
  const packed = await new Promise<Buffer>((resolve, reject) => {
    deflate(bytes, (error, result) => (error ? reject(error) : resolve(result)));
  });
  ok(packed.length > 0);
});

async function onFullDisk(doors: MapDoors, root: string): Promise<void> {
  const path = join(root, 'sparse');
  const fd = openSync(path, 'w');
  ftruncateSync(fd, 64 * 2 ** 20);
  closeSync(fd);
  const map = await doors.map(path, { write: 'shared' });
  const { bytes } = map;
  bytes[0] = 1;
  await doors.sync(map);
  for (let at = 0; at < bytes.length; at += PAGE) bytes[at] = 9;
  equal(map.intact, false, 'a page could not be had');
  equal(bytes[0], 9, 'pages that could be had stay');
  equal(await refusedAs(async () => doors.sync(map)), 'ERR_MAP_TORN broken');
  await doors.release(map);
}

for (const kind of ['tmpfs', 'ext4'] as const) {
  onRealMaps(`a hole of a full disk (${kind}) is no crash`, async (t, doors) => {
    const mount = mountFor(t, kind);
    if (mount !== undefined) await onFullDisk(doors, mount.path);
  });
}

onRealMaps(
  'a device that fails is no crash, and costs the pages it fails for',
  async (t, doors) => {
    const refusal = faultyRefusal();
    if (refusal !== undefined) return t.skip(refusal);
    const faulty = await Faulty.mount();
    t.after(() => faulty.unmount());
    writeFileSync(faulty.path, new Uint8Array(512 * PAGE).fill(7));
    const map = await doors.map(faulty.path, { advise: 'random' });
    const { bytes } = map;
    await faulty.begin([{ kind: 'read', first: 1, last: 50, code: 'EIO' }]);
    deepEqual([bytes[3 * PAGE], map.intact], [0, false]);
    throws(() => map.bytes, torn);
    await faulty.begin();
    deepEqual([bytes[3 * PAGE], bytes[2 * PAGE], bytes[511 * PAGE]], [0, 7, 7]);
    await doors.release(map);
  },
);

test('the threads of the pool do not block what mends a fault of theirs', async (t) => {
  if (defaultEngine().capabilities.maps !== true) return t.skip('no maps');
  const source = `
    import { configure, defaultEngine, statFile } from 'holdfast';
    import { readdirSync, readFileSync } from 'node:fs';
    const { stat } = await import('node:fs/promises');
    await Promise.all([1, 2, 3, 4].map(() => stat('/')));
    const before = readdirSync('/proc/self/task');
    configure({ engine: 'pool', threads: 3 });
    await Promise.all([1, 2, 3, 4].map(() => statFile('/')));
    const status = (task) => readFileSync('/proc/self/task/' + task + '/status', 'latin1');
    const blocked = (task) => BigInt('0x' + /^SigBlk:\\s+(\\w+)/m.exec(status(task))[1]);
    const own = readdirSync('/proc/self/task').filter((task) => !before.includes(task));
    const all = () => own.map(blocked).filter((mask) => (mask & 1n) !== 0n);
    const isRight = () => all().every((mask) => (mask & 0x440n) === 0n);
    /* A thread that has not run yet has the mask of pthread_create(3): all. */
    const end = performance.now() + 10000;
    while (!isRight() && performance.now() < end) await new Promise(setImmediate);
    console.log(all().length, isRight());
  `;
  const { stdout, stderr } = await runChild({ source });
  equal(stdout, '3 true\n', stderr);
});

/* A child with a file of four pages that is cut to one, and with the other addon. */
async function childWith(t: Test, body: string) {
  if (defaultEngine().capabilities.maps !== true) return undefined;
  const bus = compiledProgram('mapped/bus', { headers: ['native/include'], isLibrary: true });
  const source = `
    import { mapFileSync } from 'holdfast';
    import { truncateSync, writeFileSync } from 'node:fs';
    import { setTimeout as pause } from 'node:timers/promises';
    const module = { exports: {} };
    process.dlopen(module, ${JSON.stringify(bus)});
    const bus = module.exports;
    const path = ${JSON.stringify(join(scratch(t), 'file'))};
    const mended = (view) => view[0] === 7 && view[9000] === 0;
    const made = () => {
      writeFileSync(path, new Uint8Array(16384).fill(7));
      const map = mapFileSync(path);
      return [map, map.bytes];
    };
    ${body}
  `;
  return runChild({ source });
}

const CASES: readonly [name: string, body: string, ends: readonly unknown[], told: string][] = [
  ['a fault of others ends the process as ever', 'made(); bus.fault();', [null, 'SIGBUS'], ''],
  [
    'what kill(2) sends ends the process as ever',
    `made(); process.kill(process.pid, 'SIGBUS'); await pause(5000);`,
    [null, 'SIGBUS'],
    '',
  ],
  [
    'a handler from before gets what is not ours, and not what is',
    `bus.handle(false);
     const [, view] = made(); truncateSync(path, 4096);
     if (!mended(view)) process.exit(1);
     process.kill(process.pid, 'SIGBUS'); await pause(20);
     bus.fault();`,
    [42, null],
    'a signal\na fault\n',
  ],
  [
    'a handler from before that is to be reset is called once',
    `bus.handle(true); made(); bus.fault();`,
    [null, 'SIGBUS'],
    'a fault\n',
  ],
  [
    'a handler put in front of ours that passes on changes nothing for a map',
    `const [map, view] = made(); bus.passInFront(); truncateSync(path, 4096);
     process.exit(mended(view) && !map.intact ? 0 : 1);`,
    [0, null],
    'passed\n',
  ],
  [
    'two that pass to each other end with the first of all',
    `made(); bus.passInFront(); const [, view] = made(); truncateSync(path, 4096);
     if (!mended(view)) process.exit(1);
     bus.fault();`,
    [null, 'SIGBUS'],
    'passed\n',
  ],
  [
    'a handler that took our place is told, and the next map puts ours in front',
    `const [map] = made(); bus.handle(false);
     if (map.explain().fallbacks[0]?.what !== 'guard') process.exit(1);
     const [, view] = made(); truncateSync(path, 4096);
     if (map.explain().fallbacks.length > 0 || !mended(view)) process.exit(2);
     bus.fault();`,
    [42, null],
    'a fault\n',
  ],
  [
    'process.on(SIGBUS) before and after: both are heard',
    `let heard = 0; process.on('SIGBUS', () => heard++);
     const [, view] = made(); truncateSync(path, 4096);
     if (!mended(view)) process.exit(1);
     process.kill(process.pid, 'SIGBUS'); await pause(50);
     process.exit(heard === 1 ? 0 : 2);`,
    [0, null],
    '',
  ],
];

for (const [name, body, ends, told] of CASES) {
  test(name, async (t) => {
    const ended = await childWith(t, body);
    if (ended === undefined) return t.skip('no maps');
    deepEqual([ended.code, ended.signal], ends, ended.stderr);
    equal(ended.stdout, told, ended.stderr);
  });
}

test('workers whose files are cut under them, several at once', async (t) => {
  if (defaultEngine().capabilities.maps !== true) return t.skip('no maps');
  const directory = scratch(t);
  const module = new URL('./mapped/worker.js', import.meta.url);
  const workers = [0, 1, 2].map((index) => {
    const workerData = { path: join(directory, `${index}`), rounds: 60, waits: false };
    return new Worker(module, { workerData });
  });
  const told = await Promise.all(workers.map((worker) => once(worker, 'message')));
  deepEqual(told, [[60], [60], [60]]);
  await Promise.all(workers.map((worker) => worker.terminate()));
});

test('workers that are ended with maps take nothing along and leave nothing', async (t) => {
  if (defaultEngine().capabilities.maps !== true) return t.skip('no maps');
  const path = filled(t, 16);
  const source = `
    import { once } from 'node:events';
    import { readdirSync, readFileSync } from 'node:fs';
    import { Worker } from 'node:worker_threads';
    const shown = () => readFileSync('/proc/self/maps', 'latin1').includes(${JSON.stringify(path)});
    const module = ${JSON.stringify(new URL('./mapped/worker.js', import.meta.url).href)};
    let mended = 0;
    let held = false;
    for (let time = 0; time < 8; time++) {
      const worker = new Worker(new URL(module), {
        workerData: { path: ${JSON.stringify(path)}, rounds: 20, waits: true },
        execArgv: [],
      });
      mended += (await once(worker, 'message'))[0];
      held ||= shown();
      await worker.terminate();
    }
    const left = readdirSync('/proc/self/fd', { withFileTypes: true }).length;
    console.log(JSON.stringify([mended, held, shown(), left < 40]));
    /* Nobody but the workers has loaded the addon: its handler has to be there all the same. */
    process.kill(process.pid, 'SIGBUS');
    setTimeout(() => undefined, 5000);
  `;
  const { code, signal, stdout, stderr } = await runChild({ source, nodeArgs: endsWorkers });
  deepEqual([code, signal], [null, 'SIGBUS'], stderr);
  deepEqual(JSON.parse(stdout), [160, true, false, true]);
});

test('a worker maps what this thread maps: one memory, without a copy', async (t) => {
  if (defaultEngine().capabilities.maps !== true) return t.skip('no maps');
  const path = filled(t, 1, 0);
  const map = mapFileSync(path, { write: 'shared' });
  t.after(() => map.release());
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import('holdfast').then(({ mapFileSync }) => {
      const counters = new Int32Array(mapFileSync(workerData, { write: true }).bytes.buffer);
      for (let time = 0; time < 10000; time++) Atomics.add(counters, 5, 1);
      parentPort.postMessage('done');
    });
  `;
  const start = () => new Worker(source, { eval: true, workerData: path });
  const workers = [start(), start()];
  const counters = new Int32Array(map.bytes.buffer);
  for (let time = 0; time < 10_000; time++) Atomics.add(counters, 5, 1);
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  equal(counters[5], 30_000);
});

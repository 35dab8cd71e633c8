/** scanDirectory(), listDirectory(), countDirectory(): every name once, its kind, in few steps. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AbortError,
  type Engine,
  listDirectory,
  openFile,
  scanDirectory,
  scanDirectorySync,
} from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { Code, type Operation } from '#holdfast/platform.js';
import { onAllDoors, refusedAs } from './directory/doors.js';
import { engineHere, needsRoot, onEngines } from './replace/worlds.js';
import { outputOf } from './support/child.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

/** Directories of files: paths from the home, directories included. */
function plant(home: string, directories: number, files: number): string[] {
  const paths: string[] = [];
  for (let directory = 0; directory < directories; directory++) {
    const name =
      directory % 3 === 0 ? `d${directory}` : `d${directory - (directory % 3)}/d${directory}`;
    mkdirSync(join(home, name), { recursive: true });
    paths.push(name);
    for (let file = 0; file < files; file++) {
      writeFileSync(join(home, name, `file-${file}`), '');
      paths.push(`${name}/file-${file}`);
    }
  }
  return paths.map((path) => join(home, path)).sort();
}

onAllDoors('scanDirectory() answers every name below once', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  const planted = plant(home, 40, 12);
  const entries = await doors.scan(home, { recursive: true });
  deepEqual(entries.map(({ path }) => path).sort(), planted);
  for (const { name, path, kind } of entries) {
    ok(path.endsWith(`/${name}`));
    equal(kind, name.startsWith('file') ? 'file' : 'directory');
  }
  equal((await doors.scan(home)).length, 14, 'without recursive: what is in it');
  assertNoNewDescriptors(before);
});

onAllDoors('scanDirectory() answers all of a directory of many reads', async (t, doors) => {
  const home = scratch(t);
  const names: string[] = [];
  for (let index = 0; index < 1200; index++) {
    const name = `${index}`.padStart(120, 'n');
    names.push(name);
    writeFileSync(join(home, name), '');
  }
  deepEqual((await doors.scan(home)).map(({ name }) => name).sort(), names.sort());
  deepEqual(await doors.list(home), names);
  equal((await doors.count(home)).files, 1200);
});

onAllDoors('scanDirectory() tells each kind and follows no link', async (t, doors) => {
  const home = scratch(t);
  mkdirSync(join(home, 'directory'));
  writeFileSync(join(home, 'directory/file'), '');
  symlinkSync('directory', join(home, 'link'));
  symlinkSync('..', join(home, 'directory/up'));
  spawnSync('mkfifo', [join(home, 'fifo')]);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(home, 'socket'), resolve));
  try {
    const entries = await doors.scan(home, { recursive: true });
    const kinds = Object.fromEntries(
      entries.map(({ path, kind }) => [path.slice(home.length), kind]),
    );
    deepEqual(kinds, {
      '/directory': 'directory',
      '/directory/file': 'file',
      '/directory/up': 'symlink',
      '/fifo': 'fifo',
      '/link': 'symlink',
      '/socket': 'socket',
    });
    const devices = (await doors.scan('/dev')).filter(({ name }) => name === 'null');
    equal(devices[0]?.kind, 'character-device');
    const others = { files: 1, directories: 1, symlinks: 2, others: 2, total: 6 };
    deepEqual(await doors.count(home, { recursive: true }), others);
    equal((await doors.scan(home, { kinds: ['fifo'] })).length, 1);
    equal((await doors.scan(join(home, 'link'))).length, 2, 'the directory itself may be a link');
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

onAllDoors('scanDirectory() answers bytes for names that are not UTF-8', async (t, doors) => {
  const home = scratch(t);
  const raw = Buffer.from([0x66, 0xff]);
  const directory = Buffer.concat([Buffer.from(`${home}/`), raw]);
  mkdirSync(directory);
  const odd = ['new\nline', 'grün', 'n'.repeat(255), '\u{1f33f}'];
  for (const name of odd) {
    writeFileSync(Buffer.concat([directory, Buffer.from('/'), Buffer.from(name)]), '');
  }
  const entries = await doors.scan(home, { recursive: true });
  equal(entries.length, 5);
  for (const entry of entries) {
    ok(entry.bytes !== undefined, 'a part of each path is not UTF-8');
    const { engine } = doors;
    if (entry.kind === 'file') await (await openFile(entry.bytes, { engine })).close();
    else deepEqual(entry.bytes, directory);
  }
  deepEqual((await doors.scan(directory)).map(({ name }) => name).sort(), odd.sort());
  deepEqual(await doors.list(home), ['f\ufffd']);
  const names = await listDirectory(home, { encoding: 'buffer', engine: doors.engine });
  deepEqual(names, [raw]);
});

onAllDoors('scanDirectory() refuses what is no directory', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  writeFileSync(join(home, 'file'), '');
  equal(await refusedAs(doors.scan(join(home, 'none'))), 'ENOENT not-found open the directory');
  equal(await refusedAs(doors.list(join(home, 'file'))), 'ENOTDIR wrong-type open the directory');
  assertNoNewDescriptors(before);
});

/** What a directory that may not be read ends, or is told to `onError`: as another user. */
test('scanDirectory() ends at a directory it may not read, or tells it', async (t) => {
  if (!needsRoot(t)) return;
  const home = scratch(t);
  spawnSync('chmod', ['755', home]);
  for (const name of ['a', 'shut', 'z']) {
    mkdirSync(join(home, name));
    writeFileSync(join(home, name, 'file'), '');
  }
  spawnSync('chmod', ['700', join(home, 'shut')]);
  const source = `
    import { scanDirectory, scanDirectorySync } from 'holdfast';
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    const [home] = process.argv.slice(1);
    const told = [];
    const onError = ({ code, path }) => told.push(code + path.slice(home.length));
    let count = 0;
    for await (const _ of scanDirectory(home, { recursive: true, onError })) count++;
    for (const _ of scanDirectorySync(home, { recursive: true, onError })) count++;
    let error;
    const all = scanDirectory(home, { recursive: true });
    try { for await (const _ of all); } catch (e) { error = e; }
    console.log(JSON.stringify([count, told, error?.code]));`;
  const told = JSON.parse(await outputOf({ source, args: [home] }));
  deepEqual(told, [10, ['EACCES/shut', 'EACCES/shut'], 'EACCES']);
});

/** Promises made while something runs, those of the program included. */
async function promisesMade(run: () => Promise<void>): Promise<number> {
  let count = 0;
  const hook = createHook({
    init(_id, type) {
      if (type === 'PROMISE') count++;
    },
  });
  hook.enable();
  try {
    await run();
  } finally {
    hook.disable();
  }
  return count;
}

test('scanDirectory() reads 100,000 names without 100,000 promises', async () => {
  const disk = simulatedDisk(1);
  const { engine } = disk;
  disk.makeDirectory('/many');
  const bulk = manyNames(engine, 100_000);
  let count = 0;
  let largest = 0;
  const made = await promisesMade(async () => {
    for await (const entries of scanDirectory('/many', { engine: bulk }).batches()) {
      count += entries.length;
      largest = Math.max(largest, entries.length);
    }
  });
  equal(count, 100_000);
  ok(largest <= 2000, `a batch has ${largest} entries`);
  ok(made < 5000, `${made} promises`);
});

/** An engine whose directories hold so many names, a thousand a read. */
function manyNames(engine: Engine, count: number): Engine {
  let left = count;
  const answer = (head: Operation): void => {
    for (let at: Operation | undefined = head; at; at = at.next) {
      if (at.code !== Code.ReadEntries || at.result < 0) continue;
      const some = Math.min(left, 1000);
      left -= some;
      at.names = Array.from({ length: some }, (_, index) => `${left + index}`);
      at.kinds = new Uint8Array(some).fill(8);
      at.result = some;
    }
  };
  return wrapped(engine, answer);
}

/** An engine whose answers are changed before anybody sees them. */
function wrapped(engine: Engine, answer: (head: Operation) => void): Engine {
  return Object.create(engine, {
    capabilities: { value: engine.capabilities },
    name: { value: engine.name },
    perform: {
      value: (head: Operation) => {
        engine.perform(head);
        answer(head);
      },
    },
    submit: {
      value: (head: Operation, waiter: { settle(): void }) => {
        const settle = (): void => {
          answer(head);
          waiter.settle();
        };
        engine.submit(head, { settle });
      },
    },
  }) as Engine;
}

onEngines('scanDirectory() asks for kinds that the file system does not tell', (t, engine) => {
  const home = scratch(t);
  const planted = plant(home, 6, 2);
  const silent = wrapped(engine, (head) => {
    for (let at: Operation | undefined = head; at; at = at.next) at.kinds?.fill(0);
  });
  const entries = [...scanDirectorySync(home, { recursive: true, engine: silent })];
  deepEqual(entries.map(({ path }) => path).sort(), planted);
  for (const { name, kind } of entries) equal(kind, name.startsWith('f') ? 'file' : 'directory');
});

test('scanDirectory() makes four calls a directory, and crosses once for sixteen', (t) => {
  const pool = engineHere('pool');
  if (typeof pool === 'string') return t.skip(pool);
  const home = scratch(t);
  for (let index = 0; index < 64; index++) mkdirSync(join(home, `d${index}`));
  [...scanDirectorySync(home, { recursive: true, engine: pool })];
  let crossings = 0;
  const counted = wrapped(pool, () => {
    crossings++;
  });
  const before = pool.stats().systemCalls;
  equal([...scanDirectorySync(home, { recursive: true, engine: counted })].length, 64);
  const after = pool.stats().systemCalls;
  const made = (name: string): number => (after[name] ?? 0) - (before[name] ?? 0);
  equal(made('open'), 65);
  equal(made('scandir'), 130);
  equal(made('openat2'), 1, 'an engine never seen before is asked once');
  equal(made('close'), 66);
  ok(crossings <= 10, `${crossings} crossings`);
});

onAllDoors(
  'scanDirectory() goes on where directories vanish or turn into links',
  async (t, doors) => {
    const home = scratch(t);
    const outside = scratch(t);
    writeFileSync(join(outside, 'secret'), '');
    plant(home, 9, 1);
    let isDone = false;
    const sly = wrapped(doors.engine, (head) => {
      if (isDone) return;
      for (let at: Operation | undefined = head; at; at = at.next) {
        if (at.code !== Code.ReadEntries || (at.names?.length ?? 0) === 0) continue;
        isDone = true;
        rmSync(join(home, 'd0'), { recursive: true });
        rmSync(join(home, 'd3'), { recursive: true });
        symlinkSync(outside, join(home, 'd3'));
      }
    });
    const all = { engine: sly, recursive: true };
    const paths: string[] = [];
    if (doors.face === 'sync')
      for (const { path } of scanDirectorySync(home, all)) paths.push(path);
    else for await (const { path } of scanDirectory(home, all)) paths.push(path);
    ok(isDone);
    ok(!paths.some((path) => path.includes('secret')));
    ok(paths.includes(join(home, 'd6/d8/file-0')));
  },
);

test('scanDirectory() leaves nothing open behind a loop that was left', async (t) => {
  const home = scratch(t);
  plant(home, 40, 10);
  const before = openDescriptors();
  for await (const _ of scanDirectory(home, { recursive: true })) break;
  for (const _ of scanDirectorySync(home, { recursive: true })) break;
  for await (const _ of scanDirectory(home, { recursive: true }).batches()) break;
  const controller = new AbortController();
  const { signal } = controller;
  await rejects(async () => {
    for await (const _ of scanDirectory(home, { recursive: true, signal }).batches()) {
      controller.abort();
    }
  }, AbortError);
  assertNoNewDescriptors(before);
  equal(readdirSync(home).length > 0, true);
});

test('scanDirectory() answers in order where nobody waits for the answer before', async (t) => {
  const home = scratch(t);
  for (const name of ['a', 'b', 'c']) writeFileSync(join(home, name), '');
  const iterator = scanDirectory(home)[Symbol.asyncIterator]();
  const asked = [1, 2, 3, 4, 5].map(() => iterator.next());
  const answers = await Promise.all(asked);
  deepEqual(
    answers.map(({ done }) => done),
    [false, false, false, true, true],
  );
  deepEqual(
    answers
      .slice(0, 3)
      .map(({ value }) => value?.name)
      .sort(),
    ['a', 'b', 'c'],
  );
});

test('scanDirectory() refuses bad input at once', () => {
  throws(() => scanDirectory(''), TypeError);
  throws(() => scanDirectory('/', { match: '/x' }), /options.match/);
  throws(() => scanDirectory('/', { onError: 7 as unknown as () => void }), /options.onError/);
  throws(() => scanDirectory('/', { recursive: 'yes' as unknown as boolean }), /recursive/);
  throws(() => scanDirectory('/', { timeoutMs: -1 }), RangeError);
});

/** Calls on one file by its path: readFile(), appendFile(), statFile(), syncDirectory(). */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AbortError,
  appendFile,
  appendFileSync,
  readFile,
  readFileSync as readSync,
  statFile,
  statFileSync,
  syncDirectory,
  syncDirectorySync,
} from 'holdfast';
import { crashEverywhere, simulatedDisk } from 'holdfast/testing';
import { refusedAs } from './directory/doors.js';
import { onEngines } from './replace/worlds.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

onEngines('readFile() reads all of a file', async (t, engine) => {
  const home = scratch(t);
  const before = openDescriptors();
  const path = join(home, 'file');
  for (const text of ['', 'x', 'y'.repeat(200_000)]) {
    writeFileSync(path, text);
    equal(Buffer.from(await readFile(path, { engine })).toString(), text);
    equal(Buffer.from(readSync(path, { engine })).toString(), text);
  }
  ok((await readFile('/proc/self/status', { engine })).length > 0, 'a file that says it is empty');
  equal(await refusedAs(readFile(home, { engine })), 'EISDIR wrong-type open');
  equal(await refusedAs(readFile(join(home, 'none'), { engine })), 'ENOENT not-found open');
  await rejects(readFile(path, { engine, signal: AbortSignal.abort() }), AbortError);
  await rejects(readFile(''), TypeError);
  assertNoNewDescriptors(before);
});

onEngines('appendFile() adds to the end, makes the file, tells where', async (t, engine) => {
  const home = scratch(t);
  const before = openDescriptors();
  const path = join(home, 'log');
  const first = await appendFile(path, 'one\n', { engine, mode: 0o600 });
  deepEqual(first, {
    path,
    offset: 0,
    bytes: 4,
    durability: 'full',
    engine: engine.name,
    fallbacks: [],
  });
  equal(statSync(path).mode & 0o7777, 0o600);
  const second = appendFileSync(path, [Buffer.from('t'), Float64Array.of(0)], { engine });
  deepEqual([second.offset, second.bytes], [4, 9]);
  equal(readFileSync(path).length, 13);
  truncateSync(path, 2);
  equal((await appendFile(path, '', { engine, durable: false })).offset, 2);
  symlinkSync('behind', join(home, 'link'));
  const through = await appendFile(join(home, 'link'), 'x', { engine });
  equal(readFileSync(join(home, 'behind'), 'utf8'), 'x');
  equal(through.durability, 'none', 'the directory behind a dangling link is not synced');
  equal(through.fallbacks.length, 1);
  equal((await appendFile(join(home, 'link'), 'y', { engine })).durability, 'full');
  await rejects(appendFile(path, 7 as unknown as string), TypeError);
  throws(() => appendFileSync(path, 'x', { mode: -1 }), RangeError);
  assertNoNewDescriptors(before);
});

test('appendFile() that resolved keeps bytes and name', () =>
  crashEverywhere({
    seed: 3,
    names: 'any',
    prepare: (disk) => disk.makeDirectory('/home'),
    run: async ({ engine }) => {
      await appendFile('/home/log', 'one\n', { engine });
      await appendFile('/home/log', 'two\n', { engine });
    },
    check: (state, isDone) => {
      const text = Buffer.from(state.read('/home/log') ?? []).toString();
      if (isDone) equal(text, 'one\ntwo\n');
    },
  }).then(({ stateCount }) => ok(stateCount > 10)));

test('appendFile() tells a refusal and leaves nothing open', async () => {
  for (let n = 1; ; n++) {
    const disk = simulatedDisk(1);
    const fault = disk.refuseNth(n, 'EIO');
    const error = await appendFile('/log', 'one', { engine: disk.engine }).catch((e) => e);
    if (fault.struckCount === 0) break;
    if (error instanceof Error) equal((error as Error & { code: string }).code, 'EIO', `${n}`);
    deepEqual(disk.openDescriptors, [], `refused at ${n}`);
  }
});

onEngines('statFile() looks at a file, or at a link', async (t, engine) => {
  const home = scratch(t);
  writeFileSync(join(home, 'file'), 'content');
  chmodSync(join(home, 'file'), 0o640);
  symlinkSync('file', join(home, 'link'));
  const { size, mode, kind } = await statFile(join(home, 'link'), { engine });
  deepEqual([size, mode, kind], [7, 0o640, 'file']);
  equal(statFileSync(join(home, 'link'), { engine, followSymlink: false }).kind, 'symlink');
  equal((await statFile(`${home}/`, { engine })).kind, 'directory');
  equal(await refusedAs(statFile(join(home, 'none'), { engine })), 'ENOENT not-found inspect');
});

onEngines('syncDirectory() syncs names', async (t, engine) => {
  const home = scratch(t);
  mkdirSync(join(home, 'a'));
  deepEqual(await syncDirectory(home, { engine }), { primitive: 'fsync', fallbacks: [] });
  equal(syncDirectorySync(home, { engine }).primitive, 'fsync');
  const none = refusedAs(syncDirectory(join(home, 'none'), { engine }));
  equal(await none, 'ENOENT not-found open the directory');
  const disk = simulatedDisk(1);
  await appendFile('/file', 'x', { engine: disk.engine, durable: false });
  await syncDirectory('/', { engine: disk.engine });
  deepEqual(disk.crash({ keep: 'none' }).list('/'), ['file']);
});

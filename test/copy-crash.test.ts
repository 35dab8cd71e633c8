/**
 * Copies on a simulated disk: the power goes before every operation, and a tree is copied with
 * every operation refused once. Each file of the target is old, absent or whole.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CopyOptions,
  CopyTreeError,
  copyFile,
  copyFileSync,
  copyTree,
  copyTreeSync,
  type IoError,
} from 'holdfast';
import { crashEverywhere, type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { Code, Operation } from '#holdfast/platform.js';
import { Calls } from './simulated/calls.js';

const NEW = 'the copy, longer than a sector: '.repeat(40);
const OLD = 'old '.repeat(300);

function textAt(disk: SimulatedDisk, path: string): string | undefined {
  const bytes = disk.read(path);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1');
}

const ways: Readonly<Record<string, CopyOptions>> = {
  'a reflink': {},
  'copied ranges': { reflink: 'auto' },
  reading: { reflink: 'never' },
};

for (const [words, options] of Object.entries(ways)) {
  for (const hasOld of [true, false]) {
    const over = hasOld ? 'over an old file' : 'to a new name';
    test(`copyFile() by ${words} ${over} leaves old or new, wherever the power goes`, async () => {
      const report = await crashEverywhere({
        seed: 7,
        prepare: (disk) => {
          disk.put('/d/source', NEW);
          if (hasOld) disk.put('/d/target', OLD);
        },
        run: async (disk) => {
          if (words === 'copied ranges') disk.refuseNth(1, 'EXDEV', { operations: ['Clone'] });
          const done = await copyFile('/d/source', '/d/target', {
            ...options,
            engine: disk.engine,
          });
          equal(
            done.method,
            { reading: 'read-write', 'a reflink': 'reflink' }[words] ?? 'copy_file_range',
          );
        },
        check: (state, isDone) => {
          const content = textAt(state, '/d/target');
          if (isDone) equal(content, NEW);
          else ok(content === NEW || content === (hasOld ? OLD : undefined), 'neither old nor new');
          equal(textAt(state, '/d/source'), NEW);
        },
        limit: 200,
      });
      ok(report.operationCount > 10 && report.stateCount > 20);
    });
  }
}

/* The planted violation: without the sync of the directory the copy may be gone. */
test('the power cuts of these tests see a copy that is not durable', async () => {
  let lost = 0;
  await crashEverywhere({
    seed: 3,
    prepare: (disk) => disk.put('/source', NEW),
    run: (disk) => copyFile('/source', '/target', { engine: disk.engine, durable: false }),
    check: (state, isDone) => {
      if (isDone && textAt(state, '/target') !== NEW) lost++;
    },
    limit: 100,
  });
  ok(lost > 0);
});

const FILES: Readonly<Record<string, string>> = {
  '/s/one': NEW,
  '/s/d/two': 'two',
  '/s/d/e/three': NEW.slice(100),
};

function plant(disk: SimulatedDisk): void {
  for (const [path, content] of Object.entries(FILES)) disk.put(path, content);
  disk.makeLink('/s/d/link', '../one');
  new Calls(disk.engine).link('/s/one', '/s/d/hard');
  disk.makeDirectory('/s/empty');
}

/** Fails unless every file that has a name is whole. */
function checkWhole(disk: SimulatedDisk, isDone: boolean): void {
  const all = { ...FILES, '/s/d/hard': NEW };
  for (const [path, content] of Object.entries(all)) {
    const copy = textAt(disk, path.replace('/s/', '/t/'));
    if (isDone) equal(copy, content, path);
    else ok(copy === undefined || copy === content, `${path} is torn`);
  }
  const link = disk.target('/t/d/link');
  ok(isDone ? link === '../one' : link === undefined || link === '../one');
  if (isDone) deepEqual(disk.list('/t/empty'), []);
}

for (const face of ['copyTree', 'copyTreeSync'] as const) {
  const copy = (disk: SimulatedDisk, options: object = {}): unknown => {
    const all = { engine: disk.engine, concurrency: 2, ...options };
    return face === 'copyTree' ? copyTree('/s', '/t', all) : copyTreeSync('/s', '/t', all);
  };

  test(`${face}() leaves whole files, all of them at its end, at every power cut`, async () => {
    const report = await crashEverywhere({
      seed: 11,
      prepare: plant,
      run: (disk) => copy(disk),
      check: checkWhole,
      limit: 40,
    });
    ok(report.operationCount > 80 && report.stateCount > 500, JSON.stringify(report));
  });

  test(`${face}() with its k-th operation refused leaves whole files, for every k`, async () => {
    let count = 0;
    for (const code of ['EIO', 'ENOSPC']) {
      for (let k = 1; ; k++) {
        const disk = simulatedDisk(5);
        plant(disk);
        const fault = disk.refuseNth(k, code);
        let error: unknown;
        try {
          await copy(disk, { replace: false });
        } catch (thrown) {
          error = thrown;
        }
        if (fault.struckCount === 0) {
          equal(error, undefined);
          checkWhole(disk, true);
          break;
        }
        count++;
        deepEqual(disk.openDescriptors, [], `${code} at ${k}`);
        checkWhole(disk, error === undefined);
        const names = ['/t', '/t/d', '/t/d/e'].flatMap((path) => disk.list(path) ?? []);
        const isTold = error !== undefined && (error as IoError).syscall === 'unlink';
        const stray = names.filter((name) => name.endsWith('.tmp'));
        ok(stray.length === 0 || isTold, `${code} at ${k} left ${stray} (${error})`);
        if (error instanceof CopyTreeError) {
          const { files, links, directories } = error.completed;
          ok(files <= 3 && links <= 1 && directories <= 4);
        }
      }
    }
    ok(count > 150, `${count} cases`);
  });
}

test('a copy on a simulated disk keeps attributes, mode, owner and holes', async () => {
  for (const reflink of ['always', 'never'] as const) {
    const disk = simulatedDisk(1);
    const calls = new Calls(disk.engine);
    disk.put('/source', 'x');
    const fd = calls.open('/source', 2);
    calls.truncate(fd, 100_000);
    calls.write(fd, 'end', 60_000);
    calls.ask(Code.SetAttribute, { fd, attribute: 'user.one', payload: Buffer.from('kept') });
    calls.ask(Code.SetOwner, { fd, flags: 12, mode: 13 });
    calls.setMode(fd, 0o640);
    calls.close(fd);
    const report = copyFileSync('/source', '/target', { engine: disk.engine, reflink });
    equal(report.bytes, 100_000);
    if (reflink === 'never') equal(report.holeBytes, 100_000 - 1024);
    ok(Buffer.from(disk.read('/source') ?? []).equals(disk.read('/target') ?? Buffer.of()));
    const target = calls.open('/target', 0);
    const stat = Object.assign(new Operation(Code.Stat), { fd: target });
    disk.engine.perform(stat);
    const { mode, user, group, allocatedBytes } = stat.stat ?? {};
    deepEqual([mode, user, group, allocatedBytes], [0o640, 12, 13, 1024]);
    const out = new Uint8Array(16);
    const { result } = calls.ask(Code.GetAttribute, { fd: target, attribute: 'user.one', out });
    equal(Buffer.from(out).toString('latin1', 0, result), 'kept');
  }
});

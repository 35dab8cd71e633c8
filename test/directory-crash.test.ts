/** Power cuts at every operation of the calls on directories, on a disk that lies. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import {
  batch,
  type Engine,
  IoError,
  makeDirectory,
  makeDirectorySync,
  moveFile,
  removeFile,
  removeTree,
} from 'holdfast';
import { type CrashScenario, crashEverywhere, simulatedDisk } from 'holdfast/testing';
import { Code, errnoOf, type Operation } from '#holdfast/platform.js';

type Disk = ReturnType<typeof simulatedDisk>;

function textAt(disk: Disk, path: string): string | undefined {
  const bytes = disk.read(path);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}

/** Runs a scenario with names lost in order, and with any of them lost. */
async function everywhere(scenario: CrashScenario): Promise<void> {
  for (const names of ['in order', 'any'] as const) {
    const { stateCount } = await crashEverywhere({ limit: 300, ...scenario, names, seed: 7 });
    ok(stateCount > 10, `${stateCount} states`);
  }
}

test('makeDirectory() that resolved keeps every level', () =>
  everywhere({
    prepare: (disk) => disk.makeDirectory('/home'),
    run: ({ engine }) => makeDirectory('/home/a/b/c/d', { engine }),
    check: (state, isDone) => {
      if (isDone) deepEqual(state.list('/home/a/b/c/d'), []);
    },
  }));

test('makeDirectory() keeps a level that another maker had made and not synced', async () => {
  const disk = simulatedDisk(3);
  const { engine } = disk;
  await makeDirectory('/a', { engine, durable: false });
  await makeDirectory('/a', { engine });
  deepEqual(disk.crash({ keep: 'none' }).list('/a'), []);
});

test('removeFile() and removeTree() that resolved leave nothing behind', () =>
  everywhere({
    prepare: (disk) => {
      for (const name of ['file', 'tree/one', 'tree/a/two', 'tree/a/b/three'])
        disk.put(`/${name}`, 'x');
    },
    run: async ({ engine }) => {
      await removeFile('/file', { engine });
      await removeTree('/tree', { engine });
    },
    check: (state, isDone) => {
      if (isDone) deepEqual(state.list('/'), []);
    },
  }));

test('moveFile() leaves the new name, before it the old one, never neither', () =>
  everywhere({
    prepare: (disk) => {
      disk.put('/here/file', 'content');
      disk.put('/there/file', 'replaced');
    },
    run: ({ engine }) => moveFile('/here/file', '/there/file', { engine }),
    check: (state, isDone) => {
      const here = textAt(state, '/here/file');
      const there = textAt(state, '/there/file');
      ok(there === 'content' || here === 'content', 'the content is somewhere');
      ok(there !== undefined, 'the target is never empty');
      if (isDone) deepEqual([here, there], [undefined, 'content']);
    },
  }));

test('batch() that resolved keeps all of it', () =>
  everywhere({
    prepare: (disk) => {
      disk.put('/old', 'old');
      disk.put('/moving', 'moving');
    },
    run: ({ engine }) =>
      batch({ engine })
        .makeDirectory('/a/b')
        .write('/a/b/one', 'one')
        .write('/a/two', 'two')
        .copy('/moving', '/a/copy')
        .move('/moving', '/a/b/moved')
        .remove('/old')
        .run(),
    check: (state, isDone) => {
      const one = textAt(state, '/a/b/one');
      ok(one === undefined || one === 'one', 'never torn');
      if (!isDone) return;
      deepEqual(state.list('/'), ['a']);
      deepEqual(state.list('/a'), ['b', 'copy', 'two']);
      deepEqual(state.list('/a/b'), ['moved', 'one']);
      equal(one, 'one');
      equal(textAt(state, '/a/b/moved'), 'moving');
    },
  }));

test('batch() keeps what it wrote through a symbolic link', () =>
  everywhere({
    prepare: (disk) => {
      disk.put('/far/away/file', 'old');
      disk.makeLink('/link', 'far/away/file');
    },
    run: ({ engine }) => batch({ engine }).write('/link', 'new').run(),
    check: (state, isDone) => {
      const text = textAt(state, '/far/away/file');
      if (isDone) equal(text, 'new');
      else ok(text === 'old' || text === 'new', text);
    },
  }));

test('batch() that failed keeps what it says is done', () =>
  everywhere({
    run: async ({ engine }) => {
      const changes = batch({ engine }).write('/one', 'one').makeDirectory('/two').remove('/none');
      const error = await changes.run().then(undefined, (thrown) => thrown);
      if (!(error instanceof IoError)) throw error;
      equal((error as IoError & { completedDurable: boolean }).completedDurable, true);
    },
    check: (state, isDone) => {
      if (isDone) deepEqual(state.list('/'), ['one', 'two']);
    },
  }));

/** What each call does on a disk, and what stands before. */
const CALLS: readonly [name: string, run: (engine: Engine) => Promise<unknown>][] = [
  ['makeDirectory', (engine) => makeDirectory('/home/a/b', { engine })],
  ['removeFile', (engine) => removeFile('/home/file', { engine })],
  ['removeTree', (engine) => removeTree('/home', { engine })],
  ['moveFile', (engine) => moveFile('/home/file', '/home/tree/file', { engine })],
  ['batch', (engine) => batch({ engine }).write('/home/file', 'x').remove('/home/tree/one').run()],
];

for (const [name, run] of CALLS) {
  test(`${name}() tells each refusal of an operation and leaves nothing open`, async () => {
    for (const code of ['EIO', 'ENOSPC', 'EACCES']) {
      let n = 1;
      for (; n < 60; n++) {
        const disk = simulatedDisk(1);
        for (const path of ['file', 'tree/one', 'tree/deep/two']) disk.put(`/home/${path}`, 'x');
        const fault = disk.refuseNth(n, code);
        const error = await run(disk.engine).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        if (fault.struckCount === 0) break;
        if (error !== undefined) {
          ok(error instanceof IoError, `${n}: ${error}`);
          ok(error.step !== undefined && error.path !== undefined, `${n} tells where`);
          equal(error.code, code);
        }
        deepEqual(disk.openDescriptors, [], `${name} refused at ${n}`);
      }
      ok(n > 4, `only ${n} operations`);
    }
  });
}

test('a refused sync of a directory is told as unknown', async () => {
  for (const [, run] of CALLS) {
    const disk = simulatedDisk(1);
    for (const path of ['file', 'tree/one']) disk.put(`/home/${path}`, 'x');
    disk.refuseNth(1, 'EIO', { operations: ['Sync'], sticky: true });
    await rejects(run(disk.engine), { code: 'EIO' });
  }
  const disk = simulatedDisk(1);
  disk.refuseNth(1, 'EIO', { operations: ['Sync'] });
  await rejects(makeDirectory('/a', { engine: disk.engine }), { durable: 'unknown' });
  const other = simulatedDisk(1);
  other.refuseNth(1, 'EINVAL', { operations: ['Sync'] });
  const report = makeDirectorySync('/a', { engine: other.engine });
  deepEqual(report.fallbacks, [{ what: 'directory sync', reason: 'EINVAL' }]);
  equal(report.durability, 'none');
});

test('moveFile() across file systems keeps the old name until the copy is durable', () =>
  everywhere({
    prepare: (disk) => {
      disk.put('/here/file', 'content');
      disk.makeDirectory('/there');
    },
    run: (disk) => moveFile('/here/file', '/there/file', { engine: acrossDevices(disk.engine) }),
    check: (state, isDone) => {
      const here = textAt(state, '/here/file');
      const there = textAt(state, '/there/file');
      ok(here === 'content' || there === 'content', `lost: ${here}, ${there}`);
      ok(there === undefined || there === 'content', 'never torn');
      if (isDone) deepEqual([here, there], [undefined, 'content']);
    },
  }));

test('moveFile() of links and trees across file systems keeps one of the two', () =>
  everywhere({
    limit: 100,
    prepare: (disk) => {
      disk.makeLink('/here/link', 'somewhere');
      disk.put('/here/tree/a/file', 'content');
      disk.makeDirectory('/there');
    },
    run: async (disk) => {
      const engine = acrossDevices(disk.engine);
      await moveFile('/here/link', '/there/link', { engine });
      await moveFile('/here/tree', '/there/tree', { engine });
    },
    check: (state, isDone) => {
      const link = state.target('/here/link') ?? state.target('/there/link');
      equal(link, 'somewhere');
      const old = textAt(state, '/here/tree/a/file');
      const moved = textAt(state, '/there/tree/a/file');
      ok(old === 'content' || moved === 'content', `lost: ${old}, ${moved}`);
      if (!isDone) return;
      deepEqual(state.list('/here'), []);
      deepEqual(state.list('/there'), ['link', 'tree']);
    },
  }));

/** As if the directories were on two file systems: no rename from one to the other. */
function acrossDevices(engine: Engine): Engine {
  const performs = (head: Operation): boolean => {
    const { code, place, place2 } = head;
    const isAcross = (place?.path ?? '').startsWith('/here') && place2?.path.startsWith('/there');
    if (code !== Code.Rename || !isAcross) return true;
    head.result = errnoOf('EXDEV');
    return false;
  };
  return Object.create(engine, {
    capabilities: { value: engine.capabilities },
    name: { value: engine.name },
    submit: {
      value: (head: Operation, waiter: { settle(): void; fail?(error: unknown): void }) => {
        if (performs(head)) engine.submit(head, waiter);
        else queueMicrotask(() => waiter.settle());
      },
    },
    stats: { value: () => engine.stats() },
    now: { value: () => engine.now?.() },
    randomName: { value: () => engine.randomName?.() },
  }) as Engine;
}

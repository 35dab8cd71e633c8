/** Replaces beside each other: syncs of directories that are shared, and many files in one call. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type IoError,
  makeDirectorySync,
  openFileSync,
  type ReplaceEntry,
  ReplaceFilesError,
  type ReplaceFilesOptions,
  type ReplaceReport,
  replaceFile,
  replaceFiles,
  replaceFilesSync,
} from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import type { Engine, Waiter } from '#holdfast/engine.js';
import { Code, type Operation } from '#holdfast/platform.js';
import { FaultyEngine, type Judge } from './replace/faulty.js';
import { onEngines, pieces, reports, temporaries, wordsFor } from './replace/worlds.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratchInMemory,
} from './support/scratch.js';

/** An engine that notes when names are given and when directories are synced. */
class Noting extends FaultyEngine {
  readonly notes: string[] = [];

  constructor(inner: Engine, judge: Judge = () => undefined) {
    const files = new Set<number>();
    const noted: Judge = (operation, index) => {
      const word = wordFor(operation, files);
      if (word !== undefined) this.notes.push(word);
      return judge(operation, index);
    };
    super(inner, noted);
  }
}

function wordFor({ code, fd, place2 }: Operation, files: Set<number>): string | undefined {
  if (code === Code.Write) files.add(fd);
  if (code === Code.Close) files.delete(fd);
  if (code === Code.Rename || code === Code.Link) return `name ${place2?.name}`;
  return code === Code.Sync ? (files.has(fd) ? 'file' : 'directory') : undefined;
}

onEngines('replaceFile() beside others shares the sync of the directory', async (t, inner) => {
  const directory = scratchInMemory(t);
  await replaceFile(join(directory, 'warm'), 'x', { engine: inner });
  const before = openDescriptors();
  const engine = new Noting(inner);
  const all = Array.from({ length: 40 }, (_, at) =>
    replaceFile(join(directory, `${at}`), `content ${at}`, { engine, sweep: false }),
  );
  for (const report of await Promise.all(all)) {
    reports(report, { durability: 'full', method: 'rename', fallbacks: [] });
  }
  const syncs = engine.notes.filter((note) => note === 'directory').length;
  ok(syncs < 25, `${syncs} syncs of the directory for 40 files`);
  for (let at = 0; at < 40; at++) {
    const last = engine.notes.lastIndexOf('directory');
    ok(engine.notes.indexOf(`name ${at}`) < last);
    equal(readFileSync(join(directory, `${at}`), 'latin1'), `content ${at}`);
  }
  deepEqual([...engine.open], []);
  assertNoNewDescriptors(before);
});

/*
 * What a shared sync must never do: cover a name that was given after it began. The disk forgets
 * whatever was not synced the moment a promise resolves.
 */
test('a replace beside others is durable when it resolves, for every crash', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const disk = simulatedDisk(seed, { reorderCompletions: true });
    const { engine } = disk;
    /* Two directories never share a sync. */
    for (const directory of ['/a', '/b']) makeDirectorySync(directory, { engine });
    const count = 1 + (seed % 12);
    const names = Array.from({ length: count }, (_, at) => `/${'ab'[at % 2]}/file${at}`);
    const checks = names.map(async (path, at) => {
      for (let turn = 0; turn < 3; turn++) {
        await replaceFile(path, `${at} ${turn}`, { engine });
        const after = disk.crash({ keep: 'none' }).engine;
        equal(textOn(after, path), `${at} ${turn}`, `seed ${seed}, ${path}, turn ${turn}`);
      }
    });
    await Promise.all(checks);
  }
});

function textOn(engine: Engine, path: string): string {
  const file = openFileSync(path, { engine });
  const text = Buffer.from(file.readAllSync()).toString('latin1');
  file.closeSync();
  return text;
}

/** Tells of a run that syncs long after it was done. */
class Slow extends Noting {
  override submit(head: Operation, waiter: Waiter): void {
    let syncs = false;
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      syncs ||= at.code === Code.Sync;
    }
    const settle = (): void => void setTimeout(() => waiter.settle(), 100);
    super.submit(head, syncs ? { settle } : waiter);
  }
}

/* The moment is made: names are given while a sync is under way that began before. */
onEngines('a name given while a sync is under way waits for the next', async (t, inner) => {
  const directory = scratchInMemory(t);
  await replaceFile(join(directory, 'warm'), 'x', { engine: inner });
  const engine = new Slow(inner);
  const all = Array.from({ length: 12 }, async (_, at) => {
    await new Promise((resolve) => setTimeout(resolve, at * 4));
    await replaceFile(join(directory, `${at}`), 'x', { engine, sweep: false });
    engine.notes.push(`done ${at}`);
  });
  await Promise.all(all);
  ok(engine.notes.filter((note) => note === 'directory').length < 12, 'some were shared');
  for (let at = 0; at < 12; at++) {
    const { notes } = engine;
    const named = notes.indexOf(`name ${at}`);
    const between = notes.slice(named, notes.indexOf(`done ${at}`));
    ok(between.includes('directory'), `no sync began between ${at}'s name and its end`);
  }
});

onEngines('a failed shared sync is told to all who waited for it', async (t, inner) => {
  const directory = scratchInMemory(t);
  const engine: Noting = new Noting(inner, ({ code }) =>
    code === Code.Sync && engine.notes.at(-1) === 'directory' ? { refuse: 'EIO' } : undefined,
  );
  const all = Array.from({ length: 10 }, (_, at) =>
    replaceFile(join(directory, `${at}`), 'x', { engine, sweep: false }),
  );
  for (const outcome of await Promise.allSettled(all)) {
    equal(outcome.status, 'rejected');
    const { code, durable, step } = (outcome as PromiseRejectedResult).reason as IoError;
    deepEqual([code, durable, step], ['EIO', 'unknown', 'sync the directory']);
  }
  deepEqual([...engine.open], []);
});

onEngines('one that fails beside others fails alone', async (t, inner) => {
  const directory = scratchInMemory(t);
  for (const refuse of ['EIO', 'ENOSPC']) {
    for (const code of [Code.Open, Code.Write, Code.SetMode, Code.Sync, Code.Rename]) {
      let count = 0;
      const judge: Judge = (operation) =>
        operation.code === code && count++ === 7 ? { refuse } : undefined;
      const engine = new FaultyEngine(inner, judge);
      const all = Array.from({ length: 12 }, (_, at) =>
        replaceFile(join(directory, `${at}`), `${refuse} ${code}`, { engine }),
      );
      const failed = (await Promise.allSettled(all)).filter(({ status }) => status === 'rejected');
      ok(failed.length <= 12);
      if (code !== Code.Sync && code !== Code.Open) equal(failed.length, 1, `${code}`);
      deepEqual(temporaries(directory), []);
      deepEqual([...engine.open], []);
    }
  }
});

/* ------------------------------------------------------------------------------- batches */

type Many = (
  entries: Iterable<ReplaceEntry>,
  options?: ReplaceFilesOptions,
) => Promise<readonly ReplaceReport[]>;

/** One test for each face on each engine. */
function batches(
  criterion: string,
  run: (t: TestContext, many: Many, inner: Engine) => Promise<void>,
): void {
  onEngines(`replaceFiles() ${criterion}`, (t, inner) =>
    run(t, (entries, options) => replaceFiles(entries, { engine: inner, ...options }), inner),
  );
  const sync = (inner: Engine): Many => {
    return async (entries, options) => replaceFilesSync(entries, { engine: inner, ...options });
  };
  onEngines(
    `replaceFilesSync() ${criterion}`,
    (t, inner) => run(t, sync(inner), inner),
    wordsFor('replaceFilesSync'),
  );
}

batches(
  'syncs all files, names them in order, syncs each directory once',
  async (t, many, inner) => {
    const root = scratchInMemory(t);
    for (const name of ['a', 'b']) mkdirSync(join(root, name));
    symlinkSync('a', join(root, 'also-a'));
    await many([{ path: join(root, 'warm'), data: '' }]);
    const before = openDescriptors();
    const paths = Array.from({ length: 100 }, (_, at) => `${['a', 'b', 'also-a'][at % 3]}/${at}`);
    const engine = new Noting(inner);
    const entries = paths.map((path, at) => ({ path: join(root, path), data: `content ${at}` }));
    const told = await many(entries, { engine, sweep: false });
    deepEqual(
      told.map(({ path }) => path),
      entries.map(({ path }) => path),
    );
    for (const report of told) reports(report, { durability: 'full', fallbacks: [] });
    const expected = [
      ...paths.map(() => 'file'),
      ...paths.map((path) => `name ${path.split('/')[1]}`),
      'directory',
      'directory',
    ];
    deepEqual(engine.notes, expected);
    for (const { path, data } of entries) equal(readFileSync(path, 'latin1'), data);
    const opens = engine.asked.filter((code) => code === Code.Open).length;
    equal(opens, 100 + 3, 'each directory is opened once for each of its spellings');
    deepEqual([...engine.open], []);
    assertNoNewDescriptors(before);
  },
);

batches('takes options for each file, links, and nothing at all', async (t, many) => {
  const root = scratchInMemory(t);
  deepEqual(await many([]), []);
  mkdirSync(join(root, 'there'));
  writeFileSync(join(root, 'there/target'), 'old');
  symlinkSync('there/target', join(root, 'link'));
  const told = await many([
    { path: join(root, 'link'), data: 'through' },
    { path: join(root, 'text'), data: 'ü', encoding: 'latin1', mode: 0o600 },
    { path: join(root, 'absent'), data: [Buffer.from('a'), Buffer.from('b')], ifAbsent: true },
    { path: join(root, 'twice'), data: 'one' },
    { path: join(root, 'twice'), data: 'two' },
  ]);
  equal(readFileSync(join(root, 'there/target'), 'latin1'), 'through');
  deepEqual([...readFileSync(join(root, 'text'))], [0xfc]);
  equal(readFileSync(join(root, 'absent'), 'latin1'), 'ab');
  equal(readFileSync(join(root, 'twice'), 'latin1'), 'two');
  deepEqual(
    told.map(({ bytes }) => bytes),
    [7, 1, 2, 3, 3],
  );
  assertHoldsOnly(root, ['absent', 'link', 'text', 'there', 'twice']);
});

batches('changes nothing when one file cannot be made', async (t, many, inner) => {
  const root = scratchInMemory(t);
  for (let at = 0; at < 90; at++) writeFileSync(join(root, `${at}`), 'old');
  const entries = Array.from({ length: 90 }, (_, at) => ({
    path: join(root, `${at}`),
    data: 'new',
  }));
  await many([{ path: join(root, '0'), data: 'old' }]);
  const before = openDescriptors();
  for (const [code, step] of [
    [Code.Open, 'create the temporary file'],
    [Code.Write, 'write'],
    [Code.SetMode, 'set the mode'],
    [Code.Sync, 'sync the file'],
  ] as const) {
    let count = 0;
    const judge: Judge = (operation) =>
      operation.code === code && count++ === 70 ? { refuse: 'ENOSPC' } : undefined;
    const engine = new FaultyEngine(inner, judge);
    await rejects(many(entries, { engine }), (error: ReplaceFilesError) => {
      ok(error instanceof ReplaceFilesError, String(error));
      deepEqual([error.code, error.step, error.replacedCount], ['ENOSPC', step, 0]);
      equal(error.durable, 'old');
      ok(error.path?.endsWith(`/${error.index}`));
      return true;
    });
    for (const { path } of entries) equal(readFileSync(path, 'latin1'), 'old');
    equal(readdirSync(root).length, 90);
    deepEqual([...engine.open], []);
  }
  const wrong = [...entries, { path: root, data: 'x' }];
  await rejects(many(wrong), { code: 'EISDIR', index: 90, replacedCount: 0 });
  await rejects(many([...entries, { path: join(root, 'x'), data: 7 as never }]), {
    name: 'TypeError',
  });
  await rejects(many([{ path: '', data: 'x' }]), /entries\[0\]\.path/);
  await rejects(many([7 as never]), /entries\[0\]/);
  await rejects(many(7 as never), /entries/);
  for (const { path } of entries) equal(readFileSync(path, 'latin1'), 'old');
  assertNoNewDescriptors(before);
});

batches('stops at a refused name: the first files are new', async (t, many, inner) => {
  const root = scratchInMemory(t);
  for (const stop of [0, 1, 40, 69]) {
    for (let at = 0; at < 70; at++) writeFileSync(join(root, `${at}`), 'old');
    const entries = Array.from({ length: 70 }, (_, at) => ({
      path: join(root, `${at}`),
      data: 'new',
    }));
    let count = 0;
    const judge: Judge = ({ code }) =>
      code === Code.Rename && count++ === stop ? { refuse: 'EPERM' } : undefined;
    const engine = new Noting(inner, judge);
    await rejects(many(entries, { engine, sweep: false }), (error: ReplaceFilesError) => {
      const { index, replacedCount, durable, step } = error;
      deepEqual([index, replacedCount, durable, step], [stop, stop, 'old', 'rename']);
      return true;
    });
    for (const [at, { path }] of entries.entries()) {
      equal(readFileSync(path, 'latin1'), at < stop ? 'new' : 'old');
    }
    const last = engine.notes.at(-1);
    equal(last, stop === 0 ? 'name 0' : 'directory', 'what was named is synced all the same');
    equal(readdirSync(root).length, 70);
    deepEqual([...engine.open], []);
  }
});

batches('tells a failed sync of a directory as unknown', async (t, many, inner) => {
  const root = scratchInMemory(t);
  for (const name of ['a', 'b']) mkdirSync(join(root, name));
  const entries = ['a/1', 'a/2', 'b/1', 'b/2'].map((name) => ({
    path: join(root, name),
    data: 'new',
  }));
  let directories = 0;
  const engine: Noting = new Noting(inner, ({ code }) => {
    const isDirectory = code === Code.Sync && engine.notes.at(-1) === 'directory';
    return isDirectory && ++directories === 2 ? { refuse: 'EIO' } : undefined;
  });
  await rejects(many(entries, { engine, sweep: false }), (error: ReplaceFilesError) => {
    deepEqual([error.index, error.replacedCount, error.durable], [2, 4, 'unknown']);
    return true;
  });
  equal(directories, 2);
  deepEqual([...engine.open], []);
});

onEngines('replaceFiles() takes streams, and aborts before the first name', async (t, engine) => {
  const root = scratchInMemory(t);
  const path = (name: string): string => join(root, name);
  const told = await replaceFiles(
    [
      { path: path('a'), data: pieces('a', 'b') },
      { path: path('b'), data: 'plain' },
      { path: path('c'), data: pieces() },
    ],
    { engine },
  );
  deepEqual(
    told.map(({ bytes }) => bytes),
    [2, 5, 0],
  );
  equal(readFileSync(path('a'), 'latin1'), 'ab');
  const broken = (async function* () {
    yield 'half';
    throw new Error('the source broke');
  })();
  const entries = [
    { path: path('a'), data: 'new' },
    { path: path('d'), data: broken },
  ];
  await rejects(replaceFiles(entries, { engine }), { message: 'the source broke' });
  const controller = new AbortController();
  const aborting = (async function* () {
    yield 'half';
    controller.abort();
    yield 'more';
  })();
  const { signal } = controller;
  const stopped = [
    { path: path('a'), data: 'new' },
    { path: path('d'), data: aborting },
  ];
  await rejects(replaceFiles(stopped, { engine, signal }), { name: 'AbortError' });
  const hanging = {
    path: path('d'),
    data: (async function* () {
      await new Promise(() => undefined);
      yield '';
    })(),
  };
  const late = replaceFiles([hanging], { engine, timeoutMs: 10 });
  await rejects(late, { kind: 'timeout' });
  equal(readFileSync(path('a'), 'latin1'), 'ab');
  assertHoldsOnly(root, ['a', 'b', 'c']);
});

onEngines('replaceFiles() takes its turn among replaces of the same paths', async (t, engine) => {
  const root = scratchInMemory(t);
  const [a, b] = [join(root, 'a'), join(root, 'b')];
  const order: string[] = [];
  const note = (word: string) => (): void => void order.push(word);
  await Promise.all([
    replaceFile(a, pieces('1', '1'), { engine }).then(note('1')),
    replaceFiles(
      [
        { path: a, data: '2' },
        { path: b, data: '2' },
      ],
      { engine },
    ).then(note('2')),
    replaceFiles(
      [
        { path: b, data: '3' },
        { path: a, data: '3' },
      ],
      { engine },
    ).then(note('3')),
    replaceFile(b, '4', { engine }).then(note('4')),
  ]);
  deepEqual(order, ['1', '2', '3', '4']);
  deepEqual([readFileSync(a, 'latin1'), readFileSync(b, 'latin1')], ['3', '4']);
});

test('replaceFiles() on a simulated disk leaves each file old or new at every crash', async () => {
  for (let at = 1; ; at++) {
    const disk = simulatedDisk(at);
    const names = ['/a', '/b', '/c'];
    replaceFilesSync(
      names.map((path) => ({ path, data: 'old' })),
      { engine: disk.engine },
    );
    disk.crashAt(at);
    let isDone = false;
    try {
      replaceFilesSync(
        names.map((path) => ({ path, data: 'new' })),
        { engine: disk.engine },
      );
      isDone = true;
    } catch (error) {
      equal((error as Error).name, 'SimulatedCrash');
    }
    const after = disk.crash().engine;
    for (const path of names) {
      const text = textOn(after, path);
      ok(text === 'new' || (text === 'old' && !isDone), `${text} after operation ${at}`);
    }
    if (isDone) break;
  }
});

/**
 * The shape of write-file-atomic 7 over a durable replace. The comments in quotation marks are
 * what its README promises.
 */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { configure, IoError, type WriteFileAtomic, writeFileAtomic } from 'holdfast';
import defaultExport, { writeFileAtomic as named } from 'holdfast/write-file-atomic';
import { defaultEngine } from '#holdfast/engine.js';
import {
  type EngineWord,
  engineHere,
  engineWords,
  modeAt,
  needsRoot,
  temporaries,
} from './replace/worlds.js';
import { outputOf, runChild } from './support/child.js';
import { assertHoldsOnly, scratch, type Test } from './support/scratch.js';
import { callsBetween, markSource, traceFor } from './support/strace.js';

type Data = Parameters<WriteFileAtomic>[1];
type Options = Parameters<WriteFileAtomic['sync']>[2];
type Write = (path: string, data: Data, options?: Options) => Promise<void>;

const shapes: Readonly<Record<string, Write>> = {
  'writeFileAtomic()': (path, data, options) => writeFileAtomic(path, data, options),
  'writeFileAtomic() with a callback': (path, data, options) =>
    new Promise((resolve, reject) => {
      writeFileAtomic(path, data, options, (error) => (error ? reject(error) : resolve()));
    }),
  'writeFileAtomic.sync()': async (path, data, options) =>
    writeFileAtomic.sync(path, data, options),
};

/** Runs with an engine as the default one: the shape has no option for it. */
async function onEngine(word: EngineWord, run: () => void | Promise<void>): Promise<void> {
  const before = defaultEngine().name as EngineWord;
  configure({ engine: word });
  try {
    await run();
  } finally {
    configure({ engine: before });
  }
}

function inEveryShape(criterion: string, run: (t: Test, write: Write) => Promise<void>): void {
  for (const word of engineWords) {
    for (const [name, write] of Object.entries(shapes)) {
      if (name.endsWith('.sync()') && word === 'ring') continue;
      test(`${name} ${criterion} (${word})`, async (t) => {
        const engine = engineHere(word);
        if (typeof engine !== 'string') return onEngine(word, () => run(t, write));
        t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
        t.skip(engine);
      });
    }
  }
}

inEveryShape('writes text and views', async (t, write) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  await write(path, 'grün');
  equal(readFileSync(path, 'utf8'), 'grün');
  await write(path, Buffer.from([0, 255]));
  deepEqual([...readFileSync(path)], [0, 255]);
  await write(path, new Uint8Array([7]));
  equal(statSync(path).size, 1);
  await write(path, '');
  equal(statSync(path).size, 0);
  assertHoldsOnly(directory, ['file']);
});

/*
 * write-file-atomic 7 and atomically 2 write 100 of the 800 bytes of this array: elements counted
 * as bytes. What guards it: any view is its bytes.
 */
inEveryShape('writes all bytes of a Float64Array', async (t, write) => {
  const path = join(scratch(t), 'file');
  const numbers = Float64Array.from({ length: 100 }, (_, index) => index / 7);
  await write(path, numbers);
  const bytes = readFileSync(path);
  equal(bytes.length, 800);
  deepEqual(bytes, Buffer.from(numbers.buffer));
});

/* "If `options` is a String, it's assumed to be the `encoding` option. The `encoding` option is
 * ignored if `data` is a buffer. It defaults to 'utf8'." */
inEveryShape('takes an encoding, as an option or in its place', async (t, write) => {
  const path = join(scratch(t), 'file');
  for (const options of ['latin1', { encoding: 'latin1' }] as const) {
    await write(path, 'grün', options);
    deepEqual([...readFileSync(path)], [...Buffer.from('grün', 'latin1')]);
    await write(path, Buffer.from('grün'), options);
    equal(readFileSync(path, 'utf8'), 'grün');
  }
  for (const options of [undefined, null, {}, { encoding: null }, { encoding: undefined }]) {
    await write(path, 'ü', options);
    equal(readFileSync(path, 'utf8'), 'ü');
  }
  await rejects(write(path, 'x', 'utf-9' as 'utf8'), { name: 'TypeError' });
});

/* "If `mode` is not specified, it will default to using the permissions from an existing file, if
 * any. Explicitly setting this to `false` removes this default, resulting in a file created with
 * the system default permissions." */
inEveryShape('keeps, sets or leaves the mode', async (t, write) => {
  const path = join(scratch(t), 'file');
  const standard = 0o666 & ~process.umask();
  await write(path, 'new');
  equal(modeAt(path), standard);
  chmodSync(path, 0o640);
  await write(path, 'kept');
  equal(modeAt(path), 0o640);
  for (const none of [undefined, null]) {
    await write(path, 'kept', { mode: none });
    equal(modeAt(path), 0o640);
  }
  await write(path, 'set', { mode: 0o755 });
  equal(modeAt(path), 0o755);
  await write(path, 'left', { mode: false });
  equal(modeAt(path), standard);
  /* Programs pass on what stat(2) told, the kind of file with it. */
  writeFileSync(`${path}2`, '', { mode: 0o700 });
  await write(path, 'taken over', { mode: statSync(`${path}2`).mode });
  equal(modeAt(path), 0o700);
});

/* "If `chown` is not specified it will default to using the owner of the previous file. To prevent
 * chown from being ran you can also pass `false`, in which case the file will be created with the
 * current user's credentials." "... requires both `uid` and `gid` properties or else you'll get
 * an error." */
inEveryShape('keeps, sets or leaves the owner', async (t, write) => {
  if (!needsRoot(t as never)) return;
  const path = join(scratch(t), 'file');
  const owner = (): number[] => [statSync(path).uid, statSync(path).gid];
  writeFileSync(path, 'old');
  chownSync(path, 1, 2);
  await write(path, 'kept');
  deepEqual(owner(), [1, 2]);
  await write(path, 'kept', { chown: null });
  deepEqual(owner(), [1, 2]);
  await write(path, 'set', { chown: { uid: 3, gid: 4 } });
  deepEqual(owner(), [3, 4]);
  await write(path, 'left', { chown: false });
  deepEqual(owner(), [process.getuid?.(), process.getgid?.()]);
  for (const half of [{ uid: 1 }, { gid: 1 }]) {
    await rejects(write(path, 'x', { chown: half as { uid: number; gid: number } }));
  }
  equal(readFileSync(path, 'latin1'), 'left');
});

/* "If the `tmpfileCreated` option is specified it will be called with the name of the tmpfile when
 * created." */
inEveryShape('tells the name of its temporary file', async (t, write) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  let told = '';
  const tmpfileCreated = (name: string): void => {
    told = name;
    ok(existsSync(name));
    deepEqual([`${directory}/${temporaries(directory)}`], [name]);
  };
  await write(path, 'new', { tmpfileCreated });
  ok(told.startsWith(`${directory}/`));
  ok(!existsSync(told));
  equal(readFileSync(path, 'latin1'), 'new');
  const failing = (): void => {
    throw new Error('not this name');
  };
  await rejects(write(path, 'x', { tmpfileCreated: failing }), { message: 'not this name' });
  equal(readFileSync(path, 'latin1'), 'new');
  assertHoldsOnly(directory, ['file']);
});

/* "If it encounters errors at any of these steps it will attempt to unlink the temporary file and
 * then pass the error back to the caller." */
inEveryShape('passes errors on and leaves nothing', async (t, write) => {
  const directory = scratch(t);
  await rejects(write(join(directory, 'missing/file'), 'x'), (error) => {
    ok(error instanceof IoError);
    deepEqual([error.code, error.durable], ['ENOENT', 'old']);
    return true;
  });
  await rejects(write(directory, 'x'), { code: 'EISDIR' });
  await rejects(write('', 'x'), { name: 'TypeError' });
  await rejects(write(join(directory, 'file'), {} as unknown as string), { name: 'TypeError' });
  await rejects(write(join(directory, 'file'), 'x', 7 as unknown as 'utf8'), { name: 'TypeError' });
  assertHoldsOnly(directory, []);
});

/* The package writes `String(data)` of what is no view, and an empty file for nothing. */
inEveryShape('writes nothing for nothing and numbers as text', async (_t, write) => {
  const path = join(scratch(_t), 'file');
  for (const [data, text] of [
    [undefined, ''],
    [null, ''],
    [42, '42'],
    [0, '0'],
    [true, 'true'],
    [10n, '10'],
  ] as const) {
    writeFileSync(path, 'old');
    await write(path, data);
    equal(readFileSync(path, 'latin1'), text);
  }
  for (const data of [{}, () => 'x', Symbol('x'), ['a', 'b']]) {
    await rejects(write(path, data as unknown as string), { name: 'TypeError' });
  }
});

/* Its own tests pass `mode: '0777'`. */
inEveryShape('takes a mode as octal digits', async (t, write) => {
  const path = join(scratch(t), 'file');
  await write(path, 'x', { mode: '0741' });
  equal(modeAt(path), 0o741);
  for (const mode of ['rwx', '', '0o644', '9']) {
    await rejects(write(path, 'x', { mode }), { code: 'ERR_INVALID_ARG_VALUE' });
  }
});

/* Who may not give files away keeps them: graceful-fs and the package let EPERM pass. */
for (const word of engineWords) {
  test(`writeFileAtomic() goes on where it may not change the owner (${word})`, async (t) => {
    const engine = engineHere(word);
    if (typeof engine === 'string') return t.skip(engine);
    if (!needsRoot(t)) return;
    const directory = scratch(t);
    chmodSync(directory, 0o777);
    const source = `
      import { configure, writeFileAtomic } from 'holdfast';
      configure({ engine: '${word}' });
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      const chown = { uid: 1, gid: 2 };
      await writeFileAtomic(process.argv[1] + '/a', 'a', { chown });
      writeFileAtomic.sync(process.argv[1] + '/b', 'b', { chown, mode: '0640' });
      writeFileAtomic(process.argv[1] + '/c', 'c', { chown }, (error) => console.log(error));`;
    equal(await outputOf({ source, args: [directory] }), 'null\n');
    for (const name of ['a', 'b', 'c']) {
      equal(readFileSync(join(directory, name), 'latin1'), name);
      equal(statSync(join(directory, name)).uid, 65534);
    }
    equal(modeAt(join(directory, 'b')), 0o640);
  });
}

/* "the temporary file is removed" also when the program ends in between. */
test('writeFileAtomic() leaves no temporary file behind process.exit()', async (t) => {
  const directory = scratch(t);
  const source = `
    import { writeFileAtomic } from 'holdfast';
    const path = process.argv[1];
    let created = 0;
    const tmpfileCreated = () => {
      if (++created < 5) return new Promise(() => {});
      console.log(created);
      process.exit(0);
    };
    for (let at = 0; at < 5; at++) writeFileAtomic(path + '/' + at, 'x', { tmpfileCreated });`;
  equal(await outputOf({ source, args: [directory] }), '5\n');
  assertHoldsOnly(directory, []);
});

test('writeFileAtomic() takes a signal and a time limit', async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  const signal = AbortSignal.abort();
  await rejects(writeFileAtomic(path, 'x', { signal }), { name: 'AbortError' });
  const tmpfileCreated = (): Promise<void> => new Promise(() => undefined);
  const late = writeFileAtomic(path, 'x', { tmpfileCreated, timeoutMs: 5 });
  await rejects(late, { code: 'ETIMEDOUT', kind: 'timeout' });
  assertHoldsOnly(directory, []);
});

test('writeFileAtomic() waits for an asynchronous tmpfileCreated', async (t) => {
  const path = join(scratch(t), 'file');
  let isOver = false;
  const tmpfileCreated = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    ok(!existsSync(path));
    isOver = true;
  };
  await writeFileAtomic(path, 'x', { tmpfileCreated });
  ok(isOver);
});

/* "If multiple writes are concurrently issued to the same file, the write operations are put into a
 * queue and serialized in the order they were called." */
test('writeFileAtomic() of one path ends in the order of the calls', async (t) => {
  const directory = scratch(t);
  mkdirSync(join(directory, 'x'));
  const path = join(directory, 'file');
  const ended: number[] = [];
  const all = Array.from({ length: 20 }, (_, turn) => {
    const end = (): void => {
      ended.push(turn);
    };
    /* However it is spelt: the package resolves it. */
    const spelt = turn % 3 === 0 ? `${directory}/./x/..//file` : path;
    if (turn % 2 === 0) return writeFileAtomic(spelt, `${turn}`).then(end);
    return new Promise<void>((resolve) => {
      writeFileAtomic(spelt, `${turn}`, (error) => {
        equal(error, null);
        end();
        resolve();
      });
    });
  });
  await Promise.all(all);
  deepEqual(
    ended,
    ended.map((_, index) => index),
  );
  equal(readFileSync(path, 'latin1'), '19');
});

test('writeFileAtomic() takes a callback third or fourth, and nothing else there', async (t) => {
  const path = join(scratch(t), 'file');
  const called = (run: (back: (error: Error | null) => void) => unknown): Promise<unknown> =>
    new Promise((resolve) => {
      const answer = run(resolve);
      equal(answer, undefined, 'a callback takes the place of the promise');
    });
  equal(await called((back) => writeFileAtomic(path, 'three', back)), null);
  equal(readFileSync(path, 'latin1'), 'three');
  for (const options of [undefined, null, {}, 'utf8'] as const) {
    equal(await called((back) => writeFileAtomic(path, 'four', options, back)), null);
  }
  const refused = await called((back) => writeFileAtomic('', 'x', back));
  ok(refused instanceof TypeError);
  throws(() => writeFileAtomic(path, 'x', {}, 7 as never), { name: 'TypeError' });
});

test('writeFileAtomic() leaves what a callback throws to the program', async (t) => {
  const path = join(scratch(t), 'file');
  const source = `
    import { writeFileAtomic } from 'holdfast';
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
    writeFileAtomic(process.argv[1], 'x', () => { throw new Error('after success'); });
    writeFileAtomic('/missing/file', 'x', (e) => { throw new Error('after ' + e.code); });`;
  const { stdout } = await runChild({ source, args: [path] });
  deepEqual(stdout.trim().split('\n').sort(), ['uncaught after ENOENT', 'uncaught after success']);
});

test("require('holdfast/write-file-atomic') is the function, with sync", async (t) => {
  const directory = scratch(t);
  const required = createRequire(import.meta.url)('holdfast/write-file-atomic') as WriteFileAtomic;
  equal(typeof required, 'function');
  equal(typeof required.sync, 'function');
  await required(join(directory, 'a'), 'a');
  required.sync(join(directory, 'b'), 'b');
  assertHoldsOnly(directory, ['a', 'b']);
  const source = `
    const write = require('holdfast/write-file-atomic');
    write.sync(process.argv[1] + '/c', 'c');
    write(process.argv[1] + '/d', 'd', (error) => console.log(error));`;
  equal(await outputOf({ source: asCommonJs(source), args: [directory] }), 'null\n');
  assertHoldsOnly(directory, ['a', 'b', 'c', 'd']);
});

test('import of holdfast/write-file-atomic gives the function by default and by name', () => {
  equal(defaultExport, writeFileAtomic);
  equal(named, writeFileAtomic);
});

for (const word of engineWords) {
  test(`writeFileAtomic() syncs file and directory, or nothing (${word})`, async (t) => {
    const engine = engineHere(word);
    if (typeof engine === 'string') {
      t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
      return t.skip(engine);
    }
    const directory = scratch(t);
    const source = `${markSource}
      import { configure } from 'holdfast';
      import writeFileAtomic from 'holdfast/write-file-atomic';
      configure({ engine: '${word}' });
      const path = process.argv[1] + '/file';
      mark('synced'); await writeFileAtomic(path, 'a');
      mark('synced too'); writeFileAtomic.sync(path, 'b', { fsync: true });
      mark('neither'); await writeFileAtomic(path, 'c', { fsync: false });
      mark('nor'); writeFileAtomic.sync(path, 'd', { fsync: false });
      mark('end');`;
    const calls = ['fsync', 'fdatasync', 'sync_file_range', 'syncfs', 'sync', 'openat'];
    const trace = await traceFor(t, { source, args: [directory], calls });
    if (trace === undefined) return;
    equal(trace.code, 0, trace.stderr);
    const syncs = (from: string, to: string): boolean[] =>
      callsBetween(trace.calls, from, to)
        .filter(({ name }) => name !== 'openat')
        .map(({ args }) => args.includes('.tmp'));
    deepEqual(syncs('synced', 'synced too'), [true, false], 'the file, then its directory');
    deepEqual(syncs('synced too', 'neither'), [true, false]);
    deepEqual(syncs('neither', 'nor'), []);
    deepEqual(syncs('nor', 'end'), []);
  });
}

/** The text of a CommonJS module as an ES module that runs it. */
function asCommonJs(source: string): string {
  return `import { createRequire } from 'node:module';
    import { join } from 'node:path';
    const require = createRequire(join(process.cwd(), 'script.cjs'));
    ${source}`;
}

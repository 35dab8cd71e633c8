/** Content that comes bit by bit: streams of both kinds, their errors, their pace, their end. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { createReadStream, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type PieceSource, replaceFile } from 'holdfast';
import { onEngines, pieces, temporaries } from './replace/worlds.js';
import { outputOf } from './support/child.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

onEngines('replaceFile() takes a Readable, of bytes and of text', async (t, engine) => {
  const directory = scratch(t);
  const [source, path] = [join(directory, 'source'), join(directory, 'file')];
  const whole = Buffer.alloc(300_001, 'grün \u{1f33f} ');
  writeFileSync(source, whole);
  equal((await replaceFile(path, createReadStream(source), { engine })).bytes, whole.length);
  ok(readFileSync(path).equals(whole));
  const text = createReadStream(source, { encoding: 'utf8', highWaterMark: 1001 });
  await replaceFile(path, text, { engine });
  equal(readFileSync(path, 'utf8'), whole.toString('utf8'));
  await replaceFile(path, Readable.from(['a', Buffer.from('b')]), { engine });
  equal(readFileSync(path, 'latin1'), 'ab');
});

onEngines('replaceFile() takes a Web stream, also one that is no iterable', async (t, engine) => {
  const path = join(scratch(t), 'file');
  await replaceFile(path, new Blob(['from ', 'a blob']).stream() as PieceSource, { engine });
  equal(readFileSync(path, 'latin1'), 'from a blob');
  const parts = ['a', 'b', 'c'];
  let isReleased = false;
  const bare: PieceSource = {
    getReader: () => ({
      read: async () => ({ done: parts.length === 0, value: parts.shift() }),
      cancel: async () => undefined,
      releaseLock: () => {
        isReleased = true;
      },
    }),
  };
  await replaceFile(path, bare, { engine });
  equal(readFileSync(path, 'latin1'), 'abc');
  ok(isReleased);
  const locked = new ReadableStream();
  locked.getReader();
  await rejects(replaceFile(path, locked as PieceSource, { engine }), { name: 'TypeError' });
  equal(readFileSync(path, 'latin1'), 'abc');
});

/*
 * A stream that failed while the directory was being opened had no listener for 'error': the
 * process ended by an uncaught exception. One that was never begun stayed open. What guards it: the
 * source is taken at once and let go of in every case.
 */
onEngines('a stream that fails, early or late, leaves the old', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  await replaceFile(path, 'old', { engine });
  const before = openDescriptors();
  const absent = createReadStream(join(directory, 'absent'));
  await rejects(replaceFile(path, absent, { engine }), { code: 'ENOENT', syscall: 'open' });
  const early = new Readable({ read: () => undefined });
  early.destroy(new Error('early'));
  await rejects(replaceFile(path, early, { engine }), { message: 'early' });
  const late = Readable.from(
    (async function* () {
      yield Buffer.alloc(100_000);
      throw new Error('late');
    })(),
  );
  await rejects(replaceFile(path, late, { engine }), { message: 'late' });
  const web = new ReadableStream({
    pull: (controller) => controller.error(new Error('web')),
  });
  await rejects(replaceFile(path, web as PieceSource, { engine }), { message: 'web' });
  equal(readFileSync(path, 'latin1'), 'old');
  assertHoldsOnly(directory, ['file']);
  assertNoNewDescriptors(before);
});

onEngines('a stream waiting for its turn may fail meanwhile', async (t, engine) => {
  const path = join(scratch(t), 'file');
  const first = replaceFile(path, pieces('a', 'b', 'c', 'd'), { engine });
  const source = new Readable({ read: () => undefined });
  const second = replaceFile(path, source, { engine });
  source.destroy(new Error('while waiting'));
  await rejects(second, { message: 'while waiting' });
  await first;
  equal(readFileSync(path, 'latin1'), 'abcd');
});

onEngines('a stream is let go of when the replace fails without it', async (t, engine) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'file'), 'no directory');
  const nowhere = join(directory, 'file', 'below');
  const source = new Readable({ read: () => undefined });
  await rejects(replaceFile(nowhere, source, { engine }), { code: 'ENOTDIR' });
  ok(source.destroyed);
  let isCancelled = false;
  const web = new ReadableStream({
    cancel: () => {
      isCancelled = true;
    },
  });
  await rejects(replaceFile(nowhere, web as PieceSource, { engine }), { code: 'ENOTDIR' });
  await later();
  ok(isCancelled);
  const full = (async function* () {
    yield 'a';
  })();
  await rejects(replaceFile(nowhere, full, { engine }), { code: 'ENOTDIR' });
});

onEngines('a source is read no faster than it is written', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  let handed = 0;
  let most = 0;
  const written = (): number => {
    const [name] = temporaries(directory);
    return name === undefined ? 0 : readFileSync(join(directory, name)).length;
  };
  const source = (async function* () {
    for (let piece = 0; piece < 60; piece++) {
      most = Math.max(most, handed - written());
      handed += 40_000;
      yield Buffer.alloc(40_000, piece);
      await later();
    }
  })();
  await replaceFile(path, source, { engine });
  equal(readFileSync(path).length, 60 * 40_000);
  ok(most <= 65_536, `${most} bytes were read and not written`);
});

onEngines('small pieces are gathered, in order, and large ones pass', async (t, engine) => {
  const path = join(scratch(t), 'file');
  const lines = Array.from({ length: 20_000 }, (_, line) => `line ${line}\n`);
  const large = Buffer.alloc(50_000, 'large');
  const source = [...lines, large, 'x', new Uint8Array(0), large, 'y'];
  const calls = (): number => {
    const { pwrite = 0, pwritev = 0 } = engine.stats().systemCalls;
    return pwrite + pwritev;
  };
  const before = calls();
  await replaceFile(path, pieces(...source), { engine });
  const made = calls() - before;
  const expected = `${lines.join('')}${large}x${large}y`;
  equal(readFileSync(path, 'latin1'), expected);
  ok(made <= Math.ceil(expected.length / 32_768) + 4, `${made} writes`);
});

/* A pair cut in two was written as two U+FFFD. What guards it: the first half waits. */
onEngines('a character cut in two between pieces is one', async (t, engine) => {
  const path = join(scratch(t), 'file');
  const leaf = '\u{1f33f}';
  const cases: readonly [(string | Buffer)[], Buffer][] = [
    [[`a${leaf[0]}`, `${leaf[1]}b`], Buffer.from(`a${leaf}b`)],
    [[leaf[0] as string, '', leaf[1] as string], Buffer.from(leaf)],
    [[leaf[0] as string, Buffer.from('b')], Buffer.from('\ufffdb')],
    [[leaf[0] as string], Buffer.from('\ufffd')],
    [[leaf[1] as string, leaf[0] as string], Buffer.from('\ufffd\ufffd')],
  ];
  for (const [source, expected] of cases) {
    await replaceFile(path, pieces(...source), { engine });
    deepEqual(readFileSync(path), expected, JSON.stringify(source));
  }
  await replaceFile(path, pieces(leaf[0] as string, leaf[1] as string), {
    engine,
    encoding: 'utf16le',
  });
  deepEqual(readFileSync(path), Buffer.from(leaf, 'utf16le'));
});

function hanging(): AsyncIterable<string> {
  return (async function* () {
    yield 'half';
    await new Promise(() => undefined);
  })();
}

onEngines('timeoutMs ends the wait for a source, a name, a turn', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  await replaceFile(path, 'old', { engine });
  const before = openDescriptors();
  const timeout = { code: 'ETIMEDOUT', kind: 'timeout' };
  await rejects(replaceFile(path, hanging(), { engine, timeoutMs: 20 }), timeout);
  const onTemporary = (): Promise<void> => new Promise(() => undefined);
  await rejects(replaceFile(path, 'x', { engine, timeoutMs: 20, onTemporary }), timeout);
  const controller = new AbortController();
  const first = replaceFile(path, hanging(), { engine, signal: controller.signal });
  await rejects(replaceFile(path, 'late', { engine, timeoutMs: 20 }), timeout);
  const third = replaceFile(path, 'third', { engine, timeoutMs: 60_000 });
  controller.abort();
  await rejects(first, { name: 'AbortError' });
  await third;
  equal(readFileSync(path, 'latin1'), 'third');
  assertHoldsOnly(directory, ['file']);
  assertNoNewDescriptors(before);
  for (const timeoutMs of ['1', -1, Number.NaN, 2 ** 31]) {
    const refused = replaceFile(path, 'x', { engine, timeoutMs: timeoutMs as number });
    await rejects(refused, /options.timeoutMs/);
  }
});

test('a time limit that was not needed does not keep the process', async (t) => {
  const path = join(scratch(t), 'file');
  const source = `
    import { replaceFile } from 'holdfast';
    async function* pieces() { yield 'a'; yield 'b'; }
    await replaceFile(process.argv[1], pieces(), { timeoutMs: 60_000 });`;
  await outputOf({ source, args: [path], timeoutMs: 10_000 });
  ok(existsSync(path));
});

test('fifty sources and one signal make no warning', async (t) => {
  const directory = scratch(t);
  const source = `
    import { replaceFile } from 'holdfast';
    process.on('warning', (warning) => console.log(String(warning)));
    const controller = new AbortController();
    async function* pieces() { yield 'a'; await new Promise((r) => setTimeout(r, 5)); yield 'b'; }
    await Promise.all(Array.from({ length: 50 }, (_, at) =>
      replaceFile(process.argv[1] + '/' + at, pieces(), { signal: controller.signal })));`;
  equal(await outputOf({ source, args: [directory] }), '');
});

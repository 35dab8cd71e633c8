/** What a replace writes, and what it tells: content, options, report, turns, abort. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import {
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AbortError, type Buffers, type ReplaceOptions, replaceFile } from 'holdfast';
import {
  everywhere,
  onEngines,
  pieces,
  refusalOf,
  reports,
  temporaries,
} from './replace/worlds.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';

function bytesOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0, state = seed; index < length; index++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

everywhere('writes text in its encoding', async (t, { replace }) => {
  const path = join(scratch(t), 'file');
  const cases: readonly [string, BufferEncoding | undefined][] = [
    ['grün \u{1f33f}', undefined],
    ['grün \u{1f33f}', 'utf8'],
    ['grün', 'latin1'],
    ['grün', 'utf16le'],
    ['c0ffee', 'hex'],
    ['aG9sZGZhc3Q=', 'base64'],
    ['', 'utf8'],
  ];
  for (const [text, encoding] of cases) {
    const report = await replace(path, text, encoding && { encoding });
    const expected = Buffer.from(text, encoding);
    deepEqual(readFileSync(path), expected, `${text} as ${encoding}`);
    equal(report.bytes, expected.length);
  }
});

everywhere('takes a view of any type as its bytes', async (t, { replace }) => {
  const path = join(scratch(t), 'file');
  const memory = bytesOf(64).buffer;
  const views: ArrayBufferView[] = [
    new Uint8Array(memory, 3, 9),
    Buffer.from(memory, 1, 5),
    new Uint16Array(memory, 2, 4),
    new BigInt64Array(memory, 8, 3),
    new Float32Array(memory),
    new DataView(memory, 5, 7),
    new Uint8Array(new SharedArrayBuffer(6)).fill(7),
    new Uint8Array(0),
  ];
  for (const view of views) {
    const expected = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
    equal((await replace(path, view)).bytes, expected.length);
    deepEqual(readFileSync(path), expected);
  }
});

everywhere('writes sequences of views in order', async (t, { replace }) => {
  const path = join(scratch(t), 'file');
  const three = [Buffer.from('a'), new Uint8Array(0), Buffer.from('bc'), Uint16Array.of(0x6564)];
  await replace(path, three);
  equal(readFileSync(path, 'latin1'), 'abcde');
  await replace(path, new Set(three));
  equal(readFileSync(path, 'latin1'), 'abcde');
  await replace(
    path,
    (function* () {
      yield* three;
      yield Buffer.from('!');
    })(),
  );
  equal(readFileSync(path, 'latin1'), 'abcde!');
  equal((await replace(path, [])).bytes, 0);
  equal(statSync(path).size, 0);
});

everywhere('writes 3000 views, small and large', async (t, { replace, engine }) => {
  const path = join(scratch(t), 'file');
  const views = Array.from({ length: 3000 }, (_, index) => bytesOf(1 + ((index * 7) % 900), index));
  const before = engine.stats().systemCalls.pwritev ?? 0;
  const report = await replace(path, views);
  const whole = Buffer.concat(views);
  ok(readFileSync(path).equals(whole));
  equal(report.bytes, whole.length);
  equal((engine.stats().systemCalls.pwritev ?? 0) - before, 3, 'ceil(3000 / 1024) gather calls');
});

everywhere('writes 10 MB', async (t, { replace }) => {
  const path = join(scratch(t), 'file');
  const whole = Buffer.alloc(10_000_001, bytesOf(8191));
  equal((await replace(path, whole)).bytes, whole.length);
  ok(readFileSync(path).equals(whole));
  const halves = [whole.subarray(0, 4_999_999), whole.subarray(4_999_999)];
  equal((await replace(path, halves)).bytes, whole.length);
  ok(readFileSync(path).equals(whole));
});

onEngines('replaceFile() writes pieces as they come', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  const many = Array.from({ length: 1500 }, (_, index) => bytesOf(700, index));
  const source: (string | Buffers)[] = ['grün', Float64Array.of(1, 2), [], '', many, bytesOf(5)];
  const report = await replaceFile(
    path,
    (async function* () {
      for await (const piece of pieces(...source)) {
        equal(readFileSync(path, 'latin1'), 'old', 'the target changes at the end');
        equal(temporaries(directory).length, 1);
        yield piece;
      }
    })(),
    { engine },
  );
  const parts = [Buffer.from('grün'), Buffer.from(Float64Array.of(1, 2).buffer), ...many];
  const whole = Buffer.concat([...parts, bytesOf(5)]);
  ok(readFileSync(path).equals(whole));
  reports(report, { bytes: whole.length, durability: 'full', replaced: true });
  equal((await replaceFile(path, pieces(), { engine })).bytes, 0);
  equal(statSync(path).size, 0);
  assertHoldsOnly(directory, ['file']);
});

onEngines('replaceFile() closes a source that it does not read to its end', async (t, engine) => {
  const path = join(scratch(t), 'file');
  let isClosed = false;
  const source = (async function* () {
    try {
      yield 'a';
      yield 7 as unknown as string;
      yield 'never asked for';
    } finally {
      isClosed = true;
    }
  })();
  await rejects(replaceFile(path, source, { engine }), { code: 'ERR_INVALID_ARG_TYPE' });
  ok(isClosed);
  ok(!existsSync(path));
});

everywhere('reports what it did', async (t, { replace, engine }) => {
  const path = join(scratch(t), 'file');
  const first = await replace(path, 'one');
  reports(first, { path, bytes: 3, durability: 'full', method: 'rename', replaced: false });
  reports(first, { engine: engine.name, fallbacks: [], swept: 0 });
  reports(await replace(path, 'two'), { replaced: true, durability: 'full' });
  reports(await replace(path, 'two', { durable: 'file' }), { durability: 'file' });
  reports(await replace(path, 'two', { durable: false }), { durability: 'none' });
  const { method } = await replace(`${path}2`, '', { ifAbsent: true });
  equal(method, engine.name !== 'portable' ? 'link of an unnamed file' : 'link');
});

everywhere('refuses options it does not know before anything happens', async (t, { replace }) => {
  const directory = scratch(t);
  const wrong: readonly [string, unknown][] = [
    ['options.mode', '0644'],
    ['options.mode', -1],
    ['options.mode', 0o10000],
    ['options.mode', Number.NaN],
    ['options.owner', true],
    ['options.owner.group', { user: 0 }],
    ['options.owner.user', { user: 2 ** 32 - 1, group: 0 }],
    ['options.durable', 'yes'],
    ['options.durable', true],
    ['options.followSymlink', 1],
    ['options.ifAbsent', 'no'],
    ['options.keepTimes', null],
    ['options.sweep', 0],
    ['options.encoding', 'utf-9'],
    ['options.onTemporary', 'name'],
  ];
  for (const [argument, value] of wrong) {
    const options = { [argument.split('.')[1] as string]: value } as ReplaceOptions;
    const refused = replace(join(directory, 'file'), 'x', options);
    await rejects(refused, (error: Error) => error.message.includes(argument), argument);
  }
  assertHoldsOnly(directory, []);
});

test('replaceFile() rejects options, signals and engines that are none', async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  for (const options of [7, null, { signal: {} }, { signal: 'now' }, { engine: 'pool' }]) {
    const refused = replaceFile(path, 'x', options as ReplaceOptions);
    await rejects(refused, { code: 'ERR_INVALID_ARG_TYPE' });
  }
  assertHoldsOnly(directory, []);
});

everywhere('refuses data and paths of a wrong type before anything happens', async (t, world) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  const before = openDescriptors();
  const broken = (function* (): Generator<Uint8Array> {
    yield Buffer.from('a');
    throw new RangeError('the source broke');
  })();
  const wrong = [undefined, null, 7, true, {}, [7], ['text'], [Buffer.from('a'), null], () => 'x'];
  for (const data of wrong) {
    const refused = world.replace(path, data as unknown as Buffers);
    await rejects(refused, { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
  }
  await rejects(world.replace(path, broken), { message: 'the source broke' });
  for (const bad of ['', 'a\0b', 7, null, undefined, {}, new URL('http://host/a')]) {
    await rejects(world.replace(bad as string, 'x'), { name: 'TypeError' });
  }
  equal(readFileSync(path, 'latin1'), 'old');
  assertHoldsOnly(directory, ['file']);
  assertNoNewDescriptors(before);
});

everywhere('refuses detached views before anything happens', async (t, { replace }) => {
  const path = join(scratch(t), 'file');
  for (const view of [new Uint8Array(8), new Float64Array(1), new DataView(new ArrayBuffer(8))]) {
    structuredClone(view.buffer, { transfer: [view.buffer] });
    await rejects(replace(path, view), { code: 'ERR_INVALID_ARG_VALUE' });
    await rejects(replace(path, [Buffer.from('a'), view]), /data\[1\]/);
  }
  ok(!existsSync(path));
});

everywhere('refuses what changed under its hands, and keeps the old', async (t, { replace }) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  const sequences: ((view: Uint8Array) => Buffers)[] = [
    (view) => view,
    (view) => [Buffer.from('a'), view],
    (view) => [view, Buffer.from('a'.repeat(600))],
  ];
  for (const sequence of sequences) {
    const view = new Uint8Array(600);
    const onTemporary = (): void => {
      structuredClone(view.buffer, { transfer: [view.buffer] });
    };
    const refused = replace(path, sequence(view), { onTemporary });
    await refusalOf(refused, { code: 'ERR_BUFFER_CHANGED', step: 'write', path });
    equal(readFileSync(path, 'latin1'), 'old');
  }
  assertHoldsOnly(directory, ['file']);
});

everywhere('tells the name of the temporary file before writing to it', async (t, { replace }) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  const names: string[] = [];
  const onTemporary = (name: string): void => {
    names.push(name);
    deepEqual(readdirSync(directory), [name.slice(directory.length + 1)]);
    equal(statSync(name).size, 0);
    equal(statSync(name).mode & 0o777, 0o600);
  };
  await replace(path, 'new', { onTemporary });
  equal(names.length, 1);
  equal(readFileSync(path, 'latin1'), 'new');
  const failing = (): void => {
    throw new Error('not this name');
  };
  await rejects(replace(path, 'newer', { onTemporary: failing }), { message: 'not this name' });
  equal(readFileSync(path, 'latin1'), 'new');
  assertHoldsOnly(directory, ['file']);
});

onEngines('replaceFile() waits for onTemporary', async (t, engine) => {
  const path = join(scratch(t), 'file');
  const order: string[] = [];
  const onTemporary = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    order.push(existsSync(path) ? 'too late' : 'told');
  };
  await replaceFile(path, 'x', { engine, onTemporary });
  deepEqual(order, ['told']);
});

everywhere('never uses a name twice', async (t, { replace }) => {
  const directory = scratch(t);
  const seen = new Set<string>();
  for (let round = 0; round < 80; round++) {
    const onTemporary = (name: string): void => void seen.add(name);
    await replace(join(directory, 'file'), 'x', { onTemporary, durable: false });
  }
  equal(seen.size, 80);
  for (const name of seen) ok(/\/\.holdfast-[0-9a-f]{32}\.tmp$/.test(name), name);
});

onEngines('replaceFile() of one path ends in the order of the calls', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  const contentOf = (turn: number): string => `${turn}:`.repeat(50 - turn + 2000);
  const isWhole = (text: string): boolean => text === contentOf(Number.parseInt(text, 10));
  const ended: number[] = [];
  let isReading = true;
  let read = 0;
  const reader = (async () => {
    while (isReading) {
      if (existsSync(path)) ok(isWhole(readFileSync(path, 'latin1')), `torn read ${++read}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const all = Array.from({ length: 50 }, async (_, turn) => {
    const data = turn % 3 === 0 ? pieces(contentOf(turn)) : contentOf(turn);
    await replaceFile(path, data, { engine, durable: turn % 2 === 0 ? false : 'full' });
    ended.push(turn);
    equal(Number.parseInt(readFileSync(path, 'latin1'), 10) >= turn, true);
  });
  await Promise.all(all);
  isReading = false;
  await reader;
  deepEqual(
    ended,
    [...ended].sort((a, b) => a - b),
  );
  equal(readFileSync(path, 'latin1'), contentOf(49));
  assertHoldsOnly(directory, ['file']);
});

onEngines('replaceFile() of one path goes on after one that failed', async (t, engine) => {
  const path = join(scratch(t), 'file');
  const broken = (async function* (): AsyncGenerator<string> {
    yield 'half';
    throw new Error('the source broke');
  })();
  const [first, second, third] = await Promise.allSettled([
    replaceFile(path, 'first', { engine }),
    replaceFile(path, broken, { engine }),
    replaceFile(path, 'third', { engine }),
  ]);
  deepEqual([first.status, second.status, third.status], ['fulfilled', 'rejected', 'fulfilled']);
  equal(readFileSync(path, 'latin1'), 'third');
});

everywhere('with ifAbsent makes a file, and leaves one that is there', async (t, { replace }) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  reports(await replace(path, 'first', { ifAbsent: true }), { replaced: false, fallbacks: [] });
  equal(readFileSync(path, 'latin1'), 'first');
  equal(statSync(path).nlink, 1);
  const refused = replace(path, 'second', { ifAbsent: true });
  await refusalOf(refused, { code: 'EEXIST', kind: 'exists', path });
  equal(readFileSync(path, 'latin1'), 'first');
  assertHoldsOnly(directory, ['file']);
});

everywhere('with ifAbsent loses to a file that came in between', async (t, { replace }) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  const onTemporary = (): void => writeFileSync(path, 'rival');
  const refused = replace(path, 'late', { ifAbsent: true, onTemporary });
  await refusalOf(refused, { code: 'EEXIST', kind: 'exists', step: 'rename', path });
  equal(readFileSync(path, 'latin1'), 'rival');
  assertHoldsOnly(directory, ['file']);
});

onEngines('replaceFile() with ifAbsent lets exactly one of 20 win', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  /* Each comes by a link of its own, so that none waits for another's turn. */
  const ways = scratch(t);
  const spelt = (turn: number): string => `${ways}/${turn}/file`;
  for (let turn = 0; turn < 20; turn++) symlinkSync(directory, join(ways, `${turn}`));
  const all = Array.from({ length: 20 }, (_, turn) =>
    replaceFile(spelt(turn), `content ${turn}`, { engine, ifAbsent: true }),
  );
  const outcomes = await Promise.allSettled(all);
  const winners = outcomes.flatMap((one, turn) => (one.status === 'fulfilled' ? [turn] : []));
  equal(winners.length, 1);
  equal(readFileSync(path, 'latin1'), `content ${winners[0]}`);
  for (const one of outcomes) {
    if (one.status === 'rejected') equal((one.reason as { code: string }).code, 'EEXIST');
  }
  assertHoldsOnly(directory, ['file']);
});

everywhere('leaves the old content to the other names of a file', async (t, { replace }) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  linkSync(path, join(directory, 'other'));
  await replace(path, 'new');
  equal(readFileSync(path, 'latin1'), 'new');
  equal(readFileSync(join(directory, 'other'), 'latin1'), 'old');
});

onEngines('replaceFile() does nothing after an abort', async (t, engine) => {
  const directory = scratch(t);
  const before = openDescriptors();
  const signal = AbortSignal.abort(new Error('enough'));
  for (const data of ['text', pieces('text')]) {
    const refused = replaceFile(join(directory, 'file'), data, { engine, signal });
    await rejects(refused, (error: Error) => {
      ok(error instanceof AbortError);
      equal((error.cause as Error).message, 'enough');
      return true;
    });
  }
  assertHoldsOnly(directory, []);
  assertNoNewDescriptors(before);
});

onEngines('replaceFile() keeps the old when aborted half way', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  await replaceFile(join(directory, 'warm'), 'x', { engine });
  const before = openDescriptors();
  const controller = new AbortController();
  const source = (async function* () {
    yield 'half';
    equal(temporaries(directory).length, 1);
    controller.abort();
    yield 'never written';
  })();
  const refused = replaceFile(path, source, { engine, signal: controller.signal });
  await rejects(refused, { name: 'AbortError', code: 'ABORT_ERR' });
  equal(readFileSync(path, 'latin1'), 'old');
  assertHoldsOnly(directory, ['file', 'warm']);
  assertNoNewDescriptors(before);
});

onEngines('replaceFile() aborted while it waits for its turn does nothing', async (t, engine) => {
  const path = join(scratch(t), 'file');
  const controller = new AbortController();
  const first = replaceFile(path, pieces('a', 'b', 'c'), { engine });
  const second = replaceFile(path, 'late', { engine, signal: controller.signal });
  controller.abort();
  await rejects(second, { name: 'AbortError' });
  await first;
  equal(readFileSync(path, 'latin1'), 'abc');
});

test('replaceFile() takes paths as bytes and as URLs', async (t) => {
  const directory = mkdtempSync(join(scratch(t), 'a b%20'));
  const url = new URL(`file://${directory.replaceAll('%', '%25').replaceAll(' ', '%20')}/file`);
  await replaceFile(url, 'url');
  equal(readFileSync(join(directory, 'file'), 'latin1'), 'url');
  await replaceFile(Buffer.from(join(directory, 'file')), 'bytes');
  equal(readFileSync(join(directory, 'file'), 'latin1'), 'bytes');
  assertHoldsOnly(directory, ['file']);
});

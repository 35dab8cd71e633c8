/** Web streams over a file: bytes, memory of the reader's own, back-pressure, and every end. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { AbortError, IoError } from 'holdfast';
import { Code, errnoOf } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { type Doors, onBothEngines } from './file/doors.js';
import { isTransfer } from './file/faults.js';
import { refusedAs } from './file/told.js';
import { bytesOf } from './stream/streams.js';
import { scratch } from './support/scratch.js';

const LENGTH = 700_001;

function fileOf(doors: Doors, bytes: Uint8Array, choices = {}) {
  const path = join(scratch(doors.t), 'file');
  writeFileSync(path, bytes);
  return doors.open(path, { access: 'read-write', ...choices });
}

/** Reads into one piece of memory again and again. */
async function byobBytes(stream: ReadableStream<Uint8Array>, length: number): Promise<Buffer> {
  const reader = stream.getReader({ mode: 'byob' });
  const views: Buffer[] = [];
  let memory = new Uint8Array(length);
  for (;;) {
    const { done, value } = await reader.read(memory);
    if (done || value === undefined) break;
    views.push(Buffer.from(value));
    memory = new Uint8Array(value.buffer);
  }
  equal(memory.buffer.byteLength, 0, 'the memory went to the stream');
  return Buffer.concat(views);
}

onBothEngines('readable() gives every byte once, of a part too', async (_, doors) => {
  const bytes = patterned(LENGTH);
  for (const [start, end, highWaterMark] of [
    [undefined, undefined, undefined],
    [undefined, undefined, 1000],
    [3, 3, undefined],
    [70_000, 500_000, 200_000],
    [LENGTH, undefined, undefined],
  ]) {
    const file = await fileOf(doors, bytes);
    const stream = file.readable({ start, end, highWaterMark });
    ok((await bytesOf(stream)).equals(bytes.subarray(start ?? 0, (end ?? 1e9) + 1)));
    equal(file.isClosed, true);
  }
});

onBothEngines('readable() fills the memory of a byob reader itself', async (_, doors) => {
  const bytes = patterned(LENGTH);
  for (const [length, start, end] of [
    [100_000, 0, undefined],
    [LENGTH + 5, 0, undefined],
    [777, 400_000, 410_000],
  ] as const) {
    const file = await fileOf(doors, bytes);
    const read = await byobBytes(file.readable({ start, end }), length);
    ok(read.equals(bytes.subarray(start, (end ?? 1e9) + 1)));
    equal(file.isClosed, true);
  }
  const direct = await fileOf(doors, bytes, { direct: true });
  ok((await byobBytes(direct.readable(), 10_001)).equals(bytes));
});

onBothEngines(
  'readable() reads nothing before it is asked, and no more than it may',
  async (_, doors) => {
    const file = await fileOf(doors, patterned(3_000_000));
    const stream = file.readable({ highWaterMark: 300_000, autoClose: false });
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    equal(file.stats().bytesRead, 0);
    const reader = stream.getReader();
    for (let views = 0; views < 3; views++) await reader.read();
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    const ahead = file.stats().bytesRead;
    ok(ahead <= 65_536 + 3 * 150_000 + 300_000, `${ahead} bytes`);
    await reader.cancel('enough');
    equal(file.isClosed, false);
    await file.close();
  },
);

onBothEngines('one who reads in turns of both kinds gets every byte in order', async (_, doors) => {
  const bytes = patterned(LENGTH);
  const stream = (await fileOf(doors, bytes)).readable({ highWaterMark: 400_000 });
  const views: Buffer[] = [];
  for (let turn = 0; ; turn++) {
    const reader = turn % 3 === 2 ? undefined : stream.getReader();
    const byob = reader === undefined ? stream.getReader({ mode: 'byob' }) : undefined;
    const result = await (reader?.read() ?? byob?.read(new Uint8Array(5000)));
    reader?.releaseLock();
    byob?.releaseLock();
    if (result === undefined || result.done) break;
    views.push(Buffer.from(result.value as Uint8Array));
  }
  ok(Buffer.concat(views).equals(bytes));
});

onBothEngines('cancel() of readable() closes the file, whatever is under way', async (_, doors) => {
  for (let turns = 0; turns < 4; turns++) {
    for (const mode of ['byob', undefined] as const) {
      const file = await fileOf(doors, patterned(LENGTH));
      const stream = file.readable();
      const reader = mode === 'byob' ? stream.getReader({ mode }) : stream.getReader();
      const reading =
        'readAtLeast' in reader || mode === 'byob'
          ? (reader as ReadableStreamBYOBReader).read(new Uint8Array(100_000))
          : (reader as ReadableStreamDefaultReader).read();
      for (let turn = 0; turn < turns; turn++) await setImmediate();
      await reader.cancel();
      await reading;
      equal(file.fd, -1);
    }
  }
});

onBothEngines(
  'a read that fails errors readable(), once the bytes before it are given',
  async (_, doors) => {
    const bytes = patterned(60_000);
    for (const mode of ['byob', undefined] as const) {
      let calls = 0;
      const failing = doors.judged((operation) => {
        if (operation.code !== Code.Read) return undefined;
        return ++calls === 1 ? { moves: 12_345 } : { answers: errnoOf('EIO') };
      });
      const path = join(scratch(doors.t), 'file');
      writeFileSync(path, bytes);
      const file = await failing.open(path);
      const stream = file.readable();
      const reader = mode === 'byob' ? stream.getReader({ mode }) : stream.getReader();
      const read = () => (reader as ReadableStreamBYOBReader).read(new Uint8Array(50_000));
      const { value } = await read();
      ok(Buffer.from(value as Uint8Array).equals(bytes.subarray(0, 12_345)));
      await rejects(read(), (error) => error instanceof IoError && error.code === 'EIO');
      await rejects(read(), (error) => error instanceof IoError && error.code === 'EIO');
      equal(file.fd, -1);
    }
  },
);

onBothEngines(
  'writable() writes views, buffers and text in order, short calls or not',
  async (_, doors) => {
    const short = doors.judged((operation) =>
      isTransfer(operation) ? { moves: 4000 } : undefined,
    );
    const file = await short.create(join(scratch(doors.t), 'file'));
    const writer = file.writable({ start: 2, sync: 'full' }).getWriter();
    const numbers = new Float64Array([1.5, -2]);
    const pieces = [
      patterned(10_000),
      numbers,
      'tëxt',
      patterned(5).buffer,
      new DataView(numbers.buffer),
    ];
    for (const piece of pieces) await writer.write(piece as Uint8Array);
    await writer.close();
    const wanted = Buffer.concat([
      new Uint8Array(2),
      patterned(10_000),
      new Uint8Array(numbers.buffer),
      Buffer.from('tëxt'),
      patterned(5),
      new Uint8Array(numbers.buffer),
    ]);
    ok(readFileSync(file.path as string).equals(wanted));
    equal(file.stats().systemCalls.fsync, 1);
    equal(file.fd, -1);
  },
);

onBothEngines('writable() holds its writer back by highWaterMark', async (_, doors) => {
  const file = await fileOf(doors, new Uint8Array(0));
  const writer = file.writable({ highWaterMark: 1000 }).getWriter();
  equal(writer.desiredSize, 1000);
  const first = writer.write(patterned(600));
  equal(writer.desiredSize, 400);
  const second = writer.write(patterned(600));
  equal(writer.desiredSize, -200);
  await Promise.all([first, second]);
  equal(writer.desiredSize, 1000);
  await writer.close();
});

onBothEngines('what has no bytes errors writable(), and the file is closed', async (_, doors) => {
  const file = await fileOf(doors, new Uint8Array(0));
  const writer = file.writable().getWriter();
  writer.closed.catch(() => undefined);
  await rejects(writer.write(7 as unknown as Uint8Array), /"chunk".*got 7/);
  equal(file.fd, -1);
});

onBothEngines(
  'a sync that fails is a close() that rejects, and breaks the file',
  async (_, doors) => {
    const failing = doors.judged(({ code }) =>
      code === Code.SyncData ? { answers: errnoOf('EIO') } : undefined,
    );
    const file = await failing.create(join(scratch(doors.t), 'file'));
    const writer = file.writable({ sync: 'data', autoClose: false }).getWriter();
    writer.closed.catch(() => undefined);
    await writer.write(patterned(10));
    await rejects(writer.close(), (error) => error instanceof IoError && error.code === 'EIO');
    equal(await refusedAs(() => file.sync()), 'EIO broken');
  },
);

onBothEngines('abort() of writable() syncs nothing and closes the file', async (_, doors) => {
  const file = await fileOf(doors, new Uint8Array(0));
  const writer = file.writable({ sync: 'full' }).getWriter();
  writer.closed.catch(() => undefined);
  const writing = writer.write(patterned(100_000)).catch(() => undefined);
  await writer.abort(new Error('mine'));
  await writing;
  equal(file.fd, -1);
  equal(file.stats().systemCalls.fsync, undefined);
});

onBothEngines('pipeTo() from one file to another, and its signal', async (_, doors) => {
  const bytes = patterned(LENGTH);
  const target = join(scratch(doors.t), 'target');
  const to = await doors.create(target);
  await (await fileOf(doors, bytes)).readable().pipeTo(to.writable({ sync: 'data' }));
  ok(readFileSync(target).equals(bytes));
  const aborter = new AbortController();
  const [from, into] = [await fileOf(doors, bytes), await doors.create(target)];
  const piping = from.readable().pipeTo(into.writable(), { signal: aborter.signal });
  aborter.abort();
  await rejects(piping, { name: 'AbortError' });
  await Promise.all([from.close(), into.close()]);
});

onBothEngines('the signal of a Web stream ends it at any moment', async (_, doors) => {
  for (let turns = 0; turns < 6; turns++) {
    const aborter = new AbortController();
    const { signal } = aborter;
    if (turns === 0) aborter.abort('enough');
    const from = await fileOf(doors, patterned(LENGTH));
    const to = await fileOf(doors, new Uint8Array(0));
    const reader = from.readable({ signal, highWaterMark: 5000 }).getReader();
    const writer = to.writable({ signal }).getWriter();
    writer.closed.catch(() => undefined);
    const work = (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        await writer.write(value);
      }
    })();
    work.catch(() => undefined);
    for (let turn = 1; turn < turns; turn++) await setImmediate();
    aborter.abort('enough');
    const isAbort = (error: unknown): boolean =>
      error instanceof AbortError && error.cause === 'enough';
    await rejects(work, isAbort);
    await rejects(writer.closed, isAbort);
    await Promise.all([from.close(), to.close()]);
    deepEqual([from.fd, to.fd], [-1, -1]);
  }
});

onBothEngines(
  'readable() of half a megabyte takes few calls, byob one for each read',
  async (_, doors) => {
    const file = await fileOf(doors, patterned(500_000));
    const views = cutEvery(patterned(500_000), 250_000).length;
    const reader = file.readable({ autoClose: false }).getReader({ mode: 'byob' });
    for (let view = 0; view < views; view++) await reader.read(new Uint8Array(250_000));
    equal(file.stats().systemCalls.pread, views);
    await reader.cancel();
  },
);

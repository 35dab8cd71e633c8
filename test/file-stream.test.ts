/** Node's streams over a file: the bytes, their order, how many wait, and how each ends. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Transform } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openFile } from 'holdfast';
import { Code } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { type Doors, onBothEngines } from './file/doors.js';
import { refusedAs } from './file/told.js';
import { bytesOf, closed, listened, writeAll } from './stream/streams.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

const LENGTH = 1_300_007;

/** A file of these bytes, for reading and writing. */
function fileOf(doors: Doors, bytes: Uint8Array, choices = {}) {
  const path = join(scratch(doors.t), 'file');
  writeFileSync(path, bytes);
  return doors.open(path, { access: 'read-write', ...choices });
}

onBothEngines(
  'createReadStream() gives every byte once, for any highWaterMark',
  async (_, doors) => {
    const bytes = patterned(LENGTH);
    for (const highWaterMark of [undefined, 4096, 65536, 65537, 300_000, 10_000_000]) {
      const file = await fileOf(doors, bytes);
      const stream = file.createReadStream({ highWaterMark });
      ok((await bytesOf(stream)).equals(bytes), `${highWaterMark}`);
      equal(stream.bytesRead, LENGTH);
      equal(stream.path, file.path);
      equal(file.isClosed, true);
    }
  },
);

onBothEngines('createReadStream() takes start and end as node:fs does', async (_, doors) => {
  const bytes = patterned(200_000);
  for (const [start, end] of [
    [0, 0],
    [5, 5],
    [1, 70_000],
    [65_536, 131_071],
    [undefined, 9],
    [199_999, undefined],
    [150_000, Number.POSITIVE_INFINITY],
    [199_990, 300_000],
    [200_000, undefined],
    [300_000, undefined],
  ]) {
    const stream = (await fileOf(doors, bytes)).createReadStream({ start, end });
    const wanted = bytes.subarray(start ?? 0, (end ?? Number.POSITIVE_INFINITY) + 1);
    ok((await bytesOf(stream)).equals(wanted), `${start} to ${end}`);
  }
  const small = (await fileOf(doors, bytes)).createReadStream({ start: 10n, end: 12n });
  equal((await bytesOf(small)).length, 3);
});

onBothEngines(
  'createReadStream() of an empty file ends, of /proc gives what there is',
  async (_, doors) => {
    equal((await bytesOf((await fileOf(doors, new Uint8Array(0))).createReadStream())).length, 0);
    const file = await doors.open('/proc/self/status');
    ok((await bytesOf(file.createReadStream())).includes('Pid:'));
  },
);

onBothEngines(
  'createReadStream() reads ahead by highWaterMark and a view at most',
  async (_, doors) => {
    const file = await fileOf(doors, patterned(4_000_000));
    for (const highWaterMark of [1000, 65536, 400_000]) {
      const stream = file.createReadStream({ highWaterMark, autoClose: false });
      const before = file.stats().bytesRead;
      stream.read(0);
      for (let turn = 0; turn < 50; turn++) await setImmediate();
      while (stream.readableLength < Math.min(highWaterMark, 65536)) await setImmediate();
      for (let turn = 0; turn < 50; turn++) await setImmediate();
      const ahead = file.stats().bytesRead - before;
      const view = Math.min(highWaterMark, Math.max(65536, highWaterMark / 2));
      ok(ahead <= highWaterMark + view, `${ahead} bytes read ahead of ${highWaterMark}`);
      ok(ahead >= Math.min(highWaterMark, 65536), `${ahead} bytes read ahead of ${highWaterMark}`);
      stream.destroy();
      await closed(stream);
    }
  },
);

onBothEngines("views of createReadStream() are the taker's for good", async (_, doors) => {
  const bytes = patterned(LENGTH);
  const file = await fileOf(doors, bytes);
  const views: Uint8Array[] = [];
  for await (const view of file.createReadStream({ highWaterMark: 100_000 })) views.push(view);
  ok(Buffer.concat(views).equals(bytes));
  const memories = new Set(views.map((view) => view.buffer));
  equal(memories.size, views.length, 'no two views share memory');
  const [first] = views as [Uint8Array];
  const given = structuredClone(first.buffer, { transfer: [first.buffer as ArrayBuffer] });
  ok(given.byteLength > 0 && first.length === 0, 'and may be given away');
});

onBothEngines(
  'createReadStream() gives text in an encoding, whole characters',
  async (_, doors) => {
    const text = 'aé€🂡'.repeat(30_000);
    const file = await fileOf(doors, Buffer.from(text));
    let read = '';
    for await (const part of file.createReadStream({ encoding: 'utf8', highWaterMark: 1001 })) {
      read += part;
    }
    equal(read, text);
  },
);

onBothEngines('createWriteStream() writes all in order, from start on', async (_, doors) => {
  const bytes = patterned(LENGTH);
  for (const [highWaterMark, length, start] of [
    [undefined, 100_000, undefined],
    [1, 1000, 0],
    [65536, 65536, 17],
    [10_000_000, 333, 3],
  ]) {
    const file = await fileOf(doors, patterned(20, 99));
    const stream = file.createWriteStream({ highWaterMark, start });
    const events = listened(stream);
    await Promise.all([writeAll(stream, cutEvery(bytes, length as number)), closed(stream)]);
    const from = start ?? 0;
    const wanted = Buffer.concat([patterned(20, 99).subarray(0, from), bytes]);
    ok(readFileSync(file.path as string).equals(wanted), `${highWaterMark} ${length} ${start}`);
    equal(stream.bytesWritten, LENGTH);
    deepEqual(events.slice(-2), ['finish', 'close']);
    equal(file.isClosed, true);
  }
});

onBothEngines('createWriteStream() appends to a file open for append', async (_, doors) => {
  const file = await fileOf(doors, patterned(10), { access: 'append' });
  const stream = file.createWriteStream();
  stream.write('one');
  stream.write(Buffer.from('two'));
  stream.end('three', 'latin1');
  await finished(stream);
  const wanted = Buffer.concat([patterned(10), Buffer.from('onetwothree')]);
  ok(readFileSync(file.path as string).equals(wanted));
});

onBothEngines('createWriteStream() writes what has piled up in one call', async (_, doors) => {
  const file = await fileOf(doors, new Uint8Array(0));
  const stream = file.createWriteStream();
  const views = cutEvery(patterned(90_000), 3000);
  for (const view of views) stream.write(view);
  stream.end();
  await closed(stream);
  ok(readFileSync(file.path as string).equals(patterned(90_000)));
  const { pwrite = 0, pwritev = 0 } = file.stats().systemCalls;
  deepEqual([pwrite, pwritev], [1, 1], 'the first, then all the others');
});

onBothEngines('createWriteStream() holds its writer back', async (_, doors) => {
  const file = await fileOf(doors, new Uint8Array(0));
  const stream = file.createWriteStream({ highWaterMark: 100 });
  equal(stream.write(patterned(99)), true);
  equal(stream.write(patterned(1)), false);
  await new Promise((resolve) => stream.once('drain', resolve));
  equal(stream.writableLength, 0);
  stream.end();
  await closed(stream);
});

onBothEngines('pipeline() copies, transforms, and leaves no descriptor', async (t, doors) => {
  const bytes = patterned(LENGTH);
  const source = join(scratch(t), 'source');
  writeFileSync(source, bytes);
  const warm = await doors.open(source);
  await warm.close();
  const before = openDescriptors();
  const target = join(scratch(t), 'target');
  const reading = (await doors.open(source)).createReadStream();
  const writing = (await doors.create(target)).createWriteStream({ sync: 'full' });
  const flip = new Transform({
    transform: (view: Buffer, _encoding, told) =>
      told(
        null,
        view.map((byte) => byte ^ 255),
      ),
  });
  await pipeline(reading, flip, writing);
  ok(readFileSync(target).equals(bytes.map((byte) => byte ^ 255)));
  await Promise.all([closed(reading), closed(writing)]);
  assertNoNewDescriptors(before);
});

onBothEngines('a pipeline whose middle fails closes both files', async (t, doors) => {
  const source = join(scratch(t), 'source');
  writeFileSync(source, patterned(LENGTH));
  const from = await doors.open(source);
  const to = await doors.create(join(scratch(t), 'target'));
  const middle = new PassThrough();
  const reading = from.createReadStream();
  const writing = to.createWriteStream({ sync: 'data' });
  setTimeout(() => middle.destroy(new Error('the middle')), 5);
  const slow = new Transform({
    transform: (view, _encoding, told) => void setTimeout(() => told(null, view), 20),
  });
  const error = await pipeline(reading, slow, middle, writing).catch((caught) => caught);
  equal(error.message, 'the middle');
  await Promise.all([from.close(), to.close()]);
  deepEqual([from.fd, to.fd, writing.synced], [-1, -1, undefined]);
});

onBothEngines(
  'a loop that is left early closes the file, unless it is told not to',
  async (_, doors) => {
    for (const autoClose of [undefined, true, false]) {
      const file = await fileOf(doors, patterned(LENGTH));
      const stream = file.createReadStream({ autoClose, highWaterMark: 5000 });
      for await (const view of stream) {
        equal(view.length, 5000);
        break;
      }
      await closed(stream);
      equal(file.isClosed, autoClose !== false);
      if (autoClose === false) equal((await file.stat()).size, LENGTH);
    }
  },
);

onBothEngines('two streams of one file do not disturb each other', async (_, doors) => {
  const bytes = patterned(LENGTH);
  const file = await fileOf(doors, bytes);
  const parts = [0, 1, 2, 3].map((part) => {
    const start = part * 400_000;
    const end = start + 399_999;
    return bytesOf(file.createReadStream({ start, end, autoClose: false, highWaterMark: 70_000 }));
  });
  ok(Buffer.concat(await Promise.all(parts)).equals(bytes));
  equal(file.position, 0, 'the position of the file is its own');
});

onBothEngines(
  'destroy() in every state ends with one close and no unheard error',
  async (_, doors) => {
    const bytes = patterned(LENGTH);
    for (let turns = 0; turns < 12; turns++) {
      for (const error of [undefined, new Error('mine')]) {
        const from = await fileOf(doors, bytes);
        const to = await fileOf(doors, new Uint8Array(0));
        const reading = from.createReadStream();
        const writing = to.createWriteStream({ sync: 'data' });
        const events = [listened(reading), listened(writing)];
        reading.on('data', (view) => {
          if (writing.writable) writing.write(view);
        });
        if (turns > 6) writing.end(patterned(10));
        for (let turn = 0; turn < turns; turn++) await setImmediate();
        reading.destroy(error);
        writing.destroy(error);
        writing.destroy(new Error('too late'));
        const errors = await Promise.all([closed(reading), closed(writing)]);
        for (const [index, seen] of events.entries()) {
          ok(seen.filter((name) => name === 'close').length === 1, `${seen}`);
          ok(seen.filter((name) => name === 'error').length <= 1, `${seen}`);
          ok(seen.at(-1) === 'close', `${seen}`);
          for (const one of errors[index] as unknown[]) equal(one, error);
        }
        equal(from.fd, -1);
        equal(to.fd, -1);
      }
    }
  },
);

onBothEngines('streams of direct files take any length, start and end', async (_, doors) => {
  const bytes = patterned(700_001);
  for (const [start, end] of [
    [0, undefined],
    [1, 4096],
    [4095, 500_000],
    [5000, 5001],
  ]) {
    const file = await fileOf(doors, bytes, { direct: true });
    const stream = file.createReadStream({ start, end, highWaterMark: 70_000 });
    ok((await bytesOf(stream)).equals(bytes.subarray(start, (end ?? 1e9) + 1)), `${start} ${end}`);
    const { length } = bytes.subarray(start, (end ?? 1e9) + 1);
    ok(
      file.stats().bytesRead <= length + 2 * file.alignment.length,
      'no block but the outermost is read twice',
    );
  }
  const file = await fileOf(doors, new Uint8Array(0), { direct: true });
  const stream = file.createWriteStream({ sync: 'data' });
  await Promise.all([writeAll(stream, cutEvery(bytes, 1237)), closed(stream)]);
  ok(readFileSync(file.path as string).equals(bytes));
  equal(stream.bytesWritten, bytes.length);
});

onBothEngines(
  'a stream of a file that may not be read or written is refused at once',
  async (t, doors) => {
    const path = join(scratch(t), 'file');
    writeFileSync(path, 'x');
    const reader = await doors.open(path);
    const writer = await doors.open(path, { access: 'write' });
    const told = async (make: () => unknown) => refusedAs(async () => make());
    equal(await told(() => reader.createWriteStream()), 'EBADF access');
    equal(await told(() => reader.writable()), 'EBADF access');
    equal(await told(() => writer.createReadStream()), 'EBADF access');
    equal(await told(() => writer.readable()), 'EBADF access');
    equal(reader.isClosed, false, 'and the file is as it was');
    await reader.close();
    equal(await told(() => reader.createReadStream()), 'EBADF closed');
    const calls = reader.stats().systemCalls;
    equal(calls.pread, undefined);
  },
);

onBothEngines('a file closed under a stream is told once', async (_, doors) => {
  const file = await fileOf(doors, patterned(LENGTH));
  const stream = file.createReadStream({ highWaterMark: 1000 });
  await new Promise((resolve) => stream.once('readable', resolve));
  await file.close();
  stream.resume();
  const errors = await closed(stream);
  deepEqual(
    errors.map((error) => (error as { kind: string }).kind),
    ['closed'],
  );
});

test('options of streams are checked, by name, before anything happens', async (t) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'x');
  const file = await openFile(path, { access: 'read-write' });
  t.after(() => file.close());
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ start: -1 }, /"options.start".*got -1/],
    [{ start: '0' }, /"options.start".*got "0"/],
    [{ start: 1.5 }, /"options.start"/],
    [{ highWaterMark: 0 }, /"options.highWaterMark".*from 1.*got 0/],
    [{ highWaterMark: Number.NaN }, /"options.highWaterMark"/],
    [{ highWaterMark: '1' }, /"options.highWaterMark".*a number/],
    [{ autoClose: 1 }, /"options.autoClose"/],
    [{ signal: {} }, /"options.signal".*AbortSignal/],
  ];
  const reads: readonly (readonly [object, RegExp])[] = [
    [{ end: -1 }, /"options.end"/],
    [{ start: 5, end: 4 }, /"options.start".*at most "options.end", which is 4; got 5/],
  ];
  const nodes: readonly (readonly [object, RegExp])[] = [
    [{ encoding: 'utf9' }, /"options.encoding"/],
    [{ emitClose: 'no' }, /"options.emitClose"/],
  ];
  const syncs: readonly (readonly [object, RegExp])[] = [
    [{ sync: true }, /"options.sync".*'data' or 'full'.*got true/],
  ];
  const check = (make: (options: object) => unknown, ...lists: (typeof bad)[]): void => {
    for (const [options, says] of lists.flat()) throws(() => make(options), says);
    throws(() => make(null as unknown as object), /"options".*an object/);
  };
  check((options) => file.createReadStream(options), bad, reads, nodes);
  check((options) => file.createWriteStream(options), bad, nodes, syncs);
  check((options) => file.readable(options), bad, reads);
  check((options) => file.writable(options), bad, syncs);
  equal(file.isClosed, false);
  equal(file.stats().systemCalls.pread ?? 0, 0);
});

onBothEngines('emitClose: false keeps quiet', async (_, doors) => {
  const file = await fileOf(doors, patterned(10));
  const stream = file.createReadStream({ emitClose: false });
  const events = listened(stream);
  stream.resume();
  while (file.fd >= 0) await setImmediate();
  await setImmediate();
  deepEqual(events, ['end']);
});

onBothEngines('what is read behind an end that was met is not given', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(3_000_000));
  const grown = doors.judged(({ code, offset }) => {
    if (code !== Code.Read || offset < 65_536) return undefined;
    if (offset === 65_536) return { moves: 100 };
    return offset === 65_636 ? { answers: 0 } : undefined;
  });
  const stream = (await grown.open(path)).createReadStream({ highWaterMark: 10_000_000 });
  ok((await bytesOf(stream)).equals(patterned(65_636)), 'as if it had grown after that read');
});

onBothEngines('a file that grows while it is read gives no hole', async (_, doors) => {
  const file = await fileOf(doors, patterned(70_000));
  const stream = file.createReadStream({ highWaterMark: 262_144 });
  let grown = 70_000;
  const views: Buffer[] = [];
  stream.on('data', (view: Buffer) => {
    views.push(view);
    if (grown < 1_000_000) {
      writeFileSync(file.path as string, patterned(5000, grown), { flag: 'a' });
      grown += 5000;
    }
  });
  await closed(stream);
  const read = Buffer.concat(views);
  ok(read.length >= 70_000);
  ok(read.equals(patterned(read.length)));
});

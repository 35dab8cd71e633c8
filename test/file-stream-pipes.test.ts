/** Files without positions: FIFOs, pipes, devices, as streams and by read and write. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { AbortError, OpenFile, openFile } from 'holdfast';
import { cutEvery, patterned } from './file/bytes.js';
import { type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import { refusalOf, refusedAs } from './file/told.js';
import { bytesOf, closed, writeAll } from './stream/streams.js';
import { scratch } from './support/scratch.js';

const LENGTH = 400_003;

function fifo(doors: Doors): string {
  const path = join(scratch(doors.t), 'fifo');
  execFileSync('mkfifo', [path]);
  return path;
}

onBothEngines('streams pass every byte through a FIFO, whoever comes first', async (_, doors) => {
  const bytes = patterned(LENGTH);
  for (const first of ['reader', 'writer']) {
    const path = fifo(doors);
    const openReader = () => doors.open(path, { pipes: true });
    const openWriter = () => doors.open(path, { access: 'write', pipes: true });
    let reader = first === 'reader' ? openReader() : undefined;
    await reader;
    const writer = openWriter();
    await sleep(30);
    reader ??= openReader();
    const reading = bytesOf((await reader).createReadStream());
    await sleep(30);
    const stream = (await writer).createWriteStream();
    equal((await writer).hasPositions, false);
    await Promise.all([writeAll(stream, cutEvery(bytes, 10_000)), closed(stream)]);
    ok((await reading).equals(bytes), first);
    equal(stream.bytesWritten, LENGTH);
  }
});

onBothEngines('Web streams pass every byte through a FIFO', async (_, doors) => {
  const bytes = patterned(LENGTH);
  const path = fifo(doors);
  const from = join(scratch(doors.t), 'file');
  writeFileSync(from, bytes);
  const reading = doors.open(path, { pipes: true }).then((file) => bytesOf(file.readable()));
  const writer = await doors.open(path, { access: 'write', pipes: true });
  await (await doors.open(from)).readable().pipeTo(writer.writable());
  ok((await reading).equals(bytes));
});

onBothEngines('a stream of a pipe gives what there is, at once', async (_, doors) => {
  const path = fifo(doors);
  const file = await doors.open(path, { pipes: true });
  const stream = file.createReadStream({ end: 8 });
  const writing = openSync(path, 'w');
  doors.t.after(() => closeSync(writing));
  const views: string[] = [];
  for (const text of ['one', 'three', 'four']) {
    writeFileSync(writing, text);
    const [view] = await once(stream, 'data');
    views.push(String(view));
  }
  deepEqual(views, ['one', 'three', 'f'], 'and no more than it may');
  deepEqual(await closed(stream), []);
  equal(file.isClosed, true);
});

onBothEngines(
  'a read stream that waits for a writer can be destroyed and aborted',
  async (_, doors) => {
    for (const ends of ['destroy', 'abort', 'cancel']) {
      for (const hasWriter of [false, true]) {
        const path = fifo(doors);
        const file = await doors.open(path, { pipes: true });
        const writing = hasWriter ? openSync(path, 'w') : undefined;
        const aborter = new AbortController();
        if (ends === 'cancel') {
          const reader = file.readable().getReader();
          const read = reader.read();
          await sleep(10);
          await reader.cancel();
          equal((await read).done, true);
        } else {
          const stream = file.createReadStream({ signal: aborter.signal });
          const errors = closed(stream);
          stream.resume();
          await sleep(10);
          if (ends === 'abort') aborter.abort();
          else stream.destroy();
          const [error] = await errors;
          equal(error instanceof AbortError, ends === 'abort');
        }
        equal(file.fd, -1);
        if (writing !== undefined) closeSync(writing);
      }
    }
  },
);

onBothEngines('a read of a pipe that waits can be aborted', async (_, doors) => {
  const path = fifo(doors);
  const file = await doors.open(path, { pipes: true });
  const writing = openSync(path, 'w');
  doors.t.after(() => closeSync(writing));
  for (const reason of ['first', 'second']) {
    const aborter = new AbortController();
    const memory = new Uint8Array(10);
    const reading = file.read(memory, { signal: aborter.signal }).catch((error) => error);
    await sleep(10);
    aborter.abort(reason);
    const error = await reading;
    ok(error instanceof AbortError, `${error}`);
    equal(error.cause, reason);
  }
  writeFileSync(writing, 'abc');
  equal(await file.readOn(new Uint8Array(10)), 3, 'and what comes later is not lost');
});

onBothEngines('a write stream that waits for a reader can be destroyed', async (_, doors) => {
  const path = fifo(doors);
  const reading = openSync(path, 'r+');
  doors.t.after(() => closeSync(reading));
  const file = await doors.open(path, { access: 'write', pipes: true });
  const stream = file.createWriteStream();
  const errors = closed(stream);
  stream.write(patterned(1_000_000));
  await sleep(10);
  stream.destroy();
  deepEqual(await errors, []);
  equal(file.fd, -1);
  ok(stream.bytesWritten >= 65_536, 'what the pipe had room for is told');
});

onBothEngines(
  'the open of a FIFO that nobody reads waits, and can be given up',
  async (_, doors) => {
    const path = fifo(doors);
    const options = { access: 'write', pipes: true, engine: doors.engine } as const;
    const aborter = new AbortController();
    const opening = openFile(path, { ...options, signal: aborter.signal });
    setTimeout(() => aborter.abort(), 20);
    equal((await opening.catch((error) => error)).name, 'AbortError');
    const late = await refusalOf(() => openFile(path, { ...options, timeoutMs: 30 }));
    equal(late.kind, 'timeout');
  },
);

onBothEngines('a writer whose reader has gone is told EPIPE, once', async (_, doors) => {
  const path = fifo(doors);
  const reading = openSync(path, 'r+');
  const file = await doors.open(path, { access: 'write', pipes: true });
  const stream = file.createWriteStream();
  const errors = closed(stream);
  closeSync(reading);
  stream.write('x');
  deepEqual(
    (await errors).map((error) => (error as { code: string }).code),
    ['EPIPE'],
  );
});

onAllDoors('read() and write() go on where the pipe is', async (_, doors) => {
  const path = fifo(doors);
  const both = openSync(path, 'r+');
  const reader = await doors.open(path, { pipes: true });
  const writer = await doors.open(path, { access: 'append', pipes: true });
  const isSync = doors.face === 'sync';
  const write = async (text: string) =>
    isSync ? writer.writeSync(Buffer.from(text)) : writer.write(Buffer.from(text));
  const memory = new Uint8Array(6);
  const read = async () => (isSync ? reader.readSync(memory) : reader.read(memory));
  equal(await write('abc'), 3);
  equal(await write('defghi'), 6);
  equal(await read(), 6);
  equal(String(Buffer.from(memory)), 'abcdef');
  closeSync(both);
  await doors.close(writer);
  equal(await read(), 3, 'less at the end alone');
  equal(String(Buffer.from(memory.subarray(0, 3))), 'ghi');
  equal(await read(), 0);
});

onAllDoors('what is asked at an offset of a pipe is refused', async (_, doors) => {
  const path = fifo(doors);
  const both = openSync(path, 'r+');
  doors.t.after(() => closeSync(both));
  const file = await doors.open(path, { pipes: true });
  equal(await refusedAs(() => doors.readAt(file, new Uint8Array(3), 0)), 'ESPIPE wrong-type');
  equal(await refusedAs(() => doors.readAll(file)), 'ESPIPE wrong-type');
  equal(await refusedAs(() => doors.readSomeAt(file, new Uint8Array(3), 0)), 'ESPIPE wrong-type');
  const told = await file.stat();
  equal(told.kind, 'fifo');
  let caught: unknown;
  try {
    file.createReadStream({ start: 3 });
  } catch (error) {
    caught = error;
  }
  ok(/"options.start".*without positions.*got 3/.test(String(caught)), String(caught));
  equal(await refusedAs(() => doors.open(path)), 'ESPIPE wrong-type', 'unless it is asked for');
});

onBothEngines('a stream of a descriptor that somebody else opened', async (_, doors) => {
  const bytes = patterned(50_000);
  for (const flags of [constants.O_RDONLY, constants.O_RDONLY | constants.O_NONBLOCK]) {
    const path = fifo(doors);
    const both = openSync(path, 'r+');
    const fd = openSync(path, flags);
    writeFileSync(both, bytes);
    closeSync(both);
    const { engine } = doors;
    const file = OpenFile.fromFd(fd, { ownership: 'take', pipes: true, engine });
    equal(file.hasPositions, false);
    ok((await bytesOf(file.createReadStream())).equals(bytes));
    equal(file.fd, -1);
  }
});

onBothEngines('a device is a stream without an end', async (_, doors) => {
  const zeros = await doors.open('/dev/zero', { pipes: true });
  const file = await doors.create(join(scratch(doors.t), 'file'));
  await pipeline(zeros.createReadStream({ end: 199_999 }), file.createWriteStream());
  ok(readFileSync(file.path as string).equals(new Uint8Array(200_000)));
});

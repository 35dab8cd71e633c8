/** Streams when the system refuses, falls short, or the caller gives up: what is told and there. */
import { deepEqual, equal, fail, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { AbortError, IoError, openFile } from 'holdfast';
import { crashEverywhere } from 'holdfast/testing';
import { Code, errnoOf, type Operation } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { type Doors, engineNames, onBothEngines } from './file/doors.js';
import { isTransfer, type Verdict } from './file/faults.js';
import { refusedAs } from './file/told.js';
import { engineHere } from './replace/worlds.js';
import { bytesOf, closed, listened, writeAll } from './stream/streams.js';
import { mountFor } from './support/mounts.js';
import { projectRoot, scratch } from './support/scratch.js';

const LENGTH = 900_001;

/** Refuses one operation of a code, the `when`th that is asked for. */
function refusing(doors: Doors, code: number, errno: string, when: number) {
  let asked = 0;
  return doors.judged((operation: Operation): Verdict => {
    if (operation.code !== code || ++asked !== when) return undefined;
    return { answers: errnoOf(errno) };
  });
}

async function sourceOf(doors: Doors, bytes: Uint8Array) {
  const path = join(scratch(doors.t), 'source');
  writeFileSync(path, bytes);
  return doors.open(path);
}

/*
 * Node's own puts what is left of a short gathered write where the whole of it would have ended:
 * lib/internal/fs/streams.js, writevAll() writes at `this.pos`, which has moved on by then.
 */
onBothEngines('a short write of a stream is resumed where it stopped', async (_, doors) => {
  const bytes = patterned(60_000);
  for (const moves of [1000, 4097, 65_000]) {
    const short = doors.judged((operation) => (isTransfer(operation) ? { moves } : undefined));
    for (const start of [0, 123]) {
      const file = await short.create(join(scratch(doors.t), 'file'));
      const stream = file.createWriteStream({ start });
      for (const view of cutEvery(bytes, 7000)) stream.write(view);
      stream.end();
      deepEqual(await closed(stream), []);
      ok(
        readFileSync(file.path as string)
          .subarray(start)
          .equals(bytes),
        `${moves} at ${start}`,
      );
      equal(stream.bytesWritten, bytes.length);
    }
  }
});

onBothEngines('a short read of a stream is resumed where it stopped', async (_, doors) => {
  const bytes = patterned(LENGTH);
  let calls = 0;
  const short = doors.judged((operation) =>
    isTransfer(operation) ? { moves: 1 + ((++calls * 7919) % 90_000) } : undefined,
  );
  const file = await sourceOf(short, bytes);
  ok((await bytesOf(file.createReadStream())).equals(bytes));
});

onBothEngines('ENOSPC in the middle is told once, with what reached the file', async (_, doors) => {
  for (const when of [1, 2, 4]) {
    const full = refusing(doors, Code.Write, 'ENOSPC', when);
    const file = await full.create(join(scratch(doors.t), 'file'));
    const stream = file.createWriteStream({ highWaterMark: 10_000, sync: 'full' });
    const events = listened(stream);
    const writing = writeAll(stream, cutEvery(patterned(100_000), 10_000)).catch(() => undefined);
    const [error, ...others] = await closed(stream);
    ok(error instanceof IoError);
    deepEqual([error.code, error.kind, others.length], ['ENOSPC', 'no-space', 0]);
    equal(events.includes('finish'), false);
    equal(stream.bytesWritten, (when - 1) * 10_000);
    ok(readFileSync(file.path as string).equals(patterned(stream.bytesWritten)));
    equal(file.stats().systemCalls.fsync, undefined, 'nothing is synced behind an error');
    equal(file.fd, -1);
    stream.destroy();
    void writing;
  }
});

onBothEngines('a read that fails is told after the bytes before it', async (_, doors) => {
  const bytes = patterned(LENGTH);
  for (const when of [1, 2, 3]) {
    const failing = refusing(doors, Code.Read, 'EIO', when);
    const file = await sourceOf(failing, bytes);
    const stream = file.createReadStream({ highWaterMark: 65_536 });
    const views: Buffer[] = [];
    stream.on('data', (view: Buffer) => views.push(view));
    const [error, ...others] = await closed(stream);
    deepEqual([(error as IoError).code, others.length], ['EIO', 0]);
    ok(Buffer.concat(views).equals(bytes.subarray(0, (when - 1) * 65_536)));
    equal(stream.bytesRead, (when - 1) * 65_536);
  }
});

onBothEngines('what a read had moved before it failed is given first', async (_, doors) => {
  const bytes = patterned(60_000);
  let calls = 0;
  const failing = doors.judged((operation) => {
    if (operation.code !== Code.Read) return undefined;
    return ++calls === 1 ? { moves: 12_345 } : { answers: errnoOf('EIO') };
  });
  const stream = (await sourceOf(failing, bytes)).createReadStream();
  const views: Buffer[] = [];
  stream.on('data', (view: Buffer) => views.push(view));
  const [error] = await closed(stream);
  equal((error as IoError).code, 'EIO');
  ok(Buffer.concat(views).equals(bytes.subarray(0, 12_345)));
});

for (const sync of ['data', 'full'] as const) {
  const code = sync === 'data' ? Code.SyncData : Code.Sync;
  onBothEngines(`sync: '${sync}' comes before finish, and tells what it was`, async (_, doors) => {
    const order: string[] = [];
    const judged = doors.judged((operation) => {
      if (operation.code === code) order.push('sync');
      return undefined;
    });
    const file = await judged.create(join(scratch(doors.t), 'file'));
    const stream = file.createWriteStream({ sync });
    stream.on('finish', () => order.push('finish'));
    await Promise.all([writeAll(stream, [patterned(10)]), closed(stream)]);
    deepEqual(order, ['sync', 'finish']);
    deepEqual(stream.synced, { primitive: sync === 'data' ? 'fdatasync' : 'fsync' });
  });

  onBothEngines(
    `sync: '${sync}' that fails is no finish, and breaks the file`,
    async (_, doors) => {
      const judged = refusing(doors, code, 'EIO', 1);
      const file = await judged.create(join(scratch(doors.t), 'file'));
      const stream = file.createWriteStream({ sync, autoClose: false });
      const events = listened(stream);
      await Promise.all([writeAll(stream, [patterned(10)]), closed(stream)]);
      deepEqual(events, ['error', 'close']);
      equal(stream.synced, undefined);
      equal(await refusedAs(() => file.sync()), 'EIO broken');
      await file.close();
    },
  );
}

test('a stream that has finished with sync survives every power cut', async () => {
  const bytes = patterned(3000);
  const report = await crashEverywhere({
    seed: 8,
    prepare: (disk) => disk.put('/file', ''),
    run: async ({ engine }) => {
      const file = await openFile('/file', { engine, access: 'write' });
      const stream = file.createWriteStream({ sync: 'data', highWaterMark: 700 });
      const errors = closed(stream);
      const writing = writeAll(stream, cutEvery(bytes, 500)).catch(() => undefined);
      const [error] = await errors;
      if (error !== undefined) throw error;
      await writing;
    },
    check: (disk, isDone) => {
      const left = Buffer.from(disk.read('/file') ?? []);
      if (isDone) ok(left.equals(bytes), `${left.length} bytes are left`);
    },
  });
  ok(report.operationCount > 3);
});

onBothEngines(
  'an abort at any moment ends both streams once, with what was done',
  async (_, doors) => {
    const bytes = patterned(LENGTH);
    for (let turns = 0; turns < 10; turns++) {
      const aborter = new AbortController();
      const { signal } = aborter;
      if (turns === 0) aborter.abort('at once');
      const from = await sourceOf(doors, bytes);
      const path = join(scratch(doors.t), 'target');
      const to = await doors.create(path);
      const reading = from.createReadStream({ signal, highWaterMark: 30_000 });
      const writing = to.createWriteStream({ signal, sync: 'data', highWaterMark: 10_000 });
      const views: Buffer[] = [];
      reading.on('data', (view: Buffer) => {
        views.push(view);
        if (writing.writable) writing.write(view);
      });
      for (let turn = 1; turn < turns; turn++) await setImmediate();
      aborter.abort('enough');
      const told = await Promise.all([closed(reading), closed(writing)]);
      for (const [error, ...others] of told) {
        equal(others.length, 0);
        if (error === undefined && reading.readableEnded) continue;
        ok(error instanceof AbortError, `${error}`);
        equal(error.cause, turns === 0 ? 'at once' : 'enough');
      }
      const read = Buffer.concat(views);
      ok(read.equals(bytes.subarray(0, read.length)));
      equal(read.length, reading.bytesRead);
      const written = readFileSync(path);
      ok(written.equals(bytes.subarray(0, written.length)));
      equal(written.length, writing.bytesWritten, 'what is told is what is there');
      deepEqual([from.fd, to.fd, writing.synced], [-1, -1, undefined]);
    }
  },
);

onBothEngines('a signal that outlives many streams is left alone by them', async (_, doors) => {
  const aborter = new AbortController();
  const { signal } = aborter;
  const warnings: Error[] = [];
  const hear = (warning: Error): void => void warnings.push(warning);
  process.on('warning', hear);
  for (let round = 0; round < 20; round++) {
    const file = await sourceOf(doors, patterned(100));
    const stream = file.createReadStream({ signal });
    equal((await bytesOf(stream)).length, 100);
    await closed(stream);
    stream.destroy = () => fail('a stream that is over hears nothing of the signal');
  }
  aborter.abort();
  await setImmediate();
  process.off('warning', hear);
  deepEqual(
    warnings.filter(({ name }) => name === 'MaxListenersExceededWarning'),
    [],
  );
});

onBothEngines('a close that fails is an error, once, behind finish', async (_, doors) => {
  const judged = refusing(doors, Code.Close, 'EIO', 1);
  const file = await judged.create(join(scratch(doors.t), 'file'));
  const { fd } = file;
  const stream = file.createWriteStream();
  const events = listened(stream);
  const errors = closed(stream);
  stream.end('x');
  deepEqual(
    (await errors).map((error) => (error as IoError).code),
    ['EIO'],
  );
  deepEqual(events, ['finish', 'error', 'close']);
  const leftOpen = await openFile(`/proc/self/fd/${fd}`);
  await leftOpen.close();
  closeSync(fd);
});

test('a real full device: the stream tells ENOSPC and what is there', async (t) => {
  const mount = mountFor(t, 'tmpfs', { sizeBytes: 8 * 1024 * 1024 });
  if (mount === undefined) return;
  for (const name of engineNames) {
    const engine = engineHere(name);
    if (typeof engine === 'string') {
      t.diagnostic(`NOT TESTED on ${name}: ${engine}`);
      continue;
    }
    const path = join(mount.path, name);
    const file = await openFile(path, { access: 'write', create: true, engine });
    const stream = file.createWriteStream({ sync: 'data' });
    const views = cutEvery(patterned(12 * 1024 * 1024), 100_000);
    const writing = writeAll(stream, views).catch(() => undefined);
    const [error, ...others] = await closed(stream);
    deepEqual([(error as IoError).code, others.length], ['ENOSPC', 0], name);
    const written = readFileSync(path);
    equal(written.length, stream.bytesWritten);
    ok(written.equals(patterned(written.length)));
    stream.destroy();
    void writing;
    rmSync(path);
  }
});

test('a real short write: RLIMIT_FSIZE stops the stream where the file ends', (t) => {
  const path = join(scratch(t), 'file');
  const source = `
    import { openFile } from 'holdfast';
    const file = await openFile(${JSON.stringify(path)}, { access: 'write', create: true });
    const stream = file.createWriteStream();
    stream.on('error', ({ code, bytesDone }) => {
      console.log(JSON.stringify({ code, bytesDone, written: stream.bytesWritten }));
    });
    for (let view = 0; view < 8; view++) stream.write(new Uint8Array(3000).fill(view));
    stream.end();`;
  const words = ['--fsize=10000', process.execPath, '--input-type=module', '--eval', source];
  const { stdout, error } = spawnSync('prlimit', words, {
    cwd: projectRoot,
    encoding: 'utf8',
    timeout: 30_000,
  });
  if (error !== undefined) return t.skip('no prlimit');
  const told = JSON.parse(stdout);
  deepEqual([told.code, told.written], ['EFBIG', 10_000]);
  const wanted = Buffer.alloc(10_000).map((_, at) => Math.floor(at / 3000));
  ok(readFileSync(path).equals(wanted));
});

/** Closing: once, after what is under way, and nothing works on a closed file. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OpenFile } from 'holdfast';
import { Code } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { onAllDoors, onBothEngines } from './file/doors.js';
import { refusalOf, refusedAs } from './file/told.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

onAllDoors('close() closes the descriptor, once', async (t, doors) => {
  const judged = doors.judged(() => undefined);
  const before = openDescriptors();
  const file = await judged.create(join(scratch(t), 'file'));
  ok(file.fd >= 0);
  equal(file.isClosed, false);
  await judged.close(file);
  equal(file.fd, -1);
  equal(file.isClosed, true);
  assertNoNewDescriptors(before);
  await judged.close(file);
  await file.close();
  file.closeSync();
  equal(judged.engine.asked.filter((name) => name === 'close').length, 1);
});

onBothEngines('close() is one promise, however often it is asked for', async (t, doors) => {
  const judged = doors.judged(() => undefined);
  const file = await judged.create(join(scratch(t), 'file'));
  const first = file.close();
  equal(file.close(), first);
  await Promise.all([first, file.close()]);
  equal(judged.engine.asked.filter((name) => name === 'close').length, 1);
});

onAllDoors('a closed file refuses every call', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const judged = doors.judged(() => undefined);
  const file = await judged.create(path);
  await judged.writeAt(file, patterned(10), 0);
  await judged.close(file);
  const asked = judged.engine.asked.length;
  for (const [name, call] of Object.entries(judged.everyCall(file))) {
    const error = await refusalOf(call);
    deepEqual([error.code, error.kind, error.path], ['EBADF', 'closed', path], name);
  }
  equal(judged.engine.asked.length, asked, 'nothing reached the system');
  equal(readFileSync(path).length, 10);
  file.stats();
  equal(file.explain().path, path);
});

onBothEngines('close() waits for what is under way', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const judged = doors.judged(() => undefined);
  const file = await judged.create(path);
  const bytes = patterned(5000 * 600);
  const work = [
    file.writeAt(cutEvery(bytes, 600), 0),
    file.writeAt(Uint8Array.of(1), bytes.length),
    file.writeAt([Uint8Array.of(2), Uint8Array.of(3)], bytes.length + 1),
    file.sync(),
  ];
  const closed = file.close();
  equal(await refusedAs(() => file.writeAt(bytes, 0)), 'EBADF closed');
  await closed;
  equal(judged.engine.asked.at(-1), 'close');
  const ends = await Promise.allSettled(work);
  deepEqual(
    ends.map(({ status }) => status),
    new Array(4).fill('fulfilled'),
  );
  ok(readFileSync(path).equals(Buffer.concat([bytes, Uint8Array.of(1, 2, 3)])));
});

onBothEngines('closeSync() with operations under way closes after them', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const before = openDescriptors();
  const file = await doors.create(path);
  const bytes = patterned(3000 * 600);
  const work = file.writeAt(cutEvery(bytes, 600), 0);
  file.closeSync();
  equal(file.isClosed, true);
  equal(await refusedAs(() => file.readAll()), 'EBADF closed');
  equal(await work, bytes.length);
  await file.close();
  equal(file.fd, -1);
  ok(readFileSync(path).equals(bytes));
  assertNoNewDescriptors(before);
});

/* `using` and `await using` are no syntax of Node 20: what they call is called by name. */
onBothEngines('Symbol.dispose and Symbol.asyncDispose close the file', async (t, doors) => {
  const before = openDescriptors();
  const path = join(scratch(t), 'file');
  const first = await doors.create(path);
  first[Symbol.dispose]();
  equal(first.fd, -1);
  const second = await doors.create(path);
  await second[Symbol.asyncDispose]();
  equal(second.fd, -1);
  assertNoNewDescriptors(before);
});

onAllDoors(
  'close() tells a failure of the system, and the descriptor is gone',
  async (t, doors) => {
    const judged = doors.judged(() => undefined);
    let isFailing = false;
    const failing = doors.judged(({ code }) => {
      const closes = Code.Close;
      return isFailing && code === closes ? { answers: -5 } : undefined;
    });
    const path = join(scratch(t), 'file');
    const opened = await judged.create(path);
    const file = new OpenFile({
      engine: failing.engine,
      fd: opened.fd,
      access: 'read-write',
      path,
      stat: await opened.stat(),
      isOwned: true,
      alignment: undefined,
      fallbacks: [],
    });
    isFailing = true;
    const error = await refusalOf(() => failing.close(file));
    deepEqual([error.code, error.syscall, error.path], ['EIO', 'close', path]);
    equal(file.fd, -1);
    equal(file.isClosed, true);
  },
);

onAllDoors('no failure leaves a descriptor behind', async (t, doors) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'content');
  const fileOf = () => doors.open(path, { access: 'read-write' });
  await (await fileOf()).close();
  const before = openDescriptors();
  await refusalOf(() => doors.open(directory));
  await refusalOf(() => doors.open(join(directory, 'missing')));
  await refusalOf(() => doors.open(path, { access: 'write', create: 'exclusive' }));
  const failures = [
    (file: OpenFile) => doors.writeAt(file, 'text' as never, 0),
    (file: OpenFile) => doors.readAt(file, new Uint8Array(1), -1),
    (file: OpenFile) => doors.truncate(file, 0.5),
  ];
  for (const failure of failures) {
    const file = await fileOf();
    await failure(file).catch(() => undefined);
    await doors.close(file);
  }
  assertNoNewDescriptors(before);
});

/* The open succeeds, what is asked next does not: the descriptor must not stay. */
onAllDoors('a failure between open and its checks leaves no descriptor', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'content');
  await (await doors.open(path)).close();
  const before = openDescriptors();
  const judged = doors.judged(({ code }) => (code === Code.Stat ? { answers: -5 } : undefined));
  const error = await refusalOf(() => judged.open(path));
  deepEqual([error.code, error.syscall, error.path], ['EIO', 'fstat', path]);
  assertNoNewDescriptors(before);
});

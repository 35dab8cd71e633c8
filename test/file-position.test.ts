/** The file's own position: order, seeks, and where a failure leaves it. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AbortError, type OpenFile } from 'holdfast';
import { Code, errnoOf } from '#holdfast/platform.js';
import { callBy, toldBy } from './contract/call.js';
import { cutEvery, patterned } from './file/bytes.js';
import { type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import { refusalOf } from './file/told.js';
import { scratch } from './support/scratch.js';

async function open(doors: Doors, bytes: Uint8Array): Promise<OpenFile> {
  const path = join(scratch(doors.t), 'file');
  writeFileSync(path, bytes);
  return doors.open(path, { access: 'read-write' });
}

onBothEngines('a hundred write()s under way land in the order of the calls', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path);
  const pieces = Array.from({ length: 100 }, (_, index) =>
    patterned(1 + ((index * 37) % 300), index),
  );
  const moved = await Promise.all(pieces.map((piece) => file.write(piece)));
  deepEqual(
    moved,
    pieces.map((piece) => piece.length),
  );
  ok(readFileSync(path).equals(Buffer.concat(pieces)));
  equal(file.position, Buffer.concat(pieces).length);
});

onBothEngines('a hundred read()s under way take the file in order', async (_, doors) => {
  const bytes = patterned(100 * 57 + 20);
  const file = await open(doors, bytes);
  const views = Array.from({ length: 102 }, () => new Uint8Array(57));
  const moved = await Promise.all(views.map((view) => file.read(view)));
  deepEqual(moved, [...new Array<number>(100).fill(57), 20, 0]);
  ok(Buffer.concat(views).subarray(0, bytes.length).equals(bytes));
  equal(file.position, bytes.length);
});

onBothEngines('read(), write() and seek() under way keep their order', async (_, doors) => {
  const file = await open(doors, patterned(100));
  const before = new Uint8Array(10);
  const after = new Uint8Array(10);
  const answers = await Promise.all([
    file.seek(50),
    file.read(before),
    file.seek(-10, 'current'),
    file.write(new Uint8Array(10).fill(7)),
    file.seek(-50, 'end'),
    file.read(after),
  ]);
  deepEqual(answers, [50, 10, 50, 10, 50, 10]);
  deepEqual(before, patterned(10, 50));
  deepEqual(after, new Uint8Array(10).fill(7));
});

/* One that fails, or is aborted while it waits for its turn, does not hold up the next. */
onBothEngines('a refused read() lets the ones behind it through', async (_, doors) => {
  let reads = 0;
  const judged = doors.judged(({ code }) =>
    code === Code.Read && ++reads === 2 ? { answers: errnoOf('EIO') } : undefined,
  );
  const file = await open(judged, patterned(100));
  const views = Array.from({ length: 4 }, () => new Uint8Array(10));
  const controller = new AbortController();
  const calls = views.map((view, index) =>
    file.read(view, index === 2 ? { signal: controller.signal } : {}),
  );
  controller.abort();
  const [first, second, third, fourth] = await Promise.allSettled(calls);
  equal(first?.status, 'fulfilled');
  equal(second?.status === 'rejected' && second.reason.kind, 'io');
  ok(third?.status === 'rejected' && third.reason instanceof AbortError);
  equal(fourth?.status, 'fulfilled');
  deepEqual(views[3], patterned(10, 10), 'neither of the two moved the position');
  equal(file.position, 20);
});

onAllDoors('seek() counts from the start, the position and the end', async (_, doors) => {
  const file = await open(doors, patterned(100));
  const seek = (...values: Parameters<OpenFile['seek']>) =>
    callBy(doors.face, file, 'seek', ...values);
  equal(await seek(10), 10);
  equal(await seek(20, 'set'), 20);
  equal(await seek(5, 'current'), 25);
  equal(await seek(-25, 'current'), 0);
  equal(await seek(-100, 'end'), 0);
  equal(await seek(0, 'end'), 100);
  equal(await seek(50, 'end'), 150, 'beyond the end is a place');
  equal(await callBy(doors.face, file, 'read', new Uint8Array(4)), 0);
  equal(await callBy(doors.face, file, 'write', Uint8Array.of(1)), 1);
  const { size } = await doors.stat(file);
  equal(size, 151);
  equal(await seek(Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
});

onAllDoors('seek() refuses a place before the start and one that is none', async (_, doors) => {
  const file = await open(doors, patterned(100));
  await callBy(doors.face, file, 'seek', 30);
  const told = (offset: unknown, origin?: unknown) =>
    toldBy(() => callBy(doors.face, file, 'seek', offset as number, origin as 'set'));
  equal(await told(-1), 'RangeError ERR_OUT_OF_RANGE');
  equal(await told(-31, 'current'), 'RangeError ERR_OUT_OF_RANGE');
  equal(await told(-101, 'end'), 'RangeError ERR_OUT_OF_RANGE');
  equal(await told(Number.MAX_SAFE_INTEGER, 'current'), 'RangeError ERR_OUT_OF_RANGE');
  equal(await told(0.5), 'RangeError ERR_OUT_OF_RANGE');
  equal(await told(Number.NaN), 'RangeError ERR_OUT_OF_RANGE');
  equal(await told('1'), 'TypeError ERR_INVALID_ARG_TYPE');
  equal(await told(1, 'start'), 'TypeError ERR_INVALID_ARG_VALUE');
  equal(file.position, 30, 'a refused seek moves nothing');
});

onBothEngines('the waiting twins answer EBUSY while a call is under way', async (_, doors) => {
  const file = await open(doors, patterned(100));
  const under = file.read(new Uint8Array(10));
  const bytes = new Uint8Array(1);
  const told = await Promise.all(
    [() => file.readSync(bytes), () => file.writeSync(bytes), () => file.seekSync(0)].map(toldBy),
  );
  deepEqual(told, ['EBUSY busy', 'EBUSY busy', 'EBUSY busy']);
  equal(await under, 10);
  equal(file.position, 10);
  equal(file.readSync(bytes), 1);
  deepEqual(bytes, patterned(1, 10));
});

onAllDoors('a write() that fails moves the position by what reached the file', async (_, doors) => {
  let writes = 0;
  const judged = doors.judged(({ code }) => {
    if (code !== Code.Write) return undefined;
    writes++;
    if (writes === 1) return { moves: 37 };
    return writes === 2 ? { answers: errnoOf('ENOSPC') } : undefined;
  });
  const file = await open(judged, patterned(10));
  await callBy(doors.face, file, 'seek', 5);
  const bytes = patterned(100, 3);
  const error = await refusalOf(() => callBy(doors.face, file, 'write', cutEvery(bytes, 9)));
  deepEqual([error.code, error.bytesDone, file.position], ['ENOSPC', 37, 42]);
  equal(await callBy(doors.face, file, 'write', bytes.subarray(37)), 63);
  equal(file.position, 105);
  const all = await doors.readAll(file);
  deepEqual(all.subarray(5), bytes);
});

onBothEngines('a read() that is aborted half way moves the position by half', async (_, doors) => {
  const controller = new AbortController();
  const judged = doors.judged(({ code }) => {
    if (code !== Code.Read) return undefined;
    controller.abort();
    return { moves: 25 };
  });
  const file = await open(judged, patterned(100));
  await rejects(file.read(new Uint8Array(50), { signal: controller.signal }), { bytesDone: 25 });
  equal(file.position, 25);
});

onBothEngines('seek() that was aborted before does not move the position', async (_, doors) => {
  const file = await open(doors, patterned(100));
  const signal = AbortSignal.abort();
  for (const origin of ['set', 'current', 'end'] as const) {
    await rejects(file.seek(10, origin, { signal }), AbortError);
  }
  equal(file.position, 0);
});

onAllDoors('write() on a file open for append lands at its end', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'before');
  const file = await doors.open(path, { access: 'append' });
  equal(file.position, 0);
  equal(await callBy(doors.face, file, 'write', Buffer.from('one')), 3);
  equal(file.position, 9);
  await callBy(doors.face, file, 'seek', 0);
  equal(await callBy(doors.face, file, 'write', [Buffer.from('t'), Buffer.from('wo')]), 3);
  equal(file.position, 12);
  equal(readFileSync(path, 'utf8'), 'beforeonetwo');
  equal(await toldBy(() => callBy(doors.face, file, 'read', new Uint8Array(1))), 'EBADF access');
});

onAllDoors('readAt(), writeAt() and append() leave the position alone', async (_, doors) => {
  const file = await open(doors, patterned(100));
  await callBy(doors.face, file, 'seek', 7);
  await doors.readAt(file, new Uint8Array(30), 20);
  await doors.writeAt(file, new Uint8Array(30), 20);
  await doors.append(file, new Uint8Array(30));
  await doors.readAll(file);
  equal(file.position, 7);
});

onAllDoors('read() and write() of no bytes answer 0 and stay', async (_, doors) => {
  const file = await open(doors, patterned(10));
  await callBy(doors.face, file, 'seek', 3);
  equal(await callBy(doors.face, file, 'read', []), 0);
  equal(await callBy(doors.face, file, 'write', new Uint8Array(0)), 0);
  equal(file.position, 3);
});

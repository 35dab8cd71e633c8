/** Aborting: before, nothing happens; between two calls, the error tells what was done. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AbortError, openFile } from 'holdfast';
import { Code } from '#holdfast/platform.js';
import { cutEvery, patterned } from './file/bytes.js';
import { abortable, type Doors, onBothEngines } from './file/doors.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

async function open(doors: Doors) {
  const path = join(scratch(doors.t), 'file');
  writeFileSync(path, patterned(100));
  return doors.open(path, { access: 'read-write' });
}

onBothEngines('a call that was aborted before does nothing', async (_, doors) => {
  const judged = doors.judged(() => undefined);
  const file = await open(judged);
  const reason = new Error('enough');
  const options = abortable(AbortSignal.abort(reason));
  const before = judged.engine.asked.length;
  const bytes = new Uint8Array(3);
  const calls = [
    () => file.readAt(bytes, 0, options),
    () => file.writeAt(bytes, 0, options),
    () => file.writeAt([bytes, bytes], 0, options),
    () => file.readSomeAt(bytes, 0, options),
    () => file.writeSomeAt(bytes, 0, options),
    () => file.append(bytes, options),
    () => file.readAll(options),
    () => file.stat(options),
    () => file.truncate(0, options),
    () => file.sync(options),
    () => file.syncData(options),
  ];
  for (const call of calls) {
    const error = await call().catch((refused: unknown) => refused);
    ok(error instanceof AbortError);
    deepEqual([error.name, error.code, error.bytesDone], ['AbortError', 'ABORT_ERR', 0]);
    equal(error.cause, reason);
  }
  equal(judged.engine.asked.length, before, 'nothing reached the system');
  ok(readFileSync(file.path as string).equals(patterned(100)));
  equal(await file.readAt(bytes, 0), 3, 'the file goes on');
  equal(await file.append(bytes), 100);
});

onBothEngines('openFile() that was aborted before opens nothing', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const judged = doors.judged(() => undefined);
  const signal = AbortSignal.abort();
  const options = { access: 'write', create: true, engine: judged.engine, signal } as const;
  await rejects(openFile(path, options), AbortError);
  deepEqual(judged.engine.asked, []);
  equal(existsSync(path), false);
});

onBothEngines(
  'openFile() that is aborted meanwhile leaves no descriptor unowned',
  async (t, doors) => {
    const path = join(scratch(t), 'file');
    writeFileSync(path, '');
    const before = openDescriptors();
    for (const code of [Code.Open, Code.Stat, Code.SetStatusFlags] as number[]) {
      const controller = new AbortController();
      const judged = doors.judged((operation) => {
        if (operation.code === code) controller.abort();
        return undefined;
      });
      const { signal } = controller;
      const opened = openFile(path, { engine: judged.engine, signal });
      const file = await opened.catch((error: unknown) => error);
      if (!(file instanceof AbortError)) await (file as { close(): Promise<void> }).close();
    }
    assertNoNewDescriptors(before);
  },
);

onBothEngines(
  'writeAt() that is aborted tells the bytes that reached the file',
  async (t, doors) => {
    for (const calls of [1, 2, 3]) {
      const controller = new AbortController();
      let writes = 0;
      const judged = doors.judged(({ code }) => {
        if (code === Code.Write && ++writes === calls) controller.abort('enough');
        return undefined;
      });
      const path = join(scratch(t), 'file');
      const file = await judged.create(path);
      const bytes = patterned(4000 * 600);
      const options = abortable(controller.signal);
      const error = await file.writeAt(cutEvery(bytes, 600), 7, options).catch((e: unknown) => e);
      ok(error instanceof AbortError);
      equal(error.bytesDone, calls * 1024 * 600);
      equal(error.cause, 'enough');
      equal(writes, calls, 'no call follows the abort');
      const written = readFileSync(path);
      ok(written.subarray(7).equals(bytes.subarray(0, error.bytesDone)));
      equal(written.length, 7 + error.bytesDone);
    }
  },
);

onBothEngines('readAt() that is aborted tells the bytes that were read', async (t, doors) => {
  const controller = new AbortController();
  const judged = doors.judged(({ code }) => {
    if (code === Code.Read) controller.abort();
    return undefined;
  });
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(3000 * 3));
  const file = await judged.open(path);
  const target = new Uint8Array(3000 * 3);
  const views = cutEvery(target, 3);
  const error = await file.readAt(views, 0, abortable(controller.signal)).catch((e: unknown) => e);
  ok(error instanceof AbortError);
  equal(error.bytesDone, 3072);
  deepEqual(target.slice(0, 3072), patterned(3072));
});

/* An abort that comes when the last call has been made changes nothing: what is done is done. */
onBothEngines('an abort after the last call is too late', async (t, doors) => {
  const controller = new AbortController();
  const judged = doors.judged(({ code }) => {
    if (code === Code.Write || code === Code.Sync) controller.abort();
    return undefined;
  });
  const path = join(scratch(t), 'file');
  const file = await judged.create(path);
  equal(await file.writeAt(patterned(10), 0, abortable(controller.signal)), 10);
  ok(readFileSync(path).equals(patterned(10)));
  const second = new AbortController();
  const synced = file.sync(abortable(second.signal));
  second.abort();
  deepEqual(await synced, { primitive: 'fsync' });
});

onBothEngines(
  'an append waiting for its turn can be aborted, the others land',
  async (t, doors) => {
    const path = join(scratch(t), 'file');
    const file = await doors.create(path, { access: 'append' });
    const controller = new AbortController();
    const first = file.append(Buffer.from('one'));
    const second = file.append(Buffer.from('two'), abortable(controller.signal));
    const third = file.append(Buffer.from('three'));
    controller.abort();
    equal(await first, 0);
    await rejects(second, AbortError);
    equal(await third, 3);
    equal(readFileSync(path, 'utf8'), 'onethree');
  },
);

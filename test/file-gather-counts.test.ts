/** Counts that the system itself confirms: calls under strace, memory of a million views. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { engineFor, onAllDoors } from './file/doors.js';
import { runChild } from './support/child.js';
import { scratch } from './support/scratch.js';
import { type Call, callsBetween, countCalls, traceFor } from './support/strace.js';

const GATHERS = `
  import { existsSync } from 'node:fs';
  import { openFile } from 'holdfast';
  import { engineNamed } from '#holdfast/engine.js';
  const [path, name, face] = process.argv.slice(1);
  const engine = engineNamed(name);
  const mark = (word) => existsSync('/holdfast-mark/' + word);
  const file = await openFile(path, { access: 'read-write', create: true, engine });
  const views = (count, length) => Array.from({ length: count }, () => new Uint8Array(length));
  const write = (v) => (face === 'sync' ? file.writeAtSync(v, 0) : file.writeAt(v, 0));
  const read = (v) => (face === 'sync' ? file.readAtSync(v, 0) : file.readAt(v, 0));
  mark('a'); await write(views(1024, 64)); await write(views(1024, 600));
  mark('b'); await write(views(5000, 64)); await write(views(5000, 600));
  mark('c'); await read(views(1024, 64));
  mark('d'); await write([]); await read([new Uint8Array(0)]);
  mark('e'); await file.writeAt(new Uint8Array(5), 0); await file.syncData(); await file.sync();
  mark('f');
`;

const TRANSFERS = ['read', 'write', 'readv', 'writev', 'pread64', 'pwrite64'];
const VECTORED = ['preadv', 'pwritev', 'preadv2', 'pwritev2', 'fsync', 'fdatasync', 'fstat'];

onAllDoors('writeAt() is one pwritev for 1024 views, as strace sees it', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const args = [path, doors.engine.name, doors.face];
  const trace = await traceFor(t, {
    source: GATHERS,
    args,
    calls: [...TRANSFERS, ...VECTORED],
  });
  if (trace === undefined) return;
  equal(trace.code, 0, trace.stderr);
  const onFile = (from: string, to: string): Record<string, number> => {
    const isOnFile = ({ name, args }: Call): boolean =>
      name.includes('access') || args.includes(`<${path}>`);
    const calls = callsBetween(trace.calls.filter(isOnFile), from, to);
    return countCalls(calls.filter(({ name }) => !name.includes('access')));
  };
  if (doors.engine.name === 'ring') {
    /* What crosses by the ring strace sees as calls of io_uring_enter(2), on no descriptor. */
    deepEqual(onFile('e', 'f'), {});
    const isSync = doors.face === 'sync';
    const gathers = (from: string, to: string): number => onFile(from, to).pwritev ?? 0;
    /* Long ones are a thread's, and the first on a descriptor, whose volume is not known yet. */
    ok(isSync ? gathers('a', 'b') === 2 : gathers('a', 'b') <= 2);
    ok(isSync ? gathers('b', 'c') === 10 : gathers('b', 'c') <= 10);
    return;
  }
  /* libuv says pwrite for the one block into which 64-byte views were copied; the count is one. */
  const isPool = doors.engine.name === 'pool';
  deepEqual(onFile('a', 'b'), isPool ? { pwritev: 2 } : { pwrite64: 1, pwritev: 1 });
  deepEqual(onFile('b', 'c'), isPool ? { pwritev: 10 } : { pwrite64: 5, pwritev: 5 });
  deepEqual(onFile('c', 'd'), { preadv: 1 });
  deepEqual(onFile('d', 'e'), {}, 'an empty sequence asks nothing of the system');
  deepEqual(onFile('e', 'f'), { pwrite64: 1, fdatasync: 1, fsync: 1 });
});

/* The views themselves are the caller's: what the library adds is counted from when they stand. */
const MILLION = `
  import { openFile } from 'holdfast';
  import { engineNamed } from '#holdfast/engine.js';
  const [path, name, face] = process.argv.slice(1);
  const file = await openFile(path, {
    access: 'read-write', create: true, engine: engineNamed(name),
  });
  const bytes = new Uint8Array(16_000_000);
  for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 7) >> 3;
  const views = [];
  for (let at = 0; at < bytes.length; at += 16) views.push(bytes.subarray(at, at + 16));
  await file.writeAt([bytes.subarray(0, 1), bytes.subarray(0, 1)], 0);
  gc();
  const before = process.memoryUsage().rss;
  let peak = before;
  const write = () => (face === 'sync' ? file.writeAtSync(views, 0) : file.writeAt(views, 0));
  const written = await write();
  peak = process.resourceUsage().maxRSS * 1024;
  const calls = file.stats().systemCalls.pwritev - 1;
  const back = await file.readAll();
  const same = Buffer.compare(back, bytes) === 0;
  console.log(JSON.stringify({ written, calls, same, growth: peak - before }));
`;

onAllDoors('writeAt() writes a million views in bounded memory', async (t, doors) => {
  if (engineFor(t, doors.engine.name as 'pool') === undefined) return;
  const path = join(scratch(t), 'file');
  const { code, stdout, stderr } = await runChild({
    source: MILLION,
    args: [path, doors.engine.name, doors.face],
    nodeArgs: ['--expose-gc'],
    timeoutMs: 50_000,
  });
  equal(code, 0, stderr);
  const told = JSON.parse(stdout) as Record<string, number>;
  t.diagnostic(`grew by ${Math.round((told.growth as number) / 1e6)} MB, ${told.calls} calls`);
  equal(told.written, 16_000_000);
  equal(told.same, true);
  ok((told.calls as number) <= 977, `${told.calls} calls for a million views`);
  /* A table of the views is 8 MB; a copy of the bytes would be another 16 at the least. */
  ok((told.growth as number) < 64e6, `memory grew by ${told.growth} bytes`);
  equal(statSync(path).size, 16_000_000);
});

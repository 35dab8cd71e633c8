/** The library in worker threads: it works there, and a worker may be ended at any moment. */
import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { onBothEngines } from './file/doors.js';
import { endsWorkers, runChild } from './support/child.js';
import { scratch } from './support/scratch.js';

onBothEngines('a file works in a worker thread, which ends by itself', async (t, { engine }) => {
  const path = join(scratch(t), 'file');
  const workerData = { path, engine: engine.name, rounds: 2 };
  const worker = new Worker(new URL('./file/worker.js', import.meta.url), { workerData });
  const messages: unknown[] = [];
  worker.on('message', (message) => messages.push(message));
  const [code] = (await once(worker, 'exit')) as [number];
  equal(code, 0);
  deepEqual(messages, ['going', 'done']);
  deepEqual(readFileSync(path), Buffer.alloc(8 * 262144, 7));
});

/*
 * A thread of the pool that outlived its environment called into it and took the process along
 * (SIGSEGV); threads are joined in the environment's cleanup hook, before anything is freed.
 */
onBothEngines(
  'terminate() of a worker with operations under way ends it alone',
  async (t, doors) => {
    const directory = scratch(t);
    const { code, signal, stdout, stderr } = await runChild({
      module: new URL('./file/terminate.js', import.meta.url),
      args: [directory, doors.engine.name, '20'],
      nodeArgs: endsWorkers,
      timeoutMs: 50_000,
    });
    equal(signal, null, stderr);
    equal(code, 0, stderr);
    deepEqual(JSON.parse(stdout), new Array(20).fill(1));
  },
);

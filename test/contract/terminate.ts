/** Ends workers with a thousand operations under way; prints what the process has left. */
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type OpenFile, openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';

const OPERATIONS = 1000;

/* Until it is ended: one that had done its thousand before that ended by itself, under load. */
async function goOn(file: OpenFile, index: number): Promise<void> {
  const view = new Uint8Array(4096).fill(index);
  for (;;) {
    if (index % 3 === 0) await file.syncData();
    else if (index % 3 === 1) await file.writeAt([view, view], index * 8192);
    else await file.readAt(view, index * 4096);
  }
}

async function beWorker(): Promise<void> {
  const { path, engine } = workerData as { path: string; engine: string };
  const options = { access: 'read-write', create: true } as const;
  const file = await openFile(path, { ...options, engine: engineNamed(engine) });
  for (let index = 0; index < OPERATIONS; index++) void goOn(file, index);
  parentPort?.postMessage('going');
}

async function left(): Promise<{ threads: number; descriptors: number; rss: number }> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  const count = (directory: string): number => readdirSync(directory).length;
  const { rss } = process.memoryUsage();
  return { threads: count('/proc/self/task'), descriptors: count('/proc/self/fd'), rss };
}

async function beMain(): Promise<void> {
  const [directory = '', engine = '', times = '0'] = process.argv.slice(2);
  writeFileSync(join(directory, 'file'), new Uint8Array(4096 * OPERATIONS));
  const ends: number[] = [];
  const round = async (): Promise<void> => {
    const data = { path: join(directory, 'file'), engine };
    const worker = new Worker(new URL(import.meta.url), { workerData: data });
    await once(worker, 'message');
    ends.push(await worker.terminate());
  };
  for (let time = 0; time < 10; time++) await round();
  const before = await left();
  for (let time = 10; time < Number(times); time++) await round();
  console.log(JSON.stringify({ ends, before, after: await left() }));
}

await (isMainThread ? beMain() : beWorker());

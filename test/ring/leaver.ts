/**
 * A worker that opens files by every way there is, has reads and opens under way, and is ended;
 * the main thread prints what the process has left, and whether the lock is free.
 */
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { CompletionQueue, OpenFile, openFile, openFileSync, openRoot } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { Code, Operation, placeOf } from '#holdfast/platform.js';

interface Site {
  readonly path: string;
  readonly name: string;
  readonly borrowed: number;
}

async function beWorker({ path, name, borrowed }: Site): Promise<void> {
  const engine = engineNamed(name);
  const options = { access: 'read-write', create: true, engine } as const;
  const file = await openFile(path, options);
  await file.lock({ exclusive: true });
  const waiting = openFileSync(path, options);
  const twin = OpenFile.fromFd(file.fd, { ownership: 'duplicate', engine });
  const lent = OpenFile.fromFd(borrowed, { ownership: 'borrow', engine });
  await lent.readAt(new Uint8Array(10), 0);
  await openRoot(join(path, '..'), { engine });
  const queue = new CompletionQueue({ engine });
  queue.open(path, {}, 1);
  await queue.wait();
  const closed = await openFile(path, options);
  await closed.close();
  for (let index = 0; index < 300; index++) {
    const open = Object.assign(new Operation(Code.Open), { place: placeOf(path) });
    engine.submit(open, { settle: () => undefined });
    const view = new Uint8Array(4096);
    for (const one of [file, waiting, twin]) one.readAt(view, index).catch(() => undefined);
    if (index % 3 === 0) openFile(path, { engine }).then((made) => made.close());
  }
  setInterval(() => undefined, 1000);
  parentPort?.postMessage('going');
}

const here = (): string[] =>
  readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).replace(/:\[\d+\]$/, '');
      } catch {
        return 'the listing itself';
      }
    })
    .sort();

async function beMain(): Promise<void> {
  const [directory = '', name = '', times = '1'] = process.argv.slice(2);
  const path = join(directory, 'file');
  writeFileSync(path, new Uint8Array(65536));
  const borrowed = openSync(path, 'r');
  const told: unknown[] = [];
  const round = async (): Promise<void> => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { path, name, borrowed } });
    await once(worker, 'message');
    told.push(await worker.terminate());
    const file = await openFile(path, { access: 'read-write' });
    const lock = await file.lock({ exclusive: true, timeoutMs: 5000 });
    await lock.release();
    await file.close();
    fstatSync(borrowed);
  };
  await round();
  const before = here();
  for (let time = 1; time < Number(times); time++) await round();
  const after = here();
  closeSync(borrowed);
  console.log(JSON.stringify({ told, before, after }));
}

await (isMainThread ? beMain() : beWorker(workerData as Site));

/** A worker that reads and writes for ever, and says when it has begun. */
import { parentPort, workerData } from 'node:worker_threads';
import { openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';

interface Work {
  readonly path: string;
  readonly engine: string;
  readonly rounds: number;
}

const { path, engine: name, rounds } = workerData as Work;
const engine = engineNamed(name);
const file = await openFile(path, { access: 'read-write', create: true, engine });
const views = Array.from({ length: 64 }, () => new Uint8Array(4096).fill(7));

async function goOn(lane: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await file.writeAt(views, lane * 262144);
    await file.syncData();
    await file.readAt(new Uint8Array(65536), lane * 262144);
  }
}

const lanes = Array.from({ length: 8 }, (_, lane) => goOn(lane));
parentPort?.postMessage('going');
await Promise.all(lanes);
await file.close();
parentPort?.postMessage('done');

/** A worker that reads for ever into memory it shares with whoever started it. */
import { parentPort, workerData } from 'node:worker_threads';
import { openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';

interface Work {
  readonly path: string;
  readonly engineName: string;
  readonly shared: SharedArrayBuffer;
  readonly from: number;
  readonly bytes: number;
}

const { path, engineName, shared, from, bytes } = workerData as Work;
const file = await openFile(path, { engine: engineNamed(engineName) });
const laneBytes = bytes / 16;

async function readFor(lane: number): Promise<never> {
  const view = new Uint8Array(shared, from + lane * laneBytes, laneBytes);
  for (let round = 0; ; round++) {
    await file.readAt(view, (round * 4099 + lane * 331) % 900_000);
    /* Memory of the worker's own goes down with it. */
    void file.readAt(new Uint8Array(32_768), 0);
  }
}

parentPort?.postMessage('going');
await Promise.all(Array.from({ length: 16 }, (_, lane) => readFor(lane)));

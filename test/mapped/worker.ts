/** A worker that maps files and has them cut under it; then it ends, or waits to be ended. */
import { truncateSync, writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { type MappedFile, mapFileSync } from 'holdfast';

interface Work {
  readonly path: string;
  readonly rounds: number;
  readonly waits: boolean;
}

const { path, rounds, waits } = workerData as Work;
const kept: MappedFile[] = [];
let mended = 0;
for (let round = 0; round < rounds; round++) {
  writeFileSync(path, new Uint8Array(65536).fill(7));
  const map = mapFileSync(path, { write: round % 2 === 0 ? 'shared' : false });
  const { bytes } = map;
  truncateSync(path, 4096);
  if (bytes[5] === 7 && bytes[4096 + (round % 60000)] === 0 && !map.intact) mended++;
  if (waits) kept.push(map);
  else if (round % 2 === 0) map.releaseSync();
}
parentPort?.postMessage(mended);
if (waits) setInterval(() => kept.length, 1000);

/** Leads lives until there were so many power cuts, for `survives`; tells how many of both. */
import { parentPort, workerData } from 'node:worker_threads';
import { crashCycles, type Mode } from './cycles.js';

const { mode, seed, wanted } = workerData as {
  readonly mode: Mode;
  readonly seed: number;
  readonly wanted: number;
};
let [lives, crashes] = [0, 0];
while (crashes < wanted) crashes += await crashCycles(seed + lives++, mode);
parentPort?.postMessage({ lives, crashes });

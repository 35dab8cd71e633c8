/** A test of many crash cycles, as many as are asked for. */
import { ok } from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Mode } from './cycles.js';

const seed = Number(process.env.HOLDFAST_SEED ?? Date.now() % 1_000_000);
const wanted = Number(process.env.HOLDFAST_CRASHES ?? 50_000);
const hour = 3_600_000;

/**
 * Lives are led until there were so many power cuts. On a thread of their own, since the test
 * runner looks at each promise of its thread: 0.46 ms a crash there, 0.33 ms here.
 */
export function survives(mode: Mode): void {
  test(`what is acknowledged survives every crash, in order, batches whole (${mode})`, {
    timeout: 24 * hour,
  }, async (t) => {
    t.diagnostic(`HOLDFAST_SEED=${seed}`);
    const workerData = { mode, seed, wanted };
    const worker = new Worker(new URL('./lives.js', import.meta.url), { workerData });
    const [{ lives, crashes }] = await once(worker, 'message');
    ok(crashes >= wanted);
    ok(crashes > 10 * lives, 'states of one cut are not the same again and again');
    t.diagnostic(`${crashes} crashes, each recovered from, in ${lives} lives`);
  });
}

/** A test of many crash cycles, as many as are asked for. */
import { ok } from 'node:assert/strict';
import { test } from 'node:test';
import { crashCycles, type Mode } from './cycles.js';

const seed = Number(process.env.HOLDFAST_SEED ?? Date.now() % 1_000_000);
const wanted = Number(process.env.HOLDFAST_CRASHES ?? 50_000);
const hour = 3_600_000;

/** Lives are led until there were so many power cuts. */
export function survives(mode: Mode): void {
  test(`what is acknowledged survives every crash, in order, batches whole (${mode})`, {
    timeout: 24 * hour,
  }, async (t) => {
    t.diagnostic(`HOLDFAST_SEED=${seed}`);
    let [lives, crashes] = [0, 0];
    while (crashes < wanted) crashes += await crashCycles(seed + lives++, mode);
    ok(crashes > 10 * lives, 'states of one cut are not the same again and again');
    t.diagnostic(`${crashes} crashes, each recovered from, in ${lives} lives`);
  });
}

/**
 * SIGKILL with writes under way. The kernel ends what a ring has begun after the process is gone,
 * and for that long the file's lock stays taken; what a sync had acknowledged is there (it is in
 * the page cache, which survives a kill; a power cut is test/crash-power.test.ts).
 */
import { equal, ok } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openFile } from 'holdfast';
import { ringState } from '#holdfast/engine.js';
import { recordsIn } from './ring/record.js';
import { Child } from './support/child.js';
import { scratch } from './support/scratch.js';

const CYCLES = 200;
/* On a machine that is busy with something else fewer are enough, unless HOLDFAST_KILLS says. */
const CYCLES_MIN = Number(process.env.HOLDFAST_KILLS ?? 40);
const ENOUGH_MS = 6_000;
const LANES = 4;
const AFTERLIFE_MS = 5000;

const here = ringState();
const skip = here.isThere ? false : here.reason;

/* Kills one writer; answers how many records it has been told are synced, of all so far. */
async function cycle(path: string, before: number): Promise<number> {
  const module = new URL('./ring/killed.js', import.meta.url);
  const child = new Child({ module, args: [path, String(before)] });
  await child.waitFor('synced');
  await pause(Math.random() * 10);
  const { signal, stdout, stderr } = await child.kill();
  equal(signal, 'SIGKILL', stderr);
  const said = [...stdout.matchAll(/synced (\d+)\n/g)].map(([, count]) => Number(count));
  return Math.max(...said);
}

/* The file opens, can be locked, and has every record that was acknowledged. */
async function check(path: string, synced: number): Promise<void> {
  await using file = await openFile(path, { access: 'read-write' });
  const lock = await file.lock({ exclusive: true, timeoutMs: AFTERLIFE_MS });
  const whole = recordsIn(await file.readAll());
  ok(whole >= synced, `${whole} records are whole, ${synced} were synced`);
  await lock.release();
}

test('nothing acknowledged is lost when the process is killed', {
  skip,
  timeout: 115_000,
}, async (t) => {
  const directory = scratch(t);
  const started = performance.now();
  let cycles = 0;
  const isEnough = (): boolean =>
    cycles >= Math.max(CYCLES, CYCLES_MIN) ||
    (cycles >= CYCLES_MIN && performance.now() - started > ENOUGH_MS);
  const lane = async (number: number): Promise<void> => {
    for (let synced = 0, round = 0; !isEnough(); round++) {
      const path = join(directory, `${number}-${Math.floor(round / 10)}`);
      if (round % 10 === 0) synced = 0;
      cycles++;
      synced = await cycle(path, synced);
      await check(path, synced);
    }
  };
  await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
  t.diagnostic(`${cycles} writers were killed`);
});

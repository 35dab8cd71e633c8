/**
 * A long read of what the page cache has was copied by the thread that submitted it: a copy of
 * 512 MiB took twice the pool's time, with the loop stopped for each of its pieces. Guards it now:
 * what is long and not direct goes to a thread, seen by the submissions that the ring counts.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openFile } from 'holdfast';
import { engineFor } from './file/doors.js';
import { scratch } from './support/scratch.js';

test('a long transfer that is copied is not made by the thread that submits it', async (t) => {
  const engine = engineFor(t, 'ring');
  if (engine === undefined) return;
  const file = await openFile(join(scratch(t), 'file'), {
    access: 'read-write',
    create: true,
    engine,
  });
  t.after(() => file.close());
  const submissionsOf = async (work: () => Promise<unknown>): Promise<number> => {
    const before = engine.stats().ring?.submissions ?? Number.NaN;
    await work();
    return (engine.stats().ring?.submissions ?? Number.NaN) - before;
  };
  const long = new Uint8Array(1_000_000).fill(7);
  await file.writeAt(long.subarray(0, 1), 0);
  equal(await submissionsOf(() => file.writeAt(long, 0)), 0);
  equal(await submissionsOf(() => file.readAt(new Uint8Array(1_000_000), 0)), 0);
  equal(await submissionsOf(() => file.readAt(new Uint8Array(65_536), 0)), 1);
  equal(await submissionsOf(() => file.writeAt(long.subarray(0, 65_536), 0)), 1);
  const back = new Uint8Array(1_000_000);
  equal(await file.readAt(back, 0), 1_000_000);
  deepEqual(back, long);
});

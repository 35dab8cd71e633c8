/** Power cuts on a simulated disk, at any operation, keeping any of what was not synced. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Journal } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { crashCycle } from './journal/cycles.js';
import { FlawedEngine, flaws, type Habits, retriesSyncs } from './journal/flaws.js';
import { bytesOf, texts } from './journal/worlds.js';

const seed = Number(process.env.HOLDFAST_SEED ?? Date.now() % 1_000_000);
const lives = Number(process.env.HOLDFAST_LIVES ?? 10_000);
const hour = 3_600_000;

test('what is acknowledged survives every crash, in order, batches whole', {
  timeout: 24 * hour,
}, async (t) => {
  t.diagnostic(`HOLDFAST_SEED=${seed}, ${lives} lives`);
  let cycles = 0;
  for (let life = 0; life < lives; life++) cycles += await crashCycle(seed + life);
  ok(cycles >= lives);
  t.diagnostic(`${cycles} crashes`);
});

/* A mark in two sectors was torn, and a new segment had the trim of before: both lost the front. */
test('a trim beside a rotation, and a torn mark, leave no hole', async () => {
  for (const life of [100_928, 100_929, 100_930]) await crashCycle(life);
});

/** The first life in which a flaw is seen. Errors: when it is seen in none. */
async function seen(habits: Habits): Promise<void> {
  for (let life = 0; life < 1500; life++) {
    try {
      await crashCycle(1000 + life, { engineOf: ({ engine }) => new FlawedEngine(engine, habits) });
    } catch {
      return;
    }
  }
  throw new Error('the flaw went unseen');
}

for (const [name, habits] of Object.entries(flaws)) {
  test(`${name} is seen`, { timeout: 100_000 }, () => seen(habits));
}

/** Appends while a sync fails; answers what was acknowledged, and what is there after a crash. */
async function withFailedSync(habits: Habits): Promise<[string[], string[]]> {
  const disk = simulatedDisk(9);
  const engine = new FlawedEngine(disk.engine, habits);
  const options = { segmentBytes: 16384, preallocate: false } as const;
  const journal = await Journal.open('/journal', { ...options, engine });
  await journal.append(bytesOf('first'));
  const acknowledged = ['first'];
  disk.refuseNth(1, 'EIO', { operations: ['SyncData'] });
  /* In sectors of their own. */
  const large = (text: string): string => text.padEnd(1000, '.');
  journal.write(bytesOf(large('between')));
  while (journal.stats().bufferedBytes > 0) await new Promise(setImmediate);
  for (const text of ['second', 'third']) {
    const told = journal.append(bytesOf(large(text))).then(() => acknowledged.push(large(text)));
    await told.catch(() => undefined);
  }
  const after = await Journal.open('/journal', { engine: disk.crash({ keep: 'none' }).engine });
  return [acknowledged, await texts(after.read())];
}

test('a failed sync that is asked for again is seen', async () => {
  const [acknowledged, found] = await withFailedSync({});
  deepEqual(acknowledged, ['first']);
  deepEqual(found, ['first']);
  const lost = await withFailedSync(retriesSyncs).then(
    ([flawed, left]) => flawed.some((text) => !left.includes(text)),
    ({ kind }) => kind === 'corrupt',
  );
  ok(lost, 'acknowledged and there');
});

/* A file with the bytes of an earlier life, at the LSNs of this one. */
async function withStaleSpare(habits: Habits): Promise<string[]> {
  const disk = simulatedDisk(13);
  const engine = new FlawedEngine(disk.engine, habits);
  const options = { engine, segmentBytes: 32768, preallocate: false } as const;
  const old = await Journal.open('/old', options);
  for (let index = 0; index < 100; index++) await old.append(Buffer.alloc(104, 'old'));
  await old.close();
  disk.put(
    `/journal/spare-${'0'.repeat(32)}.segment`,
    disk.read('/old/0000000000000008.segment') as Uint8Array,
  );
  const journal = await Journal.open('/journal', options);
  for (let index = 0; index < 60; index++) {
    /* The zeros behind the last frame are what keeps old ones away; here they are torn off. */
    await journal.append(Buffer.alloc(104, 'new'));
  }
  const path = '/journal/0000000000000008.segment';
  const bytes = disk.read(path) as Uint8Array;
  const end = journal.nextLsn - 8 + 8192;
  bytes.set(
    (disk.read('/old/0000000000000008.segment') as Uint8Array).subarray(end, end + 16),
    end,
  );
  disk.put(path, bytes);
  const after = await Journal.open('/journal', { ...options, readOnly: true });
  return texts(after.read());
}

test('an epoch that is not new for a recycled file is seen', async () => {
  const expected = Array.from({ length: 60 }, () => Buffer.alloc(104, 'new').toString());
  deepEqual(await withStaleSpare({}), expected);
  const flawed = await withStaleSpare({ randomName: () => 'ab'.repeat(16) });
  ok(flawed.length > expected.length, 'old records came back');
  equal(flawed.at(-1)?.slice(0, 3), 'old');
});

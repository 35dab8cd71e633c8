/**
 * Journals that do what others got wrong, on a simulated disk: each is seen. What sees nothing when
 * something is wrong proves nothing when nothing is seen.
 */
import { AssertionError, deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Journal, JournalDamageError } from 'holdfast';
import { type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { crashCycles, type Mode, modes } from './journal/cycles.js';
import { FlawedEngine, flaws, type Habits, ignoresEpochs, retriesSyncs } from './journal/flaws.js';
import { bytesOf, texts } from './journal/worlds.js';

/** What is seen of a flaw, in as many lives as it takes. */
async function seenOf(habits: Habits, lives: number): Promise<unknown> {
  const flaw = {
    engineOf: ({ engine }: SimulatedDisk) => new FlawedEngine(engine, habits),
  };
  for (let life = 0; life < lives; life++) {
    try {
      await crashCycles(1000 + life, modes[life % modes.length] as Mode, flaw);
    } catch (error) {
      return (error as Error).cause;
    }
  }
  return undefined;
}

/*
 * An engine of this test that could not wait made every flaw look seen, by an EAGAIN: two were not.
 * What is seen has to be a promise that is broken, and nothing where there is no flaw.
 */
for (const [name, habits] of Object.entries(flaws)) {
  test(`${name} is seen`, { timeout: 100_000 }, async () => {
    const cause = await seenOf(habits, 1500);
    ok(cause instanceof AssertionError || cause instanceof JournalDamageError, String(cause));
  });
}

test('where there is no flaw none is seen', { timeout: 100_000 }, async () => {
  equal(await seenOf({}, 60), undefined);
});

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
  const flawed = await withStaleSpare(ignoresEpochs);
  ok(flawed.length > expected.length, 'old records came back');
  equal(flawed.at(-1)?.slice(0, 3), 'old');
});

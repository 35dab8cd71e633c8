/** What a journal does while nothing fails: append, write, read, follow, trim, open again. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Engine, Journal, LockHeldError, verifyJournal } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { FlawedEngine } from './journal/flaws.js';
import {
  all,
  bytesOf,
  everywhere,
  holds,
  manyTexts,
  segmentBytes,
  textOf,
  texts,
} from './journal/worlds.js';
import { Child } from './support/child.js';
import { scratch } from './support/scratch.js';

everywhere('append() resolves with an LSN that finds the record', async (_t, { open }) => {
  const journal = await open();
  ok(journal.recovery.isNew);
  equal(journal.nextLsn, journal.firstLsn);
  ok(journal.syncedLsn < journal.firstLsn);
  const lsns: number[] = [];
  for (const text of ['one', '', 'three']) {
    const next = journal.nextLsn;
    lsns.push(await journal.append(bytesOf(text)));
    equal(lsns.at(-1), next);
    equal(journal.syncedLsn, next);
  }
  equal(textOf(await journal.get(lsns[0] as number)), 'one');
  equal(textOf(await journal.get(BigInt(lsns[1] as number))), '');
  await holds(journal, ['one', '', 'three']);
  await journal.close();
  const again = await open();
  deepEqual(again.recovery.tail, 'clean');
  ok(again.recovery.wasClosed);
  equal(again.syncedLsn, lsns[2]);
  await holds(again, ['one', '', 'three']);
});

everywhere('append() joins views of any kind', async (_t, { open }) => {
  const journal = await open();
  const lsn = await journal.append([
    Uint8Array.of(1),
    new Float64Array([1]),
    new DataView(new ArrayBuffer(2)),
  ]);
  equal((await journal.get(lsn)).length, 11);
});

everywhere('append() in one turn is one write and one sync', async (_t, { open, name }) => {
  const journal = await open();
  const before = journal.stats();
  await Promise.all(manyTexts(200).map((text) => journal.append(bytesOf(text))));
  const { groupCount, syncCount, groupRecords } = journal.stats();
  equal(groupCount - before.groupCount, 1, name);
  equal(syncCount - before.syncCount, 1);
  equal(groupRecords.max, 200);
});

everywhere('append() by committers that go on at once shares their syncs', async (_t, { open }) => {
  const journal = await open({ segmentBytes: 1048576 });
  const rounds = 20;
  const committers = 50;
  const commit = async (): Promise<void> => {
    for (let round = 0; round < rounds; round++) await journal.append(bytesOf('record'));
  };
  await Promise.all(Array.from({ length: committers }, commit));
  const { recordCount, groupCount } = journal.stats();
  equal(recordCount, rounds * committers);
  ok(groupCount <= rounds, `${groupCount} groups`);
});

everywhere('append() keeps the order of the calls across segments', async (_t, { open }) => {
  const journal = await open({ segmentBytes: 16384 });
  const expected = manyTexts(1000, (index) => (index * 7) % 300);
  const lsns = await Promise.all(expected.map((text) => journal.append(bytesOf(text))));
  deepEqual(
    lsns,
    [...lsns].sort((one, two) => one - two),
  );
  ok(journal.stats().rotationCount > 5);
  await holds(journal, expected);
  await journal.close();
  const again = await open({ segmentBytes: 16384 });
  await holds(again, expected);
  for (const index of [0, 1, 500, 998, 999]) {
    equal(textOf(await again.get(lsns[index] as number)), expected[index]);
  }
});

everywhere('append() copies: the caller may use the memory at once', async (_t, { open }) => {
  const journal = await open();
  const memory = Buffer.from('before');
  const appended = journal.append(memory);
  memory.write('after!');
  equal(textOf(await journal.get(await appended)), 'before');
});

everywhere(
  'append() of a record larger than a segment gets a segment of its own',
  async (_t, { open }) => {
    const journal = await open({ segmentBytes: 16384, bufferBytes: 65536 });
    const large = Buffer.alloc(300_001, 'large');
    const expected = ['small', textOf(large), 'after'];
    for (const text of expected) await journal.append(bytesOf(text));
    await holds(journal, expected);
    await journal.close();
    await holds(await open(), expected);
  },
);

everywhere('records that fit in no empty segment replace it', async (_t, { open }) => {
  const options = { segmentBytes: 16384 };
  const expected: string[] = [];
  for (let turn = 0; turn < 4; turn++) {
    const journal = await open(options);
    /* Just as much as a segment holds, so that the next one begins where it ends. */
    for (const length of [8176 - 16, 9000, 8176 - 16, 20_000]) {
      const text = `${turn}`.padEnd(length, '.');
      await journal.append(bytesOf(text));
      expected.push(text);
    }
    await holds(journal, expected);
    await journal.close();
  }
  await holds(await open(options), expected);
});

everywhere('append() beyond the memory waits in turn', async (_t, { open }) => {
  const journal = await open({ bufferBytes: 65536, segmentBytes: 1048576 });
  const expected = manyTexts(300, () => 1000);
  const appended = expected.map((text) => journal.append(bytesOf(text)));
  ok(journal.stats().pendingCount > 0);
  ok(journal.stats().bufferedBytes <= 65536);
  deepEqual(
    await Promise.all(appended),
    [...(await Promise.all(appended))].sort((a, b) => a - b),
  );
  ok(journal.stats().memoryBytes <= 4 * 65536);
  await holds(journal, expected);
});

everywhere('append() serves 10,000 waiters in their order', async (_t, { open }) => {
  const journal = await open({ segmentBytes: 4194304 });
  const served: number[] = [];
  await Promise.all(
    Array.from({ length: 10_000 }, (_, index) =>
      journal.append(bytesOf('x')).then(() => served.push(index)),
    ),
  );
  deepEqual(served, [...served.keys()]);
});

everywhere('appendBatch() answers the first and the last LSN', async (_t, { open }) => {
  const journal = await open();
  await journal.append(bytesOf('before'));
  const { first, last } = await journal.appendBatch(['a', 'bb', 'ccc'].map(bytesOf));
  deepEqual(await texts(journal.read({ from: first, to: last })), ['a', 'bb', 'ccc']);
  equal(textOf(await journal.get(last)), 'ccc');
});

everywhere('write() is ordered and durable after syncThrough()', async (_t, { open }) => {
  const journal = await open();
  const first = journal.write(bytesOf('first'));
  const second = journal.write(bytesOf('second'));
  ok(journal.syncedLsn < first);
  ok(second > first);
  await journal.syncThrough(second);
  ok(journal.syncedLsn >= second);
  await journal.syncThrough(first);
  await rejects(journal.syncThrough(journal.nextLsn), RangeError);
  await holds(journal, ['first', 'second']);
});

/*
 * An LSN below `nextLsn` that is nobody's: syncThrough compared it with the LSN of the last record,
 * and synced again and again without an end.
 */
everywhere('syncThrough() takes an LSN inside a record for it', async (_t, { open }) => {
  const journal = await open();
  const first = journal.write(bytesOf('first'));
  await journal.syncThrough(first + 1);
  ok(journal.syncedLsn >= first);
  const second = journal.write(bytesOf('second'));
  await journal.syncThrough(journal.nextLsn - 1);
  equal(journal.syncedLsn, second);
  await journal.syncThrough(journal.nextLsn - 1);
});

everywhere('write() of more than memory holds goes on', async (_t, { open }) => {
  const journal = await open({ bufferBytes: 262144, segmentBytes: 4194304 });
  const count = 2000;
  let last = 0;
  for (let index = 0; index < count; index++) last = journal.write(Buffer.alloc(1000, index % 256));
  await journal.syncThrough(last);
  const found = await all(journal.read());
  equal(found.length, count);
  found.forEach(({ data }, index) => {
    equal(data[999], index % 256);
  });
});

everywhere('read() begins and ends where it is asked to', async (_t, { open }) => {
  const journal = await open({ segmentBytes: 16384 });
  const expected = manyTexts(600, () => 50);
  const lsns = await Promise.all(expected.map((text) => journal.append(bytesOf(text))));
  const [a, b] = [lsns[123] as number, lsns[456] as number];
  const middle = expected.slice(123, 457);
  deepEqual(await texts(journal.read({ from: a, to: b })), middle);
  deepEqual(await texts(journal.read({ from: b, to: a, reverse: true })), [...middle].reverse());
  deepEqual(await texts(journal.read({ from: a, to: b, reverse: true })), [...middle].reverse());
  deepEqual(await texts(journal.read({ from: a + 1, to: b })), middle.slice(1));
  deepEqual(await texts(journal.read({ from: journal.nextLsn })), []);
  deepEqual(
    await texts(journal.read({ from: b, reverse: true })),
    expected.slice(0, 457).reverse(),
  );
  await rejects(journal.get(a + 1), RangeError);
  await rejects(journal.get(a + 8), RangeError);
  await rejects(journal.get(journal.nextLsn), RangeError);
});

everywhere('read() gives what was there when it began', async (_t, { open }) => {
  const journal = await open();
  await journal.append(bytesOf('one'));
  const reading = journal.read();
  equal(textOf((await reading.next()).value?.data as Uint8Array), 'one');
  await journal.append(bytesOf('two'));
  equal((await reading.next()).done, true);
});

everywhere('follow() gives records once they are durable', async (_t, { open }) => {
  const journal = await open({ segmentBytes: 16384 });
  await journal.append(bytesOf('0'));
  const followed = journal.follow({ from: journal.firstLsn });
  const found: string[] = [];
  const done = (async () => {
    for await (const { lsn, data } of followed) {
      ok(journal.syncedLsn >= lsn);
      found.push(textOf(data).split(':')[0] as string);
      if (found.length === 400) break;
    }
  })();
  for (let index = 1; index < 400; index++) {
    if (index % 3 === 1) journal.write(bytesOf(`${index}:${'x'.repeat(100)}`));
    else await journal.append(bytesOf(`${index}:${'x'.repeat(100)}`));
  }
  await done;
  deepEqual(
    found,
    Array.from({ length: 400 }, (_, index) => String(index)),
  );
});

everywhere('follow() ends with its signal, and with the journal', async (_t, { open }) => {
  const journal = await open();
  const abort = new AbortController();
  const waiting = journal.follow({ signal: abort.signal }).next();
  const other = journal.follow().next();
  setImmediate(() => abort.abort());
  await rejects(waiting, { name: 'AbortError' });
  await journal.close();
  equal((await other).done, true);
});

everywhere('trimBefore() gives up the front and recycles its files', async (_t, { open }) => {
  const journal = await open({ segmentBytes: 16384 });
  const expected = manyTexts(1000, () => 50);
  const lsns = await Promise.all(expected.map((text) => journal.append(bytesOf(text))));
  const middle = lsns[500] as number;
  await journal.trimBefore(middle);
  equal(journal.firstLsn, middle);
  ok(journal.stats().trimmedCount > 0);
  await holds(journal, expected.slice(500));
  await rejects(journal.get(lsns[499] as number), RangeError);
  await Promise.all(expected.map((text) => journal.append(bytesOf(text))));
  ok(journal.stats().recycledCount > 0);
  await holds(journal, [...expected.slice(500), ...expected]);
  await journal.close();
  const again = await open({ segmentBytes: 16384 });
  equal(again.firstLsn, middle);
  await holds(again, [...expected.slice(500), ...expected]);
  await rejects(again.trimBefore(again.nextLsn + 8), RangeError);
  await again.trimBefore(again.nextLsn);
  equal(again.firstLsn, again.nextLsn);
  await holds(again, []);
});

everywhere('open() without closing finds everything that was acknowledged', async (_t, world) => {
  const journal = await world.open();
  const expected = manyTexts(100);
  await Promise.all(expected.map((text) => journal.append(bytesOf(text))));
  const reader = await world.open({ readOnly: true });
  equal(reader.isReadOnly, true);
  equal(reader.recovery.wasClosed, false);
  equal(reader.nextLsn, journal.nextLsn);
  await holds(reader, expected);
  await rejects(reader.append(bytesOf('x')), { kind: 'access' });
});

everywhere('a reader beside the writer follows it', async (_t, world) => {
  const journal = await world.open({ segmentBytes: 16384 });
  const reader = await world.open({ readOnly: true });
  const expected = manyTexts(500, () => 60);
  const found = all(reader.follow(), expected.length);
  for (let index = 0; index < expected.length; index += 50) {
    await Promise.all(
      expected.slice(index, index + 50).map((text) => journal.append(bytesOf(text))),
    );
  }
  deepEqual(
    (await found).map(({ data }) => textOf(data)),
    expected,
  );
  equal(reader.nextLsn, journal.nextLsn);
});

for (const sync of ['data', 'full', 'barrier', false] as const) {
  everywhere(`open() with sync ${sync} keeps what was closed`, async (_t, { open, name }) => {
    const direct = name !== 'portable';
    const journal = await open({ sync, segmentBytes: 16384, direct, preallocate: 'zeros' });
    const expected = manyTexts(300, (index) => index);
    for (let index = 0; index < expected.length; index += 20) {
      await Promise.all(
        expected.slice(index, index + 20).map((text) => journal.append(bytesOf(text))),
      );
    }
    if (sync === false) ok(journal.syncedLsn < journal.nextLsn);
    await holds(journal, expected);
    await journal.close();
    const again = await open({ sync, segmentBytes: 16384, direct });
    await again.append(bytesOf('more'));
    await holds(again, [...expected, 'more']);
  });
}

everywhere(
  'verifyJournal() counts records and tells how far it is',
  async (_t, { open, directory, engine }) => {
    const journal = await open({ segmentBytes: 16384 });
    await Promise.all(manyTexts(500, () => 60).map((text) => journal.append(bytesOf(text))));
    await journal.close();
    const done: number[] = [];
    const totals = new Set<number>();
    const report = await verifyJournal(directory, {
      engine,
      onProgress: ({ bytesDone, bytesTotal }) => {
        done.push(bytesDone / bytesTotal);
        totals.add(bytesTotal);
      },
    });
    deepEqual([...totals], [report.bytes], 'space that waits for records is not counted');
    equal(report.isIntact, true);
    equal(report.recordCount, 500);
    equal(report.tail, 'clean');
    equal(done.at(-1), 1);
    deepEqual(
      done,
      [...done].sort((one, two) => one - two),
    );
  },
);

everywhere(
  'a second writer is told who has the journal',
  async (_t, { open }) => {
    const journal = await open();
    await rejects(open(), (error: unknown) => {
      ok(error instanceof LockHeldError);
      equal(error.owner?.isThisProcess, true);
      return true;
    });
    await journal.close();
    await open();
  },
  ['ring', 'pool', 'simulated'],
);

test('a writer in another process is named', { timeout: 60_000 }, async (t) => {
  const directory = join(scratch(t), 'journal');
  const child = new Child({
    source: `
      import { Journal } from 'holdfast';
      const journal = await Journal.open(process.argv[1], { segmentBytes: 65536 });
      await journal.append(Buffer.from('from a child'));
      process.stdout.write('open');
      setTimeout(() => undefined, 30_000);
    `,
    args: [directory],
  });
  t.after(() => child.kill());
  await child.waitFor('open');
  try {
    await rejects(Journal.open(directory), (error: unknown) => {
      ok(error instanceof LockHeldError, String(error));
      equal(error.owner?.pid, child.pid);
      return true;
    });
  } catch (error) {
    const locks = (await Journal.open(directory, { readOnly: true })).stats();
    t.diagnostic(JSON.stringify(locks));
    throw error;
  }
  const reader = await Journal.open(directory, { readOnly: true });
  deepEqual(await texts(reader.read()), ['from a child']);
  await reader.close();
});

everywhere('close() is idempotent, and closes to every call', async (_t, { open }) => {
  const journal = await open();
  const appended = journal.append(bytesOf('last'));
  const closed = journal.close();
  equal(journal.close(), closed);
  await appended;
  await closed;
  await rejects(journal.append(bytesOf('x')), { kind: 'closed' });
  throws(() => journal.write(bytesOf('x')), { kind: 'closed' });
  throws(() => journal.read(), { kind: 'closed' });
  await rejects(journal.trimBefore(0), { kind: 'closed' });
  await holds(await open(), ['last']);
});

everywhere('advise() and lifetime are hints that are taken or told', async (_t, { open }) => {
  const journal = await open({ lifetime: 'short', segmentBytes });
  await journal.append(bytesOf('x'));
  ok((await journal.advise('sequential')) <= 1);
  ok(journal.stats().fallbacks.every(({ reason }) => typeof reason === 'string'));
});

everywhere(
  'a reader elsewhere is told when what it reads was trimmed and recycled',
  async (_t, world) => {
    const journal = await world.open({ segmentBytes: 16384 });
    const fill = (count: number): Promise<number[]> =>
      Promise.all(manyTexts(count, () => 400).map((text) => journal.append(bytesOf(text))));
    const lsns = await fill(150);
    const reader = await world.open({ readOnly: true });
    const reading = reader.read();
    await reading.next();
    await journal.trimBefore(lsns.at(-1) as number);
    await fill(150);
    ok(journal.stats().recycledCount > 0);
    await rejects(async () => {
      while ((await reading.next()).done !== true);
    }, RangeError);
    deepEqual((await texts(reader.read())).length, 151);
    await rejects(reader.get(lsns[0] as number), RangeError);
  },
);

/*
 * Each segment was opened, looked at, read and closed in four crossings, and a segment of 64 MiB
 * was read on top of the last: 10 GB took 164 ms to open, and 70 ms since.
 */
test('opening reads all heads in few runs, and no more than verifyBytes of records', async () => {
  const disk = simulatedDisk(3);
  const options = { segmentBytes: 16384, preallocate: false } as const;
  const journal = await Journal.open('/journal', { ...options, engine: disk.engine });
  for (let index = 0; index < 600; index++) await journal.append(new Uint8Array(800));
  await journal.close();
  const segmentCount = disk.list('/journal')?.filter((name) => /^\d/.test(name)).length ?? 0;
  ok(segmentCount >= 60, `${segmentCount} segments`);
  let runCount = 0;
  class Counting extends FlawedEngine {
    override submit(...args: Parameters<Engine['submit']>): void {
      runCount++;
      super.submit(...args);
    }
  }
  const engine = new Counting(disk.engine, {});
  for (const verifyBytes of [0, 8192, 40_000]) {
    runCount = 0;
    const again = await Journal.open('/journal', { ...options, engine, verifyBytes });
    const runs = runCount;
    const { verifiedBytes, wasClosed } = again.recovery;
    ok(verifiedBytes <= Math.max(verifyBytes, 8192), `${verifiedBytes} bytes`);
    ok(wasClosed);
    await again.close();
    ok(runs < 50, `${runs} runs for ${segmentCount} segments`);
  }
});

test('a segment too short for a head is told, and its file closed', async () => {
  const disk = simulatedDisk(3);
  const { engine } = disk;
  await (await Journal.open('/journal', { engine, segmentBytes: 16384 })).close();
  disk.put('/journal/0000000000000808.segment', new Uint8Array(100));
  await rejects(Journal.open('/journal', { engine }), { kind: 'corrupt', message: /short/ });
  deepEqual(disk.openDescriptors, []);
});

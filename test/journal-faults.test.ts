/** What becomes of a journal when the system refuses, and of the calls when the caller errs. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { IoError, Journal, type JournalOptions } from 'holdfast';
import { refuseNth, type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { bytesOf, everywhere, holds, manyTexts, texts } from './journal/worlds.js';
import { mountFor } from './support/mounts.js';

const directory = '/journal';

function openOn(disk: SimulatedDisk, options: JournalOptions = {}): Promise<Journal> {
  return Journal.open(directory, { segmentBytes: 16384, engine: disk.engine, ...options });
}

/** How each of these ended: its value, or its error. */
async function ends(all: readonly Promise<unknown>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(all);
  return settled.map((one) => (one.status === 'fulfilled' ? one.value : one.reason));
}

for (const [what, operation, preallocate] of [
  ['write', 'Write', true],
  ['sync', 'SyncData', false],
] as const) {
  test(`the first failed ${what} breaks the journal; nothing more is asked of it`, async () => {
    const disk = simulatedDisk(4);
    const journal = await openOn(disk, { preallocate });
    await journal.append(bytesOf('before'));
    journal.write(bytesOf('not durable'));
    while (journal.stats().bufferedBytes > 0) await new Promise(setImmediate);
    disk.refuseNth(1, 'EIO', { operations: [operation] });
    const first = [1, 2, 3].map(() => journal.append(bytesOf('x')));
    const causes = await ends(first);
    ok(causes[0] instanceof IoError);
    equal(causes[0].code, 'EIO');
    ok(
      causes.every((cause) => cause === causes[0]),
      'all are told the first cause',
    );
    const asked = disk.operationCount;
    await rejects(journal.append(bytesOf('x')), { kind: 'broken', cause: causes[0] });
    throws(() => journal.write(bytesOf('x')), { kind: 'broken' });
    await rejects(journal.syncThrough(journal.firstLsn), { kind: 'broken' });
    await rejects(journal.trimBefore(journal.firstLsn), { kind: 'broken' });
    equal(disk.operationCount, asked);
    equal(journal.stats().health, 'broken');
    await journal.close();
    deepEqual(disk.openDescriptors, []);
    disk.dropCaches();
    const again = await openOn(disk);
    equal((await texts(again.read()))[0], 'before');
    await again.append(bytesOf('after'));
    await again.close();
  });
}

/* They waited for ever: what was gathered by then is written by nobody. Life 692162 met it. */
test('reads of a journal that broke before its records were written are refused', async () => {
  const disk = simulatedDisk(4);
  const journal = await openOn(disk);
  const lsn = await journal.append(bytesOf('before'));
  disk.refuseNth(1, 'EIO', { operations: ['Write'] });
  await rejects(journal.append(bytesOf('x')), { code: 'EIO' });
  await rejects(journal.get(lsn), { kind: 'broken' });
  await rejects(texts(journal.read()), { kind: 'broken' });
  await journal.close();
});

test('those who wait, and those who wait for room, are told when a sync fails', async () => {
  const disk = simulatedDisk(4);
  const journal = await openOn(disk, { bufferBytes: 65536, segmentBytes: 1048576 });
  const all = manyTexts(300, () => 1000).map((text) => journal.append(bytesOf(text)));
  ok(journal.stats().pendingCount > 0);
  disk.refuseNth(1, 'EIO', { operations: ['Write'] });
  const causes = await ends(all);
  ok(causes.every((cause) => cause === causes[0] && cause instanceof IoError));
  await journal.close();
});

test('a write that nobody waits for and that fails is told by close()', async () => {
  const disk = simulatedDisk(4);
  const journal = await openOn(disk);
  disk.refuseNth(1, 'EIO', { operations: ['Write'] });
  journal.write(bytesOf('x'));
  await rejects(journal.close(), { code: 'EIO' });
  deepEqual(disk.openDescriptors, []);
});

for (const preallocate of [true, false]) {
  test(`a full disk leaves the journal usable, preallocate ${preallocate}`, async () => {
    const disk = simulatedDisk(4);
    const journal = await openOn(disk, { preallocate });
    const kept = ['before'];
    await journal.append(bytesOf('before'));
    for (const code of ['ENOSPC', 'EDQUOT']) {
      disk.refuseNth(1, code, { operations: ['Write'] });
      const refused = await ends([1, 2].map(() => journal.append(bytesOf('refused'))));
      ok(refused.every((cause) => (cause as IoError).code === code));
      equal(journal.stats().health, 'ok');
      await journal.append(bytesOf(`after ${code}`));
      kept.push(`after ${code}`);
    }
    await holds(journal, kept);
    const left = disk.crash({ keep: 'none' });
    await holds(await openOn(left), kept);
    await journal.close();
  });
}

test('a disk that fills up anywhere keeps what was acknowledged', { timeout: 60_000 }, async () => {
  for (let capacityBytes = 16384; capacityBytes < 90_000; capacityBytes += 1536) {
    const disk = simulatedDisk(4, { capacityBytes });
    const kept: string[] = [];
    let journal: Journal;
    try {
      journal = await openOn(disk, { preallocate: false });
    } catch (error) {
      equal((error as IoError).kind, 'no-space');
      continue;
    }
    for (const text of manyTexts(200, (index) => (index * 37) % 900)) {
      await journal.append(bytesOf(text)).then(
        () => kept.push(text),
        ({ kind }) => ok(kind === 'no-space' || kind === 'broken', kind),
      );
    }
    await journal.close().catch(() => undefined);
    deepEqual(disk.openDescriptors, []);
    const again = await openOn(disk.crash({ keep: 'none' }), { readOnly: true });
    const found = await texts(again.read());
    deepEqual(found.slice(0, kept.length), kept, `capacity ${capacityBytes}`);
    await again.close();
  }
});

test('the n-th refusal of anything loses nothing acknowledged, for every n', {
  timeout: 90_000,
}, async () => {
  for (const code of ['EIO', 'ENOSPC']) {
    for (let n = 1; ; n++) {
      const disk = simulatedDisk(6);
      const fault = disk.refuseNth(n, code);
      const kept: string[] = [];
      try {
        const journal = await openOn(disk, { spareCount: 1 });
        try {
          for (const text of manyTexts(40, (index) => (index % 7) * 200)) {
            await journal.append(bytesOf(text)).then(() => kept.push(text), refusedOnly);
          }
          await journal.trimBefore(journal.firstLsn + 8).catch(refusedOnly);
        } finally {
          await journal.close().catch(refusedOnly);
        }
      } catch (error) {
        refusedOnly(error);
      }
      deepEqual(disk.openDescriptors, [], `${code} at ${n}`);
      disk.dropCaches();
      for (const keep of ['none', 'all'] as const) {
        const again = await openOn(disk.crash({ keep }));
        const found = new Set(await texts(again.read()));
        for (const text of kept.slice(1)) ok(found.has(text), `${code} at ${n}: ${text} is lost`);
        await again.close();
      }
      if (fault.struckCount === 0) break;
    }
  }
});

function refusedOnly(error: unknown): void {
  if (!(error instanceof IoError)) throw error;
}

everywhere(
  'a short write is never acknowledged before the rest',
  async (_t, world) => {
    for (const n of [1, 3, 4, 5]) {
      const engine = refuseNth(world.engine, n, 'EIO', { operations: ['Write'], short: 40 });
      const path = `${world.directory}-${n}`;
      const journal = await Journal.open(path, { engine, segmentBytes: 65536 });
      for (const text of manyTexts(8, () => 100)) await journal.append(bytesOf(text));
      equal(engine.struckCount, 1);
      await holds(
        journal,
        manyTexts(8, () => 100),
      );
      await journal.close();
      const again = await Journal.open(path, { engine: world.engine, readOnly: true });
      await holds(
        again,
        manyTexts(8, () => 100),
      );
      await again.close();
    }
  },
  ['ring', 'pool', 'portable'],
);

test('a real full disk, and space again', { timeout: 60_000 }, async (t) => {
  const mount = mountFor(t, 'tmpfs', { sizeBytes: 1048576 });
  if (mount === undefined) return;
  const path = join(mount.path, 'journal');
  const journal = await Journal.open(path, {
    segmentBytes: 65536,
    preallocate: false,
    spareCount: 0,
  });
  const lsns: number[] = [];
  let refused: IoError | undefined;
  while (refused === undefined) {
    await journal.append(Buffer.alloc(5000, lsns.length)).then(
      (lsn) => lsns.push(lsn),
      (error) => {
        refused = error;
      },
    );
  }
  equal(refused.kind, 'no-space');
  if (journal.stats().health === 'ok') {
    await journal.trimBefore(lsns[lsns.length >> 1] as number);
    await journal.append(bytesOf('space again'));
    equal((await texts(journal.read())).at(-1), 'space again');
  }
  await journal.close();
  const again = await Journal.open(path, { readOnly: true });
  ok((await texts(again.read())).length > 10);
  await again.close();
});

/*
 * FlushFileBuffers refuses what is open for reading alone (EPERM): on Windows a journal could not
 * be opened to be read, by the portable engine. The segment is opened once more, to be synced.
 */
test('open() for reading syncs by a file that may write where nothing else can be', async () => {
  const calls: (readonly (number | undefined)[])[] = [];
  for (const without of [{}, { 'read-only-sync': 'as on Windows' }]) {
    const disk = simulatedDisk(1, { without });
    const journal = await openOn(disk);
    await journal.append(bytesOf('one'));
    await journal.close();
    const before = disk.engine.stats().systemCalls;
    const reading = await openOn(disk, { readOnly: true });
    deepEqual(await texts(reading.read()), ['one']);
    await reading.close();
    const after = disk.engine.stats().systemCalls;
    calls.push(['open', 'fsync', 'close'].map((name) => (after[name] ?? 0) - (before[name] ?? 0)));
  }
  const [opens = 0, syncs, closes = 0] = calls[0] ?? [];
  deepEqual(calls[1], [opens + 1, syncs, closes + 1]);
});

test('follow() syncs what it found by a file that may write, where only such can be', async () => {
  const disk = simulatedDisk(1, { without: { 'read-only-sync': 'as on Windows' } });
  const journal = await openOn(disk);
  const reader = await openOn(disk, { readOnly: true });
  const opens = () => disk.engine.stats().systemCalls.open ?? 0;
  const before = opens();
  await journal.append(bytesOf('one'));
  for await (const { data } of reader.follow()) {
    equal(Buffer.from(data).toString(), 'one');
    break;
  }
  /* The segment to read it, to sync it, and to read its record. */
  ok(opens() - before >= 3);
  await reader.close();
  await journal.close();
});

test('open() refuses what cannot be meant, before anything happens', async () => {
  const { engine } = simulatedDisk(1);
  const cases: [JournalOptions | string, RegExp][] = [
    ['x', /"options"/],
    [{ segmentBytes: 1000 }, /segmentBytes/],
    [{ segmentBytes: 20000 }, /segmentBytes/],
    [{ segmentBytes: '65536' as never }, /segmentBytes/],
    [{ sync: 'fast' as never }, /sync/],
    [{ sync: true as never }, /sync/],
    [{ direct: 1 as never }, /direct/],
    [{ preallocate: 'some' as never }, /preallocate/],
    [{ bufferBytes: 100 }, /bufferBytes/],
    [{ spareCount: -1 }, /spareCount/],
    [{ mode: 0o10000 }, /mode/],
    [{ lifetime: 'eternal' as never }, /lifetime/],
    [{ readOnly: 1 as never }, /readOnly/],
    [{ readOnly: true, repair: true }, /repair/],
    [{ readOnly: true, create: true }, /create/],
    [{ lockTimeoutMs: -1 }, /lockTimeoutMs/],
    [{ signal: {} as never }, /signal/],
  ];
  for (const [options, message] of cases) {
    const all = typeof options === 'string' ? (options as never) : { ...options, engine };
    await rejects(Journal.open(directory, all), { message });
  }
  await rejects(Journal.open('', { engine }), /directory/);
  await rejects(Journal.open(directory, { engine, readOnly: true }), { kind: 'not-found' });
  equal(simulatedDisk(1).list('/')?.length, 0);
});

test('calls refuse what cannot be meant', async () => {
  const journal = await openOn(simulatedDisk(1));
  await rejects(journal.append('text' as never), TypeError);
  await rejects(journal.append([1] as never), /record\[0\]/);
  await rejects(journal.appendBatch([]), /records/);
  await rejects(journal.appendBatch([Buffer.from('x'), 'y' as never]), /records\[1\]/);
  await rejects(journal.appendBatch(Buffer.from('xyz') as never), TypeError);
  throws(() => journal.write(undefined as never), TypeError);
  await rejects(journal.get(-1), RangeError);
  await rejects(journal.get('8' as never), TypeError);
  await rejects(journal.get(1.5), RangeError);
  await rejects(journal.syncThrough(Number.NaN), RangeError);
  throws(() => journal.read({ from: -1 }), RangeError);
  throws(() => journal.read({ reverse: 'yes' as never }), TypeError);
  throws(() => journal.follow({ signal: 1 as never }), TypeError);
  await rejects(journal.trimBefore(journal.nextLsn + 1), RangeError);
  const signal = AbortSignal.abort();
  await rejects(journal.append(bytesOf('x'), { signal }), { name: 'AbortError' });
  equal(journal.nextLsn, journal.firstLsn);
  await journal.close();
});

test('an abort ends the wait; what had no place yet is left out, the rest is not', async () => {
  const disk = simulatedDisk(1);
  const { engine } = disk;
  const options = { engine, segmentBytes: 2 ** 20, bufferBytes: 65536 } as const;
  const journal = await Journal.open('/journal', options);
  const { signal, abort } = aborting();
  const large = (text: string): Buffer => Buffer.from(text.padEnd(20_000));
  const told = ['a', 'b', 'c', 'd', 'e', 'f'].map((text) => {
    const options = text === 'b' || text === 'e' ? { signal } : {};
    return journal.append(large(text), options).then(
      () => text,
      ({ name }) => name,
    );
  });
  const batch = journal.appendBatch([large('g'), large('h')], { signal });
  ok(journal.stats().pendingCount > 0);
  const synced = journal.syncThrough(journal.firstLsn, { signal });
  abort();
  await rejects(synced, { name: 'AbortError' });
  await rejects(batch, { name: 'AbortError' });
  const error = 'AbortError';
  deepEqual(await Promise.all(told), ['a', error, 'c', 'd', error, 'f']);
  const found = (await texts(journal.read())).map((text) => text.trim());
  deepEqual(found, ['a', 'b', 'c', 'd', 'f']);
  await journal.append(bytesOf('after'));
  await journal.close();
  deepEqual(disk.openDescriptors, []);
});

function aborting(): { signal: AbortSignal; abort(): void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}

test('records are 256 MiB - 1 at most', { timeout: 60_000 }, async () => {
  const journal = await openOn(simulatedDisk(1));
  const mebibyte = new Uint8Array(1048576);
  const views = Array.from({ length: 256 }, () => mebibyte);
  await rejects(journal.append(views), RangeError);
  throws(() => journal.write(views), RangeError);
  await journal.close();
});

everywhere(
  'a record of 256 MiB - 1 comes back',
  async (_t, { open }) => {
    const length = 2 ** 28 - 1;
    const record = Buffer.alloc(length, 'a long record, ');
    const journal = await open({ preallocate: false });
    const lsn = await journal.append(record);
    equal(Buffer.compare(await journal.get(lsn), record), 0);
    await journal.close();
    const again = await open({ preallocate: false });
    equal(Buffer.compare((await again.get(lsn)) as Buffer, record), 0);
    await again.close();
  },
  ['pool'],
);

everywhere('strangers are reported and left alone', async (_t, world) => {
  const journal = await world.open();
  await journal.append(bytesOf('x'));
  await journal.close();
  world.put('README', Buffer.from('mine'));
  world.put('8.segment', Buffer.from('mine too'));
  const again = await world.open();
  deepEqual(again.recovery.strangers, ['8.segment', 'README']);
  await holds(again, ['x']);
  equal(Buffer.from(world.read('README')).toString(), 'mine');
});

test('a file in place of the directory is refused', async (t) => {
  const mount = mountFor(t, 'tmpfs');
  if (mount === undefined) return;
  const path = join(mount.path, 'file');
  writeFileSync(path, 'x');
  await rejects(Journal.open(path), { kind: 'wrong-type' });
});

test('a read-only file system is read, and not written', async (t) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const path = join(mount.path, 'journal');
  const journal = await Journal.open(path, { segmentBytes: 65536 });
  await journal.append(bytesOf('x'));
  await journal.close();
  mount.remount('read-only');
  await rejects(Journal.open(path), { kind: 'read-only' });
  const reader = await Journal.open(path, { readOnly: true });
  await holds(reader, ['x']);
  await reader.close();
});

test('a clock that goes back changes nothing', async () => {
  const disk = simulatedDisk(1);
  const journal = await openOn(disk);
  await journal.append(bytesOf('one'));
  disk.passTime(-10_000_000);
  await journal.append(bytesOf('two'));
  await holds(journal, ['one', 'two']);
  ok(journal.stats().syncMs.count >= 2);
  await journal.close();
});

/*
 * Where the page cache cannot be told to forget, as by node:fs, a journal that was opened after a
 * failed sync believed what the cache showed, and went on behind bytes that the device had not:
 * what it acknowledged then was lost with them. A segment that may be so becomes another file.
 */
test('what a cache shows after a failed sync is durable before anything follows it', async () => {
  for (const [code, count] of [
    ['ENOSYS', 3],
    ['EINTR', 1],
  ] as const) {
    const disk = simulatedDisk(4);
    const options = { segmentBytes: 65536, preallocate: false } as const;
    const engine = refuseNth(disk.engine, 1, code, { operations: ['Advise'], sticky: true });
    const journal = await Journal.open('/journal', { ...options, engine });
    await journal.append(bytesOf('durable'.padEnd(1000)));
    journal.write(bytesOf('between'.padEnd(1000)));
    while (journal.stats().bufferedBytes > 0) await new Promise(setImmediate);
    disk.refuseNth(1, 'EIO', { operations: ['SyncData'] });
    await rejects(journal.append(bytesOf('lost'.padEnd(1000))), { code: 'EIO' });
    await journal.close();
    const again = await Journal.open('/journal', { ...options, engine });
    const found = await texts(again.read());
    equal(found.length, count, 'the cache forgets, or shows what it has');
    await again.append(bytesOf('after'));
    const { engine: left } = disk.crash({ keep: 'none' });
    const last = await Journal.open('/journal', { ...options, engine: left });
    deepEqual(await texts(last.read()), [...found, 'after']);
  }
});

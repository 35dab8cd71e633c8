/**
 * Journals that were damaged, cut, mixed up: nothing is lost unnoticed, nothing is invented, and
 * what can be read is read.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Engine,
  Journal,
  JournalDamageError,
  type RecoveryReport,
  verifyJournal,
} from 'holdfast';
import { type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { bytesOf, holds, manyTexts, texts } from './journal/worlds.js';

const directory = '/journal';
const head = 8192;
const options = { segmentBytes: 16384, preallocate: false } as const;

type Files = ReadonlyMap<string, Uint8Array>;

function filesOf(disk: SimulatedDisk): Files {
  const names = disk.list(directory) as string[];
  const segments = names.filter((name) => name.endsWith('.segment'));
  return new Map(segments.map((name) => [name, disk.read(`${directory}/${name}`) as Uint8Array]));
}

/** A disk with nothing but these files in the directory. */
function diskOf(files: Files): SimulatedDisk {
  const disk = simulatedDisk(1);
  disk.makeDirectory(directory);
  for (const [name, bytes] of files) disk.put(`${directory}/${name}`, bytes);
  return disk;
}

function changed(files: Files, name: string, change: (bytes: Uint8Array) => Uint8Array): Files {
  const bytes = files.get(name) as Uint8Array;
  return new Map([...files, [name, change(bytes.slice())]]);
}

interface Written {
  readonly files: Files;
  readonly texts: readonly string[];
  readonly lsns: readonly number[];
}

/** A journal of these records, each durable before the next; closed, or as a crash leaves it. */
async function written(
  records: readonly string[],
  isClosed: boolean,
  together = 1,
): Promise<Written> {
  const disk = simulatedDisk(3);
  const journal = await Journal.open(directory, { ...options, engine: disk.engine });
  const lsns: number[] = [];
  for (let index = 0; index < records.length; index += together) {
    const some = records
      .slice(index, index + together)
      .map((text) => journal.append(bytesOf(text)));
    lsns.push(...(await Promise.all(some)));
  }
  if (isClosed) await journal.close();
  return { files: filesOf(disk), texts: records, lsns };
}

interface Found {
  readonly records: readonly string[];
  readonly report: RecoveryReport;
}

/** Opens, reads everything, appends, opens again. Errors: those of the opening. */
async function recovered(disk: SimulatedDisk, engine: Engine = disk.engine): Promise<Found> {
  const journal = await Journal.open(directory, { ...options, engine });
  const records = await texts(journal.read());
  await journal.append(bytesOf('appended after'));
  await journal.close();
  const again = await Journal.open(directory, { ...options, engine });
  await holds(again, [...records, 'appended after']);
  equal(again.recovery.tail, 'clean');
  await again.close();
  return { records, report: journal.recovery };
}

async function damageOf(disk: SimulatedDisk): Promise<JournalDamageError | undefined> {
  try {
    const journal = await Journal.open(directory, { ...options, engine: disk.engine });
    await texts(journal.read());
    await journal.close();
    return undefined;
  } catch (error) {
    ok(error instanceof JournalDamageError, String(error));
    equal(error.kind, 'corrupt');
    return error;
  }
}

const first = '0000000000000008.segment';

/** Where the last frame ends in the first segment. */
function endOf(lsns: readonly number[], records: readonly string[]): number {
  const { length } = records.at(-1) as string;
  return (lsns.at(-1) as number) - 8 + head + 16 + length + (-length & 7);
}

for (const isClosed of [true, false]) {
  const how = isClosed ? 'closed' : 'crashed';

  test(`a ${how} journal cut at any byte keeps what is whole`, { timeout: 60_000 }, async () => {
    const { files, texts: records, lsns } = await written(manyTexts(12), isClosed);
    const size = endOf(lsns, records) + 40;
    for (let cut = head; cut <= size; cut++) {
      const disk = diskOf(changed(files, first, (bytes) => bytes.slice(0, cut)));
      const { records: found, report } = await recovered(disk);
      const wholeCount = lsns.filter((lsn, index) => {
        const length = 16 + (records[index] as string).length;
        return lsn - 8 + head + length + (-length & 7) <= cut;
      }).length;
      deepEqual(found, records.slice(0, wholeCount), `cut at ${cut}`);
      if (isClosed && wholeCount < records.length) ok(report.lost, `cut at ${cut}`);
    }
    for (let cut = 0; cut < head; cut += 61) {
      const disk = diskOf(changed(files, first, (bytes) => bytes.slice(0, cut)));
      /* The mark alone may be gone: it says nothing that cannot be found out. */
      if (cut >= 4096) await recovered(disk);
      else ok(await damageOf(disk), `cut at ${cut}`);
    }
  });

  test(`a bit turned over in a ${how} journal is told, or changes nothing`, {
    timeout: 60_000,
  }, async () => {
    const { files, texts: records, lsns } = await written(manyTexts(6), isClosed);
    const size = endOf(lsns, records) + 40;
    const lastAt = (lsns.at(-1) as number) - 8 + head;
    for (let bit = 8 * head; bit < 8 * size; bit += 3) {
      const at = bit >> 3;
      const disk = diskOf(
        changed(files, first, (bytes) => {
          bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
          return bytes;
        }),
      );
      if (at < lastAt) {
        const damage = await damageOf(disk);
        ok(damage, `bit ${bit}`);
        const index = lsns.findLastIndex((lsn) => lsn - 8 + head <= at);
        equal(damage.lsn, lsns[index], `bit ${bit}`);
        equal(damage.resumesAt, lsns[index + 1], `bit ${bit}`);
        equal(damage.segment, first);
        continue;
      }
      const { records: found, report } = await recovered(disk);
      const isIntact = found.length === records.length;
      ok(isIntact || (report.tail !== 'clean' && report.keptPath !== undefined), `bit ${bit}`);
      deepEqual(found, records.slice(0, found.length));
      ok(found.length >= records.length - 1);
    }
  });
}

test('damage in a closed group is told although nothing was synced behind it', async () => {
  const { files, lsns } = await written(manyTexts(10), true, 10);
  const disk = diskOf(
    changed(files, first, (bytes) => {
      bytes[(lsns[3] as number) - 8 + head + 20] = 0xff;
      return bytes;
    }),
  );
  const damage = await damageOf(disk);
  equal(damage?.lsn, lsns[3]);
  equal(damage?.resumesAt, lsns[4]);
});

test('a group that a crash tore is cut where it is torn', async () => {
  const { files, texts: records, lsns } = await written(manyTexts(10), false, 10);
  const disk = diskOf(
    changed(files, first, (bytes) => {
      bytes[(lsns[3] as number) - 8 + head + 17] = 0xff;
      return bytes;
    }),
  );
  const { records: found, report } = await recovered(disk);
  deepEqual(found, records.slice(0, 3));
  equal(report.tail, 'bad checksum');
  const kept = disk.read(report.keptPath as string) as Uint8Array;
  const from = (lsns[3] as number) - 8 + head;
  const whole = files.get(first) as Uint8Array;
  deepEqual(kept.slice(18), whole.slice(from + 18, from + kept.length));
});

test('the tail is classified', async () => {
  const { files, lsns } = await written(
    manyTexts(4, () => 50),
    false,
  );
  const at = (lsns[3] as number) - 8 + head;
  const end = at + 72;
  const cases: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ['clean', (bytes) => bytes],
    ['clean', (bytes) => bytes.slice(0, at)],
    ['truncated header', (bytes) => bytes.slice(0, at + 9)],
    ['truncated payload', (bytes) => bytes.slice(0, at + 40)],
    ['bad checksum', (bytes) => bytes.fill(1, at + 20, at + 21)],
    ['bad checksum', (bytes) => bytes.fill(1, at, at + 1)],
    ['bad magic', (bytes) => bytes.fill(1, at + 11, at + 12)],
    ['bad magic', (bytes) => bytes.fill(1, end, end + 1)],
  ];
  for (const [kind, change] of cases) {
    const { report } = await recovered(diskOf(changed(files, first, change)));
    equal(report.tail, kind);
  }
});

test('blocks that changed places, or are older, are damage', async () => {
  const { files } = await written(
    manyTexts(60, () => 100),
    true,
  );
  const size = (files.get(first) as Uint8Array).length;
  const block = 512;
  for (let one = head; one + 3 * block < size; one += block) {
    const swapped = changed(files, first, (bytes) => {
      const [a, b] = [bytes.slice(one, one + block), bytes.slice(one + block, one + 2 * block)];
      bytes.set(b, one);
      bytes.set(a, one + block);
      return bytes;
    });
    ok(await damageOf(diskOf(swapped)), `swapped at ${one}`);
    const doubled = changed(files, first, (bytes) =>
      bytes.copyWithin(one, one + block, one + 2 * block),
    );
    ok(await damageOf(diskOf(doubled)), `doubled at ${one}`);
    const stale = changed(files, first, (bytes) => bytes.fill(0, one, one + block));
    ok(await damageOf(diskOf(stale)), `never written at ${one}`);
  }
});

/** Several segments. */
function segmented(): Promise<Written> {
  return written(
    manyTexts(400, () => 90),
    true,
    20,
  );
}

test('segments that are missing, renamed, doubled, or of another journal are damage', async () => {
  const { files } = await segmented();
  const names = [...files.keys()];
  ok(names.length >= 4);
  for (const [index, name] of names.entries()) {
    const without = new Map(files);
    without.delete(name);
    const bytes = files.get(name) as Uint8Array;
    /* Nobody but the last segment knows that there was one before the first. */
    ok(await damageOf(diskOf(without)), `without ${index}`);
    const renamed = new Map(without).set('0000000000000808.segment', bytes);
    ok(await damageOf(diskOf(renamed)), `renamed ${index}`);
    const doubled = new Map(files).set('0000000000000808.segment', bytes);
    ok(await damageOf(diskOf(doubled)), `doubled ${index}`);
    const other = names[(index + 1) % names.length] as string;
    const mixed = new Map(files).set(name, files.get(other) as Uint8Array).set(other, bytes);
    ok(await damageOf(diskOf(mixed)), `mixed up ${index}`);
  }
  const { files: others } = await segmentedElsewhere();
  for (const name of names) {
    if (!others.has(name)) continue;
    ok(await damageOf(diskOf(new Map(files).set(name, others.get(name) as Uint8Array))), name);
  }
});

/*
 * The mark alone tells how far a journal was trimmed: a torn one made what was left look damaged,
 * and the journal did not open until it was repaired.
 */
test('a torn mark does not make a trimmed journal a damaged one', async () => {
  const { files, texts: records, lsns } = await segmented();
  const disk = diskOf(files);
  const { engine } = disk;
  const journal = await Journal.open(directory, { ...options, engine });
  await journal.trimBefore(lsns[200] as number);
  const left = new Map([...filesOf(disk)].filter(([name]) => !name.startsWith('spare')));
  const [name, last] = [[...left.keys()][0] as string, [...left.keys()].at(-1) as string];
  const firstLsn = Number.parseInt(name, 10);
  ok(firstLsn > 8, 'files of its front are gone');
  const torn = changed(left, last, (bytes) => bytes.fill(0, 4096 + 100, 4096 + 512));
  const expected = records.filter((_, index) => (lsns[index] as number) >= firstLsn);
  const after = diskOf(torn);
  const opened = await Journal.open(directory, { ...options, engine: after.engine });
  await holds(opened, expected);
  equal((await verifyJournal(directory, { engine: after.engine })).isIntact, true);
});

async function segmentedElsewhere(): Promise<Written> {
  const disk = simulatedDisk(77);
  const journal = await Journal.open(directory, { ...options, engine: disk.engine });
  for (const text of manyTexts(400, () => 90)) await journal.append(bytesOf(text));
  await journal.close();
  return { files: filesOf(disk), texts: [], lsns: [] };
}

test('repair keeps every record that can be read, under its LSN', async () => {
  const { files, texts: records, lsns } = await segmented();
  const names = [...files.keys()];
  const bad = [3, 4, 50, 120, 121, 399];
  const offsets = bad.map((index) => {
    const lsn = lsns[index] as number;
    const starts = names.map((name) => Number.parseInt(name, 10));
    const start = starts.filter((one) => one <= lsn).at(-1) as number;
    return { name: names[starts.indexOf(start)] as string, at: lsn - start + head };
  });
  let damaged = files;
  for (const [index, { name, at }] of offsets.entries()) {
    damaged = changed(damaged, name, (bytes) => bytes.fill(0xaa, at + (index % 2) * 20, at + 30));
  }
  const disk = diskOf(damaged);
  const { engine } = disk;
  await rejects(Journal.open(directory, { ...options, engine }), { kind: 'corrupt' });
  const report = await verifyJournal(directory, { engine });
  equal(report.isIntact, false);
  deepEqual(
    report.damage.map(({ lsn }) => lsn),
    [3, 50, 120].map((index) => lsns[index]),
  );
  const journal = await Journal.open(directory, { ...options, engine, repair: true });
  const expected = records.filter((_, index) => !bad.includes(index));
  await holds(journal, expected);
  deepEqual(
    journal.recovery.damage.map(({ lsn }) => lsn),
    [3, 50, 120].map((index) => lsns[index]),
  );
  ok(disk.list(directory)?.some((name) => name.startsWith('damaged-')));
  await rejects(journal.get(lsns[3] as number), RangeError);
  await journal.append(bytesOf('after'));
  await journal.close();
  const again = await Journal.open(directory, { ...options, engine });
  await holds(again, [...expected, 'after']);
  equal((await verifyJournal(directory, { engine })).isIntact, true);
  await again.close();
});

test('repair goes on behind segments that are gone or have no header', async () => {
  const { files, texts: records } = await segmented();
  const names = [...files.keys()];
  const cases: [string, Files, (index: number) => boolean][] = [];
  const firstLsns = names.map((name) => Number.parseInt(name, 10));
  const { lsns } = await segmented();
  const isIn =
    (segment: number) =>
    (index: number): boolean => {
      const lsn = lsns[index] as number;
      return (
        lsn >= (firstLsns[segment] as number) &&
        lsn < (firstLsns[segment + 1] ?? Number.POSITIVE_INFINITY)
      );
    };
  for (let segment = 0; segment < names.length; segment++) {
    const without = new Map(files);
    without.delete(names[segment] as string);
    cases.push([`without ${segment}`, without, isIn(segment)]);
    const headless = changed(files, names[segment] as string, (bytes) => bytes.fill(1, 100, 200));
    cases.push([`no header ${segment}`, headless, isIn(segment)]);
  }
  for (const [what, some, isGone] of cases) {
    const { engine } = diskOf(some);
    await rejects(Journal.open(directory, { ...options, engine }), { kind: 'corrupt' }, what);
    const journal = await Journal.open(directory, { ...options, engine, repair: true });
    await holds(
      journal,
      records.filter((_, index) => !isGone(index)),
    );
    await journal.append(bytesOf('after'));
    await journal.close();
    const again = await Journal.open(directory, { ...options, engine });
    equal((await texts(again.read())).at(-1), 'after', what);
    await again.close();
  }
});

test('a read-only journal gives what stands before damage, and what stands behind it', async () => {
  const { files, texts: records, lsns } = await written(manyTexts(30), true);
  const disk = diskOf(
    changed(files, first, (bytes) => {
      bytes[(lsns[10] as number) - 8 + head + 17] = 0xff;
      return bytes;
    }),
  );
  const journal = await Journal.open(directory, { readOnly: true, engine: disk.engine });
  equal(journal.recovery.damage.length, 1);
  const found: string[] = [];
  await rejects(
    async () => {
      for await (const { data } of journal.read()) found.push(Buffer.from(data).toString());
    },
    (error: unknown) => {
      ok(error instanceof JournalDamageError);
      equal(error.lsn, lsns[10]);
      equal(error.resumesAt, lsns[11]);
      return true;
    },
  );
  deepEqual(found, records.slice(0, 10));
  deepEqual(await texts(journal.read({ from: lsns[11] as number })), records.slice(11));
  const back: string[] = [];
  await rejects(async () => {
    for await (const { data } of journal.read({ reverse: true }))
      back.push(Buffer.from(data).toString());
  }, JournalDamageError);
  deepEqual(back, records.slice(11).reverse());
  await rejects(journal.get(lsns[10] as number), JournalDamageError);
  await journal.close();
});

test('a journal of a later format is refused by its number', async () => {
  const { files } = await written(['x'], true);
  const { crc32c } = await import('#holdfast/bytes.js');
  const disk = diskOf(
    changed(files, first, (bytes) => {
      const page = bytes.subarray(0, 4096);
      const view = new DataView(page.buffer, page.byteOffset, 4096);
      view.setUint32(8, 7, true);
      view.setUint32(508, crc32c(page.subarray(0, 508)), true);
      return bytes;
    }),
  );
  await rejects(Journal.open(directory, { ...options, engine: disk.engine }), {
    kind: 'unsupported',
    message: /version 7/,
  });
});

/**
 * A commit that the power tore: every subset of its twelve sectors, wherever in a sector it begins.
 * What is found is the records in front of the first byte that is not there, and not one more.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Journal, type JournalRecord } from 'holdfast';
import { type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { Code, type Operation } from '#holdfast/platform.js';
import { FlawedEngine } from './journal/flaws.js';
import { all, bytesOf, holds, textOf } from './journal/worlds.js';

const directory = '/journal';
const name = `${directory}/0000000000000008.segment`;
const head = 8192;
const sector = 512;
const count = 12;
const frameAlignment = 8;
const options = { segmentBytes: 32768, preallocate: false } as const;

/** A journal with a group that was not synced, and what is under it. */
interface Torn {
  readonly disk: SimulatedDisk;
  /** The file before the group and after it, both as long as it is then. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  /** Bytes; the sector in which the group begins. */
  readonly start: number;
  readonly records: readonly JournalRecord[];
  readonly nextLsn: number;
}

async function opened(disk: SimulatedDisk): Promise<Journal> {
  return Journal.open(directory, { ...options, engine: disk.engine });
}

function fileOf(disk: SimulatedDisk): Uint8Array {
  return disk.read(name) as Uint8Array;
}

/** Texts whose frames, and the zeros behind them, end in the last of twelve sectors. */
function groupAt(place: number): string[] {
  const texts: string[] = [];
  const room = count * sector - (place % sector) - 16;
  for (let bytes = 0; ; ) {
    const text = `${texts.length}:${'x'.repeat((texts.length * 31 + place) % 140)}`;
    bytes += 16 + text.length + (-text.length & 7);
    if (bytes > room) return texts;
    texts.push(text);
  }
}

/* Frames of another journal, at the LSNs of this one: what a recycled file is full of. */
async function staleBytes(length: number): Promise<Uint8Array> {
  const disk = simulatedDisk(6);
  const journal = await opened(disk);
  for (let index = 0; index < 60; index++) await journal.append(new Uint8Array(240).fill(index));
  return fileOf(disk).slice(0, length);
}

/** A group that begins at a place in its sector. */
async function tornAt(place: number, isRecycled: boolean): Promise<Torn> {
  const disk = simulatedDisk(5);
  const journal = await opened(disk);
  await journal.append(new Uint8Array((place + sector - 16 - 24) % sector));
  await journal.append(bytesOf('durable'));
  const end = journal.nextLsn - 8 + head;
  equal(end % sector, place);
  const durable = fileOf(disk).slice(0, end);
  await Promise.all(groupAt(place).map((text) => journal.append(bytesOf(text))));
  const after = fileOf(disk);
  const before = isRecycled ? await staleBytes(after.length) : new Uint8Array(after.length);
  before.set(durable);
  before.fill(0, end, end + 16);
  const records = await all(journal.read());
  return { disk, before, after, start: end - place, records, nextLsn: journal.nextLsn };
}

/** By sector, from where on the file is as it was when that one is lost: an offset in the file. */
function differences({ before, after, start }: Torn): number[] {
  return Array.from({ length: count }, (_, index) => {
    const from = start + index * sector;
    for (let at = from; at < from + sector; at++) if (before[at] !== after[at]) return at;
    return Number.POSITIVE_INFINITY;
  });
}

/** Where a journal ends, and how many records it has, when nothing is there from an offset on. */
function endBefore({ records, nextLsn }: Torn, offset: number): readonly [number, number] {
  const lsn = offset - head + 8;
  const whole = records.filter((_, index) => (records[index + 1]?.lsn ?? nextLsn) <= lsn);
  return [records[whole.length]?.lsn ?? nextLsn, whole.length];
}

/** An engine that shows an image in place of the segment. */
function showing({ engine }: SimulatedDisk, image: Uint8Array): FlawedEngine {
  return new FlawedEngine(engine, {
    answers: ({ code, payload, offset, result }: Operation) => {
      if (code !== Code.Read || result <= 0) return;
      const view = payload as Uint8Array;
      view.set(image.subarray(offset, offset + Math.min(view.length, result)));
    },
  });
}

/** Opens what each subset leaves, one sector after the other put or taken (Gray's code). */
async function everySubset(torn: Torn): Promise<number> {
  const { disk, before, after, start } = torn;
  const ends = differences(torn).map((offset) => endBefore(torn, offset));
  const whole = endBefore(torn, Number.POSITIVE_INFINITY);
  const image = before.slice();
  const engine = showing(disk, image);
  let kept = 0;
  for (let turn = 1; turn <= 2 ** count; turn++) {
    const lost = ends.find((_, index) => ((kept >> index) & 1) === 0 && isOther(torn, index));
    const [nextLsn, recordCount] = lost ?? whole;
    const journal = await Journal.open(directory, { readOnly: true, engine });
    const { recovery } = journal;
    const { damage } = recovery;
    const isRight = recovery.nextLsn === nextLsn && recovery.recordCount === recordCount;
    if (!isRight || damage.length > 0 || recovery.lost !== undefined) {
      equal(recovery.nextLsn, nextLsn, `sectors ${kept.toString(2)}, ${torn.start}`);
      deepEqual([recovery.recordCount, damage, recovery.lost], [recordCount, [], undefined]);
    }
    await journal.close();
    const index = turn === 2 ** count ? 0 : 31 - Math.clz32(turn & -turn);
    kept ^= 1 << index;
    const from = start + index * sector;
    const source = (kept >> index) & 1 ? after : before;
    image.set(source.subarray(from, from + sector), from);
  }
  return 2 ** count;
}

function isOther({ before, after, start }: Torn, index: number): boolean {
  const from = start + index * sector;
  const [one, other] = [before, after].map((bytes) => bytes.subarray(from, from + sector));
  return Buffer.compare(one as Uint8Array, other as Uint8Array) !== 0;
}

/* Frames begin at multiples of 8: that many places there are. */
const places = sector / frameAlignment;

test('every subset of twelve unsynced sectors, at every place, is a prefix', {
  timeout: 3_600_000,
}, async (t) => {
  let subsets = 0;
  for (let place = 0; place < places; place++) {
    subsets += await everySubset(await tornAt(place * frameAlignment, false));
  }
  equal(subsets, 262_144);
  t.diagnostic(`${subsets} openings`);
});

test('every subset over what an earlier life of the file left there is a prefix', {
  timeout: 3_600_000,
}, async () => {
  for (const place of [0, 8, 120, 496, 504]) await everySubset(await tornAt(place, true));
});

test('of any subset a writer goes on behind the prefix', { timeout: 3_600_000 }, async () => {
  for (let turn = 0; turn < 200; turn++) {
    const torn = await tornAt((turn % places) * frameAlignment, turn % 3 === 0);
    const { before, after, start, records } = torn;
    const kept = (turn * 2_654_435_761) % 2 ** count;
    const bytes = before.slice();
    for (let index = 0; index < count; index++) {
      if (((kept >> index) & 1) === 0) continue;
      const from = start + index * sector;
      bytes.set(after.subarray(from, from + sector), from);
    }
    const disk = simulatedDisk(turn);
    disk.put(name, bytes);
    const journal = await opened(disk);
    const found = (await all(journal.read())).map(({ data }) => textOf(data));
    deepEqual(
      found,
      records.slice(0, found.length).map(({ data }) => textOf(data)),
    );
    ok(found.length >= 2, 'what was durable');
    await journal.append(bytesOf('after'));
    await journal.close();
    await holds(await opened(disk), [...found, 'after']);
  }
});

/**
 * A journal, and a file of JSON lines, written while the power goes: buffered and direct, on every
 * engine; and what has to be there afterwards.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Engine, Journal, type JournalOptions, openJsonl } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { FlawedEngine, flaws, type Habits, ignoresEpochs } from '../journal/flaws.js';
import type { Site, State } from './rig.js';

/** The name of what is wrong: one of test/journal/flaws.ts, or that epochs are not new. */
export type Flaw = string;

export const oneEpoch: Flaw = 'one epoch for all that a file is used for';

export interface JournalInput {
  readonly rounds: number;
  /** What is wrong with it; nothing by default. */
  readonly flaw?: Flaw;
}

const engineWords = ['ring', 'pool', 'portable'] as const;

function engineHere(name: string): Engine | undefined {
  try {
    return engineNamed(name);
  } catch {
    return undefined;
  }
}

interface Lane {
  readonly name: string;
  readonly options: JournalOptions;
}

/** Every way to write a journal that is here. */
function lanes(): Lane[] {
  const all: Lane[] = [];
  for (const word of engineWords) {
    const engine = engineHere(word);
    if (engine === undefined) continue;
    for (const direct of word === 'portable' ? [false] : [false, true]) {
      const preallocate = direct ? ('zeros' as const) : word === 'pool';
      const options = { engine, direct, preallocate, segmentBytes: 32768, spareCount: 1 };
      all.push({ name: `journal-${word}-${direct ? 'direct' : 'buffered'}`, options });
    }
  }
  return all;
}

const lengthOf = (index: number): number => (index * 271) % 1900;

/** The record of a number: it begins with it. */
function recordOf(index: number): Buffer {
  return Buffer.alloc(12 + lengthOf(index), `${index},`);
}

async function round(journal: Journal, first: number, turn: number): Promise<number> {
  let next = first;
  if (turn % 4 === 3) {
    const batch = [next++, next++, next++].map(recordOf);
    await journal.appendBatch(batch);
  } else if (turn % 4 === 1) {
    let lsn = 0;
    for (let count = 0; count < 6; count++) lsn = journal.write(recordOf(next++));
    await journal.syncThrough(lsn);
  } else {
    const count = turn % 4 === 0 ? 1 : 5;
    const all = Array.from({ length: count }, () => journal.append(recordOf(next++)));
    await Promise.all(all);
  }
  return next;
}

async function lane({ name, options }: Lane, site: Site, rounds: number): Promise<void> {
  const path = join(site.path, name);
  const journal = await Journal.open(path, options);
  let next = 0;
  let lsn = journal.firstLsn;
  for (let turn = 0; turn < rounds; turn++) {
    const before = next;
    next = await round(journal, next, turn);
    site.mark(`journal ${name} done ${next}`);
    if (turn % 7 === 6) {
      site.mark(`journal ${name} trim ${before}`);
      await journal.trimBefore(lsn);
    }
    lsn = journal.nextLsn;
  }
  if (rounds % 2 === 0) await journal.close();
}

async function lines(site: Site, rounds: number): Promise<void> {
  const log = await openJsonl(join(site.path, 'log.jsonl'));
  for (let turn = 0; turn < rounds; turn++) {
    await Promise.all([0, 1].map((n) => log.append({ n: 2 * turn + n, x: 'x'.repeat(turn * 50) })));
    site.mark(`jsonl log.jsonl done ${2 * turn + 2}`);
  }
}

/** The workload. */
export async function work(site: Site): Promise<void> {
  const { rounds } = site.input as JournalInput;
  mkdirSync(join(site.path, 'beside'));
  site.mark('start');
  await Promise.all([...lanes().map((one) => lane(one, site, rounds)), lines(site, rounds)]);
  site.mark('end');
}

/** As `work`, by an engine with bad habits. */
export async function workFlawed(site: Site): Promise<void> {
  const { rounds, flaw } = site.input as JournalInput;
  site.mark('start');
  const all = lanes().filter(({ name }) => name.includes('pool'));
  const flawed = all.map(({ name, options }) => ({ name, options: withFlaw(options, flaw) }));
  await Promise.all(flawed.map((one) => lane(one, site, rounds)));
  site.mark('end');
}

function withFlaw(options: JournalOptions, flaw: Flaw | undefined): JournalOptions {
  return { ...options, engine: new FlawedEngine(engineNamed('pool'), habitsOf(flaw)) };
}

function habitsOf(flaw: Flaw | undefined): Habits {
  if (flaw === undefined) return {};
  return flaw === oneEpoch ? ignoresEpochs : (flaws[flaw] as Habits);
}

const pageBytes = 4096;

/* A frame of a page: whether it was written, and what stands behind it, are two chances. */
function pageOf(index: number): Buffer {
  return Buffer.alloc(pageBytes - 16, `${index},`);
}

/* No number of a record that is appended. */
const stale = 1000;

async function appendPages(journal: Journal, name: string, site: Site): Promise<void> {
  const first = journal.nextLsn === journal.firstLsn ? 0 : 1;
  for (let index = first; index < 6; index++) {
    await journal.append(pageOf(index));
    site.mark(`journal ${name} done ${index + 1}`);
  }
}

/** A group was torn: its first frame is not there. What a recovery left behind it lies in wait. */
export async function workBehindTear(site: Site): Promise<void> {
  const name = 'journal-torn';
  const path = join(site.path, name);
  /* Without locks: it is left as a process that is killed leaves it. */
  const options = { engine: engineNamed('portable'), segmentBytes: 65536 };
  const killed = await Journal.open(path, options);
  await killed.append(pageOf(0));
  await Promise.all([1, 2, 3, 4, 5, 6].map((index) => killed.append(pageOf(stale + index))));
  const fd = openSync(join(path, '0000000000000008.segment'), 'r+');
  writeSync(fd, Buffer.alloc(pageBytes), 0, pageBytes, 8192 + pageBytes);
  fsyncSync(fd);
  closeSync(fd);
  site.mark(`journal ${name} done 1`);
  const journal = await Journal.open(path, withFlaw(options, (site.input as JournalInput).flaw));
  await appendPages(journal, name, site);
}

/** A file that is full of another journal becomes a segment of this one. */
export async function workRecycled(site: Site): Promise<void> {
  const name = 'journal-recycled';
  const path = join(site.path, name);
  const segmentBytes = 65536;
  const options = withFlaw({ segmentBytes }, (site.input as JournalInput).flaw);
  const old = await Journal.open(join(site.path, 'old'), options);
  for (let index = 0; index < 8; index++) await old.append(pageOf(stale + index));
  await old.close();
  mkdirSync(path);
  const spare = join(path, `spare-${'0'.repeat(32)}.segment`);
  renameSync(join(site.path, 'old', '0000000000000008.segment'), spare);
  const journal = await Journal.open(path, options);
  site.mark(`journal ${name} done 0`);
  await appendPages(journal, name, site);
}

interface Told {
  done: number;
  trimmed: number;
}

function toldIn(marks: readonly string[]): Map<string, Told> {
  const all = new Map<string, Told>();
  for (const mark of marks) {
    const [kind, name, what, count] = mark.split(' ');
    if (count === undefined) continue;
    const told = all.get(`${kind} ${name}`) ?? { done: 0, trimmed: 0 };
    if (what === 'done') told.done = Number(count);
    else told.trimmed = Number(count);
    all.set(`${kind} ${name}`, told);
  }
  return all;
}

async function checkJournal(path: string, told: Told): Promise<void> {
  const journal = await Journal.open(path, { engine: engineNamed('pool'), segmentBytes: 32768 });
  try {
    await checkRecords(journal, told);
  } finally {
    await journal.close();
  }
}

async function checkRecords(journal: Journal, { done, trimmed }: Told): Promise<void> {
  const found: number[] = [];
  for await (const { data } of journal.read()) {
    const index = Number.parseInt(Buffer.from(data.subarray(0, 12)).toString(), 10);
    const isIt = recordOf(index).equals(data) || pageOf(index).equals(data);
    ok(isIt, `record ${index} has other bytes`);
    found.push(index);
  }
  const first = found[0] ?? done;
  deepEqual(
    found,
    Array.from({ length: found.length }, (_, at) => first + at),
  );
  ok(first <= trimmed, `begins at ${first}, trimmed were ${trimmed}`);
  const isWhole = found.length === 0 ? done <= trimmed : first + found.length >= done;
  ok(isWhole, `${found.at(-1)} is the last of ${done}`);
  await journal.append(recordOf(first + found.length));
}

async function checkLines(path: string, { done }: Told): Promise<void> {
  const log = await openJsonl(path, { engine: engineNamed('pool') });
  try {
    const found: number[] = [];
    for await (const value of log) found.push((value as { n: number }).n);
    deepEqual(
      found.slice(0, done),
      Array.from({ length: done }, (_, n) => n),
    );
    await log.append('after');
    equal(log.recovery.fallbacks.length, 0);
  } finally {
    await log.close();
  }
}

/** What is wrong with a state; undefined if nothing is. */
export async function journalFaultOf(state: State): Promise<string | undefined> {
  let mounted: Awaited<ReturnType<State['mount']>> | undefined;
  try {
    mounted = await state.mount();
    for (const [key, told] of toldIn(state.marks)) {
      const [kind, name] = key.split(' ') as [string, string];
      const path = join(mounted.path, name);
      try {
        if (kind === 'journal') await checkJournal(path, told);
        else await checkLines(path, told);
      } catch (error) {
        return `${state.name}: ${name}: ${(error as Error).message}`;
      }
    }
    return undefined;
  } catch (error) {
    return `${state.name}: ${(error as Error).message}`;
  } finally {
    await mounted?.unmount();
  }
}

/**
 * Crash cycles on a simulated disk: a journal is written, the power goes anywhere, each of many
 * states that may leave is opened, the power may go in that too, and what is there then has to be
 * what was promised.
 */
import { equal, fail, ok } from 'node:assert/strict';
import { Journal, type JournalOptions } from 'holdfast';
import {
  type DiskOptions,
  SimulatedCrash,
  type SimulatedDisk,
  simulatedDisk,
} from 'holdfast/testing';
import { FlawedEngine, neverAdvised } from './flaws.js';

const directory = '/journal';
const GENERATIONS = 3;
/* The longest work until the power goes; an opening with its reads; the first commits after it. */
const OPERATIONS_MAX = 120;
const OPENING_OPERATIONS = 44;
const COMMIT_OPERATIONS = 3;
/* States of one power cut that are looked at, and of one during a recovery. */
const STATES = 24;
const STATES_OF_RECOVERY = 4;

/** Numbers from a seed: xorshift32. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b9) || 1;
  }

  below(bound: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return (state >>> 0) % bound;
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}

interface Appended {
  readonly bytes: Buffer;
  readonly lsn: number;
  /** Members of one batch have the same. */
  readonly batch: number;
  isAcknowledged: boolean;
}

const FIRST_LSN = 8;

/* docs/journal-format.md: a header of 16 bytes, zeros up to a multiple of 8. */
function lsnAfter({ lsn, bytes }: Pick<Appended, 'lsn' | 'bytes'>): number {
  return lsn + 16 + bytes.length + (-bytes.length & 7);
}

/** What was asked of a journal, in order, and what it answered. */
class Model {
  records: Appended[] = [];
  /** Where the first of them stands, or would. */
  firstLsn = FIRST_LSN;
  count = 0;
  batches = 0;
  lengths: readonly number[] = mixedLengths;
  /** Records in front of it were given up: at least so many, at most so many. */
  trimmedMin = 0;
  trimmedMax = 0;

  get nextLsn(): number {
    const last = this.records.at(-1);
    return last === undefined ? this.firstLsn : lsnAfter(last);
  }

  add(length: number, batch: number): Appended {
    const bytes = Buffer.alloc(12 + length, 'x');
    bytes.write(`${this.count++}:`, 'latin1');
    const record = { bytes, lsn: this.nextLsn, batch, isAcknowledged: false };
    this.records.push(record);
    return record;
  }

  /** With no more than the first so many records, all of which are there. */
  upTo(count: number): Model {
    const model = new Model();
    model.records = this.records.slice(0, count).map((one) => ({ ...one, isAcknowledged: true }));
    model.firstLsn = this.firstLsn;
    model.count = this.count;
    model.batches = this.batches;
    model.lengths = this.lengths;
    return model;
  }
}

export const modes = ['buffered', 'direct', 'buffered, even', 'direct, even'] as const;

/** Round the page cache or not; records of any lengths, or with frames as long as a sector. */
export type Mode = (typeof modes)[number];

function optionsOf(dice: Dice, mode: Mode): JournalOptions {
  return {
    segmentBytes: 16384,
    bufferBytes: 65536,
    preallocate: dice.of([true, false, 'zeros'] as const),
    direct: mode.startsWith('direct'),
    sync: dice.of(['data', 'data', 'full'] as const),
    spareCount: dice.below(3),
  };
}

function diskOptionsOf(dice: Dice): DiskOptions {
  const shortShare = dice.of([0, 0, 0.1]);
  /* The file of the lock is one more that a power cut may leave in any state. */
  const without = dice.below(8) === 0 ? undefined : { locks: 'one process writes here' };
  return { shortShare, logCount: 40, without };
}

const mixedLengths = [0, 1, 7, 20, 60, 200, 500, 900, 3000];
/* Frames that begin where sectors do: what was torn may look whole again. */
const evenLengths = [484];

/** Changes in how a journal is used or built, to see whether the cycles notice. */
export interface Flaw {
  /** Changes the engine that the journal writes through. */
  readonly engineOf?: (disk: SimulatedDisk) => SimulatedDisk['engine'];
}

/** One life of a journal. */
class Life {
  readonly #dice: Dice;
  readonly #lengths: readonly number[];
  readonly #options: JournalOptions;
  readonly #diskOptions: DiskOptions;
  readonly #flaw: Flaw;
  /** Its page cache can be told to forget. */
  readonly #forgets: boolean;
  /** The disk that was used last. */
  disk: SimulatedDisk;

  constructor(seed: number, mode: Mode, flaw: Flaw) {
    const dice = new Dice(seed);
    this.#dice = dice;
    this.#flaw = flaw;
    this.#lengths = mode.endsWith('even') ? evenLengths : mixedLengths;
    this.#options = optionsOf(dice, mode);
    this.#diskOptions = diskOptionsOf(dice);
    this.#forgets = dice.below(8) > 0;
    this.disk = simulatedDisk(seed, this.#diskOptions);
  }

  /** Answers how many power cuts there were, each of whose states was opened. */
  async lead(): Promise<number> {
    let model = new Model();
    model.lengths = this.#lengths;
    let count = 0;
    let disk = this.disk;
    for (let generation = 0; generation < GENERATIONS; generation++) {
      this.disk = disk;
      disk.crashAt(1 + this.#dice.below(OPERATIONS_MAX));
      model = await this.#live(disk, model);
      const left = this.#states(disk, STATES);
      for (const state of left) count += await this.#recovers(state, model);
      disk = disk.crash({ seed: this.#chance(), keep: this.#dice.of(['random', 'none', 'all']) });
    }
    return count;
  }

  #chance(): number {
    return this.#dice.below(2 ** 31);
  }

  /* States that a power cut now may leave, each another. */
  #states(disk: SimulatedDisk, count: number): SimulatedDisk[] {
    const states = new Map<string, SimulatedDisk>();
    for (let index = 0; index < count; index++) {
      const keep = count > 2 && index < 2 ? (['none', 'all'] as const)[index] : 'random';
      const state = disk.crash({ seed: this.#chance(), keep });
      states.set(state.origin, state);
    }
    return [...states.values()];
  }

  #open(disk: SimulatedDisk): Promise<Journal> {
    const own = this.#flaw.engineOf?.(disk) ?? disk.engine;
    const engine = this.#forgets ? own : new FlawedEngine(own, neverAdvised);
    return Journal.open(directory, { ...this.#options, engine });
  }

  /* Writes until the power goes, or everything is done. */
  async #live(disk: SimulatedDisk, before: Model): Promise<Model> {
    let model = before;
    try {
      const journal = await this.#open(disk);
      model = await checked(journal, before);
      await work(journal, model, { dice: this.#dice, rounds: 12 });
      await journal.close();
    } catch (error) {
      if (!isCrash(error)) throw error;
    }
    return model;
  }

  /*
   * Opens a state. It may be that the power goes in that too, or in the first commits after it:
   * what is left then is opened.
   */
  async #recovers(state: SimulatedDisk, before: Model): Promise<number> {
    this.disk = state;
    let model = before;
    const cut = this.#dice.of(['never', 'opening', 'commits', 'commits']);
    if (cut === 'opening') state.crashAt(1 + this.#dice.below(OPENING_OPERATIONS));
    try {
      const journal = await this.#open(state);
      model = await checked(journal, model);
      if (cut !== 'commits') return 1;
      state.crashAt(1 + this.#dice.below(COMMIT_OPERATIONS));
      await work(journal, model, { dice: this.#dice, rounds: 3 });
    } catch (error) {
      if (!isCrash(error)) throw error;
    }
    const left = this.#states(state, STATES_OF_RECOVERY);
    for (const one of left) {
      this.disk = one;
      await checked(await this.#open(one), model);
    }
    return 1 + left.length;
  }
}

interface Shift {
  readonly dice: Dice;
  readonly rounds: number;
}

async function work(journal: Journal, model: Model, { dice, rounds }: Shift): Promise<void> {
  const lsns: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const all: Promise<unknown>[] = [];
    const count = dice.of([1, 1, 2, 5, 12]);
    for (let index = 0; index < count; index++) {
      if (dice.below(8) === 0) all.push(heard(batch(journal, model, dice)));
      else all.push(heard(append(journal, model, dice, lsns)));
      if (dice.below(6) === 0) written(journal, model, dice);
    }
    if (dice.below(6) === 0) {
      const lsn = written(journal, model, dice);
      const upTo = model.records.length;
      all.push(journal.syncThrough(lsn).then(() => acknowledge(model, upTo)));
    }
    await Promise.all(all);
    if (lsns.length > 0 && dice.below(10) === 0) await trim(journal, model, dice.of(lsns));
  }
}

/* Not awaited where a write behind it has failed. */
function heard(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}

/* Also all before it: what stands behind a hole could not be read. */
function acknowledge(model: Model, upTo: number): void {
  for (let index = upTo - 1; index >= 0; index--) {
    const record = model.records[index] as Appended;
    if (record.isAcknowledged) return;
    record.isAcknowledged = true;
  }
}

async function append(journal: Journal, model: Model, dice: Dice, lsns: number[]): Promise<void> {
  const { bytes, lsn } = model.add(dice.of(model.lengths), 0);
  const upTo = model.records.length;
  equal(await journal.append(bytes), lsn);
  lsns.push(lsn);
  acknowledge(model, upTo);
}

function written(journal: Journal, model: Model, dice: Dice): number {
  const { bytes, lsn } = model.add(dice.of(model.lengths), 0);
  equal(journal.write(bytes), lsn);
  return lsn;
}

async function batch(journal: Journal, model: Model, dice: Dice): Promise<void> {
  const number = ++model.batches;
  const members = Array.from({ length: 1 + dice.below(5) }, () =>
    model.add(dice.of(model.lengths), number),
  );
  const upTo = model.records.length;
  const { first, last } = await journal.appendBatch(members.map(({ bytes }) => bytes));
  equal(first, members[0]?.lsn);
  equal(last, members.at(-1)?.lsn);
  acknowledge(model, upTo);
}

async function trim(journal: Journal, model: Model, lsn: number): Promise<void> {
  if (lsn < journal.firstLsn) return;
  const index = model.records.findIndex((record) => record.lsn === lsn);
  ok(index >= 0, 'a record that was appended');
  model.trimmedMax = Math.max(model.trimmedMax, index);
  await journal.trimBefore(lsn);
  model.trimmedMin = model.trimmedMax;
}

/**
 * Fails unless the journal holds what the model allows, each record under its LSN; answers a model
 * of what it holds.
 */
async function checked(journal: Journal, model: Model): Promise<Model> {
  const { records } = model;
  let start = -1;
  let at = 0;
  for await (const { lsn, data } of journal.read()) {
    if (start < 0) {
      start = records.findIndex((record) => record.lsn === lsn);
      at = start;
    }
    const record = records[at++];
    if (record?.lsn === lsn && record.bytes.equals(data)) continue;
    fail(`invented: ${textOf(data)} at ${lsn}, not ${textOf(record?.bytes)} at ${record?.lsn}`);
  }
  if (start < 0) {
    /* All of it was given up, or nothing was durable yet. */
    const isLost = ({ isAcknowledged }: Appended, index: number): boolean =>
      isAcknowledged && index >= model.trimmedMin;
    start = records.findIndex(isLost);
    if (start < 0) start = model.trimmedMin;
    else ok(start <= model.trimmedMax, 'all acknowledged records are gone');
    at = start;
  } else ok(start >= model.trimmedMin, `${start} are back, ${model.trimmedMin} were trimmed`);
  ok(start <= model.trimmedMax, `${start} are gone, ${model.trimmedMax} were given up`);
  const lost = records.slice(at).find(({ isAcknowledged }) => isAcknowledged);
  equal(textOf(lost?.bytes), '', 'an acknowledged record is lost');
  const [last, next] = [records[at - 1], records[at]];
  ok(!last || !next || last.batch === 0 || last.batch !== next.batch, 'a batch is torn');
  const after = model.upTo(at);
  after.trimmedMin = Math.min(start, at);
  after.trimmedMax = Math.max(after.trimmedMin, Math.min(model.trimmedMax, at));
  equal(journal.nextLsn, after.nextLsn);
  return after;
}

function textOf(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : Buffer.from(bytes.subarray(0, 20)).toString('latin1');
}

/**
 * One life of a disk, its power cuts and theirs; answers how many states of them were opened.
 * Errors: with all it takes to see it again.
 */
export async function crashCycles(seed: number, mode: Mode, flaw: Flaw = {}): Promise<number> {
  const life = new Life(seed, mode, flaw);
  try {
    return await life.lead();
  } catch (error) {
    const { message } = error as Error;
    const { disk } = life;
    const log = disk.log().join('\n  ');
    throw new Error(`${message}\n  seed ${seed}, ${mode}\n  ${disk.origin}\n  ${log}`, {
      cause: error,
    });
  }
}

function isCrash(error: unknown): boolean {
  return error instanceof SimulatedCrash;
}

/**
 * Crash cycles on a simulated disk: a journal is written, the power goes anywhere, what is left is
 * opened, the power may go in that too, and what is there then has to be what was promised.
 */
import { equal, ok } from 'node:assert/strict';
import { Journal, type JournalOptions } from 'holdfast';
import { SimulatedCrash, type SimulatedDisk, simulatedDisk } from 'holdfast/testing';

const directory = '/journal';
const GENERATIONS = 4;
const OPERATIONS_MAX = 120;

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
  readonly text: string;
  /** Members of one batch have the same. */
  readonly batch: number;
  isAcknowledged: boolean;
}

/** What was asked of a journal, in order, and what it answered. */
class Model {
  records: Appended[] = [];
  count = 0;
  batches = 0;
  /** Records in front of it were given up: at least so many, at most so many. */
  trimmedMin = 0;
  trimmedMax = 0;

  add(length: number, batch: number): Appended {
    const record = { text: `${this.count++}:${'x'.repeat(length)}`, batch, isAcknowledged: false };
    this.records.push(record);
    return record;
  }
}

function optionsOf(dice: Dice): JournalOptions {
  return {
    segmentBytes: 16384,
    bufferBytes: 65536,
    preallocate: dice.of([true, false, 'zeros'] as const),
    direct: dice.below(3) === 0,
    sync: dice.of(['data', 'data', 'full'] as const),
    spareCount: dice.below(3),
  };
}

const lengths = [0, 1, 7, 20, 60, 200, 500, 900, 3000];

/** Changes in how a journal is used or built, to see whether the cycles notice. */
export interface Flaw {
  /** Changes the engine that the journal writes through. */
  readonly engineOf?: (disk: SimulatedDisk) => SimulatedDisk['engine'];
}

async function work(journal: Journal, model: Model, dice: Dice): Promise<void> {
  const lsns: number[] = [];
  for (let round = 0; round < 12; round++) {
    const all: Promise<unknown>[] = [];
    const count = dice.of([1, 1, 2, 5, 20]);
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
  const { text } = model.add(dice.of(lengths), 0);
  const upTo = model.records.length;
  lsns.push(await journal.append(Buffer.from(text)));
  acknowledge(model, upTo);
}

function written(journal: Journal, model: Model, dice: Dice): number {
  return journal.write(Buffer.from(model.add(dice.of(lengths), 0).text));
}

async function batch(journal: Journal, model: Model, dice: Dice): Promise<void> {
  const number = ++model.batches;
  const members = Array.from({ length: 1 + dice.below(5) }, () =>
    model.add(dice.of(lengths), number),
  );
  const upTo = model.records.length;
  await journal.appendBatch(members.map(({ text }) => Buffer.from(text)));
  acknowledge(model, upTo);
}

/* By number, since LSNs of records that a crash took are given again. */
async function trim(journal: Journal, model: Model, lsn: number): Promise<void> {
  if (lsn < journal.firstLsn) return;
  const text = Buffer.from(await journal.get(lsn)).toString();
  const index = model.records.findIndex((record) => record.text === text);
  ok(index >= 0, 'a record that was appended');
  model.trimmedMax = Math.max(model.trimmedMax, index);
  await journal.trimBefore(lsn);
  model.trimmedMin = model.trimmedMax;
}

/** Fails unless the journal holds what the model allows; from then on that is the model. */
async function check(journal: Journal, model: Model): Promise<void> {
  const found: string[] = [];
  for await (const { data } of journal.read()) found.push(Buffer.from(data).toString());
  const { records } = model;
  let start = model.trimmedMin;
  if (found.length > 0) {
    start = records.findIndex(({ text }) => text === found[0]);
    ok(start >= 0, `invented: ${found[0]}`);
  } else {
    /* All of it was given up, or nothing was durable yet. */
    start = records.findIndex(({ isAcknowledged }, index) => isAcknowledged && index >= start);
    if (start < 0) start = model.trimmedMin;
    else ok(start <= model.trimmedMax, 'all acknowledged records are gone');
  }
  ok(start <= model.trimmedMax, `${start} are gone, ${model.trimmedMax} were given up`);
  ok(
    start >= model.trimmedMin || found.length === 0,
    `${start} are back, ${model.trimmedMin} were trimmed`,
  );
  for (const [index, text] of found.entries()) equal(text, records[start + index]?.text);
  const end = start + found.length;
  const lost = records.slice(end).find(({ isAcknowledged }) => isAcknowledged);
  equal(lost?.text, undefined, 'an acknowledged record is lost');
  const [last, next] = [records[end - 1], records[end]];
  ok(!last || !next || last.batch === 0 || last.batch !== next.batch, 'a batch is torn');
  model.records = records.slice(0, end);
  for (const record of model.records) record.isAcknowledged = true;
  model.trimmedMin = Math.min(start, end);
  model.trimmedMax = Math.max(model.trimmedMin, Math.min(model.trimmedMax, end));
}

async function opened(disk: SimulatedDisk, options: JournalOptions, flaw: Flaw): Promise<Journal> {
  const engine = flaw.engineOf?.(disk) ?? disk.engine;
  return Journal.open(directory, { ...options, engine });
}

/** One life of a disk: several crashes. Errors: with all it takes to see it again. */
export async function crashCycle(seed: number, flaw: Flaw = {}): Promise<number> {
  const dice = new Dice(seed);
  const model = new Model();
  const options = optionsOf(dice);
  /* A direct write ends at a block, whatever stops it; a simulated one need not. */
  const shortShare = options.direct === true ? 0 : dice.of([0, 0, 0.1]);
  let disk = simulatedDisk(seed, { shortShare, logCount: 40 });
  let cycles = 0;
  try {
    for (let generation = 0; generation < GENERATIONS; generation++) {
      disk.crashAt(1 + dice.below(OPERATIONS_MAX));
      try {
        const journal = await opened(disk, options, flaw);
        await check(journal, model);
        await work(journal, model, dice);
        await journal.close();
      } catch (error) {
        if (!isCrash(error)) throw error;
      }
      cycles++;
      disk = disk.crash({
        seed: dice.below(2 ** 31),
        keep: dice.of(['random', 'random', 'none', 'all'] as const),
      });
    }
    const journal = await opened(disk, options, flaw);
    await check(journal, model);
    await journal.close();
    return cycles;
  } catch (error) {
    const { message, stack } = error as Error;
    throw new Error(`${message}\n  seed ${seed}\n  ${disk.origin}\n  ${disk.log().join('\n  ')}`, {
      cause: stack,
    });
  }
}

function isCrash(error: unknown): boolean {
  return error instanceof SimulatedCrash;
}

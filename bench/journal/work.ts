/**
 * Records a second of a journal, or the 99th percentile of the event loop's delay in ms: a process
 * for each answer, as in C and in Rust. A program has one engine; where several are used in turn V8
 * knows none of them well (4096 committers: 1.8 M/s against 2.5 M/s).
 *
 *   work.js DIRECTORY ENGINE DIRECT commit|delay COMMITTERS MILLISECONDS
 *   work.js DIRECTORY ENGINE DIRECT write COUNT BYTES
 *   work.js DIRECTORY ENGINE DIRECT batch COUNT TURNS
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Journal, type JournalOptions } from 'holdfast';
import { type EngineName, engineNamed } from '#holdfast/engine.js';

const [place = '', engineName = '', direct = '', kind = '', ...numbers] = process.argv.slice(2);
const [first = 0, second = 0] = numbers.map(Number);
const engine = engineNamed(engineName as EngineName);

/** Work on a journal of its own, which is gone afterwards. */
async function onJournal<T>(
  options: JournalOptions,
  work: (journal: Journal) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(place, 'journal-'));
  const choices = { engine, direct: direct === 'true', ...options };
  try {
    await using journal = await Journal.open(directory, choices);
    return await work(journal);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Acknowledged a second, by so many who append again as soon as they are told. */
async function committed(journal: Journal, committers: number, ms: number): Promise<number> {
  const record = Buffer.alloc(64, 7);
  const began = performance.now();
  const end = began + ms;
  let count = 0;
  const commit = async (): Promise<void> => {
    while (performance.now() < end) {
      await journal.append(record);
      count++;
    }
  };
  await Promise.all(Array.from({ length: committers }, commit));
  return (count / (performance.now() - began)) * 1000;
}

async function timed(count: number, work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (count / (performance.now() - began)) * 1000;
}

function written(journal: Journal, count: number, bytes: number): Promise<number> {
  const record = Buffer.alloc(bytes, 7);
  return timed(count, async () => {
    let lsn = 0;
    for (let index = 0; index < count; index++) lsn = journal.write(record);
    await journal.syncThrough(lsn);
  });
}

function batched(journal: Journal, count: number, turns: number): Promise<number> {
  const batch = Array.from({ length: count }, () => Buffer.alloc(150, 3));
  return timed(count * turns, async () => {
    for (let turn = 0; turn < turns; turn++) await journal.appendBatch(batch);
  });
}

async function delayed(journal: Journal): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await committed(journal, first, second);
  delay.disable();
  return delay.percentile(99) / 1e6;
}

/** On a journal whose first segment is written with zeros, after half the time of warm-up. */
function warm(work: (journal: Journal) => Promise<number>): Promise<number> {
  return onJournal({ preallocate: 'zeros', segmentBytes: 16777216 }, async (journal) => {
    await committed(journal, first, second / 2);
    return work(journal);
  });
}

const works: Record<string, () => Promise<number>> = {
  commit: () => warm((journal) => committed(journal, first, second)),
  delay: () => warm(delayed),
  write: () => onJournal({ segmentBytes: 134217728 }, (journal) => written(journal, first, second)),
  batch: () => onJournal({ segmentBytes: 67108864 }, (journal) => batched(journal, first, second)),
};

const work = works[kind];
if (work === undefined) throw new RangeError(`commit, delay, write or batch, not ${kind}`);
/* The first time is the warm-up. */
if (kind === 'write' || kind === 'batch') await work();
console.log(await work());

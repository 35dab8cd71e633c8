/** Runs work for a while: how much ended, how long each took, and when nothing did. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { Figures, Latency, Moment } from './result.js';
import type { Work } from './work.js';

export interface Settings {
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmUpMs: number;
}

const NS_PER_MS = 1e6;
const MOMENT_MS = 50;
/* A stretch in which nothing ended, or something took so much longer than 99 of 100. */
const STALL_TIMES = 10;
const STALL_MS_MIN = 10;
const PERCENTS = [1, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.99, 99.999];

const clockNs = (): number => Number(process.hrtime.bigint());

/** What ended in each stretch of time. */
class Timeline {
  readonly #counts: number[] = [];
  readonly #longestNs: number[] = [];
  #base = 0;

  note(sinceNs: number, tookNs: number): void {
    const index = this.#base + Math.floor(sinceNs / NS_PER_MS / MOMENT_MS);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#longestNs[index] = Math.max(this.#longestNs[index] ?? 0, tookNs);
  }

  /** The next round begins; the stretch in which the last one ended is not whole. */
  next(roundMs: number): void {
    this.#base += Math.max(1, Math.floor(roundMs / MOMENT_MS));
    this.#counts.length = this.#base;
  }

  moments(p99Ns: number): Moment[] {
    const limitNs = Math.max(STALL_TIMES * p99Ns, STALL_MS_MIN * NS_PER_MS);
    return Array.from(this.#counts, (count = 0, index) => {
      const longest = this.#longestNs[index] ?? 0;
      const isStall = count === 0 || longest > limitNs;
      return [index * MOMENT_MS, (count * 1000) / MOMENT_MS, longest / 1000, isStall] as const;
    });
  }
}

interface Round {
  readonly operations: number;
  readonly bytes: number;
  readonly seconds: number;
}

async function oneRound(
  work: Work,
  depth: number,
  ms: number,
  signal: AbortSignal,
  note: (sinceNs: number, tookNs: number) => void,
): Promise<Round> {
  const start = clockNs();
  const end = start + ms * NS_PER_MS;
  let [operations, bytes] = [0, 0];
  const workers = Array.from({ length: depth }, async (_, worker) => {
    for (let begin = clockNs(); begin < end; ) {
      signal.throwIfAborted();
      /* Added after the wait: `bytes += await …` would forget what others added meanwhile. */
      const moved = await work.operate(worker);
      const ended = clockNs();
      bytes += moved;
      note(ended - start, ended - begin);
      operations++;
      begin = ended;
    }
  });
  const settled = await Promise.allSettled(workers);
  for (const one of settled) if (one.status === 'rejected') throw one.reason;
  return { operations, bytes, seconds: (clockNs() - start) / 1e9 };
}

function latencyOf(histogram: RecordableHistogram): Latency {
  const us = (ns: number): number => ns / 1000;
  const at = (percent: number): number => us(histogram.percentile(percent));
  /* Percentiles that so few operations do not tell apart would only repeat the longest. */
  const percentiles = PERCENTS.filter((percent) => histogram.count * (1 - percent / 100) >= 1);
  return {
    min: us(histogram.min),
    mean: us(histogram.mean),
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: us(histogram.max),
    percentiles: [...percentiles.map((percent) => [percent, at(percent)] as const)],
  };
}

/** A warm-up, then the rounds. Errors: those of the work; `AbortError`. */
export async function measured(
  work: Work,
  depth: number,
  { rounds: count, roundMs, warmUpMs }: Settings,
  signal: AbortSignal,
  onRound: (round: number) => void,
): Promise<Figures> {
  await oneRound(work, depth, warmUpMs, signal, () => {});
  const histogram = createHistogram();
  const timeline = new Timeline();
  const rounds: Round[] = [];
  for (let index = 0; index < count; index++) {
    onRound(index);
    const note = (sinceNs: number, tookNs: number): void => {
      histogram.record(Math.max(1, Math.round(tookNs)));
      timeline.note(sinceNs, tookNs);
    };
    rounds.push(await oneRound(work, depth, roundMs, signal, note));
    timeline.next(roundMs);
  }
  const sum = (of: (round: Round) => number): number =>
    rounds.reduce((whole, round) => whole + of(round), 0);
  const seconds = sum((round) => round.seconds);
  return {
    operations: sum(({ operations }) => operations),
    perSecond: sum(({ operations }) => operations) / seconds,
    bytesPerSecond: sum(({ bytes }) => bytes) / seconds,
    rounds: rounds.map((round) => round.operations / round.seconds),
    latency: latencyOf(histogram),
    timeline: timeline.moments(histogram.percentile(99)),
  };
}

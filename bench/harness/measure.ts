/**
 * Measures the subjects of a case side by side. After a warm-up each, they take turns round by
 * round, so that what drifts (clock rate, neighbours, the disk) hits all of them alike; a goal
 * compares what two of them did in the same round.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Case, Goal, Statistic, Subject } from './question.js';

export interface Measured {
  readonly subject: Subject;
  /** For each round its samples. */
  readonly rounds: readonly (readonly number[])[];
}

export interface Summary {
  readonly value: number;
  /** The least and the most any round said. */
  readonly spread: readonly [number, number];
}

export interface Judged extends Summary {
  readonly goal: Goal;
  readonly isReached: boolean;
}

setFlagsFromString('--expose-gc');
/*
 * The garbage of all subjects is collected before each round, and V8 throws away the code of what
 * several collections have not seen run: every round began with code that had to be compiled
 * again, the more of it the worse. What a program runs all the time stays compiled.
 */
setFlagsFromString('--no-flush-bytecode');
const collectGarbage = runInNewContext('gc') as () => void;

const nsPer = { ns: 1, us: 1e3, ms: 1e6 } as const;

/** Runs a case. A subject that throws is left out and told to `onFailure`. */
export async function measure(
  { subjects, rounds: roundCount = 9 }: Case,
  isQuick: boolean,
  onFailure: (subject: Subject, error: unknown) => void,
): Promise<Measured[]> {
  const running: { subject: Subject; rounds: (readonly number[])[] }[] = [];
  for (const subject of subjects) {
    try {
      collectGarbage();
      await subject.round();
      running.push({ subject, rounds: [] });
    } catch (error) {
      onFailure(subject, error);
    }
  }
  const count = isQuick ? Math.ceil(roundCount / 3) : roundCount;
  for (let round = 0; round < count; round++) {
    for (let turn = 0; turn < running.length; turn++) {
      // Rotated, so that no subject always runs behind the same neighbour.
      const { subject, rounds } = running[(turn + round) % running.length] as (typeof running)[0];
      collectGarbage();
      rounds.push(await subject.round());
    }
  }
  for (const { close } of subjects) await close?.();
  return running;
}

/** One value for a subject: the statistic over all its samples, and its spread over the rounds. */
export function summarize({ rounds }: Measured, statistic: Statistic): Summary {
  const each = rounds.map((samples) => statisticOf(samples, statistic));
  const value = statisticOf(rounds.flat(), statistic);
  return { value, spread: [Math.min(...each), Math.max(...each)] };
}

/** What became of a goal; undefined if a subject it names was not measured. */
export function judge(goal: Goal, whole: Case, measured: readonly Measured[]): Judged | undefined {
  const statistic = goal.statistic ?? whole.statistics?.[0] ?? 'median';
  const find = (name: string): Measured | undefined =>
    measured.find(({ subject }) => subject.name === name);
  const ours = find(goal.subject);
  if (ours === undefined) return undefined;
  if ('valueAtMost' in goal) {
    const summary = summarize(ours, statistic);
    return { goal, ...summary, isReached: summary.value <= goal.valueAtMost };
  }
  const theirs = find(goal.against);
  if (theirs === undefined) return undefined;
  const isInverse = 'rateAtLeast' in goal !== whole.higherIsBetter;
  const ratios = ours.rounds.map((samples, round) => {
    const ratio =
      statisticOf(samples, statistic) / statisticOf(theirs.rounds[round] ?? [], statistic);
    return isInverse ? 1 / ratio : ratio;
  });
  const value = statisticOf(ratios, 'median');
  const isReached = 'rateAtLeast' in goal ? value >= goal.rateAtLeast : value <= goal.timeAtMost;
  return { goal, value, spread: [Math.min(...ratios), Math.max(...ratios)], isReached };
}

function statisticOf(samples: readonly number[], statistic: Statistic): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = Float64Array.from(samples).sort();
  const at = (share: number): number => sorted[Math.ceil(share * (sorted.length - 1))] as number;
  if (statistic === 'max') return at(1);
  if (statistic === 'p99') return at(0.99);
  const below = sorted[Math.floor((sorted.length - 1) / 2)] as number;
  return (below + at(0.5)) / 2;
}

export interface Loop<Prepared> {
  readonly name: string;
  readonly durable?: boolean;
  readonly unit: keyof typeof nsPer;
  /** How long a round takes: the count is found by doubling in the first one. Default: 40 ms. */
  readonly roundMs?: number;
  readonly countMax?: number;
  /** Makes what `count` repetitions need, off the clock. */
  prepare?(count: number): Prepared;
  /** Does the work `count` times. */
  run(count: number, prepared: Prepared): void | Promise<void>;
  close?(): void | Promise<void>;
}

/** A subject for work too short to time one by one: a sample is the mean of one round. */
export function looped<Prepared = undefined>(loop: Loop<Prepared>): Subject {
  const { roundMs = 40, countMax = Number.POSITIVE_INFINITY } = loop;
  let count = 0;
  const timeNs = async (): Promise<number> => {
    const prepared = loop.prepare?.(count) as Prepared;
    // What was prepared is not to be moved or swept on the clock.
    if (loop.prepare !== undefined) collectGarbage();
    const begin = process.hrtime.bigint();
    const pending = loop.run(count, prepared);
    if (pending !== undefined) await pending;
    return Number(process.hrtime.bigint() - begin);
  };
  const calibrate = async (): Promise<void> => {
    for (count = 1; count < countMax; count = Math.min(count * 2, countMax)) {
      if ((await timeNs()) >= roundMs * nsPer.ms) return;
    }
  };
  return {
    name: loop.name,
    ...(loop.durable === undefined ? {} : { durable: loop.durable }),
    ...(loop.close === undefined ? {} : { close: loop.close.bind(loop) }),
    async round() {
      if (count === 0) await calibrate();
      return [(await timeNs()) / count / nsPer[loop.unit]];
    },
  };
}

/** A subject whose every repetition is timed: for work that takes long, and for its tail. */
export function timed(options: {
  readonly name: string;
  readonly durable?: boolean;
  readonly unit: keyof typeof nsPer;
  readonly count: number;
  run(): unknown;
}): Subject {
  const { name, durable, unit, count } = options;
  return {
    name,
    ...(durable === undefined ? {} : { durable }),
    async round() {
      const samples: number[] = [];
      for (let i = 0; i < count; i++) {
        const begin = process.hrtime.bigint();
        const pending = options.run();
        if (pending instanceof Promise) await pending;
        samples.push(Number(process.hrtime.bigint() - begin) / nsPer[unit]);
      }
      return samples;
    },
  };
}

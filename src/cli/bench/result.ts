/** What a run of bench comes to, as it is stored and compared. */
import { type ProbeReport, readFile } from '../../index.js';
import { UsageError } from '../command.js';

export const FORMAT = 'holdfast-bench';
export const FORMAT_VERSION = 1;

/** Units: microseconds. */
export interface Latency {
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** Percent and microseconds, rising. */
  readonly percentiles: readonly (readonly [percent: number, us: number])[];
}

/** One stretch of time: what ended in it, and the longest that anything of it took. */
export type Moment = readonly [ms: number, perSecond: number, longestUs: number, isStall: boolean];

/** What measuring a job comes to. */
export interface Figures {
  readonly operations: number;
  readonly perSecond: number;
  readonly bytesPerSecond: number;
  /** Of each round, operations a second. */
  readonly rounds: readonly number[];
  readonly latency: Latency;
  readonly timeline: readonly Moment[];
}

export interface JobResult extends Figures {
  readonly name: string;
  /** Results of one group answer one question: beside each other, or by queue depth. */
  readonly group: string;
  /** Who did it: `holdfast`, or a peer with its version. */
  readonly by: string;
  readonly blockBytes: number;
  readonly depth: number;
  readonly direct: boolean;
  /** Whether what was done survives a power cut once it has resolved; reads: undefined. */
  readonly durable?: boolean;
}

export interface BenchResult {
  readonly format: typeof FORMAT;
  readonly version: number;
  readonly takenAt: string;
  readonly holdfast: string;
  readonly path: string;
  readonly settings: {
    readonly sizeBytes: number;
    readonly rounds: number;
    readonly roundMs: number;
    readonly warmUpMs: number;
  };
  readonly probe: ProbeReport;
  readonly jobs: readonly JobResult[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

/** Errors: `IoError` where it cannot be read, `UsageError` where it is not a result. */
export async function resultIn(path: string): Promise<BenchResult> {
  const text = Buffer.from(await readFile(path)).toString();
  let value: Partial<BenchResult>;
  try {
    value = JSON.parse(text) as Partial<BenchResult>;
  } catch {
    throw new UsageError(`${path} is not JSON`);
  }
  if (value?.format !== FORMAT || !Array.isArray(value.jobs)) {
    throw new UsageError(`${path} is no result of holdfast bench --output`);
  }
  if (value.version !== FORMAT_VERSION) {
    const known = `this holdfast reads version ${FORMAT_VERSION}`;
    throw new UsageError(`${path} is of version ${value.version}; ${known}`);
  }
  return value as BenchResult;
}

export interface Compared {
  readonly name: string;
  readonly before: JobResult;
  readonly after: JobResult;
  /** After by before: 1.1 is a tenth more operations a second. */
  readonly rate: number;
  /** After by before: 1.1 is a tenth longer. */
  readonly p99: number;
  /** Whether the rounds of one lie wholly beside those of the other. */
  readonly isClear: boolean;
  readonly verdict: Verdict;
}

/** Rounds that lie apart are told; fewer than three on a side lie apart by chance too often. */
export type Verdict = 'faster' | 'slower' | 'rounds overlap' | 'too few rounds';

const ROUNDS_MIN = 3;

/** Two results beside each other: when and where, and what became of each job. */
export interface Comparison {
  readonly before: Omit<BenchResult, 'jobs'>;
  readonly after: Omit<BenchResult, 'jobs'>;
  readonly jobs: readonly Compared[];
  /** What one of them alone has. */
  readonly alone: readonly string[];
}

/** The jobs that both have, and the names of those that one has. */
export function compared(before: BenchResult, after: BenchResult): Comparison {
  const old = new Map(before.jobs.map((job) => [job.name, job]));
  const jobs: Compared[] = [];
  const alone = new Set(old.keys());
  for (const job of after.jobs) {
    const other = old.get(job.name);
    if (other === undefined) {
      alone.add(job.name);
      continue;
    }
    alone.delete(job.name);
    const verdict = verdictOn(other.rounds, job.rounds);
    jobs.push({
      name: job.name,
      before: other,
      after: job,
      rate: job.perSecond / other.perSecond,
      p99: job.latency.p99 / other.latency.p99,
      isClear: verdict === 'faster' || verdict === 'slower',
      verdict,
    });
  }
  return { before: withoutJobs(before), after: withoutJobs(after), jobs, alone: [...alone] };
}

function withoutJobs({ jobs: _, ...rest }: BenchResult): Omit<BenchResult, 'jobs'> {
  return rest;
}

function verdictOn(before: readonly number[], after: readonly number[]): Verdict {
  if (Math.min(before.length, after.length) < ROUNDS_MIN) return 'too few rounds';
  if (Math.min(...after) > Math.max(...before)) return 'faster';
  return Math.max(...after) < Math.min(...before) ? 'slower' : 'rounds overlap';
}

/** What a bench consists of: a question, its cases, the subjects that are measured side by side. */

/** One way to do the work of a case. */
export interface Subject {
  readonly name: string;
  /** Whether the work survives a power cut once done. Left out where nothing is made durable. */
  readonly durable?: boolean;
  /** Does the work for one round; answers one sample or more, in the unit of the case. */
  round(): readonly number[] | Promise<readonly number[]>;
  close?(): void | Promise<void>;
}

/** What is said of all samples of a subject. */
export type Statistic = 'median' | 'p99' | 'max';

/** Something to reach. A goal of two subjects is judged by the median of the ratios of rounds. */
export type Goal = {
  readonly subject: string;
  /** Default: the first of the case. */
  readonly statistic?: Statistic;
} & (
  | { readonly against: string; readonly rateAtLeast: number }
  | { readonly against: string; readonly timeAtMost: number }
  | { readonly valueAtMost: number }
);

/** Subjects that do the same work. */
export interface Case {
  readonly name: string;
  readonly unit: 'ns' | 'us' | 'ms' | 'bytes' | 'MiB' | '1/s' | 'MB/s';
  readonly higherIsBetter: boolean;
  readonly subjects: readonly Subject[];
  /** Default: the median alone. */
  readonly statistics?: readonly Statistic[];
  /** Default: 9. A third of them with --quick. */
  readonly rounds?: number;
  readonly goals?: readonly Goal[];
}

/** What a question may ask of the harness. */
export interface Surroundings {
  readonly isQuick: boolean;
  /** The directory given by --dir. */
  readonly directory: string | undefined;
  /** A line for the reader of the result: where it ran, what was left out and why. */
  note(line: string): void;
}

/** One file `bench/<question>.bench.ts` exports one of these as `question`. */
export interface Question {
  readonly description: string;
  /** Makes each case when its turn comes and clears up after it. */
  cases(surroundings: Surroundings): AsyncIterable<Case>;
}

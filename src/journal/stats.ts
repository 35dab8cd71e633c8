/** What went through a journal, counted; and how large, and how long, by powers of two. */

const BUCKETS = 48;

/** How often values fell between two powers of two. */
export interface Histogram {
  readonly count: number;
  readonly mean: number;
  readonly max: number;
  /** Not below so many of a hundred values: the upper bound of the bucket it falls into. */
  readonly p50: number;
  readonly p99: number;
  /** Upper bound -> how many, for those that are not empty. */
  readonly buckets: Readonly<Record<string, number>>;
}

/** Counts values in buckets whose bounds are powers of two, times a unit. */
class Buckets {
  readonly #counts = new Float64Array(BUCKETS);
  readonly #unit: number;
  #count = 0;
  #sum = 0;
  #max = 0;

  constructor(unit = 1) {
    this.#unit = unit;
  }

  add(value: number): void {
    const scaled = value / this.#unit;
    const bucket = scaled <= 1 ? 0 : Math.min(Math.ceil(Math.log2(scaled)), BUCKETS - 1);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count++;
    this.#sum += value;
    if (value > this.#max) this.#max = value;
  }

  told(): Histogram {
    const buckets: Record<string, number> = {};
    for (const [bucket, count] of this.#counts.entries()) {
      if (count > 0) buckets[String(this.#bound(bucket))] = count;
    }
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : this.#sum / this.#count,
      max: this.#max,
      p50: this.#share(0.5),
      p99: this.#share(0.99),
      buckets,
    };
  }

  #bound(bucket: number): number {
    return 2 ** bucket * this.#unit;
  }

  #share(share: number): number {
    let left = this.#count * share;
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count;
      if (count > 0 && left <= 0) return Math.min(this.#bound(bucket), this.#max);
    }
    return 0;
  }
}

/** What went through a journal since it was opened, and how it is. */
export interface JournalStats {
  readonly health: 'ok' | 'broken' | 'closed';
  readonly recordCount: number;
  /** Bytes of records, and of frames and what stands between them. */
  readonly recordBytes: number;
  readonly writtenBytes: number;
  readonly groupCount: number;
  readonly syncCount: number;
  /** Segments begun, those of them in a recycled file, and segments given up. */
  readonly rotationCount: number;
  readonly recycledCount: number;
  readonly trimmedCount: number;
  /** Who waits for a group, and who waits for room in memory. */
  readonly waiterCount: number;
  readonly pendingCount: number;
  readonly bufferedBytes: number;
  readonly memoryBytes: number;
  readonly groupRecords: Histogram;
  readonly groupBytes: Histogram;
  /** Milliseconds from the hand-over of a group that is made durable to its end. */
  readonly syncMs: Histogram;
  /** What was asked for and is not given, and why. */
  readonly fallbacks: readonly { readonly what: string; readonly reason: string }[];
}

/** The counts behind `JournalStats`. */
export class JournalCounts {
  recordCount = 0;
  recordBytes = 0;
  writtenBytes = 0;
  groupCount = 0;
  syncCount = 0;
  rotationCount = 0;
  recycledCount = 0;
  trimmedCount = 0;
  readonly groupRecords: Buckets = new Buckets();
  readonly groupBytes: Buckets = new Buckets();
  readonly syncMs: Buckets = new Buckets(2 ** -10);
}

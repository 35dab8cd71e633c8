/** A scan as something to loop over, waiting or not. */
import { drive, driveSync, type Engine, type Interrupt, type Steps } from '../engine.js';
import type { DirectoryEntry } from './found.js';
import type { Scanner } from './scan.js';

/** How a scan begins, each time somebody loops. */
export interface ScanSource {
  readonly engine: Engine;
  readonly begin: () => Steps<Scanner>;
  /** Called for each loop: a time limit begins with it. */
  readonly signal: () => Interrupt | undefined;
}

/** What `scanDirectory` answers. */
export class DirectoryScan implements AsyncIterable<DirectoryEntry> {
  readonly #source: ScanSource;

  /** For `scanDirectory`. */
  constructor(source: ScanSource) {
    this.#source = source;
  }

  /**
   * Entries by the hundreds, as the system hands them out: what a loop over many should take.
   *
   * Lifetime: the directory is held until the loop has ended, also by `break`.
   * Errors: as `scanDirectory`.
   */
  batches(): AsyncIterableIterator<DirectoryEntry[]> {
    return new Batches(this.#source);
  }

  /** Entry by entry. Errors: as `scanDirectory`. */
  [Symbol.asyncIterator](): AsyncIterator<DirectoryEntry, undefined> {
    return new OneByOne(new Batches(this.#source));
  }
}

/** What `scanDirectorySync` answers. */
export class DirectoryScanSync implements Iterable<DirectoryEntry> {
  readonly #source: ScanSource;

  /** For `scanDirectorySync`. */
  constructor(source: ScanSource) {
    this.#source = source;
  }

  /** As the batches of `scanDirectory`, on the calling thread. Errors: as `scanDirectory`. */
  *batches(): Generator<DirectoryEntry[], undefined, undefined> {
    const { engine, begin } = this.#source;
    const scanner = driveSync(engine, begin());
    try {
      for (;;) {
        const entries = driveSync(engine, scanner.next());
        if (entries === undefined) return undefined;
        yield entries;
      }
    } finally {
      driveSync(engine, scanner.close());
    }
  }

  /** Entry by entry. Errors: as `scanDirectory`. */
  *[Symbol.iterator](): Generator<DirectoryEntry, undefined, undefined> {
    for (const entries of this.batches()) yield* entries;
    return undefined;
  }
}

/** Steps through a whole scan, batch by batch. */
export async function forEachBatch(
  source: ScanSource,
  each: (entries: readonly DirectoryEntry[]) => void,
): Promise<void> {
  for await (const entries of new Batches(source)) each(entries);
}

/** As `forEachBatch`, on the calling thread. */
export function forEachBatchSync(
  source: ScanSource,
  each: (entries: readonly DirectoryEntry[]) => void,
): void {
  for (const entries of new DirectoryScanSync(source).batches()) each(entries);
}

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };
/* Reads under way at a time, and batches waiting to be asked for. */
const LANES = 3;

type Result = IteratorResult<DirectoryEntry[], undefined>;

/** Reads ahead: the next batches are on their way while this one is worked on. */
class Batches implements AsyncIterableIterator<DirectoryEntry[]> {
  readonly #source: ScanSource;
  readonly #ready: DirectoryEntry[][] = [];
  #signal: Interrupt | undefined;
  #scanner: Scanner | undefined;
  #running = 0;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #isDone = false;

  constructor(source: ScanSource) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    return this.#inTurn(() => this.#advance());
  }

  return(): Promise<Result> {
    return this.#inTurn(async () => {
      await this.#end();
      return END;
    });
  }

  #inTurn(work: () => Promise<Result>): Promise<Result> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #advance(): Promise<Result> {
    if (this.#isDone) return END;
    try {
      this.#scanner ??= await this.#begin();
      for (;;) {
        this.#pump(this.#scanner);
        const value = this.#ready.shift();
        if (value !== undefined) return { done: false, value };
        if (this.#failure !== undefined) throw this.#failure.error;
        if (this.#running === 0) break;
        await this.#change();
      }
      await this.#end();
      return END;
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  #begin(): Promise<Scanner> {
    const { engine, begin, signal } = this.#source;
    this.#signal = signal();
    return drive(engine, begin(), this.#signal);
  }

  #pump(scanner: Scanner): void {
    const isFull = (): boolean => this.#running + this.#ready.length >= LANES;
    while (this.#failure === undefined && !this.#isDone && scanner.hasWork && !isFull()) {
      this.#running++;
      drive(this.#source.engine, scanner.next(), this.#signal).then(
        (entries) => this.#take(scanner, entries),
        (error: unknown) => {
          this.#failure ??= { error };
          this.#take(scanner, undefined);
        },
      );
    }
  }

  #take(scanner: Scanner, entries: DirectoryEntry[] | undefined): void {
    this.#running--;
    if (entries !== undefined) this.#ready.push(entries);
    this.#pump(scanner);
    this.#wake?.();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #end(): Promise<void> {
    this.#isDone = true;
    while (this.#running > 0) await this.#change();
    this.#ready.length = 0;
    if (this.#scanner !== undefined) await drive(this.#source.engine, this.#scanner.close());
  }
}

/** One promise for an entry that is here already, and no system call. */
class OneByOne implements AsyncIterator<DirectoryEntry, undefined> {
  readonly #batches: Batches;
  #entries: readonly DirectoryEntry[] = [];
  #at = 0;
  #waiting: Promise<unknown> | undefined;

  constructor(batches: Batches) {
    this.#batches = batches;
  }

  next(): Promise<IteratorResult<DirectoryEntry, undefined>> {
    if (this.#waiting === undefined && this.#at < this.#entries.length) {
      const value = this.#entries[this.#at++] as DirectoryEntry;
      return Promise.resolve({ done: false, value });
    }
    const mine = (this.#waiting ?? Promise.resolve()).then(() => this.#later());
    const settled: Promise<void> = mine.then(
      () => this.#forget(settled),
      () => this.#forget(settled),
    );
    this.#waiting = settled;
    return mine;
  }

  async return(): Promise<IteratorResult<DirectoryEntry, undefined>> {
    this.#entries = [];
    await this.#batches.return();
    return END;
  }

  #forget(settled: Promise<unknown>): void {
    if (this.#waiting === settled) this.#waiting = undefined;
  }

  async #later(): Promise<IteratorResult<DirectoryEntry, undefined>> {
    if (this.#at >= this.#entries.length) {
      const next = await this.#batches.next();
      if (next.done === true) return END;
      this.#entries = next.value;
      this.#at = 0;
    }
    return { done: false, value: this.#entries[this.#at++] as DirectoryEntry };
  }
}

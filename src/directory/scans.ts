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

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Reads one batch ahead: the next one is on its way while this one is worked on. */
class Batches implements AsyncIterableIterator<DirectoryEntry[]> {
  readonly #source: ScanSource;
  #signal: Interrupt | undefined;
  #scanner: Scanner | undefined;
  #ahead: Promise<DirectoryEntry[] | undefined> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #isDone = false;

  constructor(source: ScanSource) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<DirectoryEntry[], undefined>> {
    return this.#inTurn(() => this.#advance());
  }

  return(): Promise<IteratorResult<DirectoryEntry[], undefined>> {
    return this.#inTurn(async () => {
      await this.#end();
      return END;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #advance(): Promise<IteratorResult<DirectoryEntry[], undefined>> {
    if (this.#isDone) return END;
    const ahead = this.#ahead ?? this.#read();
    this.#ahead = undefined;
    try {
      const entries = await ahead;
      if (entries === undefined) {
        this.#isDone = true;
        return END;
      }
      this.#ahead = this.#read();
      /* Whoever asks for the next batch is told; who does not, has no use for it. */
      this.#ahead.catch(() => undefined);
      return { done: false, value: entries };
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  async #read(): Promise<DirectoryEntry[] | undefined> {
    const { engine, begin, signal } = this.#source;
    if (this.#scanner === undefined) {
      this.#signal = signal();
      this.#scanner = await drive(engine, begin(), this.#signal);
    }
    return drive(engine, this.#scanner.next(), this.#signal);
  }

  async #end(): Promise<void> {
    this.#isDone = true;
    await this.#ahead?.catch(() => undefined);
    this.#ahead = undefined;
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

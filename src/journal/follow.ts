/** Async iterators over readings: to an end, or for as long as there is somebody to wait for. */
import { atAbort, drive, type Engine, Pause, type Steps } from '../engine.js';
import { interruption } from '../errors.js';
import type { JournalRecord, Reading } from './reader.js';

type Result = IteratorResult<JournalRecord, undefined>;

const END: Result = { value: undefined, done: true };

/** What an iterator goes through, and what it does at the end of that. */
export interface RecordSource {
  readonly engine: Engine;
  readonly signal: AbortSignal | undefined;
  /** Called once, before the first record. */
  readonly begin: () => Promise<Reading>;
  /** Waits for more; `false` when there will be none. */
  readonly more: (() => Promise<boolean>) | undefined;
}

/** Records one after the other. Calls of `next` are answered in their order. */
export class RecordIterator implements AsyncIterableIterator<JournalRecord, undefined> {
  readonly #source: RecordSource;
  #reading: Reading | undefined;
  #records: readonly JournalRecord[] = [];
  #index = 0;
  #isEnded = false;
  /* The call before: one at a time goes on with the reading. */
  #last: Promise<unknown> = Promise.resolve();
  #waitingCount = 0;

  constructor(source: RecordSource) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Errors: `IoError`, of kind `corrupt` where records are damaged; `AbortError`. */
  next(): Promise<Result> {
    if (this.#waitingCount === 0 && this.#index < this.#records.length) {
      const value = this.#records[this.#index++] as JournalRecord;
      return Promise.resolve({ value, done: false });
    }
    return this.#inTurn(() => this.#advance());
  }

  return(): Promise<Result> {
    return this.#inTurn(async () => {
      await this.#end();
      return END;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.return().then(() => undefined);
  }

  #inTurn(work: () => Promise<Result>): Promise<Result> {
    this.#waitingCount++;
    const mine = this.#last.then(work);
    const leave = (): void => {
      this.#waitingCount--;
    };
    this.#last = mine.then(leave, leave);
    return mine;
  }

  async #advance(): Promise<Result> {
    try {
      for (;;) {
        if (this.#index < this.#records.length) {
          return { value: this.#records[this.#index++] as JournalRecord, done: false };
        }
        if (this.#isEnded) return END;
        if (!(await this.#fetch())) {
          await this.#end();
          return END;
        }
      }
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  async #fetch(): Promise<boolean> {
    const { engine, signal, begin, more } = this.#source;
    if (signal?.aborted === true) throw interruption(signal.reason);
    this.#reading ??= await begin();
    this.#records = await drive(engine, this.#reading.next(), signal);
    this.#index = 0;
    if (this.#records.length > 0) return true;
    return more === undefined ? false : more();
  }

  async #end(): Promise<void> {
    this.#isEnded = true;
    this.#records = [];
    this.#index = 0;
    const reading = this.#reading;
    this.#reading = undefined;
    if (reading !== undefined) await drive(this.#source.engine, reading.close());
  }
}

/** Resolves when a listener of the set is told, or the signal is aborted. */
export function told(listeners: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      listeners.delete(end);
      forget?.();
      resolve();
    };
    const forget = signal === undefined ? undefined : atAbort(signal, end);
    listeners.add(end);
    if (signal?.aborted === true) end();
  });
}

/** Lets time pass. Errors: `AbortError`. */
export function passed(
  engine: Engine,
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return drive(engine, pauseSteps(milliseconds), signal);
}

function* pauseSteps(milliseconds: number): Steps<void> {
  yield new Pause(milliseconds);
}

/** A promise, or the abort if it comes first. Errors: `AbortError`; those of the promise. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const forget = atAbort(signal, () => reject(interruption(signal.reason)));
    const settle = (how: () => void): void => {
      forget();
      how();
    };
    promise.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}

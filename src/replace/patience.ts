/** How long a caller waits: for steps between two system calls, for anything else at any time. */
import { atAbort, type Interrupt } from '../engine.js';
import { interruption, timeIsUp } from '../errors.js';
import { signalOf } from '../file.js';
import { now, startTimer } from '../platform.js';

export interface PatienceOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

/** What a call was told about giving up. */
export class Patience {
  /** For `drive`. */
  readonly interrupt: Interrupt | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #endMs: number;

  /** Errors: `TypeError`, `RangeError` naming the option. */
  constructor(options: PatienceOptions) {
    this.interrupt = signalOf(options);
    this.#signal = options.signal;
    this.#endMs =
      options.timeoutMs === undefined ? Number.POSITIVE_INFINITY : now() + options.timeoutMs;
  }

  /** True where a wait can end early. */
  get hasEnd(): boolean {
    return this.interrupt !== undefined;
  }

  get isOver(): boolean {
    return this.interrupt?.aborted === true;
  }

  /** The error of who gave up. */
  get error(): Error {
    return interruption(this.interrupt?.reason);
  }

  /**
   * Waits for a promise, no longer than the caller does; what comes of it later is nobody's.
   *
   * Errors: those of the promise; `AbortError`, or `IoError` of kind `timeout`.
   */
  async wait<T>(promise: Promise<T>): Promise<T> {
    if (!this.hasEnd) return promise;
    const signal = this.#signal;
    let end: () => void = () => undefined;
    const gaveUp = new Promise<never>((_, reject) => {
      const give = (): void => reject(interruption(signal?.aborted ? signal.reason : timeIsUp()));
      if (this.isOver) return give();
      const hasTime = this.#endMs !== Number.POSITIVE_INFINITY;
      const callOff = hasTime
        ? startTimer(Math.max(this.#endMs - now(), 0), give)
        : () => undefined;
      const forget = signal === undefined ? undefined : atAbort(signal, give);
      end = () => {
        callOff();
        forget?.();
      };
    });
    try {
      return await Promise.race([promise, gaveUp]);
    } finally {
      end();
      promise.catch(() => undefined);
    }
  }
}

/** What every call of an open file can be told, checked. */
import type { Interrupt, MemoryMode } from '../engine.js';
import { invalidType, outOfRange, timeIsUp } from '../errors.js';
import { now } from '../platform.js';

export interface CallOptions {
  /** Takes effect between system calls; bytes already moved are told by `AbortError.bytesDone`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds after which no further system call is begun: an `IoError` of kind `timeout`. One
   * that is under way is waited for, since its memory is the kernel's.
   */
  readonly timeoutMs?: number | undefined;
  /** What becomes of the views during the call. Default: what the file was opened with. */
  readonly memory?: MemoryMode | undefined;
}

const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** What may interrupt a call. Errors: `TypeError`, `RangeError` naming the option. */
export function signalOf(options: CallOptions | undefined): Interrupt | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { signal, timeoutMs } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidType('options.signal', 'an AbortSignal', signal);
  }
  if (timeoutMs === undefined) return signal;
  if (typeof timeoutMs !== 'number') throw invalidType('options.timeoutMs', 'a number', timeoutMs);
  if (!(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX)) {
    throw outOfRange('options.timeoutMs', `from 0 to ${TIMEOUT_MS_MAX}`, timeoutMs);
  }
  return new Deadline(timeoutMs, signal);
}

/*
 * Looked at between system calls, which is when it matters: a timer would stay behind for as long
 * as it was given, one for each call.
 */
class Deadline implements Interrupt {
  readonly #endMs: number;
  readonly #signal: AbortSignal | undefined;

  constructor(timeoutMs: number, signal: AbortSignal | undefined) {
    this.#endMs = now() + timeoutMs;
    this.#signal = signal;
  }

  get aborted(): boolean {
    return this.#signal?.aborted === true || now() >= this.#endMs;
  }

  get reason(): unknown {
    return this.#signal?.aborted === true ? this.#signal.reason : timeIsUp();
  }
}

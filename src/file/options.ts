/** What every call of an open file can be told, checked. */
import type { MemoryMode } from '../engine.js';
import { invalidType, outOfRange, timeIsUp } from '../errors.js';
import { signalAfter } from '../platform.js';

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

/** Takes the signal out of options. Errors: `TypeError`, `RangeError` naming the option. */
export function signalOf(options: CallOptions | undefined): AbortSignal | undefined {
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
  const timeout = signalAfter(timeoutMs, timeIsUp);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

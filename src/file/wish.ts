/** What a lock can be told, checked. */
import { byteCount, checkRange } from '../bytes.js';
import { invalidType, invalidValue, outOfRange, trueOrFalse } from '../errors.js';
import type { LockRange } from './claims.js';
import { signalOf } from './options.js';

/** What keeps a lock: `ofd`, F_OFD_SETLK of fcntl(2), or `flock`, flock(2). */
export type LockPrimitive = 'ofd' | 'flock';

/** How long a lock may be waited for. */
export interface LockWaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to wait for whoever holds it; 0 does not wait. Default: without an end. */
  readonly timeoutMs?: number | undefined;
}

/** What kind of lock. */
export interface LockKindOptions {
  /** False shares it with others who do. Default true. */
  readonly exclusive?: boolean | undefined;
  /**
   * `ofd` (default) conflicts with all fcntl(2) locks, also of programs that use lockf(3); `flock`
   * with those of flock(1) and flock(2). On one file use one of them.
   */
  readonly primitive?: LockPrimitive | undefined;
}

export interface TryLockOptions extends LockKindOptions {
  /** The first byte. Default 0. */
  readonly offset?: number | bigint | undefined;
  /** Bytes, also beyond the end of the file. Default: all there will ever be. */
  readonly length?: number | bigint | undefined;
}

export interface LockOptions extends TryLockOptions, LockWaitOptions {}

export interface LockChangeOptions extends LockWaitOptions {
  readonly exclusive: boolean;
}

/** What is wanted, checked. */
export interface Wish {
  readonly exclusive: boolean;
  readonly range: LockRange;
  readonly primitive: LockPrimitive;
  /** Infinite: without an end. Negative: nothing is waited for, and nothing is thrown. */
  readonly timeoutMs: number;
}

/** How a lock is to change, and how long may be waited for it. */
export interface LockChange {
  readonly exclusive: boolean;
  readonly timeoutMs: number;
}

export const EVERYTHING: LockRange = { start: 0, end: Number.POSITIVE_INFINITY };

function timeoutOf(options: LockWaitOptions): number {
  signalOf(options);
  return options.timeoutMs ?? Number.POSITIVE_INFINITY;
}

function rangeOf({ offset, length, primitive }: TryLockOptions): LockRange {
  if (offset === undefined && length === undefined) return EVERYTHING;
  if (primitive === 'flock') {
    const argument = offset === undefined ? 'options.length' : 'options.offset';
    throw invalidValue(argument, 'left out with flock, which locks whole files', offset ?? length);
  }
  const start = offset === undefined ? 0 : byteCount(offset, 'options.offset');
  if (length === undefined || length === Number.POSITIVE_INFINITY) {
    return { start, end: Number.POSITIVE_INFINITY };
  }
  const bytes = byteCount(length, 'options.length');
  if (bytes === 0) throw outOfRange('options.length', 'at least 1', length);
  checkRange(start, bytes, 'options.offset');
  return { start, end: start + bytes };
}

/** Takes options apart; `triesOnly` waits for nothing. Errors: `TypeError`, `RangeError`. */
export function wishOf(options: LockOptions, triesOnly = false): Wish {
  const timeoutMs = timeoutOf(options);
  const { primitive = 'ofd' } = options;
  if (primitive !== 'ofd' && primitive !== 'flock') {
    throw invalidValue('options.primitive', "'ofd' or 'flock'", primitive);
  }
  const exclusive = trueOrFalse(options.exclusive, 'options.exclusive', true);
  return { exclusive, primitive, range: rangeOf(options), timeoutMs: triesOnly ? -1 : timeoutMs };
}

/** Takes options of a change apart. Errors: `TypeError`, `RangeError` naming the option. */
export function changeOf(options: LockChangeOptions): LockChange {
  const timeoutMs = timeoutOf(options);
  const { exclusive } = options;
  if (typeof exclusive !== 'boolean') {
    throw invalidType('options.exclusive', 'true or false', exclusive);
  }
  return { exclusive, timeoutMs };
}

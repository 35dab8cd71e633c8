/** What a map is asked for. */
import { byteCount, checkRange } from '../bytes.js';
import type { Engine } from '../engine.js';
import { invalidType, invalidValue, outOfRange, trueOrFalse } from '../errors.js';
import type { CallOptions } from '../file.js';
import { MapAdvice } from '../platform.js';

/**
 * Where writes to the memory go: nowhere that anybody asked for (`false`), to this map alone
 * (`private`), or to the file and everybody who maps or reads it (`shared`).
 */
export type MapWrite = false | 'private' | 'shared';

/** How the memory will be used: madvise(2). */
export type MapAdviceName = 'normal' | 'random' | 'sequential' | 'willneed' | 'dontneed';

export interface MapOptions extends Pick<CallOptions, 'signal' | 'timeoutMs'> {
  /** Bytes; where in the file the map begins, on a page or not. Default 0. */
  readonly offset?: number | bigint | undefined;
  /** Bytes; default: to the end of the file. The file is not grown. */
  readonly length?: number | bigint | undefined;
  /** `true` is `shared`. Default false. */
  readonly write?: boolean | 'private' | 'shared' | undefined;
  /** Read everything in before the map is given out. Default false. */
  readonly populate?: boolean | undefined;
  readonly advise?: MapAdviceName | undefined;
  /** For a path; a file has its own. Default: `defaultEngine()`. */
  readonly engine?: Engine | undefined;
}

/** A part of a map; all of it where nothing is said. */
export interface MapRange {
  /** Bytes, from the beginning of the map. Default 0. */
  readonly offset?: number | bigint | undefined;
  /** Bytes; default: to the end of the map. */
  readonly length?: number | bigint | undefined;
}

/** What is wanted, checked. */
export interface Wish {
  readonly offset: number;
  readonly length: number | undefined;
  readonly write: MapWrite;
  readonly populate: boolean;
  readonly advise: MapAdviceName | undefined;
}

const ADVICE: readonly MapAdviceName[] = ['normal', 'random', 'sequential', 'willneed', 'dontneed'];

function writeOf(write: unknown): MapWrite {
  if (write === undefined || write === false) return false;
  if (write === true || write === 'shared') return 'shared';
  if (write === 'private') return 'private';
  throw invalidValue('options.write', "true, false, 'private' or 'shared'", write);
}

/** Takes an advice. Errors: `TypeError` naming the argument. */
export function adviceOf(advice: unknown, argument: string): MapAdviceName {
  if (ADVICE.includes(advice as MapAdviceName)) return advice as MapAdviceName;
  throw invalidValue(argument, `one of ${ADVICE.join(', ')}`, advice);
}

/**
 * The number of an advice. Changes to a private map are nowhere else: MADV_DONTNEED throws them
 * away (madvise(2)), so its pages are said to be cold.
 */
export function adviceNumber(advice: MapAdviceName, write: MapWrite): number {
  return advice === 'dontneed' && write === 'private' ? MapAdvice.cold : MapAdvice[advice];
}

/** Takes options apart. Errors: `TypeError`, `RangeError` naming the option. */
export function wishOf(options: MapOptions): Wish {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { advise } = options;
  const offset = options.offset === undefined ? 0 : byteCount(options.offset, 'options.offset');
  const length =
    options.length === undefined ? undefined : byteCount(options.length, 'options.length');
  checkRange(offset, length ?? 0, 'options.offset');
  return {
    offset,
    length,
    write: writeOf(options.write),
    populate: trueOrFalse(options.populate, 'options.populate'),
    advise: advise === undefined ? undefined : adviceOf(advise, 'options.advise'),
  };
}

export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** A part of `bytes` bytes of a map. Errors: `TypeError`, `RangeError` naming the option. */
export function rangeOf(range: MapRange, bytes: number): Range {
  if (typeof range !== 'object' || range === null) throw invalidType('range', 'an object', range);
  const offset = range.offset === undefined ? 0 : byteCount(range.offset, 'range.offset');
  if (offset > bytes) throw outOfRange('range.offset', `at most the ${bytes} bytes mapped`, offset);
  const rest = bytes - offset;
  if (range.length === undefined) return { offset, length: rest };
  const length = byteCount(range.length, 'range.length');
  if (length <= rest) return { offset, length };
  throw outOfRange('range.length', `at most the ${rest} bytes mapped from there`, length);
}

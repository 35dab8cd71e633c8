/** What the calls of a journal are given, checked. */

import { type Buffers, type Sequence, sequenceOf } from '../buffers.js';
import { byteCount } from '../bytes.js';
import { invalidType, invalidValue, outOfRange } from '../errors.js';
import { frameBytes, RECORD_BYTES_MAX } from '../frames.js';

export interface JournalCallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface ReadOptions extends JournalCallOptions {
  /** Where to begin: this record, or the next there is. Default: the first; in reverse the last. */
  readonly from?: number | bigint | undefined;
  /** The last record to give, itself included. Default: all. */
  readonly to?: number | bigint | undefined;
  /** From the last to the first. Default false. */
  readonly reverse?: boolean | undefined;
}

export interface FollowOptions extends JournalCallOptions {
  /** Default: the first record there is. */
  readonly from?: number | bigint | undefined;
}

/* The views of one batch stay in one segment, and in memory. */
const BATCH_BYTES_MAX = 2 ** 30;

/** The signal of a call. Errors: `TypeError`. */
export function signalOf(options: JournalCallOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { signal } = options;
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalidType('options.signal', 'an AbortSignal', signal);
}

/** A record as a sequence. Errors: `TypeError`; `RangeError` when it is too long. */
export function recordOf(record: Buffers, argument: string): Sequence {
  const sequence = sequenceOf(record, argument);
  if (sequence.byteLength <= RECORD_BYTES_MAX) return sequence;
  const expected = `no longer than ${RECORD_BYTES_MAX} bytes`;
  throw outOfRange(argument, expected, sequence.byteLength);
}

/** Records that stay together, and their bytes as frames. */
export interface Batch {
  readonly records: readonly Sequence[];
  readonly bytes: number;
  /** Of the last frame. */
  readonly lastBytes: number;
}

/** Errors: `TypeError`; `RangeError` when they are too many. */
export function batchOf(given: Iterable<Buffers>): Batch {
  const isList = typeof given === 'object' && given !== null && Symbol.iterator in given;
  if (!isList || ArrayBuffer.isView(given)) {
    throw invalidType('records', 'an iterable of records', given);
  }
  const records: Sequence[] = [];
  let bytes = 0;
  let lastBytes = 0;
  for (const record of given) {
    const sequence = recordOf(record, `records[${records.length}]`);
    lastBytes = frameBytes(sequence.byteLength);
    bytes += lastBytes;
    records.push(sequence);
  }
  if (records.length === 0) throw invalidValue('records', 'at least one record', given);
  if (bytes > BATCH_BYTES_MAX) throw outOfRange('records', 'no more than 1 GiB together', bytes);
  return { records, bytes, lastBytes };
}

/** Where reading begins and ends, in the direction it goes. Errors: `TypeError`, `RangeError`. */
export function rangeOf({ from, to }: ReadOptions, isReverse: boolean): [number, number] {
  const first = from === undefined ? undefined : byteCount(from, 'options.from');
  const last = to === undefined ? undefined : byteCount(to, 'options.to');
  if (!isReverse) return [first ?? 0, last ?? Number.POSITIVE_INFINITY];
  if (first !== undefined && last !== undefined)
    return [Math.max(first, last), Math.min(first, last)];
  return [first ?? Number.POSITIVE_INFINITY, last ?? 0];
}

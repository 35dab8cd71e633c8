/** What a journal can be told, checked. */

import { byteCount } from '../bytes.js';
import type { Engine } from '../engine.js';
import { invalidType, invalidValue, outOfRange, trueOrFalse } from '../errors.js';
import { modeOf, type WriteLifetime } from '../file.js';
import { PAGE_BYTES, SEGMENT_HEAD_BYTES } from '../frames.js';

/** What makes an append durable: fdatasync, fsync, a barrier, or nothing. */
export type JournalSync = 'data' | 'full' | 'barrier' | false;

export interface JournalOptions {
  /**
   * Bytes of a segment's file: a multiple of 4096. One is larger where a record or a batch asks
   * for it. Default 64 MiB.
   */
  readonly segmentBytes?: number | undefined;
  /**
   * Default `data`. With `false`, `append` resolves when the record is written; only `syncThrough`,
   * the end of a segment and `close` sync.
   */
  readonly sync?: JournalSync | undefined;
  /** Go round the page cache when writing, as in `openFile`. Default false. */
  readonly direct?: boolean | 'strict' | undefined;
  /**
   * Space for a segment before it is used: reserved (`true`, the default); written with zeros, so
   * that commits into a new segment are as fast as into a recycled one (`zeros`); or none.
   */
  readonly preallocate?: boolean | 'zeros' | undefined;
  /** Read beside the writer, or what a crash left; nothing is changed. Default false. */
  readonly readOnly?: boolean | undefined;
  /** Make the directory when it is absent. Default true, and false for `readOnly`. */
  readonly create?: boolean | undefined;
  /**
   * Mend damage before the tail: what can be read is kept, what cannot is skipped from then on and
   * put aside. Default false: opening rejects there.
   */
  readonly repair?: boolean | undefined;
  /** Memory for records that are not written yet, and those under way. Default 16 MiB. */
  readonly bufferBytes?: number | undefined;
  /** Files of trimmed segments kept to be used again. Default 2. */
  readonly spareCount?: number | undefined;
  /**
   * How much is read when the journal is opened: the last segment, and whole ones before it as long
   * as all of it is no more than so many bytes. Default 64 MiB.
   */
  readonly verifyBytes?: number | undefined;
  /** Permissions of files that are made, before the process' mask. Default 0o666. */
  readonly mode?: number | undefined;
  /** How long the records live, as a hint to the device. Default: no hint. */
  readonly lifetime?: WriteLifetime | undefined;
  /** How long to wait for another writer to close. Default 0. */
  readonly lockTimeoutMs?: number | undefined;
  readonly engine?: Engine | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The options, interpreted. */
export interface JournalSettings {
  readonly segmentBytes: number;
  readonly sync: JournalSync;
  readonly direct: boolean | 'strict';
  readonly preallocate: boolean | 'zeros';
  readonly readOnly: boolean;
  readonly create: boolean;
  readonly repair: boolean;
  readonly bufferBytes: number;
  readonly spareCount: number;
  readonly verifyBytes: number;
  readonly mode: number;
  readonly lifetime: WriteLifetime | undefined;
  readonly lockTimeoutMs: number;
}

const MEBIBYTE = 1048576;
const SEGMENT_BYTES_MIN: number = SEGMENT_HEAD_BYTES + 2 * PAGE_BYTES;
const SEGMENT_BYTES_MAX = 2 ** 40;
const BUFFER_BYTES_MIN = 65536;
const LIFETIMES: readonly unknown[] = ['none', 'short', 'medium', 'long', 'extreme'];
const SYNCS: readonly unknown[] = ['data', 'full', 'barrier', false];

function segmentBytesOf(value: unknown): number {
  if (value === undefined) return 64 * MEBIBYTE;
  const bytes = byteCount(value, 'options.segmentBytes');
  if (bytes >= SEGMENT_BYTES_MIN && bytes <= SEGMENT_BYTES_MAX && bytes % PAGE_BYTES === 0) {
    return bytes;
  }
  const expected = `a multiple of ${PAGE_BYTES} from ${SEGMENT_BYTES_MIN} to 2^40`;
  throw outOfRange('options.segmentBytes', expected, value);
}

function bytesOf(value: unknown, argument: string, standard: number, least: number): number {
  if (value === undefined) return standard;
  const bytes = byteCount(value, argument);
  if (bytes < least) throw outOfRange(argument, `at least ${least}`, value);
  return bytes;
}

function oneOf<T>(value: unknown, argument: string, all: readonly unknown[], standard: T): T {
  if (value === undefined) return standard;
  if (all.includes(value)) return value as T;
  throw invalidValue(argument, `one of ${all.map((one) => JSON.stringify(one)).join(', ')}`, value);
}

/** Interprets the options. Errors: `TypeError`, `RangeError` naming the option. */
export function settingsOf(options: JournalOptions): JournalSettings {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const readOnly = trueOrFalse(options.readOnly, 'options.readOnly');
  const repair = trueOrFalse(options.repair, 'options.repair');
  if (readOnly && repair) throw invalidValue('options.repair', 'false for a read-only open', true);
  const create = trueOrFalse(options.create, 'options.create', !readOnly);
  if (readOnly && create) throw invalidValue('options.create', 'false for a read-only open', true);
  return {
    segmentBytes: segmentBytesOf(options.segmentBytes),
    sync: oneOf(options.sync, 'options.sync', SYNCS, 'data'),
    direct: oneOf(options.direct, 'options.direct', [true, false, 'strict'], false),
    preallocate: oneOf(options.preallocate, 'options.preallocate', [true, false, 'zeros'], true),
    readOnly,
    create,
    repair,
    bufferBytes: bytesOf(
      options.bufferBytes,
      'options.bufferBytes',
      16 * MEBIBYTE,
      BUFFER_BYTES_MIN,
    ),
    spareCount: bytesOf(options.spareCount, 'options.spareCount', 2, 0),
    verifyBytes: bytesOf(options.verifyBytes, 'options.verifyBytes', 64 * MEBIBYTE, 0),
    mode: options.mode === undefined ? 0o666 : modeOf(options.mode, 'options.mode'),
    lifetime: oneOf(options.lifetime, 'options.lifetime', LIFETIMES, undefined),
    lockTimeoutMs: bytesOf(options.lockTimeoutMs, 'options.lockTimeoutMs', 0, 0),
  };
}

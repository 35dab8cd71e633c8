/** What streams can be told, checked. */
import { byteCount } from '../bytes.js';
import { invalidType, invalidValue, outOfRange, trueOrFalse } from '../errors.js';

export interface StreamOptions {
  /** Where in the file it begins, in bytes. Default 0; the end, for a file open for append. */
  readonly start?: number | bigint | undefined;
  /** Bytes that wait inside the stream at most, those under way among them. Default 1 MiB. */
  readonly highWaterMark?: number | undefined;
  /** Close the file when the stream is over, by its end, an error or `destroy`. Default true. */
  readonly autoClose?: boolean | undefined;
  /** Destroys the stream, with an `AbortError`. */
  readonly signal?: AbortSignal | undefined;
}

export interface ReadableOptions extends StreamOptions {
  /** The last byte that is read, itself included, as in `node:fs`. Default: the end of the file. */
  readonly end?: number | bigint | undefined;
}

export interface WritableOptions extends StreamOptions {
  /**
   * Make what was written durable before the stream tells that it is finished: as `syncData` or as
   * `sync` of the file. Default: it is in the page cache.
   */
  readonly sync?: 'data' | 'full' | undefined;
}

interface NodeOptions {
  /** Text in place of bytes. */
  readonly encoding?: BufferEncoding | undefined;
  /** Emit `close` at the end. Default true. */
  readonly emitClose?: boolean | undefined;
}

export interface ReadStreamOptions extends ReadableOptions, NodeOptions {}
export interface WriteStreamOptions extends WritableOptions, NodeOptions {}

const HIGH_WATER_BYTES = 1048576;
const HIGH_WATER_MAX = 2 ** 30;

/** What every stream was told. */
export interface StreamSettings {
  readonly start: number | undefined;
  readonly highWaterMark: number;
  readonly autoClose: boolean;
  readonly signal: AbortSignal | undefined;
}

export interface ReadSettings extends StreamSettings {
  /** Behind the last byte. */
  readonly end: number;
}

export interface WriteSettings extends StreamSettings {
  readonly sync: 'data' | 'full' | undefined;
}

export interface NodeSettings {
  readonly encoding: BufferEncoding | undefined;
  readonly emitClose: boolean;
}

function highWaterOf(value: unknown): number {
  if (value === undefined) return HIGH_WATER_BYTES;
  if (typeof value !== 'number') throw invalidType('options.highWaterMark', 'a number', value);
  if (Number.isInteger(value) && value >= 1 && value <= HIGH_WATER_MAX) return value;
  throw outOfRange('options.highWaterMark', `an integer from 1 to ${HIGH_WATER_MAX}`, value);
}

function settingsOf(options: StreamOptions): StreamSettings {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { start, signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidType('options.signal', 'an AbortSignal', signal);
  }
  return {
    start: start === undefined ? undefined : byteCount(start, 'options.start'),
    highWaterMark: highWaterOf(options.highWaterMark),
    autoClose: trueOrFalse(options.autoClose, 'options.autoClose', true),
    signal,
  };
}

function endOf(end: unknown, start = 0): number {
  if (end === undefined || end === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  const last = byteCount(end as number, 'options.end');
  if (last >= start) return last + 1;
  throw outOfRange('options.start', `at most "options.end", which is ${last}`, start);
}

/** Errors: `TypeError`, `RangeError` naming the option. */
export function readSettingsOf(options: ReadableOptions): ReadSettings {
  const settings = settingsOf(options);
  return { ...settings, end: endOf(options.end, settings.start) };
}

/** Errors: `TypeError`, `RangeError` naming the option. */
export function writeSettingsOf(options: WritableOptions): WriteSettings {
  const settings = settingsOf(options);
  const { sync } = options;
  if (sync === undefined || sync === 'data' || sync === 'full') return { ...settings, sync };
  throw invalidValue('options.sync', "'data' or 'full'", sync);
}

/** Errors: `TypeError` naming the option. */
export function nodeSettingsOf({ encoding, emitClose }: NodeOptions): NodeSettings {
  if (encoding !== undefined && !Buffer.isEncoding(encoding)) {
    throw invalidValue('options.encoding', 'an encoding of Buffer', encoding);
  }
  return { encoding, emitClose: trueOrFalse(emitClose, 'options.emitClose', true) };
}

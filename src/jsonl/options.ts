/** What a file of JSON lines can be told, checked. */
import { byteCount } from '../bytes.js';
import type { Engine } from '../engine.js';
import { invalidType, invalidValue, trueOrFalse } from '../errors.js';
import { modeOf } from '../file.js';

export interface JsonlOptions {
  /** Several processes may append: each takes a lock for each append. Default false: one may. */
  readonly shared?: boolean | undefined;
  /** Read what is there; nothing is changed. Default false. */
  readonly readOnly?: boolean | undefined;
  /** What makes an append durable. With `false` it resolves when it is written. Default `data`. */
  readonly sync?: 'data' | 'full' | false | undefined;
  /** Make the file when it is absent. Default true, and false for `readOnly`. */
  readonly create?: boolean | undefined;
  /** Permissions of a file that is made, before the process' mask. Default 0o666. */
  readonly mode?: number | undefined;
  /** How long to wait for a lock. Default: 200 for the one who appends, no end where shared. */
  readonly lockTimeoutMs?: number | undefined;
  readonly engine?: Engine | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface JsonlSettings {
  readonly shared: boolean;
  readonly readOnly: boolean;
  readonly sync: 'data' | 'full' | false;
  readonly create: boolean;
  readonly mode: number;
  readonly lockTimeoutMs: number;
}

/* Longer than a ring keeps the file of a killed process open: 52 ms at most. */
const LOCK_MS = 200;

function syncOf(sync: unknown): 'data' | 'full' | false {
  if (sync === undefined) return 'data';
  if (sync === 'data' || sync === 'full' || sync === false) return sync;
  throw invalidValue('options.sync', "'data', 'full' or false", sync);
}

/** Interprets the options. Errors: `TypeError`, `RangeError` naming the option. */
export function settingsOf(options: JsonlOptions): JsonlSettings {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { signal, lockTimeoutMs } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidType('options.signal', 'an AbortSignal', signal);
  }
  const shared = trueOrFalse(options.shared, 'options.shared');
  const readOnly = trueOrFalse(options.readOnly, 'options.readOnly');
  const create = trueOrFalse(options.create, 'options.create', !readOnly);
  if (readOnly && create) throw invalidValue('options.create', 'false for a read-only open', true);
  const standardMs = shared ? Number.POSITIVE_INFINITY : LOCK_MS;
  return {
    shared,
    readOnly,
    sync: syncOf(options.sync),
    create,
    mode: options.mode === undefined ? 0o666 : modeOf(options.mode, 'options.mode'),
    lockTimeoutMs:
      lockTimeoutMs === undefined ? standardMs : byteCount(lockTimeoutMs, 'options.lockTimeoutMs'),
  };
}

/** A value as a line. Errors: `TypeError` for what JSON has no text for. */
export function lineOf(value: unknown): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw invalidType('value', 'something that JSON can hold', value);
  return `${text}\n`;
}

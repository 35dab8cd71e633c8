/** What a copy can be told, checked. */
import type { Engine } from '../engine.js';
import { invalidType, invalidValue, trueOrFalse } from '../errors.js';
import { type ReplaceSettings, replaceSettingsOf } from '../replace.js';

/** How far a copy is. Units: bytes; holes count as done when they are passed. */
export interface CopyProgress {
  readonly bytes: number;
  /** What there is to copy, as far as the source told: 0 for files under /proc. */
  readonly total: number;
}

export type Reflink = 'auto' | 'always' | 'never';

export interface CopyOptions {
  /**
   * Let the copy share the blocks of its source until either is written to: where the file system
   * can (`auto`, default; also `true`), or not at all (`never`; also `false`), which leaves
   * copy_file_range(2) out too, since it may share them. `always` refuses where it cannot be.
   */
  readonly reflink?: Reflink | boolean | undefined;
  /** Told after every step of some megabytes, and at the end. What it throws ends the copy. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined;
  /** As for `replaceFile`: default `full`. */
  readonly durable?: 'full' | 'file' | false | undefined;
  /** Put the copy in the place of a target that exists (default), or refuse it with `EEXIST`. */
  readonly replace?: boolean | undefined;
  /** Give the copy the access and modification times of its source. Default false. */
  readonly keepTimes?: boolean | undefined;
  /** Write to where a symbolic link at the target leads (default), or put a file in its place. */
  readonly followSymlink?: boolean | undefined;
  readonly engine?: Engine | undefined;
  /** Takes effect between two steps; the target is untouched then. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which no further step is begun: an `IoError` of kind `timeout`. */
  readonly timeoutMs?: number | undefined;
}

export interface CopySettings {
  readonly reflink: Reflink;
  readonly onProgress: ((progress: CopyProgress) => void) | undefined;
  readonly replacing: ReplaceSettings;
}

function reflinkOf(reflink: unknown): Reflink {
  if (reflink === undefined || reflink === true) return 'auto';
  if (reflink === false) return 'never';
  if (reflink === 'auto' || reflink === 'always' || reflink === 'never') return reflink;
  throw invalidValue('options.reflink', "'auto', 'always', 'never', true or false", reflink);
}

/** A function given as an option. Errors: `TypeError` naming it. */
export function functionOf<T>(value: T | undefined, argument: string): T | undefined {
  if (value === undefined || typeof value === 'function') return value;
  throw invalidType(argument, 'a function', value);
}

/** Interprets the options. Errors: `TypeError`, `RangeError` naming the option. */
export function copySettingsOf(options: CopyOptions): CopySettings {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { durable, keepTimes, followSymlink } = options;
  const ifAbsent = !trueOrFalse(options.replace, 'options.replace', true);
  return {
    reflink: reflinkOf(options.reflink),
    onProgress: functionOf(options.onProgress, 'options.onProgress'),
    replacing: replaceSettingsOf({ durable, keepTimes, followSymlink, ifAbsent }),
  };
}

/** What an update can be told, checked. */
import { invalidType, invalidValue } from '../errors.js';
import { modeOf, type PathLike, signalOf } from '../file.js';
import { type Place, placeOf } from '../platform.js';
import { type ReplaceOptions, type ReplaceSettings, replaceSettingsOf } from '../replace.js';
import type { Indent } from './json.js';

/** Among whom updates of a file take turns. */
export type Exclusion = 'processes' | 'this-process';

export interface UpdateOptions
  extends Pick<
    ReplaceOptions,
    'mode' | 'owner' | 'durable' | 'keepTimes' | 'sweep' | 'encoding' | 'engine' | 'signal'
  > {
  /** Milliseconds for the wait for others, the callback and the replace. Default: no end. */
  readonly timeoutMs?: number | undefined;
  /**
   * `processes` (default): by a lock file. `this-process`: among the calls of this process alone,
   * where the engine has no locks; what other processes write meanwhile is lost.
   */
  readonly exclusion?: Exclusion | undefined;
  /** The lock file. Default: `.<name>.lock` beside the file, where symbolic links lead to. */
  readonly lockPath?: PathLike | undefined;
  /** Permissions of a lock file that is made. Default 0o600. */
  readonly lockMode?: number | undefined;
}

export interface UpdateJsonOptions extends Omit<UpdateOptions, 'encoding'> {
  /** As the third argument of `JSON.stringify`. Default: none, all in one line. */
  readonly indent?: Indent;
}

/** Options, checked. */
export interface UpdateSettings {
  readonly replace: ReplaceSettings;
  readonly exclusion: Exclusion;
  readonly lockPlace: Place | undefined;
  readonly lockMode: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Takes options apart. Errors: `TypeError`, `RangeError` naming the option. */
export function updateSettingsOf(options: UpdateOptions): UpdateSettings {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { mode, owner, durable, keepTimes, sweep, encoding, signal, timeoutMs } = options;
  const { exclusion = 'processes', lockPath, lockMode = 0o600 } = options;
  if (exclusion !== 'processes' && exclusion !== 'this-process') {
    throw invalidValue('options.exclusion', "'processes' or 'this-process'", exclusion);
  }
  signalOf({ signal, timeoutMs });
  return {
    replace: replaceSettingsOf({ mode, owner, durable, keepTimes, sweep, encoding }),
    exclusion,
    lockPlace: lockPath === undefined ? undefined : placeOf(lockPath, 'options.lockPath'),
    lockMode: modeOf(lockMode, 'options.lockMode'),
    timeoutMs: timeoutMs ?? Number.POSITIVE_INFINITY,
    signal,
  };
}

/** Takes an indent. Errors: `TypeError`. */
export function indentOf(indent: unknown): Indent {
  if (indent === undefined || typeof indent === 'number' || typeof indent === 'string') {
    return indent;
  }
  throw invalidType('options.indent', 'a number or a string', indent);
}

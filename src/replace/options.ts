/** What a replace can be told, checked. */
import type { Engine } from '../engine.js';
import { invalidType, invalidValue, outOfRange, trueOrFalse } from '../errors.js';
import { modeOf } from '../file.js';
import type { Traits } from './spot.js';

/** Numbers of a user and a group. */
export interface Owner {
  readonly user: number;
  readonly group: number;
  /** False: who may not give files away is told so in the report and not refused. Default true. */
  readonly required?: boolean | undefined;
}

export interface ReplaceOptions {
  /** Permissions of the new file. Default: those of the old one, else 0o666 less the mask. */
  readonly mode?: number | undefined;
  /** Owner of the new file. Default: that of the old one where the system lets us; false: ours. */
  readonly owner?: Owner | false | undefined;
  /**
   * `full` (default): file and directory are synced, the new content survives a power cut.
   * `file`: the file is, the name may still be the old one after a power cut. `false`: neither; a
   * power cut may leave an empty file.
   */
  readonly durable?: 'full' | 'file' | false | undefined;
  /**
   * Wait for the journal of the file system once instead of twice, where that is proved to promise
   * the same: ext4 and xfs on Linux, as `probe` tells. Elsewhere twice, told in
   * `report.fallbacks`. Only with `durable: 'full'`. Default false.
   */
  readonly oneCommit?: boolean | undefined;
  /** Write to where a symbolic link leads (default), or put a file in its place. */
  readonly followSymlink?: boolean | undefined;
  /** Refuse with `EEXIST` when the target exists. Default false. */
  readonly ifAbsent?: boolean | undefined;
  /**
   * Let the old and the new file change places: the old one stays, whole, under a name beside the
   * target that `report.oldPath` tells, and is yours to remove. `ENOENT` when there is no old file,
   * kind `unsupported` where names cannot change places. Default false.
   */
  readonly exchange?: boolean | undefined;
  /** Give the new file the access and modification times of the old one. Default false. */
  readonly keepTimes?: boolean | undefined;
  /** Remove what killed processes left in the directory, once a process. Default true. */
  readonly sweep?: boolean | undefined;
  /** Told the name of the temporary file once it exists, before anything is written to it. */
  readonly onTemporary?: ((path: string) => void | Promise<void>) | undefined;
  /** Of text. Default `utf8`. */
  readonly encoding?: BufferEncoding | undefined;
  readonly engine?: Engine | undefined;
  /** Takes effect between system calls and while a source is waited for; never after the rename. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which it is given up as by an abort: an `IoError` of kind `timeout`. */
  readonly timeoutMs?: number | undefined;
}

/** What each file of a `replaceFiles` can be told. */
export type ReplaceEntryOptions = Pick<
  ReplaceOptions,
  'mode' | 'owner' | 'followSymlink' | 'ifAbsent' | 'exchange' | 'keepTimes' | 'encoding'
>;

/** What a `replaceFiles` can be told. */
export type ReplaceFilesOptions = Pick<
  ReplaceOptions,
  'durable' | 'oneCommit' | 'sweep' | 'engine' | 'signal' | 'timeoutMs'
>;

export interface ReplaceSettings {
  readonly mode: number | undefined;
  readonly owner: Owner | false | undefined;
  readonly durable: 'full' | 'file' | false;
  readonly oneCommit: boolean;
  readonly followSymlink: boolean;
  readonly ifAbsent: boolean;
  readonly exchange: boolean;
  readonly keepTimes: boolean;
  readonly sweep: boolean;
  readonly encoding: BufferEncoding;
  readonly onTemporary: ReplaceOptions['onTemporary'];
  /** The file whose traits the new one gets. Default: the old one. */
  readonly takesAfter?: Traits | undefined;
}

const OWNER_MAX = 2 ** 32 - 2;

function ownerNumber(value: unknown, argument: string): number {
  if (typeof value !== 'number') throw invalidType(argument, 'a number', value);
  if (!Number.isInteger(value) || value < 0 || value > OWNER_MAX) {
    throw outOfRange(argument, `an integer from 0 to ${OWNER_MAX}`, value);
  }
  return value;
}

function ownerOf(owner: ReplaceOptions['owner']): ReplaceSettings['owner'] {
  if (owner === undefined || owner === false) return owner;
  if (typeof owner !== 'object' || owner === null) {
    throw invalidType('options.owner', '{ user, group } or false', owner);
  }
  return {
    user: ownerNumber(owner.user, 'options.owner.user'),
    group: ownerNumber(owner.group, 'options.owner.group'),
    required: trueOrFalse(owner.required, 'options.owner.required', true),
  };
}

function encodingOf(encoding: unknown): BufferEncoding {
  if (encoding === undefined) return 'utf8';
  if (typeof encoding === 'string' && Buffer.isEncoding(encoding)) return encoding;
  throw invalidValue('options.encoding', 'an encoding that Buffer knows', encoding);
}

/** Interprets the options. Errors: `TypeError`, `RangeError` naming the option. */
export function replaceSettingsOf(options: ReplaceOptions): ReplaceSettings {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const durable = options.durable ?? 'full';
  if (durable !== 'full' && durable !== 'file' && durable !== false) {
    throw invalidValue('options.durable', "'full', 'file' or false", durable);
  }
  const oneCommit = trueOrFalse(options.oneCommit, 'options.oneCommit');
  if (oneCommit && durable !== 'full') {
    throw invalidValue('options.oneCommit', "false unless options.durable is 'full'", oneCommit);
  }
  const { onTemporary } = options;
  if (onTemporary !== undefined && typeof onTemporary !== 'function') {
    throw invalidType('options.onTemporary', 'a function', onTemporary);
  }
  const ifAbsent = trueOrFalse(options.ifAbsent, 'options.ifAbsent');
  const exchange = trueOrFalse(options.exchange, 'options.exchange');
  if (ifAbsent && exchange) {
    throw invalidValue('options.exchange', 'false with ifAbsent: nothing is there', exchange);
  }
  return {
    onTemporary,
    mode: options.mode === undefined ? undefined : modeOf(options.mode, 'options.mode'),
    owner: ownerOf(options.owner),
    durable,
    oneCommit,
    followSymlink: trueOrFalse(options.followSymlink, 'options.followSymlink', true),
    ifAbsent,
    exchange,
    keepTimes: trueOrFalse(options.keepTimes, 'options.keepTimes'),
    sweep: trueOrFalse(options.sweep, 'options.sweep', true),
    encoding: encodingOf(options.encoding),
  };
}

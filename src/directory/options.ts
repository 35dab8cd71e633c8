/** What calls on directories can be told, checked. */
import type { Engine } from '../engine.js';
import { invalidType, invalidValue, trueOrFalse } from '../errors.js';
import { type CallOptions, modeOf } from '../file.js';

export interface DirectoryOptions extends CallOptions {
  /** Default: `defaultEngine()`. */
  readonly engine?: Engine | undefined;
}

export interface DurableOptions extends DirectoryOptions {
  /**
   * `full` or true (default): the directories whose names changed are synced, and the change
   * survives a power cut. `false`: they are not.
   */
  readonly durable?: 'full' | boolean | undefined;
}

export interface MakeDirectoryOptions extends DurableOptions {
  /** Make the directories above it that are absent; one that is there is no error. Default true. */
  readonly recursive?: boolean | undefined;
  /** Permissions of every directory made, before the process' mask. Default 0o777. */
  readonly mode?: number | undefined;
}

export interface RemoveOptions extends DurableOptions {
  /** Reject with `ENOENT` where there is nothing. */
  readonly mustExist?: boolean | undefined;
}

export interface MoveOptions extends DurableOptions {
  /** Take the place of what stands at the target (default), or refuse with `EEXIST`. */
  readonly replace?: boolean | undefined;
}

function checkObject(options: unknown): void {
  if (typeof options === 'object' && options !== null) return;
  throw invalidType('options', 'an object', options);
}

/** Errors: `TypeError` naming the option. */
export function durableOf(options: DurableOptions): boolean {
  checkObject(options);
  const { durable } = options;
  if (durable === undefined || durable === 'full') return true;
  if (typeof durable === 'boolean') return durable;
  throw invalidValue('options.durable', "'full', true or false", durable);
}

export interface MakeSettings {
  readonly isDurable: boolean;
  readonly isRecursive: boolean;
  readonly mode: number;
}

/** Errors: `TypeError`, `RangeError` naming the option. */
export function makeSettingsOf(options: MakeDirectoryOptions): MakeSettings {
  return {
    isDurable: durableOf(options),
    isRecursive: trueOrFalse(options.recursive, 'options.recursive', true),
    mode: options.mode === undefined ? 0o777 : modeOf(options.mode, 'options.mode'),
  };
}

export interface RemoveSettings {
  readonly isDurable: boolean;
  readonly mustExist: boolean;
}

/** Errors: `TypeError` naming the option. */
export function removeSettingsOf(options: RemoveOptions, mustExist: boolean): RemoveSettings {
  return {
    isDurable: durableOf(options),
    mustExist: trueOrFalse(options.mustExist, 'options.mustExist', mustExist),
  };
}

export interface MoveSettings {
  readonly isDurable: boolean;
  readonly replaces: boolean;
}

/** Errors: `TypeError` naming the option. */
export function moveSettingsOf(options: MoveOptions): MoveSettings {
  return {
    isDurable: durableOf(options),
    replaces: trueOrFalse(options.replace, 'options.replace', true),
  };
}

/** Errors: `TypeError` naming the option. */
export function checkDirectoryOptions(options: DirectoryOptions): void {
  checkObject(options);
}

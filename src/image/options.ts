/** What opening and writing an image can be told, checked. */
import type { Engine } from '../engine.js';
import { invalidType, invalidValue } from '../errors.js';
import type { CallOptions } from '../file.js';
import type { ReplaceOptions } from '../replace.js';

/**
 * How much of an image is compared with its checksums: header, trailer and table of sections
 * (`header`); each block of 64 KiB too, when it is first looked at (`lazy`); everything, before it
 * is given out (`full`).
 */
export type Verify = 'header' | 'lazy' | 'full';

/** `map`: the pages of the file as they are looked at; `read`: a copy in memory. */
export type ImageMode = 'map' | 'read';

/** What an image that is in memory can be told. */
export interface ViewOptions {
  /** Default `lazy`. */
  readonly verify?: Verify | undefined;
}

/** What `openImage` can be told. */
export interface OpenImageOptions extends ViewOptions, Pick<CallOptions, 'signal' | 'timeoutMs'> {
  /** Default `map`; where there are no maps it is read, and `explain()` says why. */
  readonly mode?: ImageMode | undefined;
  /**
   * Fields of the root whose sections are read, with the root; others can be loaded later. Default:
   * all. It means something with `read` alone: a map loads what is looked at.
   */
  readonly sections?: readonly string[] | undefined;
  readonly engine?: Engine | undefined;
}

/** What `writeImage` can be told: as `replaceFile`. */
export type WriteImageOptions = Omit<ReplaceOptions, 'encoding'>;

export interface OpenSettings {
  readonly mode: ImageMode;
  readonly verify: Verify;
  readonly sections: readonly string[] | undefined;
}

const VERIFY: readonly unknown[] = ['header', 'lazy', 'full'];

/** Errors: `TypeError` naming the option. */
export function verifyOf(options: ViewOptions): Verify {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { verify = 'lazy' } = options;
  if (VERIFY.includes(verify)) return verify;
  throw invalidValue('options.verify', "'header', 'lazy' or 'full'", verify);
}

/** Errors: `TypeError` naming the option. */
export function openSettingsOf(options: OpenImageOptions): OpenSettings {
  const verify = verifyOf(options);
  const { mode = 'map', sections } = options;
  if (mode !== 'map' && mode !== 'read') {
    throw invalidValue('options.mode', "'map' or 'read'", mode);
  }
  if (sections !== undefined && !Array.isArray(sections)) {
    throw invalidType('options.sections', 'an array of fields of the root', sections);
  }
  return { mode, verify, sections };
}

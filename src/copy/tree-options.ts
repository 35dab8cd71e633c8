/** What a copy of a tree can be told, checked; what it tells. */
import { invalidType, invalidValue, outOfRange } from '../errors.js';
import type { FileKind } from '../platform.js';
import type { ReplaceReport } from '../replace.js';
import type { CopyMethod } from './content.js';
import { type CopyOptions, type CopySettings, copySettingsOf, functionOf } from './options.js';

/** Something in the source tree. */
export interface TreeEntry {
  /** Seen from the root of the tree, parts divided by `/`. */
  readonly path: string;
  readonly kind: FileKind;
  /** Units: bytes. */
  readonly size: number;
}

/** What of a tree is copied by now. */
export interface CopyTreeProgress {
  /** What was worked on last, seen from the root of the tree; empty for the root itself. */
  readonly path: string;
  readonly files: number;
  readonly directories: number;
  /** Symbolic links. */
  readonly links: number;
  /** Units: bytes of files, holes included. */
  readonly bytes: number;
}

export interface CopyTreeOptions
  extends Omit<CopyOptions, 'onProgress' | 'followSymlink' | 'replace'> {
  /**
   * Copy into a target that exists (default): its directories are kept, its files replaced one by
   * one, its links replaced and never followed. False: refuse a target that exists with `EEXIST`.
   */
  readonly replace?: boolean | undefined;
  /** Answers whether to copy something; of a directory: it and all in it. */
  readonly filter?: ((entry: TreeEntry) => boolean | Promise<boolean>) | undefined;
  /**
   * FIFOs, sockets and devices: end the copy (`refuse`, default), or leave them out and count them
   * (`skip`). They are never opened and never made.
   */
  readonly special?: 'refuse' | 'skip' | undefined;
  /** How many are copied at the same time: 1 to 64. Default 8. Without meaning for the twin. */
  readonly concurrency?: number | undefined;
  /** Told after each copied file, link and directory, and on the way through large files. */
  readonly onProgress?: ((progress: CopyTreeProgress) => void) | undefined;
}

/** What a copy of a tree did, and what it could not do. */
export interface CopyTreeReport extends Omit<CopyTreeProgress, 'path'> {
  /** Where the copy is. */
  readonly path: string;
  /** Further names of files that were copied under another one: hard links in the copy too. */
  readonly hardLinks: number;
  /** What the filter and `special: 'skip'` left out, and what vanished meanwhile. */
  readonly skipped: number;
  /** How many files came over in which way. */
  readonly methods: Readonly<Record<CopyMethod, number>>;
  readonly durability: ReplaceReport['durability'];
  readonly engine: string;
  /** What was not kept or not done as asked, why, and how often. */
  readonly fallbacks: readonly {
    readonly what: string;
    readonly reason: string;
    readonly count: number;
  }[];
}

export interface TreeSettings {
  readonly file: CopySettings;
  readonly durable: 'full' | 'file' | false;
  readonly keepTimes: boolean;
  readonly replaces: boolean;
  readonly special: 'refuse' | 'skip';
  readonly concurrency: number;
  readonly filter: CopyTreeOptions['filter'];
  readonly onProgress: CopyTreeOptions['onProgress'];
}

const CONCURRENCY_DEFAULT = 8;
const CONCURRENCY_MAX = 64;

function concurrencyOf(value: unknown): number {
  if (value === undefined) return CONCURRENCY_DEFAULT;
  if (typeof value !== 'number') throw invalidType('options.concurrency', 'a number', value);
  if (!Number.isInteger(value) || value < 1 || value > CONCURRENCY_MAX) {
    throw outOfRange('options.concurrency', `an integer from 1 to ${CONCURRENCY_MAX}`, value);
  }
  return value;
}

function specialOf(value: unknown): 'refuse' | 'skip' {
  if (value === undefined) return 'refuse';
  if (value === 'refuse' || value === 'skip') return value;
  throw invalidValue('options.special', "'refuse' or 'skip'", value);
}

/** Interprets the options. Errors: `TypeError`, `RangeError` naming the option. */
export function treeSettingsOf(options: CopyTreeOptions): TreeSettings {
  const { replacing, reflink } = copySettingsOf(options as CopyOptions);
  const { durable, keepTimes } = replacing;
  return {
    /* A directory is synced once, when all its names are there. */
    file: {
      reflink,
      onProgress: undefined,
      replacing: { ...replacing, durable: durable && 'file', followSymlink: false },
    },
    durable,
    keepTimes,
    replaces: !replacing.ifAbsent,
    special: specialOf(options.special),
    concurrency: concurrencyOf(options.concurrency),
    filter: functionOf(options.filter, 'options.filter'),
    onProgress: functionOf(options.onProgress, 'options.onProgress'),
  };
}

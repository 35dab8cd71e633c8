/** Each call as steps: arguments checked, work done, syncs paid, a report made. */

import type { Steps } from '../engine.js';
import { type IoError, invalidType, invalidValue, trueOrFalse } from '../errors.js';
import { letGo, looking, refused } from '../held.js';
import type { FileKind, FileStat, PathLike, Place } from '../platform.js';
import { Dues, durably } from './dues.js';
import type { DirectoryEntry, Wanted } from './found.js';
import { Glob } from './glob.js';
import { type MakeDirectoryReport, makeSteps } from './make.js';
import { type MoveReport, moveSteps } from './move.js';
import {
  checkDirectoryOptions,
  type DirectoryOptions,
  type MakeDirectoryOptions,
  type MoveOptions,
  makeSettingsOf,
  moveSettingsOf,
  type RemoveOptions,
  removeSettingsOf,
} from './options.js';
import {
  type RemoveFileReport,
  type RemoveTreeReport,
  removeFileSteps,
  removeTreeSteps,
} from './remove.js';
import { Scanner, type ScanSettings } from './scan.js';
import type { Where } from './where.js';

const MAKE = 'make the directory';
const REMOVE_FILE = 'remove the file';
const REMOVE_TREE = 'remove the tree';
const MOVE = 'move the file';
const SCAN = 'scan the directory';
const INSPECT = 'inspect the file';

export interface ScanOptions extends DirectoryOptions {
  /** Go into directories too; never through symbolic links. Default false. */
  readonly recursive?: boolean | undefined;
  /** Answer only what matches one of these globs, seen from the directory. Default: everything. */
  readonly match?: string | readonly string[] | undefined;
  /** Leave out what matches one of these globs, and do not go into it. */
  readonly ignore?: string | readonly string[] | undefined;
  /** Let the wildcards of `match` match names that begin with a dot. Default false. */
  readonly dotfiles?: boolean | undefined;
  /** Answer only these kinds. Default: all. */
  readonly kinds?: readonly FileKind[] | undefined;
  /**
   * Told of a directory below the first that cannot be read, which is left out then. Default: the
   * scan ends with that error.
   */
  readonly onError?: ((error: IoError) => void) | undefined;
}

export type NameEncoding = 'utf8' | 'buffer';

export interface ListOptions<E extends NameEncoding = NameEncoding> extends DirectoryOptions {
  /** `buffer`: names as bytes, for those that are not UTF-8. Default `utf8`. */
  readonly encoding?: E | undefined;
}

/** Names as text, or as bytes where that was asked for. */
export type NamesIn<E extends NameEncoding> = E extends 'buffer' ? Uint8Array[] : string[];

/** How many names of which kind. */
export interface DirectoryCount {
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  /** FIFOs, sockets and devices. */
  readonly others: number;
  readonly total: number;
}

export function* makeDirectoryCall(
  where: Where,
  path: PathLike,
  options: MakeDirectoryOptions,
): Steps<MakeDirectoryReport> {
  const settings = makeSettingsOf(options);
  const place = where.place(path, 'path', MAKE);
  const dues = new Dues(where.engine, settings.isDurable);
  const created = yield* durably(dues, MAKE, makeSteps(where, place, settings, dues));
  return { path: place.path, created, ...told(where, dues) };
}

export function* removeFileCall(
  where: Where,
  path: PathLike,
  options: RemoveOptions,
): Steps<RemoveFileReport> {
  const settings = removeSettingsOf(options, true);
  const place = where.place(path, 'path', REMOVE_FILE);
  const dues = new Dues(where.engine, settings.isDurable);
  const steps = removeFileSteps(where, place, settings, dues);
  const removed = yield* durably(dues, REMOVE_FILE, steps);
  return { path: place.path, removed, ...told(where, dues) };
}

export function* removeTreeCall(
  where: Where,
  path: PathLike,
  options: RemoveOptions,
): Steps<RemoveTreeReport> {
  const settings = removeSettingsOf(options, false);
  const place = where.place(path, 'path', REMOVE_TREE);
  const dues = new Dues(where.engine, settings.isDurable);
  const steps = removeTreeSteps(where, place, settings, dues);
  const removed = yield* durably(dues, REMOVE_TREE, steps);
  return { path: place.path, ...removed, ...told(where, dues) };
}

export function* moveFileCall(
  where: Where,
  source: PathLike,
  target: PathLike,
  options: MoveOptions,
): Steps<MoveReport> {
  const settings = moveSettingsOf(options);
  const places = {
    source: where.place(source, 'source', MOVE),
    target: where.place(target, 'target', MOVE),
  };
  const dues = new Dues(where.engine, settings.isDurable);
  const moved = yield* durably(dues, MOVE, moveSteps(where, places, settings, dues));
  return { path: places.source.path, dest: places.target.path, ...moved, ...told(where, dues) };
}

function told({ engine }: Where, { durability, fallbacks }: Dues) {
  return { durability, engine: engine.name, fallbacks } as const;
}

/* ------------------------------------------------------------------------------------ looking */

export function* statCall(
  where: Where,
  path: PathLike,
  { followSymlink }: { readonly followSymlink?: boolean | undefined },
): Steps<FileStat> {
  const follows = trueOrFalse(followSymlink, 'options.followSymlink', true);
  const place = where.place(path, 'path', INSPECT);
  const spot = follows
    ? yield* where.followed(place, 'names', INSPECT)
    : yield* where.spot(place, 'names', INSPECT);
  const stat = looking(spot.place);
  if (spot.base === '') {
    /* The directory that was opened is what the path names. */
    stat.place = undefined;
    stat.flags = 0;
    stat.fd = spot.parent.fd;
  }
  try {
    yield stat;
  } finally {
    yield* letGo(spot.parent);
  }
  if (stat.result >= 0) return stat.stat as FileStat;
  throw refused(stat, { action: INSPECT, step: 'inspect', path: spot.place.path });
}

const KINDS: readonly unknown[] = [
  'file',
  'directory',
  'symlink',
  'fifo',
  'socket',
  'block-device',
  'character-device',
];

function kindsOf(kinds: unknown): Wanted['kinds'] {
  if (kinds === undefined) return undefined;
  if (!Array.isArray(kinds)) throw invalidType('options.kinds', 'kinds of files', kinds);
  for (const kind of kinds) {
    if (!KINDS.includes(kind)) throw invalidValue('options.kinds', `one of ${KINDS}`, kind);
  }
  return new Set(kinds as FileKind[]);
}

/** Errors: `TypeError`, `RangeError` naming the option. */
export function scanSettingsOf(options: ScanOptions): ScanSettings {
  checkDirectoryOptions(options);
  const { match, ignore, onError } = options;
  const dotfiles = trueOrFalse(options.dotfiles, 'options.dotfiles');
  if (onError !== undefined && typeof onError !== 'function') {
    throw invalidType('options.onError', 'a function', onError);
  }
  return {
    isRecursive: trueOrFalse(options.recursive, 'options.recursive'),
    match: match === undefined ? undefined : new Glob(match, 'options.match', { dotfiles }),
    ignore:
      ignore === undefined ? undefined : new Glob(ignore, 'options.ignore', { dotfiles: true }),
    kinds: kindsOf(options.kinds),
    onError,
  };
}

/** Holds the directory of a scan. Errors: `IoError`. */
export function* beginScan(where: Where, place: Place, settings: ScanSettings): Steps<Scanner> {
  const held = yield* where.directory(place, 'all', SCAN);
  return new Scanner(where.engine, held, place, settings);
}

/** Steps through a whole scan, and lets everything go however it ends. */
export function* scanned(
  where: Where,
  path: PathLike,
  settings: ScanSettings,
  each: (entries: readonly DirectoryEntry[]) => void,
): Steps<void> {
  const place = where.place(path, 'path', SCAN);
  const scanner = yield* beginScan(where, place, settings);
  try {
    for (;;) {
      const entries = yield* scanner.next();
      if (entries === undefined) return;
      each(entries);
    }
  } finally {
    yield* scanner.close();
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function* listCall<E extends NameEncoding>(
  where: Where,
  path: PathLike,
  options: ListOptions<E>,
): Steps<NamesIn<E>> {
  checkDirectoryOptions(options);
  const encoding: unknown = options.encoding ?? 'utf8';
  if (encoding !== 'utf8' && encoding !== 'buffer') {
    throw invalidValue('options.encoding', "'utf8' or 'buffer'", encoding);
  }
  const settings = scanSettingsOf({});
  const found: DirectoryEntry[] = [];
  yield* scanned(where, path, settings, (entries) => {
    for (const entry of entries) found.push(entry);
  });
  const names =
    encoding === 'utf8'
      ? found.map(({ name }) => name).sort(compare)
      : found.map(nameBytes).sort(Buffer.compare);
  return names as NamesIn<E>;
}

function nameBytes({ name, bytes }: DirectoryEntry): Uint8Array {
  if (bytes === undefined) return Buffer.from(name, 'utf8');
  return bytes.subarray(bytes.lastIndexOf(0x2f) + 1);
}

export function* findCall(
  where: Where,
  path: PathLike,
  patterns: string | readonly string[],
  options: Omit<ScanOptions, 'match' | 'recursive'>,
): Steps<string[]> {
  checkDirectoryOptions(options);
  const dotfiles = trueOrFalse(options.dotfiles, 'options.dotfiles');
  const match = new Glob(patterns, 'patterns', { dotfiles });
  const kinds = options.kinds ?? ['file'];
  const settings = { ...scanSettingsOf({ ...options, kinds, recursive: true }), match };
  const found: string[] = [];
  yield* scanned(where, path, settings, (entries) => {
    for (const entry of entries) found.push(entry.path);
  });
  return found.sort(compare);
}

export function* countCall(
  where: Where,
  path: PathLike,
  options: ScanOptions,
): Steps<DirectoryCount> {
  const settings = scanSettingsOf(options);
  const count = { files: 0, directories: 0, symlinks: 0, others: 0, total: 0 };
  yield* scanned(where, path, settings, (entries) => {
    count.total += entries.length;
    for (const { kind } of entries) {
      if (kind === 'file') count.files++;
      else if (kind === 'directory') count.directories++;
      else if (kind === 'symlink') count.symlinks++;
      else count.others++;
    }
  });
  return count;
}

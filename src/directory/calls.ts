/** Each call as steps: arguments checked, work done, syncs paid, a report made. */

import type { Steps } from '../engine.js';
import { type IoError, invalidType, invalidValue, trueOrFalse } from '../errors.js';
import { signalOf } from '../file.js';
import { letGo, looking, refused } from '../held.js';
import type { FileKind, FileStat, PathLike } from '../platform.js';
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
import { forEachBatch, forEachBatchSync, type ScanSource } from './scans.js';
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

/** How a scan begins. Errors: `TypeError` for the path. */
export function scanSource(
  where: Where,
  path: PathLike,
  settings: ScanSettings,
  options: DirectoryOptions,
): ScanSource {
  const { engine } = where;
  const place = where.place(path, 'path', SCAN);
  signalOf(options);
  const begin = function* (): Steps<Scanner> {
    const held = yield* where.directory(place, 'all', SCAN);
    return new Scanner(engine, held, place, settings);
  };
  return { engine, begin, signal: () => signalOf(options) };
}

/** What is made of a scan: each batch is told, then the result asked for. */
export interface Summary<T> {
  readonly source: ScanSource;
  readonly each: (entries: readonly DirectoryEntry[]) => void;
  readonly result: () => T;
}

export function listSummary<E extends NameEncoding>(
  where: Where,
  path: PathLike,
  options: ListOptions<E>,
): Summary<NamesIn<E>> {
  checkDirectoryOptions(options);
  const encoding: unknown = options.encoding ?? 'utf8';
  if (encoding !== 'utf8' && encoding !== 'buffer') {
    throw invalidValue('options.encoding', "'utf8' or 'buffer'", encoding);
  }
  const found: DirectoryEntry[] = [];
  const each = (entries: readonly DirectoryEntry[]): void => {
    for (const entry of entries) found.push(entry);
  };
  const result = (): NamesIn<E> => {
    const isText = encoding === 'utf8';
    const names = isText
      ? found.map(({ name }) => name).sort()
      : found.map(nameBytes).sort(Buffer.compare);
    return names as NamesIn<E>;
  };
  return { source: scanSource(where, path, scanSettingsOf({}), options), each, result };
}

function nameBytes({ name, bytes }: DirectoryEntry): Uint8Array {
  if (bytes === undefined) return Buffer.from(name, 'utf8');
  return bytes.subarray(bytes.lastIndexOf(0x2f) + 1);
}

export type FindOptions = Omit<ScanOptions, 'match' | 'recursive'>;

export function findSummary(
  where: Where,
  path: PathLike,
  patterns: string | readonly string[],
  options: FindOptions,
): Summary<string[]> {
  checkDirectoryOptions(options);
  const dotfiles = trueOrFalse(options.dotfiles, 'options.dotfiles');
  const match = new Glob(patterns, 'patterns', { dotfiles });
  const kinds = options.kinds ?? ['file'];
  const settings = { ...scanSettingsOf({ ...options, kinds, recursive: true }), match };
  const found: string[] = [];
  const each = (entries: readonly DirectoryEntry[]): void => {
    for (const { path: one } of entries) found.push(one);
  };
  return { source: scanSource(where, path, settings, options), each, result: () => found.sort() };
}

export function countSummary(
  where: Where,
  path: PathLike,
  options: ScanOptions,
): Summary<DirectoryCount> {
  const settings = scanSettingsOf(options);
  const count = { files: 0, directories: 0, symlinks: 0, others: 0, total: 0 };
  const each = (entries: readonly DirectoryEntry[]): void => {
    count.total += entries.length;
    for (const { kind } of entries) {
      if (kind === 'file') count.files++;
      else if (kind === 'directory') count.directories++;
      else if (kind === 'symlink') count.symlinks++;
      else count.others++;
    }
  };
  return { source: scanSource(where, path, settings, options), each, result: () => count };
}

/** Makes a summary. */
export async function summed<T>({ source, each, result }: Summary<T>): Promise<T> {
  await forEachBatch(source, each);
  return result();
}

/** As `summed`, on the calling thread. */
export function summedSync<T>({ source, each, result }: Summary<T>): T {
  forEachBatchSync(source, each);
  return result();
}

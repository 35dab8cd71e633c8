/**
 * Directories that survive: made, emptied, moved and removed so that a power cut after the call
 * changes nothing; looked through by the hundred thousand; and roots that no path leads out of.
 * Hides descriptors of directories: every name is seen from one that is held open.
 *
 * Invariants: 1. After a durable call has resolved, a power cut leaves what it did: the directory
 *                that a name was made in or taken from has been synced since.
 *             2. Removing and scanning never go through a symbolic link, whoever plants one
 *                meanwhile: directories are opened from the one above, O_NOFOLLOW.
 *             3. No path leads out of a `Root`, and nobody who changes directories meanwhile makes
 *                it: what is opened is what was looked at.
 *             4. No glob takes more than its length times that of what it is matched with.
 *             5. A move to another file system is a durable copy, then a removal.
 * Not promised: atomicity of anything but one rename; that directories which stood before a call
 * were durable; the order of a scan, and whether it sees what changes meanwhile.
 * Source: openat2(2), getdents64(2), rename(2), fsync(2); path_resolution(7)
 */

import type { Buffers } from './buffers.js';
import {
  Batch,
  type BatchCopyOptions,
  BatchError,
  type BatchOperation,
  type BatchOptions,
  type BatchReport,
  type BatchWriteOptions,
} from './directory/batch.js';
import {
  countSummary,
  type DirectoryCount,
  type FindOptions,
  findSummary,
  type ListOptions,
  listSummary,
  makeDirectoryCall,
  moveFileCall,
  type NameEncoding,
  type NamesIn,
  removeFileCall,
  removeTreeCall,
  type ScanOptions,
  type Summary,
  scanSettingsOf,
  scanSource,
  summed,
  summedSync,
} from './directory/calls.js';
import type { DirectoryEntry } from './directory/found.js';
import { Jail, kernelResolves, type Resolution } from './directory/jail.js';
import type { MakeDirectoryReport } from './directory/make.js';
import type { MoveReport } from './directory/move.js';
import {
  type AppendOptions,
  type AppendReport,
  appendFileCall,
  readFileCall,
  type StatFileOptions,
  statFileCall,
  syncDirectoryCall,
} from './directory/once.js';
import {
  checkDirectoryOptions,
  type DirectoryOptions,
  type DurableOptions,
  type MakeDirectoryOptions,
  type MoveOptions,
  type RemoveOptions,
} from './directory/options.js';
import type { RemoveFileReport, RemoveTreeReport } from './directory/remove.js';
import { Root, type RootExplanation, type StatOptions } from './directory/root.js';
import { DirectoryScan, DirectoryScanSync, type ScanSource } from './directory/scans.js';
import { Anywhere } from './directory/where.js';
import { drive, driveSync, type Engine, engineOf, type Steps } from './engine.js';
import { IoError, invalidValue } from './errors.js';
import { type FileStat, signalOf } from './file.js';
import { holdSteps } from './held.js';
import { type PathLike, placeOf } from './platform.js';

export type {
  AppendOptions,
  AppendReport,
  BatchCopyOptions,
  BatchOperation,
  BatchOptions,
  BatchReport,
  BatchWriteOptions,
  DirectoryCount,
  DirectoryEntry,
  DirectoryOptions,
  DurableOptions,
  FindOptions,
  ListOptions,
  MakeDirectoryOptions,
  MakeDirectoryReport,
  MoveOptions,
  MoveReport,
  NameEncoding,
  NamesIn,
  RemoveFileReport,
  RemoveOptions,
  RemoveTreeReport,
  RootExplanation,
  ScanOptions,
  StatFileOptions,
  StatOptions,
};
export { Batch, BatchError, DirectoryScan, DirectoryScanSync, Root };

type Make<T> = (where: Anywhere) => Steps<T>;

async function later<T>(options: DirectoryOptions, make: Make<T>): Promise<T> {
  const engine = engineOf(options?.engine);
  return drive(engine, make(new Anywhere(engine)), signalOf(options));
}

function now<T>(options: DirectoryOptions, make: Make<T>): T {
  const engine = engineOf(options?.engine);
  return driveSync(engine, make(new Anywhere(engine)));
}

/* ------------------------------------------------------------------------- making and removing */

/**
 * Makes a directory, and those above it that are absent.
 *
 * Shapes: `recursive: false` makes the last one only, and rejects with `EEXIST` where it is.
 * Order: others may make the same directories at the same time; the report names those made here.
 * Durable: by default every level that was made, here or by somebody else meanwhile, and the last
 * one in any case, survives a power cut. Directories that stood before are taken as they are.
 * Errors: `TypeError`, `RangeError` for bad input; `IoError`: `EEXIST` where something stands that
 * is no directory; `durable: 'unknown'` when only a sync failed; `AbortError`.
 */
export function makeDirectory(
  path: PathLike,
  options: MakeDirectoryOptions = {},
): Promise<MakeDirectoryReport> {
  return later(options, (where) => makeDirectoryCall(where, path, options));
}

/** As `makeDirectory`, on the calling thread. Durable: as there. Errors: as there. */
export function makeDirectorySync(
  path: PathLike,
  options: MakeDirectoryOptions = {},
): MakeDirectoryReport {
  return now(options, (where) => makeDirectoryCall(where, path, options));
}

/**
 * Removes one name of anything but a directory: the name itself, wherever a link leads.
 *
 * Durable: by default the name stays gone after a power cut.
 * Errors: `TypeError` for bad input; `IoError`: `ENOENT` unless `mustExist` is false, `EISDIR`;
 * `durable: 'unknown'` when only the sync failed; `AbortError`.
 */
export function removeFile(path: PathLike, options: RemoveOptions = {}): Promise<RemoveFileReport> {
  return later(options, (where) => removeFileCall(where, path, options));
}

/** As `removeFile`, on the calling thread. Durable: as there. Errors: as there. */
export function removeFileSync(path: PathLike, options: RemoveOptions = {}): RemoveFileReport {
  return now(options, (where) => removeFileCall(where, path, options));
}

/**
 * Removes a directory with all that is in it, or one file. Never goes through a symbolic link.
 *
 * Order: others may remove the same tree at the same time; the report counts what was removed here.
 * Durable: by default the tree stays gone after a power cut. Cut before, any part may be left.
 * Errors: `TypeError` for bad input; `IoError`, the first refusal, what was removed by then is
 * gone; `ENOENT` with `mustExist`; `AbortError`.
 */
export function removeTree(path: PathLike, options: RemoveOptions = {}): Promise<RemoveTreeReport> {
  return later(options, (where) => removeTreeCall(where, path, options));
}

/** As `removeTree`, on the calling thread. Durable: as there. Errors: as there. */
export function removeTreeSync(path: PathLike, options: RemoveOptions = {}): RemoveTreeReport {
  return now(options, (where) => removeTreeCall(where, path, options));
}

/**
 * Gives a file or a directory another name. A link is moved itself.
 *
 * Order: readers find the old name or the new one, never neither, on one file system.
 * Durable: by default the new name is there and the old one gone after a power cut; the content is
 * as durable as it was.
 * Errors: `TypeError` for bad input; `IoError`: `EEXIST` with `replace: false`; `durable:
 * 'unknown'` when only a sync failed; `AbortError`.
 */
export function moveFile(
  source: PathLike,
  target: PathLike,
  options: MoveOptions = {},
): Promise<MoveReport> {
  return later(options, (where) => moveFileCall(where, source, target, options));
}

/** As `moveFile`, on the calling thread. Durable: as there. Errors: as there. */
export function moveFileSync(
  source: PathLike,
  target: PathLike,
  options: MoveOptions = {},
): MoveReport {
  return now(options, (where) => moveFileCall(where, source, target, options));
}

/**
 * Changes to be made in order, with one sync for each directory at the end of them.
 *
 * Errors: `TypeError` for bad input.
 */
export function batch(options: BatchOptions = {}): Batch {
  return new Batch(options);
}

/* -------------------------------------------------------------------------------------- looking */

/**
 * The names in a directory, sorted.
 *
 * Errors: `TypeError` for bad input; `IoError`; `AbortError`.
 */
export function listDirectory<E extends NameEncoding = 'utf8'>(
  path: PathLike,
  options: ListOptions<E> = {},
): Promise<NamesIn<E>> {
  return laterSummed(options, (where) => listSummary(where, path, options));
}

/** As `listDirectory`, on the calling thread. Errors: as `listDirectory`. */
export function listDirectorySync<E extends NameEncoding = 'utf8'>(
  path: PathLike,
  options: ListOptions<E> = {},
): NamesIn<E> {
  return summedSync(listSummary(anywhere(options), path, options));
}

function anywhere(options: DirectoryOptions): Anywhere {
  return new Anywhere(engineOf(options?.engine));
}

async function laterSummed<T>(
  options: DirectoryOptions,
  make: (where: Anywhere) => Summary<T>,
): Promise<T> {
  return summed(make(anywhere(options)));
}

function sourceOf(path: PathLike, options: ScanOptions): ScanSource {
  return scanSource(anywhere(options), path, scanSettingsOf(options), options);
}

/**
 * What is in a directory, and with `recursive` below it, as it is read: names, paths, kinds.
 *
 * Shapes: loop over it with `for await`, or over its `batches()`, which cost one promise for
 * hundreds of entries.
 * Order: that of the file system; a directory before what is in it.
 * Lifetime: descriptors are held while a loop is under way, also one that was left by `break`.
 * Errors: `TypeError`, `RangeError` for bad input, at once; in the loop `IoError`, `AbortError`. A
 * directory that is gone by the time it is read is no error.
 */
export function scanDirectory(path: PathLike, options: ScanOptions = {}): DirectoryScan {
  return new DirectoryScan(sourceOf(path, options));
}

/** As `scanDirectory`, on the calling thread. Errors: as `scanDirectory`. */
export function scanDirectorySync(path: PathLike, options: ScanOptions = {}): DirectoryScanSync {
  return new DirectoryScanSync(sourceOf(path, options));
}

/**
 * How many names of which kind are in a directory, and with `recursive` below it.
 *
 * Errors: as `scanDirectory`.
 */
export function countDirectory(path: PathLike, options: ScanOptions = {}): Promise<DirectoryCount> {
  return laterSummed(options, (where) => countSummary(where, path, options));
}

/** As `countDirectory`, on the calling thread. Errors: as `scanDirectory`. */
export function countDirectorySync(path: PathLike, options: ScanOptions = {}): DirectoryCount {
  return summedSync(countSummary(anywhere(options), path, options));
}

/**
 * The paths of the files below a directory that match a glob, sorted.
 *
 * Shapes: `*`, `?`, `[a-z]`, `[!a-z]` within a name, `**` for any directories, `{a,b}` for either,
 * `\` before a character that stands for itself. Patterns begin at the directory; one that ends in
 * `/` finds directories. Wildcards pass over names that begin with a dot, unless `dotfiles`.
 * Symbolic links are neither found nor followed, unless `kinds` has `symlink`: then found.
 * Errors: `TypeError`, `RangeError` for bad input, also for braces that stand for more than 1024
 * patterns; else as `scanDirectory`.
 */
export function findFiles(
  path: PathLike,
  patterns: string | readonly string[],
  options: FindOptions = {},
): Promise<string[]> {
  return laterSummed(options, (where) => findSummary(where, path, patterns, options));
}

/** As `findFiles`, on the calling thread. Errors: as `findFiles`. */
export function findFilesSync(
  path: PathLike,
  patterns: string | readonly string[],
  options: FindOptions = {},
): string[] {
  return summedSync(findSummary(anywhere(options), path, patterns, options));
}

/* -------------------------------------------------------------------------- without a handle */

/**
 * The content of a file.
 *
 * Errors: `TypeError` for bad input; `IoError`, of kind `wrong-type` for what is no file.
 */
export function readFile(path: PathLike, options: DirectoryOptions = {}): Promise<Uint8Array> {
  return later(options, (where) => readFileCall(where, path, options));
}

/** As `readFile`, on the calling thread. Errors: as `readFile`. */
export function readFileSync(path: PathLike, options: DirectoryOptions = {}): Uint8Array {
  return now(options, (where) => readFileCall(where, path, options));
}

/**
 * Adds to the end of a file, which is made where it is absent, and tells where that landed.
 *
 * Durable: by default, when the promise resolves, a power cut leaves the bytes, and the name of a
 * file that was made; before, any part of them.
 * Lifetime: views are the library's until the promise settles.
 * Errors: `TypeError`, `RangeError` for bad input; `IoError` with `bytesDone`; `AbortError`.
 */
export function appendFile(
  path: PathLike,
  data: string | Buffers,
  options: AppendOptions = {},
): Promise<AppendReport> {
  return later(options, (where) => appendFileCall(where, path, data, options));
}

/** As `appendFile`, on the calling thread. Durable: as there. Errors: as there. */
export function appendFileSync(
  path: PathLike,
  data: string | Buffers,
  options: AppendOptions = {},
): AppendReport {
  return now(options, (where) => appendFileCall(where, path, data, options));
}

/** What a file, a directory or, with `followSymlink: false`, a link is. Errors: `IoError`. */
export function statFile(path: PathLike, options: StatFileOptions = {}): Promise<FileStat> {
  return later(options, (where) => statFileCall(where, path, options));
}

/** As `statFile`, on the calling thread. Errors: as `statFile`. */
export function statFileSync(path: PathLike, options: StatFileOptions = {}): FileStat {
  return now(options, (where) => statFileCall(where, path, options));
}

/** What a sync of a directory was. */
export interface SyncDirectoryReport {
  /** `none` where the system has no sync for directories; `fallbacks` says why. */
  readonly primitive: 'fsync' | 'none';
  readonly fallbacks: readonly { readonly what: string; readonly reason: string }[];
}

/**
 * Makes the names in a directory durable: those made, moved and removed by then.
 *
 * Durable: yes; not what is in the files.
 * Errors: `TypeError` for bad input; `IoError`.
 */
export function syncDirectory(
  path: PathLike,
  options: DirectoryOptions = {},
): Promise<SyncDirectoryReport> {
  return later(options, (where) => syncDirectoryCall(where, path, options));
}

/** As `syncDirectory`, on the calling thread. Errors: as `syncDirectory`. */
export function syncDirectorySync(
  path: PathLike,
  options: DirectoryOptions = {},
): SyncDirectoryReport {
  return now(options, (where) => syncDirectoryCall(where, path, options));
}

/* ---------------------------------------------------------------------------------------- roots */

export interface RootOptions extends DirectoryOptions {
  /**
   * `kernel`: paths are resolved by openat2(2), or the call rejects. `walk`: part by part. Default
   * `auto`: the first that is here; `explain()` tells which.
   */
  readonly resolve?: 'auto' | Resolution | undefined;
}

/**
 * Opens a directory as a root that no path leads out of: neither by `..`, nor by an absolute path,
 * nor by a symbolic link, nor by somebody who changes directories meanwhile.
 *
 * Lifetime: the root is held until `close`, wherever it is moved. A directory that somebody moves
 * out of it while a call is at work in it is still the one that call works in.
 * Errors: `TypeError` for bad input; `IoError`: of kind `unsupported` where names cannot be seen
 * from a directory that is held, or openat2(2) was demanded and is not here; `AbortError`.
 */
export async function openRoot(path: PathLike, options: RootOptions = {}): Promise<Root> {
  const engine = engineOf(options?.engine);
  return drive(engine, rootSteps(engine, path, options), signalOf(options));
}

/** As `openRoot`, on the calling thread. Errors: as `openRoot`. */
export function openRootSync(path: PathLike, options: RootOptions = {}): Root {
  const engine = engineOf(options?.engine);
  return driveSync(engine, rootSteps(engine, path, options));
}

const OPEN_ROOT = 'open the root';

function* rootSteps(engine: Engine, path: PathLike, options: RootOptions): Steps<Root> {
  checkDirectoryOptions(options);
  const { resolve = 'auto' } = options;
  if (!['auto', 'kernel', 'walk'].includes(resolve)) {
    throw invalidValue('options.resolve', "'auto', 'kernel' or 'walk'", resolve);
  }
  const place = placeOf(path).trimmed();
  const holds = engine.capabilities['held-directories'];
  if (holds !== true) throw unsupported(place.path, holds);
  const kernel = resolve === 'walk' ? 'it was asked for' : yield* kernelResolves(engine);
  if (resolve === 'kernel' && kernel !== true) throw unsupported(place.path, kernel);
  const root = yield* holdSteps(engine, place, 'all', OPEN_ROOT);
  const isKernel = kernel === true;
  const reason = isKernel ? 'openat2 answers' : kernel;
  return new Root(new Jail(engine, root, isKernel ? 'kernel' : 'walk'), reason);
}

function unsupported(path: string, words: string): IoError {
  return new IoError({ action: OPEN_ROOT, code: 'ENOTSUP', path, step: 'open', words });
}

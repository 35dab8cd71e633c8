/**
 * Copies: a file or a tree under a new name, by the best way the file system has, durably and whole
 * or not at all. Hides reflinks, copy_file_range(2), holes, and what each of them refuses.
 *
 * A copied file is a replace whose content comes from another file and whose traits are that
 * file's: exclusive temporary file -> content -> owner, attributes, mode, times -> fsync -> rename
 * -> fsync of the directory.
 *
 * Invariants: 1. Until the rename the target is untouched; every failure before it removes the
 *                temporary file and says `durable: 'old'`.
 *             2. What is copied is one state of the source: who writes to it meanwhile ends the
 *                copy (`ERR_SOURCE_CHANGED`), and a reflink takes one moment of it.
 *             3. No source makes a copy go on for ever: each step moves bytes, or is the last.
 *             4. Holes of the source are holes of the copy.
 * Not promised: that a change through a shared map (mmap(2)) is seen before the kernel writes it
 * back; a snapshot of a tree: each of its files is one state, all of them together are not.
 * Source: copy_file_range(2), ioctl_ficlone(2), lseek(2); coreutils 9.1, copy.c
 */

import type { CopyMethod } from './copy/content.js';
import {
  type CopyOptions,
  type CopyProgress,
  copySettingsOf,
  type Reflink,
} from './copy/options.js';
import { run, treeSteps } from './copy/run.js';
import { type CopyReport, copySteps, type Route } from './copy/single.js';
import { Tree } from './copy/tree.js';
import { CopyTreeError } from './copy/tree-error.js';
import {
  type CopyTreeOptions,
  type CopyTreeProgress,
  type CopyTreeReport,
  type TreeEntry,
  treeSettingsOf,
} from './copy/tree-options.js';
import { drive, driveSync, type Engine, engineOf, type Steps } from './engine.js';
import { type PathLike, signalOf } from './file.js';
import { Place, placeOf } from './platform.js';
import { inTurn } from './replace.js';

export type {
  CopyMethod,
  CopyOptions,
  CopyProgress,
  CopyReport,
  CopyTreeOptions,
  CopyTreeProgress,
  CopyTreeReport,
  Reflink,
  TreeEntry,
};
export { CopyTreeError, copySettingsOf, copySteps };

function routeOf(source: PathLike, target: PathLike): Route {
  return { source: placeOf(source, 'source'), target: placeOf(target, 'target') };
}

/**
 * Copies a file: content with its holes, permissions, ACLs, attributes, and the owner where the
 * system lets us.
 *
 * Units: `bytes` of the report is the length of the copy.
 * Order: takes turns with replaces of the target in this process.
 * Durable: by default, when the promise resolves, a power cut leaves the copy; before, what stood
 * there, or the copy, whole. Told by `report.durability`.
 * Errors: `TypeError`, `RangeError` for bad input before anything happens; `IoError` with `step`
 * and `durable`, as of `replaceFile`: of kind `wrong-type` for a source that is not a regular file,
 * `busy` when it changed meanwhile, `invalid` when source and target are one file, `exists` with
 * `replace: false`; `AbortError` with `bytesDone`; what `onProgress` throws. No temporary file is
 * left in any case.
 */
export async function copyFile(
  source: PathLike,
  target: PathLike,
  options: CopyOptions = {},
): Promise<CopyReport> {
  const settings = copySettingsOf(options);
  const route = routeOf(source, target);
  const engine = engineOf(options.engine);
  const signal = signalOf(options);
  return inTurn(route.target, () => drive(engine, copySteps(engine, route, settings), signal));
}

/**
 * As `copyFile`, on the calling thread, and not in turn with what is under way.
 *
 * Durable: as `copyFile`.
 * Errors: as `copyFile`.
 */
export function copyFileSync(
  source: PathLike,
  target: PathLike,
  options: CopyOptions = {},
): CopyReport {
  const settings = copySettingsOf(options);
  const route = routeOf(source, target);
  const engine = engineOf(options.engine);
  return driveSync(engine, copySteps(engine, route, settings));
}

/* A separator at the end says no more than that it is a directory. */
function rootOf(path: PathLike, argument: string): Place {
  const place = placeOf(path, argument);
  const text = place.path.replace(/(?<=.)\/+$/, '');
  return text === place.path ? place : new Place(text, place.encoding);
}

function treeOf(source: PathLike, target: PathLike, options: CopyTreeOptions): Tree {
  const settings = treeSettingsOf(options);
  const route = { source: rootOf(source, 'source'), target: rootOf(target, 'target') };
  return new Tree(engineOf(options.engine), route, settings);
}

/**
 * Copies a directory and all in it: files as `copyFile` does, links as links, hard links as hard
 * links of the copy; directories with their permissions, ACLs, attributes, owner.
 *
 * A file that has a name twice in the tree is copied once. FIFOs, sockets and devices end the copy
 * unless `special: 'skip'`. Into a target that exists the tree is merged: directories that stand
 * there keep their traits, nothing is removed, and a symbolic link there is never followed.
 *
 * Order: the files of a directory before its directories; several at the same time, see
 * `concurrency`.
 * Durable: when the promise resolves, a power cut leaves the whole copy; before, any part of it,
 * each file old, absent or whole. Each directory is synced once, after all that is in it.
 * Errors: `TypeError`, `RangeError` for bad input before anything happens; of kind `invalid` for a
 * target that is the source or lies in it, before anything is made; `CopyTreeError`, an `IoError`
 * with `completed`, for the first failure: what is under way then ends, what has not begun does
 * not, and what was copied stays; `AbortError` with `completed`; what `filter` and `onProgress`
 * throw.
 */
export async function copyTree(
  source: PathLike,
  target: PathLike,
  options: CopyTreeOptions = {},
): Promise<CopyTreeReport> {
  const tree = treeOf(source, target, options);
  return run(tree, signalOf(options));
}

/**
 * As `copyTree`, on the calling thread, one thing after the other; `filter` has to answer at once.
 *
 * Durable: as `copyTree`.
 * Errors: as `copyTree`.
 */
export function copyTreeSync(
  source: PathLike,
  target: PathLike,
  options: CopyTreeOptions = {},
): CopyTreeReport {
  const tree = treeOf(source, target, options);
  return driveSync(tree.engine, treeSteps(tree));
}

/** The steps of `copyTreeSync`, between places. Errors: as there. */
export function copyTreeSteps(
  engine: Engine,
  route: Route,
  options: CopyTreeOptions,
): Steps<CopyTreeReport> {
  return treeSteps(new Tree(engine, route, treeSettingsOf(options)));
}

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
import { type CopyReport, copySteps, type Route } from './copy/single.js';
import { drive, driveSync, engineOf } from './engine.js';
import { type PathLike, signalOf } from './file.js';
import { placeOf } from './platform.js';
import { inTurn } from './replace.js';

export type { CopyMethod, CopyOptions, CopyProgress, CopyReport, Reflink };

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

/** Both faces of a copy, sources with holes, and the map of a file. */
import { ok } from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { TestContext } from 'node:test';
import {
  type CopyOptions,
  type CopyReport,
  copyFile,
  copyFileSync,
  type Engine,
  IoError,
  type PathLike,
} from 'holdfast';
import { Code, Operation, SEEK_DATA, SEEK_HOLE } from '#holdfast/platform.js';
import {
  type EngineWord,
  engineHere,
  engineWords,
  onEngines,
  wordsFor,
} from '../replace/worlds.js';

export type CopyFace = 'copyFile' | 'copyFileSync';
export const copyFaces: readonly CopyFace[] = ['copyFile', 'copyFileSync'];

export type Copy = (
  source: PathLike,
  target: PathLike,
  options?: CopyOptions,
) => Promise<CopyReport>;

/** A face as a promise, on an engine that may be a wrapped one. */
export function copyWith(face: CopyFace, engine: Engine): Copy {
  return async (source, target, options = {}) => {
    const all = { ...options, engine };
    return face === 'copyFile' ? copyFile(source, target, all) : copyFileSync(source, target, all);
  };
}

export { type EngineWord, engineHere as engineOr, engineWords, onEngines, wordsFor };

/** The faces of an engine. */
export function facesOn({ name }: Engine): readonly CopyFace[] {
  return name === 'ring' ? ['copyFile'] : copyFaces;
}

/** One test for each face on each engine. */
export function copying(
  criterion: string,
  run: (t: TestContext, copy: Copy, engine: Engine) => void | Promise<void>,
): void {
  for (const face of copyFaces) {
    const name = `${face}() ${criterion}`;
    onEngines(name, (t, engine) => run(t, copyWith(face, engine), engine), wordsFor(face));
  }
}

/** Where bytes lie. */
export type Extent = readonly [start: number, end: number];

const KIBIBYTE = 1024;

/*
 * Holes before, between and behind. Of less than 64 KiB file systems make data of their own while
 * the page cache is dirty: a map read then would differ from one read later.
 */
export const SPARSE: readonly Extent[] = [
  [64 * KIBIBYTE, 128 * KIBIBYTE],
  [320 * KIBIBYTE, 384 * KIBIBYTE],
  [1024 * KIBIBYTE, 3072 * KIBIBYTE],
];
export const SPARSE_BYTES: number = 5000 * KIBIBYTE;

/** Makes a file with these extents and holes between. */
export function makeSparse(path: string, extents: readonly Extent[], size: number): void {
  const fd = openSync(path, 'w');
  for (const [index, [start, end]] of extents.entries()) {
    writeSync(fd, Buffer.alloc(end - start, 1 + index), 0, end - start, start);
  }
  ftruncateSync(fd, size);
  closeSync(fd);
}

/** The extents of a file as lseek(2) tells them. */
export function extentsOf(path: string): Extent[] {
  const engine = engineHere('pool');
  ok(typeof engine !== 'string', `needs the addon: ${engine}`);
  const fd = openSync(path, 'r');
  const seek = (whence: number, offset: number): number => {
    const operation = Object.assign(new Operation(Code.Seek), { fd, flags: whence, offset });
    engine.perform(operation);
    return operation.result;
  };
  const extents: Extent[] = [];
  for (let at = seek(SEEK_DATA, 0); at >= 0; ) {
    const end = seek(SEEK_HOLE, at);
    extents.push([at, end]);
    at = seek(SEEK_DATA, end);
  }
  closeSync(fd);
  return extents;
}

/** The refusal of a copy. */
export async function refusedCopy(done: Promise<unknown>): Promise<IoError> {
  try {
    await done;
  } catch (error) {
    ok(error instanceof IoError, `not refused with an IoError: ${error}`);
    ok(error.kind !== 'unknown' && error.step !== undefined, `${error.code} is known`);
    return error;
  }
  throw new Error('the copy was not refused');
}

/** What could not be kept or done, by name. */
export function notedIn({ fallbacks }: CopyReport): string[] {
  return fallbacks.map(({ what }) => what);
}

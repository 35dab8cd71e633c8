/** Both faces of a copy, sources with holes, and the map of a file. */
import { ok } from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import {
  type CopyOptions,
  type CopyReport,
  copyFile,
  copyFileSync,
  type Engine,
  IoError,
  type PathLike,
} from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { Code, Operation, SEEK_DATA, SEEK_HOLE } from '#holdfast/platform.js';
import { engineHere } from '../replace/worlds.js';

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

export type EngineWord = 'ring' | 'pool' | 'portable';
export const engineWords: readonly EngineWord[] = ['ring', 'pool', 'portable'];

/** An engine, or the reason why it is not here. */
export function engineOr(word: EngineWord): Engine | string {
  try {
    return engineNamed(word);
  } catch (error) {
    return (error as Error).message;
  }
}

/** One test on each engine; where an engine is missing it is skipped aloud. */
export function onEngines(
  name: string,
  run: (t: TestContext, engine: Engine) => void | Promise<void>,
  words: readonly EngineWord[] = engineWords,
): void {
  for (const word of words) {
    test(`${name} (${word})`, async (t) => {
      const engine = engineOr(word);
      if (typeof engine !== 'string') return run(t, engine);
      t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
      t.skip(engine);
    });
  }
}

/** The engines of a face: on the calling thread the ring is the pool. */
export function wordsFor(face: string): readonly EngineWord[] {
  return face.endsWith('Sync') ? ['pool', 'portable'] : engineWords;
}

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

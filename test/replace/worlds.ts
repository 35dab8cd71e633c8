/** Every engine and both faces of a replace; a criterion that holds has to hold in all of them. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { lstatSync, readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import {
  type Buffers,
  type Engine,
  IoError,
  type PathLike,
  type Pieces,
  type ReplaceOptions,
  type ReplaceReport,
  replaceFile,
  replaceFileSync,
} from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';

export type Face = 'replaceFile' | 'replaceFileSync';
export type EngineWord = 'ring' | 'pool' | 'portable';

export const faces: readonly Face[] = ['replaceFile', 'replaceFileSync'];
export const engineWords: readonly EngineWord[] = ['ring', 'pool', 'portable'];

/** The engines of a face: on the calling thread the ring is the pool. */
export function wordsFor(face: string): readonly EngineWord[] {
  return face.endsWith('Sync') ? ['pool', 'portable'] : engineWords;
}

/** The faces of an engine. */
export function facesOn({ name }: { readonly name: string }): readonly Face[] {
  return faces.filter((face) => wordsFor(face).includes(name as EngineWord));
}

export type Replace = (
  path: PathLike,
  data: string | Buffers,
  options?: ReplaceOptions,
) => Promise<ReplaceReport>;

/** One face on one engine. */
export interface World {
  readonly face: Face;
  readonly engine: Engine;
  readonly replace: Replace;
}

/** The face as a promise, on an engine that may be a wrapped one. */
export function worldOf(face: Face, engine: Engine): World {
  const replace: Replace = async (path, data, options = {}) => {
    const all = { ...options, engine };
    return face === 'replaceFile' ? replaceFile(path, data, all) : replaceFileSync(path, data, all);
  };
  return { face, engine, replace };
}

/** The engine, or the reason why it is not here. */
export function engineHere(word: EngineWord): Engine | string {
  try {
    return engineNamed(word);
  } catch (error) {
    return (error as Error).message;
  }
}

/** Why an engine is not here, in the words of `skip`; false where it is. */
export function missingHere(word: EngineWord): string | false {
  const engine = engineHere(word);
  return typeof engine === 'string' && engine;
}

type Run<T> = (t: TestContext, world: T) => void | Promise<void>;

/** One test on each engine; where an engine is missing it is skipped aloud. */
export function onEngines(
  name: string,
  run: Run<Engine>,
  words: readonly EngineWord[] = engineWords,
): void {
  for (const word of words) {
    test(`${name} (${word})`, async (t) => {
      const engine = engineHere(word);
      if (typeof engine !== 'string') return run(t, engine);
      t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
      t.skip(engine);
    });
  }
}

/** One test for each face on each engine. `criterion` goes on after the name of the face. */
export function everywhere(criterion: string, run: Run<World>): void {
  for (const face of faces) {
    const name = `${face}() ${criterion}`;
    onEngines(name, (t, engine) => run(t, worldOf(face, engine)), wordsFor(face));
  }
}

/** Pieces that come one by one, each in a later turn of the loop. */
export async function* pieces(...all: readonly (string | Buffers)[]): Pieces {
  for (const piece of all) {
    await new Promise((resolve) => setImmediate(resolve));
    yield piece;
  }
}

export interface Expected {
  readonly code: string;
  readonly kind?: string;
  readonly step?: string;
  readonly durable?: string;
  readonly path?: string;
  readonly bytesDone?: number;
}

/** Awaits the refusal of a replace: an `IoError` that tells all a caller needs to know. */
export async function refusalOf(done: Promise<unknown>, expected: Expected): Promise<IoError> {
  let error: unknown;
  try {
    await done;
  } catch (thrown) {
    error = thrown;
  }
  ok(error instanceof IoError, `not refused with an IoError: ${error}`);
  const told: Record<string, unknown> = {};
  for (const key of Object.keys(expected)) told[key] = error[key as keyof IoError];
  deepEqual({ durable: error.durable, ...told }, { durable: 'old', ...expected });
  ok(error.step, 'a refusal names its step');
  ok(error.path, 'a refusal names its path');
  ok(error.kind !== 'unknown', `the code ${error.code} has a kind`);
  return error;
}

/** Names of files under construction in a directory. */
export function temporaries(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.endsWith('.tmp'));
}

/** Permission bits of a name, links not followed. */
export function modeAt(path: string): number {
  return lstatSync(path).mode & 0o7777;
}

/** Whether the process may do anything: the reason why not, for a skip. */
function rootRefusal(): string | undefined {
  return process.getuid?.() === 0 ? undefined : 'needs root: owners, mounts and devices';
}

/** Skips aloud where the process is not root. */
export function needsRoot(t: TestContext): boolean {
  const refusal = rootRefusal();
  if (refusal === undefined) return true;
  t.diagnostic(`NOT TESTED: ${refusal}`);
  t.skip(refusal);
  return false;
}

/** Fails unless the report has these fields. */
export function reports(report: ReplaceReport, expected: Partial<ReplaceReport>): void {
  for (const [key, value] of Object.entries(expected)) {
    deepEqual(report[key as keyof ReplaceReport], value, `report.${key}`);
  }
}

/** What could not be kept, by name. */
export function fallbacksIn({ fallbacks }: ReplaceReport): string[] {
  for (const { reason } of fallbacks) equal(typeof reason, 'string');
  return fallbacks.map(({ what }) => what);
}

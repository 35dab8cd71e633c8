/** Every engine and both faces of the calls on directories. */
import { type TestContext, test } from 'node:test';
import {
  type Batch,
  type BatchReport,
  countDirectory,
  countDirectorySync,
  type DirectoryCount,
  type DirectoryEntry,
  type Engine,
  type FindOptions,
  findFiles,
  findFilesSync,
  IoError,
  listDirectory,
  listDirectorySync,
  type MakeDirectoryOptions,
  type MakeDirectoryReport,
  type MoveOptions,
  type MoveReport,
  makeDirectory,
  makeDirectorySync,
  moveFile,
  moveFileSync,
  openRoot,
  openRootSync,
  type PathLike,
  type RemoveFileReport,
  type RemoveOptions,
  type RemoveTreeReport,
  type Root,
  type RootOptions,
  removeFile,
  removeFileSync,
  removeTree,
  removeTreeSync,
  type ScanOptions,
  scanDirectory,
  scanDirectorySync,
} from 'holdfast';
import { type EngineWord, engineHere, engineWords } from '../replace/worlds.js';

export type Face = 'async' | 'sync';

/** The calls on one engine and one face, all of them as promises. */
export class Doors {
  readonly face: Face;
  readonly engine: Engine;

  constructor(face: Face, engine: Engine) {
    this.face = face;
    this.engine = engine;
  }

  get #isSync(): boolean {
    return this.face === 'sync';
  }

  async make(path: PathLike, options: MakeDirectoryOptions = {}): Promise<MakeDirectoryReport> {
    const all = { ...options, engine: this.engine };
    return this.#isSync ? makeDirectorySync(path, all) : makeDirectory(path, all);
  }

  async removeFile(path: PathLike, options: RemoveOptions = {}): Promise<RemoveFileReport> {
    const all = { ...options, engine: this.engine };
    return this.#isSync ? removeFileSync(path, all) : removeFile(path, all);
  }

  async removeTree(path: PathLike, options: RemoveOptions = {}): Promise<RemoveTreeReport> {
    const all = { ...options, engine: this.engine };
    return this.#isSync ? removeTreeSync(path, all) : removeTree(path, all);
  }

  async move(source: PathLike, target: PathLike, options: MoveOptions = {}): Promise<MoveReport> {
    const all = { ...options, engine: this.engine };
    return this.#isSync ? moveFileSync(source, target, all) : moveFile(source, target, all);
  }

  async list(path: PathLike): Promise<string[]> {
    const options = { engine: this.engine };
    return this.#isSync ? listDirectorySync(path, options) : listDirectory(path, options);
  }

  async scan(path: PathLike, options: ScanOptions = {}): Promise<DirectoryEntry[]> {
    const all = { ...options, engine: this.engine };
    if (this.#isSync) return [...scanDirectorySync(path, all)];
    const entries: DirectoryEntry[] = [];
    for await (const entry of scanDirectory(path, all)) entries.push(entry);
    return entries;
  }

  async find(
    path: PathLike,
    patterns: string | readonly string[],
    options: FindOptions = {},
  ): Promise<string[]> {
    const all = { ...options, engine: this.engine };
    return this.#isSync ? findFilesSync(path, patterns, all) : findFiles(path, patterns, all);
  }

  async count(path: PathLike, options: ScanOptions = {}): Promise<DirectoryCount> {
    const all = { ...options, engine: this.engine };
    return this.#isSync ? countDirectorySync(path, all) : countDirectory(path, all);
  }

  async run(batch: Batch): Promise<BatchReport> {
    return this.#isSync ? batch.runSync() : batch.run();
  }

  async root(path: PathLike, options: RootOptions = {}): Promise<Root> {
    const all = { ...options, engine: this.engine };
    return this.#isSync ? openRootSync(path, all) : openRoot(path, all);
  }
}

type Run = (t: TestContext, doors: Doors) => void | Promise<void>;

/**
 * One test for each face on each engine; where an engine is missing it is skipped aloud. What waits
 * on a ring is done by the pool, so that its waiting face would be the same test again.
 */
export function onAllDoors(name: string, run: Run): void {
  for (const word of engineWords) {
    for (const face of ['async', 'sync'] as const) {
      if (face === 'sync' && word === 'ring') continue;
      test(`${name} (${word}, ${face})`, (t) => runOn(t, word, face, run));
    }
  }
}

async function runOn(t: TestContext, word: EngineWord, face: Face, run: Run): Promise<void> {
  const engine = engineHere(word);
  if (typeof engine !== 'string') return run(t, new Doors(face, engine));
  t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
  t.skip(engine);
}

/** The refusal of a call in short: `EEXIST exists make`, or what came instead. */
export async function refusedAs(done: Promise<unknown>): Promise<string> {
  try {
    await done;
    return 'not refused';
  } catch (error) {
    if (!(error instanceof IoError)) return String(error);
    return [error.code, error.kind, error.step].join(' ');
  }
}

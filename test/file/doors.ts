/**
 * The public doors of an open file in one shape, so that a test is written once and runs on each
 * engine by both faces: waiting and not.
 */
import { type TestContext, test } from 'node:test';
import {
  type Buffers,
  type CallOptions,
  type Engine,
  type FileStat,
  type OpenFile,
  type OpenOptions,
  openFile,
  openFileSync,
  type PathLike,
  type SyncReport,
} from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { FaultyEngine, type Judge } from './faults.js';

export type Face = 'async' | 'sync';
export const engineNames = ['ring', 'pool', 'portable'] as const;
export type EngineName = (typeof engineNames)[number];

/** What doors are opened with. */
export type Choices = Omit<OpenOptions, 'engine'>;

type Offset = number | bigint;

/** An engine by one face. A refusal of the waiting face arrives as a rejection too. */
export class Doors {
  readonly t: TestContext;
  readonly engine: Engine;
  readonly face: Face;

  constructor(t: TestContext, engine: Engine, face: Face) {
    this.t = t;
    this.engine = engine;
    this.face = face;
  }

  /** The same doors over an engine that refuses or falls short where `judge` says so. */
  judged(judge: Judge): Doors & { readonly engine: FaultyEngine } {
    const doors = new Doors(this.t, new FaultyEngine(this.engine, judge), this.face);
    return doors as Doors & { readonly engine: FaultyEngine };
  }

  /** Opens a file and closes it when the test ends. */
  async open(path: PathLike, choices: Choices = {}): Promise<OpenFile> {
    const options = { ...choices, engine: this.engine };
    const file = this.face === 'sync' ? openFileSync(path, options) : await openFile(path, options);
    this.t.after(() => file.close().catch(() => undefined));
    return file;
  }

  /** Opens a new file for reading and writing. */
  create(path: PathLike, choices: Choices = {}): Promise<OpenFile> {
    return this.open(path, { access: 'read-write', create: true, truncate: true, ...choices });
  }

  async readAt(file: OpenFile, buffers: Buffers, offset: Offset): Promise<number> {
    return this.#sync ? file.readAtSync(buffers, offset) : file.readAt(buffers, offset);
  }

  async writeAt(file: OpenFile, buffers: Buffers, offset: Offset): Promise<number> {
    return this.#sync ? file.writeAtSync(buffers, offset) : file.writeAt(buffers, offset);
  }

  async readSomeAt(file: OpenFile, buffers: Buffers, offset: Offset): Promise<number> {
    return this.#sync ? file.readSomeAtSync(buffers, offset) : file.readSomeAt(buffers, offset);
  }

  async writeSomeAt(file: OpenFile, buffers: Buffers, offset: Offset): Promise<number> {
    return this.#sync ? file.writeSomeAtSync(buffers, offset) : file.writeSomeAt(buffers, offset);
  }

  async append(file: OpenFile, buffers: Buffers): Promise<number> {
    return this.#sync ? file.appendSync(buffers) : file.append(buffers);
  }

  async readAll(file: OpenFile): Promise<Uint8Array> {
    return this.#sync ? file.readAllSync() : file.readAll();
  }

  async stat(file: OpenFile): Promise<FileStat> {
    return this.#sync ? file.statSync() : file.stat();
  }

  async truncate(file: OpenFile, length: Offset): Promise<void> {
    return this.#sync ? file.truncateSync(length) : file.truncate(length);
  }

  async sync(file: OpenFile): Promise<SyncReport> {
    return this.#sync ? file.syncSync() : file.sync();
  }

  async syncData(file: OpenFile): Promise<SyncReport> {
    return this.#sync ? file.syncDataSync() : file.syncData();
  }

  async close(file: OpenFile): Promise<void> {
    return this.#sync ? file.closeSync() : file.close();
  }

  /** Every call but `close`, each ready to be made: for files that are closed or broken. */
  everyCall(file: OpenFile): Readonly<Record<string, () => Promise<unknown>>> {
    const bytes = new Uint8Array(3);
    return {
      readAt: () => this.readAt(file, bytes, 0),
      readAtOfMany: () => this.readAt(file, [bytes, bytes], 0),
      writeAt: () => this.writeAt(file, bytes, 0),
      writeAtOfMany: () => this.writeAt(file, [bytes, bytes], 0),
      readSomeAt: () => this.readSomeAt(file, bytes, 0),
      writeSomeAt: () => this.writeSomeAt(file, bytes, 0),
      append: () => this.append(file, bytes),
      readAll: () => this.readAll(file),
      stat: () => this.stat(file),
      truncate: () => this.truncate(file, 0),
      sync: () => this.sync(file),
      syncData: () => this.syncData(file),
    };
  }

  get #sync(): boolean {
    return this.face === 'sync';
  }
}

/** The engine of a name; where it is not here the test is skipped aloud. */
export function engineFor(t: TestContext, name: EngineName): Engine | undefined {
  try {
    return engineNamed(name);
  } catch (error) {
    const reason = `engine ${name}: ${(error as Error).message}`;
    t.diagnostic(`NOT TESTED: ${reason}`);
    t.skip(reason);
    return undefined;
  }
}

/** One test for each engine and face. */
export function onAllDoors(name: string, body: (t: TestContext, doors: Doors) => unknown): void {
  for (const engineName of engineNames) {
    for (const face of ['async', 'sync'] as const) {
      test(`${name} (${engineName}, ${face})`, { timeout: 60_000 }, async (t) => {
        const engine = engineFor(t, engineName);
        if (engine !== undefined) await body(t, new Doors(t, engine, face));
      });
    }
  }
}

/** One test for each engine, for what only the face that does not wait has. */
export function onBothEngines(name: string, body: (t: TestContext, doors: Doors) => unknown): void {
  for (const engineName of engineNames) {
    test(`${name} (${engineName})`, { timeout: 60_000 }, async (t) => {
      const engine = engineFor(t, engineName);
      if (engine !== undefined) await body(t, new Doors(t, engine, 'async'));
    });
  }
}

export const abortable = (signal: AbortSignal): CallOptions => ({ signal });

/** A directory as a root: the calls of this room, and those on files, with nothing outside it. */

import type { Buffers } from '../buffers.js';
import { drive, driveSync, type Engine, type Steps } from '../engine.js';
import { IoError, trueOrFalse } from '../errors.js';
import {
  type CallOptions,
  type FileStat,
  fileSteps,
  type OpenFile,
  type OpenOptions,
  signalOf,
} from '../file.js';
import { letGo } from '../held.js';
import { OpenFlag, type PathLike } from '../platform.js';
import {
  type PieceSource,
  type ReplaceOptions,
  type ReplaceReport,
  replacePlace,
  replacePlaceSync,
} from '../replace.js';
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
  statCall,
  summed,
  summedSync,
} from './calls.js';
import type { Jail, Resolution } from './jail.js';
import type { MakeDirectoryReport } from './make.js';
import type { MoveReport } from './move.js';
import type {
  DirectoryOptions,
  MakeDirectoryOptions,
  MoveOptions,
  RemoveOptions,
} from './options.js';
import type { RemoveFileReport, RemoveTreeReport } from './remove.js';
import { DirectoryScan, DirectoryScanSync, type ScanSource } from './scans.js';
import type { Spot } from './where.js';

/** Options of a call in a root, whose engine is the root's. */
type Inside<T extends DirectoryOptions> = Omit<T, 'engine'>;

export interface StatOptions extends CallOptions {
  /** Look at what a symbolic link leads to (default), or at the link. */
  readonly followSymlink?: boolean | undefined;
}

/** How a root keeps paths beneath itself, and why. */
export interface RootExplanation {
  readonly path: string;
  readonly engine: string;
  /** `kernel`: openat2(2); `walk`: part by part, each opened from the one before. */
  readonly resolution: Resolution;
  readonly reason: string;
}

const OPEN = 'open the file';
const REPLACE = 'replace the file';

/**
 * A directory that no path leads out of. Made by `openRoot`.
 *
 * Paths begin at the root; a symbolic link is followed where it stays inside. Every call refuses an
 * absolute path, a part `..` and a link that leads out with an `IoError` of kind `escape`.
 */
export class Root {
  readonly path: string;
  readonly #jail: Jail;
  readonly #reason: string;
  #isClosed = false;
  #underWay = 0;
  #whenIdle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  /** For `openRoot`. */
  constructor(jail: Jail, reason: string) {
    this.#jail = jail;
    this.#reason = reason;
    this.path = jail.root.place.path;
  }

  /** True as soon as a close was asked for. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What keeps paths inside here, and why it is that. */
  explain(): RootExplanation {
    const { resolution, engine } = this.#jail;
    return { path: this.path, engine: engine.name, resolution, reason: this.#reason };
  }

  /** As `openFile`, inside. Errors: as there, and kind `escape`. */
  openFile(path: PathLike, options: Inside<OpenOptions> = {}): Promise<OpenFile> {
    return this.#later(options, () => this.#opened(path, options));
  }

  /** As `openFile`, on the calling thread. Errors: as `openFile`. */
  openFileSync(path: PathLike, options: Inside<OpenOptions> = {}): OpenFile {
    return this.#now(() => this.#opened(path, options));
  }

  /** The content of a file. Errors: as `openFile`. */
  async readFile(path: PathLike, options: CallOptions = {}): Promise<Uint8Array> {
    const file = await this.#later(options, () => this.#opened(path, {}));
    try {
      return await file.readAll(options);
    } finally {
      await file.close();
    }
  }

  /** As `readFile`, on the calling thread. Errors: as `openFile`. */
  readFileSync(path: PathLike): Uint8Array {
    const file = this.#now(() => this.#opened(path, {}));
    try {
      return file.readAllSync();
    } finally {
      file.closeSync();
    }
  }

  /**
   * As `replaceFile`, inside: relative to the directory that was found, whoever moves it meanwhile.
   *
   * Durable: as `replaceFile`.
   * Errors: as there, and kind `escape`.
   */
  async replaceFile(
    path: PathLike,
    data: string | Buffers | PieceSource,
    options: Inside<ReplaceOptions> = {},
  ): Promise<ReplaceReport> {
    const spot = await this.#later(options, () => this.#target(path, options));
    const { engine } = this.#jail;
    try {
      return await replacePlace(spot.place, data, { ...options, engine, followSymlink: false });
    } finally {
      await drive(engine, letGo(spot.parent));
    }
  }

  /** As `replaceFile`, on the calling thread. Durable: as `replaceFile`. Errors: as there. */
  replaceFileSync(
    path: PathLike,
    data: string | Buffers,
    options: Inside<ReplaceOptions> = {},
  ): ReplaceReport {
    const spot = this.#now(() => this.#target(path, options));
    const { engine } = this.#jail;
    try {
      return replacePlaceSync(spot.place, data, { ...options, engine, followSymlink: false });
    } finally {
      driveSync(engine, letGo(spot.parent));
    }
  }

  /** As `makeDirectory`, inside. Durable: as there. Errors: as there, and kind `escape`. */
  makeDirectory(
    path: PathLike,
    options: Inside<MakeDirectoryOptions> = {},
  ): Promise<MakeDirectoryReport> {
    return this.#later(options, () => makeDirectoryCall(this.#jail, path, options));
  }

  /** As `makeDirectory`, on the calling thread. Errors: as `makeDirectory`. */
  makeDirectorySync(
    path: PathLike,
    options: Inside<MakeDirectoryOptions> = {},
  ): MakeDirectoryReport {
    return this.#now(() => makeDirectoryCall(this.#jail, path, options));
  }

  /** As `removeFile`, inside. Durable: as there. Errors: as there, and kind `escape`. */
  removeFile(path: PathLike, options: Inside<RemoveOptions> = {}): Promise<RemoveFileReport> {
    return this.#later(options, () => removeFileCall(this.#jail, path, options));
  }

  /** As `removeFile`, on the calling thread. Errors: as `removeFile`. */
  removeFileSync(path: PathLike, options: Inside<RemoveOptions> = {}): RemoveFileReport {
    return this.#now(() => removeFileCall(this.#jail, path, options));
  }

  /** As `removeTree`, inside. Durable: as there. Errors: as there, and kind `escape`. */
  removeTree(path: PathLike, options: Inside<RemoveOptions> = {}): Promise<RemoveTreeReport> {
    return this.#later(options, () => removeTreeCall(this.#jail, path, options));
  }

  /** As `removeTree`, on the calling thread. Errors: as `removeTree`. */
  removeTreeSync(path: PathLike, options: Inside<RemoveOptions> = {}): RemoveTreeReport {
    return this.#now(() => removeTreeCall(this.#jail, path, options));
  }

  /** As `moveFile`, both names inside. Durable: as there. Errors: as there, and kind `escape`. */
  moveFile(
    source: PathLike,
    target: PathLike,
    options: Inside<MoveOptions> = {},
  ): Promise<MoveReport> {
    return this.#later(options, () => moveFileCall(this.#jail, source, target, options));
  }

  /** As `moveFile`, on the calling thread. Errors: as `moveFile`. */
  moveFileSync(source: PathLike, target: PathLike, options: Inside<MoveOptions> = {}): MoveReport {
    return this.#now(() => moveFileCall(this.#jail, source, target, options));
  }

  /** What a file is. Errors: `IoError`, of kind `escape` where the path leads out. */
  stat(path: PathLike, options: StatOptions = {}): Promise<FileStat> {
    return this.#later(options, () => statCall(this.#jail, path, options));
  }

  /** As `stat`, on the calling thread. Errors: as `stat`. */
  statSync(path: PathLike, options: StatOptions = {}): FileStat {
    return this.#now(() => statCall(this.#jail, path, options));
  }

  /** As `listDirectory`, inside; the root by default. Errors: as there, and kind `escape`. */
  listDirectory<E extends NameEncoding = 'utf8'>(
    path: PathLike = '.',
    options: Inside<ListOptions<E>> = {},
  ): Promise<NamesIn<E>> {
    return this.#laterSummed(() => listSummary<E>(this.#jail, path, options));
  }

  /** As `listDirectory`, on the calling thread. Errors: as `listDirectory`. */
  listDirectorySync<E extends NameEncoding = 'utf8'>(
    path: PathLike = '.',
    options: Inside<ListOptions<E>> = {},
  ): NamesIn<E> {
    return this.#nowSummed(() => listSummary<E>(this.#jail, path, options));
  }

  /** As `scanDirectory`, inside; the root by default. Errors: as there, and kind `escape`. */
  scanDirectory(path: PathLike = '.', options: Inside<ScanOptions> = {}): DirectoryScan {
    return new DirectoryScan(this.#scanSource(path, options));
  }

  /** As `scanDirectory`, on the calling thread. Errors: as `scanDirectory`. */
  scanDirectorySync(path: PathLike = '.', options: Inside<ScanOptions> = {}): DirectoryScanSync {
    return new DirectoryScanSync(this.#scanSource(path, options));
  }

  /** As `countDirectory`, inside; the root by default. Errors: as there, and kind `escape`. */
  countDirectory(path: PathLike = '.', options: Inside<ScanOptions> = {}): Promise<DirectoryCount> {
    return this.#laterSummed(() => countSummary(this.#jail, path, options));
  }

  /** As `countDirectory`, on the calling thread. Errors: as `countDirectory`. */
  countDirectorySync(path: PathLike = '.', options: Inside<ScanOptions> = {}): DirectoryCount {
    return this.#nowSummed(() => countSummary(this.#jail, path, options));
  }

  /** As `findFiles`, inside. Errors: as there, and kind `escape`. */
  findFiles(
    path: PathLike,
    patterns: string | readonly string[],
    options: Inside<FindOptions> = {},
  ): Promise<string[]> {
    return this.#laterSummed(() => findSummary(this.#jail, path, patterns, options));
  }

  /** As `findFiles`, on the calling thread. Errors: as `findFiles`. */
  findFilesSync(
    path: PathLike,
    patterns: string | readonly string[],
    options: Inside<FindOptions> = {},
  ): string[] {
    return this.#nowSummed(() => findSummary(this.#jail, path, patterns, options));
  }

  /** Lets the root go after what is under way; again is the same promise. Errors: none. */
  close(): Promise<void> {
    this.#closed ??= this.#closeWhenIdle();
    return this.#closed;
  }

  /** As `close`: at once, or after the last call that is under way. Errors: none. */
  closeSync(): void {
    if (this.#isClosed) return;
    if (this.#underWay > 0) {
      void this.close();
      return;
    }
    this.#isClosed = true;
    this.#closed = Promise.resolve();
    driveSync(this.#jail.engine, letGo(this.#jail.root));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.dispose](): void {
    this.closeSync();
  }

  async #closeWhenIdle(): Promise<void> {
    this.#isClosed = true;
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await drive(this.#jail.engine, letGo(this.#jail.root));
  }

  readonly #onEnd = (): void => {
    this.#underWay--;
    if (this.#underWay === 0) this.#whenIdle?.();
  };

  get #engine(): Engine {
    return this.#jail.engine;
  }

  #check(): void {
    if (!this.#isClosed) return;
    const words = 'the root is closed';
    const fields = { action: 'use the root', path: this.path, code: 'EBADF' };
    throw new IoError({ ...fields, kind: 'closed', words });
  }

  async #later<T>(options: CallOptions, steps: () => Steps<T>): Promise<T> {
    this.#check();
    const signal = signalOf(options);
    this.#underWay++;
    return drive(this.#engine, steps(), signal, this.#onEnd);
  }

  #now<T>(steps: () => Steps<T>): T {
    this.#check();
    return driveSync(this.#engine, steps());
  }

  async #laterSummed<T>(make: () => Summary<T>): Promise<T> {
    this.#check();
    this.#underWay++;
    try {
      return await summed(make());
    } finally {
      this.#onEnd();
    }
  }

  #nowSummed<T>(make: () => Summary<T>): T {
    this.#check();
    return summedSync(make());
  }

  #scanSource(path: PathLike, options: Inside<ScanOptions>): ScanSource {
    const source = scanSource(this.#jail, path, scanSettingsOf(options), options);
    const begin = () => {
      this.#check();
      return source.begin();
    };
    return { ...source, begin };
  }

  *#target(path: PathLike, options: Inside<ReplaceOptions>): Steps<Spot> {
    const follows = trueOrFalse(options.followSymlink, 'options.followSymlink', true);
    const place = this.#jail.place(path, 'path', REPLACE);
    return yield* follows
      ? this.#jail.followed(place, 'all', REPLACE)
      : this.#jail.spot(place, 'all', REPLACE);
  }

  /* A link that is swapped in after the path was followed is refused by O_NOFOLLOW (ELOOP). */
  *#opened(path: PathLike, options: Inside<OpenOptions>): Steps<OpenFile> {
    const place = this.#jail.place(path, 'path', OPEN);
    const spot = yield* this.#jail.followed(place, 'names', OPEN);
    try {
      return yield* fileSteps(this.#engine, spot.place, options, OpenFlag.NoFollow);
    } finally {
      yield* letGo(spot.parent);
    }
  }
}

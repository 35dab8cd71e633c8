/**
 * A file as memory: its pages where the program can see them, without a copy. Hides page sizes,
 * where a page that cannot be had takes a program, and what a runtime without maps does instead.
 *
 * Invariants: 1. No fault in a map ends the process: zero pages stand where the file's were, the
 *                map is torn from then on, and every access through it throws.
 *             2. After the release no view of the map sees memory; the addresses are given to
 *                nobody else while an operation under way may still use them.
 *             3. Memory that was not asked for to be written never reaches the file.
 *             4. After a failed sync the map is broken, and so is the file it was made of.
 * Not promised: that a file cut and grown again between two looks is noticed; which writes of
 * others are seen, and when, in a map that is not shared (mmap(2)).
 * Source: mmap(2), msync(2), madvise(2); mm/msync.c and mm/filemap.c of Linux 6.18
 */
import { alignDown } from './bytes.js';
import { drive, driveSync, type Engine, engineOf, type Interrupt, type Steps } from './engine.js';
import { IoError } from './errors.js';
import { type CallOptions, type HintReport, OpenFile, type PathLike, signalOf } from './file.js';
import { adviseSteps, type Fallback, leaving, type MapParts, makeSteps } from './mapped/make.js';
import {
  adviceNumber,
  adviceOf,
  type MapAdviceName,
  type MapOptions,
  type MapRange,
  type MapWrite,
  type Range,
  rangeOf,
  wishOf,
} from './mapped/options.js';
import {
  Code,
  endedBefore,
  endWithMemory,
  mapLook,
  mapPageBytes,
  mapsGuarded,
  Operation,
  refusal,
  takeAway,
} from './platform.js';

export type { MapAdviceName, MapOptions, MapRange, MapWrite };

/** The primitive a sync used; `none` where the map has no bytes. */
export interface MapSyncReport {
  readonly primitive: 'msync' | 'none';
}

/** What a map is and why. */
export interface MapExplanation {
  readonly path: string | undefined;
  readonly engine: Engine['name'];
  /** `read`: the bytes are a copy, made when the map was. */
  readonly method: 'map' | 'read';
  readonly reason: string;
  readonly write: MapWrite;
  readonly offset: number;
  readonly length: number;
  /** What makes writes durable, where they reach the file. */
  readonly sync: 'msync' | 'none';
  /** What falls back to something weaker, and why. */
  readonly fallbacks: readonly Fallback[];
}

type RangeOptions = MapRange & Pick<CallOptions, 'signal' | 'timeoutMs'>;

/** A file in memory. Made by `mapFile`. */
export class MappedFile {
  readonly path: string | undefined;
  /** Bytes; where in the file the map begins. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** Where writes to the memory go. */
  readonly write: MapWrite;
  readonly #parts: MapParts;
  readonly #memory: ArrayBuffer;
  #isTorn = false;
  #isReleased = false;
  #underWay = 0;
  #whenIdle: (() => void) | undefined;
  #released: Promise<void> | undefined;

  /** For `mapFile`. */
  constructor(parts: MapParts) {
    this.#parts = parts;
    this.#memory = parts.bytes.buffer as ArrayBuffer;
    this.path = parts.path;
    this.offset = parts.range.offset;
    this.length = parts.range.length;
    this.write = parts.write;
    if (parts.handle >= 0) endWithMemory(this.#memory, parts.handle);
  }

  /**
   * The bytes. Each time it is read the map is looked at, as by `intact`; a view that was kept
   * is not, and reads zeros where the file is gone.
   *
   * Units: its `byteOffset` is not 0 where the map does not begin on a page: `buffer` begins there.
   * Lifetime: until the release; then every view of the memory has length 0. The memory cannot be
   * transferred, and another thread is given a copy: let it map the file itself.
   * Errors: `IoError`: of kind `closed` after the release, of kind `broken` when the file was cut,
   * a page could not be had, or a sync has failed.
   */
  get bytes(): Uint8Array {
    this.#check('use the map');
    const { bytes } = this.#parts;
    if (bytes.length === this.length) return bytes;
    throw new IoError({ action: 'use the map', path: this.path, code: 'ERR_BUFFER_CHANGED' });
  }

  /**
   * Whether every byte is still the file's: it was not cut, no page was replaced by zeros. Once
   * false it stays so. A copy is always whole. False after the release.
   */
  get intact(): boolean {
    return !this.#isReleased && this.#isWhole();
  }

  /** True as soon as the release was asked for. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  /**
   * Makes what was written to a part of the memory durable: its bytes, and the size they need.
   *
   * Units: bytes, from the beginning of the map; whole pages are synced.
   * Order: one at a time, with those of the file that was mapped.
   * Durable: when it resolves, as `syncData` of a file.
   * Errors: `TypeError`, `RangeError`; `IoError` of kind `access` for a map that is not shared, of
   * kind `broken` when what was written may not be the file's; a failed sync breaks the map, and
   * the file it was made of, for ever.
   * Source: msync(2), MS_SYNC: vfs_fsync_range(…, 1) in mm/msync.c of Linux 6.18
   */
  async sync(options: RangeOptions = {}): Promise<MapSyncReport> {
    const range = this.#syncRange(options);
    const signal = signalOf(options);
    const { turns } = this.#parts;
    return this.#held(() => turns.take('sync', () => this.#driven(this.#sync(range), signal)));
  }

  /** As `sync`, on the calling thread. Errors: as `sync`; `EBUSY` while one is under way. */
  syncSync(range: MapRange = {}): MapSyncReport {
    const checked = this.#syncRange(range);
    const { engine, turns } = this.#parts;
    if (!turns.isTaken('sync')) return driveSync(engine, this.#sync(checked));
    const words = 'an asynchronous sync is under way';
    throw new IoError({ action: 'sync the map', path: this.path, code: 'EBUSY', words });
  }

  /**
   * Tells the system how a part of the memory will be used.
   *
   * Units: bytes, from the beginning of the map; whole pages are meant.
   * Errors: `TypeError`, `RangeError`; `IoError` when the map cannot be used. What the system does
   * not take is in the report.
   */
  async advise(advice: MapAdviceName, options: RangeOptions = {}): Promise<HintReport> {
    const steps = this.#advise(advice, options);
    const signal = signalOf(options);
    return this.#held(() => this.#driven(steps, signal));
  }

  /** As `advise`, on the calling thread. Errors: as `advise`. */
  adviseSync(advice: MapAdviceName, range: MapRange = {}): HintReport {
    return driveSync(this.#parts.engine, this.#advise(advice, range));
  }

  /** What this map is and why: the way it was made, and each fallback with its reason. */
  explain(): MapExplanation {
    const { engine, copyReason, fallbacks, handle } = this.#parts;
    const unguarded = handle >= 0 && !mapsGuarded();
    const reason = 'another handler of SIGBUS stands before ours; the next map puts ours in front';
    return {
      path: this.path,
      engine: engine.name,
      method: copyReason === undefined ? 'map' : 'read',
      reason: copyReason ?? 'the system maps it',
      write: this.write,
      offset: this.offset,
      length: this.length,
      sync: this.write === 'shared' ? 'msync' : 'none',
      fallbacks: unguarded ? [...fallbacks, { what: 'guard', reason }] : fallbacks,
    };
  }

  /**
   * Gives the memory up: from this call on no view sees it. The file is left when the syncs of this
   * map that are under way have ended; again is the same promise. Not a sync.
   *
   * Errors: none; what the system may refuse frees itself with the process.
   */
  release(): Promise<void> {
    this.#released ??= new Promise((resolve, reject) => {
      this.#takeAway();
      const leave = (): void => {
        drive(this.#parts.engine, this.#leave()).then(resolve, reject);
      };
      if (this.#underWay > 0) this.#whenIdle = leave;
      else leave();
    });
    return this.#released;
  }

  /** As `release`; the file is left at once unless a sync is under way. Errors: none. */
  releaseSync(): void {
    if (this.#underWay > 0) {
      this.release().catch(() => undefined);
      return;
    }
    if (this.#released !== undefined) return;
    this.#takeAway();
    this.#released = Promise.resolve();
    driveSync(this.#parts.engine, this.#leave());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  [Symbol.dispose](): void {
    this.releaseSync();
  }

  #takeAway(): void {
    this.#isReleased = true;
    takeAway(this.#memory);
    endedBefore(this.#memory);
  }

  *#leave(): Steps<void> {
    const { handle } = this.#parts;
    if (handle >= 0) yield leaving(handle);
  }

  #isWhole(): boolean {
    const { handle } = this.#parts;
    if (this.#isTorn || handle < 0) return !this.#isTorn;
    /* Below 0 where a page was replaced, and where the file cannot be looked at. */
    const size = mapLook(handle);
    this.#isTorn = size < this.offset + this.length;
    return !this.#isTorn;
  }

  #check(action: string): void {
    const { path } = this;
    if (this.#isReleased) throw new IoError({ action, path, code: 'ERR_MAP_RELEASED' });
    this.#parts.latch.check(action, path);
    this.#checkWhole(action);
  }

  #checkWhole(action: string): void {
    if (!this.#isWhole()) throw new IoError({ action, path: this.path, code: 'ERR_MAP_TORN' });
  }

  /* Work counted as under way: the file is left after it. */
  async #held<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) this.#whenIdle?.();
    }
  }

  #driven<T>(steps: Steps<T>, signal: Interrupt | undefined): Promise<T> {
    return drive(this.#parts.engine, steps, signal);
  }

  #syncRange(asked: MapRange): Range {
    const range = rangeOf(asked, this.length);
    this.#check('sync the map');
    if (this.write === 'shared') return range;
    const words = 'the map is not shared: nothing of it reaches the file';
    const fields = { action: 'sync the map', path: this.path, code: 'EBADF', words };
    throw new IoError({ ...fields, kind: 'access' });
  }

  /* From the first page of the map: msync(2) and madvise(2) take whole pages. */
  #pagesOf({ offset, length }: Range): Range {
    const skipped = this.#parts.range.offset % mapPageBytes();
    const start = alignDown(skipped + offset, mapPageBytes());
    return { offset: start, length: skipped + offset + length - start };
  }

  *#sync(range: Range): Steps<MapSyncReport> {
    const { handle, latch } = this.#parts;
    if (handle < 0) return { primitive: 'none' };
    const pages = this.#pagesOf(range);
    const sync = new Operation(Code.SyncMap);
    sync.fd = handle;
    sync.offset = pages.offset;
    sync.length = pages.length;
    latch.check('sync the map', this.path);
    yield sync;
    if (sync.result < 0) {
      const context = { action: 'sync the map', syscall: 'msync', path: this.path, step: 'msync' };
      throw latch.tripBySync(refusal(sync.result, context));
    }
    /* What was written to a page that is not the file's has not reached it. */
    this.#checkWhole('sync the map');
    return { primitive: 'msync' };
  }

  #advise(advice: unknown, asked: MapRange): Steps<HintReport> {
    const name = adviceOf(advice, 'advice');
    const range = rangeOf(asked, this.length);
    this.#check('advise on the map');
    return this.#adviseSteps(adviceNumber(name, this.write), range);
  }

  *#adviseSteps(advice: number, range: Range): Steps<HintReport> {
    const { copyReason, handle } = this.#parts;
    if (copyReason !== undefined) return { taken: false, reason: copyReason };
    if (handle < 0) return { taken: true };
    const reason = yield* adviseSteps(handle, this.#pagesOf(range), advice);
    return reason === undefined ? { taken: true } : { taken: false, reason };
  }
}

function* mapSteps(
  engine: Engine,
  source: PathLike | OpenFile,
  options: MapOptions,
): Steps<MappedFile> {
  return new MappedFile(yield* makeSteps(engine, source, wishOf(options)));
}

function engineFor(source: PathLike | OpenFile, options: MapOptions): Engine {
  return source instanceof OpenFile ? source.engine : engineOf(options?.engine);
}

/**
 * Maps a file, or a part of it, into memory. Of an open file the map lives on when that is closed.
 *
 * Shapes: a path as `openFile` takes it, or an open file.
 * Units: bytes; any offset, and a length within the file.
 * Durable: writes of a shared map with its `sync`.
 * Lifetime: until `release`, or the end of the block with `using`; a map that is dropped is left
 * when its memory is collected.
 * Errors: `TypeError`, `RangeError`, also for a range that is not within the file; `IoError` of
 * kind `wrong-type` for what is no regular file, `access` for one that may not be written, of kind
 * `unsupported` for a shared map where there are none, `too-large` for more than a view can have;
 * `AbortError`.
 */
export async function mapFile(
  source: PathLike | OpenFile,
  options: MapOptions = {},
): Promise<MappedFile> {
  const engine = engineFor(source, options);
  const signal = signalOf(options);
  return drive(engine, mapSteps(engine, source, options), signal);
}

/** As `mapFile`, on the calling thread. Errors: as `mapFile`. */
export function mapFileSync(source: PathLike | OpenFile, options: MapOptions = {}): MappedFile {
  const engine = engineFor(source, options);
  return driveSync(engine, mapSteps(engine, source, options));
}

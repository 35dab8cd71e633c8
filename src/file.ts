/**
 * An open file: positions, whole transfers, syncs, and a latch. Nothing above this room sees a
 * short count or a bare errno.
 *
 * Invariants: 1. `readAt`, `writeAt` and `append` move all bytes or throw an `IoError` that tells
 *                how many reached the file; a read moves fewer only at the end of the file.
 *             2. After a failed sync, or a write of unknown extent, the file is broken: every call
 *                but `close` throws the first cause, and no system call on it follows.
 *             3. The descriptor is closed once, after the last operation under way has ended.
 * Not promised: atomicity of a write against readers or across a crash; order between operations
 * that are under way at the same time, appends excepted.
 * Source: pwritev(2), fsync(2), open(2); Rebello et al., Can Applications Recover from fsync
 * Failures?, ATC 2020
 */
import { type Buffers, sequenceOf } from './buffers.js';
import { byteCount, checkRange } from './bytes.js';
import {
  Counters,
  drive,
  driveSync,
  type Engine,
  type EngineStats,
  engineOf,
  type Steps,
  Turns,
} from './engine.js';
import { IoError, invalidType } from './errors.js';
import { appendSteps } from './file/append.js';
import { callSteps } from './file/call.js';
import { explained, type FileExplanation } from './file/explain.js';
import { Latch } from './file/latch.js';
import {
  type Access,
  closing,
  modeOf,
  type OpenChoices,
  openSteps,
  settingsOf,
} from './file/open.js';
import { type Target, Transfer, transferSteps } from './file/transfer.js';
import { readAllSteps } from './file/whole.js';
import { Code, type FileStat, Operation, type PathLike, placeOf, refusal } from './platform.js';

export type { Access, FileExplanation, FileStat, PathLike, Target };
export {
  callSteps,
  closing,
  Latch,
  modeOf,
  openSteps,
  settingsOf,
  signalOf,
  Transfer,
  transferSteps,
};

export interface OpenOptions extends OpenChoices {
  /** Default: `defaultEngine()`. */
  readonly engine?: Engine | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CallOptions {
  /** Takes effect between system calls; bytes already moved are told by `AbortError.bytesDone`. */
  readonly signal?: AbortSignal | undefined;
}

/** The primitive a sync used. */
export interface SyncReport {
  readonly primitive: 'fsync' | 'fdatasync';
}

type TransferCode = typeof Code.Read | typeof Code.Write;

/** An open file. Made by `openFile`. */
export class OpenFile implements Target {
  readonly engine: Engine;
  readonly latch: Latch = new Latch();
  readonly counters: Counters = new Counters();
  readonly path: string | undefined;
  readonly access: Access;
  readonly #mayRead: boolean;
  readonly #mayWrite: boolean;
  #fd: number;
  #isClosing = false;
  #underWay = 0;
  #closed: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;
  readonly #appends = new Turns<'append'>();

  /** For `openFile`; a file made by hand owns the descriptor it is given. */
  constructor(engine: Engine, fd: number, access: Access, path: string | undefined) {
    this.engine = engine;
    this.#fd = fd;
    this.access = access;
    this.path = path;
    this.#mayRead = access === 'read' || access === 'read-write';
    this.#mayWrite = access !== 'read';
  }

  /** The descriptor; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  get isClosed(): boolean {
    return this.#isClosing;
  }

  /** True when direct I/O is in force. */
  get direct(): boolean {
    return false;
  }

  /**
   * Reads at a position until the views are full or the file ends.
   *
   * Shapes: one view or any number; small and large mixed.
   * Units: bytes; answers the bytes read, fewer than asked only at the end of the file.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: `TypeError`, `RangeError` for bad input; `IoError` with `bytesDone`; `AbortError`.
   */
  readAt(buffers: Buffers, offset: number | bigint, options?: CallOptions): Promise<number> {
    return this.#later(options, () => this.#transfer(Code.Read, buffers, offset, true));
  }

  /** As `readAt`, on the calling thread. Errors: as `readAt`. */
  readAtSync(buffers: Buffers, offset: number | bigint): number {
    return this.#transferSync(Code.Read, buffers, offset);
  }

  /**
   * Writes at a position: all bytes, in order, or an error that tells how many.
   *
   * Shapes: one view or any number; `ceil(views / viewCountMax)` system calls at most.
   * Units: bytes; answers the bytes written, which is all of them.
   * Durable: no; see `sync`. Not atomic for readers, nor across a crash.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: `TypeError`, `RangeError` for bad input, before anything is written; `IoError` with
   * `bytesDone`; `AbortError` with `bytesDone`.
   */
  writeAt(buffers: Buffers, offset: number | bigint, options?: CallOptions): Promise<number> {
    return this.#later(options, () => this.#transfer(Code.Write, buffers, offset, true));
  }

  /** As `writeAt`, on the calling thread. Errors: as `writeAt`. */
  writeAtSync(buffers: Buffers, offset: number | bigint): number {
    return this.#transferSync(Code.Write, buffers, offset);
  }

  /**
   * Reads with one system call, which may do part.
   *
   * Units: bytes; 0 is the end of the file.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: as `readAt`.
   */
  readSomeAt(buffers: Buffers, offset: number | bigint, options?: CallOptions): Promise<number> {
    return this.#later(options, () => this.#transfer(Code.Read, buffers, offset, false));
  }

  /** As `readSomeAt`, on the calling thread. Errors: as `readAt`. */
  readSomeAtSync(buffers: Buffers, offset: number | bigint): number {
    return this.#now(() => this.#transfer(Code.Read, buffers, offset, false));
  }

  /**
   * Writes with one system call, which may do part.
   *
   * Units: bytes written, at least 1 unless there were none to write.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: as `writeAt`.
   */
  writeSomeAt(buffers: Buffers, offset: number | bigint, options?: CallOptions): Promise<number> {
    return this.#later(options, () => this.#transfer(Code.Write, buffers, offset, false));
  }

  /** As `writeSomeAt`, on the calling thread. Errors: as `writeAt`. */
  writeSomeAtSync(buffers: Buffers, offset: number | bigint): number {
    return this.#now(() => this.#transfer(Code.Write, buffers, offset, false));
  }

  /**
   * Writes at the end of the file, wherever it is by then.
   *
   * Units: answers the offset at which the first byte landed.
   * Order: appends of one `OpenFile` land in the order of the calls.
   * Durable: no; see `sync`.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: as `writeAt`. Only the first system call's worth is in one piece beside other writers.
   */
  append(buffers: Buffers, options?: CallOptions): Promise<number> {
    return this.#later(options, () => this.#append(buffers), true);
  }

  /** As `append`, on the calling thread. Errors: `EBUSY` while an `append` is under way. */
  appendSync(buffers: Buffers): number {
    return this.#now(() => {
      if (!this.#appends.isTaken('append')) return this.#append(buffers);
      const words = 'an asynchronous append is under way';
      throw new IoError({ action: 'append', path: this.path, code: 'EBUSY', words });
    });
  }

  /**
   * Reads the whole file, also one whose size the system does not tell (`/proc`).
   *
   * Errors: `IoError`; `AbortError`.
   */
  readAll(options?: CallOptions): Promise<Uint8Array> {
    return this.#later(options, () => readAllSteps(this));
  }

  /** As `readAll`, on the calling thread. Errors: `IoError`. */
  readAllSync(): Uint8Array {
    return this.#now(() => readAllSteps(this));
  }

  /** What the file is: size, kind, owner, times. Errors: `IoError`. */
  stat(options?: CallOptions): Promise<FileStat> {
    return this.#later(options, () => this.#stat());
  }

  /** As `stat`, on the calling thread. Errors: `IoError`. */
  statSync(): FileStat {
    return this.#now(() => this.#stat());
  }

  /**
   * Cuts the file to a length, or grows it with a hole.
   *
   * Units: bytes.
   * Durable: no; see `sync`.
   * Errors: `TypeError`, `RangeError`; `IoError`.
   */
  truncate(length: number | bigint, options?: CallOptions): Promise<void> {
    return this.#later(options, () => this.#truncate(length));
  }

  /** As `truncate`, on the calling thread. Errors: as `truncate`. */
  truncateSync(length: number | bigint): void {
    this.#now(() => this.#truncate(length));
  }

  /**
   * Makes what was written, and everything about the file, durable.
   *
   * Durable: when the promise resolves, what had been written before the call survives a crash.
   * Errors: `IoError`; the file is broken then, for ever.
   */
  sync(options?: CallOptions): Promise<SyncReport> {
    return this.#later(options, () => this.#sync(Code.Sync));
  }

  /** As `sync`, on the calling thread. Errors: as `sync`. */
  syncSync(): SyncReport {
    return this.#now(() => this.#sync(Code.Sync));
  }

  /**
   * Makes the bytes durable, and the size they need; not times and permissions.
   *
   * Durable: as `sync`, for the data.
   * Errors: as `sync`.
   */
  syncData(options?: CallOptions): Promise<SyncReport> {
    return this.#later(options, () => this.#sync(Code.SyncData));
  }

  /** As `syncData`, on the calling thread. Errors: as `sync`. */
  syncDataSync(): SyncReport {
    return this.#now(() => this.#sync(Code.SyncData));
  }

  /**
   * Closes the file after what is under way; again is the same promise. Not a sync.
   *
   * Errors: `IoError` when the system reports a failure at last; the descriptor is gone all the same.
   */
  close(): Promise<void> {
    this.#closed ??= this.#closeWhenIdle();
    return this.#closed;
  }

  /**
   * Closes the file: at once, or, when operations are under way, after the last of them.
   *
   * Errors: as `close`, when it closes at once.
   */
  closeSync(): void {
    if (this.#isClosing) return;
    if (this.#underWay > 0) {
      this.close().catch(() => undefined);
      return;
    }
    this.#isClosing = true;
    this.#closed = Promise.resolve();
    driveSync(this.engine, this.#closeSteps());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.dispose](): void {
    this.closeSync();
  }

  /** System calls, bytes and short transfers of this file so far. */
  stats(): EngineStats {
    return this.counters.stats();
  }

  /** What this file does and why: engine, primitives, and each fallback with its reason. */
  explain(): FileExplanation {
    return explained(this, this.direct);
  }

  /* ------------------------------------------------------------------------------- faces */

  #now<T>(steps: () => Steps<T>): T {
    this.#checkUsable('use the file');
    return driveSync(this.engine, steps());
  }

  #later<T>(options: CallOptions | undefined, make: () => Steps<T>, inTurn = false): Promise<T> {
    try {
      this.#checkUsable('use the file');
      const signal = signalOf(options);
      const steps = make();
      this.#underWay++;
      const work = (): Promise<T> => drive(this.engine, steps, signal, this.#onEnd);
      return inTurn ? this.#appends.take('append', work) : work();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  readonly #onEnd = (): void => {
    this.#underWay--;
    if (this.#underWay === 0) this.#whenIdle?.();
  };

  #checkUsable(action: string): void {
    if (this.#isClosing) {
      const words = 'the file is closed';
      throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'closed', words });
    }
    this.latch.check(action, this.path);
  }

  #checkAccess(code: TransferCode): void {
    if (code === Code.Read ? this.#mayRead : this.#mayWrite) return;
    const verb = code === Code.Read ? 'read' : 'write';
    const words = `the file is open for ${this.access} only`;
    throw new IoError({ action: verb, path: this.path, code: 'EBADF', kind: 'access', words });
  }

  /* ------------------------------------------------------------------------------- steps */

  #transfer(
    code: TransferCode,
    buffers: Buffers,
    at: number | bigint,
    isWhole: boolean,
  ): Steps<number> {
    const offset = byteCount(at, 'offset');
    const sequence = sequenceOf(buffers);
    checkRange(offset, sequence.byteLength, 'offset');
    this.#checkAccess(code);
    return transferSteps(new Transfer(this, sequence, { code, offset, isWhole }));
  }

  /* The shortest way for the commonest call; whatever it does not finish goes on as a transfer. */
  #transferSync(code: TransferCode, buffers: Buffers, at: number | bigint): number {
    const { engine } = this;
    const length = buffers instanceof Uint8Array && typeof at === 'number' ? buffers.length : 0;
    if (
      engine.performTransfer === undefined ||
      length === 0 ||
      !((at as number) >= 0 && Number.isSafeInteger((at as number) + length)) ||
      !this.#isReadyFor(code)
    ) {
      return this.#now(() => this.#transfer(code, buffers, at, true));
    }
    const view = buffers as Uint8Array;
    const offset = at as number;
    const result = engine.performTransfer(code, this.#fd, view, offset);
    this.counters.countTransfer(code, false, length, result);
    return result === length ? length : this.#resume(code, view, offset, result);
  }

  #isReadyFor(code: TransferCode): boolean {
    if (this.#isClosing || this.latch.cause !== undefined) return false;
    return code === Code.Read ? this.#mayRead : this.#mayWrite;
  }

  #resume(code: TransferCode, view: Uint8Array, offset: number, result: number): number {
    const transfer = new Transfer(this, sequenceOf(view), { code, offset, isWhole: true });
    transfer.next();
    transfer.resume(result);
    return driveSync(this.engine, transferSteps(transfer));
  }

  #append(buffers: Buffers): Steps<number> {
    const sequence = sequenceOf(buffers);
    this.#checkAccess(Code.Write);
    return appendSteps(this, sequence);
  }

  *#stat(): Steps<FileStat> {
    const stat = new Operation(Code.Stat);
    yield* callSteps(this, stat, 'inspect the file');
    return stat.stat as FileStat;
  }

  #truncate(length: number | bigint): Steps<void> {
    const truncate = new Operation(Code.Truncate);
    truncate.length = byteCount(length, 'length');
    this.#checkAccess(Code.Write);
    return callSteps(this, truncate, `cut the file to ${truncate.length} bytes`);
  }

  *#sync(code: typeof Code.Sync | typeof Code.SyncData): Steps<SyncReport> {
    try {
      yield* callSteps(this, new Operation(code), 'sync the file');
    } catch (error) {
      if (error instanceof IoError && !SYNC_REFUSALS.includes(error.kind)) this.latch.trip(error);
      throw error;
    }
    return { primitive: code === Code.Sync ? 'fsync' : 'fdatasync' };
  }

  async #closeWhenIdle(): Promise<void> {
    this.#isClosing = true;
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await drive(this.engine, this.#closeSteps());
  }

  *#closeSteps(): Steps<void> {
    const close = closing(this.#fd);
    this.#fd = -1;
    yield close;
    this.counters.count(close);
    if (close.result >= 0) return;
    throw refusal(close.result, { action: 'close the file', syscall: 'close', path: this.path });
  }
}

/* A system that cannot sync this kind of file has lost nothing by saying so. */
const SYNC_REFUSALS: readonly string[] = ['invalid', 'unsupported', 'read-only', 'wrong-type'];

function signalOf(options: CallOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { signal } = options;
  if (signal === undefined) return undefined;
  if (!(signal instanceof AbortSignal))
    throw invalidType('options.signal', 'an AbortSignal', signal);
  return signal;
}

function* fileSteps(engine: Engine, path: PathLike, options: OpenOptions): Steps<OpenFile> {
  const place = placeOf(path);
  const settings = settingsOf(options);
  const { fd } = yield* openSteps(place, settings);
  return new OpenFile(engine, fd, settings.access, place.path);
}

/**
 * Opens a file.
 *
 * Shapes: `path` is a string, a `Uint8Array` for names that are not UTF-8, or a `file:` URL.
 * Durable: no; the name of a file just created needs a sync of its directory, see `replaceFile`.
 * Errors: `TypeError`, `RangeError` for bad input; `IoError`, of kind `wrong-type` for a directory,
 * a FIFO or a socket; `AbortError`.
 */
export async function openFile(path: PathLike, options: OpenOptions = {}): Promise<OpenFile> {
  const engine = engineOf(options?.engine);
  return drive(engine, fileSteps(engine, path, options), signalOf(options));
}

/** As `openFile`, on the calling thread. Errors: as `openFile`. */
export function openFileSync(path: PathLike, options: OpenOptions = {}): OpenFile {
  const engine = engineOf(options?.engine);
  return driveSync(engine, fileSteps(engine, path, options));
}

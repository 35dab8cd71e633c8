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
import type { Buffers } from './buffers.js';
import { byteCount, checkRange } from './bytes.js';
import {
  drive,
  driveSync,
  type Engine,
  engineOf,
  type MemoryMode,
  memoryModeOf,
  type Steps,
} from './engine.js';
import {
  acquireSteps,
  type Identity,
  identityOf,
  type LockHome,
  type LockParts,
  lockCall,
  type OwnTurn,
  ownTurnSteps,
  taken,
  type Ways,
} from './file/acquire.js';
import { appendSteps } from './file/append.js';
import { callSteps } from './file/call.js';
import type { Claim } from './file/claims.js';
import type { Prepared, TransferCode } from './file/core.js';
import { AlignmentError, besideSteps, checkAligned } from './file/direct.js';
import type { FileExplanation } from './file/explain.js';
import { type FromFdOptions, fromFdSteps } from './file/foreign.js';
import { LockHeldError, type LockOwner, ownerByNumber, ownerSeen } from './file/holder.js';
import { Latch } from './file/latch.js';
import { Lock } from './file/lock.js';
import { heldSequence } from './file/memory.js';
import { readSteps, writeSteps } from './file/moves.js';
import {
  type Access,
  closing,
  modeOf,
  type OpenChoices,
  openSteps,
  settingsOf,
} from './file/open.js';
import { type CallOptions, signalOf } from './file/options.js';
import { PositionedFile, type SeekOrigin } from './file/position.js';
import type {
  AdviceName,
  AllocateOptions,
  HintOptions,
  HintReport,
  SpaceReport,
  WriteLifetime,
} from './file/space.js';
import {
  type Alignment,
  restSteps,
  type Target,
  Transfer,
  transferSteps,
} from './file/transfer.js';
import { readAllSteps } from './file/whole.js';
import {
  type LockChangeOptions,
  type LockKindOptions,
  type LockOptions,
  type LockPrimitive,
  type LockWaitOptions,
  type TryLockOptions,
  wishOf,
} from './file/wish.js';
import { Code, type FileStat, Operation, type PathLike, type Place, placeOf } from './platform.js';

export type {
  Access,
  AdviceName,
  Alignment,
  AllocateOptions,
  CallOptions,
  Claim as LockClaim,
  FileExplanation,
  FileStat,
  FromFdOptions,
  HintOptions,
  HintReport,
  Identity,
  LockChangeOptions,
  LockHome,
  LockKindOptions,
  LockOptions,
  LockOwner,
  LockParts,
  LockPrimitive,
  LockWaitOptions,
  OwnTurn,
  PathLike,
  Prepared,
  SeekOrigin,
  SpaceReport,
  Target,
  TryLockOptions,
  Ways as LockWays,
  WriteLifetime,
};
export {
  AlignmentError,
  acquireSteps,
  appendSteps,
  callSteps,
  closing,
  heldSequence,
  identityOf,
  Latch,
  Lock,
  LockHeldError,
  lockCall,
  modeOf,
  openSteps,
  ownerByNumber,
  ownerSeen,
  ownTurnSteps,
  readAllSteps,
  restSteps,
  settingsOf,
  signalOf,
  Transfer,
  taken,
  transferSteps,
  wishOf as lockWishOf,
};

export interface OpenOptions extends OpenChoices, CallOptions {
  /** Default: `defaultEngine()`. */
  readonly engine?: Engine | undefined;
}

/** The primitive a sync used. */
export interface SyncReport {
  readonly primitive: 'fsync' | 'fdatasync';
}

type SyncCode = typeof Code.Sync | typeof Code.SyncData;

/** An open file. Made by `openFile`. */
export class OpenFile extends PositionedFile {
  /* Asked for, not begun: what a further call may share. */
  readonly #nextSync = new Map<SyncCode, Promise<SyncReport>>();

  /**
   * Makes a file of a descriptor that is open already.
   *
   * Lifetime: `take` closes the descriptor with the file, `borrow` leaves it open, `duplicate`
   * makes one of its own, which shares the position of the original in the kernel.
   * Errors: `TypeError`, `RangeError`; `IoError` for a descriptor that is not open, or of a
   * directory, a pipe or a socket; the descriptor is left as it was then.
   */
  static fromFd(fd: number, options: FromFdOptions): OpenFile {
    const engine = engineOf(options?.engine);
    return new OpenFile(driveSync(engine, fromFdSteps(engine, fd, options)));
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
    if (options === undefined && this.isQuick(Code.Read, buffers, offset)) {
      return this.quickly(Code.Read, buffers, offset as number);
    }
    return this.later(options, (memory) => {
      return this.#transfer(Code.Read, buffers, offset, true, memory);
    });
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
    if (options === undefined && this.isQuick(Code.Write, buffers, offset)) {
      return this.quickly(Code.Write, buffers, offset as number);
    }
    return this.later(options, (memory) => {
      return this.#transfer(Code.Write, buffers, offset, true, memory);
    });
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
    return this.later(options, (memory) => {
      return this.#transfer(Code.Read, buffers, offset, false, memory);
    });
  }

  /** As `readSomeAt`, on the calling thread. Errors: as `readAt`. */
  readSomeAtSync(buffers: Buffers, offset: number | bigint): number {
    return this.now(() => this.#transfer(Code.Read, buffers, offset, false));
  }

  /**
   * Writes with one system call, which may do part.
   *
   * Units: bytes written, at least 1 unless there were none to write.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: as `writeAt`.
   */
  writeSomeAt(buffers: Buffers, offset: number | bigint, options?: CallOptions): Promise<number> {
    return this.later(options, (memory) => {
      return this.#transfer(Code.Write, buffers, offset, false, memory);
    });
  }

  /** As `writeSomeAt`, on the calling thread. Errors: as `writeAt`. */
  writeSomeAtSync(buffers: Buffers, offset: number | bigint): number {
    return this.now(() => this.#transfer(Code.Write, buffers, offset, false));
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
    return this.later(options, (memory) => this.#append(buffers, memory), 'append');
  }

  /** As `append`, on the calling thread. Errors: `EBUSY` while an `append` is under way. */
  appendSync(buffers: Buffers): number {
    return this.nowInTurn('append', () => this.#append(buffers));
  }

  /**
   * Reads the whole file, also one whose size the system does not tell (`/proc`).
   *
   * Errors: `IoError`; `AbortError`.
   */
  readAll(options?: CallOptions): Promise<Uint8Array> {
    return this.later(options, () => this.#readAll());
  }

  /** As `readAll`, on the calling thread. Errors: `IoError`. */
  readAllSync(): Uint8Array {
    return this.now(() => this.#readAll());
  }

  /** What the file is: size, kind, owner, times. Errors: `IoError`. */
  stat(options?: CallOptions): Promise<FileStat> {
    return this.later(options, () => this.#stat());
  }

  /** As `stat`, on the calling thread. Errors: `IoError`. */
  statSync(): FileStat {
    return this.now(() => this.#stat());
  }

  /**
   * Cuts the file to a length, or grows it with a hole.
   *
   * Units: bytes.
   * Durable: no; see `sync`.
   * Errors: `TypeError`, `RangeError`; `IoError`.
   */
  truncate(length: number | bigint, options?: CallOptions): Promise<void> {
    return this.later(options, () => this.#truncate(length));
  }

  /** As `truncate`, on the calling thread. Errors: as `truncate`. */
  truncateSync(length: number | bigint): void {
    this.now(() => this.#truncate(length));
  }

  /**
   * Makes what was written, and everything about the file, durable.
   *
   * Order: syncs of one `OpenFile` take turns; those called while one is under way share the next.
   * Durable: when the promise resolves, what had been written before the call survives a crash.
   * Errors: `IoError`; the file is broken then, for ever.
   */
  sync(options?: CallOptions): Promise<SyncReport> {
    return this.#syncLater(Code.Sync, options);
  }

  /** As `sync`, on the calling thread. Errors: as `sync`; `EBUSY` while one is under way. */
  syncSync(): SyncReport {
    return this.nowInTurn('sync', () => this.#sync(Code.Sync));
  }

  /**
   * Makes the bytes durable, and the size they need; not times and permissions.
   *
   * Durable: as `sync`, for the data.
   * Errors: as `sync`.
   */
  syncData(options?: CallOptions): Promise<SyncReport> {
    return this.#syncLater(Code.SyncData, options);
  }

  /** As `syncData`, on the calling thread. Errors: as `sync`. */
  syncDataSync(): SyncReport {
    return this.nowInTurn('sync', () => this.#sync(Code.SyncData));
  }

  /**
   * Makes what was written before it durable before anything written after it, as cheaply as the
   * system can; on Linux that is `syncData`.
   *
   * Durable: as the primitive in the report.
   * Errors: as `sync`.
   */
  syncBarrier(options?: CallOptions): Promise<SyncReport> {
    return this.#syncLater(Code.SyncData, options);
  }

  /** As `syncBarrier`, on the calling thread. Errors: as `sync`. */
  syncBarrierSync(): SyncReport {
    return this.nowInTurn('sync', () => this.#sync(Code.SyncData));
  }

  #transfer(
    code: TransferCode,
    buffers: Buffers,
    at: number | bigint,
    isWhole: boolean,
    memory: MemoryMode = 'reference',
  ): Steps<number> {
    const offset = byteCount(at, 'offset');
    const sequence = heldSequence(buffers, memory);
    checkRange(offset, sequence.byteLength, 'offset');
    this.check(this.allows(code), code === Code.Read ? 'read' : 'write at a position');
    if (isWhole) {
      const steps = code === Code.Read ? readSteps : writeSteps;
      return steps(this, sequence, offset);
    }
    const alignment = this.directAlignment;
    const steps = transferSteps(new Transfer(this, sequence, { code, offset, isWhole }));
    if (alignment === undefined) return steps;
    checkAligned(alignment, sequence, offset, false);
    return code === Code.Write ? besideSteps(this, false, steps) : steps;
  }

  /* The shortest way for the commonest call; whatever it does not finish goes on as a transfer. */
  #transferSync(code: TransferCode, buffers: Buffers, at: number | bigint): number {
    const { engine } = this;
    if (engine.performTransfer === undefined || !this.isQuick(code, buffers, at)) {
      return this.now(() => this.#transfer(code, buffers, at, true));
    }
    const view = buffers;
    const { length } = view;
    const offset = at as number;
    const result = engine.performTransfer(code, this.fd, view, offset);
    this.counters.countTransfer(code, false, length, result);
    if (result === length) return length;
    return driveSync(engine, restSteps(this, { code, offset, length }, view, result));
  }

  #append(buffers: Buffers, memory: MemoryMode = 'reference'): Steps<number> {
    const sequence = heldSequence(buffers, memory);
    this.check(this.mayWrite, 'append');
    return appendSteps(this, sequence);
  }

  #readAll(): Steps<Uint8Array> {
    this.check(this.mayRead, 'read');
    return readAllSteps(this);
  }

  *#stat(): Steps<FileStat> {
    const stat = new Operation(Code.Stat);
    yield* callSteps(this, stat, 'inspect the file');
    return stat.stat as FileStat;
  }

  #truncate(length: number | bigint): Steps<void> {
    const truncate = new Operation(Code.Truncate);
    truncate.length = byteCount(length, 'length');
    this.check(this.mayWrite, 'cut the file');
    return callSteps(this, truncate, `cut the file to ${truncate.length} bytes`);
  }

  /*
   * One at a time: of two under way beside each other the first is told of a lost page and the
   * second is told 0 (fsync(2), NOTES), and the lie may be delivered first. A call made while one
   * is under way waits for the next, which begins after it and so covers what it was made for.
   */
  #syncLater(code: SyncCode, options: CallOptions | undefined): Promise<SyncReport> {
    const shared = options === undefined ? this.#nextSync.get(code) : undefined;
    if (shared !== undefined) return shared;
    const waits = this.turns.isTaken('sync');
    const sync = this.later(options, () => this.#sync(code), 'sync');
    if (waits && options === undefined && !this.isClosed) this.#nextSync.set(code, sync);
    return sync;
  }

  *#sync(code: SyncCode): Steps<SyncReport> {
    this.#nextSync.delete(code);
    const sync = new Operation(code);
    sync.fd = this.fd;
    this.latch.check('sync the file', this.path);
    yield sync;
    this.counters.count(sync);
    if (sync.result < 0) throw this.syncRefused(code, sync.result);
    return { primitive: code === Code.Sync ? 'fsync' : 'fdatasync' };
  }
}

/**
 * Opens a place, that may be a name in a directory held open; `flags` are added to those of the
 * options. Errors: as `openFile`.
 */
export function* fileSteps(
  engine: Engine,
  place: Place,
  options: OpenOptions,
  flags = 0,
): Steps<OpenFile> {
  const asked = settingsOf(options);
  const settings = { ...asked, flags: asked.flags | flags };
  const memory = memoryModeOf(options.memory, 'options.memory');
  const opened = yield* openSteps(engine, place, settings);
  const { access } = settings;
  return new OpenFile({ engine, access, path: place.path, isOwned: true, memory, ...opened });
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
  return drive(engine, fileSteps(engine, placeOf(path), options), signalOf(options));
}

/** As `openFile`, on the calling thread. Errors: as `openFile`. */
export function openFileSync(path: PathLike, options: OpenOptions = {}): OpenFile {
  const engine = engineOf(options?.engine);
  return driveSync(engine, fileSteps(engine, placeOf(path), options));
}

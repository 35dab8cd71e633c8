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
import { byteCount } from './bytes.js';
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
import type { Prepared } from './file/core.js';
import { AlignmentError } from './file/direct.js';
import type { FileExplanation } from './file/explain.js';
import { type FromFdOptions, fromFdSteps } from './file/foreign.js';
import { LockHeldError, type LockOwner, ownerByNumber, ownerSeen } from './file/holder.js';
import { Latch } from './file/latch.js';
import { Lock } from './file/lock.js';
import { heldSequence } from './file/memory.js';
import { readSteps } from './file/moves.js';
import {
  type Access,
  closing,
  hasNoPositions,
  modeOf,
  type OpenChoices,
  openSteps,
  settingsOf,
} from './file/open.js';
import { type CallOptions, signalOf } from './file/options.js';
import type { SeekOrigin } from './file/position.js';
import type {
  AdviceName,
  AllocateOptions,
  HintOptions,
  HintReport,
  SpaceReport,
  WriteLifetime,
} from './file/space.js';
import type { FileReadStream, FileWriteStream } from './file/stream-node.js';
import type {
  ReadableOptions,
  ReadStreamOptions,
  StreamOptions,
  WritableOptions,
  WriteStreamOptions,
} from './file/stream-options.js';
import { StreamedFile } from './file/streamed.js';
import type { SyncReport } from './file/synced.js';
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

export {
  closeSteps,
  readInto,
  type SyncCode,
  stepsOf,
  syncSteps,
  writeAndSyncSteps,
  writeFrom,
} from './file/steps.js';
export type {
  Access,
  AdviceName,
  Alignment,
  AllocateOptions,
  CallOptions,
  Claim as LockClaim,
  FileExplanation,
  FileReadStream,
  FileStat,
  FileWriteStream,
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
  ReadableOptions,
  ReadStreamOptions,
  SeekOrigin,
  SpaceReport,
  StreamOptions,
  SyncReport,
  Target,
  TryLockOptions,
  Ways as LockWays,
  WritableOptions,
  WriteLifetime,
  WriteStreamOptions,
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
  readSteps,
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

/** An open file. Made by `openFile`. */
export class OpenFile extends StreamedFile {
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
   * Writes at the end of the file, wherever it is by then.
   *
   * Units: answers the offset at which the first byte landed.
   * Order: appends of one `OpenFile` land in the order of the calls.
   * Durable: no; see `sync`.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: as `writeAt`. Only the first system call's worth is in one piece beside other writers.
   */
  override append(buffers: Buffers, options?: CallOptions): Promise<number> {
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

  #append(buffers: Buffers, memory: MemoryMode = 'reference'): Steps<number> {
    const sequence = heldSequence(buffers, memory);
    this.check(this.mayWrite && this.hasPositions, 'append');
    return appendSteps(this, sequence);
  }

  #readAll(): Steps<Uint8Array> {
    this.checkPlaced(Code.Read);
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
  const { access, pipes } = settings;
  const { kind } = opened.stat;
  const isPipe = pipes && hasNoPositions(opened.stat);
  const pipe = isPipe ? { awaitsWriter: access === 'read' && kind === 'fifo' } : undefined;
  return new OpenFile({ engine, access, path: place.path, isOwned: true, memory, pipe, ...opened });
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

/** Space and hints: what is reserved, freed and advised, and what the system made of it. */

import { alignedBuffer } from '../aligned.js';
import { byteCount, checkRange } from '../bytes.js';
import type { Steps } from '../engine.js';
import { type ErrorKind, IoError, invalidValue, trueOrFalse } from '../errors.js';
import { Advice, AllocateMode, Code, errnoOf, Operation, refusal, Writeback } from '../platform.js';
import { callSteps, sizeSteps } from './call.js';
import { LockableFile } from './lockable.js';
import { writeSteps } from './moves.js';
import type { CallOptions } from './options.js';
import type { Target } from './transfer.js';

/** How a file will be read: posix_fadvise(2). */
export type AdviceName = 'normal' | 'sequential' | 'random' | 'willneed' | 'dontneed' | 'noreuse';

/** How long what is written will live: fcntl(2), F_SET_RW_HINT. */
export type WriteLifetime = 'none' | 'short' | 'medium' | 'long' | 'extreme';

/** What the system made of a request for space. */
export interface SpaceReport {
  /** The primitive that did it. */
  readonly method: 'fallocate' | 'ftruncate' | 'zeros written' | 'nothing to do';
  /** False where the blocks are not reserved, or not freed, as the call asks. */
  readonly isExact: boolean;
  /** Why it is not exact. */
  readonly reason?: string;
}

/** Whether a hint was taken, and why not. */
export interface HintReport {
  readonly taken: boolean;
  readonly reason?: string;
}

export interface AllocateOptions extends CallOptions {
  /** Reserve beyond the end without changing the size. Default false. */
  readonly keepSize?: boolean | undefined;
}

export interface HintOptions extends CallOptions {
  /** Throw where the hint is not taken. Default false: the report tells. */
  readonly strict?: boolean | undefined;
}

const LIFETIMES: Readonly<Record<WriteLifetime, number>> = {
  none: 1,
  short: 2,
  medium: 3,
  long: 4,
  extreme: 5,
};

const ZERO_BYTES = 1048576;

interface Range {
  readonly offset: number;
  readonly length: number;
}

function rangeOf(offset: unknown, length: unknown): Range {
  const range = { offset: byteCount(offset, 'offset'), length: byteCount(length, 'length') };
  checkRange(range.offset, range.length, 'offset');
  return range;
}

function isAbsent(result: number): boolean {
  return ['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS'].some((code) => result === errnoOf(code));
}

function reasonOf(result: number): string {
  const { code } = refusal(result, { action: 'ask' });
  return `the system answers ${code}`;
}

function* truncateSteps(file: Target, length: number): Steps<void> {
  const truncate = new Operation(Code.Truncate);
  truncate.length = length;
  yield* callSteps(file, truncate, `grow the file to ${length} bytes`);
}

/** fallocate(2); answers -errno instead of throwing where the file system does not have it. */
function* fallocateSteps(file: Target, mode: number, range: Range, what: string): Steps<number> {
  const allocate = new Operation(Code.Allocate);
  allocate.fd = file.fd;
  allocate.flags = mode;
  allocate.offset = range.offset;
  allocate.length = range.length;
  file.latch.check(what, file.path);
  yield allocate;
  file.counters.count(allocate);
  if (allocate.result >= 0 || isAbsent(allocate.result)) return allocate.result;
  const { offset } = range;
  const { path } = file;
  throw refusal(allocate.result, { action: what, syscall: 'fallocate', path, offset, step: what });
}

function* writeZeros(file: Target, range: Range): Steps<void> {
  /* Aligned, since the file may be direct. */
  const zeros = alignedBuffer(Math.min(ZERO_BYTES, range.length));
  for (let at = 0; at < range.length; at += zeros.length) {
    const view = zeros.subarray(0, Math.min(zeros.length, range.length - at));
    yield* writeSteps(file, { views: [view], byteLength: view.length }, range.offset + at);
  }
}

function* allocateSteps(file: Target, range: Range, keepSize: boolean): Steps<SpaceReport> {
  if (range.length === 0) return { method: 'nothing to do', isExact: true };
  /* Blocks first, then the size: ext4 grows a file before it runs out of blocks for it. */
  if (!keepSize) yield* fallocateSteps(file, AllocateMode.KeepSize, range, 'allocate space');
  const mode = keepSize ? AllocateMode.KeepSize : 0;
  const result = yield* fallocateSteps(file, mode, range, 'allocate space');
  if (result >= 0) return { method: 'fallocate', isExact: true };
  const reason = `${reasonOf(result)}: nothing is reserved`;
  const end = range.offset + range.length;
  if (keepSize || (yield* sizeSteps(file)) >= end) {
    return { method: 'nothing to do', isExact: false, reason };
  }
  yield* truncateSteps(file, end);
  return { method: 'ftruncate', isExact: false, reason };
}

/* Zeros read as a hole does; the blocks stay taken. Beyond the end there is nothing to do. */
function* holeSteps(file: Target, range: Range): Steps<SpaceReport> {
  if (range.length === 0) return { method: 'nothing to do', isExact: true };
  const mode = AllocateMode.PunchHole | AllocateMode.KeepSize;
  const result = yield* fallocateSteps(file, mode, range, 'punch a hole');
  if (result >= 0) return { method: 'fallocate', isExact: true };
  const reason = `${reasonOf(result)}: the blocks stay taken`;
  const length = Math.min(range.length, (yield* sizeSteps(file)) - range.offset);
  if (length <= 0) return { method: 'nothing to do', isExact: false, reason };
  yield* writeZeros(file, { offset: range.offset, length });
  return { method: 'zeros written', isExact: false, reason };
}

function* zeroSteps(file: Target, range: Range): Steps<SpaceReport> {
  if (range.length === 0) return { method: 'nothing to do', isExact: true };
  const result = yield* fallocateSteps(file, AllocateMode.ZeroRange, range, 'zero a range');
  if (result >= 0) return { method: 'fallocate', isExact: true };
  yield* writeZeros(file, range);
  return { method: 'zeros written', isExact: true, reason: reasonOf(result) };
}

function* collapseSteps(file: Target, range: Range): Steps<SpaceReport> {
  if (range.length === 0) return { method: 'nothing to do', isExact: true };
  const what = 'collapse a range';
  const result = yield* fallocateSteps(file, AllocateMode.CollapseRange, range, what);
  if (result >= 0) return { method: 'fallocate', isExact: true };
  const { path } = file;
  const { offset } = range;
  throw refusal(result, { action: what, syscall: 'fallocate', path, offset, step: what });
}

/* A write-back that fails has lost data, as a sync has. */
const LOSSES: readonly ErrorKind[] = ['io', 'no-space', 'quota'];

function* hintSteps(file: Target, hint: Operation, strict: boolean): Steps<HintReport> {
  try {
    yield* callSteps(file, hint, 'give a hint');
    return { taken: true };
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    const isLoss = hint.code === Code.StartWriteback && LOSSES.includes(error.kind);
    if (isLoss) throw file.latch.trip(error);
    if (strict) throw error;
    return { taken: false, reason: error.message };
  }
}

/** Space and hints of an open file. */
export abstract class SpaceFile extends LockableFile {
  /**
   * Reserves blocks, so that later writes there find room; extends the file unless told otherwise.
   *
   * Units: bytes.
   * Durable: no; see `sync`.
   * Errors: `TypeError`, `RangeError`; `IoError` of kind `no-space`. Where the file system cannot
   * reserve, the report says so and the size is as asked. After `no-space` size and content are as
   * before, but ext4 keeps what it had reserved by then until the file is cut (kernel 6.18).
   */
  allocate(offset: number, length: number, options?: AllocateOptions): Promise<SpaceReport> {
    return this.later(options, () => this.#allocate(offset, length, options));
  }

  /** As `allocate`, on the calling thread. Errors: as `allocate`. */
  allocateSync(offset: number, length: number, options?: AllocateOptions): SpaceReport {
    return this.now(() => this.#allocate(offset, length, options));
  }

  /**
   * Frees the blocks of a range, which then reads as zeros; the size stays.
   *
   * Units: bytes.
   * Durable: no; see `sync`.
   * Errors: `TypeError`, `RangeError`; `IoError`. Where holes cannot be punched zeros are written.
   */
  punchHole(offset: number, length: number, options?: CallOptions): Promise<SpaceReport> {
    return this.later(options, () => this.#change(holeSteps, offset, length));
  }

  /** As `punchHole`, on the calling thread. Errors: as `punchHole`. */
  punchHoleSync(offset: number, length: number): SpaceReport {
    return this.now(() => this.#change(holeSteps, offset, length));
  }

  /**
   * Makes a range read as zeros, keeping or reserving its blocks; extends the file where needed.
   *
   * Units: bytes.
   * Durable: no; see `sync`.
   * Errors: `TypeError`, `RangeError`; `IoError`.
   */
  zeroRange(offset: number, length: number, options?: CallOptions): Promise<SpaceReport> {
    return this.later(options, () => this.#change(zeroSteps, offset, length));
  }

  /** As `zeroRange`, on the calling thread. Errors: as `zeroRange`. */
  zeroRangeSync(offset: number, length: number): SpaceReport {
    return this.now(() => this.#change(zeroSteps, offset, length));
  }

  /**
   * Takes a range out of the file: what stood behind it moves up.
   *
   * Units: bytes, multiples of the file system's block.
   * Durable: no; see `sync`.
   * Errors: `TypeError`, `RangeError`; `IoError`, of kind `unsupported` where the file system does
   * not have it and `invalid` where the range is not of whole blocks.
   */
  collapseRange(offset: number, length: number, options?: CallOptions): Promise<SpaceReport> {
    return this.later(options, () => this.#change(collapseSteps, offset, length));
  }

  /** As `collapseRange`, on the calling thread. Errors: as `collapseRange`. */
  collapseRangeSync(offset: number, length: number): SpaceReport {
    return this.now(() => this.#change(collapseSteps, offset, length));
  }

  /**
   * Tells the system how the file will be read.
   *
   * Units: bytes; a length of 0 means to the end of the file.
   * Errors: `TypeError`, `RangeError`; `IoError` only when `strict`.
   */
  advise(advice: AdviceName, offset = 0, length = 0, options?: HintOptions): Promise<HintReport> {
    return this.later(options, () => this.#advise(advice, offset, length, options));
  }

  /** As `advise`, on the calling thread. Errors: as `advise`. */
  adviseSync(advice: AdviceName, offset = 0, length = 0, options?: HintOptions): HintReport {
    return this.now(() => this.#advise(advice, offset, length, options));
  }

  /**
   * Tells the device how long what is written will live, so that it can keep alike together.
   *
   * Errors: `TypeError`; `IoError` only when `strict`.
   */
  setWriteLifetime(lifetime: WriteLifetime, options?: HintOptions): Promise<HintReport> {
    return this.later(options, () => this.#lifetime(lifetime, options));
  }

  /** As `setWriteLifetime`, on the calling thread. Errors: as `setWriteLifetime`. */
  setWriteLifetimeSync(lifetime: WriteLifetime, options?: HintOptions): HintReport {
    return this.now(() => this.#lifetime(lifetime, options));
  }

  /**
   * Starts the write-back of a range without waiting for it: a later sync has less to do.
   *
   * Units: bytes; a length of 0 means to the end of the file.
   * Durable: no, and it promises nothing about a later crash.
   * Errors: `TypeError`, `RangeError`; `IoError` when the device failed: the file is broken then.
   */
  startWriteback(offset: number, length: number, options?: HintOptions): Promise<HintReport> {
    return this.later(options, () => this.#writeback(offset, length, options));
  }

  /** As `startWriteback`, on the calling thread. Errors: as `startWriteback`. */
  startWritebackSync(offset: number, length: number, options?: HintOptions): HintReport {
    return this.now(() => this.#writeback(offset, length, options));
  }

  #allocate(at: number, bytes: number, options?: AllocateOptions): Steps<SpaceReport> {
    const range = rangeOf(at, bytes);
    this.check(this.mayWrite, 'allocate space');
    return allocateSteps(this, range, trueOrFalse(options?.keepSize, 'options.keepSize'));
  }

  #change(
    steps: (file: Target, range: Range) => Steps<SpaceReport>,
    at: number,
    bytes: number,
  ): Steps<SpaceReport> {
    const range = rangeOf(at, bytes);
    this.check(this.mayWriteAt, 'change a range');
    return steps(this, range);
  }

  #advise(advice: string, at: number, bytes: number, options?: HintOptions): Steps<HintReport> {
    const number = Object.hasOwn(Advice, advice) ? Advice[advice as AdviceName] : undefined;
    if (number === undefined) {
      throw invalidValue('advice', `one of ${Object.keys(Advice).join(', ')}`, advice);
    }
    const range = rangeOf(at, bytes);
    const operation = new Operation(Code.Advise);
    operation.flags = number;
    operation.offset = range.offset;
    operation.length = range.length;
    return hintSteps(this, operation, trueOrFalse(options?.strict, 'options.strict'));
  }

  #lifetime(lifetime: WriteLifetime, options?: HintOptions): Steps<HintReport> {
    const number = Object.hasOwn(LIFETIMES, lifetime) ? LIFETIMES[lifetime] : undefined;
    if (number === undefined) {
      throw invalidValue('lifetime', `one of ${Object.keys(LIFETIMES).join(', ')}`, lifetime);
    }
    const operation = new Operation(Code.SetLifetime);
    operation.flags = number;
    return hintSteps(this, operation, trueOrFalse(options?.strict, 'options.strict'));
  }

  #writeback(at: number, bytes: number, options?: HintOptions): Steps<HintReport> {
    const range = rangeOf(at, bytes);
    const operation = new Operation(Code.StartWriteback);
    operation.flags = Writeback.Start;
    operation.offset = range.offset;
    operation.length = range.length;
    return hintSteps(this, operation, trueOrFalse(options?.strict, 'options.strict'));
  }
}

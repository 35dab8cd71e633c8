/** The one transfer loop: short calls are resumed here and nowhere else. */

import { alignedBuffer } from '../aligned.js';
import { type Sequence, Staging, Window, type WindowOptions } from '../buffers.js';
import type { Counters, Engine, Steps } from '../engine.js';
import { IoError, interruptedAt } from '../errors.js';
import {
  AT_ONCE_BYTES_MAX,
  Code,
  errnoOf,
  markUntransferable,
  Operation,
  refusal,
} from '../platform.js';
import type { Latch } from './latch.js';
import { Polling } from './polling.js';

/** Bytes of which memory, offset and length have to be multiples for direct I/O. */
export interface Alignment {
  readonly memory: number;
  readonly offset: number;
  readonly length: number;
}

/** What a transfer moves bytes to or from. */
export interface Target {
  readonly engine: Engine;
  readonly latch: Latch;
  readonly counters: Counters;
  readonly path: string | undefined;
  readonly fd: number;
  /** Set for direct I/O. */
  readonly directAlignment: Alignment | undefined;
}

export interface TransferOptions {
  readonly code: typeof Code.Read | typeof Code.Write;
  /** Bytes; -1 is the descriptor's own position. */
  readonly offset: number;
  /** False: one system call, which may do part. */
  readonly isWhole: boolean;
}

const MUST_WAIT = errnoOf('EAGAIN');

/* Direct I/O takes these blocks too. Nobody else sees them, and they are marked all the same. */
const staging: Staging = new Staging((bytes) => {
  const block = alignedBuffer(bytes);
  markUntransferable(block.buffer);
  return block;
});

/**
 * A sequence on its way, as a step machine: `next` prepares a call, `take` reads its result, until
 * `next` answers `undefined`.
 *
 * Errors: `take` throws `IoError` with `bytesDone`; an EIO from a write trips the latch, since the
 * extent of what was written is unknown then.
 */
export class Transfer {
  readonly operation: Operation;
  readonly #target: Target;
  readonly #window: Window;
  readonly #options: TransferOptions;
  readonly #mayTryNow: boolean;
  #isEnded = false;
  /** True when the other end of a pipe had to be waited for. */
  hasWaited = false;

  constructor(target: Target, sequence: Sequence, options: TransferOptions) {
    /* Small views copied together would lie where direct I/O does not take them from. */
    const isDirect = target.directAlignment !== undefined;
    const joins = options.code === Code.Write && (!isDirect || sequence.isCopied === true);
    const direction = joins ? 'gather' : 'scatter';
    this.#target = target;
    this.#options = options;
    const wanted: WindowOptions = { staging, changed: (bytesDone) => this.#changed(bytesDone) };
    this.#window = new Window(sequence, target.engine.viewCountMax, direction, wanted);
    /* A direct read waits for the device whatever it is told. */
    this.#mayTryNow = options.code === Code.Read && target.directAlignment === undefined;
    this.operation = new Operation(options.code);
    this.operation.fd = target.fd;
    this.operation.isDirect = isDirect;
  }

  get bytesDone(): number {
    return this.#window.done;
  }

  /** True when no call is left to make. */
  get isDone(): boolean {
    return this.#isEnded || this.#window.isDone;
  }

  /** The next call, or `undefined` when there is none. */
  next(): Operation | undefined {
    if (this.isDone) {
      this.#window.release();
      return undefined;
    }
    const { latch, path } = this.#target;
    if (latch.cause !== undefined) latch.check(this.#action(), path, this.bytesDone);
    return this.#prepare();
  }

  #prepare(): Operation {
    const { offset } = this.#options;
    this.#window.fill();
    const { operation } = this;
    operation.payload = this.#window.payload;
    operation.length = this.#window.bytes;
    operation.offset = offset < 0 ? -1 : offset + this.#window.done;
    const isOne = !Array.isArray(operation.payload);
    operation.triesNow = this.#mayTryNow && isOne && operation.length <= AT_ONCE_BYTES_MAX;
    return operation;
  }

  /** Reads the result of the call. */
  take(): void {
    const { operation } = this;
    const vectored = Array.isArray(operation.payload);
    const { counters } = this.#target;
    counters.countTransfer(operation.code, vectored, operation.length, operation.result);
    this.resume(operation.result);
  }

  /** Whether the call found nothing to do yet: a pipe is empty, or full, and does not block. */
  get mustWait(): boolean {
    return this.operation.result === MUST_WAIT && this.#options.offset < 0;
  }

  /** Goes on as if it had made its first call, which answered `result`. */
  answered(result: number): void {
    this.#prepare();
    this.resume(result);
  }

  /** Goes on after a call that answered `result`. */
  resume(result: number): void {
    if (result < 0) throw this.#refused(result);
    if (result > 0) this.#window.consume(result);
    else this.#checkEnd();
    this.#isEnded = result === 0 || !this.#options.isWhole || this.#isDirectEnd(result);
  }

  /* No byte was moved: a read is at the end of the file, unless its memory was taken away. */
  #checkEnd(): void {
    this.#window.checkIntact();
    if (this.#options.code === Code.Write) throw this.#wroteNothing();
  }

  /* Going on behind less than a block is EINVAL for direct I/O, and there is nothing behind it. */
  #isDirectEnd(result: number): boolean {
    const alignment = this.#target.directAlignment;
    if (alignment === undefined || this.#options.code === Code.Write) return false;
    return result % alignment.length !== 0;
  }

  /** Lets go of what the transfer holds when it does not come to its end. */
  release(): void {
    this.#window.release();
  }

  #action(): string {
    const { offset, code } = this.#options;
    const verb = code === Code.Read ? 'read' : 'write';
    const place = offset < 0 ? '' : ` at offset ${offset}`;
    return `${verb} ${this.#window.byteLength} bytes${place}`;
  }

  #refused(result: number): IoError {
    const { offset, code } = this.#options;
    const error = refusal(result, {
      action: this.#action(),
      syscall: code === Code.Read ? 'read' : 'write',
      path: this.#target.path,
      offset: offset < 0 ? undefined : offset,
      bytesDone: this.#window.done,
      step: code === Code.Read ? 'read' : 'write',
    });
    if (code === Code.Write && error.kind === 'io') return this.#target.latch.trip(error);
    /* EFAULT, most of all, is the word for memory that is no longer there. */
    this.#window.checkIntact();
    return error;
  }

  #changed(bytesDone: number): IoError {
    const { offset, code } = this.#options;
    const isRead = code === Code.Read;
    const risk = isRead ? "; what was read may lie in memory that is another's by now" : '';
    return new IoError({
      action: this.#action(),
      code: 'ERR_BUFFER_CHANGED',
      path: this.#target.path,
      offset: offset < 0 ? undefined : offset,
      bytesDone,
      step: isRead ? 'read' : 'write',
      words: `a view was detached or resized during the operation${risk}`,
    });
  }

  #wroteNothing(): IoError {
    return new IoError({
      action: this.#action(),
      code: 'EIO',
      syscall: 'write',
      path: this.#target.path,
      offset: this.#options.offset,
      bytesDone: this.#window.done,
      step: 'write',
      words: 'the system accepted no byte and gave no reason',
    });
  }
}

/** Drives a transfer to its end and answers the bytes moved. */
export function* transferSteps(transfer: Transfer): Steps<number> {
  let polling: Polling | undefined;
  try {
    for (let call = transfer.next(); call !== undefined; call = transfer.next()) {
      yield call;
      if (transfer.mustWait) {
        transfer.hasWaited = true;
        polling ??= new Polling();
        yield polling.pause();
        continue;
      }
      transfer.take();
      polling = undefined;
    }
    return transfer.bytesDone;
  } catch (error) {
    transfer.release();
    throw interruptedAt(error, transfer.bytesDone);
  }
}

/** The call that a transfer of one view began with. */
export interface FirstCall {
  readonly code: Code;
  readonly offset: number;
  readonly length: number;
}

/**
 * What is left of a transfer of one view whose first call was made elsewhere, whole as that was or
 * not. Errors: what the answer of that call means, at once.
 */
export function restSteps(
  target: Target,
  { code, offset, length }: FirstCall,
  view: Uint8Array,
  result: number,
): Steps<number> {
  const sequence = { views: [view], byteLength: length };
  const options = { code: code as TransferOptions['code'], offset, isWhole: true };
  const transfer = new Transfer(target, sequence, options);
  try {
    transfer.answered(result);
  } catch (error) {
    transfer.release();
    throw error;
  }
  return transferSteps(transfer);
}

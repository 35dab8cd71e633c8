/** Reads and writes at positions: whole, or one system call; and the shortest ways for them. */
import type { Buffers } from '../buffers.js';
import { byteCount, checkRange } from '../bytes.js';
import {
  driveSync,
  isQuickEngine,
  type MemoryMode,
  performTransfer,
  type Steps,
} from '../engine.js';
import { Code } from '../platform.js';
import type { TransferCode } from './core.js';
import { besideSteps, checkAligned } from './direct.js';
import { heldSequence } from './memory.js';
import { readSteps, writeSteps } from './moves.js';
import type { CallOptions } from './options.js';
import { PositionedFile } from './position.js';
import { restSteps, Transfer, transferSteps } from './transfer.js';

/** An open file that is read and written at positions. */
export abstract class PlacedFile extends PositionedFile {
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
    this.checkPlaced(code);
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
    if (!isQuickEngine(engine) || !this.isQuick(code, buffers, at)) {
      return this.now(() => this.#transfer(code, buffers, at, true));
    }
    const view = buffers;
    const { length } = view;
    const offset = at as number;
    const result = performTransfer(engine, code, this.fd, view, offset);
    this.counters.countTransfer(code, false, length, result);
    if (result === length) return length;
    return driveSync(engine, restSteps(this, { code, offset, length }, view, result));
  }
}

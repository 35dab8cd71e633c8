/** The file's own position: reads and writes that go on where the last one ended. */
import type { Buffers, Sequence } from '../buffers.js';
import type { MemoryMode, Steps } from '../engine.js';
import { invalidType, invalidValue, outOfRange } from '../errors.js';
import { appendSteps } from './append.js';
import { sizeSteps } from './call.js';
import { heldSequence } from './memory.js';
import { readSteps, writeSteps } from './moves.js';
import type { CallOptions } from './options.js';
import { readOnSteps, writeOnSteps } from './sequential.js';
import { SpaceFile } from './space.js';

/** From where a seek counts. */
export type SeekOrigin = 'set' | 'current' | 'end';

/** An open file with a position of its own, kept here and not in the descriptor. */
export abstract class PositionedFile extends SpaceFile {
  #position = 0;

  /** Where the next `read` or `write` begins, in bytes. */
  get position(): number {
    return this.#position;
  }

  /**
   * Reads at the file's position and moves it on.
   *
   * Units: bytes read, fewer than asked only at the end of the file.
   * Order: reads, writes and seeks of one `OpenFile` take place in the order of the calls.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: as `readAt`; the position moves by what was read.
   */
  read(buffers: Buffers, options?: CallOptions): Promise<number> {
    return this.later(options, (memory) => this.#read(buffers, memory), 'position');
  }

  /** As `read`, on the calling thread. Errors: `EBUSY` while a `read` or `write` is under way. */
  readSync(buffers: Buffers): number {
    return this.nowInTurn('position', () => this.#read(buffers));
  }

  /**
   * Writes at the file's position and moves it on; a file open for append is written at its end.
   *
   * Units: bytes written, which is all of them.
   * Order: as `read`.
   * Durable: no; see `sync`.
   * Lifetime: the views are the library's until the promise settles.
   * Errors: as `writeAt`; the position moves by what was written.
   */
  write(buffers: Buffers, options?: CallOptions): Promise<number> {
    return this.later(options, (memory) => this.#write(buffers, memory), 'position');
  }

  /** As `write`, on the calling thread. Errors: `EBUSY` while a `read` or `write` is under way. */
  writeSync(buffers: Buffers): number {
    return this.nowInTurn('position', () => this.#write(buffers));
  }

  /**
   * Moves the position and answers where it is then.
   *
   * Units: bytes; `offset` may be negative for `current` and `end`.
   * Order: as `read`.
   * Errors: `TypeError`, `RangeError` for a place before the start; `IoError`.
   */
  seek(offset: number, origin: SeekOrigin = 'set', options?: CallOptions): Promise<number> {
    return this.later(options, () => this.#seek(offset, origin), 'position');
  }

  /** As `seek`, on the calling thread. Errors: `EBUSY` while a `read` or `write` is under way. */
  seekSync(offset: number, origin: SeekOrigin = 'set'): number {
    return this.nowInTurn('position', () => this.#seek(offset, origin));
  }

  #read(buffers: Buffers, memory: MemoryMode = 'reference'): Steps<number> {
    const sequence = heldSequence(buffers, memory);
    this.check(this.mayRead, 'read');
    if (this.pipe !== undefined) return readOnSteps(this, sequence, true);
    return this.#moving((moved) => readSteps(this, sequence, this.#position, moved));
  }

  #write(buffers: Buffers, memory: MemoryMode = 'reference'): Steps<number> {
    const sequence = heldSequence(buffers, memory);
    this.check(this.mayWrite, 'write');
    if (this.pipe !== undefined) return writeOnSteps(this, sequence);
    if (this.access === 'append') return this.#appending(sequence);
    return this.#moving((moved) => writeSteps(this, sequence, this.#position, moved));
  }

  /* What was moved before a failure counts. */
  *#moving(steps: (moved: (bytes: number) => void) => Steps<number>): Steps<number> {
    let bytes = 0;
    try {
      bytes = yield* steps((moved) => {
        bytes = moved;
      });
      return bytes;
    } finally {
      this.#position += bytes;
    }
  }

  *#appending(sequence: Sequence): Steps<number> {
    const landed = yield* appendSteps(this, sequence);
    this.#position = landed + sequence.byteLength;
    return sequence.byteLength;
  }

  #seek(offset: number, origin: SeekOrigin): Steps<number> {
    if (typeof offset !== 'number') throw invalidType('offset', 'a number of bytes', offset);
    if (!Number.isSafeInteger(offset)) throw outOfRange('offset', 'a safe integer', offset);
    if (origin !== 'set' && origin !== 'current' && origin !== 'end') {
      throw invalidValue('origin', "'set', 'current' or 'end'", origin);
    }
    return this.#seeking(offset, origin);
  }

  *#seeking(offset: number, origin: SeekOrigin): Steps<number> {
    let base = 0;
    if (origin === 'current') base = this.#position;
    if (origin === 'end') base = yield* sizeSteps(this);
    const position = base + offset;
    if (position < 0 || !Number.isSafeInteger(position)) {
      throw outOfRange('offset', `such that the position is from 0 to 2^53 - 1`, offset);
    }
    this.#position = position;
    return position;
  }
}

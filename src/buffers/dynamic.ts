/** Buffers that grow at one end and shrink at the other: what comes in is prepared, then read. */
import { byteCount } from '../bytes.js';
import { IoError, invalidType, outOfRange } from '../errors.js';

const CAPACITY_MIN = 512;
const CAPACITY_DEFAULT_MAX = 2 ** 31;

/**
 * Zeroed memory of a size that the caller asked for.
 *
 * Errors: `IoError` with code `ENOMEM` when there is not so much.
 */
export function allocated(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new IoError({ action: `allocate ${bytes} bytes`, code: 'ENOMEM', cause });
  }
}

function upTo(length: unknown, limit: number, what: string): number {
  const bytes = byteCount(length, 'length');
  if (bytes > limit) throw outOfRange('length', `at most the ${limit} bytes ${what}`, length);
  return bytes;
}

/* A buffer whose memory was transferred away has lost its bytes. */
function checkAttached(block: Uint8Array, capacity: number): void {
  if (block.length === capacity) return;
  const action = 'use the buffer: its memory was detached';
  throw new IoError({ action, code: 'ERR_BUFFER_CHANGED', bytesDone: 0 });
}

export interface GrowableBufferOptions {
  /** Bytes it holds at most. Default 2 GiB. */
  readonly maxSize?: number | undefined;
  /** Bytes it has room for at birth. Default 0. */
  readonly capacity?: number | undefined;
}

/**
 * A flat buffer: what is in it is always one view. Bytes are put in by `prepare` and `commit`, and
 * taken out by `data` and `consume`.
 *
 * Order: `prepare`, then fill the view (or a part), then `commit` what was filled; `data`, then
 * `consume` what was used.
 * Lifetime: a view of `data` or `prepare` is good until the next `prepare`, which may move bytes:
 * prepare nothing while an operation uses one.
 */
export class GrowableBuffer {
  readonly #maxSize: number;
  #block: Uint8Array;
  #capacity: number;
  #start = 0;
  #end = 0;
  #prepared = 0;

  /** Errors: `TypeError`, `RangeError` for sizes that are none; `IoError` when memory is out. */
  constructor(options: GrowableBufferOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw invalidType('options', 'an object', options);
    }
    const { maxSize = CAPACITY_DEFAULT_MAX, capacity = 0 } = options;
    this.#maxSize = byteCount(maxSize, 'options.maxSize');
    if (byteCount(capacity, 'options.capacity') > this.#maxSize) {
      throw outOfRange('options.capacity', `at most maxSize (${maxSize})`, capacity);
    }
    this.#block = allocated(Number(capacity));
    this.#capacity = this.#block.length;
  }

  /** Bytes that can be read. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** Bytes it holds at most. */
  get maxSize(): number {
    return this.#maxSize;
  }

  /** Bytes it holds before it has to grow. */
  get capacity(): number {
    return this.#capacity;
  }

  /**
   * Room for `length` bytes behind what is there; takes the place of what was prepared before.
   *
   * Lifetime: the view is good until the next `prepare`; earlier views are not any more.
   * Errors: `TypeError`, `RangeError` for what is no byte count or beyond `maxSize`; `IoError` when
   * memory is out. Nothing has changed then.
   */
  prepare(length: number): Uint8Array {
    checkAttached(this.#block, this.#capacity);
    const bytes = upTo(length, this.#maxSize - this.size, 'up to maxSize');
    if (this.size === 0) this.#start = this.#end = 0;
    if (this.#end + bytes > this.#capacity) this.#makeRoom(bytes);
    this.#prepared = bytes;
    return this.#block.subarray(this.#end, this.#end + bytes);
  }

  /* Moving down costs no more than the bytes consumed before it: each is moved once, on average. */
  #makeRoom(bytes: number): void {
    const { size } = this;
    const needed = size + bytes;
    const isWorthMoving = this.#start >= size || this.#capacity === this.#maxSize;
    if (needed <= this.#capacity && isWorthMoving) {
      this.#block.copyWithin(0, this.#start, this.#end);
    } else {
      const doubled = Math.max(needed, this.#capacity * 2, CAPACITY_MIN);
      const block = allocated(Math.min(doubled, this.#maxSize));
      block.set(this.#block.subarray(this.#start, this.#end));
      this.#block = block;
      this.#capacity = block.length;
    }
    this.#start = 0;
    this.#end = size;
  }

  /** Makes the first `length` prepared bytes readable. Errors: `RangeError` for more than those. */
  commit(length: number): void {
    this.#end += upTo(length, this.#prepared, 'prepared');
    this.#prepared = 0;
  }

  /**
   * What can be read, as one view.
   *
   * Lifetime: good until the next `prepare`.
   * Errors: `IoError` when the memory was detached.
   */
  data(): Uint8Array {
    checkAttached(this.#block, this.#capacity);
    return this.#block.subarray(this.#start, this.#end);
  }

  /** Takes off the first `length` bytes. Errors: `RangeError` for more than there are. */
  consume(length: number): void {
    this.#start += upTo(length, this.size, 'there are');
  }
}

/**
 * A ring of a fixed size: nothing is ever moved, so what is in it is one view or two.
 *
 * Order: as `GrowableBuffer`.
 * Lifetime: a view of `data` is good until its bytes are consumed, one of `prepare` until the next
 * `prepare`.
 */
export class RingBuffer {
  readonly #block: Uint8Array;
  readonly #capacity: number;
  #start = 0;
  #size = 0;
  #prepared = 0;

  /** Errors: `TypeError`, `RangeError` for no capacity at all; `IoError` when memory is out. */
  constructor(capacity: number) {
    this.#capacity = byteCount(capacity, 'capacity');
    this.#block = allocated(this.#capacity);
  }

  /** Bytes that can be read. */
  get size(): number {
    return this.#size;
  }

  /** Bytes it holds at most: its capacity. */
  get maxSize(): number {
    return this.#capacity;
  }

  /** Bytes it holds at most. */
  get capacity(): number {
    return this.#capacity;
  }

  /**
   * Room for `length` bytes behind what is there, as no, one or two views.
   *
   * Lifetime: the views are good until the next `prepare`, which takes their place.
   * Errors: `TypeError`, `RangeError` for what is no byte count or more than is free; `IoError`
   * when the memory was detached.
   */
  prepare(length: number): Uint8Array[] {
    checkAttached(this.#block, this.#capacity);
    const bytes = upTo(length, this.#capacity - this.#size, 'free');
    if (this.#size === 0) this.#start = 0;
    this.#prepared = bytes;
    return this.#views(this.#start + this.#size, bytes);
  }

  /** Makes the first `length` prepared bytes readable. Errors: `RangeError` for more than those. */
  commit(length: number): void {
    this.#size += upTo(length, this.#prepared, 'prepared');
    this.#prepared = 0;
  }

  /**
   * What can be read, as no, one or two views.
   *
   * Lifetime: good until the bytes are consumed.
   * Errors: `IoError` when the memory was detached.
   */
  data(): Uint8Array[] {
    checkAttached(this.#block, this.#capacity);
    return this.#views(this.#start, this.#size);
  }

  /** Takes off the first `length` bytes. Errors: `RangeError` for more than there are. */
  consume(length: number): void {
    const bytes = upTo(length, this.#size, 'there are');
    this.#start = this.#capacity === 0 ? 0 : (this.#start + bytes) % this.#capacity;
    this.#size -= bytes;
  }

  #views(place: number, length: number): Uint8Array[] {
    if (length === 0) return [];
    const start = place % this.#capacity;
    const end = start + length;
    if (end <= this.#capacity) return [this.#block.subarray(start, end)];
    return [this.#block.subarray(start), this.#block.subarray(0, end - this.#capacity)];
  }
}

/** Going through sequences: a cursor, and the algorithms that need no more than one. */
import { byteCount } from '../bytes.js';
import { assert, outOfRange } from '../errors.js';
import { type Buffers, sequenceOf } from './sequence.js';

/**
 * The number of bytes in a sequence.
 *
 * Errors: `TypeError` for anything that is not a view.
 */
export function buffersLength(buffers: Buffers): number {
  return sequenceOf(buffers).byteLength;
}

/**
 * The number of views in a sequence, empty ones left out.
 *
 * Errors: `TypeError` for anything that is not a view.
 */
export function buffersCount(buffers: Buffers): number {
  return sequenceOf(buffers).views.length;
}

/**
 * The first view that is not empty, as bytes; `undefined` when there is none.
 *
 * Errors: `TypeError` for anything that is not a view.
 */
export function frontOf(buffers: Buffers): Uint8Array | undefined {
  return sequenceOf(buffers).views[0];
}

/**
 * Copies bytes from one sequence to another, up to the end of the shorter.
 *
 * Shapes: both are sequences of any number of views; they must not overlap.
 * Units: answers the bytes copied.
 * Errors: `TypeError` for anything that is not a view.
 */
export function copyBuffers(target: Buffers, source: Buffers): number {
  const into = new Cursor(target, 'target');
  const from = new Cursor(source, 'source');
  let copied = 0;
  for (;;) {
    const room = into.front;
    const piece = from.front;
    if (room === undefined || piece === undefined) return copied;
    const length = Math.min(room.byteLength, piece.byteLength);
    room.set(piece.byteLength === length ? piece : piece.subarray(0, length));
    into.consume(length);
    from.consume(length);
    copied += length;
  }
}

/**
 * The views of the bytes from `start` to `end`, without copying.
 *
 * Units: bytes; `end` beyond the sequence means its end, `start` beyond it gives no views.
 * Lifetime: the views share memory with the caller's.
 * Errors: `TypeError` for anything that is not a view; `RangeError` for bad positions.
 */
export function sliceBuffers(buffers: Buffers, start: number, end?: number): Uint8Array[] {
  const cursor = new Cursor(buffers);
  const from = Math.min(byteCount(start, 'start'), cursor.remaining);
  const to = end === undefined ? cursor.remaining : byteCount(end, 'end');
  if (end !== undefined && to < start)
    throw outOfRange('end', `at least the start (${start})`, end);
  cursor.consume(from);
  return cursor.take(Math.min(to - from, cursor.remaining));
}

/**
 * Splits a sequence in two at a byte position, without copying.
 *
 * Units: bytes; a position beyond the sequence puts all of it into the first part.
 * Lifetime: the views share memory with the caller's.
 * Errors: `TypeError` for anything that is not a view; `RangeError` for a bad position.
 */
export function splitBuffers(buffers: Buffers, position: number): [Uint8Array[], Uint8Array[]] {
  const cursor = new Cursor(buffers);
  const head = cursor.take(Math.min(byteCount(position, 'position'), cursor.remaining));
  return [head, cursor.take(cursor.remaining)];
}

/**
 * A place in a sequence: what is left of it, and `consume` to go on.
 *
 * Lifetime: holds the views until it is dropped; copies no bytes.
 */
export class Cursor {
  readonly #views: readonly Uint8Array[];
  #index = 0;
  #inside = 0;
  #remaining: number;

  /** Errors: `TypeError` for anything that is not a view. */
  constructor(buffers: Buffers, argument = 'buffers') {
    const sequence = sequenceOf(buffers, argument);
    this.#views = sequence.views;
    this.#remaining = sequence.byteLength;
  }

  /** Bytes not yet consumed. */
  get remaining(): number {
    return this.#remaining;
  }

  /** What is left of the present view; `undefined` at the end. */
  get front(): Uint8Array | undefined {
    const view = this.#views[this.#index];
    return this.#inside === 0 ? view : view?.subarray(this.#inside);
  }

  /** What is left, as views. */
  views(): Uint8Array[] {
    const front = this.front;
    return front === undefined ? [] : [front, ...this.#views.slice(this.#index + 1)];
  }

  /** Goes on by `length` bytes. Errors: `RangeError` when fewer are left. */
  consume(length: number): void {
    if (byteCount(length, 'length') > this.#remaining) {
      throw outOfRange('length', `at most the ${this.#remaining} bytes left`, length);
    }
    this.#remaining -= length;
    let left = length;
    while (left > 0) {
      const view = this.#views[this.#index];
      assert(view !== undefined && view.byteLength > this.#inside, 'a cursor counts what is left');
      const here = Math.min(left, view.byteLength - this.#inside);
      this.#inside += here;
      left -= here;
      if (this.#inside === view.byteLength) {
        this.#index++;
        this.#inside = 0;
      }
    }
  }

  /** Goes on by `length` bytes and answers them as views. Errors: `RangeError` as `consume`. */
  take(length: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let left = byteCount(length, 'length');
    while (left > 0) {
      const front = this.front;
      if (front === undefined) throw outOfRange('length', 'at most the bytes left', length);
      const piece = front.byteLength > left ? front.subarray(0, left) : front;
      taken.push(piece);
      this.consume(piece.byteLength);
      left -= piece.byteLength;
    }
    return taken;
  }
}

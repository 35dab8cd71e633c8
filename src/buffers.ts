/**
 * Buffer sequences: views taken in order as if they were one run of bytes, the algorithms on them,
 * and the Window through which one system call sees a part of them.
 *
 * Any `ArrayBufferView` counts as its bytes: a `Float64Array` is 8 bytes an element. One view is a
 * sequence of one; empty views are skipped.
 *
 * Invariants: 1. Every view is checked before the first byte moves.
 *             2. A window holds at least `viewCountMax` views of the sequence while there are so
 *                many, so n views take at most ceil(n / viewCountMax) windows when no call is
 *                short; up to 16,384 views take exactly so many.
 *             3. `consume` takes views in order; nothing is passed twice or left out.
 * Not promised: that views in a window are the caller's: small neighbours are copied together.
 * Source: readv(2) (IOV_MAX is 1024 on Linux); Capy's buffer sequences
 */
import { byteCount } from './bytes.js';
import { assert, IoError, invalidType, invalidValue, outOfRange } from './errors.js';

/** One view, or views in order. */
export type Buffers = ArrayBufferView | Iterable<ArrayBufferView>;

/** A checked sequence: bytes only, empty views left out. */
export interface Sequence {
  readonly views: readonly Uint8Array[];
  readonly byteLength: number;
}

/*
 * Views up to this length are cheaper to copy than to pass: with Node 20, x64, 1024 views of 64
 * bytes took 26 us to copy and 84 us to hand over one by one (bench/results/gather.md).
 */
const SMALL_BYTES = 512;
const STAGING_BYTES = 65536;
const STAGING_KEPT_MAX = 8;
/* Long sequences of small views: fewer crossings, and a bound that is still a bound. */
const BULK_VIEWS = 16384;
const BULK_STAGING_BYTES = 1048576;

const at: (this: ArrayBufferView, index: number) => unknown = Object.getPrototypeOf(
  Uint8Array.prototype,
).at;

/* `at` throws for a detached buffer and for a view past the end of a shrunk one; `byteLength` of
 * both is 0, like that of a view that is empty by right (ECMA-262, ValidateTypedArray). */
function checkAttached(view: ArrayBufferView, argument: string): void {
  try {
    if (view instanceof DataView) view.byteLength;
    else at.call(view, 0);
  } catch {
    throw invalidValue(argument, 'a view whose buffer is attached and large enough', view);
  }
}

function bytesOfView(view: ArrayBufferView, argument: string): Uint8Array {
  if (view instanceof Uint8Array) {
    if (view.byteLength === 0) checkAttached(view, argument);
    return view;
  }
  checkAttached(view, argument);
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}

const EXPECTED = 'an ArrayBufferView or an iterable of them';

/**
 * Takes an argument as a sequence; the array of views is a copy, the bytes are not.
 *
 * Errors: `TypeError` naming the argument (and the index of the view) for anything that is not a
 * view of attached memory. What an iterable throws passes through. Nothing has happened then.
 */
export function sequenceOf(buffers: Buffers, argument = 'buffers'): Sequence {
  if (ArrayBuffer.isView(buffers)) {
    const view = bytesOfView(buffers, argument);
    return { views: view.byteLength === 0 ? [] : [view], byteLength: view.byteLength };
  }
  if (!isIterable(buffers)) throw invalidType(argument, EXPECTED, buffers);
  return gathered(Array.isArray(buffers) ? buffers : [...buffers], argument);
}

/*
 * The hot loops read `length` of a Uint8Array, which is its bytes: 1 ns a view, where `byteLength`
 * takes 10 (V8 11.3 and 12.4 do not inline it).
 */
function gathered(given: readonly unknown[], argument: string): Sequence {
  const views: Uint8Array[] = new Array(given.length);
  let count = 0;
  let byteLength = 0;
  for (let index = 0; index < given.length; index++) {
    const view = given[index];
    const isPlain = view instanceof Uint8Array && view.length > 0;
    const bytes = isPlain ? view : checkedView(view, `${argument}[${index}]`);
    if (bytes.length === 0) continue;
    views[count++] = bytes;
    byteLength += bytes.length;
  }
  views.length = count;
  return { views, byteLength };
}

function checkedView(view: unknown, argument: string): Uint8Array {
  if (!ArrayBuffer.isView(view)) throw invalidType(argument, 'an ArrayBufferView', view);
  return bytesOfView(view, argument);
}

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

const stagingBlocks: Uint8Array[] = [];

/**
 * The part of a sequence that one call sees. The only place that turns views into what crosses
 * the border; `fill`, make the call, `consume` what it moved, until `isDone`.
 *
 * Lifetime: `payload` and the staging block behind it belong to the call until it has ended.
 */
export class Window {
  readonly byteLength: number;
  /** What the call gets: one view, or an array of at most `viewCountMax`. */
  payload: Uint8Array | Uint8Array[] = [];
  /** Bytes in `payload`. */
  bytes = 0;
  /** Bytes consumed so far. */
  done = 0;
  readonly #views: readonly Uint8Array[];
  readonly #viewCountMax: number;
  readonly #gathers: boolean;
  #index = 0;
  #inside = 0;
  #end = 0;
  #staging: Uint8Array | undefined;

  constructor(sequence: Sequence, viewCountMax: number, direction: 'gather' | 'scatter') {
    this.byteLength = sequence.byteLength;
    this.#views = sequence.views;
    this.#viewCountMax = viewCountMax;
    this.#gathers = direction === 'gather';
  }

  get isDone(): boolean {
    return this.#index === this.#views.length;
  }

  /** Fills `payload` with what comes next. Errors: `IoError` when a view lost its bytes. */
  fill(): void {
    const front = this.#views[this.#index];
    assert(front !== undefined, 'a finished window is not filled again');
    if (front.length <= this.#inside) throw this.#changed();
    const head = this.#inside === 0 ? front : front.subarray(this.#inside);
    if (this.#views.length === 1) {
      this.payload = head;
      this.bytes = head.byteLength;
      this.#end = 1;
    } else {
      this.#fillMany(head);
    }
    if (this.bytes === 0) throw this.#changed();
  }

  /* Runs of small views are copied side by side while the staging block has room. */
  #fillMany(head: Uint8Array): void {
    const payload: Uint8Array[] = [];
    const views = this.#views;
    const isBulk = this.#gathers && views.length > BULK_VIEWS;
    const end = isBulk ? views.length : Math.min(this.#index + this.#viewCountMax, views.length);
    const room = isBulk ? BULK_STAGING_BYTES : STAGING_BYTES;
    const smallMax = this.#gathers ? SMALL_BYTES : 0;
    let index = this.#index;
    let bytes = 0;
    let staged = 0;
    let view = head;
    while (index < end && payload.length < this.#viewCountMax) {
      const start = staged;
      let length = view.length;
      if (length <= smallMax) {
        const staging = this.#takeStaging(room);
        while (length <= SMALL_BYTES && staged + length <= room) {
          if (length === 0) throw this.#changed();
          staging.set(view, staged);
          staged += length;
          if (++index === end) break;
          view = views[index] as Uint8Array;
          length = view.length;
        }
        if (staged > start) {
          payload.push(staging.subarray(start, staged));
          bytes += staged - start;
          continue;
        }
        if (isBulk) break;
      }
      payload.push(view);
      bytes += length;
      index++;
      view = views[index] as Uint8Array;
    }
    this.payload = payload;
    this.bytes = bytes;
    this.#end = index;
  }

  #takeStaging(bytes: number): Uint8Array {
    if (this.#staging !== undefined) return this.#staging;
    const kept = bytes === STAGING_BYTES ? stagingBlocks.pop() : undefined;
    this.#staging = kept ?? new Uint8Array(bytes);
    return this.#staging;
  }

  /** Takes off `length` bytes of the present payload. */
  consume(length: number): void {
    assert(length <= this.bytes, 'a call moves no more than it was given');
    this.done += length;
    if (length === this.bytes) {
      this.#index = this.#end;
      this.#inside = 0;
    } else {
      this.#walk(length);
    }
    this.bytes -= length;
    if (this.isDone && this.done !== this.byteLength) throw this.#changed();
  }

  #walk(length: number): void {
    let left = length;
    while (left > 0) {
      const here = (this.#views[this.#index]?.byteLength ?? 0) - this.#inside;
      if (here <= 0) throw this.#changed();
      if (left < here) {
        this.#inside += left;
        return;
      }
      left -= here;
      this.#index++;
      this.#inside = 0;
    }
  }

  /** Lets the staging block go; call it when no call uses the payload any more. */
  release(): void {
    this.payload = [];
    if (this.#staging === undefined) return;
    const isKept = this.#staging.length === STAGING_BYTES;
    if (isKept && stagingBlocks.length < STAGING_KEPT_MAX) stagingBlocks.push(this.#staging);
    this.#staging = undefined;
  }

  #changed(): IoError {
    const action = 'go on: a view was resized or detached during the operation';
    return new IoError({ action, code: 'ERR_BUFFER_CHANGED', bytesDone: this.done });
  }
}

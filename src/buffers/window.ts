/** The window: the part of a sequence that one system call sees. */
import { assert, IoError } from '../errors.js';
import type { Sequence } from './sequence.js';
import { plainStaging, type Staging } from './staging.js';

/*
 * Views up to this length are cheaper to copy than to pass: with Node 20, x64, 1024 views of 64
 * bytes took 26 us to copy and 84 us to hand over one by one (bench/results/gather.md).
 */
const SMALL_BYTES = 512;
const STAGING_BYTES = 65536;
/* Long sequences of small views: fewer crossings, and a bound that is still a bound. */
const BULK_VIEWS = 16384;
const BULK_STAGING_BYTES = 1048576;

export interface WindowOptions {
  /** Where blocks come from. Default: plain memory. */
  readonly staging?: Staging | undefined;
  /** The error for a view that lost its bytes. */
  readonly changed?: ((bytesDone: number) => Error) | undefined;
}

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
  readonly #isCopied: boolean;
  #index = 0;
  #inside = 0;
  #end = 0;
  /* Bytes in the payload when it was filled. */
  #asked = 0;
  #block: Uint8Array | undefined;
  readonly #options: WindowOptions;

  constructor(
    sequence: Sequence,
    viewCountMax: number,
    direction: 'gather' | 'scatter',
    options: WindowOptions = {},
  ) {
    this.byteLength = sequence.byteLength;
    this.#views = sequence.views;
    this.#viewCountMax = viewCountMax;
    this.#gathers = direction === 'gather';
    this.#isCopied = sequence.isCopied === true;
    this.#options = options;
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
    if (this.#isCopied) {
      this.#fillCopy();
    } else if (this.#views.length === 1) {
      this.payload = head;
      this.bytes = head.byteLength;
      this.#end = 1;
    } else {
      this.#fillMany(head);
    }
    if (this.bytes === 0) throw this.#changed();
    this.#asked = this.bytes;
  }

  /* Library memory stands between the views and the system, which never sees the views. */
  #fillCopy(): void {
    const block = this.#takeBlock(this.byteLength - this.done);
    const length = Math.min(block.length, this.byteLength - this.done);
    this.payload = block.length === length ? block : block.subarray(0, length);
    this.bytes = length;
    if (this.#gathers) this.#copy(this.payload, length);
  }

  /* Between a block and the views from here on, without going on. */
  #copy(block: Uint8Array, length: number): void {
    let index = this.#index;
    let inside = this.#inside;
    for (let copied = 0; copied < length; index++) {
      const view = this.#views[index];
      const here = Math.min((view?.length ?? 0) - inside, length - copied);
      if (view === undefined || here <= 0) throw this.#changed();
      const piece = view.subarray(inside, inside + here);
      if (this.#gathers) block.set(piece, copied);
      else piece.set(block.subarray(copied, copied + here));
      copied += here;
      inside = 0;
    }
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
        const staging = this.#takeBlock(room);
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

  #takeBlock(bytes: number): Uint8Array {
    this.#block ??= (this.#options.staging ?? plainStaging).take(bytes);
    return this.#block;
  }

  /**
   * Takes off `length` bytes of the present payload, which a call has moved.
   *
   * Errors: `IoError` when a view lost its bytes meanwhile; `done` counts them all the same.
   */
  consume(length: number): void {
    assert(length <= this.bytes, 'a call moves no more than it was given');
    this.done += length;
    this.checkIntact();
    if (this.#isCopied && !this.#gathers) this.#copy(this.payload as Uint8Array, length);
    if (length === this.bytes && !this.#isCopied) {
      this.#index = this.#end;
      this.#inside = 0;
    } else {
      this.#walk(length);
    }
    this.bytes -= length;
    if (this.isDone && this.done !== this.byteLength) throw this.#changed();
  }

  /**
   * Looks whether the views of the present payload are what they were when it was filled.
   *
   * Errors: `IoError` when one was detached or cut: what the system did with its memory is not
   * known, and the memory may be another's by now.
   */
  checkIntact(): void {
    const { payload } = this;
    if (!Array.isArray(payload)) {
      if (payload.length < this.#asked) throw this.#changed();
      return;
    }
    let bytes = 0;
    for (let index = 0; index < payload.length; index++) {
      const { length } = payload[index] as Uint8Array;
      if (length === 0) throw this.#changed();
      bytes += length;
    }
    if (bytes < this.#asked) throw this.#changed();
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
    this.#asked = 0;
    if (this.#block === undefined) return;
    (this.#options.staging ?? plainStaging).giveBack(this.#block);
    this.#block = undefined;
  }

  #changed(): Error {
    const { changed } = this.#options;
    if (changed !== undefined) return changed(this.done);
    const action = 'go on: a view was resized or detached during the operation';
    return new IoError({ action, code: 'ERR_BUFFER_CHANGED', bytesDone: this.done });
  }
}

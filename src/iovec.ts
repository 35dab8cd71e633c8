/**
 * The image of a file as views: bytes stand where they lie, padding is one page of zeros seen many
 * times, and what is known only later is reserved and filled in. It does no I/O: `file.writeAt`,
 * `replaceFile` and whoever takes `Buffers` write what it gives.
 *
 * Invariants: 1. Offsets are those of the file: what is appended after it never moves a piece.
 *             2. `buffers()` in a row are `toBuffer()`, byte for byte: padding is zeros, whatever
 *                was in memory before.
 *             3. An unfilled slot is never given out: `finalize`, `buffers` and `toBuffer` name it.
 *             4. A view of more than 512 bytes is given out as it is, over the caller's memory.
 * Not promised: that small neighbours are the caller's memory: two or more are copied side by side
 * when they are given out. That bytes changed after `append` are seen, or not.
 * Source: pwritev(2); Roc's IovecWriter
 */
import {
  allocated,
  type Buffers,
  copyBuffers,
  prepareBuffers,
  type Sequence,
  sequenceOf,
} from './buffers.js';
import { alignUp, byteCount, checkRange } from './bytes.js';
import { IoError, invalidType, invalidValue, outOfRange } from './errors.js';

const ALIGNMENT_DEFAULT = 16;
const ZERO_PAGE: Uint8Array = new Uint8Array(4096);
/* Costs less to copy than to pass: the window of buffers.ts draws the line at the same place. */
const SMALL_BYTES = 512;
const STAGING_BYTES = 65536;

/** How a writer is made. */
export interface IovecWriterOptions {
  /** Where a call names none: a power of two. Default 16. */
  readonly alignment?: number | undefined;
}

/** A reserved place, to be filled in later. Made by `reserve`. */
export interface IovecSlot {
  /** Where it begins in the image. */
  readonly offset: number;
  readonly length: number;
  /** What errors call it. */
  readonly name: string;
}

/* The place of a slot among the pieces; `undefined` when it is filled. */
class Reserved implements IovecSlot {
  readonly offset: number;
  readonly length: number;
  readonly name: string;
  readonly writer: IovecWriter;
  piece: number;

  constructor(writer: IovecWriter, piece: number, place: IovecSlot) {
    this.writer = writer;
    this.piece = piece;
    this.offset = place.offset;
    this.length = place.length;
    this.name = place.name;
  }
}

type Piece = Uint8Array | readonly Uint8Array[] | Reserved;

/**
 * Collects views into the image of a file.
 *
 * Order: pieces stand in the order of the calls; slots are filled in any order.
 * Lifetime: views are referenced, not copied: leave their bytes alone until they are written.
 */
export class IovecWriter {
  readonly #alignment: number;
  #pieces: Piece[] = [];
  /* Unfilled ones, in order of their offsets. */
  readonly #unfilled = new Set<Reserved>();
  #offset = 0;
  #slotCount = 0;
  #drained = 0;
  #views: readonly Uint8Array[] | undefined;
  #isFinal = false;

  /** Errors: `TypeError`, `RangeError` for an alignment that is no power of two. */
  constructor(options: IovecWriterOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw invalidType('options', 'an object', options);
    }
    this.#alignment = options.alignment ?? ALIGNMENT_DEFAULT;
    alignUp(0, this.#alignment);
  }

  /** Where the next byte will stand. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes of the image so far: padding, slots and what was drained among them. */
  get byteLength(): number {
    return this.#offset;
  }

  /**
   * Adds bytes at the end, without copying them.
   *
   * Shapes: one view or any number; empty ones take no place.
   * Units: answers the offset of the first byte.
   * Lifetime: see the class.
   * Errors: `TypeError` for what is no view, and after `finalize`.
   */
  append(bytes: Buffers): number {
    this.#checkOpen('append');
    return this.#add(sequenceOf(bytes, 'bytes'));
  }

  /**
   * As `append`, at the next multiple of `alignment`; the gap is zeros.
   *
   * Errors: as `append`; `RangeError` for an alignment that is no power of two.
   */
  appendAligned(bytes: Buffers, alignment: number = this.#alignment): number {
    this.#checkOpen('append');
    const sequence = sequenceOf(bytes, 'bytes');
    this.#pad(alignUp(this.#offset, alignment));
    return this.#add(sequence);
  }

  /**
   * Goes on to the next multiple of `alignment`, over zeros.
   *
   * Units: answers the offset then.
   * Errors: `TypeError`, `RangeError` for an alignment that is no power of two.
   */
  align(alignment: number = this.#alignment): number {
    this.#checkOpen('align');
    this.#pad(alignUp(this.#offset, alignment));
    return this.#offset;
  }

  /**
   * Leaves a place to be filled in later, at the next multiple of `alignment`.
   *
   * Units: bytes.
   * Errors: `TypeError`, `RangeError` for a length or an alignment that is none.
   */
  reserve(length: number, alignment: number = this.#alignment, name?: string): IovecSlot {
    this.#checkOpen('reserve');
    const bytes = byteCount(length, 'length');
    const start = alignUp(this.#offset, alignment);
    checkRange(start, bytes, 'offset');
    this.#pad(start);
    const called = name ?? `slot ${this.#slotCount}`;
    const place = { offset: start, length: bytes, name: called };
    const slot = new Reserved(this, this.#pieces.length, place);
    this.#slotCount++;
    this.#pieces.push(slot);
    this.#unfilled.add(slot);
    this.#offset += bytes;
    return slot;
  }

  /**
   * Fills a reserved place, without copying: once, and the whole of it.
   *
   * Errors: `TypeError` for a slot of another writer and for one that is filled; `RangeError` when
   * the bytes are not exactly as many as were reserved.
   */
  fill(slot: IovecSlot, bytes: Buffers): void {
    if (!(slot instanceof Reserved) || slot.writer !== this) {
      throw invalidType('slot', 'a slot that this writer reserved', slot);
    }
    if (!this.#unfilled.has(slot)) throw invalidValue('slot', 'one not filled yet', slot.name);
    const { views, byteLength } = sequenceOf(bytes, 'bytes');
    if (byteLength !== slot.length) {
      throw outOfRange('bytes', `the ${slot.length} bytes of "${slot.name}"`, byteLength);
    }
    this.#pieces[slot.piece] = views;
    this.#unfilled.delete(slot);
    this.#views = undefined;
  }

  /**
   * Ends the image: nothing is added after it.
   *
   * Units: answers the bytes of the image.
   * Errors: `TypeError` naming the first slot that was never filled; `IoError` when a view was
   * detached or resized since it was appended.
   */
  finalize(): number {
    this.#gather();
    this.#isFinal = true;
    return this.#offset;
  }

  /**
   * The image as views in order, fewer than were appended: neighbours in memory are one, and small
   * ones stand side by side in memory of the writer. Before `finalize` it is the image so far.
   *
   * Lifetime: padding is one page that all writers share: do not write into a view given out.
   * Errors: as `finalize`; `TypeError` after `drain`.
   */
  buffers(): readonly Uint8Array[] {
    if (this.#drained > 0) throw invalidValue('image', 'one that was not drained', this.#drained);
    return this.#gather();
  }

  /**
   * The image in one view: in memory of its own, or at the beginning of `target`.
   *
   * Errors: as `buffers`; `RangeError` for a target that is too small; `IoError` of kind `limit`
   * when there is no memory for so much.
   */
  toBuffer(target?: Uint8Array): Uint8Array {
    const views = this.buffers();
    if (target !== undefined && !(target instanceof Uint8Array)) {
      throw invalidType('target', 'a Uint8Array', target);
    }
    const whole = target ?? allocated(this.#offset);
    if (whole.length < this.#offset) {
      throw outOfRange('target', `of ${this.#offset} bytes or more`, whole.length);
    }
    copyBuffers(whole, views);
    return whole.subarray(0, this.#offset);
  }

  /**
   * Gives out what stands before the first unfilled slot and was not given out yet, and lets go of
   * it: an image larger than memory is written piece by piece. What is left at the end comes after
   * `finalize`.
   *
   * Errors: `IoError` when a view was detached or resized since it was appended.
   */
  drain(): readonly Uint8Array[] {
    const [first] = this.#unfilled;
    const end = first?.piece ?? this.#pieces.length;
    const until = first?.offset ?? this.#offset;
    const views = this.#joined(this.#pieces.slice(0, end), until - this.#drained);
    this.#pieces = this.#pieces.slice(end);
    for (const slot of this.#unfilled) slot.piece -= end;
    this.#drained = until;
    this.#views = undefined;
    return views;
  }

  #checkOpen(action: string): void {
    if (this.#isFinal) throw invalidValue('image', `open for ${action}`, 'finalized');
  }

  #add({ views, byteLength }: Sequence): number {
    const start = this.#offset;
    checkRange(start, byteLength, 'offset');
    for (const view of views) this.#pieces.push(view);
    this.#offset += byteLength;
    this.#views = undefined;
    return start;
  }

  #pad(end: number): void {
    let gap = end - this.#offset;
    while (gap > 0) {
      const length = Math.min(gap, ZERO_PAGE.length);
      this.#pieces.push(ZERO_PAGE.subarray(0, length));
      gap -= length;
    }
    this.#offset = end;
    this.#views = undefined;
  }

  #gather(): readonly Uint8Array[] {
    if (this.#views !== undefined) return this.#views;
    const [slot] = this.#unfilled;
    if (slot !== undefined) {
      const place = `${slot.length} bytes at offset ${slot.offset}`;
      throw invalidValue(slot.name, `filled before the image is given out (${place})`, undefined);
    }
    this.#views = this.#joined(this.#pieces, this.#offset - this.#drained);
    return this.#views;
  }

  #joined(pieces: readonly Piece[], byteLength: number): readonly Uint8Array[] {
    const flat = pieces.flat() as Uint8Array[];
    let bytes = 0;
    for (const view of flat) bytes += view.length;
    if (bytes === byteLength) return Object.freeze(coalesced(prepareBuffers(flat).views));
    const action = 'give out the image: a view was resized or detached after it was appended';
    throw new IoError({ action, code: 'ERR_BUFFER_CHANGED' });
  }
}

/* Runs of two or more small views, copied side by side; others as they are. */
function coalesced(views: readonly Uint8Array[]): Uint8Array[] {
  const few: Uint8Array[] = [];
  let index = 0;
  while (index < views.length) {
    const first = views[index] as Uint8Array;
    let end = index;
    let bytes = 0;
    for (let view: Uint8Array | undefined = first; view !== undefined; view = views[end]) {
      if (view.length > SMALL_BYTES || bytes + view.length > STAGING_BYTES) break;
      bytes += view.length;
      end++;
    }
    if (end < index + 2) {
      few.push(first);
      index++;
      continue;
    }
    const block = allocated(bytes);
    let at = 0;
    for (; index < end; index++) {
      const view = views[index] as Uint8Array;
      block.set(view, at);
      at += view.length;
    }
    few.push(block);
  }
  return few;
}

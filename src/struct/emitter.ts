/** Where an image under construction puts its bytes: few into blocks, many as they lie. */
import { checkRange } from '../bytes.js';
import { type AnyType, DEPTH_MAX, Misfit } from './kind.js';

/** What an emitter hands its bytes to, in order: an `IovecWriter`, or whoever counts them. */
export interface Sink {
  append(bytes: Uint8Array): unknown;
}

/** Memory to put values into; what was not put is zeros. */
export interface Block {
  readonly bytes: Buffer;
  readonly data: DataView;
}

const BLOCK_BYTES = 262144;
/* From here on a view is passed on as it is. */
const REFERENCE_BYTES = 4096;
/* Memory lent is at least of this size, so that one piece serves all. */
const SCRATCH_BYTES = 16384;

function blockOf(length: number): Block {
  const bytes = Buffer.from(new ArrayBuffer(length));
  return { bytes, data: new DataView(bytes.buffer, bytes.byteOffset, length) };
}

/**
 * Puts bytes one after the other. Everything that is put is there before what refers to it, so an
 * offset is always known, and always leads back.
 */
export class Emitter {
  /** The block under way; `claim` answers places in it. */
  block: Block = blockOf(BLOCK_BYTES);
  readonly #sink: Sink;
  /* Offset in the image of the first byte of the block. */
  #base: number;
  #used = 0;
  #passed = 0;
  #spent: Block[] = [];
  readonly #idle: Block[] = [];
  readonly #scratch: Block[] = [];
  readonly #shared = new Map<AnyType, Map<unknown, number>>();
  #depth = 0;

  constructor(sink: Sink, start: number) {
    this.#sink = sink;
    this.#base = start;
  }

  /** Where the next byte will stand in the image. */
  get offset(): number {
    return this.#base + this.#used;
  }

  /** Bytes of blocks that were handed on and not taken back. */
  get heldBytes(): number {
    return this.#spent.length * BLOCK_BYTES;
  }

  /**
   * Takes a place of `length` bytes of zeros in the block; answers where in it. The offset in
   * the image is `placeOf` of it.
   */
  claim(length: number, alignment: number): number {
    let gap = gapAt(this.offset, alignment);
    if (this.#used + gap + length > this.block.bytes.length) {
      this.handOn();
      this.block = this.#take(gap + length);
      gap = gapAt(this.offset, alignment);
    }
    const at = this.#used + gap;
    this.#used = at + length;
    return at;
  }

  /** Where in the image a place of the block is. */
  placeOf(at: number): number {
    return this.#base + at;
  }

  /** Gives back the last bytes of the last claim. They may hold anything that is put over later. */
  unclaim(length: number): void {
    this.#used -= length;
  }

  /** Puts a copy of bytes. Answers their offset in the image. */
  copy(bytes: Uint8Array, alignment: number): number {
    const at = this.claim(bytes.length, alignment);
    this.block.bytes.set(bytes, at);
    return this.#base + at;
  }

  /** Puts bytes; many of them are not copied. Answers their offset in the image. */
  put(bytes: Uint8Array, alignment: number): number {
    if (bytes.length < REFERENCE_BYTES) return this.copy(bytes, alignment);
    this.claim(0, alignment);
    this.handOn();
    const start = this.offset;
    checkRange(start, bytes.length, 'value');
    this.#sink.append(bytes);
    this.#base += bytes.length;
    return start;
  }

  /** Hands on what is in the block; the rest of the block is used on. */
  handOn(): void {
    if (this.#used > this.#passed) {
      this.#sink.append(this.block.bytes.subarray(this.#passed, this.#used));
    }
    this.#passed = this.#used;
  }

  /* A new block begins where the last one ends. */
  #take(length: number): Block {
    this.#base += this.#used;
    this.#used = 0;
    this.#passed = 0;
    this.#spent.push(this.block);
    const idle = length <= BLOCK_BYTES ? this.#idle.pop() : undefined;
    idle?.bytes.fill(0);
    return idle ?? blockOf(Math.max(BLOCK_BYTES, length));
  }

  /** Blocks handed on may be used again: what they held was written. */
  takeBack(): void {
    for (const block of this.#spent) {
      if (block.bytes.length === BLOCK_BYTES) this.#idle.push(block);
    }
    this.#spent = [];
  }

  /** Lends zeroed memory beside the image, until `giveBack`. */
  borrow(length: number): Block {
    if (++this.#depth > DEPTH_MAX) {
      this.#depth = 0;
      throw new Misfit('value', `nested no deeper than ${DEPTH_MAX}`, undefined);
    }
    const block = this.#scratch.pop();
    return block !== undefined && block.bytes.length >= length
      ? block
      : blockOf(Math.max(length, SCRATCH_BYTES));
  }

  /** Takes lent memory back; `used` bytes of it were put. */
  giveBack(block: Block, used: number): void {
    this.#depth--;
    block.bytes.fill(0, 0, used);
    this.#scratch.push(block);
  }

  /** What values of a shared type were put where. */
  sharedOf(type: AnyType): Map<unknown, number> {
    let shared = this.#shared.get(type);
    if (shared === undefined) {
      shared = new Map();
      this.#shared.set(type, shared);
    }
    return shared;
  }
}

function gapAt(offset: number, alignment: number): number {
  const over = offset % alignment;
  return over === 0 ? 0 : alignment - over;
}

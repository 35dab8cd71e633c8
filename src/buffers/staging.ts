/** Memory of the library for bytes on their way: blocks that are used again. */

/* Blocks have the size of a power of two, from a page to what one crossing needs at most. */
const SMALLEST_LOG = 12;
const LARGEST_LOG = 20;

/** The largest block. */
const STAGING_BLOCK_MAX: number = 2 ** LARGEST_LOG;
const KEPT_BYTES_MAX = 4 * STAGING_BLOCK_MAX;

/**
 * Gives blocks and keeps them for the next call.
 *
 * Lifetime: a block is the taker's until it is given back, which must not be before every call
 * that uses it has ended.
 */
export class Staging {
  readonly #make: (bytes: number) => Uint8Array;
  readonly #kept: Uint8Array[][] = [];
  #keptBytes = 0;

  constructor(make: (bytes: number) => Uint8Array) {
    this.#make = make;
    for (let log = SMALLEST_LOG; log <= LARGEST_LOG; log++) this.#kept.push([]);
  }

  /** A block of at least `bytes` bytes, or the largest there is. What is in it is anyone's. */
  take(bytes: number): Uint8Array {
    const log = Math.min(logOf(bytes), LARGEST_LOG);
    const block = this.#kept[log - SMALLEST_LOG]?.pop();
    if (block === undefined) return this.#make(2 ** log);
    this.#keptBytes -= block.length;
    return block;
  }

  /** Takes a block back. */
  giveBack(block: Uint8Array): void {
    if (this.#keptBytes + block.length > KEPT_BYTES_MAX) return;
    this.#keptBytes += block.length;
    this.#kept[logOf(block.length) - SMALLEST_LOG]?.push(block);
  }
}

function logOf(bytes: number): number {
  return bytes <= 2 ** SMALLEST_LOG ? SMALLEST_LOG : 32 - Math.clz32(Math.min(bytes, 2 ** 31) - 1);
}

/** Blocks of plain memory, for windows that are given no others. */
export const plainStaging: Staging = new Staging((bytes) => new Uint8Array(bytes));

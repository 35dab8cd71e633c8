/**
 * Arithmetic on bytes: sizes, offsets and alignment, checked before anything happens; CRC-32C.
 *
 * Invariants: 1. A count of bytes is a safe integer >= 0; an offset plus a length is one too.
 *             2. An alignment is a power of two.
 * Source: off_t is 64 bits (man 2 pwrite), a JavaScript number is exact up to 2^53 - 1
 */
import { invalidType, outOfRange } from './errors.js';

export { crc32c } from './bytes/crc32c.js';

/** True for 1, 2, 4, 8 and so on. */
export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && 2 ** Math.round(Math.log2(value)) === value;
}

/**
 * Takes an argument that counts bytes (a size, an offset) as a number.
 *
 * Shapes: number or bigint.
 * Errors: `TypeError` when it is neither; `RangeError` when it is negative, fractional, NaN or
 * above 2^53 - 1.
 */
export function byteCount(value: unknown, argument: string): number {
  if (typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)) return value;
  if (typeof value === 'bigint' && value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) {
    return Number(value);
  }
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw invalidType(argument, 'a number of bytes', value);
  }
  throw outOfRange(argument, 'an integer from 0 to 2^53 - 1', value);
}

/** Checks that a range of a file ends within 2^53 - 1. Errors: `RangeError` naming the offset. */
export function checkRange(offset: number, length: number, argument: string): void {
  if (offset + length > Number.MAX_SAFE_INTEGER) {
    throw outOfRange(argument, `such that ${length} bytes end below 2^53`, offset);
  }
}

function checkedAlignment(value: number): number {
  if (typeof value !== 'number') throw invalidType('alignment', 'a number of bytes', value);
  if (!isPowerOfTwo(value)) throw outOfRange('alignment', 'a power of two', value);
  return value;
}

/**
 * The smallest multiple of `alignment` that is not below `value`.
 *
 * Units: bytes.
 * Errors: `TypeError`, `RangeError` for a value that is no byte count, for an alignment that is no
 * power of two, for a result above 2^53 - 1.
 */
export function alignUp(value: number, alignment: number): number {
  const down = alignDown(value, alignment);
  if (down === value) return down;
  return byteCount(down + alignment, 'value rounded up');
}

/**
 * The largest multiple of `alignment` that is not above `value`. Writing at a rounded-down offset
 * overwrites what stood before it: round lengths and allocations, not the place of someone's bytes.
 *
 * Units: bytes.
 * Errors: `TypeError`, `RangeError` for a value that is no byte count, for an alignment that is no
 * power of two.
 */
export function alignDown(value: number, alignment: number): number {
  const bytes = byteCount(value, 'value');
  return bytes - (bytes % checkedAlignment(alignment));
}

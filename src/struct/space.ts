/**
 * The bytes of an image as they lie in memory: in one region or in several. Every span is checked
 * here before it is used: bounds, alignment, overflow, and that it leads back.
 */
import { IoError } from '../errors.js';
import { damaged } from './kind.js';

/** Bytes of an image that lie together in memory. */
export interface Region {
  /** Offset in the image of the first byte. */
  readonly base: number;
  readonly bytes: Buffer;
  readonly data: DataView;
  readonly space: Space;
}

/** Who is asked before bytes are looked at. */
export interface Guard {
  /** Throws when the bytes are no more: the image was closed, or its file was cut. */
  alive(): void;
  /** Throws when the bytes are not what was written. */
  verify(offset: number, length: number): void;
}

const HIGH = 2 ** 32;

/** A 64-bit count or offset; more than 2^53 - 1 is nothing any image has. */
export function countAt({ data, base }: Region, at: number): number {
  const high = data.getUint32(at + 4, true);
  if (high >= 2 ** 21) throw damaged('a count is beyond 2^53', base + at);
  return data.getUint32(at, true) + high * HIGH;
}

export function putCount(data: DataView, at: number, count: number): void {
  data.setUint32(at, count % HIGH, true);
  data.setUint32(at + 4, Math.floor(count / HIGH), true);
}

/** A span that was checked: where it lies. */
export interface Found {
  readonly region: Region;
  readonly at: number;
}

/** All regions of an image that are in memory, in the order of their offsets. */
export class Space {
  readonly #guard: Guard;
  /* What comes before it is not values. */
  readonly #start: number;
  #regions: Region[] = [];

  constructor(start: number, guard: Guard) {
    this.#start = start;
    this.#guard = guard;
  }

  /** Adds bytes that begin at an offset, a multiple of 8. */
  add(base: number, bytes: Uint8Array): void {
    const { buffer, byteOffset, length } = bytes;
    const region: Region = {
      base,
      bytes: Buffer.from(buffer, byteOffset, length),
      data: new DataView(buffer, byteOffset, length),
      space: this,
    };
    this.#regions = [...this.#regions, region].sort((one, other) => one.base - other.base);
  }

  /** Lets go of all regions: what comes later finds nothing. */
  clear(): void {
    this.#regions = [];
  }

  /** Checks that the image can still be looked at. Errors: `IoError`. */
  checkAlive(): void {
    this.#guard.alive();
  }

  /** Checks that bytes are what was written, where that was not done. Errors: `IoError`. */
  verify(offset: number, length: number): void {
    this.#guard.alive();
    this.#guard.verify(offset, length);
  }

  /** As `locate`, and the bytes are what was written. Errors: as `locate`. */
  find(from: Region, at: number, span: Span): Found {
    const found = this.locate(from, at, span);
    this.#guard.verify(span.offset, span.count * span.size);
    return found;
  }

  /** Where the value is that a place leads to. Errors: as `locate`. */
  findOne(from: Region, at: number, { size, alignment }: Extent): Found {
    return this.find(from, at, { offset: countAt(from, at), count: 1, size, alignment });
  }

  /**
   * Where `count` elements of `size` bytes lie, which a place of the image leads to.
   *
   * Errors: `IoError` of kind `corrupt` when they are not within the image, not aligned, or not
   * wholly before the place that leads there (so no chain of places ever comes back).
   */
  locate(from: Region, at: number, span: Span): Found {
    const { offset, count, size, alignment } = span;
    const length = count * size;
    const place = from.base + at;
    if (!(offset >= this.#start && offset + length <= place)) {
      throw damaged(`a span of ${length} bytes at ${offset} leads nowhere`, place);
    }
    if (offset % alignment !== 0) throw damaged(`the offset ${offset} is not aligned`, place);
    this.#guard.alive();
    const region = this.#regionOf(from, offset, length);
    return { region, at: offset - region.base };
  }

  /** Where the root is, that stands before `end`. Errors: as `locate`. */
  rootAt(offset: number, { size, alignment }: Extent, end: number): Found {
    const last = this.#regions[this.#regions.length - 1];
    if (last === undefined) throw damaged('there are no bytes', offset);
    return this.find({ ...last, base: end }, 0, { offset, count: 1, size, alignment });
  }

  #regionOf(from: Region, offset: number, length: number): Region {
    if (offset >= from.base) return from;
    for (let index = this.#regions.length - 1; index >= 0; index--) {
      const region = this.#regions[index] as Region;
      if (region.base > offset) continue;
      if (offset + length <= region.base + region.bytes.length) return region;
      break;
    }
    const words = `the section with ${length} bytes at ${offset} is not loaded`;
    throw new IoError({ action: 'read the image', code: 'ERR_IMAGE_SECTION', words, offset });
  }
}

/** How much there is of something. */
export interface Extent {
  readonly size: number;
  readonly alignment: number;
}

/** What a place says of where its elements are. */
export interface Span extends Extent {
  readonly offset: number;
  readonly count: number;
}

/**
 * The bytes of an image as they lie in memory: in one region or in several. Every span is checked
 * here before it is used: bounds, alignment, overflow, and that it leads back.
 */
import { IoError } from '../errors.js';
import { DEPTH_MAX } from './kind.js';

/** Bytes of an image that lie together in memory. */
export interface Region {
  /** Offset in the image of the first byte. */
  readonly base: number;
  bytes: Buffer;
  data: DataView;
  readonly space: Space;
}

/** Who is asked before bytes are looked at. */
export interface Guard {
  /** The file, for errors. */
  readonly path?: string | undefined;
  /** Throws when the bytes are no more: the image was closed, or its file was cut. */
  alive(): void;
  /** Throws when the bytes are not what was written. */
  verify(offset: number, length: number): void;
}

const HIGH = 2 ** 32;

/** What stands in the image cannot be: bytes were changed, or were never an image. */
export function damaged(words: string, offset: number, path?: string): IoError {
  return new IoError({ action: 'read the image', code: 'ERR_IMAGE_DAMAGED', words, offset, path });
}

/** As `damaged`, at a place of a region. */
export function damagedAt(region: Region, at: number, words: string): IoError {
  return damaged(words, region.base + at, region.space.path);
}

/* Lists and refs lend memory while they are put, so no value that was put nests deeper. */
const LOOK_DEPTH_MAX = DEPTH_MAX + 1;

/** Errors: `IoError` for what nests too deep to be looked through. */
export function checkDepth(depth: number, region: Region, at: number): void {
  if (depth > LOOK_DEPTH_MAX) throw damagedAt(region, at, `values nest deeper than ${DEPTH_MAX}`);
}

/** A 64-bit count or offset; more than 2^53 - 1 is nothing any image has. */
export function countAt(region: Region, at: number): number {
  const { data } = region;
  const high = data.getUint32(at + 4, true);
  if (high >= 2 ** 21) throw damagedAt(region, at, 'a count is beyond 2^53');
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

  /** The file, for errors. */
  get path(): string | undefined {
    return this.#guard.path;
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

  /** Lets go of all regions: views that look at them are refused, by the guard. */
  clear(): void {
    for (const region of this.#regions) {
      region.bytes = this.#gone();
      region.data = this.#gone();
    }
    this.#regions = [];
  }

  /* A getter then costs nothing for asking whether the image is still open. */
  #gone<T extends object>(): T {
    const get = (): never => {
      this.#guard.alive();
      throw damaged('there are no bytes', 0, this.path);
    };
    return new Proxy({}, { get }) as T;
  }

  /** The bytes of a span, unchecked. Errors: `IoError` when they are not in memory. */
  bytesAt(offset: number, length: number): Uint8Array {
    const region = this.#regionWith(offset, length);
    return region.bytes.subarray(offset - region.base, offset - region.base + length);
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
      throw damagedAt(from, at, `a span of ${length} bytes at ${offset} leads nowhere`);
    }
    if (offset % alignment !== 0) throw damagedAt(from, at, `the offset ${offset} is not aligned`);
    this.#guard.alive();
    const region = this.#regionOf(from, offset, length);
    return { region, at: offset - region.base };
  }

  /** Where the root is, that stands before `end`. Errors: as `locate`. */
  rootAt(offset: number, { size, alignment }: Extent, end: number): Found {
    const last = this.#regions[this.#regions.length - 1];
    if (last === undefined) throw damaged('there are no bytes', offset, this.path);
    return this.find({ ...last, base: end }, 0, { offset, count: 1, size, alignment });
  }

  #regionOf(from: Region, offset: number, length: number): Region {
    return offset >= from.base ? from : this.#regionWith(offset, length);
  }

  #regionWith(offset: number, length: number): Region {
    for (let index = this.#regions.length - 1; index >= 0; index--) {
      const region = this.#regions[index] as Region;
      if (region.base > offset) continue;
      if (offset + length <= region.base + region.bytes.length) return region;
      break;
    }
    const words = `the section with ${length} bytes at ${offset} is not loaded`;
    const fields = { action: 'read the image', path: this.path, words, offset };
    throw new IoError({ ...fields, code: 'ERR_IMAGE_SECTION' });
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

/** What stands around the values of an image: docs/image-format.md, version 1. */
import { IoError } from '../errors.js';
import { checksum } from '../platform.js';
import { damaged } from '../struct.js';

/** The first version. A reader refuses those it does not know. */
const VERSION = 1;
/** Bytes of the header, and of the trailer. */
export const FRAME_BYTES = 64;
/** A checksum is of so many bytes of a section, or of what is left of it. */
export const BLOCK_BYTES = 65536;
const SECTION_BYTES = 32;
const HIGH = 2 ** 32;

/* As PNG has it: a byte that is not text, line ends that a careless copy would change. */
const MAGIC = Buffer.from('\x89HFI\r\n\x1a\n', 'latin1');
const END_MAGIC = Buffer.from('\n\x1a\r\nIFH\x89', 'latin1');

/** A field of the root, or the root itself: where its bytes are, and their checksums. */
export interface Section {
  readonly offset: number;
  readonly length: number;
  /** Its first checksum among those of the image. */
  readonly first: number;
  /** Of its checksums. */
  readonly sum: number;
}

/** What the trailer tells. */
export interface Trailer {
  readonly root: number;
  /** Where the values end, and the description begins. */
  readonly end: number;
  readonly descriptionLength: number;
  readonly sectionCount: number;
  readonly blockCount: number;
  /** Of the description and the table of sections. */
  readonly sum: number;
}

/** What follows the values. */
export interface Tail {
  readonly trailer: Trailer;
  readonly description: string;
  readonly sections: readonly Section[];
  /** The checksums of all blocks, 4 bytes each. */
  readonly sums: DataView;
}

function dataOf({ buffer, byteOffset, length }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, length);
}

function setCount(data: DataView, at: number, count: number): void {
  data.setUint32(at, count % HIGH, true);
  data.setUint32(at + 4, Math.floor(count / HIGH), true);
}

function getCount(data: DataView, at: number): number {
  return data.getUint32(at, true) + data.getUint32(at + 4, true) * HIGH;
}

/** The header of an image with this layout. */
export function headerOf(hash: bigint): Uint8Array {
  const bytes = new Uint8Array(FRAME_BYTES);
  const data = dataOf(bytes);
  bytes.set(MAGIC);
  data.setUint16(8, VERSION, true);
  data.setUint32(12, FRAME_BYTES, true);
  data.setBigUint64(16, hash, true);
  data.setUint32(60, checksum(bytes.subarray(0, 60)), true);
  return bytes;
}

/**
 * Checks a header; answers its layout hash.
 *
 * Errors: `IoError`: kind `corrupt`, or `unsupported` for another version.
 */
export function checkHeader(bytes: Uint8Array, path: string | undefined): bigint {
  if (bytes.length < FRAME_BYTES || MAGIC.compare(bytes, 0, 8) !== 0) {
    throw damaged('it is no image: it does not begin as one', 0, path);
  }
  const data = dataOf(bytes);
  if (checksum(bytes.subarray(0, 60)) !== data.getUint32(60, true)) {
    throw damaged('the checksum of its header is wrong', 0, path);
  }
  const version = data.getUint16(8, true);
  if (version !== VERSION) {
    const words = `it is of version ${version}; this library reads version ${VERSION}`;
    throw new IoError({ action: 'read the image', code: 'ERR_IMAGE_VERSION', words, path });
  }
  return data.getBigUint64(16, true);
}

/** What an image ends with. */
export interface Ending {
  readonly root: number;
  readonly end: number;
  readonly description: Uint8Array;
  readonly sections: readonly Section[];
  readonly sums: readonly number[];
  readonly header: Uint8Array;
}

function alignedTo8(length: number): number {
  return Math.ceil(length / 8) * 8;
}

/** Description, table of sections, checksums and trailer in one piece. */
export function endingOf({ root, end, description, sections, sums, header }: Ending): Uint8Array {
  const table = alignedTo8(description.length);
  const tableEnd = table + sections.length * SECTION_BYTES;
  const trailer = tableEnd + alignedTo8(sums.length * 4);
  const bytes = new Uint8Array(trailer + FRAME_BYTES);
  const data = dataOf(bytes);
  bytes.set(description);
  for (const [index, { offset, length, first, sum }] of sections.entries()) {
    const at = table + index * SECTION_BYTES;
    setCount(data, at, offset);
    setCount(data, at + 8, length);
    setCount(data, at + 16, first);
    data.setUint32(at + 24, sum, true);
  }
  for (const [index, sum] of sums.entries()) data.setUint32(tableEnd + index * 4, sum, true);
  setCount(data, trailer, end + bytes.length);
  setCount(data, trailer + 8, root);
  setCount(data, trailer + 16, end);
  data.setUint32(trailer + 24, description.length, true);
  data.setUint32(trailer + 28, sections.length, true);
  setCount(data, trailer + 32, sums.length);
  data.setUint32(trailer + 40, checksum(bytes.subarray(0, tableEnd)), true);
  data.setUint32(trailer + 44, checksum(header), true);
  data.setUint32(trailer + 52, checksum(bytes.subarray(trailer, trailer + 52)), true);
  bytes.set(END_MAGIC, trailer + 56);
  return bytes;
}

/**
 * Checks a trailer: the last bytes of a file of `size` bytes with this header.
 *
 * Errors: `IoError` of kind `corrupt`.
 */
export function trailerOf(
  bytes: Uint8Array,
  { size, header, path }: { size: number; header: Uint8Array; path: string | undefined },
): Trailer {
  const place = size - FRAME_BYTES;
  const wrong = (words: string): IoError => damaged(words, Math.max(place, 0), path);
  if (bytes.length < FRAME_BYTES || END_MAGIC.compare(bytes, 56, 64) !== 0) {
    throw wrong('it does not end as an image: it was cut, or something follows it');
  }
  const data = dataOf(bytes);
  if (checksum(bytes.subarray(0, 52)) !== data.getUint32(52, true)) {
    throw wrong('the checksum of its trailer is wrong');
  }
  const length = getCount(data, 0);
  if (length !== size) throw wrong(`it has ${size} bytes and was written with ${length}`);
  if (checksum(header) !== data.getUint32(44, true)) throw wrong('its header is of another image');
  const trailer: Trailer = {
    root: getCount(data, 8),
    end: getCount(data, 16),
    descriptionLength: data.getUint32(24, true),
    sectionCount: data.getUint32(28, true),
    blockCount: getCount(data, 32),
    sum: data.getUint32(40, true),
  };
  const { end, descriptionLength, sectionCount, blockCount } = trailer;
  const table = alignedTo8(descriptionLength) + sectionCount * SECTION_BYTES;
  const fits = end >= FRAME_BYTES && end % 8 === 0 && Number.isSafeInteger(end);
  if (!fits || end + table + alignedTo8(blockCount * 4) !== place) {
    throw wrong('its parts do not add up to its length');
  }
  return trailer;
}

/**
 * Takes apart what stands between the values and the trailer.
 *
 * Errors: `IoError` of kind `corrupt`.
 */
export function tailOf(bytes: Uint8Array, trailer: Trailer, path: string | undefined): Tail {
  const { end, root, descriptionLength, sectionCount, blockCount } = trailer;
  const wrong = (words: string): IoError => damaged(words, end, path);
  const table = alignedTo8(descriptionLength);
  const tableEnd = table + sectionCount * SECTION_BYTES;
  if (checksum(bytes.subarray(0, tableEnd)) !== trailer.sum) {
    throw wrong('the checksum of its table of sections is wrong');
  }
  const data = dataOf(bytes);
  const sections: Section[] = [];
  let [place, first] = [FRAME_BYTES, 0];
  for (let index = 0; index < sectionCount; index++) {
    const at = table + index * SECTION_BYTES;
    const length = getCount(data, at + 8);
    const section: Section = { offset: place, length, first, sum: data.getUint32(at + 24, true) };
    if (getCount(data, at) !== place || getCount(data, at + 16) !== first || place % 8 !== 0) {
      throw wrong(`section ${index} does not follow the one before`);
    }
    sections.push(section);
    place += length;
    first += Math.ceil(length / BLOCK_BYTES);
  }
  const last = sections[sections.length - 1];
  if (last === undefined || place !== end || first !== blockCount || root < last.offset) {
    throw wrong('its sections do not add up to its values');
  }
  const description = Buffer.from(bytes.buffer, bytes.byteOffset, descriptionLength);
  const sums = new DataView(bytes.buffer, bytes.byteOffset + tableEnd, blockCount * 4);
  return { trailer, description: description.toString('utf8'), sections, sums };
}

/** Checksums of an image: made while its bytes pass, looked at before they are believed. */
import { checksum } from '../platform.js';
import { damaged, type Starts } from '../struct.js';
import { BLOCK_BYTES, FRAME_BYTES, type Section } from './format.js';

function listSum(sums: readonly number[]): number {
  const bytes = new Uint8Array(sums.length * 4);
  const data = new DataView(bytes.buffer);
  for (const [index, sum] of sums.entries()) data.setUint32(index * 4, sum, true);
  return checksum(bytes);
}

/** Sums up bytes as they are appended; where sections begin is known by then. */
export class Summing {
  readonly sums: number[] = [];
  readonly #starts: Starts;
  readonly #firsts: number[] = [];
  #place: number = FRAME_BYTES;
  #blockStart: number = FRAME_BYTES;
  #sum = 0;

  constructor(starts: Starts) {
    this.#starts = starts;
  }

  add(bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.length) {
      this.#enter();
      const next = this.#starts[this.#firsts.length] ?? Number.POSITIVE_INFINITY;
      const blockEnd = Math.min(this.#blockStart + BLOCK_BYTES, next);
      const length = Math.min(bytes.length - done, blockEnd - this.#place);
      this.#sum = checksum(bytes.subarray(done, done + length), this.#sum);
      done += length;
      this.#place += length;
      if (this.#place === blockEnd) this.#end();
    }
  }

  /* Into the sections that begin here; of empty ones there may be several. */
  #enter(): void {
    while (this.#starts[this.#firsts.length] === this.#place) {
      this.#end();
      this.#firsts.push(this.sums.length);
    }
  }

  /* Of a block with no bytes there is no checksum. */
  #end(): void {
    if (this.#place === this.#blockStart) return;
    this.sums.push(this.#sum);
    this.#sum = 0;
    this.#blockStart = this.#place;
  }

  /** The sections, when all bytes have passed. */
  sections(): readonly Section[] {
    this.#end();
    const end = this.#place;
    return this.#starts.map((offset, index) => {
      const length = (this.#starts[index + 1] ?? end) - offset;
      const first = this.#firsts[index] as number;
      const own = this.sums.slice(first, this.#firsts[index + 1] ?? this.sums.length);
      return { offset, length, first, sum: listSum(own) };
    });
  }
}

/** Compares blocks with their checksums, each once, when it is first looked at. */
export class Verifier {
  readonly #sections: readonly Section[];
  readonly #sums: DataView;
  readonly #path: string | undefined;
  readonly #bytesAt: (offset: number, length: number) => Uint8Array;
  /* For each section a byte for each block, once it was looked at. */
  readonly #seen: (Uint8Array | undefined)[];
  #last = 0;
  /* What was looked at last: most looks are at the same place. */
  #knownStart = 0;
  #knownEnd = 0;

  constructor(parts: {
    readonly sections: readonly Section[];
    readonly sums: DataView;
    readonly path: string | undefined;
    /** The bytes of the image, which are in memory. */
    readonly bytesAt: (offset: number, length: number) => Uint8Array;
  }) {
    this.#sections = parts.sections;
    this.#sums = parts.sums;
    this.#path = parts.path;
    this.#bytesAt = parts.bytesAt;
    this.#seen = parts.sections.map(() => undefined);
  }

  /** Errors: `IoError` of kind `corrupt` where a block is not what was written. */
  verify(offset: number, length: number): void {
    const end = offset + length;
    if (offset >= this.#knownStart && end <= this.#knownEnd) return;
    let place = offset;
    while (place < end) {
      const index = this.#sectionAt(place);
      const section = this.#sections[index] as Section;
      const sectionEnd = section.offset + section.length;
      this.#verifyIn(index, place, Math.min(end, sectionEnd));
      place = sectionEnd;
    }
  }

  /** All blocks of a section, a part at a time. Errors: as `verify`. */
  *verifySection(index: number, stepBytes: number): Generator<void, void, void> {
    const { offset, length } = this.#sections[index] as Section;
    for (let done = 0; done < length; done += stepBytes) {
      this.#verifyIn(index, offset + done, Math.min(offset + done + stepBytes, offset + length));
      yield;
    }
  }

  #sectionAt(place: number): number {
    const isIn = ({ offset, length }: Section): boolean => {
      return place >= offset && place < offset + length;
    };
    if (!isIn(this.#sections[this.#last] as Section)) {
      this.#last = Math.max(this.#sections.findIndex(isIn), 0);
    }
    return this.#last;
  }

  #verifyIn(index: number, start: number, end: number): void {
    const { offset, length, first } = this.#sections[index] as Section;
    const seen = this.#seen[index] ?? this.#open(index);
    const blocks = Math.ceil((end - offset) / BLOCK_BYTES);
    for (let block = Math.floor((start - offset) / BLOCK_BYTES); block < blocks; block++) {
      if (seen[block] === 1) continue;
      const from = offset + block * BLOCK_BYTES;
      const bytes = this.#bytesAt(from, Math.min(BLOCK_BYTES, offset + length - from));
      if (checksum(bytes) !== this.#sums.getUint32((first + block) * 4, true)) {
        throw damaged(`the checksum of ${bytes.length} bytes is wrong`, from, this.#path);
      }
      seen[block] = 1;
    }
    this.#knownStart = offset + Math.floor((start - offset) / BLOCK_BYTES) * BLOCK_BYTES;
    this.#knownEnd = Math.min(offset + blocks * BLOCK_BYTES, offset + length);
  }

  /* The checksums of a section have one themselves. */
  #open(index: number): Uint8Array {
    const { offset, length, first, sum } = this.#sections[index] as Section;
    const count = Math.ceil(length / BLOCK_BYTES);
    const { buffer, byteOffset } = this.#sums;
    const own = new Uint8Array(buffer, byteOffset + first * 4, count * 4);
    if (checksum(own) !== sum) {
      throw damaged('the checksum of its checksums is wrong', offset, this.#path);
    }
    const seen = new Uint8Array(count);
    this.#seen[index] = seen;
    return seen;
  }
}

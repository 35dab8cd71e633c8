/**
 * A commit group: records that gather until one write and one sync make all of them durable. Its
 * frames lie in one piece of memory, and nobody but it knows who waits for them.
 */

import { alignedBuffer } from '../aligned.js';
import type { Sequence } from '../buffers.js';
import { alignUp } from '../bytes.js';
import { END_BYTES, putFrame, seal } from '../frames.js';
import { markUntransferable } from '../platform.js';

const MEMORY_BYTES_MIN = 65536;

type Resolve = (lsn: number) => void;
type Reject = (error: unknown) => void;

/* The group that the promise being made waits in: a closure for each would be garbage. */
let waitedFor: Group | undefined;
const capture = (resolve: Resolve, reject: Reject): void => {
  const group = waitedFor as Group;
  group.resolves.push(resolve);
  group.rejects.push(reject);
};

/** Records on their way to the disk. */
export class Group {
  /** The segment's epoch, once the group is sealed. */
  epoch = '';
  firstLsn = 0;
  /** That of the last record; 0 for none. */
  lastLsn = 0;
  recordCount = 0;
  /** Bytes of records, without their frames. */
  recordBytes = 0;
  /** Records nobody waits for. */
  writeCount = 0;
  /** > 0: begins a segment, whose file has so many bytes. */
  segmentBytes = 0;
  readonly resolves: Resolve[] = [];
  readonly rejects: Reject[] = [];
  readonly #lsns: number[] = [];
  /* Made for the first record: a journal that is read has no use for it. */
  #memory: Uint8Array = NOTHING;
  #words: DataView = NO_WORDS;
  /* Bytes of the sector in front of the group, which direct I/O has to write again. */
  #carried = 0;
  #end = 0;

  /** Where the next record goes. */
  get endLsn(): number {
    return this.firstLsn + this.#end - this.#carried;
  }

  /** Bytes of frames. */
  get bytes(): number {
    return this.#end - this.#carried;
  }

  get memoryBytes(): number {
    return this.#memory.length;
  }

  get waiterCount(): number {
    return this.resolves.length;
  }

  /** Begins anew, behind what another group ended with; it keeps its memory up to a bound. */
  begin(firstLsn: number, carried: Uint8Array | undefined, memoryBytesMax: number): void {
    if (this.#memory.length > memoryBytesMax) this.#take(NOTHING);
    this.epoch = '';
    this.firstLsn = firstLsn;
    this.lastLsn = 0;
    this.recordCount = 0;
    this.recordBytes = 0;
    this.writeCount = 0;
    this.segmentBytes = 0;
    this.resolves.length = 0;
    this.rejects.length = 0;
    this.#lsns.length = 0;
    this.#carried = 0;
    this.#end = 0;
    if (carried === undefined) return;
    this.#reserve(carried.length);
    this.#memory.set(carried, 0);
    this.#carried = carried.length;
    this.#end = carried.length;
  }

  /** It begins a segment after all: nothing stands in front of it there. */
  beginSegment(segmentBytes: number): void {
    this.segmentBytes = segmentBytes;
    this.#carried = 0;
    this.#end = 0;
  }

  /** Copies a record; answers its LSN. */
  put(sequence: Sequence, frameLength: number, flags: number): number {
    const at = this.#end;
    this.#reserve(at + frameLength);
    const lsn = this.firstLsn + at - this.#carried;
    this.#end = putFrame(this.#memory, this.#words, at, sequence, flags);
    this.lastLsn = lsn;
    this.recordCount++;
    this.recordBytes += sequence.byteLength;
    return lsn;
  }

  /** A promise for an LSN, to be settled with the group. */
  promise(lsn: number): Promise<number> {
    waitedFor = this;
    this.#lsns.push(lsn);
    return new Promise<number>(capture);
  }

  /** As `promise`, for whoever has one already. */
  wait(lsn: number, resolve: Resolve, reject: Reject): void {
    this.#lsns.push(lsn);
    this.resolves.push(resolve);
    this.rejects.push(reject);
  }

  /**
   * Puts the checksums in and zeros behind; answers the bytes as they go to disk, from
   * `firstLsn - carried` on, in whole sectors of `alignment`.
   */
  seal(seed: number, syncedEndLsn: number, alignment: number): Uint8Array {
    const end = alignUp(this.#end + END_BYTES, alignment);
    this.#reserve(end);
    this.#memory.fill(0, this.#end, end);
    seal({
      memory: this.#memory,
      words: this.#words,
      start: this.#carried,
      end: this.#end,
      firstLsn: this.firstLsn,
      syncedEndLsn,
      seed,
    });
    return this.#memory.subarray(0, end);
  }

  /** Bytes in front of the frames that go to disk with them. */
  get carriedBytes(): number {
    return this.#carried;
  }

  /** What the next group has to carry: the part of a sector that this one ends with. */
  carry(alignment: number): Uint8Array | undefined {
    const bytes = this.#end % alignment;
    return bytes === 0 ? undefined : this.#memory.slice(this.#end - bytes, this.#end);
  }

  /** The bytes in front of the frames, for a group that begins where this one did. */
  carriedView(): Uint8Array | undefined {
    return this.#carried === 0 ? undefined : this.#memory.slice(0, this.#carried);
  }

  /** Everyone who waits gets the LSN of his record. */
  resolveAll(): void {
    const { resolves } = this;
    const lsns = this.#lsns;
    for (let index = 0; index < resolves.length; index++) {
      (resolves[index] as Resolve)(lsns[index] as number);
    }
  }

  /** Everyone who waits gets the error. */
  rejectAll(error: unknown): void {
    for (const reject of this.rejects) reject(error);
  }

  #reserve(bytes: number): void {
    if (bytes + END_BYTES <= this.#memory.length) return;
    let length = Math.max(this.#memory.length, MEMORY_BYTES_MIN);
    while (length < bytes + END_BYTES) length *= 2;
    const grown = memoryOf(length);
    grown.set(this.#memory.subarray(0, this.#end));
    this.#take(grown);
  }

  #take(memory: Uint8Array): void {
    this.#memory = memory;
    this.#words = wordsOf(memory);
  }
}

const NOTHING = new Uint8Array(0);
const NO_WORDS = wordsOf(NOTHING);

function memoryOf(bytes: number): Uint8Array {
  const memory = alignedBuffer(bytes);
  markUntransferable(memory.buffer);
  return memory;
}

function wordsOf(memory: Uint8Array): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.length);
}

/** Going through the frames of a segment: where they end, what stands there, what stands behind. */

import type { Steps } from '../engine.js';
import type { Target } from '../file.js';
import {
  FRAME_ALIGNMENT,
  FRAME_HEAD_BYTES,
  FRAME_MAGIC,
  FrameHead,
  frameBytes,
  isPaddingZero,
  isPayloadWhole,
  padding,
  SEGMENT_HEAD_BYTES,
  type TailKind,
} from '../frames.js';
import { checksum } from '../platform.js';
import { ReadWindow, type SegmentFacts } from './segment.js';

/** What a scan of a segment found, from where it began to the first thing that is no frame. */
export interface ScanReport {
  /** Bytes; where what is whole ends: frames, and batches. */
  readonly end: number;
  /** Bytes; where the scan stopped, and before what. Beyond `end` inside a batch. */
  readonly stop: number;
  readonly found: TailKind;
  readonly recordCount: number;
  /** That of the last record that is whole; 0 for none. */
  readonly lastLsn: number;
  /** Places that a repair had to skip. */
  readonly gapCount: number;
  /** Everything below it was durable when the last frame was sealed. */
  readonly durableLsn: number;
}

/** Where in its segment an LSN is. */
export function offsetOf({ head }: Pick<SegmentFacts, 'head'>, lsn: number): number {
  return lsn - head.firstLsn + SEGMENT_HEAD_BYTES;
}

/** The LSN of an offset in a segment. */
export function lsnAt({ head }: Pick<SegmentFacts, 'head'>, offset: number): number {
  return head.firstLsn + offset - SEGMENT_HEAD_BYTES;
}

function isZero(memory: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (memory[at] !== 0) return false;
  return true;
}

/** A scan under way. */
class Scan {
  readonly #segment: SegmentFacts;
  readonly #window: ReadWindow;
  readonly #head = new FrameHead();
  readonly #limit: number;
  #offset: number;
  #end: number;
  #isInBatch = false;
  #pendingCount = 0;
  #recordCount = 0;
  #lastLsn = 0;
  #gapCount = 0;
  #durableLsn = 0;

  constructor(file: Target, segment: SegmentFacts, from: number, limit: number) {
    this.#segment = segment;
    this.#window = new ReadWindow(file, limit);
    this.#offset = from;
    this.#end = from;
    this.#limit = limit;
  }

  *steps(onProgress: ((bytes: number) => void) | undefined): Steps<ScanReport> {
    let found = this.#shown();
    while (found === undefined) {
      if (this.#offset >= this.#limit) {
        found = 'clean';
        break;
      }
      found = yield* this.#next();
      onProgress?.(this.#offset);
      found ??= this.#shown();
    }
    return {
      end: this.#end,
      stop: this.#offset,
      found,
      recordCount: this.#recordCount,
      lastLsn: this.#lastLsn,
      gapCount: this.#gapCount,
      durableLsn: this.#durableLsn,
    };
  }

  #short(length: number): TailKind {
    return isZero(this.#window.memory, 0, length) ? 'clean' : 'truncated header';
  }

  /* Goes on for as long as the window shows whole frames. */
  #shown(): TailKind | undefined {
    const window = this.#window;
    const head = this.#head;
    while (this.#offset < this.#limit && window.has(this.#offset, FRAME_HEAD_BYTES)) {
      const offset = this.#offset;
      const fault = this.#faultAt(offset);
      if (fault !== undefined) return fault;
      const bytes = frameBytes(head.length);
      if (!window.has(offset, bytes)) return undefined;
      if (!isPayloadWhole(window.memory, offset - window.start, head)) return 'bad checksum';
      this.#take(lsnAt(this.#segment, offset), offset + bytes);
    }
    return undefined;
  }

  /* What is wrong with the header at an offset that the window shows, and with its length. */
  #faultAt(offset: number): TailKind | undefined {
    const { head: segmentHead, seed, size } = this.#segment;
    const { words, start } = this.#window;
    const head = this.#head;
    const fault = head.read(words, offset - start, lsnAt(this.#segment, offset), seed);
    if (fault !== undefined) return fault;
    const end = offset + frameBytes(head.length);
    if (end > segmentHead.capacityBytes) return 'bad length';
    return end > size ? 'truncated payload' : undefined;
  }

  /* Moves the window to the next frame; one that is longer is read through it. */
  *#next(): Steps<TailKind | undefined> {
    const window = this.#window;
    const offset = this.#offset;
    const length = yield* window.move(offset, FRAME_HEAD_BYTES);
    if (length < FRAME_HEAD_BYTES) return this.#short(length);
    const fault = this.#faultAt(offset);
    if (fault !== undefined) return fault;
    const bytes = frameBytes(this.#head.length);
    if (window.has(offset, bytes)) return undefined;
    if (!(yield* this.#isLongWhole(offset))) return 'bad checksum';
    this.#take(lsnAt(this.#segment, offset), offset + bytes);
    return undefined;
  }

  #take(lsn: number, end: number): void {
    const head = this.#head;
    this.#offset = end;
    if (head.durableLsn > this.#durableLsn) this.#durableLsn = head.durableLsn;
    if (head.isGap) this.#gapCount++;
    else this.#pendingCount++;
    this.#isInBatch = head.isContinued;
    if (this.#isInBatch) return;
    this.#end = end;
    if (!head.isGap) this.#lastLsn = lsn;
    this.#recordCount += this.#pendingCount;
    this.#pendingCount = 0;
  }

  /* One that goes on behind the window: its checksum is taken piece by piece. */
  *#isLongWhole(offset: number): Steps<boolean> {
    const { length, payloadChecksum } = this.#head;
    const window = this.#window;
    let found = 0;
    let at = offset + FRAME_HEAD_BYTES;
    const end = at + length;
    while (at < end) {
      if (!window.has(at, 1) && (yield* window.move(at, 1)) === 0) return false;
      const start = at - window.start;
      const bytes = Math.min(end - at, window.length - start);
      found = checksum(window.memory.subarray(start, start + bytes), found);
      at += bytes;
    }
    if (found !== payloadChecksum) return false;
    const rest = padding(length);
    if (rest === 0) return true;
    if (!window.has(end, rest) && (yield* window.move(end, rest)) < rest) return false;
    return isPaddingZero(window.memory, end - window.start, length);
  }
}

export interface ScanOptions {
  /** Bytes; where to begin. Default: the first frame. */
  readonly from?: number;
  /** Bytes; where to stop. Default: the end of the file. */
  readonly limit?: number;
  /** Told the offset, now and then. */
  readonly onProgress?: ((offset: number) => void) | undefined;
}

/** Goes through the frames of a segment until something is none. Errors: `IoError`. */
export function scanSteps(
  file: Target,
  segment: SegmentFacts,
  { from = SEGMENT_HEAD_BYTES, limit = segment.size, onProgress }: ScanOptions = {},
): Steps<ScanReport> {
  return new Scan(file, segment, from, limit).steps(onProgress);
}

/** What stands behind a place where there is no frame. */
export interface Beyond {
  /** The first LSN from which frames can be read again; `undefined` where there is none. */
  readonly resumesAt: number | undefined;
  /** Everything below it was durable when one of those was sealed; 0 where none says so. */
  readonly durableLsn: number;
  /** Bytes; where the last of those ends, 0 for none. */
  readonly end: number;
  /** Bytes; where the last byte that is not zero ends. */
  readonly usedEnd: number;
}

/**
 * Looks for frames of this segment, at their right places, behind a place that holds none. A frame
 * of another epoch, or of another place, is not found: it fails the checksum.
 *
 * Errors: `IoError`.
 */
export function* beyondSteps(file: Target, segment: SegmentFacts, from: number): Steps<Beyond> {
  const window = new ReadWindow(file, segment.size);
  const head = new FrameHead();
  let resumesAt: number | undefined;
  let durableLsn = 0;
  let end = 0;
  let usedEnd = from;
  let offset = from;
  while ((yield* window.move(offset, FRAME_HEAD_BYTES)) > 0) {
    const { memory, words, length } = window;
    let last = length;
    while (last > 0 && memory[last - 1] === 0) last--;
    if (last > 0) usedEnd = offset + last;
    let at = 0;
    /* A frame that is zeros to the end of the window is none. */
    while (at + FRAME_HEAD_BYTES <= length && at < last) {
      const lsn = lsnAt(segment, offset + at);
      const isMagic = memory[at + 11] === FRAME_MAGIC;
      if (!isMagic || head.read(words, at, lsn, segment.seed) !== undefined) {
        at += FRAME_ALIGNMENT;
        continue;
      }
      const next = at + frameBytes(head.length);
      if (next > length || isPayloadWhole(memory, at, head)) resumesAt ??= lsn;
      durableLsn = Math.max(durableLsn, head.durableLsn);
      at = next;
      end = Math.max(end, offset + at);
    }
    if (length < FRAME_HEAD_BYTES || offset + length >= segment.size) break;
    offset += Math.max(at, length - FRAME_HEAD_BYTES + FRAME_ALIGNMENT);
  }
  return { resumesAt, durableLsn, end, usedEnd };
}

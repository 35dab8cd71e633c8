/** A segment's file, open for reading: its header, its mark, and its bytes through a window. */

import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { type OpenFile, readInto, type Target } from '../file.js';
import {
  decodeHead,
  decodeMark,
  FORMAT_VERSION,
  lsnInName,
  NO_MARK,
  PAGE_BYTES,
  type PageFault,
  SEGMENT_FOLLOWS_LOSS,
  SEGMENT_HEAD_BYTES,
  type SegmentHead,
  type SegmentMark,
  seedOf,
  segmentName,
  versionIn,
} from '../frames.js';
import { Code, libraryMemory, Operation } from '../platform.js';
import type { Home } from './home.js';

/** What a segment begins with, in order. */
export interface SegmentFacts {
  readonly name: string;
  readonly head: SegmentHead;
  readonly seed: number;
  readonly mark: SegmentMark;
  /** Why the mark says nothing, where that is not by right. */
  readonly markFault: PageFault | undefined;
  /** Bytes of the file. */
  readonly size: number;
}

/** A segment whose header is not one. */
export interface FaultySegment {
  readonly name: string;
  readonly fault: string;
  readonly size: number;
}

/** Whether a segment has a header in order. */
export function isSound(one: SegmentFacts | FaultySegment): one is SegmentFacts {
  return 'head' in one;
}

/** Whether what was before a segment is lost, and a repair has accepted that. */
export function followsLoss({ head }: Pick<SegmentFacts, 'head'>): boolean {
  return (head.flags & SEGMENT_FOLLOWS_LOSS) !== 0;
}

function* sizeOf(file: OpenFile): Steps<number> {
  const stat = new Operation(Code.Stat);
  stat.fd = file.fd;
  yield stat;
  return stat.stat?.size ?? 0;
}

/**
 * Reads what a segment begins with.
 *
 * Errors: `IoError`; kind `unsupported` for a format from the future.
 */
export function* factsSteps(file: OpenFile, name: string): Steps<SegmentFacts | FaultySegment> {
  const memory = new Uint8Array(SEGMENT_HEAD_BYTES);
  const size = yield* sizeOf(file);
  const length = yield* readInto(file, memory, 0);
  const page = memory.subarray(0, Math.min(length, PAGE_BYTES));
  const head = decodeHead(page);
  if (head === 'unknown version') throw unknownVersion(versionIn(page), file.path);
  if (typeof head === 'string') return { name, size, fault: `its header is not one: ${head}` };
  if (head.firstLsn !== lsnInName(name)) {
    return { name, size, fault: `it is ${segmentName(head.firstLsn)} under another name` };
  }
  const markPage = memory.subarray(PAGE_BYTES, Math.max(length, PAGE_BYTES));
  const mark = decodeMark(markPage, head.epoch);
  const isMark = typeof mark !== 'string';
  const markFault = isMark || mark === 'empty' ? undefined : mark;
  return { name, head, seed: seedOf(head), size, mark: isMark ? mark : NO_MARK, markFault };
}

function unknownVersion(version: number, path: string | undefined): IoError {
  return new IoError({
    action: 'open the journal',
    code: 'ERR_JOURNAL_FORMAT',
    path,
    words: `its format is version ${version}; this library knows versions up to ${FORMAT_VERSION}`,
  });
}

/** Opens a segment for reading, page cache and all. Errors: `IoError`. */
export function readingSteps(home: Home, firstLsn: number): Steps<OpenFile> {
  return home.open(segmentName(firstLsn), { access: 'read' });
}

export const WINDOW_BYTES = 1048576;

/** Bytes of a file seen through memory that moves along. */
export class ReadWindow {
  readonly #file: Target;
  readonly #step: number;
  memory: Uint8Array = NOTHING;
  words: DataView = NO_WORDS;
  /** Where in the file the memory begins, and how much of it is the file's. */
  start = 0;
  length = 0;
  /** Where in the file there is no more to see; what is asked for may lie beyond it. */
  limit: number;

  constructor(file: Target, limit: number, bytes: number = WINDOW_BYTES) {
    this.#file = file;
    this.#step = bytes;
    this.limit = limit;
  }

  /** Whether so many bytes at an offset are there. */
  has(offset: number, bytes: number): boolean {
    return offset >= this.start && offset + bytes <= this.start + this.length;
  }

  /**
   * Moves to an offset and reads at least so many bytes, or to the end of the file; answers how
   * many there are from the offset on. With `isFresh` memory that was given away is not used again.
   *
   * Errors: `IoError`.
   */
  *move(offset: number, bytes: number, isFresh = false): Steps<number> {
    const wanted = Math.max(bytes, Math.min(this.#step, this.limit - offset));
    if (isFresh || this.memory.length < wanted || this.memory.length > 4 * this.#step) {
      this.memory = libraryMemory(wanted);
      this.words = new DataView(this.memory.buffer);
    }
    this.start = offset;
    this.length = 0;
    this.length = yield* readInto(this.#file, this.memory.subarray(0, wanted), offset);
    return this.length;
  }
}

const NOTHING = new Uint8Array(0);
const NO_WORDS = new DataView(NOTHING.buffer);

/** A segment's file, open for reading: its header, its mark, and its bytes through a window. */

import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { type OpenFile, type Target, Transfer, transferSteps } from '../file.js';
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

export type SyncCode = typeof Code.Sync | typeof Code.SyncData;

/** Bytes of a file into one view; answers how many there were. Errors: `IoError`. */
export function* readInto(file: Target, view: Uint8Array, offset: number): Steps<number> {
  const sequence = { views: [view], byteLength: view.length };
  return yield* transferSteps(
    new Transfer(file, sequence, { code: Code.Read, offset, isWhole: true }),
  );
}

/** Writes one view whole. Errors: `IoError`. */
export function* writeFrom(file: Target, view: Uint8Array, offset: number): Steps<void> {
  const sequence = { views: [view], byteLength: view.length };
  yield* transferSteps(new Transfer(file, sequence, { code: Code.Write, offset, isWhole: true }));
}

/**
 * Makes a file durable: its data, or all about it. Errors: `IoError`; the file is broken then.
 */
export function* syncSteps(file: OpenFile, code: SyncCode = Code.SyncData): Steps<void> {
  const sync = new Operation(code);
  sync.fd = file.fd;
  file.latch.check('sync the journal', file.path);
  yield sync;
  file.counters.count(sync);
  if (sync.result < 0) throw file.syncRefused(code, sync.result);
}

/** What a call of a file does, as steps. */
export function stepsOf<T>(file: OpenFile, call: () => Promise<T>): Steps<T> {
  return file.prepare(call).steps;
}

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

/** Closes files that were read. Never fails: nothing was written through them. */
export function* closeSteps(...files: readonly (OpenFile | undefined)[]): Steps<void> {
  for (const file of files) {
    if (file === undefined || file.fd < 0) continue;
    const close = new Operation(Code.Close);
    close.fd = file.fd;
    close.mustRun = true;
    yield close;
  }
}

export const WINDOW_BYTES = 1048576;

/** Bytes of a file seen through memory that moves along. */
export class ReadWindow {
  readonly #file: Target;
  readonly #step: number;
  memory: Uint8Array;
  words: DataView;
  /** Where in the file the memory begins, and how much of it is the file's. */
  start = 0;
  length = 0;

  constructor(file: Target, bytes: number = WINDOW_BYTES) {
    this.#file = file;
    this.#step = bytes;
    this.memory = libraryMemory(bytes);
    this.words = new DataView(this.memory.buffer);
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
    const wanted = Math.max(bytes, this.#step);
    if (isFresh || this.memory.length < wanted || this.memory.length > 4 * wanted) {
      this.memory = libraryMemory(wanted);
      this.words = new DataView(this.memory.buffer);
    }
    this.start = offset;
    this.length = 0;
    this.length = yield* readInto(this.#file, this.memory.subarray(0, wanted), offset);
    return this.length;
  }
}

/** A segment's file, open for reading: its header, its mark, and its bytes through a window. */

import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import {
  closeSteps,
  closing,
  type OpenFile,
  readInto,
  type SyncCode,
  syncSteps,
  type Target,
} from '../file.js';
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
import { groupSteps, refused } from '../held.js';
import {
  Code,
  FD_OPENED_IN_RUN,
  libraryMemory,
  OpenFlag,
  Operation,
  type Place,
} from '../platform.js';
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
  return factsOf(memory.subarray(0, length), { name, size, path: file.path });
}

interface Looked {
  readonly name: string;
  readonly size: number;
  readonly path: string | undefined;
}

function factsOf(memory: Uint8Array, { name, size, path }: Looked): SegmentFacts | FaultySegment {
  const page = memory.subarray(0, PAGE_BYTES);
  const head = decodeHead(page);
  if (head === 'unknown version') throw unknownVersion(versionIn(page), path);
  if (typeof head === 'string') return { name, size, fault: `its header is not one: ${head}` };
  if (head.firstLsn !== lsnInName(name)) {
    return { name, size, fault: `it is ${segmentName(head.firstLsn)} under another name` };
  }
  const mark = decodeMark(memory.subarray(PAGE_BYTES), head.epoch);
  const isMark = typeof mark !== 'string';
  const markFault = isMark || mark === 'empty' ? undefined : mark;
  return { name, head, seed: seedOf(head), size, mark: isMark ? mark : NO_MARK, markFault };
}

/* A look at what one segment begins with: a group of calls, the file open during them alone. */
class Look {
  readonly #home: Home;
  readonly #name: string;
  readonly #open = new Operation(Code.Open);
  readonly #stat = new Operation(Code.Stat);
  readonly #read = new Operation(Code.Read);
  readonly #close = closing(FD_OPENED_IN_RUN);
  readonly #memory: Uint8Array = libraryMemory(SEGMENT_HEAD_BYTES);

  constructor(home: Home, name: string) {
    this.#home = home;
    this.#name = name;
    this.#open.place = home.place(name);
    this.#open.flags = OpenFlag.ReadOnly | OpenFlag.NonBlocking;
    this.#stat.fd = FD_OPENED_IN_RUN;
    this.#read.fd = FD_OPENED_IN_RUN;
    this.#read.offset = 0;
    this.#read.length = SEGMENT_HEAD_BYTES;
    this.#read.payload = this.#memory;
  }

  get operations(): readonly Operation[] {
    return [this.#open, this.#stat, this.#read, this.#close];
  }

  /* The read came short of what is there. */
  *#again(): Steps<SegmentFacts | FaultySegment> {
    const file = yield* readingSteps(this.#home, lsnInName(this.#name));
    try {
      return yield* factsSteps(file, this.#name);
    } finally {
      yield* closeSteps(file);
    }
  }

  /* A refusal, and a file that is too short for a head, end the group before its close. */
  *steps(): Steps<SegmentFacts | FaultySegment> {
    const { path } = this.#open.place as Place;
    const isLeftOpen = this.#open.result >= 0 && this.#close.result < 0;
    if (isLeftOpen) yield closing(this.#open.result);
    for (const operation of [this.#open, this.#stat, this.#read]) {
      if (operation.result < 0) throw refused(operation, { action: 'open the journal', path });
    }
    const size = this.#stat.stat?.size ?? 0;
    const length = this.#read.result;
    if (length < Math.min(size, SEGMENT_HEAD_BYTES)) return yield* this.#again();
    return factsOf(this.#memory.subarray(0, length), { name: this.#name, size, path });
  }
}

/* Bounds the memory, and the calls of one crossing. */
const LOOKS = 64;

/** As `factsSteps`, for many segments: a crossing for each 64 of them, not four for each. */
export function* manyFactsSteps(
  home: Home,
  all: readonly number[],
): Steps<(SegmentFacts | FaultySegment)[]> {
  const facts: (SegmentFacts | FaultySegment)[] = [];
  for (let index = 0; index < all.length; index += LOOKS) {
    const some = all.slice(index, index + LOOKS);
    const looks = some.map((firstLsn) => new Look(home, segmentName(firstLsn)));
    yield* groupSteps(looks.map(({ operations }) => operations));
    for (const look of looks) facts.push(yield* look.steps());
  }
  return facts;
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

/**
 * Syncs a segment that is open for reading; where that takes the right to write, by another file.
 *
 * Errors: `IoError`.
 */
export function* syncReadSteps(
  home: Home,
  file: OpenFile,
  { firstLsn, code = Code.SyncData }: { readonly firstLsn: number; readonly code?: SyncCode },
): Steps<void> {
  if (file.engine.capabilities['read-only-sync'] === true) {
    yield* syncSteps(file, code);
    return;
  }
  const writer = yield* home.open(segmentName(firstLsn), { access: 'write' });
  try {
    yield* syncSteps(writer, code);
  } finally {
    yield* closeSteps(writer);
  }
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

/** Reading records: forward, in reverse, one by its LSN. */

import type { Steps } from '../engine.js';
import { IoError, outOfRange } from '../errors.js';
import type { OpenFile } from '../file.js';
import { closeSteps } from '../file.js';
import {
  FRAME_ALIGNMENT,
  FRAME_HEAD_BYTES,
  FrameHead,
  frameBytes,
  isPayloadWhole,
  segmentName,
  type TailKind,
} from '../frames.js';
import { JournalDamageError } from './damage.js';
import type { Home } from './home.js';
import { beyondSteps, offsetOf } from './scan.js';
import {
  factsSteps,
  followsLoss,
  isSound,
  ReadWindow,
  readingSteps,
  type SegmentFacts,
} from './segment.js';

/** One record of a journal. */
export interface JournalRecord {
  readonly lsn: number;
  /** Shares its memory with records beside it: copy what is kept for long. */
  readonly data: Uint8Array;
}

/** Where records are found. */
export interface Shelf {
  readonly home: Home;
  /** First LSNs of the segments there are, ascending. */
  readonly segments: readonly number[];
  /** Records from it on are not read. */
  readonly endLsn: number;
  /** The first record that is there. */
  readonly firstLsn: number;
  /** A segment is being read: its file is not used for another meanwhile. */
  hold(firstLsn: number): void;
  letGo(firstLsn: number): void;
}

const READ_BYTES = 262144;
const ACTION = 'read the journal';

/** A segment that is being read. */
class OpenSegment {
  readonly firstLsn: number;
  readonly file: OpenFile;
  readonly facts: SegmentFacts;
  readonly window: ReadWindow;
  readonly head: FrameHead = new FrameHead();
  readonly #shelf: Shelf;

  constructor(shelf: Shelf, file: OpenFile, facts: SegmentFacts) {
    this.#shelf = shelf;
    this.firstLsn = facts.head.firstLsn;
    this.file = file;
    this.facts = facts;
    this.window = new ReadWindow(file, 0, READ_BYTES);
  }

  /** What is wrong with the frame at an LSN; `undefined` when its header is in order. */
  *headAt(lsn: number): Steps<TailKind | undefined> {
    const { window, facts } = this;
    const offset = offsetOf(facts, lsn);
    if (!window.has(offset, FRAME_HEAD_BYTES)) {
      const length = yield* this.#show(offset, FRAME_HEAD_BYTES);
      if (length < FRAME_HEAD_BYTES) return 'truncated header';
    }
    return this.head.read(window.words, offset - window.start, lsn, facts.seed);
  }

  /*
   * What stands behind the end is not there yet: it is read again when the end has moved. Memory
   * that records were given from is not used again.
   */
  *#show(offset: number, bytes: number): Steps<number> {
    const end = offsetOf(this.facts, this.#shelf.endLsn);
    const { window } = this;
    window.limit = Math.min(end, this.facts.head.capacityBytes);
    const length = yield* window.move(offset, bytes, true);
    window.length = Math.max(0, Math.min(length, end - offset));
    return window.length;
  }

  /** The payload of the frame whose header was read last, at this LSN; or what is wrong with it. */
  *payloadAt(lsn: number): Steps<Uint8Array | TailKind> {
    const { window, facts, head } = this;
    const offset = offsetOf(facts, lsn);
    const bytes = frameBytes(head.length);
    if (!window.has(offset, bytes)) {
      const length = yield* this.#show(offset, bytes);
      if (length < bytes) return 'truncated payload';
    }
    const at = offset - window.start;
    if (!isPayloadWhole(window.memory, at, head)) return 'bad checksum';
    const start = at + FRAME_HEAD_BYTES;
    return window.memory.subarray(start, start + head.length);
  }

  /** The error for a place that holds no frame though one has to be there. */
  *faultAt(lsn: number, found: TailKind): Steps<Error> {
    const { file, facts } = this;
    const now = yield* factsSteps(file, facts.name);
    if (!isSound(now) || now.head.epoch !== facts.head.epoch) {
      if ((yield* isRecycled(this.#shelf, this.firstLsn)) === true) return trimmedError(lsn);
    }
    const offset = offsetOf(facts, lsn);
    const { resumesAt } = yield* beyondSteps(file, facts, offset + FRAME_ALIGNMENT);
    const next = this.#shelf.segments.find((firstLsn) => firstLsn > lsn);
    const problem = found === 'clean' ? 'zeros stand where a record was' : found;
    const damage = { segment: facts.name, offset, lsn, problem, resumesAt: resumesAt ?? next };
    return new JournalDamageError(damage, this.#shelf.home.path, ACTION);
  }

  /**
   * Where reading goes on when this segment ends at an LSN and what followed it is lost, as a
   * repair has accepted; else `undefined`. Errors: `IoError`.
   */
  *skipsTo(lsn: number, found: TailKind): Steps<number | undefined> {
    if (found !== 'clean' && found !== 'truncated header') return undefined;
    const next = this.#shelf.segments.find((firstLsn) => firstLsn > lsn);
    if (next === undefined) return undefined;
    const file = yield* readingSteps(this.#shelf.home, next);
    try {
      const facts = yield* factsSteps(file, segmentName(next));
      return isSound(facts) && followsLoss(facts) ? next : undefined;
    } finally {
      yield* closeSteps(file);
    }
  }

  /** Where the first frame that is not before an LSN begins. Errors: of damage before it. */
  *boundary(lsn: number): Steps<number> {
    let at = this.firstLsn;
    while (at < lsn) {
      const fault = yield* this.headAt(at);
      if (fault !== undefined) {
        const next = yield* this.skipsTo(at, fault);
        if (next !== undefined) return next;
        throw yield* this.faultAt(at, fault);
      }
      at += frameBytes(this.head.length);
    }
    return at;
  }

  *close(): Steps<void> {
    this.#shelf.letGo(this.firstLsn);
    yield* closeSteps(this.file);
  }
}

function* isRecycled(shelf: Shelf, firstLsn: number): Steps<boolean> {
  const { segments } = yield* shelf.home.list();
  return !segments.includes(firstLsn);
}

function trimmedError(lsn: number): RangeError {
  return outOfRange('lsn', 'that of a record that was not trimmed meanwhile', lsn);
}

/** The first LSN of the segment that holds an LSN. */
function segmentOf({ segments }: Shelf, lsn: number): number | undefined {
  let found: number | undefined;
  for (const firstLsn of segments) if (firstLsn <= lsn) found = firstLsn;
  return found;
}

/* Errors: `IoError`; `RangeError` where it was trimmed. */
function* openSegment(shelf: Shelf, firstLsn: number): Steps<OpenSegment> {
  shelf.hold(firstLsn);
  let file: OpenFile | undefined;
  let isKept = false;
  try {
    file = yield* readingSteps(shelf.home, firstLsn);
    const facts = yield* factsSteps(file, segmentName(firstLsn));
    if (!isSound(facts)) {
      const next = shelf.segments.find((other) => other > firstLsn);
      const place = { segment: facts.name, offset: 0, lsn: firstLsn, problem: facts.fault };
      throw new JournalDamageError({ ...place, resumesAt: next }, shelf.home.path, ACTION);
    }
    isKept = true;
    return new OpenSegment(shelf, file, facts);
  } catch (error) {
    if (error instanceof IoError && error.kind === 'not-found') throw trimmedError(firstLsn);
    throw error;
  } finally {
    if (!isKept) {
      shelf.letGo(firstLsn);
      yield* closeSteps(file);
    }
  }
}

/** What one step of reading brings: records, and whether there is more. */
export interface Reading {
  /** Records in their order; none when there are no more. Errors: `IoError`, `RangeError`. */
  next(): Steps<readonly JournalRecord[]>;
  close(): Steps<void>;
}

/** Reads forward: records whose LSN is from `from` to `to`. */
export class ForwardReading implements Reading {
  readonly #shelf: Shelf;
  readonly #to: number;
  #lsn: number;
  #segment: OpenSegment | undefined;
  #isPlaced = false;
  #fault: { readonly lsn: number; readonly found: TailKind } | undefined;

  constructor(shelf: Shelf, from: number, to: number) {
    this.#shelf = shelf;
    this.#lsn = Math.max(from, shelf.firstLsn);
    this.#to = to;
  }

  /** Where the next record is read from. */
  get lsn(): number {
    return this.#lsn;
  }

  *next(): Steps<readonly JournalRecord[]> {
    for (;;) {
      const segment = yield* this.#current();
      if (segment === undefined) return [];
      if (this.#fault !== undefined) {
        const { lsn, found } = this.#fault;
        throw yield* segment.faultAt(lsn, found);
      }
      const records = yield* this.#records(segment);
      if (records.length > 0) return records;
    }
  }

  /* The segment of the next record, placed at it. */
  *#current(): Steps<OpenSegment | undefined> {
    const { endLsn } = this.#shelf;
    if (this.#lsn >= endLsn || this.#lsn > this.#to) return undefined;
    const firstLsn = segmentOf(this.#shelf, this.#lsn);
    if (firstLsn === undefined) throw trimmedError(this.#lsn);
    if (this.#segment?.firstLsn !== firstLsn) {
      yield* this.close();
      this.#segment = yield* openSegment(this.#shelf, firstLsn);
    }
    if (!this.#isPlaced) yield* this.#place(this.#segment);
    return this.#lsn < endLsn ? this.#segment : undefined;
  }

  *#place(segment: OpenSegment): Steps<void> {
    this.#isPlaced = true;
    if (this.#lsn === segment.firstLsn) return;
    const isAligned = this.#lsn % FRAME_ALIGNMENT === 0;
    if (isAligned && (yield* segment.headAt(this.#lsn)) === undefined) return;
    this.#lsn = yield* segment.boundary(this.#lsn);
  }

  /* Those that one window shows. */
  *#records(segment: OpenSegment): Steps<JournalRecord[]> {
    const records: JournalRecord[] = [];
    const { window, head, facts } = segment;
    const next = this.#shelf.segments.find((firstLsn) => firstLsn > segment.firstLsn);
    const endLsn = Math.min(this.#shelf.endLsn, next ?? Number.POSITIVE_INFINITY);
    while (this.#lsn < endLsn && this.#lsn <= this.#to) {
      const lsn = this.#lsn;
      const isShown = window.has(offsetOf(facts, lsn), FRAME_HEAD_BYTES);
      if (!isShown && records.length > 0) break;
      const fault = yield* segment.headAt(lsn);
      if (fault !== undefined) {
        const to = yield* segment.skipsTo(lsn, fault);
        if (to === undefined) return this.#faulty(lsn, fault, records);
        this.#lsn = to;
        break;
      }
      const bytes = frameBytes(head.length);
      if (records.length > 0 && !window.has(offsetOf(facts, lsn), bytes)) break;
      const data = yield* segment.payloadAt(lsn);
      if (typeof data === 'string') return this.#faulty(lsn, data, records);
      if (!head.isGap) records.push({ lsn, data });
      this.#lsn = lsn + bytes;
    }
    return records;
  }

  /* What comes before the damage is given first. */
  #faulty(lsn: number, found: TailKind, records: JournalRecord[]): JournalRecord[] {
    this.#fault = { lsn, found };
    return records;
  }

  *close(): Steps<void> {
    const segment = this.#segment;
    this.#segment = undefined;
    if (segment !== undefined) yield* segment.close();
  }
}

/* A stretch of a segment between two frames, or a place where none can be read. */
interface Stretch {
  readonly startLsn: number;
  readonly endLsn: number;
  readonly found: TailKind | undefined;
}

/** Reads in reverse: records whose LSN is from `from` down to `to`. */
export class ReverseReading implements Reading {
  readonly #shelf: Shelf;
  readonly #from: number;
  readonly #to: number;
  #endLsn: number;
  #segment: OpenSegment | undefined;
  #stretches: Stretch[] = [];

  constructor(shelf: Shelf, from: number, to: number) {
    this.#shelf = shelf;
    this.#from = from;
    this.#to = Math.max(to, shelf.firstLsn);
    this.#endLsn = shelf.endLsn;
  }

  *next(): Steps<readonly JournalRecord[]> {
    for (;;) {
      const stretch = this.#stretches.pop();
      if (stretch === undefined) {
        if (!(yield* this.#segmentBefore())) return [];
        continue;
      }
      if (stretch.endLsn <= this.#to || stretch.startLsn > this.#from) continue;
      const segment = this.#segment as OpenSegment;
      if (stretch.found !== undefined)
        throw yield* segment.faultAt(stretch.startLsn, stretch.found);
      const records = yield* this.#records(segment, stretch);
      if (records.length > 0) return records;
    }
  }

  /* Opens the segment in front, and finds where its frames begin. */
  *#segmentBefore(): Steps<boolean> {
    const endLsn = this.#endLsn;
    const firstLsn = this.#shelf.segments.filter((one) => one < endLsn).at(-1);
    if (firstLsn === undefined || endLsn <= this.#to) return false;
    this.#endLsn = firstLsn;
    if (firstLsn > this.#from) return true;
    yield* this.close();
    this.#segment = yield* openSegment(this.#shelf, firstLsn);
    this.#stretches = yield* this.#survey(this.#segment, endLsn);
    return true;
  }

  *#survey(segment: OpenSegment, endLsn: number): Steps<Stretch[]> {
    const stretches: Stretch[] = [];
    const { facts, file } = segment;
    let startLsn = segment.firstLsn;
    let lsn = startLsn;
    const cut = (found: TailKind | undefined): void => {
      if (lsn > startLsn) stretches.push({ startLsn, endLsn: lsn, found });
      startLsn = lsn;
    };
    while (lsn < endLsn) {
      const fault = yield* segment.headAt(lsn);
      if (fault === undefined) {
        if (lsn - startLsn >= READ_BYTES) cut(undefined);
        lsn += frameBytes(segment.head.length);
        continue;
      }
      cut(undefined);
      if ((yield* segment.skipsTo(lsn, fault)) !== undefined) return stretches;
      const beyond = yield* beyondSteps(file, facts, offsetOf(facts, lsn) + FRAME_ALIGNMENT);
      lsn = Math.min(beyond.resumesAt ?? endLsn, endLsn);
      cut(fault);
    }
    cut(undefined);
    return stretches;
  }

  *#records(segment: OpenSegment, stretch: Stretch): Steps<JournalRecord[]> {
    const records: JournalRecord[] = [];
    let lsn = stretch.startLsn;
    while (lsn < stretch.endLsn) {
      yield* segment.headAt(lsn);
      const bytes = frameBytes(segment.head.length);
      const data = yield* segment.payloadAt(lsn);
      if (typeof data === 'string') {
        /* What lies behind it comes first; then this. */
        records.length = 0;
        const { startLsn } = stretch;
        if (lsn > startLsn) this.#stretches.push({ startLsn, endLsn: lsn, found: undefined });
        this.#stretches.push({ startLsn: lsn, endLsn: lsn + bytes, found: data });
        const rest = { startLsn: lsn + bytes, endLsn: stretch.endLsn, found: undefined };
        if (rest.startLsn < rest.endLsn) this.#stretches.push(rest);
        return records;
      }
      if (!segment.head.isGap && lsn >= this.#to && lsn <= this.#from) records.push({ lsn, data });
      lsn += bytes;
    }
    return records.reverse();
  }

  *close(): Steps<void> {
    const segment = this.#segment;
    this.#segment = undefined;
    if (segment !== undefined) yield* segment.close();
  }
}

/**
 * The record of an LSN.
 *
 * Errors: `RangeError` when it is that of no record; `IoError` of kind `corrupt`.
 */
export function* getSteps(shelf: Shelf, lsn: number): Steps<Uint8Array> {
  const firstLsn = segmentOf(shelf, lsn);
  if (firstLsn === undefined) throw trimmedError(lsn);
  const segment = yield* openSegment(shelf, firstLsn);
  try {
    const isAligned = lsn % FRAME_ALIGNMENT === 0;
    const fault = isAligned ? yield* segment.headAt(lsn) : 'bad magic';
    if (fault === undefined && !segment.head.isGap) {
      const data = yield* segment.payloadAt(lsn);
      if (typeof data !== 'string') return data;
      throw yield* segment.faultAt(lsn, data);
    }
    const boundary = yield* segment.boundary(lsn);
    if (boundary === lsn && fault !== undefined) throw yield* segment.faultAt(lsn, fault);
    throw outOfRange('lsn', 'that of a record', lsn);
  } finally {
    yield* segment.close();
  }
}

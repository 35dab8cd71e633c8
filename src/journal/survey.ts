/** What a journal is like, as found: its segments, what is damaged, where and how it ends. */

import type { Steps } from '../engine.js';
import type { OpenFile } from '../file.js';
import { closeSteps, readInto, stepsOf } from '../file.js';
import {
  END_BYTES,
  FIRST_LSN,
  FRAME_ALIGNMENT,
  SEGMENT_HEAD_BYTES,
  type TailKind,
} from '../frames.js';
import { Code } from '../platform.js';
import type { Damage } from './damage.js';
import type { Home, Listing } from './home.js';
import { type Beyond, beyondSteps, lsnAt, offsetOf, type ScanReport, scanSteps } from './scan.js';
import {
  type FaultySegment,
  followsLoss,
  isSound,
  manyFactsSteps,
  readingSteps,
  type SegmentFacts,
  syncReadSteps,
} from './segment.js';

/** How a journal ends. */
export interface Tail {
  readonly segment: SegmentFacts;
  /** Where the next record goes; bytes in the file, and in the journal. */
  readonly offset: number;
  readonly lsn: number;
  readonly kind: TailKind;
  /** That of the last record; 0 for none. */
  readonly lastLsn: number;
  /** Bytes; behind `offset`, where what may be this journal's ends. */
  readonly usedEnd: number;
  /** Bytes of this segment's epoch stand behind the tail: they go before the next append. */
  readonly needsCut: boolean;
  /** Frames of a batch that is not whole. */
  readonly isBatchCut: boolean;
  /** Where the journal ended when it was closed; 0 where it was not. */
  readonly closedLsn: number;
  /** Bytes; from there to `offset` what was read may be in the page cache alone. */
  readonly unsureOffset: number;
}

export interface Survey {
  /** Those with a header in order, from the first to the last. */
  readonly segments: readonly SegmentFacts[];
  readonly faulty: readonly FaultySegment[];
  readonly damage: readonly Damage[];
  readonly tail: Tail | undefined;
  /** In what was read. */
  readonly recordCount: number;
  readonly gapCount: number;
  readonly readBytes: number;
  /** Where everything was given up before. */
  readonly trimLsn: number;
}

export interface SurveyOptions {
  /** How much of the end is read; infinite for all. */
  readonly verifyBytes: number;
  /** Make the last segment durable before anything is decided about it. */
  readonly syncs: boolean;
  /** Go on behind damage. */
  readonly findsAll: boolean;
  /** Told bytes of frames that were read, and there are, as far as that is known. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/* Our own bytes behind a torn tail reach no further than one write, as a rule. */
const TORN_BYTES_MAX = 16 * 1048576;

/** A survey under way. */
class Surveyor {
  readonly #home: Home;
  readonly #options: SurveyOptions;
  readonly #damage: Damage[] = [];
  #recordCount = 0;
  #gapCount = 0;
  #readBytes = 0;
  #totalBytes = 0;

  constructor(home: Home, options: SurveyOptions) {
    this.#home = home;
    this.#options = options;
  }

  *steps(listing: Listing): Steps<Survey> {
    const all = yield* manyFactsSteps(this.#home, listing.segments);
    const segments = all.filter(isSound);
    this.#totalBytes = frameBytesIn(segments);
    const faulty = all.filter((one): one is FaultySegment => !isSound(one));
    const last = segments.at(-1);
    const trimLsn = last === undefined ? 0 : trimmedTo(segments[0] as SegmentFacts, last);
    this.#checkHeads(all, faulty);
    if (last !== undefined) this.#checkChain(segments, last, trimLsn);
    const tail = last === undefined ? undefined : yield* this.#tail(last);
    yield* this.#checkSealed(segments);
    if (this.#readBytes > 0) this.#options.onProgress?.(this.#readBytes, this.#readBytes);
    this.#damage.sort((one, two) => one.lsn - two.lsn);
    return {
      segments,
      faulty,
      damage: this.#damage,
      tail,
      recordCount: this.#recordCount,
      gapCount: this.#gapCount,
      readBytes: this.#readBytes,
      trimLsn,
    };
  }

  #checkHeads(
    all: readonly (SegmentFacts | FaultySegment)[],
    faulty: readonly FaultySegment[],
  ): void {
    for (const one of faulty) {
      const next = all.slice(all.indexOf(one) + 1).find(isSound);
      this.#damage.push({
        segment: one.name,
        offset: 0,
        lsn: Number.parseInt(one.name, 10),
        problem: one.fault,
        resumesAt: next?.head.firstLsn,
      });
    }
  }

  #checkChain(segments: readonly SegmentFacts[], last: SegmentFacts, trimLsn: number): void {
    const first = segments[0] as SegmentFacts;
    const begin = Math.max(trimLsn, FIRST_LSN);
    if (first.head.firstLsn > begin && !followsLoss(first)) {
      this.#broken(first, begin, 'the segments before it are missing');
    }
    for (const [index, segment] of segments.entries()) {
      const before = segments[index - 1];
      if (segment.head.journal !== last.head.journal) {
        this.#broken(segment, segment.head.firstLsn, 'it is a segment of another journal');
      } else if (before !== undefined && !follows(segment, before)) {
        this.#broken(segment, before.head.firstLsn, 'the segment before it is missing');
      }
    }
    if (last.mark.isFollowed) {
      const lsn = last.mark.closedLsn;
      const problem = 'the segments after it are missing';
      const place = { segment: last.name, offset: offsetOf(last, lsn), lsn };
      this.#damage.push({ ...place, problem, resumesAt: undefined });
    }
  }

  #broken({ name, head }: SegmentFacts, lsn: number, problem: string): void {
    const place = { segment: name, offset: 0, lsn };
    this.#damage.push({ ...place, problem, resumesAt: head.firstLsn });
  }

  /* From the last to the first, for as far as is to be read. */
  *#checkSealed(segments: readonly SegmentFacts[]): Steps<void> {
    for (let index = segments.length - 2; index >= 0; index--) {
      if (this.#damage.length > 0 && !this.#options.findsAll) return;
      const segment = segments[index] as SegmentFacts;
      const next = segments[index + 1] as SegmentFacts;
      const bytes = next.head.firstLsn - segment.head.firstLsn;
      if (this.#readBytes + bytes > this.#options.verifyBytes) return;
      const isNext = next.head.epochBefore === segment.head.epoch;
      const end = isNext && !followsLoss(next) ? next.head.firstLsn : undefined;
      const file = yield* readingSteps(this.#home, segment.head.firstLsn);
      try {
        yield* this.#sealed(file, segment, end);
      } finally {
        yield* closeSteps(file);
      }
    }
  }

  *#sealed(file: OpenFile, segment: SegmentFacts, endLsn: number | undefined): Steps<void> {
    const limit = endLsn === undefined ? segment.size : offsetOf(segment, endLsn);
    let from = SEGMENT_HEAD_BYTES;
    while (from < limit) {
      const report = yield* this.#scan(file, segment, from, limit);
      const { stop, end, found } = report;
      if (stop === limit && end === limit) return;
      if (endLsn === undefined && found === 'clean') return;
      if (stop > limit) this.#overlap(segment, stop, endLsn);
      const beyond = yield* beyondSteps(file, segment, stop + FRAME_ALIGNMENT);
      const inside = (beyond.resumesAt ?? Number.POSITIVE_INFINITY) < lsnAt(segment, limit);
      const resumesAt = inside ? beyond.resumesAt : endLsn;
      this.#damaged(segment, stop, found, resumesAt);
      if (!inside || !this.#options.findsAll) return;
      from = offsetOf(segment, resumesAt as number);
    }
  }

  #overlap(segment: SegmentFacts, stop: number, endLsn: number | undefined): void {
    const place = { segment: segment.name, offset: stop, lsn: lsnAt(segment, stop) };
    this.#damage.push({ ...place, problem: 'the next segment begins in it', resumesAt: endLsn });
  }

  #damaged(
    segment: SegmentFacts,
    offset: number,
    found: TailKind,
    resumesAt: number | undefined,
  ): void {
    const problem = found === 'clean' ? 'zeros stand where a record was' : found;
    const place = { segment: segment.name, offset, lsn: lsnAt(segment, offset) };
    this.#damage.push({ ...place, problem, resumesAt });
  }

  *#scan(file: OpenFile, segment: SegmentFacts, from: number, limit: number): Steps<ScanReport> {
    const before = this.#readBytes;
    const onProgress = (offset: number): void => {
      this.#options.onProgress?.(before + offset - from, this.#totalBytes);
    };
    const report = yield* scanSteps(file, segment, { from, limit, onProgress });
    this.#readBytes += report.stop - from;
    this.#recordCount += report.recordCount;
    this.#gapCount += report.gapCount;
    this.#options.onProgress?.(this.#readBytes, this.#totalBytes);
    return report;
  }

  *#tail(segment: SegmentFacts): Steps<Tail> {
    const file = yield* readingSteps(this.#home, segment.head.firstLsn);
    try {
      const isSettled = !this.#options.syncs || (yield* this.#settle(file, segment));
      const known = yield* this.#closedTail(file, segment);
      const tail = known ?? (yield* this.#foundTail(file, segment));
      return isSettled ? { ...tail, unsureOffset: tail.offset } : tail;
    } finally {
      yield* closeSteps(file);
    }
  }

  /*
   * What a crashed process wrote becomes durable, or is seen to be lost: after a failed sync the
   * page cache still shows bytes that the device has not (fsyncgate): it is asked to forget them.
   * Answers whether it could be asked. Before it says that it was closed, everything was durable.
   */
  *#settle(file: OpenFile, { head, mark }: SegmentFacts): Steps<boolean> {
    yield* syncReadSteps(this.#home, file, { firstLsn: head.firstLsn, code: Code.Sync });
    if (mark.closedLsn > 0) return false;
    const { taken } = yield* stepsOf(file, () => file.advise('dontneed'));
    return taken;
  }

  /* A journal that was closed says where it ends: more than may be read is not read for that. */
  *#closedTail(file: OpenFile, segment: SegmentFacts): Steps<Tail | undefined> {
    const { closedLsn, lastLsn } = segment.mark;
    const offset = offsetOf(segment, closedLsn);
    if (closedLsn === 0 || offset - SEGMENT_HEAD_BYTES <= this.#options.verifyBytes)
      return undefined;
    const end = new Uint8Array(END_BYTES);
    const length = yield* readInto(file, end, offset);
    if (length > 0 && end.some((byte) => byte !== 0)) return undefined;
    if (segment.size < offset) return undefined;
    const place = { segment, offset, lsn: closedLsn, usedEnd: offset };
    const how = { needsCut: false, isBatchCut: false, unsureOffset: offset };
    return { ...place, kind: 'clean', lastLsn, closedLsn, ...how };
  }

  *#foundTail(file: OpenFile, segment: SegmentFacts): Steps<Tail> {
    const { closedLsn } = segment.mark;
    let from = SEGMENT_HEAD_BYTES;
    let lastLsn = 0;
    for (;;) {
      const report = yield* this.#scan(file, segment, from, segment.size);
      lastLsn = report.lastLsn || lastLsn;
      const isAsClosed = report.found === 'clean' && lsnAt(segment, report.end) === closedLsn;
      const beyond = isAsClosed
        ? { resumesAt: undefined, durableLsn: 0, end: 0, usedEnd: report.stop }
        : yield* beyondSteps(file, segment, report.stop + FRAME_ALIGNMENT);
      const { resumesAt } = beyond;
      const durableLsn = Math.max(beyond.durableLsn, resumesAt === undefined ? 0 : closedLsn);
      if (resumesAt === undefined || lsnAt(segment, report.stop) >= durableLsn) {
        return tailOf(segment, report, beyond, lastLsn);
      }
      this.#damaged(segment, report.stop, report.found, resumesAt);
      from = offsetOf(segment, resumesAt);
    }
  }
}

/* Without the space that waits for more, where a segment says how far it is used. */
function frameBytesIn(segments: readonly SegmentFacts[]): number {
  let sum = 0;
  for (const [index, { head, mark, size }] of segments.entries()) {
    const next = segments[index + 1]?.head.firstLsn ?? mark.closedLsn;
    const space = Math.max(size - SEGMENT_HEAD_BYTES, 0);
    sum += next > head.firstLsn ? Math.min(next - head.firstLsn, space) : space;
  }
  return sum;
}

/* A torn mark does not say what was given up: then that is what is not there. */
function trimmedTo(first: SegmentFacts, { head, mark, markFault }: SegmentFacts): number {
  const told = Math.max(head.trimLsn, mark.trimLsn);
  return markFault === undefined ? told : Math.max(told, first.head.firstLsn);
}

function follows(segment: SegmentFacts, before: SegmentFacts): boolean {
  return followsLoss(segment) || segment.head.epochBefore === before.head.epoch;
}

function tailOf(
  segment: SegmentFacts,
  { end, stop, found, durableLsn }: ScanReport,
  beyond: Beyond,
  lastLsn: number,
): Tail {
  const isBatchCut = end < stop;
  const isHidden = beyond.resumesAt !== undefined;
  const kind = found === 'clean' && (isBatchCut || isHidden) ? 'truncated header' : found;
  const needsCut = kind !== 'clean';
  const usedEnd = Math.max(beyond.end, Math.min(beyond.usedEnd, stop + TORN_BYTES_MAX), stop);
  const { closedLsn } = segment.mark;
  const lsn = lsnAt(segment, end);
  const durable = lsn === closedLsn ? lsn : Math.max(durableLsn, segment.head.firstLsn);
  const place = { segment, offset: end, lsn, usedEnd, unsureOffset: offsetOf(segment, durable) };
  return { ...place, kind, lastLsn, needsCut, isBatchCut, closedLsn };
}

/** Looks at a journal. Changes nothing. Errors: `IoError`. */
export function surveySteps(home: Home, listing: Listing, options: SurveyOptions): Steps<Survey> {
  return new Surveyor(home, options).steps(listing);
}

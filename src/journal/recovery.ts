/** What is done before a journal goes on: torn bytes put aside and cut, leftovers removed. */

import type { Steps } from '../engine.js';
import type { OpenFile } from '../file.js';
import { closeSteps, readInto, syncSteps, writeFrom } from '../file.js';
import {
  FIRST_LSN,
  keptName,
  NO_MARK,
  type SegmentHead,
  segmentName,
  type TailKind,
} from '../frames.js';
import { Code } from '../platform.js';
import {
  type ActiveSegment,
  beginSegmentSteps,
  cutSteps,
  makeSpareSteps,
  markSteps,
  resumeSegmentSteps,
  sectorBefore,
  type Workshop,
} from './active.js';
import { newEpoch } from './commit.js';
import type { Damage } from './damage.js';
import type { Listing } from './home.js';
import { WINDOW_BYTES } from './segment.js';
import type { Survey, Tail } from './survey.js';

/** What was found when a journal was opened, and what was done. */
export interface RecoveryReport {
  /** What the journal ended with. */
  readonly tail: TailKind;
  /** The directory was empty: there is a new journal now. */
  readonly isNew: boolean;
  /** It had been closed, and ends where it ended then. */
  readonly wasClosed: boolean;
  readonly firstLsn: number;
  readonly nextLsn: number;
  /** Records in what was read, and how many bytes that was. */
  readonly recordCount: number;
  readonly verifiedBytes: number;
  /** Bytes behind the last whole record that were cut off; where they were put aside. */
  readonly cutBytes: number;
  readonly keptPath: string | undefined;
  /** Among them the beginning of a batch. */
  readonly isBatchCut: boolean;
  /** It was longer when it was closed: these bytes had been durable, and are gone. */
  readonly lost: { readonly fromLsn: number; readonly toLsn: number } | undefined;
  /** What is damaged, of a read-only journal; what was mended, after a repair. */
  readonly damage: readonly Damage[];
  /** Names in the directory that are not the journal's. */
  readonly strangers: readonly string[];
}

/** Where a writer begins. */
export interface Standing {
  readonly active: ActiveSegment;
  readonly segments: readonly number[];
  readonly spares: readonly string[];
  readonly firstLsn: number;
  readonly nextLsn: number;
  readonly lastLsn: number;
  readonly trimLsn: number;
  /** The bytes of the last sector, for direct I/O. */
  readonly carried: Uint8Array | undefined;
  readonly report: RecoveryReport;
}

/** The report for a tail, before or without a cut. */
export function reportOf(survey: Survey, strangers: readonly string[]): RecoveryReport {
  const tail = survey.tail as Tail;
  const { closedLsn, lsn } = tail;
  const first = survey.segments[0]?.head.firstLsn ?? lsn;
  return {
    tail: tail.kind,
    isNew: false,
    wasClosed: closedLsn > 0 && closedLsn === lsn && tail.kind === 'clean',
    firstLsn: Math.min(Math.max(survey.trimLsn, first), lsn),
    nextLsn: lsn,
    recordCount: survey.recordCount,
    verifiedBytes: survey.readBytes,
    cutBytes: 0,
    keptPath: undefined,
    isBatchCut: tail.isBatchCut,
    lost: closedLsn > lsn ? { fromLsn: lsn, toLsn: closedLsn } : undefined,
    damage: survey.damage,
    strangers,
  };
}

/** The first segment of a new journal. Errors: `IoError`. */
export function* createSteps(shop: Workshop, listing: Listing): Steps<Standing> {
  const [spare, ...spares] = listing.spares;
  const head: SegmentHead = {
    flags: 0,
    journal: newEpoch(shop),
    epoch: newEpoch(shop),
    firstLsn: FIRST_LSN,
    epochBefore: '0'.repeat(16),
    trimLsn: 0,
    capacityBytes: shop.settings.segmentBytes,
  };
  const active = yield* beginSegmentSteps(shop, spare, head);
  return {
    active,
    segments: [FIRST_LSN],
    spares,
    firstLsn: FIRST_LSN,
    nextLsn: FIRST_LSN,
    lastLsn: 0,
    trimLsn: 0,
    carried: undefined,
    report: {
      tail: 'clean',
      isNew: true,
      wasClosed: false,
      firstLsn: FIRST_LSN,
      nextLsn: FIRST_LSN,
      recordCount: 0,
      verifiedBytes: 0,
      cutBytes: 0,
      keptPath: undefined,
      isBatchCut: false,
      lost: undefined,
      damage: [],
      strangers: listing.strangers,
    },
  };
}

/** Bytes that are put aside: of which file, which, and under what name. */
export interface Aside {
  readonly file: OpenFile;
  readonly start: number;
  readonly end: number;
  readonly why: 'torn' | 'damaged';
  readonly lsn: number;
}

interface Stretch {
  readonly source: OpenFile;
  readonly start: number;
  readonly end: number;
}

/* To the beginning of another file. */
function* copySteps({ source, start, end }: Stretch, target: OpenFile): Steps<void> {
  for (let at = start; at < end; ) {
    const view = new Uint8Array(Math.min(WINDOW_BYTES, end - at));
    const length = yield* readInto(source, view, at);
    if (length === 0) break;
    yield* writeFrom(target, view.subarray(0, length), at - start);
    at += length;
  }
}

/** Copies bytes into a file of their own, durably; answers its path. Errors: `IoError`. */
export function* keepSteps(shop: Workshop, aside: Aside, taken: Set<string>): Steps<string> {
  const { home, settings } = shop;
  let n = 1;
  while (taken.has(keptName(aside.why, aside.lsn, n))) n++;
  const name = keptName(aside.why, aside.lsn, n);
  taken.add(name);
  const { mode } = settings;
  const target = yield* home.open(name, { access: 'write', create: 'exclusive', mode });
  let isKept = false;
  try {
    yield* copySteps({ source: aside.file, start: aside.start, end: aside.end }, target);
    yield* syncSteps(target, Code.Sync);
    isKept = true;
  } finally {
    yield* closeSteps(target);
    if (!isKept) yield* home.remove(name);
  }
  yield* home.sync();
  return home.place(name).path;
}

/** Puts a torn tail aside and cuts it off; answers where it went. Errors: `IoError`. */
function* cutTail(shop: Workshop, tail: Tail, kept: Set<string>): Steps<string | undefined> {
  const name = segmentName(tail.segment.head.firstLsn);
  const file = yield* shop.home.open(name, { access: 'read-write' });
  try {
    const { offset: start, usedEnd: end, lsn } = tail;
    const aside: Aside = { file, start, end, why: 'torn', lsn };
    const path = end > start ? yield* keepSteps(shop, aside, kept) : undefined;
    yield* cutSteps(file, start);
    return path;
  } finally {
    yield* closeSteps(file);
  }
}

/*
 * The page cache could not be asked to forget: what it shows may not be on the device, and no sync
 * would put it there. Nor would writing it again: after a failed write-back ext4 keeps the extent
 * unwritten and believes its buffers that it is not (Linux 6.18, test/journal-gate.test.ts). So the
 * segment becomes another file.
 */
function* renewSteps(shop: Workshop, { segment, offset }: Tail): Steps<void> {
  const { home } = shop;
  const name = segmentName(segment.head.firstLsn);
  const spare = yield* makeSpareSteps(shop, segment.head.capacityBytes);
  const source = yield* home.open(name, { access: 'read' });
  let target: OpenFile | undefined;
  try {
    target = yield* home.open(spare, { access: 'read-write' });
    yield* copySteps({ source, start: 0, end: offset }, target);
    yield* syncSteps(target, Code.Sync);
  } finally {
    yield* closeSteps(source, target);
  }
  yield* home.rename(spare, name);
  yield* home.sync();
}

/* Segments that a trim had given up and a crash left; the order keeps what is left in one piece. */
function* removeTrimmed(shop: Workshop, survey: Survey): Steps<number[]> {
  const all = survey.segments.map(({ head }) => head.firstLsn);
  const isGone = (_: number, index: number): boolean => {
    const next = all[index + 1];
    return next !== undefined && next <= survey.trimLsn;
  };
  const gone = all.filter(isGone);
  for (const firstLsn of gone) yield* shop.home.remove(segmentName(firstLsn));
  if (gone.length > 0) yield* shop.home.sync();
  return all.slice(gone.length);
}

/** Makes a journal ready for the next append. Errors: `IoError`. */
export function* resumeSteps(shop: Workshop, survey: Survey, listing: Listing): Steps<Standing> {
  const tail = survey.tail as Tail;
  const taken = new Set(listing.kept);
  const keptPath = tail.needsCut ? yield* cutTail(shop, tail, taken) : undefined;
  if (tail.unsureOffset < tail.offset) yield* renewSteps(shop, tail);
  const segments = yield* removeTrimmed(shop, survey);
  const { head, mark } = tail.segment;
  const active = yield* resumeSegmentSteps(shop, head);
  let isKept = false;
  try {
    const { trimLsn } = survey;
    const isMarked = mark.closedLsn > 0 || mark.isFollowed;
    if (isMarked) {
      yield* markSteps(active, { ...NO_MARK, trimLsn });
      yield* syncSteps(active.file);
    }
    const alignment = active.file.directAlignment?.length ?? 1;
    const carried = yield* sectorBefore(active, tail.offset, alignment);
    const report = reportOf(survey, listing.strangers);
    const cutBytes = tail.needsCut ? Math.max(tail.usedEnd - tail.offset, 0) : 0;
    isKept = true;
    return {
      active,
      segments,
      spares: listing.spares,
      firstLsn: report.firstLsn,
      nextLsn: tail.lsn,
      lastLsn: tail.lastLsn,
      trimLsn,
      carried,
      report: { ...report, cutBytes, keptPath },
    };
  } finally {
    if (!isKept) yield* closeSteps(active.file, active.durable);
  }
}

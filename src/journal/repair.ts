/**
 * Mending a damaged journal, when that is asked for: what can be read stays where it is, under its
 * LSN; what cannot is put aside, and skipped from then on by a frame that says so.
 */

import { alignedBuffer } from '../aligned.js';
import type { Steps } from '../engine.js';
import type { OpenFile } from '../file.js';
import { closeSteps, readInto, syncSteps, writeFrom } from '../file.js';
import {
  distanceWordOf,
  encodeHead,
  FRAME_HEAD_BYTES,
  FrameFlag,
  frameBytes,
  headChecksum,
  PAGE_BYTES,
  RECORD_BYTES_MAX,
  SEGMENT_FOLLOWS_LOSS,
  segmentName,
} from '../frames.js';
import { Code, checksum } from '../platform.js';
import type { Workshop } from './active.js';
import type { Damage } from './damage.js';
import type { Listing } from './home.js';
import { keepSteps } from './recovery.js';
import { offsetOf } from './scan.js';
import type { SegmentFacts } from './segment.js';
import { type Survey, surveySteps } from './survey.js';

/* The longest payload of a gap: a multiple of 8, so that the next frame begins behind it. */
const GAP_BYTES_MAX: number = RECORD_BYTES_MAX - 7;

/** Mends a journal; answers what was mended. Errors: `IoError`. */
export function* repairSteps(shop: Workshop, listing: Listing): Steps<readonly Damage[]> {
  const { home } = shop;
  const verifyBytes = Number.POSITIVE_INFINITY;
  const options = { verifyBytes, syncs: true, findsAll: true };
  const survey = yield* surveySteps(home, listing, options);
  const taken = new Set(listing.kept);
  for (const damage of survey.damage) {
    const segment = survey.segments.find(({ name }) => name === damage.segment);
    if (segment === undefined || damage.offset === 0) continue;
    yield* fillSteps(shop, segment, damage, taken);
  }
  for (const { name } of survey.faulty) yield* moveAside(shop, name, taken);
  yield* acceptLosses(shop, survey);
  yield* home.sync();
  return survey.damage;
}

/* Puts the damaged bytes aside, and frames over them that hold them as they are. */
function* fillSteps(
  shop: Workshop,
  segment: SegmentFacts,
  damage: Damage,
  taken: Set<string>,
): Steps<void> {
  const { resumesAt, lsn } = damage;
  if (resumesAt === undefined) {
    yield* unfollow(shop, segment);
    return;
  }
  const end = offsetOf(segment, resumesAt);
  const access = 'read-write';
  const file = yield* shop.home.open(segment.name, { access });
  try {
    yield* keepSteps(shop, { file, start: damage.offset, end, why: 'damaged', lsn }, taken);
    for (let at = damage.offset; at < end; ) {
      const length = Math.min(end - at - FRAME_HEAD_BYTES, GAP_BYTES_MAX);
      yield* gapSteps(file, segment, at, length);
      at += frameBytes(length);
    }
    yield* syncSteps(file, Code.Sync);
  } finally {
    yield* closeSteps(file);
  }
}

function* gapSteps(file: OpenFile, segment: SegmentFacts, at: number, length: number): Steps<void> {
  const frame = new Uint8Array(frameBytes(length));
  yield* readInto(file, frame, at);
  const words = new DataView(frame.buffer);
  const lsn = segment.head.firstLsn + at - offsetOf(segment, segment.head.firstLsn);
  const lengthWord = length | FrameFlag.Gap;
  const payload = checksum(frame.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + length));
  const distanceWord = distanceWordOf(lsn, lsn);
  words.setUint32(0, lengthWord, true);
  words.setUint32(4, payload, true);
  words.setUint32(8, distanceWord, true);
  words.setUint32(12, headChecksum(segment.seed, lsn, lengthWord, payload, distanceWord), true);
  yield* writeFrom(file, frame, at);
}

/* Segments that followed are gone: this one is the last. */
function* unfollow(shop: Workshop, segment: SegmentFacts): Steps<void> {
  if (!segment.mark.isFollowed) return;
  yield* writeHead(shop, segment, segment.head.flags, true);
}

function* moveAside(shop: Workshop, name: string, taken: Set<string>): Steps<void> {
  let n = 1;
  const asideName = (): string => `damaged-${name.slice(0, 16)}-${n}.segment`;
  while (taken.has(asideName())) n++;
  taken.add(asideName());
  yield* shop.home.rename(name, asideName());
}

/* A segment whose predecessor is not there says from now on that this is known. */
function* acceptLosses(shop: Workshop, { damage, segments }: Survey): Steps<void> {
  const last = segments.at(-1);
  for (const segment of segments) {
    const isTold = damage.some(
      ({ segment: name, offset }) => name === segment.name && offset === 0,
    );
    const before = segments[segments.indexOf(segment) - 1];
    const isOrphan = before !== undefined && before.head.epoch !== segment.head.epochBefore;
    if (!isTold && !isOrphan) continue;
    if (segment.head.journal !== last?.head.journal) {
      yield* moveAside(shop, segmentName(segment.head.firstLsn), new Set());
    } else yield* writeHead(shop, segment, segment.head.flags | SEGMENT_FOLLOWS_LOSS, false);
  }
}

function* writeHead(
  shop: Workshop,
  segment: SegmentFacts,
  flags: number,
  clearsMark: boolean,
): Steps<void> {
  const file = yield* shop.home.open(segment.name, { access: 'read-write' });
  try {
    const page = alignedBuffer(clearsMark ? 2 * PAGE_BYTES : PAGE_BYTES);
    encodeHead({ ...segment.head, flags }, page.subarray(0, PAGE_BYTES));
    yield* writeFrom(file, page, 0);
    yield* syncSteps(file, Code.Sync);
  } finally {
    yield* closeSteps(file);
  }
}

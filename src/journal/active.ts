/** The segment that is written: how one is begun, cut, marked, and left. */

import { alignedBuffer } from '../aligned.js';
import type { Steps } from '../engine.js';
import { assert, IoError } from '../errors.js';
import type { OpenFile, OpenOptions } from '../file.js';
import { closeSteps, readInto, stepsOf, syncSteps, writeFrom } from '../file.js';
import {
  encodeHead,
  encodeMark,
  PAGE_BYTES,
  SEGMENT_HEAD_BYTES,
  type SegmentHead,
  type SegmentMark,
  seedOf,
  segmentName,
  spareName,
} from '../frames.js';
import { Code, OpenFlag, randomName } from '../platform.js';
import type { Home } from './home.js';
import type { JournalSettings } from './options.js';

/** What a journal was asked for and is not given, and why. */
export interface Fallback {
  readonly what: string;
  readonly reason: string;
}

/** What the parts of a writer share. */
export interface Workshop {
  readonly home: Home;
  readonly settings: JournalSettings;
  readonly fallbacks: Fallback[];
}

/** A segment open for writing. */
export interface ActiveSegment {
  readonly head: SegmentHead;
  readonly seed: number;
  readonly file: OpenFile;
  /** The same file, each of whose writes is durable when it returns; where that is asked for. */
  readonly durable: OpenFile | undefined;
}

function note({ fallbacks }: Workshop, what: string, reason: string): void {
  if (!fallbacks.some((one) => one.what === what)) fallbacks.push({ what, reason });
}

function* openFiles(
  shop: Workshop,
  name: string,
  extra: OpenOptions,
): Steps<{ file: OpenFile; durable: OpenFile | undefined }> {
  const { home, settings } = shop;
  const { direct, sync } = settings;
  const file = yield* home.open(name, { access: 'read-write', direct, ...extra });
  const told = file.explain().fallbacks.find(({ what }) => what === 'direct');
  if (told !== undefined) note(shop, 'direct', told.reason);
  const flags = sync === 'full' ? OpenFlag.FullSync : OpenFlag.DataSync;
  /* Without such a flag each group is written, and then synced. */
  if (sync === false || flags === 0) return { file, durable: undefined };
  let isKept = false;
  try {
    const isDirect = file.direct ? 'strict' : false;
    const durable = yield* home.open(name, { access: 'write', direct: isDirect }, flags);
    isKept = true;
    return { file, durable };
  } finally {
    if (!isKept) yield* closeSteps(file);
  }
}

/* Reserved blocks, or zeros that were written, up to the capacity. */
function* reserveSteps(
  shop: Workshop,
  file: OpenFile,
  { size, capacityBytes }: { readonly size: number; readonly capacityBytes: number },
): Steps<boolean> {
  if (shop.settings.preallocate === false) return false;
  try {
    const report = yield* stepsOf(file, () => file.allocate(0, capacityBytes));
    if (!report.isExact) {
      note(shop, 'preallocate', report.reason ?? 'nothing is reserved');
      return false;
    }
  } catch (error) {
    if (!isFull(error)) throw error;
    /* Less than a segment may still be enough: what was reserved of it is given back. */
    note(shop, 'preallocate', error.message);
    yield* stepsOf(file, () => file.truncate(size));
    return false;
  }
  return true;
}

const ZEROS_BYTES = 1048576;

function* zeroSteps(file: OpenFile, start: number, end: number): Steps<void> {
  const zeros = alignedBuffer(Math.min(ZEROS_BYTES, end - start));
  for (let at = start; at < end; at += zeros.length) {
    yield* writeFrom(file, zeros.subarray(0, Math.min(zeros.length, end - at)), at);
  }
}

/** True for a refusal that leaves everything as it was: there is no room. */
export function isFull(error: unknown): error is IoError {
  const kinds: readonly unknown[] = ['no-space', 'quota', 'too-large', 'limit'];
  return error instanceof IoError && kinds.includes(error.kind);
}

/** Makes a file that can become a segment. Answers its name. Errors: `IoError`; none is left. */
export function* makeSpareSteps(shop: Workshop, capacityBytes: number): Steps<string> {
  const { home, settings } = shop;
  const name = spareName(home.engine.randomName?.() ?? randomName());
  const { mode } = settings;
  const file = yield* home.open(name, { access: 'read-write', create: 'exclusive', mode });
  let isKept = false;
  try {
    const isReserved = yield* reserveSteps(shop, file, { size: 0, capacityBytes });
    if (settings.preallocate === 'zeros' && isReserved) {
      yield* zeroSteps(file, 0, capacityBytes);
      yield* syncSteps(file, Code.Sync);
    }
    isKept = true;
    return name;
  } finally {
    yield* closeSteps(file);
    if (!isKept) yield* home.remove(name);
  }
}

/* Header, empty mark, and the zeros that say that no record follows. */
function headPages(head: SegmentHead): Uint8Array {
  const pages = alignedBuffer(SEGMENT_HEAD_BYTES + PAGE_BYTES);
  encodeHead(head, pages.subarray(0, PAGE_BYTES));
  return pages;
}

/**
 * Begins a segment in a spare file: the header is durable before the file has its name, and the
 * name before anything is written behind the header.
 *
 * Errors: `IoError`; the spare file is removed then, if it has not got its name. Has it, which
 * `onNamed` tells, then nobody knows whether there is such a segment.
 */
export function* beginSegmentSteps(
  shop: Workshop,
  spare: string | undefined,
  head: SegmentHead,
  onNamed?: () => void,
): Steps<ActiveSegment> {
  const { home, settings } = shop;
  const name = spare ?? (yield* makeSpareSteps(shop, head.capacityBytes));
  let isNamed = false;
  let opened: { file: OpenFile; durable: OpenFile | undefined } | undefined;
  let isKept = false;
  try {
    opened = yield* openFiles(shop, name, {});
    const { file, durable } = opened;
    if (settings.lifetime !== undefined) yield* hint(shop, file);
    yield* writeFrom(file, headPages(head), 0);
    yield* fitSteps(shop, file, head.capacityBytes);
    yield* syncSteps(file, Code.Sync);
    yield* home.rename(name, segmentName(head.firstLsn));
    isNamed = true;
    onNamed?.();
    yield* home.sync();
    isKept = true;
    return { head, seed: seedOf(head), file, durable };
  } finally {
    if (!isKept) yield* closeSteps(opened?.file, opened?.durable);
    if (!isNamed) yield* home.remove(name);
  }
}

function* hint(shop: Workshop, file: OpenFile): Steps<void> {
  const lifetime = shop.settings.lifetime as NonNullable<JournalSettings['lifetime']>;
  const report = yield* stepsOf(file, () => file.setWriteLifetime(lifetime));
  if (!report.taken) note(shop, 'lifetime', report.reason ?? 'the hint was not taken');
}

/* A spare file may be of another size. */
function* fitSteps(shop: Workshop, file: OpenFile, capacityBytes: number): Steps<void> {
  const { size } = yield* stepsOf(file, () => file.stat());
  if (size > capacityBytes) yield* stepsOf(file, () => file.truncate(capacityBytes));
  else if (size < capacityBytes) yield* reserveSteps(shop, file, { size, capacityBytes });
}

/** Opens the last segment to go on with it. Errors: `IoError`. */
export function* resumeSegmentSteps(shop: Workshop, head: SegmentHead): Steps<ActiveSegment> {
  const { file, durable } = yield* openFiles(shop, segmentName(head.firstLsn), {});
  let isKept = false;
  try {
    yield* fitSteps(shop, file, head.capacityBytes);
    isKept = true;
    return { head, seed: seedOf(head), file, durable };
  } finally {
    if (!isKept) yield* closeSteps(file, durable);
  }
}

/**
 * Cuts a segment behind its last record, and makes that durable: what a torn or refused write left
 * there would otherwise come to life again behind records yet to be written.
 *
 * Errors: `IoError`.
 */
export function* cutSteps(file: OpenFile, offset: number): Steps<void> {
  yield* stepsOf(file, () => file.truncate(offset));
  yield* syncSteps(file);
}

/** Writes the mark beside a segment's header. Durable after a sync. Errors: `IoError`. */
export function* markSteps({ file, head }: ActiveSegment, mark: SegmentMark): Steps<void> {
  const page = alignedBuffer(PAGE_BYTES);
  encodeMark(mark, head.epoch, page);
  yield* writeFrom(file, page, PAGE_BYTES);
}

/** The bytes of a sector in front of an offset. Errors: `IoError`. */
export function* sectorBefore(
  { file }: ActiveSegment,
  offset: number,
  alignment: number,
): Steps<Uint8Array | undefined> {
  const bytes = offset % alignment;
  if (bytes === 0) return undefined;
  const sector = alignedBuffer(alignment, alignment);
  const length = yield* readInto(file, sector, offset - bytes);
  /* What is not there would be written over as zeros. */
  assert(length >= bytes, 'the last record ends in the file');
  return sector.slice(0, bytes);
}

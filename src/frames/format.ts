/**
 * The bytes of a journal on disk, as docs/journal-format.md has them: names of files, the header of
 * a segment, the mark beside it, the header of a frame. Pure: no I/O.
 */
import { crc32c } from '../bytes.js';

/** Bytes of a segment before its first frame: the page of the header, the page of the mark. */
export const SEGMENT_HEAD_BYTES = 8192;
export const PAGE_BYTES = 4096;
/** Bytes of a frame before its payload. */
export const FRAME_HEAD_BYTES = 16;
/** Zeros behind the last frame that say that it was the last. */
export const END_BYTES = 16;
export const FRAME_ALIGNMENT = 8;
/** 256 MiB - 1: the length has 28 bits. */
export const RECORD_BYTES_MAX: number = 2 ** 28 - 1;
/** The first LSN of a new journal; 0 is the LSN of nothing. */
export const FIRST_LSN = 8;
export const FORMAT_VERSION = 1;
/** The first byte that a reader meets in the word which holds the distance. */
export const FRAME_MAGIC = 0xa7;
/** A distance that says nothing. */
export const DISTANCE_UNKNOWN = 0xffffff;

/** In the top bits of a frame's first word. */
export const FrameFlag = {
  /** The next frame is of the same batch. */
  Continues: 0x10000000,
  /** Made by a repair over bytes that could not be read: no record. */
  Gap: 0x20000000,
} as const;

/** In a segment's header: what was before it is lost, and a repair has accepted that. */
export const SEGMENT_FOLLOWS_LOSS = 1;

const MAGIC = Uint8Array.of(0x89, 0x48, 0x46, 0x4a, 0x0d, 0x0a, 0x1a, 0x0a);
const MARK_MAGIC = Uint8Array.of(0x89, 0x48, 0x46, 0x4d, 0x0d, 0x0a, 0x1a, 0x0a);
/* In the first sector, with all that it is over: a page written again is the old one or the new. */
const SECTOR_BYTES = 512;
const CHECKSUM_AT: number = SECTOR_BYTES - 4;
const IDENTITY_BYTES = 8;
const ZEROS = new Uint8Array(PAGE_BYTES);

/** Bytes of a frame whose payload has so many. */
export function frameBytes(length: number): number {
  return FRAME_HEAD_BYTES + length + padding(length);
}

/** Zeros between a payload and the next frame. */
export function padding(length: number): number {
  return -length & (FRAME_ALIGNMENT - 1);
}

/** What a segment's header says. */
export interface SegmentHead {
  readonly flags: number;
  /** 16 hexadecimal digits, the same in every segment of a journal. */
  readonly journal: string;
  /** 16 hexadecimal digits, new whenever a file becomes a segment. */
  readonly epoch: string;
  readonly firstLsn: number;
  /** That of the segment before; zeros for the first. */
  readonly epochBefore: string;
  /** Records below it had been given up when the segment was begun. */
  readonly trimLsn: number;
  /** Bytes of the file that frames may use. */
  readonly capacityBytes: number;
}

/** What stands beside the header, rewritten as the journal is trimmed and closed. */
export interface SegmentMark {
  readonly trimLsn: number;
  /** Where the journal ended when it was closed; 0 while it is open. */
  readonly closedLsn: number;
  /** That of the last record then; 0 for none. */
  readonly lastLsn: number;
  /** Another segment follows this one. */
  readonly isFollowed: boolean;
}

/** The mark of a segment that has none yet. */
export const NO_MARK: SegmentMark = { trimLsn: 0, closedLsn: 0, lastLsn: 0, isFollowed: false };

/** Why a page is not what it should be. */
export type PageFault = 'short' | 'bad magic' | 'bad checksum' | 'unknown version' | 'empty';

function hexadecimal(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function viewOf(page: Uint8Array): DataView {
  return new DataView(page.buffer, page.byteOffset, page.byteLength);
}

function putIdentity(page: Uint8Array, at: number, identity: string): void {
  page.set(Buffer.from(identity, 'hex').subarray(0, IDENTITY_BYTES), at);
}

function identityAt(page: Uint8Array, at: number): string {
  return hexadecimal(page.subarray(at, at + IDENTITY_BYTES));
}

function putNumber(view: DataView, at: number, value: number): void {
  view.setBigUint64(at, BigInt(value), true);
}

function numberAt(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function seal(page: Uint8Array): void {
  viewOf(page).setUint32(CHECKSUM_AT, crc32c(page.subarray(0, CHECKSUM_AT)), true);
}

function begins(page: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, at) => page[at] === byte);
}

/* At once: a loop over a page takes as long as the rest of an opening. */
function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}

function faultOf(page: Uint8Array, magic: Uint8Array): PageFault | undefined {
  if (page.length < PAGE_BYTES) return 'short';
  if (!begins(page, magic)) return isZero(page) ? 'empty' : 'bad magic';
  const found = viewOf(page).getUint32(CHECKSUM_AT, true);
  if (crc32c(page.subarray(0, CHECKSUM_AT)) !== found) return 'bad checksum';
  if (!isZero(page.subarray(SECTOR_BYTES))) return 'bad checksum';
  return undefined;
}

/** Writes a header into a page of zeros. */
export function encodeHead(head: SegmentHead, page: Uint8Array): void {
  const view = viewOf(page);
  page.set(MAGIC, 0);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, head.flags, true);
  putIdentity(page, 16, head.journal);
  putIdentity(page, 24, head.epoch);
  putNumber(view, 32, head.firstLsn);
  putIdentity(page, 40, head.epochBefore);
  putNumber(view, 48, head.trimLsn);
  putNumber(view, 56, head.capacityBytes);
  seal(page);
}

/** Reads a header; or says why it is none. */
export function decodeHead(page: Uint8Array): SegmentHead | PageFault {
  const fault = faultOf(page, MAGIC);
  if (fault !== undefined) return fault;
  const view = viewOf(page);
  if (view.getUint32(8, true) !== FORMAT_VERSION) return 'unknown version';
  return {
    flags: view.getUint32(12, true),
    journal: identityAt(page, 16),
    epoch: identityAt(page, 24),
    firstLsn: numberAt(view, 32),
    epochBefore: identityAt(page, 40),
    trimLsn: numberAt(view, 48),
    capacityBytes: numberAt(view, 56),
  };
}

/** The version a header names, for the words of a refusal. */
export function versionIn(page: Uint8Array): number {
  return viewOf(page).getUint32(8, true);
}

/** Writes the mark of the segment of an epoch into a page of zeros. */
export function encodeMark(mark: SegmentMark, epoch: string, page: Uint8Array): void {
  const view = viewOf(page);
  page.set(MARK_MAGIC, 0);
  putIdentity(page, 8, epoch);
  putNumber(view, 16, mark.trimLsn);
  putNumber(view, 24, mark.closedLsn);
  putNumber(view, 32, mark.lastLsn);
  view.setUint32(40, mark.isFollowed ? 1 : 0, true);
  seal(page);
}

/** Reads the mark of the segment of an epoch; one of another epoch is as good as none. */
export function decodeMark(page: Uint8Array, epoch: string): SegmentMark | PageFault {
  const fault = faultOf(page, MARK_MAGIC);
  if (fault !== undefined) return fault;
  if (identityAt(page, 8) !== epoch) return 'empty';
  const view = viewOf(page);
  return {
    trimLsn: numberAt(view, 16),
    closedLsn: numberAt(view, 24),
    lastLsn: numberAt(view, 32),
    isFollowed: view.getUint32(40, true) === 1,
  };
}

const scratch = new Uint8Array(20);
const scratchWords = viewOf(scratch);

/** What the checksum of every frame of a segment begins with. */
export function seedOf({ journal, epoch }: Pick<SegmentHead, 'journal' | 'epoch'>): number {
  return crc32c(Buffer.from(journal + epoch, 'hex'));
}

/** The checksum of a frame's header: over its segment's seed, its LSN, and the words before it. */
export function headChecksum(
  seed: number,
  lsn: number,
  lengthWord: number,
  payloadChecksum: number,
  distanceWord: number,
): number {
  const high = Math.floor(lsn / 2 ** 32);
  scratchWords.setUint32(0, lsn - high * 2 ** 32, true);
  scratchWords.setUint32(4, high, true);
  scratchWords.setUint32(8, lengthWord, true);
  scratchWords.setUint32(12, payloadChecksum, true);
  scratchWords.setUint32(16, distanceWord, true);
  return crc32c(scratch, seed);
}

const LSN_DIGITS = 16;
const SEGMENT_NAME = /^(\d{16})\.segment$/;
const SPARE_NAME = /^spare-[0-9a-f]{32}\.segment$/;
const KEPT_NAME = /^(torn|damaged)-\d{16}-\d+\.(bytes|segment)$/;

function digits(lsn: number): string {
  return String(lsn).padStart(LSN_DIGITS, '0');
}

/** The name of the segment that begins with an LSN. */
export function segmentName(firstLsn: number): string {
  return `${digits(firstLsn)}.segment`;
}

/** The name of a file that waits to become a segment. */
export function spareName(random: string): string {
  return `spare-${random}.segment`;
}

/** The n-th name for bytes that were cut off, or found damaged, at an LSN. */
export function keptName(why: 'torn' | 'damaged', lsn: number, n: number): string {
  return `${why}-${digits(lsn)}-${n}.bytes`;
}

/** The lock of the one who writes. */
export const LOCK_NAME = 'journal.lock';

/** What a name in the directory of a journal stands for. */
export function nameKind(name: string): 'segment' | 'spare' | 'kept' | 'lock' | 'stranger' {
  if (SEGMENT_NAME.test(name)) return 'segment';
  if (SPARE_NAME.test(name)) return 'spare';
  if (KEPT_NAME.test(name)) return 'kept';
  return name === LOCK_NAME ? 'lock' : 'stranger';
}

/** The LSN in the name of a segment. */
export function lsnInName(name: string): number {
  return Number(SEGMENT_NAME.exec(name)?.[1]);
}

/**
 * The bytes of a journal on disk, as docs/journal-format.md has them: names of files, the header of
 * a segment and the mark beside it, frames made and read. Hides where each number stands.
 *
 * Invariants: 1. The length of a frame is believed only after the checksum over it has held.
 *             2. The checksum of a frame's header is over the journal, the epoch of the segment,
 *                the LSN, and the checksum of the payload: a frame holds in one place alone.
 *             3. A header of a segment stands where it stood and has its checksum where it had it
 *                in every version, so that one from the future is told from a damaged one.
 * Not promised: that a mark is there: without one a journal was not closed.
 * Source: docs/journal-format.md; etcd, server/storage/wal (a torn length read as 13 TB)
 */
export { FrameHead, isPaddingZero, isPayloadWhole, type TailKind } from './frames/decoder.js';
export { distanceWordOf, putFrame, seal, sealHere, type Unsealed } from './frames/encoder.js';
export {
  decodeHead,
  decodeMark,
  END_BYTES,
  encodeHead,
  encodeMark,
  FIRST_LSN,
  FORMAT_VERSION,
  FRAME_ALIGNMENT,
  FRAME_HEAD_BYTES,
  FRAME_MAGIC,
  FrameFlag,
  frameBytes,
  headChecksum,
  keptName,
  LOCK_NAME,
  lsnInName,
  NO_MARK,
  nameKind,
  PAGE_BYTES,
  type PageFault,
  padding,
  RECORD_BYTES_MAX,
  SEGMENT_FOLLOWS_LOSS,
  SEGMENT_HEAD_BYTES,
  type SegmentHead,
  type SegmentMark,
  seedOf,
  segmentName,
  spareName,
  versionIn,
} from './frames/format.js';

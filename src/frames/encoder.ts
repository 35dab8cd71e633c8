/**
 * Making frames: records copied side by side into memory, and sealed all at once when nothing more
 * joins them. Pure: no I/O.
 */
import type { Sequence } from '../buffers.js';
import { checksum, sealFrames } from '../platform.js';
import {
  DISTANCE_UNKNOWN,
  FRAME_ALIGNMENT,
  FRAME_HEAD_BYTES,
  FRAME_MAGIC,
  frameBytes,
  headChecksum,
  RECORD_BYTES_MAX,
} from './format.js';

/**
 * Copies a record into zeroed or used memory at `at`, as a frame that is not sealed; answers where
 * it ends.
 */
export function putFrame(
  memory: Uint8Array,
  words: DataView,
  at: number,
  { views, byteLength }: Sequence,
  flags: number,
): number {
  words.setUint32(at, byteLength | flags, true);
  let to = at + FRAME_HEAD_BYTES;
  for (let index = 0; index < views.length; index++) {
    const view = views[index] as Uint8Array;
    memory.set(view, to);
    to += view.length;
  }
  const end = at + frameBytes(byteLength);
  while (to < end) memory[to++] = 0;
  return end;
}

/** Frames in memory, and where they belong. */
export interface Unsealed {
  readonly memory: Uint8Array;
  readonly words: DataView;
  /** Where the frames begin and end in memory. */
  readonly start: number;
  readonly end: number;
  /** That of the first frame. */
  readonly firstLsn: number;
  /** Everything below it is durable. */
  readonly syncedEndLsn: number;
  /** `seedOf` of the segment. */
  readonly seed: number;
}

/** Puts checksums and distances into the headers of frames: in one crossing where that is there. */
export function seal(frames: Unsealed): void {
  if (!sealFrames(frames.memory, frames)) sealHere(frames);
}

/** As `seal`, in JavaScript. */
export function sealHere(frames: Unsealed): void {
  const { memory, words, start, end, firstLsn, syncedEndLsn, seed } = frames;
  for (let at = start; at < end; ) {
    const lengthWord = words.getUint32(at, true);
    const length = lengthWord & RECORD_BYTES_MAX;
    const payloadAt = at + FRAME_HEAD_BYTES;
    const lsn = firstLsn + (at - start);
    const payloadChecksum = checksum(memory.subarray(payloadAt, payloadAt + length));
    const distanceWord = distanceWordOf(lsn, syncedEndLsn);
    words.setUint32(at + 4, payloadChecksum, true);
    words.setUint32(at + 8, distanceWord, true);
    const check = headChecksum(seed, lsn, lengthWord, payloadChecksum, distanceWord);
    words.setUint32(at + 12, check, true);
    at += frameBytes(length);
  }
}

/** How far what is not known to be durable reaches back from a frame, with the magic. */
export function distanceWordOf(lsn: number, syncedEndLsn: number): number {
  const distance = Math.min((lsn - syncedEndLsn) / FRAME_ALIGNMENT, DISTANCE_UNKNOWN);
  return ((FRAME_MAGIC << 24) | distance) >>> 0;
}

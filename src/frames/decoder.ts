/** Reading frames out of memory: what stands at a place, and what it is worth. Pure: no I/O. */
import { checksum } from '../platform.js';
import {
  DISTANCE_UNKNOWN,
  FRAME_ALIGNMENT,
  FRAME_HEAD_BYTES,
  FRAME_MAGIC,
  FrameFlag,
  headChecksum,
  padding,
  RECORD_BYTES_MAX,
} from './format.js';

/** What a journal ends with. */
export type TailKind =
  | 'clean'
  | 'truncated header'
  | 'truncated payload'
  | 'bad checksum'
  | 'bad magic'
  | 'bad length';

/** The header of a frame that was found in order, until the next is read. */
export class FrameHead {
  length = 0;
  isContinued = false;
  isGap = false;
  payloadChecksum = 0;
  /** Everything below it was durable when the frame was sealed; -1 where it does not say. */
  durableLsn = -1;

  /**
   * Reads the header at `at`; `undefined` where it is in order, else what stands there instead.
   * The length is believed only after the checksum over it has held.
   */
  read(words: DataView, at: number, lsn: number, seed: number): TailKind | undefined {
    const lengthWord = words.getUint32(at, true);
    const payloadChecksum = words.getUint32(at + 4, true);
    const distanceWord = words.getUint32(at + 8, true);
    const found = words.getUint32(at + 12, true);
    if (distanceWord >>> 24 !== FRAME_MAGIC) {
      const isEnd = (lengthWord | payloadChecksum | distanceWord | found) === 0;
      return isEnd ? 'clean' : 'bad magic';
    }
    if (headChecksum(seed, lsn, lengthWord, payloadChecksum, distanceWord) !== found) {
      return 'bad checksum';
    }
    const distance = distanceWord & DISTANCE_UNKNOWN;
    this.length = lengthWord & RECORD_BYTES_MAX;
    this.isContinued = (lengthWord & FrameFlag.Continues) !== 0;
    this.isGap = (lengthWord & FrameFlag.Gap) !== 0;
    this.payloadChecksum = payloadChecksum;
    this.durableLsn = distance === DISTANCE_UNKNOWN ? -1 : lsn - distance * FRAME_ALIGNMENT;
    return undefined;
  }
}

/** Whether a payload in memory is what was appended, and what follows it is zeros. */
export function isPayloadWhole(memory: Uint8Array, at: number, head: FrameHead): boolean {
  const start = at + FRAME_HEAD_BYTES;
  const end = start + head.length;
  if (checksum(memory.subarray(start, end)) !== head.payloadChecksum) return false;
  return isPaddingZero(memory, end, head.length);
}

/** Whether the bytes between a payload of this length and the next frame are zeros. */
export function isPaddingZero(memory: Uint8Array, end: number, length: number): boolean {
  for (let at = end; at < end + padding(length); at++) if (memory[at] !== 0) return false;
  return true;
}

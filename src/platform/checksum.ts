/** CRC-32C by the processor's instruction, where the addon is loaded and the crossing pays. */
import { crc32c } from '../bytes.js';
import { loadAddon } from './native.js';

/* A crossing costs 32 ns, as much as 32 bytes in JavaScript: bench/results/checksum.md. */
const CROSSING_BYTES = 32;

/**
 * The CRC-32C of a view, or of what follows bytes whose CRC-32C is `seed`: what `crc32c` answers,
 * sooner for long views.
 *
 * Units: an integer from 0 to 2^32 - 1; that of no bytes is `seed`.
 */
export function checksum(view: Uint8Array, seed = 0): number {
  const addon = view.length < CROSSING_BYTES ? undefined : loadAddon().addon;
  return addon === undefined ? crc32c(view, seed) : addon.crc32c(view, seed);
}

const place = new Float64Array(5);

/** Frames of a journal that are to be sealed: docs/journal-format.md. */
export interface FramesPlace {
  /** Where they begin and end in memory. */
  readonly start: number;
  readonly end: number;
  readonly firstLsn: number;
  readonly syncedEndLsn: number;
  readonly seed: number;
}

/** Seals frames in one crossing; `false` where that cannot be had, and they are as they were. */
export function sealFrames(memory: Uint8Array, frames: FramesPlace): boolean {
  const { addon } = loadAddon();
  if (addon === undefined) return false;
  place[0] = frames.start;
  place[1] = frames.end;
  place[2] = frames.firstLsn;
  place[3] = frames.syncedEndLsn;
  place[4] = frames.seed;
  return addon.sealFrames(memory, place);
}

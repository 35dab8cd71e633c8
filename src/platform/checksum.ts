/** CRC-32C by the processor's instruction where the addon is loaded and the crossing pays. */
import { crc32c } from '../bytes.js';
import { loadAddon } from './native.js';

/* A crossing costs 32 ns, as much as 32 bytes in JavaScript: `npm run bench -- checksum`. */
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

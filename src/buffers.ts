/**
 * Buffer sequences: views taken in order as if they were one run of bytes, the algorithms on them,
 * and the Window through which one system call sees a part of them.
 *
 * Any `ArrayBufferView` counts as its bytes: a `Float64Array` is 8 bytes an element. One view is a
 * sequence of one; empty views are skipped.
 *
 * Invariants: 1. Every view is checked before the first byte moves.
 *             2. A window holds at least `viewCountMax` views of the sequence while there are so
 *                many, so n views take at most ceil(n / viewCountMax) windows when no call is
 *                short; up to 16,384 views take exactly so many.
 *             3. `consume` takes views in order; nothing is passed twice or left out.
 *             4. A view that lost bytes while a call used it is told at the end of that call.
 * Not promised: that views in a window are the caller's: small neighbours are copied together.
 * Source: readv(2) (IOV_MAX is 1024 on Linux); Capy's buffer sequences
 */

export {
  buffersCount,
  buffersLength,
  Cursor,
  copyBuffers,
  frontOf,
  sliceBuffers,
  splitBuffers,
} from './buffers/cursor.js';
export {
  allocated,
  GrowableBuffer,
  type GrowableBufferOptions,
  RingBuffer,
} from './buffers/dynamic.js';
export {
  type Buffers,
  PreparedBuffers,
  prepareBuffers,
  type Sequence,
  sequenceOf,
} from './buffers/sequence.js';
export { Staging } from './buffers/staging.js';
export { Window, type WindowOptions } from './buffers/window.js';

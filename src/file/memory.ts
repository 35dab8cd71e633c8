/** What becomes of the caller's memory while the system may touch it. */
import { type Buffers, type Sequence, sequenceOf } from '../buffers.js';
import type { MemoryMode } from '../engine.js';
import { markUntransferable } from '../platform.js';

function markAll({ views }: Sequence): void {
  let last: ArrayBufferLike | undefined;
  for (const { buffer } of views) {
    if (buffer !== last) markUntransferable(buffer);
    last = buffer;
  }
}

/** Takes an argument as a sequence, treated as the mode demands. Errors: as `sequenceOf`. */
export function heldSequence(buffers: Buffers, memory: MemoryMode): Sequence {
  const sequence = sequenceOf(buffers);
  if (memory === 'reference') return sequence;
  if (memory === 'copy') {
    return { views: sequence.views, byteLength: sequence.byteLength, isCopied: true };
  }
  markAll(sequence);
  return sequence;
}

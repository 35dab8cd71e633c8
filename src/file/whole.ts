/** Reading a whole file, whatever its size says. */
import { alignedBuffer } from '../aligned.js';
import { alignUp } from '../bytes.js';
import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { Code } from '../platform.js';
import { sizeSteps } from './call.js';
import { type Target, Transfer, transferSteps } from './transfer.js';

const GROWTH_BYTES = 65536;

/* Direct I/O asks for aligned memory, and for a length to go with it. */
function room(bytes: number, { directAlignment, path }: Target): Uint8Array {
  try {
    if (directAlignment === undefined) return new Uint8Array(bytes);
    return alignedBuffer(alignUp(bytes, directAlignment.length), directAlignment.memory);
  } catch (cause) {
    const words = `${bytes} bytes do not fit in one buffer`;
    throw new IoError({ action: 'read the whole file', path, code: 'EFBIG', words, cause });
  }
}

function* fill(file: Target, view: Uint8Array, offset: number): Steps<number> {
  const sequence = { views: [view], byteLength: view.byteLength };
  const options = { code: Code.Read, offset, isWhole: true };
  return yield* transferSteps(new Transfer(file, sequence, options));
}

/** Reads to the end: files under /proc say 0 and have bytes; others grow while they are read. */
export function* readAllSteps(file: Target): Steps<Uint8Array> {
  const size = yield* sizeSteps(file);
  let bytes = room(size + 1, file);
  let length = 0;
  for (;;) {
    const moved = yield* fill(file, bytes.subarray(length), length);
    length += moved;
    if (length < bytes.byteLength) return bytes.subarray(0, length);
    const larger = room(bytes.byteLength + Math.max(GROWTH_BYTES, bytes.byteLength), file);
    larger.set(bytes);
    bytes = larger;
  }
}

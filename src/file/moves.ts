/** Positioned reads and writes as steps, buffered or direct. */
import type { Sequence } from '../buffers.js';
import { checkRange } from '../bytes.js';
import type { Steps } from '../engine.js';
import { AbortError, IoError } from '../errors.js';
import { Code } from '../platform.js';
import { checkAligned, directWriteSteps } from './direct.js';
import { type Target, Transfer, transferSteps } from './transfer.js';

type Moved = (bytes: number) => void;

/* A failure tells the bytes that were moved before it, where somebody asked. */
function telling(steps: Steps<number>, moved: Moved | undefined): Steps<number> {
  return moved === undefined ? steps : tellingSteps(steps, moved);
}

function* tellingSteps(steps: Steps<number>, moved: Moved): Steps<number> {
  try {
    return yield* steps;
  } catch (error) {
    const isOurs = error instanceof IoError || error instanceof AbortError;
    if (isOurs) moved(error.bytesDone ?? 0);
    throw error;
  }
}

/**
 * Reads until the sequence is full or the file ends.
 *
 * Errors: `RangeError` for a place or memory that direct I/O does not take, at once; `IoError`.
 */
export function readSteps(
  file: Target,
  sequence: Sequence,
  offset: number,
  moved?: Moved,
): Steps<number> {
  checkRange(offset, sequence.byteLength, 'offset');
  const alignment = file.directAlignment;
  if (alignment !== undefined) checkAligned(alignment, sequence, offset, false);
  const options = { code: Code.Read, offset, isWhole: true };
  return telling(transferSteps(new Transfer(file, sequence, options)), moved);
}

/**
 * Writes all of a sequence.
 *
 * Errors: `RangeError` for a place or memory that direct I/O does not take, at once; `IoError`.
 */
export function writeSteps(
  file: Target,
  sequence: Sequence,
  offset: number,
  moved?: Moved,
): Steps<number> {
  checkRange(offset, sequence.byteLength, 'offset');
  const alignment = file.directAlignment;
  if (alignment !== undefined) {
    checkAligned(alignment, sequence, offset, true);
    return telling(directWriteSteps(file, sequence, offset), moved);
  }
  const options = { code: Code.Write, offset, isWhole: true };
  return telling(transferSteps(new Transfer(file, sequence, options)), moved);
}

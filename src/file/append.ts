/** Appending, and telling where the bytes landed. */
import type { Sequence } from '../buffers.js';
import type { Steps } from '../engine.js';
import { APPENDS, Code, GET_POSITION, Operation } from '../platform.js';
import { sizeSteps } from './call.js';
import { writeSteps } from './moves.js';
import { type Target, Transfer, transferSteps } from './transfer.js';

interface Appendable extends Target {
  readonly access: string;
}

/**
 * Where an append that moved `moved` bytes began. The descriptor's position is exact, also beside
 * other processes (write(2), O_APPEND moves it); where the system does not tell it, the size is.
 */
function* landingSteps(file: Target, seek: Operation, moved: number): Steps<number> {
  let asked = seek;
  if (asked.result < 0) {
    asked = new Operation(Code.Seek);
    asked.mustRun = true;
    asked.flags = GET_POSITION;
    asked.offset = 0;
    asked.fd = file.fd;
    yield asked;
  }
  file.counters.count(asked);
  const end = asked.result >= 0 ? asked.result : yield* sizeSteps(file, true);
  return end - moved;
}

/** Appends all bytes and answers where the first landed. Errors: `IoError` with `bytesDone`. */
export function* appendSteps(file: Appendable, sequence: Sequence): Steps<number> {
  if (sequence.byteLength === 0) return yield* sizeSteps(file);
  const inPlace =
    file.directAlignment === undefined &&
    (file.access === 'append' || file.engine.capabilities['append-in-place'] === true);
  const code = Code.Write;
  if (!inPlace) {
    const offset = yield* sizeSteps(file);
    yield* writeSteps(file, sequence, offset);
    return offset;
  }
  const transfer = new Transfer(file, sequence, { code, offset: -1, isWhole: true });
  const first = transfer.next() as Operation;
  if (file.access !== 'append') first.flags = APPENDS;
  const seek = new Operation(Code.Seek);
  seek.fd = file.fd;
  seek.flags = GET_POSITION;
  seek.offset = 0;
  first.next = seek;
  try {
    yield first;
    first.next = undefined;
    transfer.take();
  } catch (error) {
    transfer.release();
    throw error;
  }
  const landed = yield* landingSteps(file, seek, first.result);
  yield* transferSteps(transfer);
  return landed;
}

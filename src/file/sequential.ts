/** Files without positions, such as pipes: read and written on, waiting for the other end. */
import type { Sequence } from '../buffers.js';
import type { Steps } from '../engine.js';
import { Code } from '../platform.js';
import { Polling } from './polling.js';
import { type Target, Transfer, transferSteps } from './transfer.js';

/** A file without positions, and what is known of its other end. */
export interface Pipe {
  /** A FIFO that was opened without waiting: no byte may mean that nobody writes yet. */
  awaitsWriter: boolean;
}

/** A target that may be a pipe. */
export interface Sequential extends Target {
  readonly pipe: Pipe | undefined;
}

/**
 * Reads on: what there is, at least a byte, or all that is asked for. Answers 0 at the end.
 *
 * Errors: `IoError`; an abort is heeded while it waits, where the descriptor does not block.
 */
export function* readOnSteps(
  file: Sequential,
  sequence: Sequence,
  isWhole: boolean,
): Steps<number> {
  const { pipe } = file;
  const polling = new Polling();
  for (;;) {
    const transfer = new Transfer(file, sequence, { code: Code.Read, offset: -1, isWhole });
    transfer.operation.mayWait = true;
    const bytes = yield* transferSteps(transfer);
    const hasMet = bytes > 0 || transfer.hasWaited;
    if (pipe !== undefined && hasMet) pipe.awaitsWriter = false;
    if (hasMet || pipe?.awaitsWriter !== true) return bytes;
    yield polling.pause();
  }
}

/** Writes on. Errors: `IoError` with `bytesDone`; kind `closed` when nobody reads any more. */
export function writeOnSteps(file: Sequential, sequence: Sequence): Steps<number> {
  const transfer = new Transfer(file, sequence, { code: Code.Write, offset: -1, isWhole: true });
  transfer.operation.mayWait = true;
  return transferSteps(transfer);
}

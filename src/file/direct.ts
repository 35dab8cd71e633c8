/**
 * Direct I/O: what it demands is checked before anything happens, and a tail that is not a whole
 * block is written as one and cut.
 */
import { alignedBuffer } from '../aligned.js';
import type { Sequence } from '../buffers.js';
import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { addressOf, Code, Operation } from '../platform.js';
import { callSteps, sizeSteps } from './call.js';
import { type Alignment, type Target, Transfer, transferSteps } from './transfer.js';

type Which = 'memory' | 'offset' | 'length';

/** Direct I/O was asked for what it cannot do: says which is off, and by how much. */
export class AlignmentError extends RangeError {
  readonly code: string = 'ERR_OUT_OF_RANGE';
  readonly which: Which;
  /** Bytes past the last multiple. */
  readonly past: number;

  constructor(which: Which, argument: string, alignment: number, past: number) {
    const what = which === 'offset' ? `The "${argument}"` : `The ${which} of "${argument}"`;
    const multiple = `a multiple of ${alignment} bytes for direct I/O`;
    super(`${what} must be ${multiple}; it is ${past} bytes past one`);
    this.which = which;
    this.past = past;
  }
}

function check(which: Which, argument: string, value: number, alignment: number): void {
  const past = value % alignment;
  if (past !== 0) throw new AlignmentError(which, argument, alignment, past);
}

/**
 * Checks what the kernel would answer with EINVAL, on file systems that take it all the same too
 * (tmpfs does). The length of the last view may be off where a tail is allowed.
 *
 * Errors: `AlignmentError` naming which of memory, offset and length is off, and by how much.
 */
export function checkAligned(
  alignment: Alignment,
  sequence: Sequence,
  offset: number,
  mayHaveTail: boolean,
): void {
  check('offset', 'offset', offset, alignment.offset);
  const last = sequence.views.length - 1;
  for (const [index, view] of sequence.views.entries()) {
    const name = last === 0 ? 'buffers' : `buffers[${index}]`;
    const address = addressOf(view);
    if (address !== undefined) check('memory', name, address, alignment.memory);
    if (index === last && mayHaveTail) continue;
    check('length', name, view.length, alignment.length);
  }
}

/** Whether direct I/O takes one view as it is; `checkAligned` says what is off where not. */
export function isAlignedView(alignment: Alignment, view: Uint8Array, offset: number): boolean {
  if (offset % alignment.offset !== 0 || view.length % alignment.length !== 0) return false;
  const address = addressOf(view);
  return address === undefined || address % alignment.memory === 0;
}

function whole(file: Target, sequence: Sequence, offset: number): Steps<number> {
  return transferSteps(new Transfer(file, sequence, { code: Code.Write, offset, isWhole: true }));
}

/* The same bytes, and zeros up to a whole block. */
function padded(sequence: Sequence, tailBytes: number, alignment: Alignment): Sequence {
  const last = sequence.views[sequence.views.length - 1] as Uint8Array;
  const cut = last.length - tailBytes;
  const views = sequence.views.slice(0, -1);
  if (cut > 0) views.push(last.subarray(0, cut));
  const block = alignedBuffer(alignment.length, alignment.memory);
  block.set(last.subarray(cut));
  views.push(block);
  return { ...sequence, views, byteLength: sequence.byteLength - tailBytes + block.length };
}

/*
 * The padding would overwrite what stands behind a tail in the middle of a file, so a tail is only
 * taken where the file ends with it.
 */
function* checkTail(file: Target, end: number, tailBytes: number): Steps<void> {
  const size = yield* sizeSteps(file);
  const alignment = (file.directAlignment as Alignment).length;
  if (end < size) throw new AlignmentError('length', 'buffers', alignment, tailBytes);
}

/* The writes under way on a direct file, and whether one of them pads a tail and cuts it. */
interface Beside {
  writes: number;
  isCut: boolean;
}

const writesOf: WeakMap<Target, Beside> = new WeakMap();

/**
 * Drives a write of a direct file. The cut behind a tail takes away what another write puts there
 * meanwhile, so a write with a tail is alone or refused.
 *
 * Errors: `EBUSY` for a tail beside other writes, and for a write beside a tail.
 */
export function* besideSteps<T>(file: Target, isCut: boolean, steps: Steps<T>): Steps<T> {
  const beside = writesOf.get(file) ?? { writes: 0, isCut: false };
  writesOf.set(file, beside);
  if (beside.isCut || (isCut && beside.writes > 0)) {
    const words = 'a write that is not of whole blocks cannot run beside another on a direct file';
    throw new IoError({ action: 'write', path: file.path, code: 'EBUSY', words, bytesDone: 0 });
  }
  beside.writes++;
  beside.isCut = isCut;
  try {
    return yield* steps;
  } finally {
    beside.writes--;
    beside.isCut = false;
  }
}

/**
 * Writes to a direct file, in whole blocks; a tail at the end of the file is padded with zeros and
 * the file cut to its length.
 *
 * Errors: `AlignmentError` before anything is written; `EBUSY` as `besideSteps`; `IoError` with
 * `bytesDone`.
 */
export function directWriteSteps(file: Target, sequence: Sequence, offset: number): Steps<number> {
  const tailBytes = sequence.byteLength % (file.directAlignment as Alignment).length;
  if (tailBytes === 0) return besideSteps(file, false, whole(file, sequence, offset));
  return besideSteps(file, true, tailSteps(file, sequence, offset));
}

function* tailSteps(file: Target, sequence: Sequence, offset: number): Steps<number> {
  const alignment = file.directAlignment as Alignment;
  const tailBytes = sequence.byteLength % alignment.length;
  const end = offset + sequence.byteLength;
  yield* checkTail(file, end, tailBytes);
  yield* whole(file, padded(sequence, tailBytes, alignment), offset);
  const cut = new Operation(Code.Truncate);
  cut.length = end;
  cut.mustRun = true;
  yield* callSteps(file, cut, `cut the file to ${end} bytes`);
  return sequence.byteLength;
}

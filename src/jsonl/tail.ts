/** How a file of lines ends, and what is done where it does not end with a line. */
import { alignedBuffer } from '../aligned.js';
import { alignDown, alignUp } from '../bytes.js';
import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import {
  closeSteps,
  fileSteps,
  type OpenFile,
  readInto,
  stepsOf,
  syncSteps,
  writeFrom,
} from '../file.js';
import { holdSteps, letGo, refused } from '../held.js';
import { Code, OpenFlag, Operation, Place } from '../platform.js';

/** What a file of lines ends with. */
export type LinesTail = 'clean' | 'torn line' | 'zeros' | 'no newline';

/** A stretch of zeros among lines: what a crash left of a write that never got there. */
export interface NulRun {
  readonly offset: number;
  readonly length: number;
}

/** How a file ends. */
export interface FoundTail {
  readonly kind: LinesTail;
  /** Bytes; behind the last line that is whole. */
  readonly end: number;
  readonly size: number;
}

const WINDOW_BYTES = 65536;
const NEWLINE = 10;

function* sizeOf(file: OpenFile): Steps<number> {
  return (yield* stepsOf(file, () => file.stat())).size;
}

/* Behind the last newline. */
function* lastLineEnd(file: OpenFile, size: number): Steps<number> {
  const memory = Buffer.alloc(Math.min(WINDOW_BYTES, size));
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - WINDOW_BYTES);
    const view = memory.subarray(0, end - start);
    yield* readInto(file, view, start);
    const at = view.lastIndexOf(NEWLINE);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
}

/* The beginning of an object, a list or a text is never whole by itself; of a number it may be. */
function isWholeValue(rest: Buffer): boolean {
  if (!'{["'.includes(String.fromCharCode(rest[0] ?? 0))) return false;
  try {
    JSON.parse(rest.toString());
    return true;
  } catch {
    return false;
  }
}

/* A rest that is longer is not looked at as a value. */
const VALUE_BYTES_MAX = 16777216;

/** Looks at the end of a file. Errors: `IoError`. */
export function* tailSteps(file: OpenFile): Steps<FoundTail> {
  const size = yield* sizeOf(file);
  const end = yield* lastLineEnd(file, size);
  if (end === size) return { kind: 'clean', end, size };
  if (size - end > VALUE_BYTES_MAX) return { kind: 'torn line', end, size };
  const rest = Buffer.alloc(size - end);
  yield* readInto(file, rest, end);
  if (rest.every((byte) => byte === 0)) return { kind: 'zeros', end, size };
  return { kind: isWholeValue(rest) ? 'no newline' : 'torn line', end, size };
}

/** Makes the name of a file durable. Errors: `IoError`. */
export function* syncNameSteps(engine: Engine, place: Place): Steps<void> {
  const action = 'sync the directory';
  const held = yield* holdSteps(engine, place.parent(), 'all', action);
  try {
    const sync = new Operation(Code.Sync);
    sync.fd = held.fd;
    if (held.fd >= 0) yield sync;
    if (held.fd >= 0 && sync.result < 0) throw refused(sync, { action, path: held.place.path });
  } finally {
    yield* letGo(held);
  }
}

function* asideSteps(engine: Engine, place: Place): Steps<OpenFile> {
  for (let n = 1; ; n++) {
    const { path, encoding } = place;
    const aside = new Place(`${path}.torn-${n}`, encoding);
    try {
      return yield* fileSteps(engine, aside, { access: 'write', create: 'exclusive' });
    } catch (error) {
      if (!(error instanceof IoError && error.kind === 'exists')) throw error;
    }
  }
}

/** Puts what stands behind the last whole line aside; answers where. Errors: `IoError`. */
function* keepSteps(file: OpenFile, place: Place, { end, size }: FoundTail): Steps<string> {
  const aside = yield* asideSteps(file.engine, place);
  try {
    for (let at = end; at < size; ) {
      const view = Buffer.alloc(Math.min(WINDOW_BYTES, size - at));
      const length = yield* readInto(file, view, at);
      if (length === 0) break;
      yield* writeFrom(aside, view.subarray(0, length), at - end);
      at += length;
    }
    yield* syncSteps(aside, Code.Sync);
  } finally {
    yield* closeSteps(aside);
  }
  yield* syncNameSteps(file.engine, place);
  return aside.path as string;
}

/** Cuts a file behind a line, durably. Errors: `IoError`. */
export function* cutSteps(file: OpenFile, end: number): Steps<void> {
  yield* stepsOf(file, () => file.truncate(end));
  yield* syncSteps(file);
}

/* More than one write has. */
const DOUBTED_BYTES = 2097152;
const PAGE_BYTES = 4096;

/**
 * Where the page cache cannot be told to forget: what it shows of the end is held against the
 * device, by reads that go round it. After a failed sync it shows lines that are not there, and
 * what is appended behind them would be lost with them. Answers the end before the first such line,
 * `undefined` where there is none, or why that cannot be found out. Errors: `IoError`.
 *
 * Source: Rebello et al., ATC 2020; test/journal-gate.test.ts
 */
export function* doubtedSteps(file: OpenFile, place: Place): Steps<FoundTail | string | undefined> {
  const size = yield* sizeOf(file);
  const start = alignDown(Math.max(0, size - DOUBTED_BYTES), PAGE_BYTES);
  let direct: OpenFile | undefined;
  try {
    direct = yield* fileSteps(file.engine, place, { access: 'read' }, OpenFlag.Direct);
    const shown = Buffer.alloc(size - start);
    const there = alignedBuffer(alignUp(size - start, PAGE_BYTES));
    yield* readInto(file, shown, start);
    /* One read: behind a short one nothing is left, and no offset that is aligned. */
    const read = new Operation(Code.Read);
    read.fd = direct.fd;
    read.payload = there;
    read.length = there.length;
    read.offset = start;
    yield read;
    if (read.result < shown.length) return 'the device cannot be read but through the page cache';
    if (shown.equals(there.subarray(0, shown.length))) return undefined;
    const first = shown.findIndex((byte, at) => byte !== there[at]);
    return { kind: 'torn line', end: yield* lastLineEnd(file, start + first), size };
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    return error.message;
  } finally {
    yield* closeSteps(direct);
  }
}

/** What was done about the end of a file. */
export interface MendedTail {
  readonly tail: FoundTail;
  /** Where the next line goes. */
  readonly end: number;
  readonly keptPath: string | undefined;
}

/**
 * Makes a file end with a line: a whole value gets its newline, anything else is put aside and cut
 * off, durably. Errors: `IoError`.
 */
export function* mendSteps(file: OpenFile, place: Place, known?: FoundTail): Steps<MendedTail> {
  const tail = known ?? (yield* tailSteps(file));
  if (tail.kind === 'clean') return { tail, end: tail.end, keptPath: undefined };
  if (tail.kind === 'no newline') {
    yield* writeFrom(file, Uint8Array.of(NEWLINE), tail.size);
    yield* syncSteps(file);
    return { tail, end: tail.size + 1, keptPath: undefined };
  }
  const keptPath = yield* keepSteps(file, place, tail);
  yield* cutSteps(file, tail.end);
  return { tail, end: tail.end, keptPath };
}

/** One write has no more, unless it is one line. */
export const GROUP_BYTES_MAX = 1048576;

function isTorn(line: Buffer): boolean {
  const start = line.findIndex((byte) => byte !== 0);
  if (start < 0 || !line.includes(0)) return false;
  try {
    JSON.parse(line.subarray(start).toString());
    return false;
  } catch {
    return true;
  }
}

/**
 * Makes blanks of lines that a power cut tore in the middle of the last write: lines with zeros in
 * them that are no JSON. Neither what stands before them nor what stands behind is touched.
 *
 * Errors: `IoError`.
 */
export function* blankSteps(
  file: OpenFile,
  place: Place,
  end: number,
): Steps<{ readonly blanked: NulRun[]; readonly keptPath: string | undefined }> {
  const from = Math.max(0, end - GROUP_BYTES_MAX);
  const start = from === 0 ? 0 : yield* lastLineEnd(file, from);
  const memory = Buffer.alloc(end - start);
  yield* readInto(file, memory, start);
  const blanked: NulRun[] = [];
  for (let at = 0; at < memory.length; ) {
    const stop = memory.indexOf(NEWLINE, at);
    const length = stop - at;
    if (isTorn(memory.subarray(at, stop))) blanked.push({ offset: start + at, length });
    at = stop + 1;
  }
  const [first] = blanked;
  if (first === undefined) return { blanked, keptPath: undefined };
  const keptPath = yield* keepSteps(file, place, {
    kind: 'torn line',
    end: first.offset,
    size: end,
  });
  for (const { offset, length } of blanked) {
    yield* writeFrom(file, Buffer.alloc(length, ' '), offset);
  }
  yield* syncSteps(file);
  return { blanked, keptPath };
}

/** Stretches of zeros in front of the end. Errors: `IoError`. */
export function* nulRunsSteps(file: OpenFile, end: number): Steps<NulRun[]> {
  const runs: NulRun[] = [];
  const memory = Buffer.alloc(Math.min(1048576, Math.max(end, 1)));
  let start = -1;
  for (let at = 0; at < end; at += memory.length) {
    const view = memory.subarray(0, Math.min(memory.length, end - at));
    yield* readInto(file, view, at);
    for (let index = start < 0 ? view.indexOf(0) : 0; index >= 0 && index < view.length; ) {
      if (start < 0) start = at + index;
      while (index < view.length && view[index] === 0) index++;
      if (index === view.length) break;
      runs.push({ offset: start, length: at + index - start });
      start = -1;
      index = view.indexOf(0, index);
    }
  }
  if (start >= 0) runs.push({ offset: start, length: end - start });
  return runs;
}

/**
 * Puts blanks where zeros stand among lines: no JSON has them, and jq takes a line of zeros for
 * a number (1.6) or for an error. Errors: `IoError`.
 */
export function* blankZerosSteps(file: OpenFile, runs: readonly NulRun[]): Steps<void> {
  for (const { offset, length } of runs) {
    const blanks = Buffer.alloc(Math.min(length, WINDOW_BYTES), ' ');
    for (let done = 0; done < length; done += blanks.length) {
      yield* writeFrom(file, blanks.subarray(0, length - done), offset + done);
    }
  }
  if (runs.length > 0) yield* syncSteps(file);
}

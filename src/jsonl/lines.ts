/** Reading lines, and what they hold. */
import { drive, type Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { type OpenFile, readInto } from '../file.js';

const WINDOW_BYTES = 262144;
const NEWLINE = 10;

/** Lines of a part of a file: the bytes of each window that are whole lines. */
class Lines {
  readonly #file: OpenFile;
  readonly #end: number;
  #offset = 0;
  #bytes = WINDOW_BYTES;

  constructor(file: OpenFile, end: number) {
    this.#file = file;
    this.#end = end;
  }

  /** The next lines, and where they begin; `undefined` at the end. */
  *next(): Steps<{ readonly offset: number; readonly lines: Buffer } | undefined> {
    while (this.#offset < this.#end) {
      const memory = Buffer.alloc(Math.min(this.#bytes, this.#end - this.#offset));
      const length = yield* readInto(this.#file, memory, this.#offset);
      const whole = memory.subarray(0, length).lastIndexOf(NEWLINE) + 1;
      const offset = this.#offset;
      if (whole > 0) {
        this.#offset += whole;
        this.#bytes = WINDOW_BYTES;
        return { offset, lines: memory.subarray(0, whole) };
      }
      /* A line longer than the window; or bytes that are no line, at the end. */
      if (length < this.#bytes) return undefined;
      this.#bytes *= 2;
    }
    return undefined;
  }
}

function parsed(line: Buffer, path: string, offset: number): unknown {
  try {
    return JSON.parse(line.toString());
  } catch (cause) {
    const action = `read the line at offset ${offset}`;
    throw new IoError({ action, code: 'ERR_INVALID_JSON', path, offset, cause });
  }
}

const SPACE = 32;

/* Zeros in front of a line are what a crash left, and blanks what was made of a torn one. */
function withoutZeros(line: Buffer): Buffer {
  let start = 0;
  while (line[start] === 0 || line[start] === SPACE) start++;
  return line.subarray(start);
}

/**
 * The values of whole lines up to `end`, in order; empty lines, and blank ones, are none.
 *
 * Errors: `IoError` of kind `corrupt` for a line that is not JSON, with its offset.
 */
export async function* valuesOf(file: OpenFile, end: number): AsyncGenerator<unknown, void, void> {
  const reader = new Lines(file, end);
  for (;;) {
    const some = await drive(file.engine, reader.next());
    if (some === undefined) return;
    const { offset, lines } = some;
    for (let start = 0; start < lines.length; ) {
      const stop = lines.indexOf(NEWLINE, start);
      const line = withoutZeros(lines.subarray(start, stop));
      if (line.length > 0) yield parsed(line, file.path as string, offset + start);
      start = stop + 1;
    }
  }
}

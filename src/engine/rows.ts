/** The submission ABI in memory: the layout of native/rows.h. */
import { Code, libraryMemory, type Operation, type Place } from '../platform.js';
import { isTransfer } from './contract.js';

export const ROW_BYTES = 64;
const IS_VECTORED = 1;
const IS_LINKED = 1;
const TRIES_NOW = 2;
const FIXED_FILE = 4;
const FIXED_VIEW = 8;

/* Directories are read by descriptor here; their path is for engines that have only that. */
function isNamed(operation: Operation): boolean {
  return operation.place !== undefined && operation.code !== Code.ReadEntries;
}

/** What crosses beside a row: paths first, then an attribute's name, then the memory it fills. */
function payloadOf(operation: Operation): Uint8Array | Uint8Array[] | undefined {
  if (isTransfer(operation.code)) return operation.payload;
  const parts: Uint8Array[] = [];
  if (isNamed(operation)) parts.push((operation.place as Place).bytes);
  if (operation.place2 !== undefined) parts.push(operation.place2.bytes);
  if (operation.attribute !== '') parts.push(Buffer.from(`${operation.attribute}\0`));
  if (operation.payload !== undefined) parts.push(operation.payload as Uint8Array);
  if (operation.out !== undefined) parts.push(operation.out);
  return parts.length > 1 ? parts : parts[0];
}

function marksOf(operation: Operation): number {
  let marks = operation.next === undefined ? 0 : IS_LINKED;
  if (operation.triesNow) marks |= TRIES_NOW;
  if (operation.fixedFile >= 0) marks |= FIXED_FILE;
  return operation.fixedView >= 0 ? marks | FIXED_VIEW : marks;
}

function secondOf(operation: Operation): number {
  if (operation.fixedFile >= 0) return operation.fixedFile;
  return operation.place2?.directory ?? operation.fd2;
}

/** Rows over one piece of memory that the addon knows. */
export class Rows {
  readonly bytes: Uint8Array;
  readonly #integers: Int32Array;
  readonly #numbers: Float64Array;
  readonly count: number;

  constructor(count: number) {
    this.bytes = libraryMemory(count * ROW_BYTES);
    const memory = this.bytes.buffer;
    this.#integers = new Int32Array(memory);
    this.#numbers = new Float64Array(memory);
    this.count = count;
  }

  /** Fills row `index` and answers the payload that has to stand at `slot`. */
  fill(index: number, slot: number, operation: Operation): Uint8Array | Uint8Array[] | undefined {
    const payload = payloadOf(operation);
    const isList = Array.isArray(payload);
    const isFixed = operation.fixedView >= 0;
    const views = isFixed ? 1 : payload === undefined ? 0 : isList ? payload.length : 1;
    const vectored = isList && isTransfer(operation.code);
    const integers = this.#integers;
    const numbers = this.#numbers;
    const at = index * 16;
    integers[at] = operation.code | (marksOf(operation) << 8) | (views << 16);
    integers[at + 1] = slot;
    integers[at + 2] = isNamed(operation) ? (operation.place as Place).directory : operation.fd;
    integers[at + 3] = secondOf(operation);
    integers[at + 4] = vectored ? operation.flags | IS_VECTORED : operation.flags;
    integers[at + 5] = isFixed ? operation.fixedView : operation.mode;
    const number = index * 8;
    numbers[number + 3] = operation.offset;
    numbers[number + 4] = operation.length;
    numbers[number + 6] = operation.start;
    numbers[number + 7] = operation.timeoutMs;
    return isList && views === 1 ? payload[0] : payload;
  }

  /** Fills the first row for one view, the shortest way. */
  fillTransfer(code: Code, fd: number, length: number, offset: number): void {
    this.#integers[0] = code | (1 << 16);
    this.#integers[2] = fd;
    this.#integers[4] = 0;
    this.#numbers[3] = offset;
    this.#numbers[4] = length;
  }

  /** The slot that row `index` names. */
  slot(index: number): number {
    return this.#integers[index * 16 + 1] as number;
  }

  /** The answer of row `index` performed on the calling thread. */
  result(index: number): number {
    return this.#numbers[index * 8 + 5] as number;
  }
}

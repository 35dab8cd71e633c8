/** The submission ABI in memory: the layout of native/rows.h. */
import { Code, libraryMemory, type Operation, type Place } from '../platform.js';
import { isTransfer } from './contract.js';

export const ROW_BYTES = 64;
const IS_VECTORED = 1;
const IS_LINKED = 1;
const TRIES_NOW = 2;

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
    const views = payload === undefined ? 0 : Array.isArray(payload) ? payload.length : 1;
    const vectored = isTransfer(operation.code) && Array.isArray(payload);
    const one = views === 1 && Array.isArray(payload) ? payload[0] : payload;
    const linked = operation.next === undefined ? 0 : IS_LINKED;
    const marks = operation.triesNow ? linked | TRIES_NOW : linked;
    const integers = this.#integers;
    const numbers = this.#numbers;
    const at = index * 16;
    integers[at] = operation.code | (marks << 8) | (views << 16);
    integers[at + 1] = slot;
    integers[at + 2] = isNamed(operation) ? (operation.place as Place).directory : operation.fd;
    integers[at + 3] = operation.place2?.directory ?? operation.fd2;
    integers[at + 4] = vectored ? operation.flags | IS_VECTORED : operation.flags;
    integers[at + 5] = operation.mode;
    numbers[index * 8 + 3] = operation.offset;
    numbers[index * 8 + 4] = operation.length;
    return one;
  }

  /** Fills the first row for one view, the shortest way. */
  fillTransfer(code: Code, fd: number, length: number, offset: number): void {
    this.#integers[0] = code | (1 << 16);
    this.#integers[2] = fd;
    this.#integers[4] = 0;
    this.#numbers[3] = offset;
    this.#numbers[4] = length;
  }

  /** The answer of row `index` performed on the calling thread. */
  result(index: number): number {
    return this.#numbers[index * 8 + 5] as number;
  }
}

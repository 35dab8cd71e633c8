/** Memory of the process: where it lies, and who may take it away. */
import { constants } from 'node:buffer';
import { loadAddon } from './native.js';

/** Pages of the memories that `pageMemory` gives; every system Node runs on has at least these. */
export const PAGE_BYTES = 4096;
/** Bytes that one view of memory has at most. */
export const VIEW_BYTES_MAX: number = constants.MAX_LENGTH;
/** The unit of WebAssembly. */
export const WASM_PAGE_BYTES = 65536;
const SCRATCH_BYTES = 16384;

let mark: ((memory: object) => void) | undefined;

/* Fetched when it is needed, since that takes 1.2 ms; other runtimes lack it, and mark nothing. */
function marked(memory: ArrayBuffer): void {
  mark ??= process.getBuiltinModule?.('node:worker_threads').markAsUntransferable ?? (() => {});
  mark(memory);
}

/** The address of a view's first byte; `undefined` where there is no addon to tell. */
export function addressOf(view: ArrayBufferView): number | undefined {
  const { addon } = loadAddon();
  if (addon === undefined) return undefined;
  const isBytes = view instanceof Uint8Array;
  return addon.addressOf(
    isBytes ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
  );
}

/**
 * Marks memory so that `postMessage` and `structuredClone` do not take it away, for good. On Node
 * 20 they copy it instead, from 22 on they throw; `ArrayBuffer.prototype.transfer` takes it all the
 * same on 22, and throws from 24 on. Shared memory cannot be taken away anyhow.
 */
export function markUntransferable(memory: ArrayBufferLike): void {
  if (memory instanceof ArrayBuffer) marked(memory);
}

/** Zeroed memory for the library's own use, marked at birth. */
export function libraryMemory(bytes: number): Uint8Array {
  const memory = new ArrayBuffer(bytes);
  marked(memory);
  return new Uint8Array(memory);
}

let scratch: Uint8Array = new Uint8Array(0);

/** A small piece of library memory for one answer: carved, as a block costs more than a piece. */
export function scratchMemory(bytes: number): Uint8Array {
  if (bytes > SCRATCH_BYTES) return libraryMemory(bytes);
  if (scratch.length < bytes) scratch = libraryMemory(SCRATCH_BYTES);
  const piece = scratch.subarray(0, bytes);
  scratch = scratch.subarray(bytes);
  return piece;
}

/** A memory of WebAssembly. Growing it takes its buffer away, and gives it another. */
export interface WebAssemblyMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number | bigint): number | bigint;
}

interface Limits {
  /** Without it, as numbers: 32-bit addresses, 4 GiB at most. */
  readonly address?: 'i64';
  readonly initial: number | bigint;
  readonly maximum: number | bigint;
}

interface WebAssemblyLike {
  readonly Memory: new (limits: Limits) => WebAssemblyMemory;
}

/** Pages of 64 KiB that a memory with 32-bit addresses has at most. */
export const WASM_PAGES_MAX = 65536;

/** A memory of so many pages of 64 KiB; `undefined` where there is none to be had. */
export function webAssemblyMemory(
  pages: number,
  isLarge: boolean = pages > WASM_PAGES_MAX,
): WebAssemblyMemory | undefined {
  const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyLike };
  if (WebAssembly === undefined) return undefined;
  try {
    if (!isLarge) return new WebAssembly.Memory({ initial: pages, maximum: pages });
    const many = BigInt(pages);
    return new WebAssembly.Memory({ address: 'i64', initial: many, maximum: many });
  } catch {
    return undefined;
  }
}

/**
 * Zeroed memory that begins on a page and that nothing in JavaScript can take away, also where the
 * mark does not hold (Node 22): a WebAssembly memory that nobody can grow. It reserves up to 10 GiB
 * of address space, so it is for few and large memories. `undefined` where there is none to be
 * had: WebAssembly is off (`--jitless`), or the address space is limited (RLIMIT_AS).
 *
 * Source: V8, BackingStore::TryAllocateAndPartiallyCommitMemory; measured on Node 20 to 26
 */
export function pageMemory(bytes: number): Uint8Array | undefined {
  const pages = Math.max(1, Math.ceil(bytes / WASM_PAGE_BYTES));
  const memory = pages > WASM_PAGES_MAX ? undefined : webAssemblyMemory(pages);
  return memory === undefined ? undefined : new Uint8Array(memory.buffer, 0, bytes);
}

/** Tells the program, not the terminal: `process.on('warning')`. */
export function warn(message: string, code: string): void {
  process.emitWarning(message, { type: 'HoldfastWarning', code });
}

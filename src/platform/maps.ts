/**
 * The memory that files are mapped into, and what became of it: a WebAssembly memory that nobody
 * else sees. It begins on a page, its addresses are its own until it is collected, no call of
 * JavaScript can transfer it, and it can be taken away at will, on every version of Node. Memory
 * from outside cannot: Node-API aborts the process when it is to detach its own (Node 24, 26).
 */
import { alignUp } from '../bytes.js';
import {
  VIEW_BYTES_MAX,
  WASM_PAGE_BYTES,
  WASM_PAGES_MAX,
  type WebAssemblyMemory,
  webAssemblyMemory,
} from './memory.js';
import { type Addon, loadAddon } from './native.js';

/* V8 takes no more of 64-bit addresses: kSpecMaxMemory64Pages. */
const WASM_PAGES_64_MAX = 262144;

/* Where there is a map there is an addon. */
function theAddon(): Addon {
  return loadAddon().addon as Addon;
}

/** What the offset of a map is a multiple of, in bytes. */
export function mapPageBytes(): number {
  return theAddon().pageBytes;
}

/** Bytes of one map at most: 4 GiB, or 16 where WebAssembly has 64-bit addresses (Node 24). */
export function mapBytesMax(): number {
  const isLarge = webAssemblyMemory(1, true) !== undefined;
  const pages = isLarge ? WASM_PAGES_64_MAX : WASM_PAGES_MAX;
  return Math.min(pages * WASM_PAGE_BYTES, VIEW_BYTES_MAX);
}

/* By buffer: what it is the memory of. */
const memories: WeakMap<ArrayBuffer, WebAssemblyMemory> = new WeakMap();

/** Whole pages that a file can be mapped into, zeroed; `undefined` where there are none. */
export function mapMemory(bytes: number): Uint8Array | undefined {
  const memory = webAssemblyMemory(Math.ceil(bytes / WASM_PAGE_BYTES));
  if (memory === undefined) return undefined;
  memories.set(memory.buffer, memory);
  return new Uint8Array(memory.buffer, 0, alignUp(bytes, mapPageBytes()));
}

/* What was taken away lives as long as the buffer it was taken from: so long it may be in use. */
const taken: WeakMap<ArrayBuffer, unknown> = new WeakMap();

/**
 * Takes memory from everybody who sees it: views have length 0 from now on. Nothing is freed while
 * an operation under way may still reach it, since that refers to the buffer.
 */
export function takeAway(buffer: ArrayBuffer): void {
  const memory = memories.get(buffer);
  if (memory === undefined) {
    takeCopy(buffer);
    return;
  }
  memory.grow(buffer.byteLength > WASM_PAGES_MAX * WASM_PAGE_BYTES ? 0n : 0);
  taken.set(buffer, memory);
}

function takeCopy(buffer: ArrayBuffer): void {
  try {
    taken.set(buffer, structuredClone(buffer, { transfer: [buffer] }));
  } catch {
    /* Somebody has transferred it, or marked it so that nobody can: it is theirs. */
  }
}

const collected: FinalizationRegistry<number> = new FinalizationRegistry((handle) => {
  theAddon().mapForget(handle);
});

/** Ends a map when its memory has been collected. */
export function endWithMemory(buffer: ArrayBuffer, handle: number): void {
  collected.register(buffer, handle, buffer);
}

/** Called off: the map has been left. */
export function endedBefore(buffer: ArrayBuffer): void {
  collected.unregister(buffer);
}

/** The size of the file under a map; -EFAULT once a page of the map was replaced; or -errno. */
export function mapLook(handle: number): number {
  return theAddon().mapLook(handle);
}

/** Whether a fault in a map comes to us first. */
export function mapsGuarded(): boolean {
  return theAddon().mapsGuarded();
}

/** Why no file is to be mapped into memory of this runtime, if so. */
export function mapsRefusal(): string | undefined {
  const { bun, electron } = process.versions as Readonly<Record<string, string | undefined>>;
  if (electron !== undefined) return 'the memory of Electron is in a cage of V8';
  if (bun !== undefined || 'Deno' in globalThis) return 'the runtime has other memory than Node';
  const hasMemory = (globalThis as { WebAssembly?: unknown }).WebAssembly !== undefined;
  return hasMemory ? undefined : 'there is no WebAssembly, whose memory a map takes';
}

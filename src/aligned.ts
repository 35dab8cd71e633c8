/**
 * Memory for direct I/O: buffers that begin where the device wants them to, alone or leased from a
 * pool. Hides how an aligned address is come by, which plain JavaScript can neither ask for nor
 * see.
 *
 * Invariants: 1. With the addon every buffer begins at a multiple of its alignment.
 *             2. Without it, and up to 4096, that holds where `isAligned` says true; where it says
 *                undefined nothing is known, and direct I/O goes through memory of its own.
 *             3. Two leases never share an aligned piece; the memory of a pool cannot be
 *                transferred away, and a leased buffer is given to nobody else until its release.
 * Not promised: that bytes kept from a lease after its release are still the holder's.
 * Source: open(2), O_DIRECT; statx(2), stx_dio_mem_align; V8's allocation of WebAssembly memories
 */
import { LeaseWatch } from './aligned/watch.js';
import { allocated } from './buffers.js';
import { alignUp, byteCount, isPowerOfTwo } from './bytes.js';
import { IoError, invalidType, outOfRange } from './errors.js';
import { addressOf, markUntransferable, PAGE_BYTES, pageMemory } from './platform.js';

const ALIGNMENT_DEFAULT = 4096;
const ALIGNMENT_MAX = 2 ** 30;
const COUNT_DEFAULT = 16;
const COUNT_MAX_DEFAULT = 1024;

/* Memory known to begin on a page, for where addresses cannot be asked for. */
const pageStarts: WeakSet<ArrayBufferLike> = new WeakSet();

function alignmentOf(value: unknown, argument: string): number {
  if (typeof value !== 'number') throw invalidType(argument, 'a number of bytes', value);
  if (isPowerOfTwo(value) && value <= ALIGNMENT_MAX) return value;
  throw outOfRange(argument, `a power of two up to ${ALIGNMENT_MAX}`, value);
}

/**
 * Tells whether a view begins at a multiple of `alignment`; `undefined` where that is not known:
 * without the addon, for memory that did not come from here.
 *
 * Errors: `TypeError`, `RangeError` for an alignment that is no power of two.
 */
export function isAligned(view: ArrayBufferView, alignment: number): boolean | undefined {
  if (!ArrayBuffer.isView(view)) throw invalidType('view', 'an ArrayBufferView', view);
  const bytes = alignmentOf(alignment, 'alignment');
  const address = addressOf(view);
  if (address !== undefined) return address % bytes === 0;
  const isKnown = bytes <= PAGE_BYTES && pageStarts.has(view.buffer);
  return isKnown ? view.byteOffset % bytes === 0 : undefined;
}

function memoryOnPage(bytes: number): Uint8Array | undefined {
  const memory = pageMemory(bytes);
  if (memory !== undefined) pageStarts.add(memory.buffer);
  return memory;
}

/* The part of `memory` that begins at a multiple of `alignment`, as far as that is known. */
function alignedPart(memory: Uint8Array, length: number, alignment: number): Uint8Array {
  const address = addressOf(memory) ?? 0;
  const start = alignUp(address, alignment) - address;
  return memory.subarray(start, start + length);
}

/**
 * A zeroed buffer whose first byte lies at a multiple of `alignment`, as direct I/O demands.
 *
 * Units: bytes; `length` is kept as it is: direct I/O also wants whole sectors, see `alignUp`.
 * Lifetime: the caller's, like any other `Uint8Array`; for many an `AlignedPool` is cheaper.
 * Errors: `TypeError`, `RangeError` for a length that is no byte count or an alignment that is no
 * power of two; `IoError` with code `ENOMEM` when there is not so much memory.
 */
export function alignedBuffer(length: number, alignment: number = ALIGNMENT_DEFAULT): Uint8Array {
  const bytes = byteCount(length, 'length');
  const step = alignmentOf(alignment, 'alignment');
  const isBlind = addressOf(new Uint8Array(1)) === undefined;
  const onPage = isBlind && step <= PAGE_BYTES ? memoryOnPage(bytes) : undefined;
  return onPage ?? alignedPart(allocated(bytes + step - 1), bytes, step);
}

export interface AlignedPoolOptions {
  /** Length of each buffer. */
  readonly bufferBytes: number;
  /** Buffers made at a time: at birth, and whenever none is free. Default 16. */
  readonly count?: number | undefined;
  /** Buffers there will be at most. Default 1024, or `count` if that is more. */
  readonly countMax?: number | undefined;
  /** A power of two. Default 4096. */
  readonly alignment?: number | undefined;
  /** Tell leases that were dropped and buffers written after release. Default false. */
  readonly debug?: boolean | undefined;
}

function countOf(value: unknown, argument: string, least: number): number {
  if (typeof value !== 'number') throw invalidType(argument, 'a number', value);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw outOfRange(argument, `an integer from ${least}`, value);
}

/**
 * Aligned buffers to be used again and again: one allocation carved into many.
 *
 * Lifetime: a buffer is the holder's from `lease` to `release`. Release none while an operation
 * uses it: the next holder would share it with the device.
 */
export class AlignedPool {
  readonly bufferBytes: number;
  readonly alignment: number;
  readonly countMax: number;
  readonly #step: number;
  readonly #free: Uint8Array[] = [];
  readonly #watch: LeaseWatch | undefined;
  #count = 0;

  /** Errors: `TypeError`, `RangeError` naming the option; `IoError` when memory is out. */
  constructor(options: AlignedPoolOptions) {
    if (typeof options !== 'object' || options === null) {
      throw invalidType('options', 'an object', options);
    }
    const { bufferBytes, count = COUNT_DEFAULT, alignment = ALIGNMENT_DEFAULT, debug } = options;
    if (debug !== undefined && typeof debug !== 'boolean') {
      throw invalidType('options.debug', 'true or false', debug);
    }
    this.bufferBytes = byteCount(bufferBytes, 'options.bufferBytes');
    if (this.bufferBytes === 0) throw outOfRange('options.bufferBytes', 'at least 1', bufferBytes);
    this.alignment = alignmentOf(alignment, 'options.alignment');
    this.#step = countOf(count, 'options.count', 1);
    const most = options.countMax ?? Math.max(this.#step, COUNT_MAX_DEFAULT);
    this.countMax = countOf(most, 'options.countMax', this.#step);
    this.#watch = debug === true ? new LeaseWatch() : undefined;
    this.#grow();
  }

  /** Buffers there are. */
  get count(): number {
    return this.#count;
  }

  /** Buffers that are leased. */
  get leasedCount(): number {
    return this.#count - this.#free.length;
  }

  /**
   * Lends a buffer; what is in it is left over from the last holder.
   *
   * Lifetime: until `release`, or the end of the block with `using`.
   * Errors: `IoError` of kind `limit` when all `countMax` are leased, or memory is out.
   */
  lease(): Lease {
    const lease = this.tryLease();
    if (lease !== undefined) return lease;
    const words = `all ${this.countMax} buffers of the pool are leased`;
    throw new IoError({ action: 'lease a buffer', code: 'ENOMEM', words });
  }

  /** As `lease`, but `undefined` when all are leased. Errors: `IoError` when memory is out. */
  tryLease(): Lease | undefined {
    if (this.#free.length === 0 && this.#count < this.countMax) this.#grow();
    const bytes = this.#free.pop();
    if (bytes === undefined) return undefined;
    const watch = this.#watch;
    watch?.checkUntouched(bytes);
    const lease = new Lease(bytes, () => {
      watch?.released(lease, bytes);
      this.#free.push(bytes);
    });
    watch?.leased(lease, this.bufferBytes);
    return lease;
  }

  #grow(): void {
    const count = Math.min(this.#step, this.countMax - this.#count);
    const stride = alignUp(this.bufferBytes, this.alignment);
    const length = stride * count;
    const slack = this.alignment <= PAGE_BYTES ? 0 : this.alignment - 1;
    const memory = memoryOnPage(length + slack) ?? allocated(length + this.alignment - 1);
    markUntransferable(memory.buffer);
    const carved = alignedPart(memory, length, this.alignment);
    for (let place = length - stride; place >= 0; place -= stride) {
      const bytes = carved.subarray(place, place + this.bufferBytes);
      this.#watch?.freed(bytes);
      this.#free.push(bytes);
    }
    this.#count += count;
  }
}

/** A buffer on loan from an `AlignedPool`. */
export class Lease {
  #bytes: Uint8Array | undefined;
  readonly #giveBack: () => void;

  /** For `AlignedPool`. */
  constructor(bytes: Uint8Array, giveBack: () => void) {
    this.#bytes = bytes;
    this.#giveBack = giveBack;
  }

  /** False once released. */
  get isHeld(): boolean {
    return this.#bytes !== undefined;
  }

  /**
   * The buffer.
   *
   * Lifetime: until the release, also of a view that was kept.
   * Errors: `IoError` of kind `closed` after the release.
   */
  get bytes(): Uint8Array {
    if (this.#bytes !== undefined) return this.#bytes;
    throw new IoError({ action: 'use the lease', code: 'ERR_LEASE_RELEASED' });
  }

  /** Gives the buffer back; again does nothing. */
  release(): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    this.#giveBack();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

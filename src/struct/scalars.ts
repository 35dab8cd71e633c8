/** Numbers and truth values: what fits, how it lies, and whole rows of them as typed arrays. */

import type { Block, Emitter } from './emitter.js';
import {
  type AnyType,
  AT,
  Leaf,
  Misfit,
  type Putter,
  REGION,
  type Seen,
  type Type,
} from './kind.js';
import type { Region } from './space.js';

/** Numbers in a row. */
export type Row =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

interface RowClass<R extends Row> {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): R;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): R;
}

const isLittleEndian: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

interface Traits<N, R extends Row> {
  readonly word: string;
  readonly rowClass: RowClass<R>;
  /** Puts a value so far behind a place. Errors: `Misfit`. */
  readonly putter: (offset: number) => Putter;
  readonly get: (data: DataView, at: number) => N;
}

/** A number of a fixed size; `Row` is the typed array that rows of it are seen as. */
export class Scalar<In, N, R extends Row> extends Leaf<In, N> {
  readonly word: string;
  readonly size: number;
  readonly alignment: number;
  readonly isFlat = true;
  readonly #traits: Traits<N, R>;
  readonly #put: Putter;

  constructor(traits: Traits<N, R>) {
    super();
    this.#traits = traits;
    this.#put = traits.putter(0);
    this.word = traits.word;
    this.size = traits.rowClass.BYTES_PER_ELEMENT;
    this.alignment = this.size;
  }

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    this.#put(emitter, block, at, value);
  }

  override putter(offset: number): Putter {
    return this.#traits.putter(offset);
  }

  get({ data }: Region, at: number): N {
    return this.#traits.get(data, at);
  }

  copy(region: Region, at: number): N {
    return this.#traits.get(region.data, at);
  }

  override getter(offset: number): (this: Seen) => N {
    const { get } = this.#traits;
    return function getScalar(this: Seen): N {
      return get(this[REGION].data, this[AT] + offset);
    };
  }

  /** The bytes of a typed array of exactly this type, as they are to be put; else `undefined`. */
  bytesOf(value: unknown): Uint8Array | undefined {
    const { rowClass } = this.#traits;
    if (!ArrayBuffer.isView(value) || Object.getPrototypeOf(value) === null) return undefined;
    const tag = (value as { readonly [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
    if (tag !== rowClass.name) return undefined;
    if (!isLittleEndian && this.size > 1) return undefined;
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }

  /** No numbers. */
  emptyRow(): R {
    return new this.#traits.rowClass(0);
  }

  /** So many in a row: over the memory of the image where the host and its place allow it. */
  rowAt({ data }: Region, at: number, count: number): R {
    const { rowClass, get } = this.#traits;
    const start = data.byteOffset + at;
    if ((isLittleEndian || this.size === 1) && start % this.size === 0) {
      return new rowClass(data.buffer as ArrayBufferLike, start, count);
    }
    const row = new rowClass(count);
    for (let index = 0; index < count; index++) {
      (row as unknown as N[])[index] = get(data, at + index * this.size);
    }
    return row;
  }
}

function misfit(value: unknown, word: string, range: string): Misfit {
  const isNumber = typeof value === 'number' || typeof value === 'bigint';
  return new Misfit(isNumber ? 'range' : 'type', `${range} (${word})`, value);
}

function integer(word: string, min: number, max: number, value: unknown): Misfit {
  return misfit(value, word, `an integer from ${min} to ${max}`);
}

function large(value: unknown, word: string, min: bigint, max: bigint): bigint {
  const whole = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof whole === 'bigint' && whole >= min && whole <= max) return whole;
  throw misfit(value, word, `a bigint or a safe integer from ${min} to ${max}`);
}

const FLOAT_MAX = 3.4028234663852886e38;

/** An integer from 0 to 255. */
export const u8: Scalar<number, number, Uint8Array> = new Scalar({
  word: 'u8',
  rowClass: Uint8Array as RowClass<Uint8Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      if (typeof value !== 'number' || (value & 0xff) !== value)
        throw integer('u8', 0, 0xff, value);
      data.setUint8(at + offset, value);
    },
  get: (data, at) => data.getUint8(at),
});

/** An integer from -128 to 127. */
export const i8: Scalar<number, number, Int8Array> = new Scalar({
  word: 'i8',
  rowClass: Int8Array as RowClass<Int8Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      if (typeof value !== 'number' || (value << 24) >> 24 !== value)
        throw integer('i8', -0x80, 0x7f, value);
      data.setInt8(at + offset, value);
    },
  get: (data, at) => data.getInt8(at),
});

/** An integer from 0 to 65,535. */
export const u16: Scalar<number, number, Uint16Array> = new Scalar({
  word: 'u16',
  rowClass: Uint16Array as RowClass<Uint16Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      if (typeof value !== 'number' || (value & 0xffff) !== value)
        throw integer('u16', 0, 0xffff, value);
      data.setUint16(at + offset, value, true);
    },
  get: (data, at) => data.getUint16(at, true),
});

/** An integer from -32,768 to 32,767. */
export const i16: Scalar<number, number, Int16Array> = new Scalar({
  word: 'i16',
  rowClass: Int16Array as RowClass<Int16Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      if (typeof value !== 'number' || (value << 16) >> 16 !== value)
        throw integer('i16', -0x8000, 0x7fff, value);
      data.setInt16(at + offset, value, true);
    },
  get: (data, at) => data.getInt16(at, true),
});

/** An integer from 0 to 2^32 - 1. */
export const u32: Scalar<number, number, Uint32Array> = new Scalar({
  word: 'u32',
  rowClass: Uint32Array as RowClass<Uint32Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      if (typeof value !== 'number' || value >>> 0 !== value)
        throw integer('u32', 0, 0xffffffff, value);
      data.setUint32(at + offset, value, true);
    },
  get: (data, at) => data.getUint32(at, true),
});

/** An integer from -2^31 to 2^31 - 1. */
export const i32: Scalar<number, number, Int32Array> = new Scalar({
  word: 'i32',
  rowClass: Int32Array as RowClass<Int32Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      if (typeof value !== 'number' || (value | 0) !== value)
        throw integer('i32', -0x80000000, 0x7fffffff, value);
      data.setInt32(at + offset, value, true);
    },
  get: (data, at) => data.getInt32(at, true),
});

/** An integer from 0 to 2^64 - 1, as a bigint; safe integers are taken too. */
export const u64: Scalar<number | bigint, bigint, BigUint64Array> = new Scalar({
  word: 'u64',
  rowClass: BigUint64Array as RowClass<BigUint64Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      data.setBigUint64(at + offset, large(value, 'u64', 0n, 0xffffffffffffffffn), true);
    },
  get: (data, at) => data.getBigUint64(at, true),
});

/** An integer from -2^63 to 2^63 - 1, as a bigint; safe integers are taken too. */
export const i64: Scalar<number | bigint, bigint, BigInt64Array> = new Scalar({
  word: 'i64',
  rowClass: BigInt64Array as RowClass<BigInt64Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      const whole = large(value, 'i64', -0x8000000000000000n, 0x7fffffffffffffffn);
      data.setBigInt64(at + offset, whole, true);
    },
  get: (data, at) => data.getBigInt64(at, true),
});

/** A number in single precision: rounded, not refused, unless it is too large. */
export const f32: Scalar<number, number, Float32Array> = new Scalar({
  word: 'f32',
  rowClass: Float32Array as RowClass<Float32Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      if (typeof value !== 'number') throw misfit(value, 'f32', 'a number');
      if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
        throw misfit(value, 'f32', `from ${-FLOAT_MAX} to ${FLOAT_MAX}`);
      }
      if (Number.isNaN(value)) data.setUint32(at + offset, 0x7fc00000, true);
      else data.setFloat32(at + offset, value, true);
    },
  get: (data, at) => data.getFloat32(at, true),
});

/** A number. */
export const f64: Scalar<number, number, Float64Array> = new Scalar({
  word: 'f64',
  rowClass: Float64Array as RowClass<Float64Array>,
  putter:
    (offset) =>
    (_, { data }, at, value) => {
      if (typeof value !== 'number') throw misfit(value, 'f64', 'a number');
      if (Number.isNaN(value)) data.setUint32(at + offset + 4, 0x7ff80000, true);
      else data.setFloat64(at + offset, value, true);
    },
  get: (data, at) => data.getFloat64(at, true),
});

class Truth extends Leaf<boolean, boolean> {
  readonly word = 'bool';
  readonly size = 1;
  readonly alignment = 1;
  readonly isFlat = true;

  put(_: Emitter, block: Block, at: number, value: unknown): void {
    if (typeof value !== 'boolean') throw new Misfit('type', 'true or false', value);
    if (value) block.data.setUint8(at, 1);
  }

  get({ data }: Region, at: number): boolean {
    return data.getUint8(at) !== 0;
  }

  copy(region: Region, at: number): boolean {
    return this.get(region, at);
  }
}

/** True or false. */
export const bool: Type<boolean, boolean> = new Truth();

/** The scalars by name, for reading the description of a schema. */
export const scalars: ReadonlyMap<string, AnyType> = new Map<string, AnyType>(
  [u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, bool].map((type) => [type.word, type] as const),
);

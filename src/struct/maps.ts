/** Maps: records of a key and a value, sorted by key, found by halving. */
import { invalidType } from '../errors.js';
import type { Block, Emitter } from './emitter.js';
import {
  type AnyType,
  Composite,
  type InputOf,
  type Layout,
  type Lazy,
  Misfit,
  type OutputOf,
  Part,
  type Shape,
  SPAN,
  within,
} from './kind.js';
import { iterableOf, ListType, type ListView } from './lists.js';
import { StructType } from './records.js';
import { Scalar } from './scalars.js';
import { countAt, type Region } from './space.js';
import { foundBytes, text } from './spans.js';

type Key = string | number | bigint;

/* The order of UTF-8 bytes, which is that of code points: surrogates come after all other units. */
function rankOf(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800;
  return unit >= 0xd800 ? unit + 0x2000 : unit;
}

function compareKeys(one: Key, other: Key): number {
  if (typeof one !== 'string' || typeof other !== 'string') {
    return one < other ? -1 : Number(one > other);
  }
  const length = Math.min(one.length, other.length);
  for (let index = 0; index < length; index++) {
    const difference = rankOf(one.charCodeAt(index)) - rankOf(other.charCodeAt(index));
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

/** Pairs of an image, looked up by key. */
export class MapView<K, V> implements Iterable<readonly [K, V]> {
  readonly #pairs: ListView<{ readonly key: K; readonly value: V }>;
  readonly #type: MapType<never, unknown>;

  /** For maps, which have checked where the pairs are. */
  constructor(type: MapType<never, unknown>, pairs: ListView<unknown>) {
    this.#type = type;
    this.#pairs = pairs as ListView<{ readonly key: K; readonly value: V }>;
  }

  /** How many pairs there are. */
  get size(): number {
    return this.#pairs.length;
  }

  /**
   * The value of a key; `undefined` if there is none.
   *
   * Errors: `IoError` of kind `corrupt` where the image is damaged, `closed` when it was closed.
   */
  get(key: K): V | undefined {
    const index = this.#indexOf(key);
    return index < 0 ? undefined : this.#pairs.at(index)?.value;
  }

  /** Whether there is such a key. Errors: as `get`. */
  has(key: K): boolean {
    return this.#indexOf(key) >= 0;
  }

  /** The keys in order. Errors: as `get`. */
  *keys(): Generator<K, void, undefined> {
    for (const { key } of this.#pairs) yield key;
  }

  /** The values in the order of their keys. Errors: as `get`. */
  *values(): Generator<V, void, undefined> {
    for (const { value } of this.#pairs) yield value;
  }

  /** Pairs in the order of their keys. Errors: as `get`. */
  *entries(): Generator<readonly [K, V], void, undefined> {
    for (const { key, value } of this.#pairs) yield [key, value];
  }

  /** As `entries`. Errors: as `get`. */
  [Symbol.iterator](): Generator<readonly [K, V], void, undefined> {
    return this.entries();
  }

  #indexOf(key: K): number {
    const wanted = this.#type.needle(key);
    if (wanted === undefined) return -1;
    let [low, high] = [0, this.#pairs.length];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const order = this.#pairs.visit(middle, wanted);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }
}

interface Pair {
  readonly key: Key;
  readonly value: unknown;
}

/** Values by key. */
export class MapType<In, Out> extends Composite<In, Out> {
  readonly word = 'map';
  readonly #key: Part;
  readonly #value: Part;
  #pairs: ListType<never, unknown> | undefined;

  constructor(key: unknown, value: unknown) {
    super();
    this.#key = new Part(key, 'key');
    this.#value = new Part(value, 'value');
  }

  protected lay(): Layout {
    return SPAN;
  }

  /* As a list of structs. */
  #list(): ListType<never, unknown> {
    this.#pairs ??= new ListType(new StructType({ key: this.#keyType(), value: this.#value.type }));
    return this.#pairs;
  }

  #keyType(): AnyType {
    const { type } = this.#key;
    const isWhole = type instanceof Scalar && !type.word.startsWith('f');
    if (isWhole || type === text) return type;
    throw invalidType('key', 'text or a type of integers', type.word);
  }

  parts(): readonly AnyType[] {
    return [this.#keyType(), this.#value.type];
  }

  shape([key, value]: readonly number[]): Shape {
    return ['map', key, value];
  }

  over([key, value]: readonly Lazy<AnyType>[]): AnyType {
    return new MapType(key, value);
  }

  /** Compares the key of a pair with one; `undefined` for what cannot be a key. */
  needle(key: unknown): ((region: Region, at: number) => number) | undefined {
    const type = this.#keyType();
    const offset = this.#keyOffset();
    if (type === text) {
      if (typeof key !== 'string') return undefined;
      const wanted = Buffer.from(key, 'utf8');
      return (region, at) => compareText(region, at + offset, wanted);
    }
    if (typeof key !== 'number' && typeof key !== 'bigint') return undefined;
    return (region, at) => compareKeys(type.get(region, at + offset) as Key, key);
  }

  #keyOffset(): number {
    const pair = this.#list().inner as StructType<never, unknown>;
    return pair.layout.fields.find(({ name }) => name === 'key')?.offset ?? 0;
  }

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    const pairs = pairsOf(value);
    const key = this.#keyType();
    const trial = emitter.borrow(key.size);
    for (const pair of pairs) {
      try {
        if (key !== text) key.put(emitter, trial, 0, pair.key);
        else if (typeof pair.key !== 'string') throw new Misfit('type', 'a string', pair.key);
      } catch (error) {
        throw within(error, `key ${String(pair.key)}`);
      }
    }
    emitter.giveBack(trial, key.size);
    pairs.sort((one, other) => compareKeys(one.key, other.key));
    for (let index = 1; index < pairs.length; index++) {
      const { key: here } = pairs[index] as Pair;
      if (compareKeys((pairs[index - 1] as Pair).key, here) !== 0) continue;
      throw new Misfit('value', 'without a key twice', here);
    }
    this.#list().put(emitter, block, at, pairs);
  }

  get(region: Region, at: number): MapView<unknown, unknown> {
    return new MapView(this, this.#list().view(region, at, countAt(region, at + 8)));
  }

  copy(region: Region, at: number, depth: number): unknown {
    const pairs = this.#list().copy(region, at, depth) as Pair[];
    return new Map(pairs.map(({ key, value }) => [key, value]));
  }
}

function compareText(region: Region, at: number, wanted: Uint8Array): number {
  const length = countAt(region, at + 8);
  if (length === 0) return wanted.length === 0 ? 0 : -1;
  const { region: home, at: start } = foundBytes(region, at, length);
  return home.bytes.compare(wanted, 0, wanted.length, start, start + length);
}

function pairsOf(value: unknown): Pair[] {
  const isIterable = typeof value === 'object' && value !== null && Symbol.iterator in value;
  if (!isIterable && typeof value === 'object' && value !== null) {
    return Object.entries(value).map(([key, inner]) => ({ key, value: inner }));
  }
  const pairs: Pair[] = [];
  for (const pair of iterableOf(value)) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw within(new Misfit('type', 'a pair of a key and a value', pair), pairs.length);
    }
    pairs.push({ key: pair[0] as Key, value: pair[1] });
  }
  return pairs;
}

type MapInput<K, V> =
  | Iterable<readonly [InputOf<K>, InputOf<V>]>
  | (string extends InputOf<K> ? Readonly<Record<string, InputOf<V>>> : never);

/**
 * Values by key, sorted, found by halving. Keys are text or integers.
 *
 * Shapes: takes a `Map`, pairs, and an object where the keys are text.
 * Errors: `TypeError` for what is no type; for keys of another type when the schema is first used.
 */
export function map<const K extends Lazy<AnyType>, const V extends Lazy<AnyType>>(
  key: K,
  value: V,
): MapType<MapInput<K, V>, MapView<OutputOf<K>, OutputOf<V>>> {
  return new MapType(key, value);
}

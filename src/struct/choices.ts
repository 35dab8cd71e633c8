/** One of several: a name among names, or a value of one of several types. */
import { alignUp } from '../bytes.js';
import { invalidType, outOfRange } from '../errors.js';
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
  within,
} from './kind.js';
import { type Fields, orderedNames } from './records.js';
import { damagedAt, type Region } from './space.js';

const NAMES_MAX = 65536;

function tagSizeOf(count: number): number {
  return count <= 256 ? 1 : 2;
}

function putTag({ data }: Block, at: number, size: number, tag: number): void {
  if (size === 1) data.setUint8(at, tag);
  else data.setUint16(at, tag, true);
}

function tagAt({ data }: Region, at: number, size: number): number {
  return size === 1 ? data.getUint8(at) : data.getUint16(at, true);
}

function checkedNames(names: readonly unknown[], argument: string): readonly string[] {
  const ordered = orderedNames(names, argument);
  if (ordered.length > NAMES_MAX) {
    throw outOfRange(argument, `at most ${NAMES_MAX} of them`, ordered.length);
  }
  return ordered;
}

/** One name of several. */
export class EnumerationType<N extends string> extends Composite<N, N> {
  readonly word = 'enumeration';
  readonly #names: readonly string[];
  readonly #tags: ReadonlyMap<unknown, number>;

  constructor(names: readonly unknown[]) {
    super();
    this.#names = checkedNames(names, 'names');
    this.#tags = new Map(this.#names.map((name, tag) => [name, tag]));
  }

  protected lay(): Layout {
    const size = tagSizeOf(this.#names.length);
    return { size, alignment: size, isFlat: true };
  }

  parts(): readonly AnyType[] {
    return [];
  }

  shape(): Shape {
    return ['enumeration', this.#names];
  }

  over(): AnyType {
    return this;
  }

  put(_: Emitter, block: Block, at: number, value: unknown): void {
    const tag = this.#tags.get(value);
    if (tag === undefined) {
      const why = typeof value === 'string' ? 'value' : 'type';
      throw new Misfit(why, `one of ${this.#names.join(', ')}`, value);
    }
    putTag(block, at, this.size, tag);
  }

  get(region: Region, at: number): string {
    const name = this.#names[tagAt(region, at, this.size)];
    if (name === undefined) throw damagedAt(region, at, 'a name has a number beyond its kind');
    return name;
  }

  copy(region: Region, at: number): string {
    return this.get(region, at);
  }
}

/**
 * One of the names given; the order in which they are given means nothing.
 *
 * Errors: `TypeError` for names that are no strings, or twice the same; `RangeError` for more than
 * 65,536.
 */
export function enumeration<const N extends string>(...names: readonly N[]): EnumerationType<N> {
  return new EnumerationType(names);
}

interface Alternative {
  readonly kind: string;
  readonly part: Part;
}

interface UnionLayout extends Layout {
  readonly tagAt: number;
}

/** A value of one of several types, with its name. */
export class UnionType<In, Out> extends Composite<In, Out, UnionLayout> {
  readonly word = 'union';
  readonly #alternatives: readonly Alternative[];

  constructor(types: Readonly<Record<string, unknown>>) {
    super();
    if (typeof types !== 'object' || types === null) {
      throw invalidType('types', 'an object of types', types);
    }
    const kinds = checkedNames(Object.keys(types), 'types');
    this.#alternatives = kinds.map((kind) => ({ kind, part: new Part(types[kind], kind) }));
  }

  protected lay(): UnionLayout {
    const tagSize = tagSizeOf(this.#alternatives.length);
    let [size, alignment, isFlat] = [0, tagSize, true];
    for (const { part } of this.#alternatives) {
      size = Math.max(size, part.type.size);
      alignment = Math.max(alignment, part.type.alignment);
      isFlat &&= part.type.isFlat;
    }
    const place = alignUp(size, tagSize);
    return { size: alignUp(place + tagSize, alignment), alignment, isFlat, tagAt: place };
  }

  parts(): readonly AnyType[] {
    return this.#alternatives.map(({ part }) => part.type);
  }

  shape(places: readonly number[]): Shape {
    return ['union', this.#alternatives.map(({ kind }, index) => [kind, places[index]])];
  }

  over(parts: readonly Lazy<AnyType>[]): AnyType {
    const pairs = this.#alternatives.map(({ kind }, index) => [kind, parts[index]] as const);
    return new UnionType(Object.fromEntries(pairs));
  }

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    const { kind, value: inner } = (value ?? {}) as { kind?: unknown; value?: unknown };
    const tag = this.#alternatives.findIndex((alternative) => alternative.kind === kind);
    const alternative = this.#alternatives[tag];
    if (alternative === undefined) {
      const kinds = this.#alternatives.map((one) => one.kind).join(', ');
      throw new Misfit('type', `{ kind, value } with a kind of ${kinds}`, kind ?? value);
    }
    try {
      alternative.part.type.put(emitter, block, at, inner);
    } catch (error) {
      throw within(error, 'value');
    }
    putTag(block, at + this.layout.tagAt, tagSizeOf(this.#alternatives.length), tag);
  }

  #alternativeAt(region: Region, at: number): Alternative {
    const place = at + this.layout.tagAt;
    const found = this.#alternatives[tagAt(region, place, tagSizeOf(this.#alternatives.length))];
    if (found !== undefined) return found;
    throw damagedAt(region, place, 'a value is of a kind beyond its union');
  }

  get(region: Region, at: number): unknown {
    const { kind, part } = this.#alternativeAt(region, at);
    return { kind, value: part.type.get(region, at) };
  }

  copy(region: Region, at: number, depth: number): unknown {
    const { kind, part } = this.#alternativeAt(region, at);
    return { kind, value: part.type.copy(region, at, depth) };
  }
}

type UnionInput<F> = {
  [K in keyof F]: { readonly kind: K; readonly value: InputOf<F[K]> };
}[keyof F];
type UnionOutput<F> = {
  [K in keyof F]: { readonly kind: K; readonly value: OutputOf<F[K]> };
}[keyof F];

/**
 * A value of one of several types, told apart by a name: `{ kind, value }`.
 *
 * Errors: `TypeError` for what is no type, and for none at all.
 */
export function union<const F extends Fields>(types: F): UnionType<UnionInput<F>, UnionOutput<F>> {
  return new UnionType(types);
}

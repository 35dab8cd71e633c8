/** Structs: fields by name, laid out once, seen through getters that look when they are asked. */
import { alignUp } from '../bytes.js';
import { invalidType, invalidValue } from '../errors.js';
import type { Block, Emitter } from './emitter.js';
import {
  type AnyType,
  AT,
  Composite,
  Holder,
  type InputOf,
  type Layout,
  type Lazy,
  Leaf,
  Misfit,
  type OutputOf,
  Part,
  type Putter,
  REGION,
  type Seen,
  type Shape,
  within,
} from './kind.js';
import type { Plain } from './plain.js';
import { checkDepth, putCount, type Region } from './space.js';

const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never;

/** A field where it lies. */
export interface Field {
  readonly name: string;
  readonly type: AnyType;
  readonly offset: number;
}

/** How a struct lies: its fields in the order that the description of a schema has them. */
export interface StructLayout extends Layout {
  readonly fields: readonly Field[];
}

/** Fields by name. */
export type Fields = Readonly<Record<string, Lazy<AnyType>>>;

type OptionalNames<F> = {
  [K in keyof F]: F[K] extends OptionalType<never, unknown> | (() => OptionalType<never, unknown>)
    ? K
    : never;
}[keyof F];

type Flatten<T> = { [K in keyof T]: T[K] };

/** What a struct of these fields takes: an object; optional fields may be left out. */
export type ValueOf<F> = Flatten<
  { readonly [K in Exclude<keyof F, OptionalNames<F>>]: InputOf<F[K]> } & {
    readonly [K in OptionalNames<F>]?: InputOf<F[K]>;
  }
>;

/** What is seen of a struct of these fields. */
export type ViewOf<F> = { readonly [K in keyof F]: OutputOf<F[K]> };

/* A view of a struct; the getters of its fields are on a class for each struct. */
class StructView implements Seen {
  [REGION]: Region;
  [AT]: number;

  constructor(region: Region, at: number) {
    this[REGION] = region;
    this[AT] = at;
  }
}

/* Not enumerable, and a field of the same name comes first: views have the names of a schema. */
function define(target: object, name: string | symbol, value: unknown): void {
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
}

/* Apart from the classes: a field may have any name. */
const copiers = new WeakMap<object, (view: StructView) => unknown>();

type ViewClass = new (region: Region, at: number) => StructView;

function viewClassOf(type: StructType<never, unknown>): ViewClass {
  class View extends StructView {}
  const copied = (view: StructView): unknown => type.copy(view[REGION], view[AT], 0);
  const plain = function (this: StructView): unknown {
    return copied(this);
  };
  copiers.set(View.prototype, copied);
  define(View.prototype, 'toJSON', plain);
  define(View.prototype, INSPECT, plain);
  for (const { name, type: field, offset } of type.layout.fields) {
    const get = field.getter(offset);
    Object.defineProperty(View.prototype, name, { get, enumerable: true, configurable: true });
  }
  return View;
}

/** By alignment, the largest first, so that there are few gaps; then by name. */
function inOrder(fields: readonly (readonly [string, AnyType])[]): (readonly [string, AnyType])[] {
  return [...fields].sort(([name, type], [otherName, other]) => {
    return other.alignment - type.alignment || (name < otherName ? -1 : 1);
  });
}

/** Fields by name, one after the other. */
export class StructType<In, Out> extends Composite<In, Out, StructLayout> {
  readonly word: string = 'struct';
  readonly #parts: readonly (readonly [string, Part])[];
  readonly #given: StructLayout | undefined;
  #viewClass: ViewClass | undefined;
  /* What a million elements are put by: the names and the putters of the fields. */
  #names: readonly string[] | undefined;
  #putters: readonly Putter[] | undefined;

  /** With a layout that is given, as an image has it; else as the fields ask for. */
  constructor(fields: Readonly<Record<string, unknown>>, given?: StructLayout) {
    super();
    if (typeof fields !== 'object' || fields === null) {
      throw invalidType('fields', 'an object of types', fields);
    }
    this.#parts = Object.keys(fields).map((name) => [name, new Part(fields[name], name)] as const);
    this.#given = given;
  }

  /* An empty one takes a byte, so that a list of them has a length that can be checked. */
  protected lay(): StructLayout {
    if (this.#given !== undefined) return this.#given;
    const fields: Field[] = [];
    let size = 0;
    let alignment = 1;
    let isFlat = true;
    for (const [name, type] of inOrder(this.#parts.map(([name, part]) => [name, part.type]))) {
      const offset = alignUp(size, type.alignment);
      fields.push({ name, type, offset });
      size = offset + type.size;
      alignment = Math.max(alignment, type.alignment);
      isFlat &&= type.isFlat;
    }
    return { fields, size: alignUp(Math.max(size, 1), alignment), alignment, isFlat };
  }

  parts(): readonly AnyType[] {
    return this.layout.fields.map(({ type }) => type);
  }

  shape(places: readonly number[]): Shape {
    return ['struct', this.layout.fields.map(({ name }, index) => [name, places[index]])];
  }

  over(parts: readonly Lazy<AnyType>[]): AnyType {
    const { fields } = this.layout;
    return new StructType(Object.fromEntries(fields.map(({ name }, at) => [name, parts[at]])));
  }

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    if (typeof value !== 'object' || value === null) {
      throw new Misfit('type', 'an object with the fields of the struct', value);
    }
    this.#putters ??= this.layout.fields.map(({ type, offset }) => type.putter(offset));
    this.#names ??= this.layout.fields.map(({ name }) => name);
    const [names, putters] = [this.#names, this.#putters];
    let index = 0;
    try {
      for (; index < names.length; index++) {
        const inner = (value as Record<string, unknown>)[names[index] as string];
        (putters[index] as Putter)(emitter, block, at, inner);
      }
    } catch (error) {
      throw within(error, names[index] as string);
    }
  }

  get(region: Region, at: number): unknown {
    this.#viewClass ??= viewClassOf(this);
    return new this.#viewClass(region, at);
  }

  copy(region: Region, at: number, depth: number): unknown {
    const pairs: [string, unknown][] = [];
    for (const { name, type, offset } of this.layout.fields) {
      const value = type.copy(region, at + offset, depth);
      if (value !== undefined) pairs.push([name, value]);
    }
    return Object.fromEntries(pairs);
  }
}

/**
 * Plain values of what a view shows: they need the image no longer.
 *
 * Shapes: objects, arrays, `Map`; numbers in a row stay typed arrays, over memory of their own.
 * Errors: `TypeError` for what is no view of a struct; `IoError` as looking does.
 */
export function copyOf<T>(view: T): Plain<T> {
  if (!(view instanceof StructView)) throw invalidType('view', 'a view of a struct', view);
  return copiers.get(Object.getPrototypeOf(view))?.(view) as Plain<T>;
}

/** A value that may be absent: a byte behind it tells. */
export class OptionalType<In, Out> extends Holder<In, Out> {
  readonly word = 'optional';
  constructor(part: unknown) {
    super(part, 'type');
  }

  protected lay(): Layout {
    const { size, alignment, isFlat } = this.inner;
    return { size: alignUp(size + 1, alignment), alignment, isFlat };
  }

  over([part]: readonly Lazy<AnyType>[]): AnyType {
    return new OptionalType(part);
  }

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    if (value === undefined || value === null) return;
    const type = this.inner;
    type.put(emitter, block, at, value);
    block.data.setUint8(at + type.size, 1);
  }

  get(region: Region, at: number): unknown {
    const type = this.inner;
    return region.data.getUint8(at + type.size) === 0 ? undefined : type.get(region, at);
  }

  copy(region: Region, at: number, depth: number): unknown {
    const type = this.inner;
    return region.data.getUint8(at + type.size) === 0 ? undefined : type.copy(region, at, depth);
  }
}

/**
 * A value that may be left out; `undefined` is seen then.
 *
 * Shapes: takes `undefined` and `null` for nothing.
 * Errors: `TypeError` for what is no type.
 */
export function optional<const T extends Lazy<AnyType>>(
  type: T,
): OptionalType<InputOf<T> | undefined | null, OutputOf<T> | undefined> {
  return new OptionalType(type);
}

/** What a reader has and the image has not: nothing, at no place. */
export class AbsentType extends Leaf<undefined, undefined> {
  readonly word = 'absent';
  readonly size = 0;
  readonly alignment = 1;
  readonly isFlat = true;

  put(): void {}

  get(): undefined {
    return undefined;
  }

  copy(): undefined {
    return undefined;
  }
}

/** A value that stands elsewhere, once, however many refer to it. */
export class RefType<In, Out> extends Holder<In, Out> {
  readonly word = 'ref';
  constructor(part: unknown) {
    super(part, 'type');
  }

  protected lay(): Layout {
    return { size: 8, alignment: 8, isFlat: false };
  }

  over([part]: readonly Lazy<AnyType>[]): AnyType {
    return new RefType(part);
  }

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    const type = this.inner;
    const shared = emitter.sharedOf(type);
    const key = Object.is(value, -0) ? NEGATIVE_ZERO : value;
    let offset = shared.get(key);
    if (offset === UNDER_WAY) {
      throw new Misfit('value', 'a value that does not refer to itself', value);
    }
    if (offset === undefined) {
      shared.set(key, UNDER_WAY);
      offset = putApart(emitter, type, value);
      shared.set(key, offset);
    }
    putCount(block.data, at, offset);
  }

  get(region: Region, at: number): unknown {
    const type = this.inner;
    const found = region.space.findOne(region, at, type);
    return type.get(found.region, found.at);
  }

  copy(region: Region, at: number, depth: number): unknown {
    checkDepth(depth, region, at);
    const type = this.inner;
    const found = region.space.findOne(region, at, type);
    return type.copy(found.region, found.at, depth + 1);
  }
}

const UNDER_WAY = -1;
/* To a Map it is 0. */
const NEGATIVE_ZERO: unique symbol = Symbol('-0');

/* What a value has elsewhere is put first, so its own place is claimed last. */
function putApart(emitter: Emitter, type: AnyType, value: unknown): number {
  const { size, alignment } = type;
  const scratch = emitter.borrow(size);
  type.put(emitter, scratch, 0, value);
  const offset = emitter.copy(scratch.bytes.subarray(0, size), alignment);
  emitter.giveBack(scratch, size);
  return offset;
}

/**
 * A value that stands elsewhere, and once: the same object, or equal text or number, is put once
 * for all who refer to it by a ref.
 *
 * Errors: `TypeError` for what is no type.
 */
export function ref<const T extends Lazy<AnyType>>(type: T): RefType<InputOf<T>, OutputOf<T>> {
  return new RefType(type);
}

/** Checks that names are texts, at least one, each once; answers them in order. */
export function orderedNames(names: readonly unknown[], argument: string): string[] {
  for (const name of names) {
    if (typeof name !== 'string') throw invalidType(argument, 'a string', name);
  }
  const ordered = [...new Set(names as readonly string[])].sort();
  if (ordered.length !== names.length || ordered.length === 0) {
    throw invalidValue(argument, 'one or more, each once', names.join(', '));
  }
  return ordered;
}

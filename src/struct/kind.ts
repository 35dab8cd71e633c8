/** What every type of a schema can do: lay itself out, put a value, get a view. */
import { byteCount } from '../bytes.js';
import { invalidType, invalidValue, outOfRange } from '../errors.js';
import type { Block, Emitter } from './emitter.js';
import type { Region } from './space.js';

/** What is written down of a type, as JSON; its parts are places in a table of types. */
export type Shape = string | readonly unknown[];

/** Puts a value at a place. */
export type Putter = (emitter: Emitter, block: Block, at: number, value: unknown) => void;

/** A type, or a function that answers it: for one that is declared later, or contains itself. */
export type Lazy<T> = T | (() => T);

/**
 * The type of a field: what it takes (`In`) and what is seen of it in an image (`Out`). Made by the
 * builders.
 */
export abstract class Type<In, Out> {
  /** Never there: it tells the compiler what is taken, and what is seen. */
  declare readonly takes?: (value: In) => void;
  declare readonly shows?: Out;
  /** What messages call it. */
  abstract readonly word: string;
  /** Bytes it takes where it stands. */
  abstract readonly size: number;
  abstract readonly alignment: number;
  /** True: all of it stands where it stands, nothing elsewhere. */
  abstract readonly isFlat: boolean;

  /** The types inside it, in an order that does not depend on the declaration. */
  abstract parts(): readonly AnyType[];

  /** Itself, with its parts as places in a table. */
  abstract shape(places: readonly number[]): Shape;

  /** This type over other parts. */
  abstract over(parts: readonly Lazy<AnyType>[]): AnyType;

  /**
   * Puts a value at a place that holds zeros, and what does not fit there into the emitter.
   * Errors: `Misfit`.
   */
  abstract put(emitter: Emitter, block: Block, at: number, value: unknown): void;

  /** What is seen of it. Errors: `IoError` of kind `corrupt` for a span that leads nowhere. */
  abstract get(region: Region, at: number): unknown;

  /** As `get`, as plain values that need the image no longer. */
  abstract copy(region: Region, at: number, depth: number): unknown;

  /** As `put`, so far behind a place. */
  putter(offset: number): Putter {
    return (emitter, block, at, value) => this.put(emitter, block, at + offset, value);
  }

  /** A getter for views of a struct, where it stands at `offset`. */
  getter(offset: number): (this: Seen) => unknown {
    const type = this;
    return function get(this: Seen): unknown {
      return type.get(this[REGION], this[AT] + offset);
    };
  }
}

export type AnyType = Type<never, unknown>;

/** How a type lies. */
export interface Layout {
  readonly size: number;
  readonly alignment: number;
  readonly isFlat: boolean;
}

/** A type made of others: laid out once, when it is first needed, for they may come later. */
export abstract class Composite<In, Out, L extends Layout = Layout> extends Type<In, Out> {
  #layout: L | undefined;
  #isUnderWay = false;

  protected abstract lay(): L;

  /** Errors: `TypeError` when the type contains itself without a list or a ref between. */
  get layout(): L {
    if (this.#layout !== undefined) return this.#layout;
    if (this.#isUnderWay) {
      throw invalidValue('schema', 'one without a type that stands inside itself', this.word);
    }
    this.#isUnderWay = true;
    try {
      const layout = this.lay();
      byteCount(layout.size, `size of ${this.word}`);
      this.#layout = layout;
      return layout;
    } finally {
      this.#isUnderWay = false;
    }
  }

  get size(): number {
    return this.layout.size;
  }

  get alignment(): number {
    return this.layout.alignment;
  }

  get isFlat(): boolean {
    return this.layout.isFlat;
  }
}

/** A type of which there is one, with nothing inside. */
export abstract class Leaf<In, Out> extends Type<In, Out> {
  parts(): readonly AnyType[] {
    return [];
  }

  shape(): Shape {
    return this.word;
  }

  over(): AnyType {
    return this;
  }
}

/** The layout of an offset and a count. */
export const SPAN: Layout = { size: 16, alignment: 8, isFlat: false };

/** What a type takes. */
export type InputOf<T> = T extends () => infer U
  ? InputOf<U>
  : T extends Type<infer In, unknown>
    ? In
    : never;

/** What is seen of a type in an image. */
export type OutputOf<T> = T extends () => infer U
  ? OutputOf<U>
  : T extends Type<never, infer Out>
    ? Out
    : never;

/** Where a view looks. */
export const REGION: unique symbol = Symbol('region');
export const AT: unique symbol = Symbol('at');

/** A view that looks at a place in an image. */
export interface Seen {
  [REGION]: Region;
  [AT]: number;
}

/** Deeper than this no value nests: a chain of records is a list with indices, not a recursion. */
export const DEPTH_MAX = 500;

/** Where a lazy type leads. Errors: `TypeError` naming the argument. */
function resolved(type: unknown, argument: string): AnyType {
  const found: unknown = typeof type === 'function' ? type() : type;
  if (found instanceof Type) return found as AnyType;
  throw invalidType(argument, 'a type of a schema, or a function that returns one', found);
}

/** Checks a type at the builder; one that is declared later is checked when it is resolved. */
function checkedType(type: unknown, argument: string): Lazy<AnyType> {
  return typeof type === 'function' ? (type as () => AnyType) : resolved(type, argument);
}

/** A lazy part, looked up once. */
export class Part {
  readonly #given: Lazy<AnyType>;
  readonly #argument: string;
  #type: AnyType | undefined;

  constructor(given: unknown, argument: string) {
    this.#given = checkedType(given, argument);
    this.#argument = argument;
  }

  get type(): AnyType {
    this.#type ??= resolved(this.#given, this.#argument);
    return this.#type;
  }
}

/** A type with one other inside. */
export abstract class Holder<In, Out> extends Composite<In, Out> {
  readonly #part: Part;

  constructor(part: unknown, argument: string) {
    super();
    this.#part = new Part(part, argument);
  }

  /** The type inside. */
  get inner(): AnyType {
    return this.#part.type;
  }

  parts(): readonly AnyType[] {
    return [this.inner];
  }

  shape([inner]: readonly number[]): Shape {
    return [this.word, inner];
  }
}

type Why = 'type' | 'value' | 'range';
type Telling = (argument: string, expected: string, actual: unknown) => Error;
const MISFITS: Readonly<Record<Why, Telling>> = {
  type: invalidType,
  value: invalidValue,
  range: outOfRange,
};

/** A value that does not fit; the path is told on the way up, then it becomes an error. */
export class Misfit extends Error {
  readonly #why: Why;
  readonly #expected: string;
  readonly #actual: unknown;
  readonly #path: string[] = [];

  constructor(why: Why, expected: string, actual: unknown) {
    super(expected);
    this.#why = why;
    this.#expected = expected;
    this.#actual = actual;
  }

  /** Adds the field or the place that held the value. */
  within(step: string | number): this {
    this.#path.unshift(typeof step === 'number' ? `[${step}]` : `.${step}`);
    return this;
  }

  /** The error for the caller. */
  told(): Error {
    return MISFITS[this.#why](`value${this.#path.join('')}`, this.#expected, this.#actual);
  }
}

/** What goes wrong inside a field or an element is told with its name. */
export function within(error: unknown, step: string | number): unknown {
  return error instanceof Misfit ? error.within(step) : error;
}

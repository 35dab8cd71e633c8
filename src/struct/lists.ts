/** Lists and arrays: rows of numbers as typed arrays, all else as a view that looks on demand. */
import { byteCount } from '../bytes.js';
import { outOfRange } from '../errors.js';
import type { Block, Emitter } from './emitter.js';
import {
  type AnyType,
  AT,
  Holder,
  type InputOf,
  type Layout,
  type Lazy,
  Misfit,
  type OutputOf,
  type Putter,
  REGION,
  type Seen,
  type Shape,
  SPAN,
  within,
} from './kind.js';
import { type Row, Scalar } from './scalars.js';
import { checkDepth, countAt, type Found, putCount, type Region, type Span } from './space.js';
import { empty, putSpan } from './spans.js';

/* Elements with something elsewhere lie in segments, so that a list of any length needs no more
 * memory than one of them while it is written: docs/image-format.md. */
const SEGMENT_BYTES = 16384;

/** Elements in a segment: a power of two, so that it is a shift away. */
function segmentCountOf(size: number): number {
  let count = 1;
  while (count * 2 * size <= SEGMENT_BYTES) count *= 2;
  return count;
}

/** A list under construction. */
export class ListBuilder {
  readonly #emitter: Emitter;
  readonly #size: number;
  readonly #alignment: number;
  readonly #isFlat: boolean;
  readonly #put: Putter;
  readonly #segmentCount: number;
  #scratch: Block | undefined;
  #start = 0;
  #segments: number[] = [];
  #inSegment = 0;
  #count = 0;

  constructor(emitter: Emitter, element: AnyType) {
    this.#emitter = emitter;
    this.#size = element.size;
    this.#alignment = element.alignment;
    this.#isFlat = element.isFlat;
    this.#put = element.putter(0);
    this.#segmentCount = segmentCountOf(element.size);
  }

  /** Errors: `Misfit` with the index. */
  add(value: unknown): void {
    try {
      if (this.#isFlat) this.#addFlat(value);
      else this.#addDeep(value);
    } catch (error) {
      throw within(error, this.#count);
    }
    this.#count++;
  }

  #addFlat(value: unknown): void {
    const emitter = this.#emitter;
    const at = emitter.claim(this.#size, this.#alignment);
    if (this.#count === 0) this.#start = emitter.placeOf(at);
    this.#put(emitter, emitter.block, at, value);
  }

  #addDeep(value: unknown): void {
    const size = this.#size;
    this.#scratch ??= this.#emitter.borrow(this.#segmentCount * size);
    this.#put(this.#emitter, this.#scratch, this.#inSegment * size, value);
    this.#inSegment++;
    if (this.#inSegment === this.#segmentCount) this.#endSegment(this.#scratch);
  }

  #endSegment(scratch: Block): void {
    const used = scratch.bytes.subarray(0, this.#inSegment * this.#size);
    this.#segments.push(this.#emitter.copy(used, this.#alignment));
    used.fill(0);
    this.#inSegment = 0;
  }

  /** Puts where the list is, and how long. */
  end(block: Block, at: number): void {
    if (this.#scratch !== undefined) {
      if (this.#inSegment > 0) this.#endSegment(this.#scratch);
      this.#emitter.giveBack(this.#scratch, 0);
      const [first = 0, ...more] = this.#segments;
      this.#start = more.length === 0 ? first : this.#table();
    }
    putSpan(block, at, this.#start, this.#count);
  }

  #table(): number {
    let start = 0;
    for (const [index, offset] of this.#segments.entries()) {
      const at = this.#emitter.claim(8, 8);
      if (index === 0) start = this.#emitter.placeOf(at);
      putCount(this.#emitter.block.data, at, offset);
    }
    return start;
  }
}

/** Elements of an image in a row: looked at one by one, nothing is read ahead. */
export class ListView<T> implements Iterable<T> {
  /** How many elements there are. */
  readonly length: number;
  readonly #element: AnyType;
  readonly #segmentCount: number;
  /* Of the elements, or of the table of their segments. */
  readonly #home: Found;
  readonly #isInPieces: boolean;
  /* The segment looked at last. */
  #segment = -1;
  #region: Region;
  #at: number;

  /** For lists and arrays, which have checked where the elements are. */
  constructor(element: AnyType, home: Found, length: number, isInPieces: boolean) {
    this.length = length;
    this.#element = element;
    this.#home = home;
    this.#isInPieces = isInPieces;
    this.#segmentCount = isInPieces ? segmentCountOf(element.size) : Number.POSITIVE_INFINITY;
    this.#region = home.region;
    this.#at = home.at;
  }

  /**
   * The element at an index, counted from the end if it is negative; `undefined` if there is none.
   *
   * Errors: `IoError` of kind `corrupt` where the image is damaged, `closed` when it was closed.
   */
  at(index: number): T | undefined {
    const whole = Math.trunc(index) || 0;
    const place = whole < 0 ? whole + this.length : whole;
    if (place < 0 || place >= this.length) return undefined;
    const at = this.#find(place);
    return this.#element.get(this.#region, at) as T;
  }

  /** The elements in order, each in a view of its own. Errors: as `at`. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let index = 0; index < this.length; index++) {
      const at = this.#find(index);
      yield this.#element.get(this.#region, at) as T;
    }
  }

  /**
   * The elements in order, in one view that moves on: no object for each.
   *
   * Lifetime: an element is good until the next one; take what is to be kept out of it.
   * Errors: as `at`.
   */
  *scan(): Generator<T, void, undefined> {
    if (this.length === 0) return;
    const first = this.#find(0);
    const view = this.#element.get(this.#region, first);
    if (!isSeen(view)) return yield* this;
    for (let index = 0; index < this.length; index++) {
      view[AT] = this.#find(index);
      view[REGION] = this.#region;
      yield view as T;
    }
  }

  /** All elements. Errors: as `at`; `RangeError` when there are more than an array can hold. */
  toArray(): T[] {
    return Array.from(this);
  }

  /** Asks where an element is what there is to know of it. For the search in a map. */
  visit(index: number, ask: (region: Region, at: number) => number): number {
    const at = this.#find(index);
    return ask(this.#region, at);
  }

  /** All elements as plain values. For the copy of what holds the list. */
  copied(depth: number): unknown[] {
    const values: unknown[] = [];
    for (let index = 0; index < this.length; index++) {
      const at = this.#find(index);
      values.push(this.#element.copy(this.#region, at, depth));
    }
    return values;
  }

  /** Moves to the element: where in the region it is. */
  #find(index: number): number {
    const { size } = this.#element;
    if (!this.#isInPieces) {
      const at = this.#home.at + index * size;
      this.#region.space.verify(this.#region.base + at, size);
      return at;
    }
    const segment = Math.floor(index / this.#segmentCount);
    if (segment !== this.#segment) this.#enter(segment);
    this.#region.space.checkAlive();
    return this.#at + (index - segment * this.#segmentCount) * size;
  }

  #enter(segment: number): void {
    const { region, at } = this.#home;
    const place = at + segment * 8;
    const { size, alignment } = this.#element;
    const before = segment * this.#segmentCount;
    const count = Math.min(this.#segmentCount, this.length - before);
    const span: Span = { offset: countAt(region, place), count, size, alignment };
    const found = region.space.find(region, place, span);
    this.#region = found.region;
    this.#at = found.at;
    this.#segment = segment;
  }
}

function isSeen(view: unknown): view is Seen {
  return typeof view === 'object' && view !== null && REGION in view;
}

/** What a list is given as. */
type ListInput<T> = Iterable<T> | AsyncIterable<T>;
/** What a list or an array of these elements is seen as. */
type ListOutput<T> = T extends () => infer U
  ? ListOutput<U>
  : T extends Scalar<never, unknown, infer R>
    ? R
    : ListView<OutputOf<T>>;
type RowInput<T> = T extends () => infer U
  ? RowInput<U>
  : T extends Scalar<never, unknown, infer R>
    ? R
    : never;

/** Elements in a row, as many as there are. */
export class ListType<In, Out> extends Holder<In, Out> {
  readonly word = 'list';
  constructor(element: unknown) {
    super(element, 'element');
  }

  protected lay(): Layout {
    return SPAN;
  }

  over([element]: readonly Lazy<AnyType>[]): AnyType {
    return new ListType(element);
  }

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    const element = this.inner;
    const row = element instanceof Scalar ? element.bytesOf(value) : undefined;
    if (row !== undefined) {
      if (row.length === 0) return;
      const offset = emitter.put(row, element.alignment);
      putSpan(block, at, offset, row.length / element.size);
      return;
    }
    const builder = new ListBuilder(emitter, element);
    if (Array.isArray(value)) {
      for (let index = 0; index < value.length; index++) builder.add(value[index]);
    } else {
      for (const one of iterableOf(value)) builder.add(one);
    }
    builder.end(block, at);
  }

  get(region: Region, at: number): unknown {
    const element = this.inner;
    const count = countAt(region, at + 8);
    const { size, alignment } = element;
    if (element instanceof Scalar) {
      if (count === 0) return empty(region, element.emptyRow());
      const span: Span = { offset: countAt(region, at), count, size, alignment };
      const found = region.space.find(region, at, span);
      return element.rowAt(found.region, found.at, count);
    }
    return this.view(region, at, count);
  }

  view(region: Region, at: number, count: number): ListView<unknown> {
    const element = this.inner;
    const { size, alignment } = element;
    if (count === 0) return empty(region, new ListView(element, { region, at }, 0, false));
    const offset = countAt(region, at);
    const segmentCount = segmentCountOf(size);
    const isInPieces = !element.isFlat && count > segmentCount;
    const tableCount = Math.ceil(count / segmentCount);
    const span: Span = isInPieces
      ? { offset, count: tableCount, size: 8, alignment: 8 }
      : { offset, count, size, alignment };
    const { space } = region;
    const home = isInPieces ? space.find(region, at, span) : space.locate(region, at, span);
    return new ListView(element, home, count, isInPieces);
  }

  copy(region: Region, at: number, depth: number): unknown {
    checkDepth(depth, region, at);
    const seen = this.get(region, at);
    return seen instanceof ListView ? seen.copied(depth + 1) : (seen as Row).slice();
  }
}

/** Takes a value as an iterable; text is none here. Errors: `Misfit`. */
export function iterableOf(value: unknown): Iterable<unknown> {
  if (typeof value === 'object' && value !== null && Symbol.iterator in value) {
    return value as Iterable<unknown>;
  }
  const isLater = typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
  const where = isLater ? ' (an async one only as a field of the root)' : '';
  throw new Misfit('type', `an iterable${where}`, value);
}

/**
 * Any number of elements. Rows of numbers are seen as a typed array over the image, others as a
 * `ListView`.
 *
 * Shapes: takes an array, a typed array of the same numbers (written from where it lies), any
 * iterable; as a field of the root an async iterable too, written as it comes.
 * Errors: `TypeError` for an element that is no type.
 */
export function list<const T extends Lazy<AnyType>>(
  element: T,
): ListType<ListInput<InputOf<T>> | RowInput<T>, ListOutput<T>> {
  return new ListType(element);
}

/** As many elements as the schema says, where the array itself stands. */
export class ArrayType<In, Out> extends Holder<In, Out> {
  readonly word = 'array';
  readonly #count: number;

  constructor(element: unknown, count: number) {
    super(element, 'element');
    this.#count = byteCount(count, 'count');
    if (count < 1) throw outOfRange('count', '1 or more', count);
  }

  get count(): number {
    return this.#count;
  }

  protected lay(): Layout {
    const { size, alignment, isFlat } = this.inner;
    return { size: size * this.#count, alignment, isFlat };
  }

  override shape([element]: readonly number[]): Shape {
    return [this.word, element, this.#count];
  }

  over([element]: readonly Lazy<AnyType>[]): AnyType {
    return new ArrayType(element, this.#count);
  }

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    const element = this.inner;
    const row = element instanceof Scalar ? element.bytesOf(value) : undefined;
    if (row !== undefined && row.length === this.size) {
      block.bytes.set(row, at);
      return;
    }
    let index = 0;
    for (const one of iterableOf(value)) {
      if (index === this.#count) throw this.#wrongCount('more');
      try {
        element.put(emitter, block, at + index * element.size, one);
      } catch (error) {
        throw within(error, index);
      }
      index++;
    }
    if (index < this.#count) throw this.#wrongCount(index);
  }

  #wrongCount(count: number | string): Misfit {
    return new Misfit('value', `exactly ${this.#count} elements`, `${count} of them`);
  }

  get(region: Region, at: number): unknown {
    const element = this.inner;
    if (element instanceof Scalar) return element.rowAt(region, at, this.#count);
    return new ListView(element, { region, at }, this.#count, false);
  }

  copy(region: Region, at: number, depth: number): unknown {
    const seen = this.get(region, at);
    return seen instanceof ListView ? seen.copied(depth) : (seen as Row).slice();
  }
}

/**
 * A fixed number of elements, inside what holds it. Seen as a list is.
 *
 * Errors: `TypeError` for an element that is no type; `RangeError` for a count below 1.
 */
export function array<const T extends Lazy<AnyType>>(
  element: T,
  count: number,
): ArrayType<Iterable<InputOf<T>> | RowInput<T>, ListOutput<T>> {
  return new ArrayType(element, count);
}

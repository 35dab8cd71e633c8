/**
 * Schemas over images: types that lay themselves out, put values, and show them again as views that
 * look at the bytes when they are asked. It knows no files and does no I/O.
 *
 * Invariants: 1. A layout follows from the structure alone: the order in which fields, names and
 *                alternatives were declared means nothing. Little-endian, naturally aligned.
 *             2. What a place refers to stands wholly before it. So every span is checked by
 *                bounds, alignment and order, and no chain of them comes back.
 *             3. Equal input gives equal bytes: padding is zeros, maps are sorted, NaN is one.
 *             4. Nothing is read ahead: a view is a place, and a getter reads what it shows.
 * Not promised: that properties a schema does not name are kept: they are passed over. That bytes
 * of a typed array are as its elements would have been put: they are taken as they lie.
 * Source: docs/image-format.md; the rules of alignment of the x86-64 psABI, section 3.1.2
 */
import { invalidType, invalidValue } from './errors.js';
import { adapt, type Difference, describe, hashOf, readDescription } from './struct/description.js';
import { type Fields, StructType, type ValueOf, type ViewOf } from './struct/records.js';

export { type EnumerationType, enumeration, type UnionType, union } from './struct/choices.js';
export type { Difference } from './struct/description.js';
export { Emitter, type Sink } from './struct/emitter.js';
export { encodeSteps, type Starts, type Wait } from './struct/encoding.js';
export {
  type AnyType,
  type InputOf,
  type Lazy,
  type OutputOf,
  Type,
} from './struct/kind.js';
export { type ArrayType, array, type ListType, ListView, list } from './struct/lists.js';
export { type MapType, MapView, map } from './struct/maps.js';
export type { Plain } from './struct/plain.js';
export {
  copyOf,
  type Fields,
  type OptionalType,
  optional,
  type RefType,
  ref,
  type ValueOf,
  type ViewOf,
} from './struct/records.js';
export {
  bool,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  type Row,
  type Scalar,
  u8,
  u16,
  u32,
  u64,
} from './struct/scalars.js';
export { damaged, type Guard, type Region, Space } from './struct/space.js';
export { bytes, text } from './struct/spans.js';

/** A struct as it is described in an image, or declared by `struct`. */
export type Described = StructType<never, unknown>;

/** A schema, whatever its fields. */
export interface AnySchema extends Described {
  readonly description: string;
  readonly layoutHash: string;
  readonly hash: bigint;
}

/** A struct that images can hold: its fields, its layout, and what tells it from others. */
export class Schema<F extends Fields> extends StructType<ValueOf<F>, ViewOf<F>> {
  #description: string | undefined;
  #hash: bigint | undefined;

  /** What it is, as text that an image carries. Errors: `TypeError` for a type inside itself. */
  get description(): string {
    this.#description ??= describe(this);
    return this.#description;
  }

  /**
   * 16 hexadecimal digits: the same for the same structure.
   *
   * Errors: `TypeError` for a type that stands inside itself without a list or a ref between.
   */
  get layoutHash(): string {
    return this.hash.toString(16).padStart(16, '0');
  }

  /** The layout hash as a number. */
  get hash(): bigint {
    this.#hash ??= hashOf(this.description);
    return this.#hash;
  }
}

/**
 * Declares a struct. Its fields have names and types; a type may be a function that returns it,
 * where it is declared later or contains itself.
 *
 * Shapes: `struct({ id: u32, name: text, points: list(f64) })`; what is put in and what is seen
 * have their TypeScript types from it: `InputOf<typeof schema>`, `OutputOf<typeof schema>`.
 * Errors: `TypeError` naming the field for what is no type.
 */
export function struct<const F extends Fields>(fields: F): Schema<F> {
  return new Schema<F>(fields);
}

/** Takes an argument as a schema. Errors: `TypeError` naming it; for one inside itself, too. */
export function schemaOf(schema: unknown): AnySchema {
  if (!(schema instanceof Schema)) throw invalidType('schema', 'made by struct()', schema);
  schema.description;
  return schema as AnySchema;
}

/**
 * The struct by which an image with this description shows what the schema wants; or where they
 * differ.
 *
 * Errors: `IoError` of kind `corrupt` for a description that is none.
 */
export function seenAs(
  description: string,
  schema: AnySchema,
  offset: number,
  path?: string,
): { readonly image: Described; readonly seen: Described | Difference } {
  if (description === schema.description) return { image: schema, seen: schema };
  const image = readDescription(description, offset, path);
  return { image, seen: adapt(image, schema) };
}

/**
 * The schema that a description is of: what an image has that nobody has a schema for.
 *
 * Errors: `IoError` of kind `corrupt` for a description that is none.
 */
export function schemaIn(description: string, offset: number, path?: string): Schema<Fields> {
  const { fields } = readDescription(description, offset, path).layout;
  const types = fields.map(({ name, type }) => [name, type] as const);
  return new Schema(Object.fromEntries(types) as unknown as Fields);
}

/** True for a place where an image and a schema differ. */
export function isDifference(seen: Described | Difference): seen is Difference {
  return !(seen instanceof StructType);
}

/** The field of that name. Errors: `TypeError` naming those there are. */
export function fieldIndexOf({ layout }: Described, name: unknown, argument: string): number {
  const index = layout.fields.findIndex((field) => field.name === name);
  if (index >= 0) return index;
  const names = layout.fields.map((field) => field.name).join(', ');
  throw invalidValue(argument, `one of ${names}`, name);
}

/**
 * Schemas as text, which an image carries: so that an image can be compared with a schema field by
 * field, and read with an older or a newer one.
 */
import { EnumerationType, UnionType } from './choices.js';
import type { AnyType, Shape } from './kind.js';
import { ArrayType, ListType } from './lists.js';
import { MapType } from './maps.js';
import { AbsentType, type Field, OptionalType, RefType, StructType } from './records.js';
import { scalars } from './scalars.js';
import { damaged } from './space.js';
import { spans } from './spans.js';

const TYPES_MAX = 65536;

/* Each type that can be reached, once. */
function reached(root: AnyType): AnyType[] {
  const types = new Set<AnyType>([root]);
  for (const type of types) for (const part of type.parts()) types.add(part);
  return [...types];
}

/*
 * Classes of types that nothing tells apart: two that look alike with parts that look alike. As the
 * minimal automaton is found, by refining; so types declared twice, or inside themselves, come to
 * one (Moore 1956).
 */
function classesOf(types: readonly AnyType[]): Map<AnyType, number> {
  let classes = new Map<AnyType, number>(types.map((type) => [type, 0]));
  for (let count = 0; ; ) {
    const labels = types.map((type) => {
      const parts = type.parts().map((part) => classes.get(part) as number);
      return JSON.stringify([classes.get(type), type.shape(parts)]);
    });
    const distinct = new Map([...new Set(labels)].map((label, index) => [label, index]));
    classes = new Map(
      types.map((type, at) => [type, distinct.get(labels[at] as string) as number]),
    );
    if (distinct.size === count) return classes;
    count = distinct.size;
  }
}

/**
 * A schema as JSON: a table of types, the root first, each with its parts as places in the table.
 * The same for the same structure, in whatever order the fields were declared.
 */
export function describe(root: AnyType): string {
  const classes = classesOf(reached(root));
  const places = new Map<number, number>();
  const table: AnyType[] = [];
  const placeOf = (type: AnyType): number => {
    const own = classes.get(type) as number;
    let place = places.get(own);
    if (place === undefined) {
      place = table.length;
      places.set(own, place);
      table.push(type);
    }
    return place;
  };
  placeOf(root);
  const shapes: Shape[] = [];
  for (let place = 0; place < table.length; place++) {
    const type = table[place] as AnyType;
    shapes.push(type.shape(type.parts().map(placeOf)));
  }
  return JSON.stringify(shapes);
}

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** FNV-1a of 64 bits: it finds a layout, the description itself proves it. */
export function hashOf(description: string): bigint {
  let hash = FNV_OFFSET;
  for (const byte of Buffer.from(description, 'utf8')) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  }
  return hash;
}

type Table = readonly (() => AnyType)[];

function partOf(table: Table, place: unknown): () => AnyType {
  const part = typeof place === 'number' ? table[place] : undefined;
  if (part === undefined) throw new TypeError('a part that is not in the table');
  return part;
}

function named(table: Table, pairs: unknown): Record<string, () => AnyType> {
  const named = (pairs as readonly (readonly [string, unknown])[]).map(([name, place]) => {
    if (typeof name !== 'string') throw new TypeError('a name that is no text');
    return [name, partOf(table, place)] as const;
  });
  const fields = Object.fromEntries(named);
  if (Object.keys(fields).length !== named.length) throw new TypeError('a name twice');
  return fields;
}

function typeOf(table: Table, shape: unknown): AnyType {
  if (typeof shape === 'string') {
    const type = scalars.get(shape) ?? spans.get(shape);
    if (type !== undefined) return type;
    throw new TypeError('a type that is not known');
  }
  const [word, first, second] = shape as readonly unknown[];
  switch (word) {
    case 'struct':
      return new StructType(named(table, first));
    case 'union':
      return new UnionType(named(table, first));
    case 'enumeration':
      return new EnumerationType(first as readonly unknown[]);
    case 'list':
      return new ListType(partOf(table, first));
    case 'array':
      return new ArrayType(partOf(table, first), second as number);
    case 'map':
      return new MapType(partOf(table, first), partOf(table, second));
    case 'optional':
      return new OptionalType(partOf(table, first));
    case 'ref':
      return new RefType(partOf(table, first));
    default:
      throw new TypeError('a type that is not known');
  }
}

/**
 * The struct that a description is of.
 *
 * Errors: `IoError` of kind `corrupt` for a description that is none.
 */
export function readDescription(
  description: string,
  offset: number,
  path?: string,
): StructType<never, unknown> {
  try {
    const shapes = JSON.parse(description) as readonly unknown[];
    if (!Array.isArray(shapes) || shapes.length > TYPES_MAX) throw new TypeError('no table');
    const types: AnyType[] = [];
    const table: Table = shapes.map((_, place) => () => types[place] as AnyType);
    for (const shape of shapes) types.push(typeOf(table, shape));
    for (const type of types) if (type.size > 0) type.parts();
    const [root] = types;
    if (root instanceof StructType) return root;
    throw new TypeError('the root is no struct');
  } catch (error) {
    throw damaged(`its layout is not described: ${(error as Error).message}`, offset, path);
  }
}

/** Where an image and a schema differ. */
export interface Difference {
  readonly field: string;
  readonly image: string;
  readonly schema: string;
}

class Differs extends Error {
  readonly difference: Difference;

  constructor(difference: Difference) {
    super(`the field "${difference.field}" differs`);
    this.difference = difference;
  }
}

function wordsOf(type: AnyType | undefined): string {
  if (type === undefined) return 'not there';
  const shape = type.shape(type.parts().map(() => 0));
  if (type instanceof EnumerationType) return `enumeration of ${(shape[1] as string[]).join(', ')}`;
  if (type instanceof ArrayType) return `array of ${type.count}`;
  return type.word;
}

/* What an image has, with the fields of a reader: laid out as the image is. */
class Adaption {
  readonly #done = new Map<AnyType, Map<AnyType, AnyType>>();

  adapted(image: AnyType, schema: AnyType, path: string): AnyType {
    const known = this.#done.get(image)?.get(schema);
    if (known !== undefined) return known;
    if (image instanceof StructType && schema instanceof StructType) {
      return this.#struct(image, schema, path);
    }
    const [own, other] = [image.parts(), schema.parts()];
    const shapes = [image, schema].map((type) => JSON.stringify(type.shape(own.map(() => 0))));
    if (own.length !== other.length || shapes[0] !== shapes[1]) {
      const difference = { field: path, image: wordsOf(image), schema: wordsOf(schema) };
      throw new Differs(difference);
    }
    if (own.length === 0) return image;
    const parts: AnyType[] = [];
    const adapted = image.over(own.map((_, index) => () => parts[index] as AnyType));
    this.#keep(image, schema, adapted);
    const step = image instanceof ListType || image instanceof ArrayType ? '[]' : '';
    for (const [index, part] of own.entries()) {
      parts.push(this.adapted(part, other[index] as AnyType, `${path}${step}`));
    }
    return adapted;
  }

  #keep(image: AnyType, schema: AnyType, adapted: AnyType): void {
    const done = this.#done.get(image) ?? new Map<AnyType, AnyType>();
    this.#done.set(image, done.set(schema, adapted));
  }

  #struct(
    image: StructType<never, unknown>,
    schema: StructType<never, unknown>,
    path: string,
  ): AnyType {
    const { layout } = image;
    const fields: Field[] = [];
    const adapted = new StructType({}, { ...layout, fields });
    this.#keep(image, schema, adapted);
    const inImage = new Map(layout.fields.map((field) => [field.name, field]));
    for (const { name, type } of schema.layout.fields) {
      const field = inImage.get(name);
      inImage.delete(name);
      const here = path === '' ? name : `${path}.${name}`;
      if (field !== undefined) {
        const { offset } = field;
        fields.push({ name, offset, type: this.adapted(field.type, type, here) });
      } else if (type instanceof OptionalType) {
        fields.push({ name, offset: 0, type: new AbsentType() });
      } else {
        throw new Differs({ field: here, image: wordsOf(undefined), schema: wordsOf(type) });
      }
    }
    for (const [name, { type }] of inImage) {
      if (type instanceof OptionalType) continue;
      const here = path === '' ? name : `${path}.${name}`;
      throw new Differs({ field: here, image: wordsOf(type), schema: wordsOf(undefined) });
    }
    return adapted;
  }
}

/**
 * What an image holds, as a schema sees it: optional fields that only one of them has are no
 * obstacle, everything else is a difference.
 */
export function adapt(
  image: StructType<never, unknown>,
  schema: StructType<never, unknown>,
): StructType<never, unknown> | Difference {
  try {
    return new Adaption().adapted(image, schema, '') as StructType<never, unknown>;
  } catch (error) {
    if (error instanceof Differs) return error.difference;
    throw error;
  }
}

/** Schemas and values at random: what is declared, what may be put, what must be seen again. */
import fc from 'fast-check';
import {
  type AnyType,
  array,
  bool,
  bytes,
  enumeration,
  type Fields,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  list,
  map,
  optional,
  ref,
  type Schema,
  struct,
  text,
  u8,
  u16,
  u32,
  u64,
  union,
} from '#holdfast/struct.js';

/** A type, the values it takes, and what a copy of such a value is. */
interface Kind {
  readonly type: AnyType;
  readonly values: fc.Arbitrary<unknown>;
  readonly plain: (value: never) => unknown;
  /** The typed array that rows of it are copied as. */
  readonly row?: { from(values: Iterable<never>): unknown };
}

const same = (value: never): unknown => value;
const whole = (type: AnyType, min: number, max: number, row: unknown): Kind => ({
  type,
  values: fc.integer({ min, max }),
  plain: same,
  row: row as never,
});

const floats = fc.oneof(fc.double(), fc.constantFrom(0, -0, Number.NaN, Number.POSITIVE_INFINITY));

const SCALARS: readonly Kind[] = [
  whole(u8, 0, 0xff, Uint8Array),
  whole(i8, -0x80, 0x7f, Int8Array),
  whole(u16, 0, 0xffff, Uint16Array),
  whole(i16, -0x8000, 0x7fff, Int16Array),
  whole(u32, 0, 0xffffffff, Uint32Array),
  whole(i32, -0x80000000, 0x7fffffff, Int32Array),
  { type: f64, values: floats, plain: same, row: Float64Array as never },
  { type: f32, values: fc.float(), plain: same, row: Float32Array as never },
  {
    type: u64,
    values: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    plain: same,
    row: BigUint64Array as never,
  },
  {
    type: i64,
    values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    plain: same,
    row: BigInt64Array as never,
  },
];

/* Well formed: half a surrogate pair is refused, elsewhere. */
const texts = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
);

const SIMPLE: readonly Kind[] = [
  ...SCALARS,
  { type: bool, values: fc.boolean(), plain: same },
  { type: text, values: texts, plain: same },
  { type: enumeration('x', 'y', 'zett'), values: fc.constantFrom('zett', 'x'), plain: same },
  {
    type: bytes,
    values: fc.uint8Array({ maxLength: 40 }),
    plain: (value: Uint8Array) => new Uint8Array(value),
  },
];

type Maker = (kinds: fc.Arbitrary<Kind>) => fc.Arbitrary<Kind>;

const lists: Maker = (kinds) =>
  kinds.map(({ type, values, plain, row }) => ({
    type: list(type),
    values: fc.array(values, { maxLength: 8 }),
    plain: (value: never[]) => (row === undefined ? value.map(plain) : row.from(value)),
  }));

const arrays: Maker = (kinds) =>
  kinds.map(({ type, values, plain, row }) => ({
    type: array(type, 3),
    values: fc.array(values, { minLength: 3, maxLength: 3 }),
    plain: (value: never[]) => (row === undefined ? value.map(plain) : row.from(value)),
  }));

const optionals: Maker = (kinds) =>
  kinds.map(({ type, values, plain }) => ({
    type: optional(type),
    values: fc.option(values, { nil: undefined }),
    plain: (value: never) => (value === undefined ? undefined : plain(value)),
  }));

const refs: Maker = (kinds) =>
  kinds.map(({ type, values, plain }) => ({ type: ref(type), values, plain }));

const maps: Maker = (kinds) =>
  kinds.chain(({ type, values, plain }) =>
    fc
      .constantFrom(...SIMPLE.filter((kind) => [text, u8, i32, u64].includes(kind.type as never)))
      .map(
        (key): Kind => ({
          type: map(key.type, type),
          values: fc
            .uniqueArray(fc.tuple(key.values, values), {
              maxLength: 8,
              selector: ([chosen]) => chosen,
            })
            .map((pairs) => new Map(pairs)),
          plain: (value: Map<never, never>) =>
            new Map([...value].map(([one, inner]) => [one, plain(inner)])),
        }),
      ),
  );

function fieldsOf(kinds: fc.Arbitrary<Kind>): fc.Arbitrary<Record<string, Kind>> {
  return fc.dictionary(fc.string({ minLength: 1, maxLength: 6 }), kinds, { maxKeys: 5 });
}

function structOf(fields: Record<string, Kind>): Kind {
  const names = Object.keys(fields);
  const kindOf = (name: string): Kind => fields[name] as Kind;
  return {
    type: struct(Object.fromEntries(names.map((name) => [name, kindOf(name).type]))),
    values: fc
      .tuple(...names.map((name) => kindOf(name).values))
      .map((values) => Object.fromEntries(names.map((name, index) => [name, values[index]]))),
    plain: (value: Record<string, never>) => {
      const pairs = names.map((name) => [name, kindOf(name).plain(value[name] as never)] as const);
      return Object.fromEntries(pairs.filter(([, one]) => one !== undefined));
    },
  };
}

const structs: Maker = (kinds) => fieldsOf(kinds).map(structOf);

const unions: Maker = (kinds) =>
  fc.tuple(kinds, kinds).map(([one, other]) => ({
    type: union({ one: one.type, other: other.type }),
    values: fc.oneof(
      one.values.map((value) => ({ kind: 'one', value })),
      other.values.map((value) => ({ kind: 'other', value })),
    ),
    plain: ({ kind, value }: { kind: string; value: never }) => ({
      kind,
      value: (kind === 'one' ? one : other).plain(value),
    }),
  }));

function kindsOf(depth: number): fc.Arbitrary<Kind> {
  const simple = fc.constantFrom(...SIMPLE);
  if (depth === 0) return simple;
  const inner = kindsOf(depth - 1);
  const makers = [lists, arrays, optionals, refs, maps, structs, unions];
  return fc.oneof(simple, ...makers.map((make) => make(inner)));
}

/** A schema, a value of it, and what its copy is. */
export interface Example {
  readonly schema: Schema<Fields>;
  readonly value: never;
  readonly plain: unknown;
}

/** Schemas with values. */
export const examples: fc.Arbitrary<Example> = fieldsOf(kindsOf(3)).chain((fields) => {
  const { type, values, plain } = structOf(fields);
  return values.map((value) => ({
    schema: type as unknown as Schema<Fields>,
    value: value as never,
    plain: plain(value as never),
  }));
});

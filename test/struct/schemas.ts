/** Schemas that tests share: one with every type, one inside itself. */
import {
  array,
  bool,
  bytes,
  enumeration,
  f32,
  f64,
  type InputOf,
  list,
  map,
  optional,
  ref,
  struct,
  type Type,
  text,
  u32,
  u64,
  union,
} from '#holdfast/struct.js';

export const Point = struct({ x: f64, y: f64 });
export const Shape = struct({
  id: u32,
  name: text,
  points: list(f64),
  child: ref(Point),
  corners: list(Point),
  tags: list(text),
  note: optional(text),
  raw: bytes,
  matrix: array(f32, 4),
  colour: enumeration('red', 'green'),
  size: union({ exact: u64, rough: text }),
  isOpen: bool,
  counts: map(text, u32),
});
export const shape: InputOf<typeof Shape> = {
  id: 7,
  name: 'häuschen',
  points: [1.5, -0, Number.NaN],
  child: { x: 1, y: 2 },
  corners: [
    { x: 0, y: 0 },
    { x: 3, y: 4 },
  ],
  tags: ['a', '', 'ccc'],
  raw: Uint16Array.of(1, 2),
  matrix: [1, 2, 3, 4],
  colour: 'green',
  size: { kind: 'exact', value: 5 },
  isOpen: true,
  counts: { b: 2, a: 1 },
};

export interface Tree {
  readonly name: string;
  readonly kids: readonly Tree[];
}
export const Tree = struct({ name: text, kids: list((): Type<Tree, Tree> => Tree as never) });

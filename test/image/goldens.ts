/** Images that are kept: what they hold, and where they are. */
import { join } from 'node:path';
import { list, map, struct, text, u32 } from 'holdfast/image';
import { Shape, shape } from '../struct/schemas.js';
import { projectRoot } from '../support/scratch.js';

const Segments = struct({
  words: list(text),
  pairs: list(struct({ n: u32, name: text })),
  index: map(text, u32),
});

const numbers = Array.from({ length: 1500 }, (_, n) => n);

/** One with every type; one with lists in several segments. */
export const goldens = [
  { name: 'types', schema: Shape, value: shape },
  {
    name: 'segments',
    schema: Segments,
    value: {
      words: numbers.map((n) => `word ${n}`),
      pairs: numbers.map((n) => ({ n, name: `name ${n}` })),
      index: numbers.map((n) => [`key ${n}`, n] as const),
    },
  },
] as const;

/** The kept file of a name. */
export function golden(name: string): string {
  return join(projectRoot, 'test/golden', `image-v1-${name}.image`);
}

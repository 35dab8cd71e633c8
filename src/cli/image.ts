/** `holdfast image`: what an image holds, by its own description, and whether it is as written. */
import { openImage, readImageSchema, type SectionReport } from '../image.js';
import { IoError } from '../index.js';
import { type Command, EXIT, type Given } from './command.js';
import { bytesText } from './terminal.js';

/* What a type stands for is told so many types deep. */
const DEPTH_MAX = 3;

type Shape = string | readonly [word: string, ...parts: unknown[]];

/** A type of a description (docs/image-format.md) in words. */
function wordsOf(shapes: readonly Shape[], place: number, depth = 0): string {
  const shape = shapes[place];
  if (shape === undefined) return '?';
  if (typeof shape === 'string') return shape;
  const [word, first, second] = shape;
  const part = (at: unknown): string => wordsOf(shapes, at as number, depth + 1);
  if (word === 'enumeration') return `enumeration of ${(first as string[]).join(', ')}`;
  if (word === 'struct' || word === 'union') {
    if (depth >= DEPTH_MAX) return `${word} { … }`;
    const pairs = first as readonly (readonly [string, number])[];
    return `${word} { ${pairs.map(([name, at]) => `${name}: ${part(at)}`).join(', ')} }`;
  }
  if (depth >= DEPTH_MAX) return `${word} of …`;
  if (word === 'map') return `map of ${part(first)} to ${part(second)}`;
  if (word === 'array') return `array of ${second} ${part(first)}`;
  return `${word} of ${part(first)}`;
}

interface Field extends Omit<SectionReport, 'isLoaded'> {
  readonly type: string;
}

interface Inspected {
  readonly path: string;
  readonly bytes: number;
  readonly layoutHash: string;
  readonly fields: readonly Field[];
  readonly isIntact?: boolean;
}

async function looked(path: string, signal: AbortSignal, isVerified: boolean): Promise<Inspected> {
  const schema = await readImageSchema(path, { signal });
  const image = await openImage(path, schema, { verify: isVerified ? 'lazy' : 'header', signal });
  try {
    if (isVerified) await image.verify({ signal });
    const shapes = JSON.parse(schema.description) as readonly Shape[];
    const root = (shapes[0] as Shape)[1] as unknown as readonly (readonly [string, number])[];
    const types = new Map(root.map(([name, at]) => [name, wordsOf(shapes, at, 1)]));
    const { layoutHash } = image.explain();
    const fields = image.sections.map(({ name, offset, length }) => {
      return { name, offset, length, type: types.get(name) ?? 'the root' };
    });
    const told = { path, bytes: image.byteLength, layoutHash, fields };
    return isVerified ? { ...told, isIntact: true } : told;
  } finally {
    await image.close();
  }
}

function text({ path, bytes, layoutHash, fields, isIntact }: Inspected): string {
  const width = Math.max(...fields.map(({ name }) => name.length)) + 2;
  const verdict = isIntact === undefined ? '' : 'intact, ';
  const lines = fields
    .filter(({ name }) => name !== '')
    .map(({ name, length, type }) => {
      const size = length === 0 ? 'in the root' : bytesText(length);
      return `  ${name.padEnd(width)}${size.padStart(12)}  ${type}`;
    });
  return [`${path}: ${verdict}${bytesText(bytes)}, layout ${layoutHash}`, ...lines].join('\n');
}

async function inspect({ terminal, signal, operands: [, path = ''] }: Given): Promise<number> {
  const found = await looked(path, signal, false);
  terminal.answer(found, () => text(found));
  return EXIT.done;
}

async function verify({ terminal, signal, operands: [, path = ''] }: Given): Promise<number> {
  try {
    terminal.progress(`reading ${path}`);
    const found = await looked(path, signal, true);
    terminal.clear();
    terminal.answer(found, () => text(found));
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof IoError) || error.kind !== 'corrupt') throw error;
    terminal.clear();
    const { message, offset } = error;
    terminal.answer({ path, isIntact: false, offset, message }, () =>
      [`${path}: ${terminal.paint('DAMAGED', 'bold', 'red')}`, `  ${message}`].join('\n'),
    );
    return EXIT.found;
  }
}

const deeds: Readonly<Record<string, (given: Given) => Promise<number>>> = { inspect, verify };

export const image: Command = {
  name: 'image',
  about: 'tell what an image holds, by its own description, and verify its checksums',
  operands: 'inspect|verify <file>',
  operandCount: [2, 2],
  choices: Object.keys(deeds),
  options: [],
  notes: [
    'inspect reads the ends of the file alone; verify reads all of it, and ends with 3 where it ' +
      'is not as it was written. Neither needs the schema: an image carries it.',
  ],
  run(given) {
    const deed = deeds[given.operands[0] as string] as (given: Given) => Promise<number>;
    return deed(given);
  },
};

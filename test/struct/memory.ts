/** A schema's values put into memory and seen again, without a file: what `struct` does alone. */
import { IovecWriter } from 'holdfast';
import {
  Emitter,
  encodeSteps,
  type Fields,
  type Guard,
  type Schema,
  Space,
  type Starts,
  type ValueOf,
  type ViewOf,
} from '#holdfast/struct.js';

/** Where values begin; what comes before belongs to others. */
const START = 64;

export const open: Guard = { alive: () => undefined, verify: () => undefined };

export interface Encoded {
  readonly bytes: Uint8Array;
  readonly root: number;
  readonly starts: Starts;
}

/** The bytes of a value as they would lie in an image. */
export function encoded<F extends Fields>(schema: Schema<F>, value: unknown): Encoded {
  const writer = new IovecWriter();
  writer.append(new Uint8Array(START));
  const starts: Starts = [];
  const steps = encodeSteps(schema, value, new Emitter(writer, START), starts);
  let step = steps.next();
  while (!step.done) step = steps.next();
  writer.finalize();
  return { bytes: writer.toBuffer(), root: step.value, starts };
}

/** The view of encoded bytes. */
export function seen<F extends Fields>(
  schema: Schema<F>,
  { bytes, root }: Encoded,
  guard: Guard = open,
): ViewOf<F> {
  const space = new Space(START, guard);
  space.add(0, bytes);
  const found = space.rootAt(root, schema, bytes.length);
  return schema.get(found.region, found.at) as ViewOf<F>;
}

/** A value, put and seen again. */
export function through<F extends Fields>(schema: Schema<F>, value: ValueOf<F>): ViewOf<F> {
  return seen(schema, encoded(schema, value));
}

/** How an image gets into memory, by either face: what is asked of the file, step by step. */
import { allocated } from '../buffers.js';
import type { AnySchema } from '../struct.js';
import { damaged, type Fields, type Schema, schemaIn } from '../struct.js';
import { Core, checkSize, type Ends, trailerIn } from './core.js';
import { checkHeader, FRAME_BYTES, tailOf } from './format.js';
import type { OpenSettings, Verify } from './options.js';

/* The end of most images is in the last bytes, whatever their size is. */
const TAIL_GUESS_BYTES = 65536;

/** What is asked: views to be filled from an offset on; or a turn for somebody else. */
export type Ask =
  | { readonly views: readonly Uint8Array[]; readonly offset: number; readonly length: number }
  | undefined;

/** Asks, and is told how many bytes were read. */
export type Asking<T> = Generator<Ask, T, number>;

/** Where the bytes of an image come from. */
export interface Origin {
  readonly path: string | undefined;
  readonly size: number;
  /** All of it, where it is in memory already. */
  readonly whole: Uint8Array | undefined;
}

function* bytesAt(origin: Origin, offset: number, length: number): Asking<Uint8Array> {
  if (origin.whole !== undefined) return origin.whole.subarray(offset, offset + length);
  const view = allocated(length);
  yield* fill(origin, [view], offset);
  return view;
}

function* fill(origin: Origin, views: readonly Uint8Array[], offset: number): Asking<void> {
  const length = views.reduce((sum, view) => sum + view.length, 0);
  const done = yield { views, offset, length };
  if (done === length) return;
  throw damaged('it became shorter while it was read', offset + done, origin.path);
}

function* endsSteps(origin: Origin): Asking<Ends> {
  const { size, path } = origin;
  checkSize(size, path);
  const header = yield* bytesAt(origin, 0, FRAME_BYTES);
  const guess = Math.min(size, TAIL_GUESS_BYTES);
  const last = yield* bytesAt(origin, size - guess, guess);
  const trailer = trailerIn(header, last, { size, path });
  const length = size - FRAME_BYTES - trailer.end;
  const isIn = length + FRAME_BYTES <= guess;
  const start = guess - FRAME_BYTES - length;
  const tail = isIn
    ? last.subarray(start, start + length)
    : yield* bytesAt(origin, trailer.end, length);
  return { path, size, header, trailer, tail };
}

/** The schema that an image describes. Errors: `IoError`. */
export function* schemaSteps(origin: Origin): Asking<Schema<Fields>> {
  const { header, trailer, tail, path } = yield* endsSteps(origin);
  checkHeader(header, path);
  return schemaIn(tailOf(tail, trailer, path).description, trailer.end, path);
}

/**
 * Opens an image: reads its ends, compares the layouts, loads what is wanted.
 *
 * Errors: `IoError`; `LayoutMismatchError`; `TypeError` for a section that the schema has not.
 */
export function* openSteps(
  origin: Origin,
  schema: AnySchema,
  { verify, sections }: Omit<OpenSettings, 'mode'>,
): Asking<Core> {
  const core = new Core(yield* endsSteps(origin), schema, verify);
  const { whole } = origin;
  if (whole !== undefined) core.add(0, whole);
  yield* loadSteps(origin, core, sections);
  return core;
}

/**
 * Loads sections that are not in memory: those that follow each other by one read into a view for
 * each. Errors: `IoError`.
 */
export function* loadSteps(
  origin: Origin,
  core: Core,
  names: readonly string[] | undefined,
): Asking<void> {
  const missing = core.missing(names);
  for (let start = 0; start < missing.length; ) {
    let end = start + 1;
    while (end < missing.length && followsOn(core, missing[end - 1] as number, missing[end])) end++;
    const run = missing.slice(start, end).map((index) => core.sections[index]);
    const views = run.map((section) => allocated(section?.length ?? 0));
    yield* fill(origin, views, run[0]?.offset ?? 0);
    for (const [index, view] of views.entries()) core.add(run[index]?.offset ?? 0, view);
    start = end;
  }
  if (core.verify !== 'full') return;
  for (const _ of core.verifyAll()) yield undefined;
}

function followsOn(core: Core, before: number, index: number | undefined): boolean {
  const [one, other] = [core.sections[before], core.sections[index ?? -1]];
  if (one === undefined || other === undefined) return false;
  return one.offset + one.length === other.offset;
}

/** An image in memory: nothing has to be asked. Errors: as `openSteps`. */
export function inMemory(whole: Uint8Array, schema: AnySchema, verify: Verify): Core {
  const origin: Origin = { path: undefined, size: whole.length, whole };
  const steps = openSteps(origin, schema, { verify, sections: undefined });
  let step = steps.next();
  while (!step.done) step = steps.next(0);
  return step.value;
}

/**
 * Values of a schema in a file: written from where they lie, put in place durably, seen again as
 * views over the file without being read through.
 *
 * Invariants: 1. `writeImage` leaves the old file or the new one, whole, as `replaceFile` does.
 *             2. Gathered, copied into a buffer or into a map, an image has the same bytes.
 *             3. Whatever the bytes of a file are, opening and looking throws an error or shows a
 *                value; nothing outside the image is looked at.
 *             4. Under `full` every byte was compared with its checksum before a view is given out,
 *                under `lazy` before it is looked at; text and numbers of a list of them at once.
 *             5. A replace of the file does not change an image that is open.
 * Not promised: that a program that writes into the file of an open map is noticed after the
 * bytes were verified. That bytes changed while `writeImage` is under way are found before they
 * are read.
 * Source: docs/image-format.md
 */
import { engineOf } from './engine.js';
import { invalidType } from './errors.js';
import { openFile, openFileSync, type PathLike } from './file.js';
import { Building } from './image/building.js';
import type { Core } from './image/core.js';
import { answered, answeredSync, checkNames, Image } from './image/image.js';
import { type Asking, inMemory, type Origin, openSteps, schemaSteps } from './image/opening.js';
import {
  type OpenImageOptions,
  type OpenSettings,
  openSettingsOf,
  type ViewOptions,
  verifyOf,
  type WriteImageOptions,
} from './image/options.js';
import { Pieces } from './image/pieces.js';
import type { IovecWriter } from './iovec.js';
import { mapFile, mapFileSync } from './mapped.js';
import { type ReplaceReport, replaceFile, replaceFileSync } from './replace.js';
import {
  type AnySchema,
  type Fields,
  type Schema,
  schemaOf,
  type ValueOf,
  type ViewOf,
} from './struct.js';

export { LayoutMismatchError, type SectionReport } from './image/core.js';
export { Image, type ImageExplanation } from './image/image.js';
export type {
  ImageMode,
  OpenImageOptions,
  Verify,
  ViewOptions,
  WriteImageOptions,
} from './image/options.js';
export { IovecWriter } from './iovec.js';
export {
  array,
  bool,
  bytes,
  copyOf,
  enumeration,
  type Fields,
  f32,
  f64,
  type InputOf,
  i8,
  i16,
  i32,
  i64,
  type Lazy,
  ListView,
  list,
  MapView,
  map,
  type OutputOf,
  optional,
  type Plain,
  type Row,
  ref,
  Schema,
  struct,
  Type,
  text,
  u8,
  u16,
  u32,
  u64,
  union,
  type ValueOf,
  type ViewOf,
} from './struct.js';

/** An open image, with the fields of its root. */
export type OpenedImage<F extends Fields> = Image<F> & Omit<ViewOf<F>, keyof Image<F>>;

/** What `writeImage` did. */
export interface ImageReport extends ReplaceReport {
  readonly layoutHash: string;
  /** Whether it was written bit by bit, since not all of it was held at once. */
  readonly isStreamed: boolean;
}

/**
 * Puts a value into an image in memory: views over the value's own bytes where they are large.
 *
 * Shapes: `buffers()` of the writer for a gather, `toBuffer()` for one view, `toBuffer(target)`
 * for memory that is there, such as a map.
 * Errors: `TypeError`, `RangeError` naming the field, the value, and what it should have been.
 */
export function encodeImage<F extends Fields>(schema: Schema<F>, value: ValueOf<F>): IovecWriter {
  return new Building(schemaOf(schema), value).finish();
}

/**
 * Writes a value as an image, durably and at once, as `replaceFile` does.
 *
 * Shapes: lists of the root may be any iterables, async ones too: they are written as they come,
 * so that an image may be larger than memory. Typed arrays and bytes are written from where they
 * lie.
 * Durable: as `replaceFile`.
 * Lifetime: the bytes of the value are the library's until the promise settles.
 * Errors: `TypeError`, `RangeError` naming the field, the value, and what it should have been: the
 * file is untouched then; whatever an iterable throws; otherwise as `replaceFile`.
 */
export async function writeImage<F extends Fields>(
  path: PathLike,
  schema: Schema<F>,
  value: ValueOf<F>,
  options: WriteImageOptions = {},
): Promise<ImageReport> {
  checkOptions(options);
  const building = new Building(schemaOf(schema), value);
  try {
    await building.advance();
    const { layoutHash } = schema;
    if (building.isDone) {
      const report = await replaceFile(path, building.writer.buffers(), options);
      return { ...report, layoutHash, isStreamed: false };
    }
    const report = await replaceFile(path, pieces(building), options);
    return { ...report, layoutHash, isStreamed: true };
  } finally {
    building.abandon();
  }
}

/* The next piece is asked for when the one before was written. */
async function* pieces(building: Building): AsyncGenerator<readonly Uint8Array[], void, void> {
  for (;;) {
    const views = building.writer.drain();
    if (views.length > 0) yield views;
    if (building.isDone) return;
    building.takeBack();
    await building.advance();
  }
}

/**
 * As `writeImage`, on the calling thread; not for async iterables, and all of it is held at once.
 *
 * Durable: as `replaceFile`.
 * Errors: as `writeImage`.
 */
export function writeImageSync<F extends Fields>(
  path: PathLike,
  schema: Schema<F>,
  value: ValueOf<F>,
  options: WriteImageOptions = {},
): ImageReport {
  checkOptions(options);
  const writer = encodeImage(schema, value);
  const report = replaceFileSync(path, writer.buffers(), options);
  return { ...report, layoutHash: schema.layoutHash, isStreamed: false };
}

function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
}

/**
 * Looks at an image that is in memory.
 *
 * Lifetime: the bytes are looked at, not copied: leave them alone.
 * Errors: `TypeError`; `IoError` of kind `corrupt`, `unsupported` for another version;
 * `LayoutMismatchError` naming the field.
 */
export function imageOf<F extends Fields>(
  bytes: ArrayBufferView,
  schema: Schema<F>,
  options: ViewOptions = {},
): OpenedImage<F> {
  const wanted = schemaOf(schema);
  const verify = verifyOf(options);
  if (!ArrayBuffer.isView(bytes)) throw invalidType('bytes', 'an ArrayBufferView', bytes);
  const whole = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const core = inMemory(whole, wanted, verify);
  return new Image<F>(core, {
    method: 'memory',
    reason: 'it was given as bytes',
    isExact: core.layoutHash === wanted.layoutHash,
    file: undefined,
    engine: undefined,
    origin: { path: undefined, size: whole.length, whole },
    isIntact: () => true,
    release: () => Promise.resolve(),
    releaseSync: () => undefined,
  }) as OpenedImage<F>;
}

/**
 * The schema that an image carries: to open one that nobody has a schema for.
 *
 * Shapes: what is seen by it is typed by nobody; `schema.description` tells what it is, as JSON.
 * Errors: `TypeError` for bad input; `IoError`: of kind `corrupt` where the file is no image,
 * `unsupported` for another version; `AbortError`.
 */
export async function readImageSchema(
  path: PathLike,
  options: Pick<OpenImageOptions, 'engine' | 'signal' | 'timeoutMs'> = {},
): Promise<Schema<Fields>> {
  checkOptions(options);
  const { signal, timeoutMs } = options;
  const told = { signal, timeoutMs };
  const engine = engineOf(options.engine);
  const file = await openFile(path, { engine, ...told });
  try {
    const { size } = await file.stat(told);
    const steps = schemaSteps({ path: file.path, size, whole: undefined });
    return await answered(engine, file, steps, told);
  } finally {
    await file.close();
  }
}

interface Opening {
  readonly schema: AnySchema;
  readonly settings: OpenSettings;
}

function openingOf(schema: unknown, options: OpenImageOptions): Opening {
  const wanted = schemaOf(schema);
  const settings = openSettingsOf(options);
  checkNames({ seen: wanted }, settings.sections, 'options.sections');
  return { schema: wanted, settings };
}
/**
 * Opens an image: its ends are read and compared with the schema, nothing else is looked at before
 * it is asked for.
 *
 * Shapes: optional fields that only the image or only the schema has are no obstacle.
 * Lifetime: views are good until `close`, or the end of the block with `using`; a replace of the
 * file meanwhile does not change them.
 * Errors: `TypeError` for bad input; `IoError`: of kind `corrupt` with the offset where the file is
 * no image, or no longer the one that was written; `unsupported` for another version;
 * `LayoutMismatchError` naming the field; `AbortError`.
 */
export async function openImage<F extends Fields>(
  path: PathLike,
  schema: Schema<F>,
  options: OpenImageOptions = {},
): Promise<OpenedImage<F>> {
  const opening = openingOf(schema, options);
  const { signal, timeoutMs } = options;
  const told = { signal, timeoutMs };
  const engine = engineOf(options.engine);
  const file = await openFile(path, { engine, ...told });
  const pieces = new Pieces(file);
  try {
    if (opening.settings.mode === 'map') {
      await pieces.tryWhole(() => mapFile(file, told));
    }
    const origin = pieces.origin ?? pieces.unmapped((await file.stat(told)).size);
    const core = await answered(engine, file, asking(origin, opening, pieces), told);
    for (const range of pieces.left(core))
      pieces.add(core, await mapFile(file, { ...range, ...told }));
    if (core.missing(undefined).length === 0) await file.close();
    return opened<F>(core, pieces, opening);
  } catch (error) {
    await pieces.release();
    throw error;
  }
}

/** As `openImage`, on the calling thread. Errors: as `openImage`. */
export function openImageSync<F extends Fields>(
  path: PathLike,
  schema: Schema<F>,
  options: OpenImageOptions = {},
): OpenedImage<F> {
  const opening = openingOf(schema, options);
  const file = openFileSync(path, { engine: engineOf(options.engine) });
  const pieces = new Pieces(file);
  try {
    if (opening.settings.mode === 'map') pieces.tryWholeSync(() => mapFileSync(file));
    const origin = pieces.origin ?? pieces.unmapped(file.statSync().size);
    const core = answeredSync(file, asking(origin, opening, pieces));
    for (const range of pieces.left(core)) pieces.add(core, mapFileSync(file, range));
    if (core.missing(undefined).length === 0) file.closeSync();
    return opened<F>(core, pieces, opening);
  } catch (error) {
    pieces.releaseSync();
    throw error;
  }
}

/* An image that is too large for one map is read at its ends, and its sections are mapped. */
function asking(origin: Origin, { schema, settings }: Opening, pieces: Pieces): Asking<Core> {
  const { verify, sections } = settings;
  return openSteps(origin, schema, { verify, sections: pieces.isTooLarge ? [] : sections });
}

function opened<F extends Fields>(
  core: Core,
  pieces: Pieces,
  { schema, settings }: Opening,
): OpenedImage<F> {
  pieces.guard(core);
  return new Image<F>(core, {
    ...pieces.explained(settings.mode),
    isExact: core.layoutHash === schema.layoutHash,
    file: pieces.file,
    engine: pieces.file.engine,
    origin: { path: core.path, size: core.size, whole: undefined },
    isIntact: () => pieces.isIntact,
    release: () => pieces.release(),
    releaseSync: () => pieces.releaseSync(),
  }) as OpenedImage<F>;
}

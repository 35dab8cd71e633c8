/** From a value to the bytes of an image: field by field of the root, each a section. */
import type { Block, Emitter } from './emitter.js';
import { Misfit, within } from './kind.js';
import { ListBuilder, ListType } from './lists.js';
import type { Field, StructType } from './records.js';
import { Scalar } from './scalars.js';

/* So much is held before it is asked to be written: little beside what was. */
const RIPE_BYTES_MIN = 1048576;
const RIPE_BYTES_MAX = 8388608;
const RIPE_SHARE = 16;

function isRipe({ heldBytes, offset }: Emitter): boolean {
  if (heldBytes < RIPE_BYTES_MIN) return false;
  return heldBytes >= Math.min(offset / RIPE_SHARE, RIPE_BYTES_MAX);
}

/**
 * What encoding waits for: `undefined` when what is held should be written, and taken back, before
 * it goes on; or the next of an async iterable, whose answer it wants.
 */
export type Wait = Promise<unknown> | undefined;

/** Where the sections of an image begin: one for each field of the root, then the root. */
export type Starts = number[];

/**
 * Encodes a value; answers where the root stands. `starts` is filled as sections begin.
 *
 * Errors: `TypeError`, `RangeError` naming the field, the value, and what it should have been.
 */
export function* encodeSteps(
  root: StructType<never, unknown>,
  value: unknown,
  emitter: Emitter,
  starts: Starts,
): Generator<Wait, number, unknown> {
  try {
    const { fields } = root.layout;
    if (typeof value !== 'object' || value === null) {
      throw new Misfit('type', 'an object with the fields of the schema', value);
    }
    const block = emitter.borrow(root.size);
    for (const field of fields) {
      starts.push(startOf(emitter));
      yield* fieldSteps(field, (value as Record<string, unknown>)[field.name], emitter, block);
      if (isRipe(emitter)) yield undefined;
    }
    starts.push(startOf(emitter));
    const place = emitter.copy(block.bytes.subarray(0, root.size), root.alignment);
    emitter.giveBack(block, root.size);
    startOf(emitter);
    emitter.handOn();
    return place;
  } catch (error) {
    throw error instanceof Misfit ? error.told() : error;
  }
}

/* Sections begin, and the last one ends, at a multiple of 8. */
function startOf(emitter: Emitter): number {
  emitter.claim(0, 8);
  return emitter.offset;
}

function* fieldSteps(
  { name, type, offset }: Field,
  value: unknown,
  emitter: Emitter,
  block: Block,
): Generator<Wait, void, unknown> {
  try {
    if (type instanceof ListType && isIterable(value) && !isRow(type, value)) {
      const builder = new ListBuilder(emitter, type.inner);
      yield* elementSteps(value, builder, emitter);
      builder.end(block, offset);
    } else {
      type.put(emitter, block, offset, value);
    }
  } catch (error) {
    throw within(error, name);
  }
}

function isRow(type: ListType<never, unknown>, value: unknown): boolean {
  const element = type.inner;
  return element instanceof Scalar && element.bytesOf(value) !== undefined;
}

function isIterable(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.iterator in value || Symbol.asyncIterator in value;
}

function* elementSteps(
  values: Iterable<unknown> | AsyncIterable<unknown>,
  builder: ListBuilder,
  emitter: Emitter,
): Generator<Wait, void, unknown> {
  /* By index: an iterator makes an object for each element, 40 MB for a million. */
  if (Array.isArray(values)) {
    for (let index = 0; index < values.length; index++) {
      builder.add(values[index]);
      if (isRipe(emitter)) yield undefined;
    }
    return;
  }
  if (Symbol.iterator in values) {
    for (const value of values) {
      builder.add(value);
      if (isRipe(emitter)) yield undefined;
    }
    return;
  }
  const iterator = values[Symbol.asyncIterator]();
  let isDone = false;
  try {
    for (;;) {
      const next = (yield iterator.next()) as IteratorResult<unknown>;
      if (next.done === true) break;
      builder.add(next.value);
      if (isRipe(emitter)) yield undefined;
    }
    isDone = true;
  } finally {
    /* Told, not waited for: a source that hangs would hang here too. */
    if (!isDone) Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

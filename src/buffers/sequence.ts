/** Sequences: taking an argument as views, checked once. */
import { invalidType, invalidValue } from '../errors.js';

/** One view, or views in order. */
export type Buffers = ArrayBufferView | Iterable<ArrayBufferView>;

/** A checked sequence: bytes only, empty views left out. */
export interface Sequence {
  readonly views: readonly Uint8Array[];
  readonly byteLength: number;
  /** True: the system sees library memory only, and bytes are copied to or from the views. */
  readonly isCopied?: boolean;
}

const at: (this: ArrayBufferView, index: number) => unknown = Object.getPrototypeOf(
  Uint8Array.prototype,
).at;

/* `at` throws for a detached buffer and for a view past the end of a shrunk one; `byteLength` of
 * both is 0, like that of a view that is empty by right (ECMA-262, ValidateTypedArray). */
function checkAttached(view: ArrayBufferView, argument: string): void {
  try {
    if (view instanceof DataView) view.byteLength;
    else at.call(view, 0);
  } catch {
    throw invalidValue(argument, 'a view whose buffer is attached and large enough', view);
  }
}

function bytesOfView(view: ArrayBufferView, argument: string): Uint8Array {
  if (view instanceof Uint8Array) {
    if (view.byteLength === 0) checkAttached(view, argument);
    return view;
  }
  checkAttached(view, argument);
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}

const EXPECTED = 'an ArrayBufferView or an iterable of them';

/**
 * Takes an argument as a sequence; the array of views is a copy, the bytes are not.
 *
 * Errors: `TypeError` naming the argument (and the index of the view) for anything that is not a
 * view of attached memory. What an iterable throws passes through. Nothing has happened then.
 */
export function sequenceOf(buffers: Buffers, argument = 'buffers'): Sequence {
  if (ArrayBuffer.isView(buffers)) {
    const view = bytesOfView(buffers, argument);
    return { views: view.byteLength === 0 ? [] : [view], byteLength: view.byteLength };
  }
  if (buffers instanceof PreparedBuffers) return buffers;
  if (!isIterable(buffers)) throw invalidType(argument, EXPECTED, buffers);
  return gathered(Array.isArray(buffers) ? buffers : [...buffers], argument);
}

/*
 * The hot loops read `length` of a Uint8Array, which is its bytes: 1 ns a view, where `byteLength`
 * takes 10 (V8 11.3 and 12.4 do not inline it).
 */
function gathered(given: readonly unknown[], argument: string): Sequence {
  const views: Uint8Array[] = new Array(given.length);
  let count = 0;
  let byteLength = 0;
  for (let index = 0; index < given.length; index++) {
    const view = given[index];
    const isPlain = view instanceof Uint8Array && view.length > 0;
    const bytes = isPlain ? view : checkedView(view, `${argument}[${index}]`);
    if (bytes.length === 0) continue;
    views[count++] = bytes;
    byteLength += bytes.length;
  }
  views.length = count;
  return { views, byteLength };
}

function checkedView(view: unknown, argument: string): Uint8Array {
  if (!ArrayBuffer.isView(view)) throw invalidType(argument, 'an ArrayBufferView', view);
  return bytesOfView(view, argument);
}

/**
 * A sequence checked once, to be read or written many times: wherever `Buffers` are taken. Made by
 * `prepareBuffers`.
 *
 * Lifetime: holds the views; their bytes may change between two uses, their lengths may not.
 */
export class PreparedBuffers implements Sequence, Iterable<Uint8Array> {
  readonly views: readonly Uint8Array[];
  readonly byteLength: number;

  /** For `prepareBuffers`, which checks. */
  constructor({ views, byteLength }: Sequence) {
    this.views = views;
    this.byteLength = byteLength;
  }

  /** False when a view was detached, cut or grown since. */
  get isIntact(): boolean {
    let byteLength = 0;
    for (let index = 0; index < this.views.length; index++) {
      byteLength += (this.views[index] as Uint8Array).length;
    }
    return byteLength === this.byteLength;
  }

  /** The views, as they are passed. */
  [Symbol.iterator](): IterableIterator<Uint8Array> {
    return this.views.values();
  }
}

/**
 * Checks a sequence once, so that writing it again costs no check and no copy of the list. Views
 * that are neighbours in memory become one, so that the system is given fewer.
 *
 * Shapes: one view or any number; an iterable is read to its end here, and never again.
 * Lifetime: the views share memory with the caller's. When one is detached or resized later, the
 * call that comes upon it fails with `ERR_BUFFER_CHANGED`, and `bytesDone` tells what came before.
 * Errors: `TypeError` naming the argument and the index for anything that is not a view.
 */
export function prepareBuffers(buffers: Buffers): PreparedBuffers {
  const { views, byteLength } = sequenceOf(buffers);
  return new PreparedBuffers({ views: joinNeighbours(views), byteLength });
}

function joinNeighbours(views: readonly Uint8Array[]): readonly Uint8Array[] {
  const joined: Uint8Array[] = [];
  let last: Uint8Array | undefined;
  for (const view of views) {
    if (last !== undefined && isNext(last, view)) {
      last = new Uint8Array(last.buffer, last.byteOffset, last.length + view.length);
      joined[joined.length - 1] = last;
    } else {
      last = view;
      joined.push(view);
    }
  }
  return Object.freeze(joined);
}

function isNext(before: Uint8Array, view: Uint8Array): boolean {
  if (before.buffer !== view.buffer || isResizable(view.buffer)) return false;
  return before.byteOffset + before.length === view.byteOffset;
}

/* A view may follow the length of its buffer: joined, it would no longer. */
function isResizable(memory: ArrayBufferLike): boolean {
  const { resizable, growable } = memory as { resizable?: boolean; growable?: boolean };
  return resizable === true || growable === true;
}

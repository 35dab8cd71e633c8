/** Text and bytes: an offset and a length where they stand, the bytes elsewhere. */
import { IoError } from '../errors.js';
import type { Block, Emitter } from './emitter.js';
import { type AnyType, Leaf, Misfit, SPAN, type Type } from './kind.js';
import { countAt, type Found, putCount, type Region } from './space.js';

/* Longer text is made by the encoder of the system; short ones are mostly ASCII. */
const SHORT_TEXT = 48;
/* V8 makes no longer string (buffer.constants.MAX_STRING_LENGTH of 64-bit systems). */
const TEXT_MAX = 2 ** 29 - 24;

/** Puts an offset and a count, unless there is nothing. */
export function putSpan(block: Block, at: number, offset: number, count: number): void {
  if (count === 0) return;
  putCount(block.data, at, offset);
  putCount(block.data, at + 8, count);
}

/** Nothing; and a page that was lost is all zeros: it is looked at, whether it was. */
export function empty<T>({ space }: Region, nothing: T): T {
  space.checkAlive();
  return nothing;
}

/** Where the bytes of a span are. */
export function foundBytes(region: Region, at: number, count: number): Found {
  const offset = countAt(region, at);
  return region.space.find(region, at, { offset, count, size: 1, alignment: 1 });
}

abstract class Bytes<In, Out> extends Leaf<In, Out> {
  readonly size = SPAN.size;
  readonly alignment = SPAN.alignment;
  readonly isFlat = SPAN.isFlat;
}

function isWellFormed(text: string): boolean {
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed();
}

/* Puts text that is ASCII, as far as it is; true when it was all of it. */
function putAscii({ bytes }: Block, at: number, value: string): boolean {
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code > 0x7f) return false;
    bytes[at + index] = code;
  }
  return true;
}

function putText(emitter: Emitter, value: string): { offset: number; length: number } {
  if (value.length <= SHORT_TEXT) {
    /* Every unit is 3 bytes of UTF-8 at most; what is not used is given back. */
    const at = emitter.claim(value.length * 3, 1);
    const offset = emitter.placeOf(at);
    const length = putAscii(emitter.block, at, value)
      ? value.length
      : emitter.block.bytes.write(value, at, 'utf8');
    emitter.unclaim(value.length * 3 - length);
    return { offset, length };
  }
  const bytes = Buffer.from(value, 'utf8');
  return { offset: emitter.put(bytes, 1), length: bytes.length };
}

class Text extends Bytes<string, string> {
  readonly word = 'text';

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    if (typeof value !== 'string') throw new Misfit('type', 'a string', value);
    if (value === '') return;
    if (!isWellFormed(value)) {
      throw new Misfit('value', 'text without half a surrogate pair, which UTF-8 lacks', value);
    }
    const { offset, length } = putText(emitter, value);
    putSpan(block, at, offset, length);
  }

  get(region: Region, at: number): string {
    const length = countAt(region, at + 8);
    if (length === 0) return empty(region, '');
    const found = foundBytes(region, at, length);
    if (length > TEXT_MAX) {
      const words = `a text of ${length} bytes is longer than a string can be: declare it as bytes`;
      throw new IoError({ action: 'read the image', code: 'EOVERFLOW', words });
    }
    return found.region.bytes.toString('utf8', found.at, found.at + length);
  }

  copy(region: Region, at: number): string {
    return this.get(region, at);
  }
}

/** Text, as UTF-8; a string is made each time it is looked at. */
export const text: Type<string, string> = new Text();

class Raw extends Bytes<ArrayBufferView, Uint8Array> {
  readonly word = 'bytes';

  put(emitter: Emitter, block: Block, at: number, value: unknown): void {
    if (!ArrayBuffer.isView(value)) throw new Misfit('type', 'an ArrayBufferView', value);
    const raw = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    if (raw.length > 0) putSpan(block, at, emitter.put(raw, 8), raw.length);
  }

  get(region: Region, at: number): Uint8Array {
    const length = countAt(region, at + 8);
    if (length === 0) return empty(region, new Uint8Array(0));
    const found = foundBytes(region, at, length);
    const { buffer, byteOffset } = found.region.bytes;
    return new Uint8Array(buffer, byteOffset + found.at, length);
  }

  copy(region: Region, at: number): Uint8Array {
    return this.get(region, at).slice();
  }
}

/** Any bytes; in an image they begin at a multiple of 8. */
export const bytes: Type<ArrayBufferView, Uint8Array> = new Raw();

/** Text and bytes by name, for reading the description of a schema. */
export const spans: ReadonlyMap<string, AnyType> = new Map<string, AnyType>([
  ['text', text],
  ['bytes', bytes],
]);

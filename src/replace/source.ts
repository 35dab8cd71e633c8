/** Content that comes bit by bit: iterated, never read ahead, let go of when nobody wants it. */
import { type Buffers, type Sequence, sequenceOf } from '../buffers.js';
import { invalidType } from '../errors.js';
import { libraryMemory } from '../platform.js';
import type { Patience } from './patience.js';

/** Content that comes bit by bit, such as from a Node `Readable`. */
export type Pieces = AsyncIterable<string | Buffers>;

/** What brings content bit by bit. */
export type PieceSource = Pieces | WebSource;

/** As much of a Web `ReadableStream` as is needed: not every one can be iterated. */
export interface WebSource {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
    cancel(reason?: unknown): Promise<void>;
    releaseLock(): void;
  };
}

interface Emitter {
  on(name: 'error', listener: () => void): unknown;
  destroy(): unknown;
}

const EXPECTED =
  'a string, an ArrayBufferView, an iterable of them, an async iterable or a readable stream';

/** Content that is here. Errors: `TypeError` naming it. */
export function contentOf(data: unknown, encoding: BufferEncoding): Sequence {
  if (typeof data === 'string') return sequenceOf(Buffer.from(data, encoding), 'data');
  if (typeof data !== 'object' || data === null) throw invalidType('data', EXPECTED, data);
  return sequenceOf(data as Buffers, 'data');
}

function isObject(data: unknown): data is object {
  return typeof data === 'object' && data !== null;
}

function isWebSource(data: unknown): data is WebSource {
  return isObject(data) && typeof (data as Partial<WebSource>).getReader === 'function';
}

/** True for content that comes bit by bit. */
export function isPieces(data: unknown): data is PieceSource {
  return isObject(data) && (Symbol.asyncIterator in data || isWebSource(data));
}

function isEmitter(data: unknown): data is Emitter {
  const { on, destroy } = data as Partial<Emitter>;
  return typeof on === 'function' && typeof destroy === 'function';
}

/**
 * A source under way, taken at once: a stream that fails before its turn has come must find a
 * listener, and one that is never read is closed all the same.
 */
export class Source {
  readonly #data: PieceSource;
  #iterator: AsyncIterator<unknown> | undefined;
  #isDone = false;

  /** Errors: `TypeError` for a Web stream that is locked to another reader. */
  constructor(data: PieceSource) {
    this.#data = data;
    /* It stays: a stream that was let go of may tell of its error in a later turn of the loop. */
    if (isEmitter(data)) data.on('error', () => undefined);
    else if (isWebSource(data)) this.#iterator = iteratorOf(data);
  }

  /** The next piece; `undefined` when there is none. Errors: what the source throws. */
  async next(patience: Patience): Promise<{ readonly piece: unknown } | undefined> {
    this.#iterator ??= iteratorOf(this.#data);
    const next = await patience.wait(Promise.resolve(this.#iterator.next()));
    this.#isDone = next.done === true;
    return next.done === true ? undefined : { piece: next.value };
  }

  /** Lets go of it. A source that hangs would hang here too: it is told, not waited for. */
  end(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (isEmitter(this.#data)) this.#data.destroy();
    Promise.resolve(this.#iterator?.return?.()).catch(() => undefined);
  }
}

function iteratorOf(data: PieceSource): AsyncIterator<unknown> {
  if (!isWebSource(data)) return data[Symbol.asyncIterator]();
  const reader = data.getReader();
  return {
    async next() {
      const { done, value } = await reader.read();
      if (!done) return { done, value };
      reader.releaseLock();
      return { done, value: undefined };
    },
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

const GATHERED_BYTES = 65536;

/**
 * Gathers small pieces into one write: a source of lines is not a system call for each. What is
 * held back is bounded, and text that ends between the halves of one character waits for the next.
 */
export class Gathering {
  readonly #encoding: BufferEncoding;
  #block: Uint8Array | undefined;
  #length = 0;
  #half = '';

  constructor(encoding: BufferEncoding) {
    this.#encoding = encoding;
  }

  /** Takes a piece; answers what is to be written now, in order. Errors: `TypeError`. */
  take(piece: unknown): Sequence[] {
    const sequence = contentOf(
      typeof piece === 'string' ? this.#text(piece) : piece,
      this.#encoding,
    );
    if (typeof piece !== 'string' && this.#half !== '') {
      const half = contentOf(this.#half, this.#encoding);
      this.#half = '';
      return [...this.#add(half), ...this.#add(sequence)];
    }
    return this.#add(sequence);
  }

  /** What is left. */
  rest(): Sequence[] {
    const last = this.#half === '' ? [] : this.#add(contentOf(this.#half, this.#encoding));
    this.#half = '';
    return [...last, ...this.#held()];
  }

  /* UTF-8 alone has no bytes for half of a surrogate pair. */
  #text(piece: string): string {
    const text = this.#half + piece;
    this.#half = '';
    const isUtf8 = this.#encoding === 'utf8' || this.#encoding === 'utf-8';
    if (!isUtf8 || !/[\ud800-\udbff]$/.test(text)) return text;
    this.#half = text.slice(-1);
    return text.slice(0, -1);
  }

  #add(sequence: Sequence): Sequence[] {
    const { byteLength, views } = sequence;
    if (byteLength >= GATHERED_BYTES / 2) return [...this.#held(), sequence];
    const full = this.#length + byteLength > GATHERED_BYTES ? this.#held() : [];
    this.#block ??= libraryMemory(GATHERED_BYTES);
    for (const view of views) {
      this.#block.set(view, this.#length);
      this.#length += view.length;
    }
    return full;
  }

  #held(): Sequence[] {
    const block = this.#block;
    if (block === undefined || this.#length === 0) return [];
    const held = sequenceOf(block.subarray(0, this.#length), 'data');
    this.#block = undefined;
    this.#length = 0;
    return [held];
  }
}

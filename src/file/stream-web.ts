/** Web streams over a file: bytes that are read where the reader wants them, or into new memory. */
import { atAbort } from '../engine.js';
import { AbortError, invalidType } from '../errors.js';
import type { ReadSettings, WriteSettings } from './stream-options.js';
import { type Readee, Reading } from './stream-reading.js';
import { type Writee, Writing } from './stream-writing.js';

interface Closable {
  close(): Promise<void>;
}

/* Told of an abort once, and until the stream is over. */
function onAbort(
  { signal }: ReadSettings | WriteSettings,
  bytes: () => number,
  abort: (error: AbortError) => void,
): () => void {
  if (signal === undefined) return () => undefined;
  const tell = (): void => abort(new AbortError(signal.reason, bytes()));
  if (!signal.aborted) return atAbort(signal, tell);
  tell();
  return () => undefined;
}

/** What fills a byte stream. */
class Source {
  readonly type = 'bytes';
  readonly #file: Readee & Closable;
  readonly #settings: ReadSettings;
  readonly #reading: Reading;
  #forget: () => void = () => undefined;
  #isOver = false;

  constructor(file: Readee & Closable, settings: ReadSettings) {
    this.#file = file;
    this.#settings = settings;
    this.#reading = new Reading(file, settings);
  }

  start(controller: ReadableByteStreamController): void {
    const bytes = (): number => this.#reading.bytesRead;
    this.#forget = onAbort(this.#settings, bytes, (error) => {
      if (this.#isOver) return;
      controller.error(error);
      this.#leave().catch(() => undefined);
    });
  }

  /** Answers when a view has come, or the end. Errors: those of the file, once. */
  async pull(controller: ReadableByteStreamController): Promise<void> {
    const request = controller.byobRequest;
    const memory = request?.view;
    const isTheirs = memory && this.#reading.takesMemory && !this.#reading.isAhead;
    try {
      const bytes = isTheirs
        ? await this.#into(memory as Uint8Array, request)
        : await this.#enqueue(controller);
      if (bytes === 0) await this.#end(controller);
    } catch (error) {
      if (this.#isOver) return;
      await this.#leave().catch(() => undefined);
      throw error;
    }
  }

  cancel(): Promise<void> {
    return this.#leave();
  }

  async #into(memory: Uint8Array, request: ReadableStreamBYOBRequest | null): Promise<number> {
    const bytes = await this.#reading.into(memory);
    if (bytes > 0 && !this.#isOver) request?.respond(bytes);
    return bytes;
  }

  async #enqueue(controller: ReadableByteStreamController): Promise<number> {
    const view = await new Promise<Uint8Array | undefined>((take, fail) => {
      this.#reading.next(this.#settings.highWaterMark, { take, fail });
    });
    if (view === undefined) return 0;
    const { buffer, byteOffset, length } = view;
    /* The stream takes the memory to itself: the view has no bytes any more then. */
    if (!this.#isOver) controller.enqueue(new Uint8Array(buffer, byteOffset, length));
    return length;
  }

  async #end(controller: ReadableByteStreamController): Promise<void> {
    if (this.#isOver) return;
    await this.#leave();
    controller.close();
    /* Whoever has lent memory gets it back, with nothing in it. */
    controller.byobRequest?.respond(0);
  }

  async #leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#forget();
    await new Promise<void>((resolve) => this.#reading.stop(resolve));
    if (this.#settings.autoClose) await this.#file.close();
  }
}

/** What takes the bytes of a stream. */
class Sink {
  readonly #file: Writee & Closable;
  readonly #settings: WriteSettings;
  readonly #writing: Writing;
  #forget: () => void = () => undefined;
  #isOver = false;

  constructor(file: Writee & Closable, settings: WriteSettings) {
    this.#file = file;
    this.#settings = settings;
    this.#writing = new Writing(file, settings);
  }

  start(controller: WritableStreamDefaultController): void {
    const bytes = (): number => this.#writing.bytesWritten;
    this.#forget = onAbort(this.#settings, bytes, (error) => {
      if (this.#isOver) return;
      controller.error(error);
      this.#leave().catch(() => undefined);
    });
  }

  /** Errors: `TypeError` for what has no bytes; those of the file. The stream is over then. */
  write(piece: unknown): Promise<void> {
    return this.#orLeave(() => this.#writing.write([bytesOf(piece)]));
  }

  async close(): Promise<void> {
    await this.#orLeave(() => this.#writing.finish());
    await this.#leave();
  }

  abort(): Promise<void> {
    return this.#leave();
  }

  async #orLeave(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.#leave().catch(() => undefined);
      throw error;
    }
  }

  async #leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#forget();
    await new Promise<void>((resolve) => this.#writing.stop(resolve));
    if (this.#settings.autoClose) await this.#file.close();
  }
}

function bytesOf(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  if (typeof piece === 'string') return Buffer.from(piece);
  if (ArrayBuffer.isView(piece)) {
    return new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  }
  if (piece instanceof ArrayBuffer) return new Uint8Array(piece);
  throw invalidType('chunk', 'a string, an ArrayBuffer or a view of one', piece);
}

/** A byte stream over a file. Nothing is read before it is asked for. */
export function webReadable(
  file: Readee & Closable,
  settings: ReadSettings,
): ReadableStream<Uint8Array> {
  return new ReadableStream(new Source(file, settings), { highWaterMark: 0 });
}

/** A stream into a file. */
export function webWritable(
  file: Writee & Closable,
  settings: WriteSettings,
): WritableStream<Uint8Array> {
  const { highWaterMark } = settings;
  return new WritableStream(new Sink(file, settings), {
    highWaterMark,
    size: (piece: unknown) => sizeOf(piece),
  });
}

/* Text is counted in UTF-16: near enough for what it is for. */
function sizeOf(piece: unknown): number {
  if (typeof piece === 'string') return piece.length;
  const { byteLength } = piece as { readonly byteLength?: unknown };
  return typeof byteLength === 'number' ? byteLength : 1;
}

/**
 * The bytes of a file in order, read ahead of whoever takes them: what every stream that reads is
 * made of. Each view is new memory, which is the taker's for good.
 */
import { alignedBuffer } from '../aligned.js';
import type { Buffers } from '../buffers.js';
import { alignDown, alignUp } from '../bytes.js';
import { IoError } from '../errors.js';
import type { CallOptions } from './options.js';
import type { ReadSettings } from './stream-options.js';
import type { Alignment } from './transfer.js';

/* Half of what may wait is under way while the other half is looked at. */
const VIEW_BYTES_MIN = 65536;
const VIEW_BYTES_MAX = 1048576;

/** A file as its readers see it. */
export interface Readee {
  readonly directAlignment: Alignment | undefined;
  /** False for pipes and their like. */
  readonly hasPositions: boolean;
  readAt(buffers: Buffers, offset: number): Promise<number>;
  readOn(view: Uint8Array, options?: CallOptions): Promise<number>;
}

/** Told once for each view, in order; with `undefined` at the end. */
export interface Taker {
  take(view: Uint8Array | undefined): void;
  fail(error: unknown): void;
}

interface Piece {
  readonly asked: number;
  isDone: boolean;
  view: Uint8Array | undefined;
  error: unknown;
}

/* Less than half of it: what is kept of the file should not keep as much again. */
function frontOf(memory: Uint8Array, bytes: number): Uint8Array {
  if (bytes === memory.length) return memory;
  if (bytes >= memory.length / 2) return memory.subarray(0, bytes);
  const small = Buffer.allocUnsafeSlow(bytes);
  small.set(memory.subarray(0, bytes));
  return small;
}

function bytesBefore(error: unknown): number {
  return error instanceof IoError ? (error.bytesDone ?? 0) : 0;
}

/** Views are this long, but for the first, the last, and those that a high-water mark cuts. */
function viewBytesFor(highWaterMark: number): number {
  const half = Math.min(Math.max(highWaterMark >>> 1, VIEW_BYTES_MIN), VIEW_BYTES_MAX);
  return Math.min(half, highWaterMark);
}

/** One way through a file. */
export class Reading {
  /** Bytes that were given to the taker. */
  bytesRead = 0;
  readonly #file: Readee;
  readonly #viewBytes: number;
  readonly #end: number;
  /* Pipes wait: this is what ends that. */
  readonly #aborter: AbortController | undefined;
  readonly #pieces: Piece[] = [];
  #offset: number;
  #aheadBytes = 0;
  #underWay = 0;
  #isFirst = true;
  #isOver = false;
  #error: { readonly cause: unknown } | undefined;
  #taker: Taker | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(file: Readee, { start = 0, end, highWaterMark }: ReadSettings) {
    this.#file = file;
    this.#viewBytes = viewBytesFor(highWaterMark);
    this.#offset = start;
    this.#end = end;
    this.#aborter = file.hasPositions ? undefined : new AbortController();
  }

  /** True while views are under way or wait, which come before whatever is read next. */
  get isAhead(): boolean {
    return this.#pieces.length > 0;
  }

  /**
   * Asks for the next view, and for what is worth reading ahead: `room` is what may wait, in
   * bytes. One at a time.
   */
  next(room: number, taker: Taker): void {
    this.#taker = taker;
    while (this.#mayAsk(room)) this.#ask();
    this.#give();
  }

  /**
   * Reads into memory of the taker's and answers how many bytes; 0 at the end. Only where nothing
   * `isAhead`.
   */
  async into(view: Uint8Array): Promise<number> {
    const wanted = Math.min(view.length, this.#end - this.#offset);
    if (this.#error !== undefined) throw this.#error.cause;
    if (this.#isOver || wanted <= 0) return 0;
    const memory = wanted === view.length ? view : view.subarray(0, wanted);
    this.#underWay++;
    try {
      return this.#moveOn(await this.#fill(memory, this.#offset), wanted);
    } catch (error) {
      const bytes = bytesBefore(error);
      if (bytes === 0) throw error;
      this.#error = { cause: error };
      return this.#moveOn(bytes, bytes);
    } finally {
      this.#left();
    }
  }

  /** Whether `into` can be had: direct I/O wants memory of its own kind. */
  get takesMemory(): boolean {
    return this.#file.directAlignment === undefined;
  }

  /** Asks for nothing more, and calls back when nothing is under way. */
  stop(whenIdle: () => void): void {
    this.#isOver = true;
    this.#taker = undefined;
    this.#pieces.length = 0;
    this.#aborter?.abort();
    if (this.#underWay === 0) whenIdle();
    else this.#whenIdle = whenIdle;
  }

  #mayAsk(room: number): boolean {
    if (this.#isOver || this.#error !== undefined) return false;
    if (this.#offset >= this.#end) {
      this.#isOver = true;
      return false;
    }
    if (this.#pieces.length === 0) return true;
    /* What a pipe has is not known before it is there; a small file ends with its first view. */
    if (!this.#file.hasPositions || this.#isFirst) return false;
    return this.#aheadBytes + this.#viewBytes <= room;
  }

  /* The first view is short, so that a small file costs little and is there at once. */
  #nextBytes(): number {
    const wanted = this.#isFirst ? Math.min(VIEW_BYTES_MIN, this.#viewBytes) : this.#viewBytes;
    const left = this.#end - this.#offset;
    const alignment = this.#file.directAlignment;
    if (alignment === undefined || left <= wanted) return Math.min(wanted, left);
    /* Behind this one, every view begins where direct I/O wants it to. */
    const end = alignDown(this.#offset + Math.max(wanted, alignment.length), alignment.length);
    return Math.min(end - this.#offset, left);
  }

  #ask(): void {
    const asked = this.#nextBytes();
    const piece: Piece = { asked, isDone: false, view: undefined, error: undefined };
    const offset = this.#offset;
    const reading = this.#read(piece, offset);
    this.#pieces.push(piece);
    this.#aheadBytes += asked;
    this.#underWay++;
    if (this.#file.hasPositions) this.#offset += asked;
    reading.then(
      () => this.#came(piece, undefined),
      (error) => this.#came(piece, error),
    );
  }

  #read(piece: Piece, offset: number): Promise<void> {
    const alignment = this.#file.directAlignment;
    if (alignment !== undefined) return this.#readDirect(piece, offset, alignment);
    const memory = Buffer.allocUnsafeSlow(piece.asked);
    return this.#fill(memory, offset).then(
      (bytes) => {
        piece.view = frontOf(memory, bytes);
      },
      (error) => {
        /* What came before the place that cannot be read is the taker's. */
        const bytes = bytesBefore(error);
        if (bytes > 0) piece.view = frontOf(memory, bytes);
        throw error;
      },
    );
  }

  async #readDirect(piece: Piece, offset: number, { memory, length }: Alignment): Promise<void> {
    const start = alignDown(offset, length);
    const end = alignUp(offset + piece.asked, length);
    const bytes = alignedBuffer(end - start, memory);
    const moved = await this.#file.readAt(bytes, start);
    const from = Math.min(offset - start, moved);
    const view = bytes.subarray(from, Math.min(moved, from + piece.asked));
    piece.view = Buffer.from(view.buffer, view.byteOffset, view.length);
  }

  #fill(memory: Uint8Array, offset: number): Promise<number> {
    const file = this.#file;
    if (file.hasPositions) return file.readAt(memory, offset);
    return file.readOn(memory, { signal: this.#aborter?.signal });
  }

  #came(piece: Piece, error: unknown): void {
    piece.error = error;
    piece.isDone = true;
    this.#left();
    this.#give();
  }

  #left(): void {
    this.#underWay--;
    if (this.#underWay === 0) this.#whenIdle?.();
  }

  #moveOn(bytes: number, asked: number): number {
    this.#isFirst = false;
    this.#offset += bytes;
    this.bytesRead += bytes;
    if (this.#isEnd(bytes, asked)) this.#isOver = true;
    return bytes;
  }

  /* A pipe gives what there is; a file gives all, but at its end. */
  #isEnd(bytes: number, asked: number): boolean {
    return this.#file.hasPositions ? bytes < asked : bytes === 0;
  }

  #give(): void {
    const taker = this.#taker;
    if (taker === undefined) return;
    const piece = this.#pieces[0];
    if (piece === undefined) this.#giveEnd(taker);
    else if (piece.isDone) this.#givePiece(taker, piece);
  }

  #giveEnd(taker: Taker): void {
    if (this.#error === undefined && !this.#isOver) return;
    this.#taker = undefined;
    if (this.#error === undefined) taker.take(undefined);
    else taker.fail(this.#error.cause);
  }

  #givePiece(taker: Taker, piece: Piece): void {
    const { asked, view, error } = piece;
    const bytes = view?.length ?? 0;
    this.#pieces.shift();
    this.#aheadBytes -= asked;
    this.#isFirst = false;
    const isEnd = this.#isEnd(bytes, asked);
    if (!this.#file.hasPositions) this.#offset += bytes;
    if (error !== undefined) this.#error = { cause: error };
    else if (isEnd) this.#isOver = true;
    /* What was read behind the end, as it was then, is of another time. */
    if (isEnd) this.#pieces.length = 0;
    if (bytes === 0) {
      this.#giveEnd(taker);
      return;
    }
    this.bytesRead += bytes;
    this.#taker = undefined;
    taker.take(view);
  }
}

/** Streams over an open file, and the reads and writes without a position that they come to. */
import type { Buffers } from '../buffers.js';
import { invalidValue } from '../errors.js';
import { heldSequence } from './memory.js';
import type { CallOptions } from './options.js';
import { readOnSteps, writeOnSteps } from './sequential.js';
import {
  type FileReadStream,
  type FileWriteStream,
  readStream,
  writeStream,
} from './stream-node.js';
import {
  nodeSettingsOf,
  type ReadableOptions,
  type ReadStreamOptions,
  readSettingsOf,
  type StreamOptions,
  type WritableOptions,
  type WriteStreamOptions,
  writeSettingsOf,
} from './stream-options.js';
import { webReadable, webWritable } from './stream-web.js';
import { SyncedFile } from './synced.js';

/** An open file that is read and written as a stream. */
export abstract class StreamedFile extends SyncedFile {
  /**
   * A `Readable` of Node that reads the file from one place to another, ahead of whoever takes its
   * views by no more than `highWaterMark`. Options are those of `fs.createReadStream`.
   *
   * Units: bytes; `end` is the last one read.
   * Order: that of the file, whatever else is under way; beside the file's own position.
   * Lifetime: each view is new memory and the taker's. The stream closes the file when it is over
   * unless `autoClose` is false; `close` is emitted when nothing is under way any more.
   * Errors: `TypeError`, `RangeError`; `IoError` when the file is not open for reading. Emitted as
   * `error`, once: `IoError`, after the bytes that could be read; `AbortError`.
   */
  createReadStream(options: ReadStreamOptions = {}): FileReadStream {
    const settings = { ...readSettingsOf(options), ...nodeSettingsOf(options) };
    this.#checkStream(options, 'read');
    return readStream(this, settings);
  }

  /**
   * A `Writable` of Node that writes all it is given, in order. What has piled up while a write was
   * under way goes out as one.
   *
   * Units: bytes.
   * Order: that of the writes; from `start` on, or at the end of a file open for append.
   * Durable: with `sync`, when `finish` is emitted; `synced` tells by what. The name of a file just
   * created needs a sync of its directory, as always.
   * Lifetime: a view is the library's until its callback. The stream closes the file when it is
   * over unless `autoClose` is false.
   * Errors: as `createReadStream`; `bytesWritten` tells what reached the file before. A failed sync
   * is an `error`, without `finish`, and the file is broken.
   */
  createWriteStream(options: WriteStreamOptions = {}): FileWriteStream {
    const settings = { ...writeSettingsOf(options), ...nodeSettingsOf(options) };
    this.#checkStream(options, 'write');
    return writeStream(this, settings);
  }

  /**
   * A `ReadableStream` of bytes. With `getReader({ mode: 'byob' })` the system fills the memory of
   * the reader itself.
   *
   * Units: bytes; `end` is the last one read.
   * Order: as `createReadStream`; nothing is read before it is asked for.
   * Lifetime: as `createReadStream`.
   * Errors: as `createReadStream`, as rejections of the reader.
   */
  readable(options: ReadableOptions = {}): ReadableStream<Uint8Array> {
    const settings = readSettingsOf(options);
    this.#checkStream(options, 'read');
    return webReadable(this, settings);
  }

  /**
   * A `WritableStream` that writes all it is given, in order: views, buffers, text as UTF-8.
   *
   * Order: as `createWriteStream`; each write is one of its own.
   * Durable: with `sync`, when `close` resolves.
   * Lifetime: as `createWriteStream`; a view is the library's until its write resolves.
   * Errors: as `createWriteStream`, as rejections of the writer.
   */
  writable(options: WritableOptions = {}): WritableStream<Uint8Array> {
    const settings = writeSettingsOf(options);
    this.#checkStream(options, 'write');
    return webWritable(this, settings);
  }

  /** As in `OpenFile`. */
  abstract append(buffers: Buffers, options?: CallOptions): Promise<number>;

  /** For streams: reads what there is at the descriptor's own position, at least a byte. */
  readOn(view: Uint8Array, options?: CallOptions): Promise<number> {
    return this.later(options, () => readOnSteps(this, heldSequence(view, 'reference'), false));
  }

  /** For streams: writes all at the descriptor's own position. */
  writeOn(buffers: Buffers, options?: CallOptions): Promise<number> {
    return this.later(options, () => writeOnSteps(this, heldSequence(buffers, 'reference')));
  }

  #checkStream({ start }: StreamOptions, verb: 'read' | 'write'): void {
    this.checkUsable(`${verb} a stream`);
    this.check(verb === 'read' ? this.mayRead : this.mayWrite, `${verb} a stream`);
    if (this.hasPositions || start === undefined) return;
    throw invalidValue('options.start', 'left out for a file without positions', start);
  }
}

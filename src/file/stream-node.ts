/** Node's streams over a file: what they do with bytes is `stream-reading` and `stream-writing`. */
import { atAbort } from '../engine.js';
import { AbortError } from '../errors.js';
import { nodeStreams, type Readable, type Writable } from '../platform.js';
import type { NodeSettings, ReadSettings, WriteSettings } from './stream-options.js';
import { type Readee, Reading, type Taker } from './stream-reading.js';
import { type Writee, Writing } from './stream-writing.js';
import type { SyncReport } from './synced.js';

interface Closable {
  readonly path: string | undefined;
  close(): Promise<void>;
}

/** A `Readable` of Node over an open file. */
export interface FileReadStream extends Readable {
  readonly path: string | undefined;
  /** Bytes that came out of the file into the stream. */
  readonly bytesRead: number;
}

/** A `Writable` of Node over an open file. */
export interface FileWriteStream extends Writable {
  readonly path: string | undefined;
  /** Bytes that the system has taken. */
  readonly bytesWritten: number;
  /** What made them durable, once the stream is finished; `undefined` where nothing has. */
  readonly synced: SyncReport | undefined;
}

type MakeRead = (file: Readee & Closable, settings: ReadSettings & NodeSettings) => FileReadStream;

type MakeWrite = (
  file: Writee & Closable,
  settings: WriteSettings & NodeSettings,
) => FileWriteStream;

/* What Node calls a chunk is a view here: strings come as bytes. */
type Waiting = Parameters<NonNullable<Writable['_writev']>>[0];
type Told = (error?: Error | null) => void;

let makeRead: MakeRead | undefined;
let makeWrite: MakeWrite | undefined;

/** What a stream owes when it is over: the signal forgotten, the file closed, one error told. */
class Farewell {
  readonly #file: Closable;
  readonly #autoClose: boolean;
  readonly #signal: AbortSignal | undefined;
  #forget: () => void = () => undefined;

  constructor(file: Closable, { autoClose, signal }: ReadSettings | WriteSettings) {
    this.#file = file;
    this.#autoClose = autoClose;
    this.#signal = signal;
  }

  /** Calls back when the signal is aborted, at once where it was before. */
  heed(bytes: () => number, destroy: (error: Error) => void): void {
    const signal = this.#signal;
    if (signal === undefined) return;
    const abort = (): void => destroy(new AbortError(signal.reason, bytes()));
    if (signal.aborted) abort();
    else this.#forget = atAbort(signal, abort);
  }

  /** When nothing is under way any more. */
  say(error: Error | null, told: Told): void {
    this.#forget();
    if (!this.#autoClose) {
      told(error);
      return;
    }
    this.#file.close().then(
      () => told(error),
      (refused) => told(error ?? refused),
    );
  }
}

function readMaker(): MakeRead {
  const { Readable } = nodeStreams();
  class ReadStream extends Readable implements FileReadStream {
    readonly path: string | undefined;
    readonly #reading: Reading;
    readonly #farewell: Farewell;
    readonly #taker: Taker = {
      take: (view) => void this.push(view ?? null),
      fail: (error) => void this.destroy(error as Error),
    };

    constructor(file: Readee & Closable, settings: ReadSettings & NodeSettings) {
      const { highWaterMark, emitClose, encoding } = settings;
      super({ highWaterMark, emitClose, ...(encoding === undefined ? {} : { encoding }) });
      this.path = file.path;
      const reading = new Reading(file, settings);
      this.#reading = reading;
      this.#farewell = new Farewell(file, settings);
      this.#farewell.heed(
        () => reading.bytesRead,
        (error) => void this.destroy(error),
      );
    }

    get bytesRead(): number {
      return this.#reading.bytesRead;
    }

    override _read(): void {
      this.#reading.next(this.readableHighWaterMark - this.readableLength, this.#taker);
    }

    override _destroy(error: Error | null, told: Told): void {
      this.#reading.stop(() => this.#farewell.say(error, told));
    }
  }
  return (file, settings) => new ReadStream(file, settings);
}

function writeMaker(): MakeWrite {
  const { Writable } = nodeStreams();
  class WriteStream extends Writable implements FileWriteStream {
    readonly path: string | undefined;
    readonly #writing: Writing;
    readonly #farewell: Farewell;

    constructor(file: Writee & Closable, settings: WriteSettings & NodeSettings) {
      const { highWaterMark, emitClose, encoding } = settings;
      const text = encoding === undefined ? {} : { defaultEncoding: encoding };
      super({ highWaterMark, emitClose, ...text });
      this.path = file.path;
      const writing = new Writing(file, settings);
      this.#writing = writing;
      this.#farewell = new Farewell(file, settings);
      this.#farewell.heed(
        () => writing.bytesWritten,
        (error) => void this.destroy(error),
      );
    }

    get bytesWritten(): number {
      return this.#writing.bytesWritten;
    }

    get synced(): SyncReport | undefined {
      return this.#writing.synced;
    }

    override _write(view: Uint8Array, _encoding: BufferEncoding, told: Told): void {
      this.#writing.write([view]).then(() => told(), told);
    }

    override _writev(waiting: Waiting, told: Told): void {
      this.#writing.write(waiting.map(({ chunk: view }) => view)).then(() => told(), told);
    }

    override _final(told: Told): void {
      this.#writing.finish().then(() => told(), told);
    }

    override _destroy(error: Error | null, told: Told): void {
      this.#writing.stop(() => this.#farewell.say(error, told));
    }
  }
  return (file, settings) => new WriteStream(file, settings);
}

/** A `Readable` over a file. Errors: as `nodeStreams`. */
export function readStream(
  file: Readee & Closable,
  settings: ReadSettings & NodeSettings,
): FileReadStream {
  makeRead ??= readMaker();
  return makeRead(file, settings);
}

/** A `Writable` over a file. Errors: as `nodeStreams`. */
export function writeStream(
  file: Writee & Closable,
  settings: WriteSettings & NodeSettings,
): FileWriteStream {
  makeWrite ??= writeMaker();
  return makeWrite(file, settings);
}

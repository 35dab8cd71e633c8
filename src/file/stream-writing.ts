/** Bytes on their way into a file in order: what every stream that writes is made of. */
import { alignedBuffer } from '../aligned.js';
import { type Buffers, buffersLength } from '../buffers.js';
import { alignUp } from '../bytes.js';
import { AbortError, IoError } from '../errors.js';
import type { Access } from './open.js';
import type { CallOptions } from './options.js';
import type { WriteSettings } from './stream-options.js';
import type { SyncReport } from './synced.js';
import type { Alignment } from './transfer.js';

const BLOCK_BYTES = 262144;

/** A file as its writers see it. */
export interface Writee {
  readonly access: Access;
  readonly directAlignment: Alignment | undefined;
  /** False for pipes and their like. */
  readonly hasPositions: boolean;
  writeAt(buffers: Buffers, offset: number): Promise<number>;
  writeOn(buffers: Buffers, options?: CallOptions): Promise<number>;
  append(buffers: Buffers): Promise<number>;
  sync(): Promise<SyncReport>;
  syncData(): Promise<SyncReport>;
}

/** One way into a file. One write at a time. */
export class Writing {
  /** Bytes that the system has taken. */
  bytesWritten = 0;
  /** What the end was made durable with. */
  synced: SyncReport | undefined = undefined;
  readonly #file: Writee;
  readonly #sync: 'data' | 'full' | undefined;
  readonly #blocks: Blocks | undefined;
  /* Pipes wait: this is what ends that. */
  readonly #aborter: AbortController | undefined;
  #offset: number;
  #isUnderWay = false;
  #isStopped = false;
  #whenIdle: (() => void) | undefined;

  constructor(file: Writee, { start = 0, sync }: WriteSettings) {
    const { directAlignment } = file;
    this.#file = file;
    this.#offset = start;
    this.#sync = sync;
    this.#blocks = directAlignment === undefined ? undefined : new Blocks(directAlignment);
    this.#aborter = file.hasPositions ? undefined : new AbortController();
  }

  /** Writes all, behind what was written before. Errors: as `writeAt`. */
  write(views: readonly Uint8Array[]): Promise<void> {
    return this.#busy(() => {
      return this.#blocks === undefined ? this.#put(views) : this.#gather(this.#blocks, views);
    });
  }

  /** Writes what was held back, and makes all durable where that was asked. Errors: as `sync`. */
  finish(): Promise<void> {
    return this.#busy(async () => {
      const rest = this.#blocks?.rest();
      if (rest !== undefined) await this.#put([rest]);
      const sync = this.#sync;
      if (sync === undefined || this.#isStopped) return;
      this.synced = await (sync === 'data' ? this.#file.syncData() : this.#file.sync());
    });
  }

  /** Begins nothing more, and calls back when nothing is under way. */
  stop(whenIdle: () => void): void {
    this.#isStopped = true;
    this.#aborter?.abort();
    if (this.#isUnderWay) this.#whenIdle = whenIdle;
    else whenIdle();
  }

  async #busy(work: () => Promise<void>): Promise<void> {
    this.#isUnderWay = true;
    try {
      await work();
    } catch (error) {
      const isOurs = error instanceof IoError || error instanceof AbortError;
      if (isOurs) this.bytesWritten += error.bytesDone ?? 0;
      throw error;
    } finally {
      this.#isUnderWay = false;
      this.#whenIdle?.();
    }
  }

  /* Direct I/O takes whole blocks of its own memory, and a tail at the end of the file alone. */
  async #gather(blocks: Blocks, views: readonly Uint8Array[]): Promise<void> {
    for (const view of views) {
      for (let done = 0; done < view.length && !this.#isStopped; ) {
        done += blocks.take(view, done);
        if (blocks.isFull) await this.#put([blocks.emptied()]);
      }
    }
  }

  async #put(views: readonly Uint8Array[]): Promise<void> {
    const [first, ...others] = views;
    const buffers = first !== undefined && others.length === 0 ? first : views;
    const bytes = await this.#begin(buffers);
    this.#offset += bytes;
    this.bytesWritten += bytes;
  }

  async #begin(buffers: Buffers): Promise<number> {
    const file = this.#file;
    if (!file.hasPositions) return file.writeOn(buffers, { signal: this.#aborter?.signal });
    if (file.access !== 'append') return file.writeAt(buffers, this.#offset);
    await file.append(buffers);
    return buffersLength(buffers);
  }
}

/* Memory for direct I/O that fills bit by bit. */
class Blocks {
  readonly #block: Uint8Array;
  #length = 0;

  constructor({ memory, length }: Alignment) {
    this.#block = alignedBuffer(alignUp(BLOCK_BYTES, length), memory);
  }

  get isFull(): boolean {
    return this.#length === this.#block.length;
  }

  /** Takes what there is room for and answers how much that was. */
  take(view: Uint8Array, from: number): number {
    const bytes = Math.min(view.length - from, this.#block.length - this.#length);
    this.#block.set(view.subarray(from, from + bytes), this.#length);
    this.#length += bytes;
    return bytes;
  }

  emptied(): Uint8Array {
    this.#length = 0;
    return this.#block;
  }

  rest(): Uint8Array | undefined {
    return this.#length === 0 ? undefined : this.#block.subarray(0, this.#length);
  }
}

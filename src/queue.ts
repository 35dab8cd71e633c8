/**
 * A queue of operations over many files: submit with a tag, retrieve completions. The same on every
 * engine; on io_uring one system call hands over a batch and brings back what has ended.
 *
 * Invariants: 1. Each accepted submission gives exactly one completion; one that throws gives none,
 *                and has done nothing.
 *             2. A cancelled submission that had not begun completes with `Cancelled`, one under
 *                way with that or with what really came of it.
 *             3. Memory of a submission is the system's until its completion has been retrieved or
 *                stands in the queue; a view, or part of a registered buffer, that a read under
 *                way fills is taken for nothing else.
 *             4. `outstanding` counts what was accepted and not retrieved, and is at most
 *                `capacity`: a program that does not retrieve is told, not given more memory.
 *             5. Completions come in no order, but those of a chain come in the chain's.
 *             6. A file with submissions outstanding stays open, whatever is asked of it.
 * Not promised: order between submissions that are not linked, also of one file, but those at the
 * file's own position; that different views of the same memory are noticed.
 * Source: RatOS file I/O specification 0.1 (RatQueueRead, RatGetCompletion); io_uring(7)
 */
import { type Buffers, sequenceOf } from './buffers.js';
import { byteCount } from './bytes.js';
import type { Engine, EngineStats } from './engine.js';
import { invalidType, invalidValue } from './errors.js';
import { type AllocateOptions, fileSteps, type OpenFile } from './file.js';
import { Code, markUntransferable, type PathLike, placeOf } from './platform.js';
import {
  checkFile,
  type FixedOptions,
  lengthOf,
  openChoicesOf,
  plainOptions,
  type QueuedOpenOptions,
  type QueueOptions,
  type SubmitOptions,
  startOf,
  type WaitOptions,
} from './queue/arguments.js';
import { syncOperation } from './queue/chain.js';
import { Completion, type Tag } from './queue/completion.js';
import { checkWorld } from './queue/flow.js';
import { removing, renaming } from './queue/names.js';
import { Retrieval } from './queue/retrieval.js';
import { Slots } from './queue/slots.js';
import { fileWork, stepsWork, type Work } from './queue/submission.js';

export type { FixedOptions, QueuedOpenOptions, QueueOptions, SubmitOptions, Tag, WaitOptions };
export { Completion };

/** What a queue is made of and what went through it. */
export interface QueueStats {
  readonly engine: Engine['name'];
  /** Why it is this engine. */
  readonly reason: string;
  readonly accepted: number;
  readonly completed: number;
  /** Of those: cancelled, and timed out. */
  readonly cancelled: number;
  readonly timedOut: number;
  /** What registered buffers and files are: the kernel's, or an ordinary operation each. */
  readonly registered: string;
  /** System calls of the engine, for everybody who uses it. */
  readonly system: EngineStats;
}

type TransferCode = typeof Code.Read | typeof Code.Write;
type SyncMode = 'data' | 'full';

/** A completion queue. Dispose of it by `await using`, or close it. */
export class CompletionQueue extends Retrieval {
  readonly #slots: Slots = new Slots(this.engine);
  #closed: Promise<void> | undefined;

  /**
   * Queues a read.
   *
   * Shapes: one view or any number. `offset` null: at the file's own position, which it moves on.
   * Units: the completion's `bytes`, fewer than asked only at the end of the file.
   * Order: as linked; reads and writes at the file's position take place in the order of the calls.
   * Lifetime: the views are the library's until the completion was retrieved.
   * Errors: `TypeError`, `RangeError` for bad input, and for memory that another operation uses;
   * `IoError` for a file that is closed or broken, and of status `NoResources` when the queue is
   * full. Nothing was accepted then.
   */
  read(
    file: OpenFile,
    buffers: Buffers,
    offset: number | bigint | null,
    tag: Tag,
    options: SubmitOptions = plainOptions,
  ): void {
    this.#transfer(Code.Read, file, buffers, offset, tag, options);
  }

  /**
   * Queues a write: all bytes or an error that tells how many.
   *
   * Shapes, Order, Lifetime: as `read`.
   * Durable: no; link a sync to it.
   * Errors: as `read`.
   */
  write(
    file: OpenFile,
    buffers: Buffers,
    offset: number | bigint | null,
    tag: Tag,
    options: SubmitOptions = plainOptions,
  ): void {
    this.#transfer(Code.Write, file, buffers, offset, tag, options);
  }

  /**
   * Queues a read into a registered buffer.
   *
   * Errors: as `read`; `RangeError` for a slot that is not registered.
   */
  readFixed(
    file: OpenFile,
    slot: number,
    offset: number | bigint,
    tag: Tag,
    options: FixedOptions = plainOptions,
  ): void {
    this.#fixed(Code.Read, file, slot, offset, tag, options);
  }

  /** Queues a write from a registered buffer. Errors: as `readFixed`. */
  writeFixed(
    file: OpenFile,
    slot: number,
    offset: number | bigint,
    tag: Tag,
    options: FixedOptions = plainOptions,
  ): void {
    this.#fixed(Code.Write, file, slot, offset, tag, options);
  }

  /**
   * Queues a sync.
   *
   * Order: covers what had completed before it begins, and what it is linked behind. Syncs of one
   * file take turns.
   * Durable: when its completion is `Ok`, what it covers survives a crash.
   * Errors: as `read`. A sync that fails breaks the file.
   */
  sync(file: OpenFile, mode: SyncMode, tag: Tag, options: SubmitOptions = plainOptions): void {
    if (mode !== 'data' && mode !== 'full') throw invalidValue('mode', "'data' or 'full'", mode);
    const code = mode === 'data' ? Code.SyncData : Code.Sync;
    const submission = this.prepareOn(file, tag, options);
    const prepared = file.prepare<unknown>(() =>
      mode === 'data' ? file.syncData({}) : file.sync({}),
    );
    submission.becomeWork(fileWork(this.engine, file, prepared), file, -1);
    submission.operation = syncOperation(file, code);
    this.accept(submission);
  }

  /** Queues `file.allocate`. Errors: as `read`. */
  allocate(
    file: OpenFile,
    offset: number,
    length: number,
    tag: Tag,
    options: SubmitOptions & Pick<AllocateOptions, 'keepSize'> = plainOptions,
  ): void {
    const keepSize = options?.keepSize;
    const submission = this.prepareOn(file, tag, options);
    const prepared = file.prepare(() => file.allocate(offset, length, { keepSize }));
    submission.becomeWork(fileWork(this.engine, file, prepared), file, -1);
    this.accept(submission);
  }

  /**
   * Queues `openFile`; the completion's `file` is the file, whose engine is the queue's.
   *
   * Errors: as `read`, and as `openFile` for bad input.
   */
  open(
    path: PathLike,
    choices: QueuedOpenOptions,
    tag: Tag,
    options: SubmitOptions = plainOptions,
  ): void {
    const steps = fileSteps(this.engine, placeOf(path), openChoicesOf(choices));
    const submission = this.prepare(tag, options);
    submission.becomeWork(stepsWork(this.engine, steps), undefined, -1);
    this.accept(submission);
  }

  /**
   * Queues `file.close()`, which comes after what was queued before it; no more is taken for the
   * file. A close that is cancelled has not closed it. Of a file that is closed it says the same
   * as `close()` does: again is the same outcome.
   *
   * Errors: as `read`.
   */
  closeFile(file: OpenFile, tag: Tag, options: SubmitOptions = plainOptions): void {
    checkFile(file);
    checkWorld(this.engine, file);
    const submission = this.prepare(tag, options);
    const begin: Work['begin'] = ({ resolve, reject }) =>
      file.closeTold({ resolve, reject }, this.engine);
    submission.becomeWork({ begin }, undefined, -1);
    submission.closes = file;
    this.accept(submission);
  }

  /** Queues a rename, which replaces what stands at the target. Errors: as `read`. */
  rename(
    source: PathLike,
    target: PathLike,
    tag: Tag,
    options: SubmitOptions = plainOptions,
  ): void {
    const steps = renaming(source, target);
    const submission = this.prepare(tag, options);
    submission.becomeWork(stepsWork(this.engine, steps), undefined, -1);
    this.accept(submission);
  }

  /** Queues the removal of a file's name. Errors: as `read`. */
  unlink(path: PathLike, tag: Tag, options: SubmitOptions = plainOptions): void {
    const steps = removing(path);
    const submission = this.prepare(tag, options);
    submission.becomeWork(stepsWork(this.engine, steps), undefined, -1);
    this.accept(submission);
  }

  /** Queues what does nothing, and completes. Errors: as `read`. */
  nop(tag: Tag, options: SubmitOptions = plainOptions): void {
    const submission = this.prepare(tag, options);
    submission.becomeNop();
    this.accept(submission);
  }

  /**
   * Registers memory for `readFixed` and `writeFixed`; answers the slots, one for each view.
   *
   * Lifetime: the memory is the library's until the queue is closed, and marked for good, so that
   * it cannot be transferred.
   * Errors: `TypeError` for anything that is not views.
   */
  registerBuffers(buffers: Buffers): readonly number[] {
    this.checkOpen('register buffers');
    return sequenceOf(buffers).views.map((view) => {
      markUntransferable(view.buffer);
      return this.#slots.add(view);
    });
  }

  /**
   * Registers open files, so that the kernel need not look them up; until they are closed.
   *
   * Errors: `TypeError` for anything that is not an open file; `IoError` for a closed one.
   */
  registerFiles(files: Iterable<OpenFile>): void {
    this.checkOpen('register files');
    for (const file of [...files]) {
      checkFile(file);
      file.hold();
      file.register(this.engine);
      file.letGo();
    }
  }

  #transfer(
    code: TransferCode,
    file: OpenFile,
    buffers: Buffers,
    at: number | bigint | null,
    tag: Tag,
    options: SubmitOptions,
  ): void {
    const isPlain = buffers instanceof Uint8Array && buffers.length > 0 && at !== null;
    /* The caller's iterator runs here, before anything is looked at. */
    const sequence = isPlain ? undefined : sequenceOf(buffers);
    const submission = this.prepareOn(file, tag, options);
    if (isPlain && file.memory === 'reference' && file.takes(code, buffers, at)) {
      this.memory.take(buffers, code === Code.Read, 'buffers');
      submission.key = buffers;
      submission.becomeTransfer(code, file, buffers, Number(at));
    } else {
      const { views } = sequence ?? sequenceOf(buffers);
      const work = this.#workOf(code, file, views, at);
      this.memory.takeAll(views, code === Code.Read, 'buffers');
      submission.keys = views;
      submission.becomeWork(work, file, sequence?.byteLength ?? (buffers as Uint8Array).length);
    }
    this.accept(submission);
  }

  /* Many views, a position, a direct write, copied memory: what the file's own call does. */
  #workOf(
    code: TransferCode,
    file: OpenFile,
    views: readonly Uint8Array[],
    at: number | bigint | null,
  ): Work {
    const prepared = file.prepare(() => {
      if (at === null) return code === Code.Read ? file.read(views) : file.write(views);
      return code === Code.Read ? file.readAt(views, at) : file.writeAt(views, at);
    });
    return fileWork(this.engine, file, prepared);
  }

  #fixed(
    code: TransferCode,
    file: OpenFile,
    slot: number,
    at: number | bigint,
    tag: Tag,
    options: FixedOptions,
  ): void {
    const wantedStart = options === plainOptions ? undefined : options?.start;
    const wantedLength = options === plainOptions ? undefined : options?.length;
    const submission = this.prepareOn(file, tag, options);
    const { view, place, parts } = this.#slots.at(slot);
    const start = startOf(view, wantedStart);
    const length = lengthOf(view, start, wantedLength);
    const piece = length === view.length ? view : view.subarray(start, start + length);
    const offset = byteCount(at, 'offset');
    const isPlain = length > 0 && file.memory === 'reference' && file.takes(code, piece, offset);
    const work = isPlain ? undefined : this.#workOf(code, file, [piece], offset);
    submission.takePart(parts, slot, start, start + length, code === Code.Read);
    if (work === undefined) {
      submission.becomeTransfer(code, file, piece, offset);
      submission.useSlot(place);
    } else submission.becomeWork(work, file, length);
    this.accept(submission);
  }

  /**
   * Takes no more, and waits for what is outstanding; completions stay to be retrieved. Again is
   * the same promise.
   *
   * Lifetime: registered buffers are the caller's again when the promise resolves.
   * Errors: `TypeError` for options that are no object.
   */
  close(options: { readonly cancel?: boolean | undefined } = {}): Promise<void> {
    if (typeof options !== 'object' || options === null) {
      return Promise.reject(invalidType('options', 'an object', options));
    }
    this.isClosing = true;
    if (options.cancel === true) this.cancelAll();
    this.#closed ??= this.#closeWhenEnded();
    return this.#closed;
  }

  async #closeWhenEnded(): Promise<void> {
    this.notify();
    this.submit();
    while (this.endedOnes.count < this.outstanding) {
      await this.untilDone(this.outstanding, -1, false);
    }
    this.#slots.clear();
    this.notify();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What the queue is made of, and what went through it. */
  stats(): QueueStats {
    const { name, reason } = this.engine;
    return {
      engine: name,
      reason,
      ...this.counts,
      registered: this.#registered(),
      system: this.engine.stats(),
    };
  }

  #registered(): string {
    const { engine } = this;
    if (engine.registerView === undefined) return `engine ${engine.name} has no registered memory`;
    if (!this.#slots.isWhole) return 'the kernel refused some buffers: these are ordinary memory';
    return engine.name === 'ring' ? 'registered with the kernel' : 'looked up once';
  }
}

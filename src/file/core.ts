/** The life of an open file: its descriptor, its latch, what is under way, and the two faces. */

import { byteCount, checkRange } from '../bytes.js';
import {
  Counters,
  drive,
  driveSync,
  type Engine,
  type EngineStats,
  forgetDescriptor,
  type Interrupt,
  type MemoryMode,
  memoryModeOf,
  nameDescriptor,
  type Outcome,
  type Steps,
  start,
  Turns,
} from '../engine.js';
import { IoError } from '../errors.js';
import { AT_ONCE_BYTES_MAX, Code, codeName, errnoOf, type FileStat, refusal } from '../platform.js';
import { checkAligned, isAlignedView } from './direct.js';
import { explained, type FileExplanation } from './explain.js';
import { Latch } from './latch.js';
import { type Access, closing } from './open.js';
import { type CallOptions, signalOf } from './options.js';
import { quickTransfer } from './quick.js';
import type { Pipe } from './sequential.js';
import type { Alignment, Target } from './transfer.js';

export type TransferCode = typeof Code.Read | typeof Code.Write;

/** What is done one at a time. */
export type Turn = 'append' | 'position' | 'sync';

const ACTIONS: Readonly<Record<Turn, string>> = {
  append: 'append',
  position: 'use the position',
  sync: 'sync the file',
};

const ACTIONS_PLACED: Readonly<Record<TransferCode, string>> = {
  [Code.Read]: 'read',
  [Code.Write]: 'write at a position',
};

/** A call that was checked and has not begun. */
export interface Prepared<T> {
  readonly steps: Steps<T>;
  readonly turn: Turn | undefined;
  readonly signal: Interrupt | undefined;
}

/* What a call that is only prepared answers; nobody looks at it. */
const nobody: Promise<never> = new Promise(() => undefined);

/** What a file is made of. */
export interface FileParts {
  readonly engine: Engine;
  readonly fd: number;
  readonly access: Access;
  readonly path: string | undefined;
  /** Which file it is. */
  readonly stat: Pick<FileStat, 'device' | 'inode'>;
  /** A borrowed descriptor is not closed. */
  readonly isOwned: boolean;
  /** Set for direct I/O. */
  readonly alignment: Alignment | undefined;
  /** What was asked for and is not in force, and why. */
  readonly fallbacks: readonly { readonly what: string; readonly reason: string }[];
  /** What becomes of views where a call does not say. */
  readonly memory?: MemoryMode | undefined;
  /** Set for what has no positions. */
  readonly pipe?: Pipe | undefined;
}

/** What every open file has, whatever it can do. */
export abstract class FileCore implements Target {
  readonly engine: Engine;
  /** @internal */
  readonly latch: Latch = new Latch();
  /** @internal */
  readonly counters: Counters = new Counters();
  readonly path: string | undefined;
  readonly access: Access;
  readonly directAlignment: Alignment | undefined;
  /** What becomes of views where a call does not say. */
  readonly memory: MemoryMode;
  /** For streams: what is known of the other end; `undefined` with positions. @internal */
  readonly pipe: Pipe | undefined;
  protected readonly mayRead: boolean;
  protected readonly mayWrite: boolean;
  /* Not with O_APPEND: pwrite(2) appends then, see its BUGS. */
  protected readonly mayWriteAt: boolean;
  /**
   * Work whose order is the file's: appends, syncs, and reads and writes at the position.
   *
   * @internal
   */
  readonly turns: Turns<Turn> = new Turns();
  readonly #parts: FileParts;
  #fd: number;
  #fixed: { readonly engine: Engine; readonly place: number } | undefined;
  #isClosing = false;
  #underWay = 0;
  #closed: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;
  #isPreparing = false;
  #prepared: Prepared<unknown> | undefined;

  constructor(parts: FileParts) {
    const { engine, access, path } = parts;
    this.#parts = parts;
    this.memory = memoryModeOf(parts.memory, 'options.memory');
    this.engine = engine;
    this.access = access;
    this.path = path;
    this.directAlignment = parts.alignment;
    this.pipe = parts.pipe;
    this.#fd = parts.fd;
    nameDescriptor(engine, parts);
    this.mayRead = access === 'read' || access === 'read-write';
    this.mayWrite = access !== 'read';
    this.mayWriteAt = this.mayWrite && access !== 'append';
  }

  /** The descriptor; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /** True as soon as a close was asked for. */
  get isClosed(): boolean {
    return this.#isClosing;
  }

  /** False for pipes and their like, which were asked for with `pipes`. */
  get hasPositions(): boolean {
    return this.pipe === undefined;
  }

  /** True when direct I/O is in force. */
  get direct(): boolean {
    return this.directAlignment !== undefined;
  }

  /** What direct I/O demands of memory, offset and length, in bytes; 1 where it is not in force. */
  get alignment(): Alignment {
    return this.directAlignment ?? { memory: 1, offset: 1, length: 1 };
  }

  /**
   * Closes the file after what is under way; again is the same promise. Not a sync.
   *
   * Errors: `IoError` when the system reports a failure at last; the descriptor is gone then too.
   */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve, reject) => this.#closeWhenIdle({ resolve, reject }));
    return this.#closed;
  }

  /** As `close`, by another engine, telling an outcome. @internal */
  closeTold(outcome: Outcome<void>, engine: Engine): void {
    if (this.#closed !== undefined) {
      this.#closed.then(outcome.resolve, outcome.reject);
      return;
    }
    this.#closed = new Promise((resolve, reject) => {
      const both: Outcome<void> = {
        resolve: () => {
          resolve();
          outcome.resolve();
        },
        reject: (error) => {
          reject(error);
          outcome.reject(error);
        },
      };
      this.#closeWhenIdle(both, engine);
    });
    this.#closed.catch(() => undefined);
  }

  #closeWhenIdle(outcome: Outcome<void>, engine: Engine = this.engine): void {
    this.#isClosing = true;
    this.closing();
    const begin = (): void => start(engine, this.#closeSteps(), outcome);
    if (this.#underWay > 0) this.#whenIdle = begin;
    else begin();
  }

  /**
   * Closes the file: at once, or, when operations are under way, after the last of them.
   *
   * Errors: as `close`, when it closes at once.
   */
  closeSync(): void {
    if (this.#isClosing) return;
    if (this.#underWay > 0) {
      this.close().catch(() => undefined);
      return;
    }
    this.#isClosing = true;
    this.closing();
    this.#closed = Promise.resolve();
    driveSync(this.engine, this.#closeSteps());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.dispose](): void {
    this.closeSync();
  }

  /** System calls, bytes and short transfers of this file so far. */
  stats(): EngineStats {
    return this.counters.stats();
  }

  /** What this file does and why: engine, primitives, and each fallback with its reason. */
  explain(): FileExplanation {
    return explained(this, this.alignment, this.#parts.fallbacks);
  }

  protected now<T>(steps: () => Steps<T>): T {
    this.checkUsable('use the file');
    return driveSync(this.engine, steps());
  }

  protected later<T>(
    options: CallOptions | undefined,
    make: (memory: MemoryMode) => Steps<T>,
    turn?: Turn,
  ): Promise<T> {
    if (this.#isPreparing) {
      this.#prepared = this.#prepareCall(options, make, turn);
      return nobody;
    }
    return new Promise<T>((resolve, reject) => {
      const prepared = this.#prepareCall(options, make, turn);
      this.hold();
      this.begin(prepared, { onEnd: this.#letGo, resolve, reject });
    });
  }

  #prepareCall<T>(
    options: CallOptions | undefined,
    make: (memory: MemoryMode) => Steps<T>,
    turn: Turn | undefined,
  ): Prepared<T> {
    this.checkUsable('use the file');
    const signal = signalOf(options);
    const steps = make(memoryModeOf(options?.memory, 'options.memory', this.memory));
    return { steps, turn, signal };
  }

  /**
   * What a call of this file would do, for a queue, which begins it in its own time.
   *
   * Lifetime: between this and the end of it, the file has to be held.
   * Errors: what the call throws before it begins.
   *
   * @internal
   */
  prepare<T>(call: () => Promise<T>): Prepared<T> {
    this.#isPreparing = true;
    try {
      call();
      return this.#prepared as Prepared<T>;
    } finally {
      this.#isPreparing = false;
      this.#prepared = undefined;
    }
  }

  /**
   * Begins what was prepared, in its turn, with the engine of the file or a queue's. The outcome is
   * told at once when it has ended.
   *
   * @internal
   */
  begin<T>(
    { steps, turn, signal }: Prepared<T>,
    outcome: Outcome<T>,
    engine: Engine = this.engine,
  ): void {
    if (turn === undefined) {
      start(engine, steps, { ...outcome, signal: outcome.signal ?? signal });
      return;
    }
    const onEnd = (): void => {
      outcome.onEnd?.();
      this.turns.leave(turn);
    };
    this.turns.enter(turn, () => {
      start(engine, steps, { ...outcome, signal: outcome.signal ?? signal, onEnd });
    });
  }

  /**
   * For a queue: whether a read or write of one view may be one system call as it is.
   *
   * Errors: what `readAt` and `writeAt` throw before they begin.
   *
   * @internal
   */
  takes(code: TransferCode, view: Uint8Array, at: number | bigint): boolean {
    const offset = byteCount(at, 'offset');
    checkRange(offset, view.length, 'offset');
    this.checkPlaced(code);
    const alignment = this.directAlignment;
    if (alignment === undefined) return true;
    if (code === Code.Write) return false;
    if (isAlignedView(alignment, view, offset)) return true;
    checkAligned(alignment, { views: [view], byteLength: view.length }, offset, false);
    return true;
  }

  /** The error of a sync that was refused; the file is broken by most. */
  syncRefused(code: typeof Code.Sync | typeof Code.SyncData, result: number): IoError {
    const syscall = codeName(code);
    const context = { action: 'sync the file', syscall, path: this.path, step: syscall };
    return this.latch.tripBySync(refusal(result, context));
  }

  /** Where the descriptor stands in the engine's table of registered files; -1: nowhere. */
  get fixedPlace(): number {
    return this.#fixed?.place ?? -1;
  }

  /**
   * Registers the descriptor with an engine, once, for as long as the file is open. Answers whether
   * the engine has such a table, with room in it.
   */
  register(engine: Engine): boolean {
    if (this.#fixed !== undefined) return true;
    const place = engine.registerFile?.(this.#fd) ?? -1;
    if (place >= 0) this.#fixed = { engine, place };
    return place >= 0;
  }

  /** Whether a read may be tried on the calling thread: a direct one waits whatever it is told. */
  readsAtOnce(length: number): boolean {
    return this.directAlignment === undefined && length <= AT_ONCE_BYTES_MAX;
  }

  /** Whether a transfer is of one view, may be made at once, and asks for nothing special. */
  protected isQuick(
    code: TransferCode,
    buffers: unknown,
    at: number | bigint,
  ): buffers is Uint8Array {
    if (!(buffers instanceof Uint8Array) || typeof at !== 'number') return false;
    const { length } = buffers;
    if (length === 0 || !(at >= 0 && Number.isSafeInteger(at + length))) return false;
    if (this.#isClosing || this.#isPreparing || this.latch.cause !== undefined) return false;
    if (this.memory !== 'reference' || !this.allows(code) || this.pipe !== undefined) return false;
    const alignment = this.directAlignment;
    if (alignment === undefined) return true;
    /* A direct write may have a tail, or stand beside one that has. */
    return code === Code.Read && isAlignedView(alignment, buffers, at);
  }

  /** Makes a transfer that `isQuick`. */
  protected quickly(code: TransferCode, view: Uint8Array, offset: number): Promise<number> {
    this.#underWay++;
    return quickTransfer(code, this, view, offset);
  }

  /** Keeps the file open until it is let go of. Errors: `IoError` when it is closed or broken. */
  hold(): void {
    this.checkUsable('use the file');
    this.#underWay++;
  }

  letGo(): void {
    this.#underWay--;
    if (this.#underWay > 0) return;
    const idle = this.#whenIdle;
    this.#whenIdle = undefined;
    idle?.();
  }

  readonly #letGo = (): void => this.letGo();

  /* Work whose conditions are its own; the close waits for it. */
  protected begun<T>(steps: Steps<T>, signal: Interrupt | undefined): Promise<T> {
    this.#underWay++;
    return drive(this.engine, steps, signal, this.#letGo);
  }

  protected done<T>(steps: Steps<T>): T {
    return driveSync(this.engine, steps);
  }

  /** A close was asked for: whoever waits for something else is to stop. */
  protected abstract closing(): void;

  /** What has to be done before the descriptor is closed. */
  protected abstract lastSteps(): Steps<void>;

  /* The calling thread cannot wait for its turn. */
  protected nowInTurn<T>(turn: Turn, make: () => Steps<T>): T {
    return this.now(() => {
      const steps = make();
      if (!this.turns.isTaken(turn)) return steps;
      const words = `an asynchronous ${turn === 'position' ? 'call' : turn} is under way`;
      throw new IoError({ action: ACTIONS[turn], path: this.path, code: 'EBUSY', words });
    });
  }

  /** Whether the file may be read, or written at a position. @internal */
  allows(code: TransferCode): boolean {
    return code === Code.Read ? this.mayRead : this.mayWriteAt;
  }

  /** Errors: `IoError` when the file may not be read, or written at a position, or has none. */
  protected checkPlaced(code: TransferCode, action: string = ACTIONS_PLACED[code]): void {
    if (this.pipe !== undefined) throw refusal(errnoOf('ESPIPE'), { action, path: this.path });
    this.check(this.allows(code), action);
  }

  protected check(isAllowed: boolean, action: string): void {
    if (isAllowed) return;
    const words = `the file is open for ${this.access} only`;
    throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'access', words });
  }

  /** Errors: `IoError` when the file is closed or broken. */
  checkUsable(action: string): void {
    if (this.#isClosing) {
      const words = 'the file is closed';
      throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'closed', words });
    }
    this.latch.check(action, this.path);
  }

  *#closeSteps(): Steps<void> {
    yield* this.lastSteps();
    const close = closing(this.#fd);
    this.#fd = -1;
    /* The table keeps the file open, and what is locked through it locked. */
    if (this.#fixed !== undefined) this.#fixed.engine.unregisterFile?.(this.#fixed.place);
    this.#fixed = undefined;
    if (this.#parts.isOwned) yield close;
    forgetDescriptor(this.engine, this.#parts);
    if (!this.#parts.isOwned) return;
    this.counters.count(close);
    if (close.result >= 0) return;
    throw refusal(close.result, { action: 'close the file', syscall: 'close', path: this.path });
  }
}

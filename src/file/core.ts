/** The life of an open file: its descriptor, its latch, what is under way, and the two faces. */

import type { Steps } from '../engine.js';
import {
  Counters,
  drive,
  driveSync,
  type Engine,
  type EngineStats,
  type Interrupt,
  type MemoryMode,
  memoryModeOf,
  Turns,
} from '../engine.js';
import { IoError } from '../errors.js';
import { Code, refusal } from '../platform.js';
import { explained, type FileExplanation } from './explain.js';
import { Latch } from './latch.js';
import { type Access, closing } from './open.js';
import { type CallOptions, signalOf } from './options.js';
import type { Alignment, Target } from './transfer.js';

export type TransferCode = typeof Code.Read | typeof Code.Write;

/** What is done one at a time. */
export type Turn = 'append' | 'position' | 'sync';

const ACTIONS: Readonly<Record<Turn, string>> = {
  append: 'append',
  position: 'use the position',
  sync: 'sync the file',
};

/** What a file is made of. */
export interface FileParts {
  readonly engine: Engine;
  readonly fd: number;
  readonly access: Access;
  readonly path: string | undefined;
  /** A borrowed descriptor is not closed. */
  readonly isOwned: boolean;
  /** Set for direct I/O. */
  readonly alignment: Alignment | undefined;
  /** What was asked for and is not in force, and why. */
  readonly fallbacks: readonly { readonly what: string; readonly reason: string }[];
  /** What becomes of views where a call does not say. */
  readonly memory?: MemoryMode | undefined;
}

/** What every open file has, whatever it can do. */
export abstract class FileCore implements Target {
  readonly engine: Engine;
  readonly latch: Latch = new Latch();
  readonly counters: Counters = new Counters();
  readonly path: string | undefined;
  readonly access: Access;
  readonly directAlignment: Alignment | undefined;
  protected readonly mayRead: boolean;
  protected readonly mayWrite: boolean;
  /* Not with O_APPEND: pwrite(2) appends then, see its BUGS. */
  protected readonly mayWriteAt: boolean;
  /* Work whose order is the file's: appends, syncs, and reads and writes at the position. */
  protected readonly turns: Turns<Turn> = new Turns();
  readonly #parts: FileParts;
  readonly #memory: MemoryMode;
  #fd: number;
  #isClosing = false;
  #underWay = 0;
  #closed: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(parts: FileParts) {
    const { engine, access, path } = parts;
    this.#parts = parts;
    this.#memory = memoryModeOf(parts.memory, 'options.memory');
    this.engine = engine;
    this.access = access;
    this.path = path;
    this.directAlignment = parts.alignment;
    this.#fd = parts.fd;
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
    this.#closed ??= this.#closeWhenIdle();
    return this.#closed;
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
    try {
      this.checkUsable('use the file');
      const signal = signalOf(options);
      const steps = make(memoryModeOf(options?.memory, 'options.memory', this.#memory));
      this.#underWay++;
      const work = (): Promise<T> => drive(this.engine, steps, signal, this.#onEnd);
      return turn === undefined ? work() : this.turns.take(turn, work);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /* Work whose conditions are its own; the close waits for it. */
  protected begun<T>(steps: Steps<T>, signal: Interrupt | undefined): Promise<T> {
    this.#underWay++;
    return drive(this.engine, steps, signal, this.#onEnd);
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

  protected allows(code: TransferCode): boolean {
    return code === Code.Read ? this.mayRead : this.mayWriteAt;
  }

  protected check(isAllowed: boolean, action: string): void {
    if (isAllowed) return;
    const words = `the file is open for ${this.access} only`;
    throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'access', words });
  }

  readonly #onEnd = (): void => {
    this.#underWay--;
    if (this.#underWay === 0) this.#whenIdle?.();
  };

  protected checkUsable(action: string): void {
    if (this.#isClosing) {
      const words = 'the file is closed';
      throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'closed', words });
    }
    this.latch.check(action, this.path);
  }

  async #closeWhenIdle(): Promise<void> {
    this.#isClosing = true;
    this.closing();
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await drive(this.engine, this.#closeSteps());
  }

  *#closeSteps(): Steps<void> {
    yield* this.lastSteps();
    const close = closing(this.#fd);
    this.#fd = -1;
    if (!this.#parts.isOwned) return;
    yield close;
    this.counters.count(close);
    if (close.result >= 0) return;
    throw refusal(close.result, { action: 'close the file', syscall: 'close', path: this.path });
  }
}

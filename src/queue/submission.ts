/** One submission on its way: from its acceptance to the retrieval of its completion. */
import { type Engine, type Interrupt, type Steps, start, submit, type Waiter } from '../engine.js';
import { AbortError, IoError, Status, timeIsUp } from '../errors.js';
import { type OpenFile, type Prepared, restSteps } from '../file.js';
import { Code, codeName, errnoOf, now, Operation, refusal } from '../platform.js';
import type { Completion, Tag } from './completion.js';
import type { Part, PartsInUse } from './use.js';

/** Where a submission is. */
export const Stage = { Free: 0, Staged: 1, UnderWay: 2, Ended: 3 } as const;
export type Stage = (typeof Stage)[keyof typeof Stage];

/** Why it is to end before it is done. */
export const Asked = { Nothing: 0, Cancel: 1, Time: 2 } as const;
export type Asked = (typeof Asked)[keyof typeof Asked];

/** Who submissions belong to. */
export interface Home {
  readonly engine: Engine;
  /** Told once for each submission. */
  ended(submission: Submission): void;
}

interface Told {
  readonly signal: Interrupt;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What is more than one system call: checked, not begun. */
export interface Work {
  begin(told: Told): void;
  /** Takes its place in the order of its file, when it is accepted. */
  reserve?(): void;
  /** True when it was waiting for its turn, and will not begin now; also of one never begun. */
  giveUp?(): boolean;
}

/** A file's own call, as a queue drives it. */
export function fileWork(engine: Engine, file: OpenFile, prepared: Prepared<unknown>): Work {
  if (prepared.turn === 'position') return new PositionWork(engine, file, prepared.steps);
  return { begin: (told) => file.begin(prepared, told, engine) };
}

/*
 * What goes on where the last one ended has its place from the moment it was queued, however long
 * it takes to begin: behind a drain, in a chain.
 */
class PositionWork implements Work {
  readonly #engine: Engine;
  readonly #file: OpenFile;
  readonly #steps: Steps<unknown>;
  #hasTurn = false;
  #isOver = false;
  #told: Told | undefined;

  constructor(engine: Engine, file: OpenFile, steps: Steps<unknown>) {
    this.#engine = engine;
    this.#file = file;
    this.#steps = steps;
  }

  reserve(): void {
    this.#file.turns.enter('position', () => {
      this.#hasTurn = true;
      if (this.#isOver) this.#leave();
      else if (this.#told !== undefined) this.begin(this.#told);
    });
  }

  begin(told: Told): void {
    this.#told = told;
    if (!this.#hasTurn) return;
    start(this.#engine, this.#steps, { ...told, onEnd: () => this.#leave() });
  }

  giveUp(): boolean {
    if (this.#isOver || (this.#hasTurn && this.#told !== undefined)) return false;
    this.#isOver = true;
    if (this.#hasTurn) this.#leave();
    return true;
  }

  #leave(): void {
    this.#file.turns.leave('position');
  }
}

/** Steps that need no open file. */
export function stepsWork(engine: Engine, steps: Steps<unknown>): Work {
  return { begin: (told) => start(engine, steps, told) };
}

type TransferCode = typeof Code.Read | typeof Code.Write;
type SyncCode = typeof Code.Sync | typeof Code.SyncData;

const CANCELLED: number = errnoOf('ECANCELED');
const nothing: Operation = new Operation(Code.Nop);

function isSync({ code }: Operation): boolean {
  return code === Code.Sync || code === Code.SyncData;
}

/**
 * Either one system call over one piece of memory (or none), which goes to the engine as it is, or
 * `work`. Reused, with the operations it has: a queue in steady state makes none.
 */
export class Submission implements Waiter, Interrupt, Part {
  readonly #home: Home;
  readonly #read: Operation = new Operation(Code.Read);
  readonly #write: Operation = new Operation(Code.Write);
  readonly #nop: Operation = new Operation(Code.Nop);
  #hasBegun = false;
  /** What is asked of the engine, when there is no `work`. */
  operation: Operation = nothing;
  work: Work | undefined = undefined;
  stage: Stage = Stage.Free;
  asked: Asked = Asked.Nothing;
  tag: Tag = 0;
  file: OpenFile | undefined = undefined;
  /** What a transfer moves. */
  view: Uint8Array | undefined = undefined;
  /** The memory it uses: a view, several views, or a part of a registered buffer. */
  key: Uint8Array | undefined = undefined;
  keys: readonly Uint8Array[] | undefined = undefined;
  parts: PartsInUse | undefined = undefined;
  partStart = 0;
  partEnd = 0;
  partIsRead = false;
  partIndex = 0;
  /** The file that it closes. */
  closes: OpenFile | undefined = undefined;
  /** Bytes it has to move for a chain to go on; -1: it moves none. */
  wanted = -1;
  isLinked = false;
  isDrained = false;
  timeoutMs = 0;
  deadlineMs = 0;
  stopTimer: (() => void) | undefined = undefined;
  /** Told behind the home: a chain that goes on. */
  follower: Home | undefined = undefined;
  status: Status = Status.Ok;
  bytes = 0;
  error: IoError | undefined = undefined;
  opened: OpenFile | undefined = undefined;

  constructor(home: Home) {
    this.#home = home;
  }

  /** Makes it one read or write of one piece. */
  becomeTransfer(code: TransferCode, file: OpenFile, view: Uint8Array, offset: number): void {
    const operation = code === Code.Read ? this.#read : this.#write;
    operation.fd = file.fd;
    operation.fixedFile = file.fixedPlace;
    operation.fixedView = -1;
    operation.offset = offset;
    operation.length = view.length;
    operation.payload = view;
    operation.isDirect = file.direct;
    operation.triesNow = code === Code.Read && file.readsAtOnce(view.length);
    this.operation = operation;
    this.file = file;
    this.view = view;
    this.wanted = view.length;
  }

  /** Makes the memory of a transfer that of a registered place, where there is one. */
  useSlot(place: number): void {
    this.operation.fixedView = place;
    this.operation.start = this.partStart;
  }

  /** Takes a part of a registered buffer. Errors: `TypeError` when another operation uses it. */
  takePart(parts: PartsInUse, slot: number, start: number, end: number, isRead: boolean): void {
    this.partStart = start;
    this.partEnd = end;
    this.partIsRead = isRead;
    parts.take(this, slot);
    this.parts = parts;
  }

  /** Makes it what does nothing. */
  becomeNop(): void {
    this.operation = this.#nop;
  }

  /** Makes it what takes more than one call, or its turn. */
  becomeWork(work: Work, file: OpenFile | undefined, wanted: number): void {
    this.work = work;
    this.file = file;
    this.wanted = wanted;
  }

  /** As an `Interrupt`: looked at between two system calls. */
  get aborted(): boolean {
    return this.asked !== Asked.Nothing;
  }

  get reason(): unknown {
    return this.asked === Asked.Time ? timeIsUp() : undefined;
  }

  /** True when its time is up, whoever has said so. */
  get isLate(): boolean {
    return this.timeoutMs > 0 && now() >= this.deadlineMs;
  }

  /** Begins what it does, unless its end was asked for before, or its file is broken by now. */
  begin(): void {
    if (this.aborted) {
      this.giveUp();
      return;
    }
    const { work, file } = this;
    this.#hasBegun = true;
    try {
      if (work !== undefined) {
        work.begin({ signal: this, resolve: this.#resolve, reject: this.#reject });
        return;
      }
      file?.latch.check('begin a queued operation', file.path);
      submit(this.#home.engine, this.operation, this);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends one that has not begun. */
  giveUp(): void {
    this.work?.giveUp?.();
    this.#reject(this.#interruption(0));
  }

  /** Its end was asked for while it is under way. */
  interrupt(): void {
    const { work } = this;
    if (work === undefined || !this.#hasBegun) this.#home.engine.cancel?.(this.operation);
    else if (work.giveUp?.() === true) this.#reject(this.#interruption(0));
  }

  /** There is no answer: the power of a simulated disk went, or the engine does not take it. */
  fail(error: unknown): void {
    this.#reject(error);
  }

  /** The answer stands in the operation. */
  settle(): void {
    const { operation, view } = this;
    const { result, length } = operation;
    if (view === undefined) {
      if (isSync(operation) && result !== CANCELLED) this.file?.counters.count(operation);
      if (result < 0) this.#reject(this.#refused(result));
      else this.#finish(Status.Ok, 0, undefined);
    } else if (result === length && view.length === length) {
      this.#countTransfer(result);
      this.#finish(Status.Ok, length, undefined);
    } else if (result === CANCELLED) this.#reject(this.#interruption(0));
    else this.#resume(view, result);
  }

  #countTransfer(result: number): void {
    const { code, length } = this.operation;
    (this.file as OpenFile).counters.countTransfer(code, false, length, result);
  }

  /* What was moved short goes on, and what was refused is told, as by any transfer of the file. */
  #resume(view: Uint8Array, result: number): void {
    this.#countTransfer(result);
    const told = { signal: this, resolve: this.#resolve, reject: this.#reject };
    try {
      const steps = restSteps(this.file as OpenFile, this.operation, view, result);
      if (this.aborted) this.#reject(this.#interruption(result));
      else start(this.#home.engine, steps, told);
    } catch (error) {
      this.#reject(error);
    }
  }

  readonly #resolve = (value: unknown): void => {
    if (typeof value === 'object' && value !== null && 'fd' in value) {
      this.opened = value as OpenFile;
    }
    this.#finish(Status.Ok, typeof value === 'number' ? value : 0, undefined);
  };

  readonly #reject = (error: unknown): void => {
    const known = this.#asIoError(error);
    this.#finish(known.status, known.bytesDone ?? 0, known);
  };

  #asIoError(error: unknown): IoError {
    if (error instanceof AbortError) return this.#interruption(error.bytesDone);
    if (error instanceof IoError) return error;
    const words = error instanceof Error ? error.message : String(error);
    const isCallers = error instanceof TypeError || error instanceof RangeError;
    const code = isCallers ? 'EINVAL' : 'EIO';
    const path = this.file?.path;
    return new IoError({ action: 'finish a queued operation', code, path, cause: error, words });
  }

  #refused(result: number): IoError {
    if (result === CANCELLED) return this.#interruption(0);
    const { operation } = this;
    if (isSync(operation)) {
      return (this.file as OpenFile).syncRefused(operation.code as SyncCode, result);
    }
    const syscall = codeName(operation.code);
    return refusal(result, { action: `finish the ${syscall}`, syscall, step: syscall });
  }

  /* Where nobody asked for its end, the kernel's own timer may have been the first to. */
  #interruption(bytesDone: number): IoError {
    const isTime = this.asked === Asked.Time || (this.asked === Asked.Nothing && this.isLate);
    const code = isTime ? 'ETIMEDOUT' : 'ECANCELED';
    const path = this.file?.path;
    return new IoError({ action: 'finish a queued operation', code, path, bytesDone });
  }

  #finish(status: Status, bytes: number, error: IoError | undefined): void {
    const { follower } = this;
    this.status = status;
    this.bytes = bytes;
    this.error = error;
    this.stage = Stage.Ended;
    this.follower = undefined;
    this.#home.ended(this);
    follower?.ended(this);
  }

  /** Hands its completion out and lets go of everything. */
  release(out: Completion): void {
    out.tag = this.tag;
    out.status = this.status;
    out.bytes = this.bytes;
    out.error = this.error;
    out.file = this.opened;
    this.operation.payload = undefined;
    this.operation.next = undefined;
    this.operation.timeoutMs = 0;
    this.operation = nothing;
    this.work = undefined;
    this.stage = Stage.Free;
    this.asked = Asked.Nothing;
    this.file = undefined;
    this.view = undefined;
    this.key = undefined;
    this.keys = undefined;
    this.parts = undefined;
    this.closes = undefined;
    this.#hasBegun = false;
    this.wanted = -1;
    this.timeoutMs = 0;
    this.error = undefined;
    this.opened = undefined;
  }
}

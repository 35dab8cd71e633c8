/** Submissions that were linked: each begins when the one before has done all it was asked to. */
import { type Engine, goesOn, submit, type Waiter } from '../engine.js';
import { Status } from '../errors.js';
import type { OpenFile } from '../file.js';
import { Code, errnoOf, Operation } from '../platform.js';
import { Asked, type Home, type Submission } from './submission.js';

/* What a ring takes as one run, and far less than what crosses at once. */
const RUN_MAX = 128;
const CANCELLED: number = errnoOf('ECANCELED');

/** What a sync in a chain does, where it may run with the others. */
export function syncOperation(
  file: OpenFile,
  code: typeof Code.Sync | typeof Code.SyncData,
): Operation {
  const sync = new Operation(code);
  sync.fd = file.fd;
  return sync;
}

function isSync({ operation }: Submission): boolean {
  return operation.code === Code.Sync || operation.code === Code.SyncData;
}

/*
 * A sync that has to wait for its turn cannot: a run that holds the turn of one file while it waits
 * for that of another could wait for ever. Nothing is asked of a file that is broken.
 */
function isNative(submission: Submission): boolean {
  const { file } = submission;
  if (submission.aborted || file?.latch.cause !== undefined) return false;
  if (!isSync(submission)) return submission.work === undefined;
  return !(file as OpenFile).turns.isTaken('sync');
}

function wentWell({ status, bytes, wanted }: Submission): boolean {
  return status === Status.Ok && (wanted < 0 || bytes === wanted);
}

/**
 * A chain under way. As much of it as can be is one run of the engine: linked submissions on the
 * ring, one job on the pool. What is left of a short write is written before the chain goes on, so
 * a linked sync never stands for bytes that are not there.
 */
export class Chain implements Waiter, Home {
  readonly engine: Engine;
  readonly #members: readonly Submission[];
  #first = 0;
  #end = 0;

  constructor(engine: Engine, members: readonly Submission[]) {
    this.engine = engine;
    this.#members = members;
  }

  /** Begins what comes next. */
  goOn(): void {
    const head = this.#members[this.#first];
    if (head === undefined) return;
    this.#end = this.#first;
    let last: Operation | undefined;
    for (let at: Submission | undefined = head; at !== undefined && isNative(at); ) {
      if (isSync(at)) (at.file as OpenFile).turns.enter('sync', () => undefined);
      if (last !== undefined) last.next = at.operation;
      last = at.operation;
      last.next = undefined;
      at = ++this.#end - this.#first < RUN_MAX ? this.#members[this.#end] : undefined;
    }
    if (last !== undefined) {
      this.#submitRun(head);
      return;
    }
    this.#end = this.#first + 1;
    head.follower = this;
    head.begin();
  }

  #submitRun(head: Submission): void {
    try {
      submit(this.engine, head.operation, this);
    } catch (error) {
      this.fail(error);
    }
  }

  /** A run of the engine is over: what went well is told, up to the first that did not. */
  settle(): void {
    const run = this.#members.slice(this.#first, this.#end);
    const stopped = run.findIndex(({ operation }) => !goesOn(operation));
    const well = stopped < 0 ? run : run.slice(0, stopped);
    this.#first += well.length;
    for (const member of well) member.settle();
    const isLeftOut = stopped >= 0 && wasLeftOut(run, stopped);
    if (stopped >= 0 && !isLeftOut) {
      const member = run[stopped] as Submission;
      member.follower = this;
      member.settle();
    }
    this.#leaveTurns(run);
    if (stopped < 0 || isLeftOut) this.goOn();
  }

  /** There is no answer: the power of a simulated disk went. */
  fail(error: unknown): void {
    const run = this.#members.slice(this.#first, this.#end);
    const head = run[0] as Submission;
    head.follower = this;
    head.fail(error);
    this.#leaveTurns(run);
  }

  /* After a failed sync has broken its file: the next is not to be told that all is well. */
  #leaveTurns(run: readonly Submission[]): void {
    for (const { file } of run.filter(isSync)) (file as OpenFile).turns.leave('sync');
  }

  /** One that was not part of a run, or that stopped one, has ended. */
  ended(member: Submission): void {
    this.#first++;
    if (wentWell(member)) {
      this.goOn();
      return;
    }
    const rest = this.#members.slice(this.#first);
    this.#first = this.#members.length;
    for (const left of rest) left.giveUp();
  }
}

/*
 * A run that nobody has begun is cancelled whole, for the sake of any of its members: those before
 * it, of which nobody asked that, are asked for again.
 */
function wasLeftOut(run: readonly Submission[], stopped: number): boolean {
  const { operation, asked, isLate } = run[stopped] as Submission;
  if (operation.result !== CANCELLED || asked !== Asked.Nothing || isLate) return false;
  return run.slice(stopped + 1).some(({ aborted }) => aborted);
}

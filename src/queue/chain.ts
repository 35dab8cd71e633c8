/** Submissions that were linked: each begins when the one before has done all it was asked to. */
import { type Engine, goesOn, type Waiter } from '../engine.js';
import { Status } from '../errors.js';
import type { OpenFile } from '../file.js';
import { Code, Operation } from '../platform.js';
import type { Home, Submission } from './submission.js';

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
 * for that of another could wait for ever.
 */
function isNative(submission: Submission): boolean {
  if (submission.aborted) return false;
  if (!isSync(submission)) return submission.work === undefined;
  return !(submission.file as OpenFile).turns.isTaken('sync');
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
      at = this.#members[++this.#end];
    }
    if (last !== undefined) {
      this.engine.submit(head.operation, this);
      return;
    }
    this.#end = this.#first + 1;
    head.follower = this;
    head.begin();
  }

  /** A run of the engine is over: what went well is told, up to the first that did not. */
  settle(): void {
    const run = this.#members.slice(this.#first, this.#end);
    const stopped = run.findIndex(({ operation }) => !goesOn(operation));
    const well = stopped < 0 ? run : run.slice(0, stopped);
    this.#first += well.length;
    for (const member of well) member.settle();
    if (stopped >= 0) {
      const member = run[stopped] as Submission;
      member.follower = this;
      member.settle();
    }
    /* After a failed sync has broken its file: the next is not to be told that all is well. */
    for (const { file } of run.filter(isSync)) (file as OpenFile).turns.leave('sync');
    if (stopped < 0) this.goOn();
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

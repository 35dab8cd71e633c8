/**
 * An engine around another: it lists what reaches it, and refuses or falls short where a judge
 * says so. What it lets through is performed by the engine inside, on the real file.
 */
import { type Engine, type EngineName, type EngineStats, sliceBuffers } from 'holdfast';
import { Code, codeName, FD_OPENED_IN_RUN, Operation } from '#holdfast/platform.js';

/** Answer at once, move no more than so many bytes, or (undefined) go on. */
export type Verdict = { readonly answers: number } | { readonly moves: number } | undefined;
export type Judge = (operation: Operation) => Verdict;

/** Whoever waits for a run, as engines know it. */
interface Waiter {
  settle(): void;
}

export function isTransfer({ code }: Operation): boolean {
  return code === Code.Read || code === Code.Write;
}

export class FaultyEngine implements Engine {
  readonly name: EngineName;
  readonly reason: string;
  viewCountMax: number;
  readonly capabilities: Engine['capabilities'];
  /** The names of the operations that reached this engine, in order. */
  readonly asked: string[] = [];
  performTransfer?: (code: Code, fd: number, view: Uint8Array, offset: number) => number;
  readonly #inner: Engine;
  readonly #judge: Judge;

  constructor(inner: Engine, judge: Judge) {
    this.#inner = inner;
    this.#judge = judge;
    this.name = inner.name;
    this.reason = inner.reason;
    this.viewCountMax = inner.viewCountMax;
    this.capabilities = inner.capabilities;
    if (inner.performTransfer !== undefined) {
      this.performTransfer = (code, fd, view, offset) => this.#transfer(code, fd, view, offset);
    }
  }

  get threads(): number {
    return this.#inner.threads;
  }

  stats(): EngineStats {
    return this.#inner.stats();
  }

  perform(head: Operation): void {
    let opened = -1;
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      const inside = this.#inside(at, opened);
      if (inside !== undefined) {
        this.#inner.perform(inside);
        takeBack(at, inside);
      }
      if (at.code === Code.Open) opened = at.result;
      if (!goesOn(at)) {
        cancelRest(at);
        return;
      }
    }
  }

  submit(head: Operation, waiter: Waiter): void {
    this.#step(head, -1, waiter);
  }

  #step(at: Operation, opened: number, waiter: Waiter): void {
    const inside = this.#inside(at, opened);
    const settle = (): void => {
      if (inside !== undefined) takeBack(at, inside);
      const nowOpened = at.code === Code.Open ? at.result : opened;
      if (goesOn(at) && at.next !== undefined) {
        this.#step(at.next, nowOpened, waiter);
        return;
      }
      cancelRest(at);
      waiter.settle();
    };
    if (inside === undefined) setImmediate(settle);
    else this.#inner.submit(inside, { settle });
  }

  #transfer(code: Code, fd: number, view: Uint8Array, offset: number): number {
    const operation = new Operation(code);
    Object.assign(operation, { fd, offset, payload: view, length: view.length });
    this.perform(operation);
    return operation.result;
  }

  /* The operation for the engine inside; undefined when the judge has answered. */
  #inside(operation: Operation, opened: number): Operation | undefined {
    this.asked.push(codeName(operation.code));
    const verdict = this.#judge(operation);
    if (verdict !== undefined && 'answers' in verdict) {
      operation.result = verdict.answers;
      return undefined;
    }
    const inside = Object.assign(new Operation(operation.code), operation);
    inside.next = undefined;
    if (inside.fd === FD_OPENED_IN_RUN) inside.fd = opened;
    if (inside.fd2 === FD_OPENED_IN_RUN) inside.fd2 = opened;
    if (verdict !== undefined) cut(inside, verdict.moves);
    return inside;
  }
}

function cut(operation: Operation, moves: number): void {
  if (moves >= operation.length) return;
  operation.payload = sliceBuffers(operation.payload ?? [], 0, moves);
  operation.length = moves;
}

function takeBack(operation: Operation, inside: Operation): void {
  operation.result = inside.result;
  operation.stat = inside.stat;
  operation.names = inside.names;
  operation.out = inside.out;
}

function goesOn(operation: Operation): boolean {
  if (operation.result < 0) return false;
  return !isTransfer(operation) || operation.result === operation.length;
}

const ECANCELED = -125;

function cancelRest(after: Operation): void {
  for (let rest = after.next; rest !== undefined; rest = rest.next) rest.result = ECANCELED;
}

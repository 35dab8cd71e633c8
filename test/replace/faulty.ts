/**
 * An engine that passes operations on one by one to a real one, and refuses or shortens those it
 * is told to. It keeps the meaning of runs itself, and the books of descriptors.
 */
import { sliceBuffers } from 'holdfast';
import type { Engine, EngineStats, Waiter } from '#holdfast/engine.js';
import {
  type Capabilities,
  Code,
  codeName,
  errnoOf,
  FD_OPENED_IN_RUN,
  Operation,
  Place,
} from '#holdfast/platform.js';

/** What happens to an operation instead of what it asks for. */
export interface Fault {
  /** It is not performed and answers this code. A close is performed all the same (close(2)). */
  readonly refuse?: string;
  /** A write, or a copied range, moves this many bytes and says so. */
  readonly shortBytes?: number;
}

/** Decides about the operation that comes next; `index` counts from 0. */
export type Judge = (operation: Operation, index: number) => Fault | undefined;

export interface FaultyOptions {
  /** False: a run goes on after a short write, which no engine may do. */
  readonly severs?: boolean;
}

function resolved(place: Place | undefined, opened: number): Place | undefined {
  if (place === undefined || place.directory !== FD_OPENED_IN_RUN) return place;
  return new Place(place.path, place.encoding, opened, place.name);
}

function copyOf(operation: Operation, opened: number): Operation {
  const copy = Object.assign(new Operation(operation.code), operation);
  copy.next = undefined;
  if (copy.fd === FD_OPENED_IN_RUN) copy.fd = opened;
  if (copy.fd2 === FD_OPENED_IN_RUN) copy.fd2 = opened;
  copy.place = resolved(copy.place, opened);
  copy.place2 = resolved(copy.place2, opened);
  return copy;
}

interface Run {
  opened: number;
}

export class FaultyEngine implements Engine {
  readonly name: Engine['name'];
  readonly reason = 'it is asked to fail';
  readonly viewCountMax: number;
  readonly capabilities: Capabilities;
  readonly threads: number;
  /** What was asked, in order. */
  readonly asked: Code[] = [];
  /** Descriptors that are open. */
  readonly open = new Set<number>();
  /** Closes of descriptors that were not open. */
  wrongCloses = 0;
  readonly #inner: Engine;
  readonly #judge: Judge;
  readonly #severs: boolean;

  constructor(inner: Engine, judge: Judge, { severs = true }: FaultyOptions = {}) {
    this.#inner = inner;
    this.#judge = judge;
    this.#severs = severs;
    this.name = inner.name;
    this.viewCountMax = inner.viewCountMax;
    this.capabilities = inner.capabilities;
    this.threads = inner.threads;
  }

  /** The names of the calls asked for. */
  get names(): string[] {
    return this.asked.map(codeName);
  }

  perform(head: Operation): void {
    const run: Run = { opened: errnoOf('EBADF') };
    let at: Operation | undefined = head;
    for (; at !== undefined; at = at.next) {
      const copy = copyOf(at, run.opened);
      if (this.#answers(copy)) this.#inner.perform(copy);
      if (!this.#taken(at, copy, run)) break;
    }
    this.#cancelAfter(at);
  }

  submit(head: Operation, waiter: Waiter): void {
    this.#step(head, { opened: errnoOf('EBADF') }, waiter);
  }

  stats(): EngineStats {
    return this.#inner.stats();
  }

  #step(at: Operation, run: Run, waiter: Waiter): void {
    const copy = copyOf(at, run.opened);
    const settle = (): void => {
      const goesOn = this.#taken(at, copy, run);
      if (goesOn && at.next !== undefined) {
        this.#step(at.next, run, waiter);
        return;
      }
      if (!goesOn) this.#cancelAfter(at);
      waiter.settle();
    };
    if (this.#answers(copy)) this.#inner.submit(copy, { settle });
    else queueMicrotask(settle);
  }

  /** Puts the fault into the copy; answers whether the copy is to be performed. */
  #answers(copy: Operation): boolean {
    const fault = this.#judge(copy, this.asked.length);
    this.asked.push(copy.code);
    if (copy.code === Code.Close && !this.open.delete(copy.fd)) this.wrongCloses++;
    if (fault === undefined) return true;
    if (fault.shortBytes !== undefined) {
      copy.result = 0;
      const { payload } = copy;
      if (payload !== undefined) copy.payload = sliceBuffers(payload, 0, fault.shortBytes);
      copy.length = fault.shortBytes;
      return fault.shortBytes > 0;
    }
    if (copy.code === Code.Close) this.#inner.perform(copyOf(copy, -1));
    copy.result = errnoOf(fault.refuse as string);
    return false;
  }

  /** Hands the answer over; answers whether the run goes on. */
  #taken(at: Operation, copy: Operation, run: Run): boolean {
    at.result = copy.result;
    at.stat = copy.stat;
    at.names = copy.names;
    if (at.code === Code.Open) {
      run.opened = copy.result;
      if (copy.result >= 0) this.open.add(copy.result);
    }
    if (at.result < 0) return false;
    const isTransfer = at.code === Code.Read || at.code === Code.Write;
    return !isTransfer || at.result === at.length || !this.#severs;
  }

  #cancelAfter(stop: Operation | undefined): void {
    for (let rest = stop?.next; rest !== undefined; rest = rest.next) {
      rest.result = errnoOf('ECANCELED');
    }
  }
}

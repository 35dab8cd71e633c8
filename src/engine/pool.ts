/**
 * The engine over the addon: system calls on the calling thread, or on threads of our own. Rows of
 * one tick cross together.
 */
import type { Addon, Capabilities, Code, Operation } from '../platform.js';
import { errnoOf } from '../platform.js';
import { Counters, countRun, type Engine, type EngineStats, type Waiter } from './contract.js';
import { BATCH_ROWS, decode, needsMemory, runLength } from './native.js';
import { Pairs } from './pairs.js';
import { Places } from './places.js';
import { ROW_BYTES, Rows } from './rows.js';

const SYNC_ROWS = 1024;
const PAIRS = 4096;
/* More than this is not kept alive for the sake of the next call. */
const REMEMBERED_BYTES_MAX = 1048576;

/** Threads of our own, fed with rows. */
export class PoolEngine implements Engine {
  readonly name = 'pool';
  /** Also as the one that does what the ring does not. */
  reason = 'it does what the ring does not';
  readonly viewCountMax: number;
  readonly capabilities: Capabilities;
  readonly #addon: Addon;
  readonly #rows = new Rows(BATCH_ROWS);
  readonly #syncRows = new Rows(SYNC_ROWS);
  readonly #pairs = new Pairs(PAIRS);
  /** Shared with the engine that hands over what it does not do itself. */
  readonly counters: Counters = new Counters();
  /* By slot: what is in flight. `#payloads` is what keeps its memory alive for the kernel. */
  readonly #operations: (Operation | undefined)[] = [];
  readonly #payloads: unknown[] = [];
  readonly #waiters: (Waiter | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #syncPayloads: unknown[] = [];
  readonly #views = new Places<Uint8Array>();
  readonly #heads: (Operation | undefined)[] = [];
  #headCount = 0;
  readonly #cancelled = errnoOf('ECANCELED');
  readonly #handOver = (): void => {
    this.#isScheduled = false;
    this.handOver();
  };
  readonly #reap = (): number => this.#addon.reap(this.#pairs.next);
  readonly #tellLater = (): void => {
    this.#isLater = false;
    this.#tell();
  };
  #lastView: Uint8Array | undefined;
  #lastLength = 0;
  #isScheduled = false;
  #isLater = false;
  #filled = 0;
  #outstanding = 0;
  #threads: number;

  constructor(addon: Addon, capabilities: Capabilities, threads: number) {
    if (addon.rowBytes !== ROW_BYTES) throw new RangeError('the addon has other rows');
    this.#addon = addon;
    this.#threads = threads;
    this.capabilities = capabilities;
    this.viewCountMax = addon.viewCountMax;
    const wake = (): void => this.harvest();
    addon.attach(this.#rows.bytes, this.#syncRows.bytes, this.#pairs.memory, wake, threads);
  }

  get threads(): number {
    return this.#threads;
  }

  /** Operations that have no answer yet. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Waits for what is under way when there are to be fewer. */
  setThreads(threads: number): void {
    this.#addon.setThreads(threads);
    this.#threads = threads;
  }

  perform(head: Operation): void {
    const count = runLength(head);
    let index = 0;
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      needsMemory(at);
      this.#syncPayloads[index] = this.#syncRows.fill(index, index, at);
      index++;
    }
    this.#addon.perform(count, this.#syncPayloads);
    this.#syncPayloads.fill(undefined, 0, count);
    index = 0;
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      at.result = this.#syncRows.result(index++);
      decode(at);
    }
    countRun(this.counters, head);
  }

  performTransfer(code: Code, fd: number, view: Uint8Array, offset: number): number {
    const length = view.length;
    this.#syncRows.fillTransfer(code, fd, length, offset);
    /* A view that was detached or shrunk since has another length; one that grew does too. */
    if (view === this.#lastView && length === this.#lastLength) {
      this.#addon.performAgain();
    } else {
      this.#addon.performView(view);
      const isKept = view.buffer.byteLength <= REMEMBERED_BYTES_MAX;
      this.#lastView = isKept ? view : undefined;
      this.#lastLength = length;
    }
    const result = this.#syncRows.result(0);
    this.counters.countTransfer(code, false, length, result);
    return result;
  }

  submit(head: Operation, waiter: Waiter): void {
    const count = runLength(head);
    if (this.#filled + count > BATCH_ROWS) this.handOver();
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(this.#handOver);
    }
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      needsMemory(at);
      const slot = this.#free.pop() ?? this.#operations.length;
      at.slot = slot;
      this.#operations[slot] = at;
      this.#waiters[slot] = at.next === undefined ? waiter : undefined;
      this.#payloads[slot] = this.#rows.fill(this.#filled, slot, at);
      this.#filled++;
    }
    this.#outstanding += count;
    this.#heads[this.#headCount++] = head;
  }

  handOver(): void {
    const count = this.#filled;
    if (count === 0) return;
    this.#filled = 0;
    const came = this.#addon.submit(count, this.#payloads, this.#pairs.next);
    if (came > 0) this.#pairs.came(came);
    for (let index = 0; index < this.#headCount; index++) {
      if (came < 0) this.#refuse(this.#heads[index] as Operation, came);
      this.#heads[index] = undefined;
    }
    this.#headCount = 0;
    if (!this.#pairs.isEmpty && !this.#isLater) {
      /*
       * What was done at once is told in a turn of the loop of its own: told in this one, a program
       * that awaits read after read would never let timers and sockets have theirs.
       */
      this.#isLater = true;
      setImmediate(this.#tellLater);
    }
  }

  /* Nothing of the batch was taken: no thread or no memory to be had. */
  #refuse(head: Operation, errno: number): void {
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      this.#pairs.push(at.slot, at === head ? errno : this.#cancelled);
    }
  }

  harvest(): void {
    this.#pairs.came(this.#reap());
    this.#tell();
  }

  wait(timeoutMs: number): boolean {
    this.handOver();
    if (this.#outstanding === 0) return false;
    if (this.#pairs.isEmpty) this.#addon.wait(timeoutMs);
    this.harvest();
    return true;
  }

  cancel(operation: Operation): void {
    this.handOver();
    if (this.#operations[operation.slot] === operation) this.#addon.cancel(operation.slot);
  }

  registerView(view: Uint8Array): number {
    const place = this.#views.take(view);
    if (place < 0 || this.#addon.registerView(place, view) === 0) return place;
    this.unregisterView(place);
    return -1;
  }

  unregisterView(place: number): void {
    this.#addon.registerView(place, undefined);
    this.#views.giveBack(place);
  }

  #tell(): void {
    this.#pairs.tell(this.#settle, this.#reap);
  }

  readonly #settle = (slot: number, result: number): void => {
    const operation = this.#operations[slot] as Operation;
    const waiter = this.#waiters[slot];
    this.#operations[slot] = undefined;
    this.#payloads[slot] = undefined;
    this.#waiters[slot] = undefined;
    this.#free.push(slot);
    this.#outstanding--;
    operation.result = result;
    decode(operation);
    if (result !== this.#cancelled) this.counters.count(operation);
    waiter?.settle();
  };

  stats(): EngineStats {
    return this.counters.stats();
  }
}

/**
 * The engine over the addon: system calls on the calling thread, or on threads of our own. Rows of
 * one tick cross together.
 */
import { assert } from '../errors.js';
import {
  type Addon,
  type Capabilities,
  Code,
  decodeEntries,
  decodeStat,
  errnoOf,
  libraryMemory,
  type Operation,
  scratchMemory,
} from '../platform.js';
import { Counters, countRun, type Engine, type EngineStats, type Waiter } from './contract.js';
import { ROW_BYTES, Rows } from './rows.js';

const BATCH_ROWS = 1024;
const SYNC_ROWS = 1024;
const COMPLETIONS_MAX = 1024;
/* More than this is not kept alive for the sake of the next call. */
const REMEMBERED_BYTES_MAX = 1048576;

/** What Stat and ReadEntries answer in memory becomes what `Operation` promises. */
function decode(operation: Operation): void {
  if (operation.result < 0 || operation.out === undefined) return;
  if (operation.code === Code.Stat) operation.stat = decodeStat(operation.out);
  else if (operation.code === Code.ReadEntries) {
    Object.assign(operation, decodeEntries(operation.out, operation.result));
  }
}

function needsMemory(operation: Operation): void {
  if (operation.code === Code.Stat) operation.out ??= scratchMemory(256);
}

/* A run is one job, and crosses in one batch. */
function checkLength(head: Operation): number {
  let count = 0;
  for (let at: Operation | undefined = head; at !== undefined; at = at.next) count++;
  assert(count <= BATCH_ROWS, `a run has at most ${BATCH_ROWS} operations`);
  return count;
}

/** Threads of our own, fed with rows. */
export class PoolEngine implements Engine {
  readonly name = 'pool';
  readonly reason: string;
  readonly viewCountMax: number;
  readonly capabilities: Capabilities;
  readonly #addon: Addon;
  readonly #rows = new Rows(BATCH_ROWS);
  readonly #syncRows = new Rows(SYNC_ROWS);
  readonly #completions = new Float64Array(libraryMemory(COMPLETIONS_MAX * 16).buffer);
  readonly #counters = new Counters();
  /* By slot: what is in flight. `#payloads` is what keeps its memory alive for the kernel. */
  readonly #operations: (Operation | undefined)[] = [];
  readonly #payloads: unknown[] = [];
  readonly #waiters: (Waiter | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #syncPayloads: unknown[] = [];
  readonly #heads: Operation[] = [];
  readonly #cancelled = errnoOf('ECANCELED');
  readonly #submitAll = (): void => this.#submitRows();
  #lastView: Uint8Array | undefined;
  #lastLength = 0;
  #ready: number[] = [];
  #filled = 0;
  #threads: number;

  constructor(addon: Addon, capabilities: Capabilities, threads: number, reason: string) {
    if (addon.rowBytes !== ROW_BYTES) throw new RangeError('the addon has other rows');
    this.#addon = addon;
    this.#threads = threads;
    this.reason = reason;
    this.capabilities = capabilities;
    this.viewCountMax = addon.viewCountMax;
    const deliver = (count: number): void => this.#deliver(count);
    addon.attach(this.#rows.bytes, this.#syncRows.bytes, this.#completions, deliver, threads);
  }

  get threads(): number {
    return this.#threads;
  }

  /** Waits for what is under way when there are to be fewer. */
  setThreads(threads: number): void {
    this.#addon.setThreads(threads);
    this.#threads = threads;
  }

  perform(head: Operation): void {
    const count = checkLength(head);
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
    countRun(this.#counters, head);
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
    this.#counters.countTransfer(code, false, length, result);
    return result;
  }

  submit(head: Operation, waiter: Waiter): void {
    const count = checkLength(head);
    if (this.#filled + count > BATCH_ROWS) this.#submitRows();
    if (this.#filled === 0) queueMicrotask(this.#submitAll);
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      needsMemory(at);
      const slot = this.#free.pop() ?? this.#operations.length;
      this.#operations[slot] = at;
      this.#waiters[slot] = at.next === undefined ? waiter : undefined;
      this.#payloads[slot] = this.#rows.fill(this.#filled, slot, at);
      this.#filled++;
    }
    this.#heads.push(head);
  }

  #submitRows(): void {
    const count = this.#filled;
    if (count === 0) return;
    this.#filled = 0;
    const answer = this.#addon.submit(count, this.#payloads);
    const heads = answer < 0 ? this.#heads.slice() : [];
    this.#heads.length = 0;
    if (answer < 0) queueMicrotask(() => this.#refuseAll(heads, answer));
    if (answer > 0) this.#deliverLater(answer);
  }

  /*
   * What was done at once is told in a turn of the loop of its own: told in this one, a program
   * that awaits read after read would never let timers and sockets have theirs.
   */
  #deliverLater(count: number): void {
    if (this.#ready.length === 0) setImmediate(this.#deliverReady);
    for (let index = 0; index < 2 * count; index++) {
      this.#ready.push(this.#completions[index] as number);
    }
  }

  readonly #deliverReady = (): void => {
    const ready = this.#ready;
    this.#ready = [];
    for (let index = 0; index < ready.length; index += 2) {
      this.#settle(ready[index] as number, ready[index + 1] as number);
    }
  };

  /* Nothing of the batch was taken: no thread or no memory to be had. */
  #refuseAll(heads: readonly Operation[], errno: number): void {
    for (const head of heads) this.#refuse(head, errno);
  }

  #refuse(head: Operation, errno: number): void {
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      const slot = this.#operations.indexOf(at);
      this.#settle(slot, at === head ? errno : this.#cancelled);
    }
  }

  #deliver(count: number): void {
    for (let index = 0; index < count; index++) {
      const slot = this.#completions[2 * index] as number;
      this.#settle(slot, this.#completions[2 * index + 1] as number);
    }
  }

  #settle(slot: number, result: number): void {
    const operation = this.#operations[slot] as Operation;
    const waiter = this.#waiters[slot];
    this.#operations[slot] = undefined;
    this.#payloads[slot] = undefined;
    this.#waiters[slot] = undefined;
    this.#free.push(slot);
    operation.result = result;
    decode(operation);
    if (result !== this.#cancelled) this.#counters.count(operation);
    waiter?.settle();
  }

  stats(): EngineStats {
    return this.#counters.stats();
  }
}

/**
 * The engine over io_uring. Rows of one tick cross together and are handed over by one system
 * call; what has ended by then comes back with it. What the ring does not have, or refuses, the
 * pool does.
 */
import {
  AT_ONCE_BYTES_MAX,
  type Capabilities,
  Code,
  codeName,
  environment,
  errnoOf,
  FD_OPENED_IN_RUN,
  libraryMemory,
  nameOf,
  Operation,
  type RingAddon,
} from '../platform.js';
import {
  type Counters,
  cancelAfter,
  type Engine,
  type EngineStats,
  goesOn,
  isTransfer,
  type RingStats,
  type Waiter,
} from './contract.js';
import { BATCH_ROWS, decode, isOfRun, needsMemory, runLength } from './native.js';
import { Pairs } from './pairs.js';
import { Places } from './places.js';
import type { PoolEngine } from './pool.js';
import { Rows } from './rows.js';
import { volumes } from './volumes.js';

/* A run is in one submission to the kernel, with a timeout for each operation if need be. */
const RUN_ROWS_MAX = 128;
/*
 * Handed over together, 32 direct reads end together, and the device is idle while they are told
 * and the next are made: 24 us each, against 15 in eights (virtio disk, 32 and 128 in flight).
 */
const DIRECT_ROWS = 8;
/* Twice what may be outstanding. */
const PAIRS = 8192;
/* In place of a result: native/ring.h, RING_NOT_TAKEN. */
const NOT_TAKEN = -4096;

/* Places in `info`: native/border_ring.c has the same. */
const INFO_WITHOUT = 0;
const INFO_CODES = 1;
const INFO_CAPACITY = 2;
const INFO_USES_LOOP = 3;
const INFO_STOPPING = 4;
const INFO_COUNT = 5;

/* Bits of native/ring.h, by the name that HOLDFAST_RING_WITHOUT gives them. */
const WITHOUT: Readonly<Record<string, number>> = {
  'defer-taskrun': 1,
  'no-sqarray': 2,
  'registered-files': 4,
  'registered-buffers': 8,
  'registered-ring': 16,
  restrictions: 32,
  'large-completion-queue': 64,
};

/* HOLDFAST_RING_WITHOUT=loop: a thread waits for the ring, as under Bun and Deno. */
const LOOP = 'loop';

/** A ring that is open, and what it has. */
export interface OpenRing {
  readonly rows: Rows;
  readonly pairs: Pairs;
  readonly capacity: number;
  /** By code: 1 where the ring takes it. */
  readonly taken: Uint8Array;
  /** By code: 1 where a refusal stops a run. What does not can only be a run's last. */
  readonly stopping: Uint8Array;
  readonly features: RingStats['without'];
  readonly usesLoop: boolean;
}

/** Where a ring tells that it has something to reap: known before the engine that listens is. */
interface Bell {
  ring: () => void;
}

function codesOf(names: readonly string[]): number {
  let codes = 0;
  for (const code of Object.values(Code)) {
    if (names.includes(codeName(code))) codes += 2 ** code;
  }
  return codes;
}

function byCode(codes: number): Uint8Array {
  const bits = new Uint8Array(64);
  for (const code of Object.values(Code)) bits[code] = Math.floor(codes / 2 ** code) % 2;
  return bits;
}

/* What the kernel's refusals mean to somebody who wonders where the ring is. */
function reasonFor(step: string, errno: number): string {
  const code = nameOf(errno);
  const hint = code === 'EPERM' ? '; a seccomp filter or kernel.io_uring_disabled forbids it' : '';
  return `io_uring is not to be had: ${step} answers ${code}${hint}`;
}

/** Opens the ring of this environment. Answers the reason where there is none. */
export function openRing(addon: RingAddon, bell: Bell): OpenRing | string {
  const names = environment.ringWithout;
  if (names.includes('everything')) return 'io_uring is turned off by HOLDFAST_RING_WITHOUT';
  const info = new Float64Array(libraryMemory(INFO_COUNT * 8).buffer);
  for (const name of names)
    info[INFO_WITHOUT] = (info[INFO_WITHOUT] as number) | (WITHOUT[name] ?? 0);
  info[INFO_CODES] = codesOf(names);
  info[INFO_USES_LOOP] = environment.isNodeProper && !names.includes(LOOP) ? 1 : 0;
  const rows = new Rows(BATCH_ROWS);
  const pairs = new Pairs(PAIRS);
  const refused = addon.openRing(info, rows.bytes, pairs.memory, () => bell.ring());
  if (refused !== undefined) return reasonFor(refused[0], refused[1]);
  const without = info[INFO_WITHOUT] as number;
  const features = Object.keys(WITHOUT).filter(
    (name) => (without & (WITHOUT[name] as number)) !== 0,
  );
  return {
    rows,
    pairs,
    capacity: info[INFO_CAPACITY] as number,
    taken: byCode(info[INFO_CODES] as number),
    stopping: byCode(info[INFO_STOPPING] as number),
    features,
    usesLoop: info[INFO_USES_LOOP] === 1,
  };
}

/* A run of more than one operation, until all of them have ended. */
interface Run {
  readonly head: Operation;
  readonly waiter: Waiter;
  left: number;
}

interface Waiting {
  readonly head: Operation;
  readonly waiter: Waiter;
}

/** io_uring, with the pool for what it has not. */
export class RingEngine implements Engine {
  readonly name = 'ring';
  readonly reason: string;
  readonly viewCountMax: number;
  readonly capabilities: Capabilities;
  readonly endsInTime = true;
  readonly #addon: RingAddon;
  readonly #pool: PoolEngine;
  readonly #ring: OpenRing;
  readonly #counters: Counters;
  /* By slot: what is in flight. `#payloads` is what keeps its memory alive for the kernel. */
  readonly #operations: (Operation | undefined)[] = [];
  readonly #payloads: unknown[] = [];
  readonly #waiters: (Waiter | undefined)[] = [];
  readonly #runs: (Run | undefined)[] = [];
  readonly #free: number[] = [];
  /* Runs there was no room for. */
  readonly #backlog: Waiting[] = [];
  /* Of those, cancelled and not told yet. */
  readonly #calledOff: Waiter[] = [];
  readonly #files = new Places<number>();
  readonly #retried: Set<number>;
  readonly #interrupted = errnoOf('EINTR');
  readonly #refusals: Record<string, number> = {};
  readonly #handOver = (): void => {
    this.#isScheduled = false;
    this.handOver();
  };
  readonly #reap = (): number => this.#addon.ringReap(this.#ring.pairs.next);
  readonly #tellLater = (): void => {
    this.#isLater = false;
    this.#tell();
  };
  #isScheduled = false;
  #isLater = false;
  #filled = 0;
  #outstanding = 0;
  #enters = 0;
  #submissions = 0;

  constructor(addon: RingAddon, pool: PoolEngine, ring: OpenRing, bell: Bell) {
    this.#addon = addon;
    this.#pool = pool;
    this.#ring = ring;
    this.#counters = pool.counters;
    const who = ring.usesLoop ? 'the event loop' : 'a thread';
    this.reason = `the kernel allows io_uring; ${who} hears of it`;
    this.viewCountMax = pool.viewCountMax;
    this.capabilities = pool.capabilities;
    /* Asked again of the pool: what the ring says of an operation, the system may not say. */
    this.#retried = new Set(
      ['EINVAL', 'EOPNOTSUPP', 'EINTR', 'EAGAIN', 'ENOSYS'].map((code) => errnoOf(code)),
    );
    bell.ring = (): void => {
      this.#ring.pairs.came(this.#addon.ringHeard(this.#ring.pairs.next));
      this.#tell();
    };
  }

  /** Whether work is done when the thread asks for it, and not whenever the kernel likes. */
  get isDeferred(): boolean {
    return !this.#ring.features.includes('defer-taskrun');
  }

  /** What the ring is made of. */
  get explanation(): string {
    const { features, capacity, taken } = this.#ring;
    const codes = Object.values(Code).filter((code) => taken[code] === 1);
    const without = features.length === 0 ? '' : `, without ${features.join(' and ')}`;
    const room = `${codes.length} operations, ${capacity} at once`;
    return `io_uring: ${this.reason}; ${room}${without}`;
  }

  get threads(): number {
    return this.#pool.threads;
  }

  setThreads(threads: number): void {
    this.#pool.setThreads(threads);
  }

  perform(head: Operation): void {
    this.#pool.perform(head);
  }

  performTransfer(code: Code, fd: number, view: Uint8Array, offset: number): number {
    return this.#pool.performTransfer(code, fd, view, offset);
  }

  submit(head: Operation, waiter: Waiter): void {
    const count = this.#takes(head);
    if (count === 0) this.#pool.submit(head, waiter);
    else if (this.#outstanding + count > this.#ring.capacity || this.#backlog.length > 0) {
      this.#backlog.push({ head, waiter });
    } else this.#fill(head, waiter, count);
  }

  /* The operations of a run that the ring takes, else 0. */
  #takes(head: Operation): number {
    const { taken, stopping } = this.#ring;
    if (head.next === undefined) return this.#takesHere(head) ? (taken[head.code] as number) : 0;
    const count = runLength(head);
    if (count > RUN_ROWS_MAX || count > this.#ring.capacity) return 0;
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      if (taken[at.code] === 0 || !this.#takesHere(at)) return 0;
      if (at.next !== undefined && stopping[at.code] === 0) return 0;
      if (at.fd === FD_OPENED_IN_RUN || at.fd2 === FD_OPENED_IN_RUN) return 0;
    }
    return count;
  }

  /* Where nobody has told on what volume a descriptor is, it is asked beside the first transfer. */
  #takesHere(operation: Operation): boolean {
    const { code, fd } = operation;
    if (!isTransfer(code)) return true;
    /* The ring copies in the thread that submits, and a long copy keeps its loop from others. */
    if (operation.length > AT_ONCE_BYTES_MAX && !operation.isDirect) return false;
    if (volumes.takes(fd)) return true;
    if (fd >= 0 && !volumes.isKnown(fd)) {
      const question = new Operation(Code.VolumeType);
      question.fd = fd;
      volumes.begin(fd, question);
      this.#pool.submit(question, { settle: () => volumes.end(fd, question) });
    }
    return false;
  }

  learnVolume(fd: number, volumeType: number): string | undefined {
    return volumes.learn(fd, volumeType);
  }

  #fill(head: Operation, waiter: Waiter, count: number): void {
    if (this.#filled + count > BATCH_ROWS) this.handOver();
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(this.#handOver);
    }
    const run = count > 1 ? { head, waiter, left: count } : undefined;
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      needsMemory(at);
      const slot = this.#free.pop() ?? this.#operations.length;
      at.slot = slot;
      this.#operations[slot] = at;
      this.#waiters[slot] = waiter;
      this.#runs[slot] = run;
      this.#payloads[slot] = this.#ring.rows.fill(this.#filled++, slot, at);
    }
    this.#outstanding += count;
    if (head.isDirect && this.#filled >= DIRECT_ROWS) this.handOver();
  }

  handOver(): void {
    const count = this.#filled;
    if (count > 0) this.#cross(count);
    this.#pool.handOver();
  }

  #cross(count: number): void {
    const { pairs, rows } = this.#ring;
    this.#filled = 0;
    this.#enters++;
    this.#submissions += count;
    const came = this.#addon.ringSubmit(count, this.#payloads, pairs.next);
    if (came >= 0) pairs.came(came);
    /* No memory for the views of this batch: nothing of it was taken. */ else
      for (let index = 0; index < count; index++) pairs.push(rows.slot(index), NOT_TAKEN);
    if (!pairs.isEmpty) this.#tellInItsTurn();
  }

  /* In a turn of the loop of its own, as the pool does. */
  #tellInItsTurn(): void {
    if (this.#isLater) return;
    this.#isLater = true;
    setImmediate(this.#tellLater);
  }

  harvest(): void {
    const { pairs } = this.#ring;
    if (pairs.isEmpty && this.#outstanding > 0) pairs.came(this.#reap());
    this.#tell();
    if (this.#pool.outstanding > 0) this.#pool.harvest();
  }

  wait(timeoutMs: number, count = 1): boolean {
    const { pairs } = this.#ring;
    this.handOver();
    if (this.#calledOff.length > 0) {
      this.#tell();
      return true;
    }
    if (this.#outstanding === 0) return this.#pool.wait(timeoutMs);
    if (pairs.isEmpty) {
      /* What the pool ends does not wake the ring: while both are at work they take turns. */
      const isAlone = this.#pool.outstanding === 0;
      const time = isAlone ? timeoutMs : timeoutMs < 0 ? 1 : Math.min(1, timeoutMs);
      this.#enters++;
      pairs.came(this.#addon.ringWait(Math.min(count, this.#outstanding), time, pairs.next));
    }
    this.#tell();
    this.#pool.harvest();
    return true;
  }

  cancel(operation: Operation): void {
    const { slot } = operation;
    if (this.#operations[slot] !== operation) {
      this.#cancelWaiting(operation);
      return;
    }
    this.handOver();
    this.#enters++;
    this.#addon.ringCancel(slot);
  }

  #cancelWaiting(operation: Operation): void {
    const index = this.#backlog.findIndex(({ head }) => isOfRun(operation, head));
    const [waiting] = index < 0 ? [] : this.#backlog.splice(index, 1);
    if (waiting === undefined) {
      this.#pool.cancel(operation);
      return;
    }
    waiting.head.result = errnoOf('ECANCELED');
    cancelAfter(waiting.head);
    this.#calledOff.push(waiting.waiter);
    this.#tellInItsTurn();
  }

  registerFile(fd: number): number {
    const place = this.#files.take(fd);
    if (place < 0 || this.#addon.registerFile(place, fd) === 0) return place;
    this.#files.giveBack(place);
    return -1;
  }

  unregisterFile(place: number): void {
    this.#addon.registerFile(place, -1);
    this.#files.giveBack(place);
  }

  registerView(view: Uint8Array): number {
    return this.#pool.registerView(view);
  }

  unregisterView(place: number): void {
    this.#pool.unregisterView(place);
  }

  #tell(): void {
    this.#ring.pairs.tell(this.#settle, this.#reap);
    while (this.#calledOff.length > 0) (this.#calledOff.pop() as Waiter).settle();
    while (this.#backlog.length > 0 && this.#hasRoom()) {
      const { head, waiter } = this.#backlog.shift() as Waiting;
      this.#fill(head, waiter, runLength(head));
    }
  }

  #hasRoom(): boolean {
    const { head } = this.#backlog[0] as Waiting;
    return this.#outstanding + runLength(head) <= this.#ring.capacity;
  }

  readonly #settle = (slot: number, result: number): void => {
    const operation = this.#operations[slot] as Operation;
    const waiter = this.#waiters[slot] as Waiter;
    const run = this.#runs[slot];
    this.#operations[slot] = undefined;
    this.#payloads[slot] = undefined;
    this.#waiters[slot] = undefined;
    this.#runs[slot] = undefined;
    this.#free.push(slot);
    this.#outstanding--;
    operation.result = result;
    if (run === undefined) this.#end(operation, waiter);
    else if (--run.left === 0) this.#endRun(run);
  };

  #end(operation: Operation, waiter: Waiter): void {
    if (operation.result < 0 && this.#isForPool(operation)) {
      this.#askPool(operation, waiter);
      return;
    }
    decode(operation);
    this.#counters.count(operation);
    waiter.settle();
  }

  /*
   * A sync is never asked for again: the second one succeeds although the first has lost data
   * (fsyncgate). io_uring answers none of these by itself there: fsync always runs on a thread of
   * the kernel's, where the file system has the word (io_uring/sync.c). Interrupted, both ask.
   * Nor is a close, whatever it answers: the descriptor is gone, and its number may be another's.
   */
  #isForPool({ code, result }: Operation): boolean {
    if (result === NOT_TAKEN) return true;
    if (code === Code.Close) return false;
    const isSync = code === Code.Sync || code === Code.SyncData;
    return isSync ? result === this.#interrupted : this.#retried.has(result);
  }

  /* Where a run stopped for no reason but the ring's, the pool takes it up. */
  #endRun({ head, waiter }: Run): void {
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      if (at.result < 0 && this.#isForPool(at)) {
        this.#askPool(at, waiter);
        return;
      }
      decode(at);
      this.#counters.count(at);
      if (goesOn(at)) continue;
      /* What the kernel had not even taken was never asked for. */
      cancelAfter(at);
      break;
    }
    waiter.settle();
  }

  #askPool(operation: Operation, waiter: Waiter): void {
    const { result } = operation;
    const answer = result === NOT_TAKEN ? 'not taken' : nameOf(result);
    const what = `${codeName(operation.code)}: ${answer}`;
    this.#refusals[what] = (this.#refusals[what] ?? 0) + 1;
    this.#pool.submit(operation, waiter);
  }

  stats(): EngineStats {
    const { features, usesLoop } = this.#ring;
    const ring: RingStats = {
      enters: this.#enters,
      submissions: this.#submissions,
      without: features,
      wokenBy: usesLoop ? 'loop' : 'thread',
      refusals: { ...this.#refusals },
    };
    return { ...this.#counters.stats(), ring };
  }
}

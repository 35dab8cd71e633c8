/** What every engine is: rows in, results out, and a count of what was asked of the system. */
import { type Capabilities, Code, codeName, errnoOf, type Operation } from '../platform.js';

export type EngineName = 'ring' | 'pool' | 'portable' | 'simulated';

/** Told once, when the last operation of its run has its result. */
export interface Waiter {
  settle(): void;
  /** Told instead when the run has no end: a simulated power cut. */
  fail?(error: unknown): void;
}

/** What was asked of the system since the start. */
export interface EngineStats {
  /** System calls by name. A call retried after EINTR counts once. */
  readonly systemCalls: Readonly<Record<string, number>>;
  readonly systemCallCount: number;
  /** Bytes that reads and writes moved. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Reads and writes that moved less than they were asked to. */
  readonly shortTransfers: number;
  /** How the ring did what of that it did. */
  readonly ring?: RingStats;
}

/** How a ring is made and what went through it. */
export interface RingStats {
  /** Calls of io_uring_enter(2), and operations handed over by them. */
  readonly enters: number;
  readonly submissions: number;
  /** What it does without, by the names of HOLDFAST_RING_WITHOUT. */
  readonly without: readonly string[];
  /** Who hears of completions: the event loop itself, or a thread that tells it. */
  readonly wokenBy: 'loop' | 'thread';
  /** Operations that the pool was asked for instead, with the ring's answer. */
  readonly refusals: Readonly<Record<string, number>>;
}

/**
 * How operations run. Results are in the operations themselves: >= 0 or -errno.
 *
 * Order: operations linked by `next` run one after the other and stop at the first refusal or
 * short transfer; runs have no order among each other.
 * Lifetime: what an operation refers to stays referenced until its waiter has been told.
 */
export interface Engine {
  readonly name: EngineName;
  /** Why this engine was chosen. */
  readonly reason: string;
  /** Views one system call takes. */
  readonly viewCountMax: number;
  readonly capabilities: Capabilities;
  readonly threads: number;
  /** Performs a run on the calling thread. */
  perform(run: Operation): void;
  /** Performs one read or write of one view on the calling thread: the shortest way. */
  performTransfer?(code: Code, fd: number, view: Uint8Array, offset: number): number;
  /** Performs a run elsewhere. What is submitted in one tick may be handed over at its end. */
  submit(run: Operation, waiter: Waiter): void;
  /** Hands over now what was submitted. */
  handOver?(): void;
  /** Tells the waiters of what has ended by now, without waiting for the loop to come round. */
  harvest?(): void;
  /**
   * Waits on the calling thread until something has ended, or the time is over (below 0: never),
   * and tells the waiters. False when there is nothing that it could wait for; absent where that
   * cannot be done at all. `count` tells how much is waited for, so as not to wake in between.
   */
  wait?(timeoutMs: number, count?: number): boolean;
  /** Asks for the end of an operation under way. It ends either way, with -ECANCELED or not. */
  cancel?(operation: Operation): void;
  /** True when `Operation.timeoutMs` is heeded. */
  readonly endsInTime?: boolean;
  /** Takes a descriptor into a table; answers its place for `Operation.fixedFile`, or -1. */
  registerFile?(fd: number): number;
  unregisterFile?(place: number): void;
  /**
   * Takes memory into a table; answers its place for `Operation.fixedView`, or -1.
   *
   * Lifetime: the memory is the engine's until it is unregistered.
   */
  registerView?(view: Uint8Array): number;
  unregisterView?(place: number): void;
  /**
   * Hears on what volume an open descriptor is (VolumeType), and answers why its reads and writes
   * go another way than this engine's for that. Absent where it does not matter.
   */
  learnVolume?(fd: number, volumeType: number): string | undefined;
  stats(): EngineStats;
  /** Milliseconds since 1970, where this engine's world has a time of its own. */
  now?(): number;
  /** Lets time pass, where this engine's world has a time of its own. */
  pause?(milliseconds: number): void;
  /** As `randomName` of the platform, where this engine's world has a chance of its own. */
  randomName?(): string;
}

/** True for the codes whose views are the caller's bytes. */
export function isTransfer(code: Code): boolean {
  return code === Code.Read || code === Code.Write;
}

/** Invariant 2 of the waist: whether a run goes on behind an operation that has its result. */
export function goesOn({ code, result, length }: Operation): boolean {
  return result >= 0 && (!isTransfer(code) || result === length);
}

/** What a stop left out answers -ECANCELED. */
export function cancelAfter(stop: Operation): void {
  const cancelled = errnoOf('ECANCELED');
  for (let rest = stop.next; rest !== undefined; rest = rest.next) rest.result = cancelled;
}

/* One array of doubles: calls by code, the vectored forms after the codes, then bytes by code. */
const VECTORED = 64;
const BYTES = 128;
const SHORT = 192;
const COUNTER_COUNT = 193;

function counterName(counter: number): string {
  if (counter === Code.Read + VECTORED) return 'preadv';
  if (counter === Code.Write + VECTORED) return 'pwritev';
  if (counter === Code.Read) return 'pread';
  if (counter === Code.Write) return 'pwrite';
  return codeName(counter as Code);
}

/** Counts system calls; cheap enough to stay on. */
export class Counters {
  readonly #counts: Float64Array = new Float64Array(COUNTER_COUNT);
  readonly #absent = errnoOf('ENOSYS');

  /** Counts one operation that has its result; one the engine does not have was never asked. */
  count(operation: Operation): void {
    const { code, result } = operation;
    if (result === this.#absent) return;
    if (isTransfer(code)) {
      this.countTransfer(code, Array.isArray(operation.payload), operation.length, result);
    } else {
      this.#counts[code] = (this.#counts[code] as number) + 1;
    }
  }

  countTransfer(code: Code, vectored: boolean, length: number, result: number): void {
    const counts = this.#counts;
    const counter = vectored ? code + VECTORED : code;
    counts[counter] = (counts[counter] as number) + 1;
    if (result < 0) return;
    counts[BYTES + code] = (counts[BYTES + code] as number) + result;
    if (result !== length) counts[SHORT] = (counts[SHORT] as number) + 1;
  }

  stats(): EngineStats {
    const systemCalls: Record<string, number> = {};
    const counts = this.#counts;
    let systemCallCount = 0;
    for (let counter = 1; counter < BYTES; counter++) {
      const calls = counts[counter] as number;
      if (calls === 0) continue;
      systemCalls[counterName(counter)] = calls;
      systemCallCount += calls;
    }
    return {
      systemCalls,
      systemCallCount,
      bytesRead: counts[BYTES + Code.Read] as number,
      bytesWritten: counts[BYTES + Code.Write] as number,
      shortTransfers: counts[SHORT] as number,
    };
  }
}

/** Counts a whole run: what a stop left out was never asked. */
export function countRun(counters: Counters, head: Operation): void {
  const cancelled = errnoOf('ECANCELED');
  for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
    if (at.result !== cancelled) counters.count(at);
  }
}

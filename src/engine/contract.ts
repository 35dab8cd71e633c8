/** What every engine is: rows in, results out, and a count of what was asked of the system. */
import { type Capabilities, Code, codeName, errnoOf, type Operation } from '../platform.js';

export type EngineName = 'ring' | 'pool' | 'portable' | 'simulated';

/** Told once, when the last operation of its run has its result. */
export interface Waiter {
  settle(): void;
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
  /** Performs a run elsewhere. */
  submit(run: Operation, waiter: Waiter): void;
  stats(): EngineStats;
}

/* The vectored forms have names of their own; they count after the codes. */
const VECTORED_READ = 32;
const VECTORED_WRITE = 33;
const COUNTER_COUNT = 34;

function counterName(counter: number): string {
  if (counter === VECTORED_READ) return 'preadv';
  if (counter === VECTORED_WRITE) return 'pwritev';
  if (counter === Code.Read) return 'pread';
  if (counter === Code.Write) return 'pwrite';
  return codeName(counter as Code);
}

/** Counts system calls; cheap enough to stay on. */
export class Counters {
  readonly #calls: Float64Array = new Float64Array(COUNTER_COUNT);
  readonly #absent = errnoOf('ENOSYS');
  #bytesRead = 0;
  #bytesWritten = 0;
  #shortTransfers = 0;

  /** Counts one operation that has its result; one the engine does not have was never asked. */
  count(operation: Operation): void {
    const { code, result } = operation;
    if (result === this.#absent) return;
    if (code === Code.Read || code === Code.Write) {
      this.countTransfer(code, Array.isArray(operation.payload), operation.length, result);
    } else {
      this.#calls[code] = (this.#calls[code] as number) + 1;
    }
  }

  countTransfer(code: Code, vectored: boolean, length: number, result: number): void {
    const reads = code === Code.Read;
    const counter = vectored ? (reads ? VECTORED_READ : VECTORED_WRITE) : code;
    this.#calls[counter] = (this.#calls[counter] as number) + 1;
    if (result < 0) return;
    if (reads) this.#bytesRead += result;
    else this.#bytesWritten += result;
    if (result < length) this.#shortTransfers++;
  }

  stats(): EngineStats {
    const systemCalls: Record<string, number> = {};
    let systemCallCount = 0;
    for (const [counter, calls] of this.#calls.entries()) {
      if (calls === 0 || counter === Code.Nop) continue;
      systemCalls[counterName(counter)] = calls;
      systemCallCount += calls;
    }
    return {
      systemCalls,
      systemCallCount,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
      shortTransfers: this.#shortTransfers,
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

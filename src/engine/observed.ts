/**
 * The one place where work is handed to an engine, and where those who listen are told of it: on
 * the channels of `node:diagnostics_channel`. Who does not listen pays for one question.
 */
import type { TracingChannel } from 'node:diagnostics_channel';
import type { IoError } from '../errors.js';
import { Code, codeName, errnoOf, type Operation, refusal } from '../platform.js';
import { type Engine, type EngineName, isTransfer, type Waiter } from './contract.js';

/** The name of the channels: `tracing:holdfast.operation:start` and so on. */
export const OPERATION_CHANNEL = 'holdfast.operation';

/**
 * What was asked of the system, told at its start and, grown by the last five, at its end: the same
 * object each time.
 */
export interface OperationEvent {
  /** The name of the call, as `syscall` of errors has it: `read`, `fsync`, `rename`. */
  readonly operation: string;
  /** `sync`: on the calling thread, which hears `start` and `end` alone. */
  readonly api: 'sync' | 'async';
  readonly engine: EngineName;
  readonly path: string | undefined;
  /** The second path of those that have two. */
  readonly dest: string | undefined;
  readonly fd: number | undefined;
  /** Bytes; `undefined` where the descriptor's own position counts, or none does. */
  readonly offset: number | undefined;
  /** Bytes that a read or write was asked for. */
  readonly length: number | undefined;
  /** Its place among those that the system was asked for as one, and how many those are. */
  readonly runIndex: number;
  readonly runCount: number;
  /** What the system answered: bytes of a read or write, a descriptor, 0. */
  result?: number;
  /** Bytes that a read or write moved. */
  bytes?: number;
  /** From the handing over until it is told: for several that run as one, of all of them. */
  durationMs?: number;
  /** What the system refused. The library may have a way round it. */
  error?: IoError;
  /** Not asked any more, since one before it in its run was refused or fell short. */
  isSkipped?: boolean;
}

type Channels = TracingChannel<unknown, OperationEvent>;

/* By name: runtimes that lack it are not observed. Importing it takes 1 ms, this 0.1. */
const channels: Channels | undefined = process
  .getBuiltinModule?.('node:diagnostics_channel')
  ?.tracingChannel<unknown, OperationEvent>(OPERATION_CHANNEL);

const CANCELLED = errnoOf('ECANCELED');

/** What has a descriptor, and a path where that is known. */
interface Named {
  readonly fd: number;
  readonly path: string | undefined;
}

/* Files that are open, for operations that have a descriptor only. */
const opened: WeakMap<Engine, Map<number, Named>> = new WeakMap();

/** Says whose a descriptor is from now on. */
export function nameDescriptor(engine: Engine, named: Named): void {
  const files = opened.get(engine);
  if (files === undefined) opened.set(engine, new Map([[named.fd, named]]));
  else files.set(named.fd, named);
}

/** Says that a descriptor is closed: it may be another's by now, who keeps it. */
export function forgetDescriptor(engine: Engine, named: Named): void {
  const files = opened.get(engine);
  if (files?.get(named.fd) === named) files.delete(named.fd);
}

function isObserved(): boolean {
  if (channels === undefined) return false;
  const { start, end, asyncStart, asyncEnd, error } = channels;
  return (
    start.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    end.hasSubscribers ||
    error.hasSubscribers ||
    asyncStart.hasSubscribers
  );
}

/** An engine that has the shortest way. */
export type QuickEngine = Engine & Required<Pick<Engine, 'performTransfer'>>;

export function isQuickEngine(engine: Engine): engine is QuickEngine {
  return engine.performTransfer !== undefined;
}

/** Has a run performed on the calling thread. */
export function perform(engine: Engine, run: Operation): void {
  if (!isObserved()) engine.perform(run);
  else performObserved(engine, run);
}

/** Has a run performed elsewhere. */
export function submit(engine: Engine, run: Operation, waiter: Waiter): void {
  if (!isObserved()) engine.submit(run, waiter);
  else new Trace(engine, run, 'async').submit(waiter);
}

/** Has one read or write of one view performed on the calling thread, where the engine can. */
export function performTransfer(
  engine: QuickEngine,
  code: Code,
  fd: number,
  view: Uint8Array,
  offset: number,
): number {
  if (!isObserved()) return engine.performTransfer(code, fd, view, offset);
  return transferObserved(engine, code, fd, view, offset);
}

/* Apart: what a closure holds is allocated by the function it stands in, listened to or not. */
function performObserved(engine: Engine, run: Operation): void {
  new Trace(engine, run, 'sync').perform(() => engine.perform(run));
}

function transferObserved(
  engine: QuickEngine,
  code: Code,
  fd: number,
  view: Uint8Array,
  offset: number,
): number {
  const { length } = view;
  const trace = new Trace(engine, { code, fd, offset, length }, 'sync');
  return trace.transfer(() => engine.performTransfer(code, fd, view, offset));
}

/* As much of an operation as an event tells. */
type Asked = Pick<Operation, 'code' | 'fd' | 'offset' | 'length'> &
  Partial<Pick<Operation, 'place' | 'place2' | 'next' | 'result'>>;

function pathOf(engine: Engine, { place, fd }: Asked, openedInRun: string | undefined) {
  if (fd < 0) return place?.path ?? openedInRun;
  return place?.path ?? opened.get(engine)?.get(fd)?.path;
}

const OFFSETS: ReadonlySet<Code> = new Set([Code.Allocate, Code.Advise, Code.StartWriteback]);

/** One run that somebody listens to. */
class Trace {
  readonly #engine: Engine;
  readonly #run: Asked;
  readonly #events: OperationEvent[] = [];
  readonly #startMs = performance.now();

  constructor(engine: Engine, run: Asked, api: OperationEvent['api']) {
    this.#engine = engine;
    this.#run = run;
    let runCount = 0;
    for (let at: Asked | undefined = run; at !== undefined; at = at.next) runCount++;
    let openedInRun: string | undefined;
    for (let at: Asked | undefined = run; at !== undefined; at = at.next) {
      const path = pathOf(engine, at, openedInRun);
      if (at.code === Code.Open || at.code === Code.OpenBeneath) openedInRun = path;
      const runIndex = this.#events.length;
      this.#events.push(eventOf(at, { api, engine: engine.name, path, runIndex, runCount }));
    }
  }

  perform(work: () => void): void {
    this.#start(work);
    this.#ended();
    for (const event of this.#events) this.#publishEnd(event);
  }

  transfer(work: () => number): number {
    let result = CANCELLED;
    this.#start(() => {
      result = work();
    });
    this.#ended(result);
    for (const event of this.#events) this.#publishEnd(event);
    return result;
  }

  submit(waiter: Waiter): void {
    /* Who waits goes on where it was called from, as promises do: for AsyncLocalStorage. */
    const { AsyncResource } = process.getBuiltinModule('node:async_hooks');
    const here = new AsyncResource(OPERATION_CHANNEL);
    const told: Waiter = {
      settle: () => {
        here.runInAsyncScope(() => {
          this.#ended();
          this.#publishAsyncEnd();
          waiter.settle();
        });
      },
      fail: (error) => {
        here.runInAsyncScope(() => {
          this.#failed(error);
          this.#publishAsyncEnd();
          waiter.fail?.(error);
        });
      },
    };
    this.#start(() => this.#engine.submit(this.#run as Operation, told));
    for (const event of this.#events) channels?.end.publish(event);
  }

  /* The stores that are bound to `start` are there while the work is begun. */
  #start(work: () => void): void {
    const [first, ...others] = this.#events as [OperationEvent, ...OperationEvent[]];
    channels?.start.runStores(first, () => {
      for (const event of others) channels?.start.publish(event);
      work();
    });
  }

  #ended(result?: number): void {
    const durationMs = performance.now() - this.#startMs;
    let index = 0;
    let hasStopped = false;
    for (let at: Asked | undefined = this.#run; at !== undefined; at = at.next) {
      const event = this.#events[index++] as OperationEvent;
      event.durationMs = durationMs;
      const answer = result ?? at.result ?? CANCELLED;
      event.result = answer;
      if (hasStopped && answer === CANCELLED) event.isSkipped = true;
      else if (answer < 0) event.error = errorOf(event, answer);
      else if (isTransfer(at.code)) event.bytes = answer;
      if (answer < 0 || (isTransfer(at.code) && answer !== at.length)) hasStopped = true;
    }
  }

  /* There is no answer: the power of a simulated disk went. */
  #failed(error: unknown): void {
    for (const event of this.#events) {
      event.durationMs = performance.now() - this.#startMs;
      event.error = error as IoError;
    }
  }

  #publishEnd(event: OperationEvent): void {
    if (event.error !== undefined) channels?.error.publish(event);
    channels?.end.publish(event);
  }

  #publishAsyncEnd(): void {
    for (const event of this.#events) {
      if (event.error !== undefined) channels?.error.publish(event);
      channels?.asyncStart.publish(event);
      channels?.asyncEnd.publish(event);
    }
  }
}

type Known = Pick<OperationEvent, 'api' | 'engine' | 'path' | 'runIndex' | 'runCount'>;

function eventOf({ code, fd, offset, length, place2 }: Asked, known: Known): OperationEvent {
  const hasOffset = (isTransfer(code) && offset >= 0) || OFFSETS.has(code);
  return {
    operation: codeName(code),
    ...known,
    dest: place2?.path,
    fd: fd >= 0 ? fd : undefined,
    offset: hasOffset ? offset : undefined,
    length: isTransfer(code) || OFFSETS.has(code) ? length : undefined,
  };
}

function errorOf({ operation, path, dest, offset }: OperationEvent, errno: number): IoError {
  return refusal(errno, { action: operation, syscall: operation, path, dest, offset });
}

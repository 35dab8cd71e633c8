/**
 * How operations run: on the calling thread, by io_uring, on threads of our own, or through
 * `node:fs`. Chooses
 * once, says why, and drives the steps of everything above it, waiting or not, with one piece of
 * code.
 *
 * Invariants: 1. A waiter is told exactly once, and never from inside `submit`.
 *             2. Memory of an operation is referenced until its waiter has been told.
 *             3. An abort stops the next run, never one under way; steps still clean up.
 * Not promised: order between runs; it is the submitter's to link or to wait.
 * Source: io_uring(7) for runs of linked operations; DESIGN of the submission ABI in ARCHITECTURE
 */

import type { Engine, EngineName, EngineStats, Waiter } from './engine/contract.js';
import { perform, submit } from './engine/observed.js';
import { PoolEngine } from './engine/pool.js';
import { PortableEngine } from './engine/portable.js';
import { openRing, RingEngine } from './engine/ring.js';
import { interruption, invalidType, invalidValue, outOfRange } from './errors.js';
import {
  type Addon,
  Code,
  capabilitiesOf,
  chance,
  environment,
  errnoOf,
  hasRing,
  loadAddon,
  now,
  Operation,
  sleep,
  startTimer,
  untried,
} from './platform.js';

export { Counters, cancelAfter, goesOn, isTransfer } from './engine/contract.js';
export { isOfRun } from './engine/native.js';
export {
  forgetDescriptor,
  isQuickEngine,
  nameDescriptor,
  OPERATION_CHANNEL,
  type OperationEvent,
  performTransfer,
} from './engine/observed.js';
export type { Engine, EngineName, EngineStats, Waiter };
export { perform, submit };

const THREADS_DEFAULT = 4;
const THREADS_MAX = 64;
/* setTimeout takes no more: 24 days. Who waits longer looks again in between. */
const TIMER_MAX = 2 ** 31 - 1;

export interface EngineOptions {
  /** `auto` takes the best there is; a name forces one. Default `auto`. */
  readonly engine?: 'auto' | EngineName;
  /** Threads of the pool: 1 to 64. Default 4. */
  readonly threads?: number;
  /** What becomes of the caller's memory, where a file or a call does not say. */
  readonly memory?: MemoryMode;
}

/**
 * What becomes of the caller's memory while the system may touch it: it is kept from collection,
 * and a view that was transferred away is told at the end (`reference`, the default); it is marked
 * for good, so that it cannot be transferred (`mark`); the system sees library memory only
 * (`copy`). docs/memory.md says what remains possible with each.
 */
export type MemoryMode = 'reference' | 'mark' | 'copy';

const MEMORY_MODES: readonly unknown[] = ['reference', 'mark', 'copy'];

let ring: RingEngine | string | undefined;
let pool: PoolEngine | undefined;
let portable: PortableEngine | undefined;
let chosen: Engine | undefined;
let threadsWanted = THREADS_DEFAULT;
let memoryWanted: MemoryMode = 'reference';

function poolEngine(reason: string, isNamed = false): PoolEngine | undefined {
  const state = loadAddon(isNamed);
  if (state.addon === undefined) return undefined;
  pool ??= new PoolEngine(state.addon, capabilitiesOf(state), threadsWanted);
  pool.reason = reason;
  return pool;
}

function newRing(addon: Addon): RingEngine | string {
  if (!hasRing(addon)) return 'the addon for this system has no ring: io_uring is of Linux';
  const bell = { ring: (): void => undefined };
  /* First: what is made last ends first. */
  pool ??= new PoolEngine(addon, capabilitiesOf(loadAddon()), threadsWanted);
  const opened = openRing(addon, bell);
  if (typeof opened === 'string') return opened;
  return new RingEngine(addon, pool, opened, bell);
}

/* One ring for each environment: made at the first use, once, or the reason why there is none. */
function ringEngine(isNamed = false): RingEngine | string {
  const { addon, reason } = loadAddon(isNamed);
  if (addon === undefined) return reason;
  ring ??= newRing(addon);
  return ring;
}

/** Whether operations can go through io_uring here, and why or why not. */
export function ringState(): { readonly isThere: boolean; readonly reason: string } {
  const found = ringEngine();
  const isThere = typeof found !== 'string';
  return { isThere, reason: isThere ? found.explanation : found };
}

function portableEngine(reason: string): PortableEngine {
  const absent = { addon: undefined, reason: `the portable engine uses node:fs alone: ${reason}` };
  portable ??= new PortableEngine(capabilitiesOf(absent), reason);
  return portable;
}

/** The engine of a name. Errors: `TypeError` for an unknown name, and for one absent here. */
export function engineNamed(name: unknown, argument = 'engine'): Engine {
  if (name === 'auto') return choose();
  if (name === 'portable') return portableEngine('it was asked for');
  if (name === 'ring') {
    const engine = ringEngine(true);
    if (typeof engine !== 'string') return engine;
    throw invalidValue(argument, `an engine that is here (${engine})`, name);
  }
  if (name === 'pool') {
    const engine = poolEngine('it was asked for', true);
    if (engine !== undefined) return engine;
    throw invalidValue(argument, `an engine that is here (${loadAddon().reason})`, name);
  }
  throw invalidValue(argument, "'auto', 'ring', 'pool' or 'portable'", name);
}

/* Rings of kernels before 6.1, which lack DEFER_TASKRUN, have known bugs: only when asked for. */
function choose(): Engine {
  const state = loadAddon();
  if (state.addon === undefined) return portableEngine(state.reason);
  /* Loaded because it was asked for by name: that speaks for those who asked. */
  if (untried !== undefined) return portableEngine(untried);
  const found = ringEngine();
  if (typeof found !== 'string' && found.isDeferred) return found;
  const why = typeof found === 'string' ? found : 'the ring has no DEFER_TASKRUN (kernel 6.1)';
  return poolEngine(why) ?? portableEngine(state.reason);
}

/**
 * The engine that doors use when none is named: `HOLDFAST_ENGINE` in the environment, else the
 * best there is.
 *
 * Errors: `TypeError` when the environment names an engine that is not here.
 */
export function defaultEngine(): Engine {
  chosen ??= engineNamed(environment.forcedEngine ?? 'auto', 'HOLDFAST_ENGINE');
  return chosen;
}

/**
 * Sets the default engine, its threads and what becomes of memory, for this process (in a worker:
 * for that worker). Files that are open keep theirs.
 *
 * Errors: `TypeError`, `RangeError` for what cannot be had; nothing is changed then.
 */
export function configure(options: EngineOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { engine, threads, memory } = options;
  if (threads !== undefined) checkThreads(threads);
  const memoryNext = memoryModeOf(memory, 'memory');
  const next = engine === undefined ? undefined : engineNamed(engine);
  if (threads !== undefined) {
    threadsWanted = threads;
    pool?.setThreads(threads);
  }
  if (next !== undefined) chosen = next;
  memoryWanted = memoryNext;
}

/** A mode given as an option, else `standard`. Errors: `TypeError` for anything else. */
export function memoryModeOf(
  value: unknown,
  argument: string,
  standard: MemoryMode = memoryWanted,
): MemoryMode {
  if (value === undefined) return standard;
  if (MEMORY_MODES.includes(value)) return value as MemoryMode;
  throw invalidValue(argument, "'reference', 'mark' or 'copy'", value);
}

function checkThreads(threads: unknown): void {
  if (typeof threads !== 'number') throw invalidType('threads', 'a number', threads);
  if (!Number.isInteger(threads) || threads < 1 || threads > THREADS_MAX) {
    throw outOfRange('threads', `an integer from 1 to ${THREADS_MAX}`, threads);
  }
}

/** An engine given as an option, or the default. Errors: `TypeError` for anything else. */
export function engineOf(engine: Engine | undefined): Engine {
  if (engine === undefined) return defaultEngine();
  if (typeof engine !== 'object' || engine === null || typeof engine.submit !== 'function') {
    throw invalidType('options.engine', 'an engine', engine);
  }
  return engine;
}

/** What a door does, run by run: yields the head of each, finds the results in it. */
export type Steps<T> = Generator<Operation, T, void>;

/** Yielded by steps in place of a run: they go on when it is over. Nothing is asked meanwhile. */
export class Pause extends Operation {
  readonly milliseconds: number;
  /**
   * Set where something else in this process has to happen first. The calling thread cannot wait
   * for that: its steps are thrown this.
   */
  readonly refusal: (() => Error) | undefined;
  #end: (() => void) | undefined;
  #isOver = false;

  /** `milliseconds` may be infinite where there is a `refusal`. */
  constructor(milliseconds: number, refusal?: () => Error) {
    super(Code.Nop);
    this.milliseconds = milliseconds;
    this.refusal = refusal;
  }

  /** Ends it before its time. */
  wake(): void {
    this.#isOver = true;
    this.#end?.();
  }

  /** For whoever drives the steps: what to do at the end, once, never from inside this call. */
  begin(end: () => void): void {
    this.#end = () => {
      this.#end = undefined;
      queueMicrotask(end);
    };
    if (this.#isOver) this.#end();
  }
}

function isPause(run: Operation): run is Pause {
  return run.code === Code.Nop && run instanceof Pause;
}

function afterPauseSync<T>(engine: Engine, steps: Steps<T>, pause: Pause) {
  if (pause.refusal !== undefined) return steps.throw(pause.refusal());
  if (engine.pause === undefined) sleep(pause.milliseconds);
  else engine.pause(pause.milliseconds);
  return steps.next();
}

/** Drives steps on the calling thread. */
export function driveSync<T>(engine: Engine, steps: Steps<T>): T {
  let step = steps.next();
  while (step.done !== true) {
    if (isPause(step.value)) {
      step = afterPauseSync(engine, steps, step.value);
      continue;
    }
    perform(engine, step.value);
    step = steps.next();
  }
  return step.value;
}

/** Milliseconds since 1970 in the world of an engine. */
export function clockOf(engine: Engine): number {
  return engine.now === undefined ? now() : engine.now();
}

/** A number from 0 to less than 1, from the chance of an engine's world. */
export function chanceOf(engine: Engine): number {
  if (engine.randomName === undefined) return chance();
  return Number.parseInt(engine.randomName().slice(0, 8), 16) / 2 ** 32;
}

/** What stops steps between two runs. An `AbortSignal` is one. */
export interface Interrupt {
  readonly aborted: boolean;
  readonly reason: unknown;
}

/**
 * Drives steps without blocking the loop. An abort takes effect between two runs: memory the
 * kernel may still use is never given back early. `onEnd` is called once, before the promise
 * settles.
 *
 * Errors: what the steps throw; `AbortError` after an abort.
 */
export function drive<T>(
  engine: Engine,
  steps: Steps<T>,
  signal?: Interrupt,
  onEnd?: () => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    start(engine, steps, { signal, onEnd, resolve, reject });
  });
}

const woken = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back when a signal is aborted; answers what calls that off. One listener for a signal,
 * whatever waits: Node warns of a leak at the eleventh.
 */
export function atAbort(signal: AbortSignal, wake: () => void): () => void {
  let all = woken.get(signal);
  if (all === undefined) {
    const made = new Set<() => void>();
    const wakeAll = (): void => {
      for (const one of made) one();
    };
    signal.addEventListener('abort', wakeAll, { once: true });
    woken.set(signal, made);
    all = made;
  }
  const these = all.add(wake);
  return () => these.delete(wake);
}

/** Who is told how steps ended, in place of a promise: at once, not in a microtask. */
export interface Outcome<T> {
  readonly signal?: Interrupt | undefined;
  readonly onEnd?: (() => void) | undefined;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** As `drive`, telling an outcome. */
export function start<T>(engine: Engine, steps: Steps<T>, outcome: Outcome<T>): void {
  /* Also steps that ask nothing of the system must not be taken then. */
  if (outcome.signal?.aborted === true) {
    outcome.onEnd?.();
    outcome.reject(interruption(outcome.signal.reason));
    return;
  }
  new Drive(engine, steps, outcome).settle();
}

const CANCELLED = errnoOf('ECANCELED');

/* An operation that an abort ends, and what makes it be left alone. */
interface Waiting {
  readonly run: Operation;
  readonly forget: () => void;
}

class Drive<T> implements Waiter {
  readonly #engine: Engine;
  readonly #steps: Steps<T>;
  readonly #outcome: Outcome<T>;
  #isAborted = false;
  #waiting: Waiting | undefined;

  constructor(engine: Engine, steps: Steps<T>, outcome: Outcome<T>) {
    this.#engine = engine;
    this.#steps = steps;
    this.#outcome = outcome;
  }

  settle(): void {
    try {
      const step = this.#next();
      if (step.done !== true) {
        if (isPause(step.value)) this.#pause(step.value);
        else this.#submit(step.value);
        return;
      }
      this.#outcome.onEnd?.();
      this.#outcome.resolve(step.value);
    } catch (error) {
      this.#outcome.onEnd?.();
      this.#outcome.reject(error);
    }
  }

  /* The power went: the steps are left where they stand, as those of a process are. */
  fail(error: unknown): void {
    this.#outcome.onEnd?.();
    this.#outcome.reject(error);
  }

  #submit(run: Operation): void {
    submit(this.#engine, run, this);
    const { signal } = this.#outcome;
    if (!run.mayWait || !(signal instanceof AbortSignal)) return;
    const forget = atAbort(signal, () => this.#engine.cancel?.(run));
    this.#waiting = { run, forget };
  }

  /* Whether what was waited for was called off because of the signal. */
  #isCalledOff(): boolean {
    const waiting = this.#waiting;
    if (waiting === undefined) return false;
    this.#waiting = undefined;
    waiting.forget();
    return waiting.run.result === CANCELLED && this.#outcome.signal?.aborted === true;
  }

  /* A signal ends a pause; what it means is looked at as between any two runs. */
  #pause(pause: Pause): void {
    const { signal } = this.#outcome;
    const { milliseconds } = pause;
    const wake = (): void => pause.wake();
    const forget = signal instanceof AbortSignal ? atAbort(signal, wake) : undefined;
    const isOwnTime = this.#engine.pause !== undefined;
    const isEndless = milliseconds === Number.POSITIVE_INFINITY;
    if (isOwnTime && !isEndless) this.#engine.pause?.(milliseconds);
    /* An endless one has a timer too: whoever waits keeps the process alive. */
    const stop = startTimer(isOwnTime && !isEndless ? 0 : Math.min(milliseconds, TIMER_MAX), wake);
    pause.begin(() => {
      stop();
      forget?.();
      this.settle();
    });
  }

  /* What has happened is looked at before an abort is: it stops the next run, not the last. */
  #next(): IteratorResult<Operation, T> {
    const { signal } = this.#outcome;
    if (this.#isCalledOff()) {
      this.#isAborted = true;
      return this.#steps.throw(interruption(signal?.reason));
    }
    const step = this.#steps.next();
    if (step.done === true || signal === undefined || !signal.aborted) return step;
    if (this.#isAborted || step.value.mustRun) return step;
    this.#isAborted = true;
    return this.#steps.throw(interruption(signal.reason));
  }
}

/** Work that takes turns by key: the next begins when the one before has left. */
export class Turns<K> {
  readonly #waiting: Map<K, (() => void)[]> = new Map();

  isTaken(key: K): boolean {
    return this.#waiting.has(key);
  }

  /** Calls `begin` when it is its turn: at once where nobody has it. */
  enter(key: K, begin: () => void): void {
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) waiting.push(begin);
    else {
      this.#waiting.set(key, []);
      begin();
    }
  }

  /** Ends a turn, and begins the next. */
  leave(key: K): void {
    const next = this.#waiting.get(key)?.shift();
    if (next === undefined) this.#waiting.delete(key);
    else next();
  }

  /** A turn for as long as `work` takes. */
  take<T>(key: K, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const leave = (): void => this.leave(key);
      this.enter(key, () => {
        const mine = work();
        mine.then(leave, leave);
        mine.then(resolve, reject);
      });
    });
  }
}

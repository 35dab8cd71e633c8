/** The engine of a simulated disk: runs, their order, faults, the moment the power goes. */
import {
  Counters,
  cancelAfter,
  type Engine,
  type EngineStats,
  goesOn,
  isOfRun,
  type Waiter,
} from '../engine.js';
import {
  type Capabilities,
  Code,
  codeName,
  errnoOf,
  FD_OPENED_IN_RUN,
  Operation,
  opensDescriptor,
} from '../platform.js';
import { cutCall, failSync, performCall, STRAIGHT, type Twist } from './calls.js';
import type { Chance } from './chance.js';
import { SECTOR_BYTES } from './node.js';
import { answerTo, type Rule, type Verdict } from './refuse.js';
import type { World } from './world.js';

/** Refusals of a sync that leave dirty sectors clean and lost: Rebello et al., ATC 2020. */
const LOSSES: readonly string[] = ['EIO', 'ENOSPC', 'EDQUOT'];
const STEP_MS_MAX = 0.05;

/** The power went: thrown by the operation a `crashAt` names, and by all that come after it. */
export class SimulatedCrash extends Error {
  override readonly name: string = 'SimulatedCrash';
  readonly code: string = 'ERR_SIMULATED_CRASH';
  readonly seed: number;
  /** The operation before which the power went, counted from 1. */
  readonly operation: number;

  constructor(seed: number, operation: number) {
    super(`The power went before operation ${operation} (seed ${seed})`);
    this.seed = seed;
    this.operation = operation;
  }
}

interface Run {
  readonly head: Operation;
  at: Operation | undefined;
  opened: number;
  readonly waiter: Waiter;
}

/** What a fault does to the n-th write that is left. */
interface WriteLie {
  left: number;
  readonly lie: NonNullable<Twist['lie']>;
  struckCount: number;
}

export interface MachineSettings {
  readonly seed: number;
  readonly chance: Chance;
  readonly capabilities: Capabilities;
  readonly viewCountMax: number;
  readonly reorderCompletions: boolean;
  readonly shortShare: number;
  readonly logCount: number;
}

type Logged = readonly [code: Code, what: string | number, detail: number, result: number];

/** Runs operations on a world. */
export class Machine implements Engine {
  readonly name = 'simulated';
  readonly reason: string;
  readonly viewCountMax: number;
  readonly capabilities: Capabilities;
  readonly threads = 0;
  readonly rules: Rule[] = [];
  readonly lies: WriteLie[] = [];
  operationCount = 0;
  /** The operation before which the power goes; 0 is never. */
  crashOperation = 0;
  crash: SimulatedCrash | undefined;
  readonly #world: World;
  readonly #settings: MachineSettings;
  readonly #counters = new Counters();
  #runs: Run[] = [];
  readonly #drainAll = (): void => {
    this.#isDraining = false;
    this.#drain();
  };
  #isDraining = false;
  #log: Logged[] = [];

  constructor(world: World, settings: MachineSettings) {
    this.#world = world;
    this.#settings = settings;
    this.viewCountMax = settings.viewCountMax;
    this.capabilities = settings.capabilities;
    this.reason = `a simulated disk, seed ${settings.seed}`;
  }

  stats(): EngineStats {
    return this.#counters.stats();
  }

  now(): number {
    return this.#world.nowMs;
  }

  /** Nobody waits: the clock moves. */
  pause(milliseconds: number): void {
    this.#world.nowMs += milliseconds;
  }

  /** 32 hexadecimal digits, the same for the same seed. */
  randomName(): string {
    const digit = (): string => this.#settings.chance.next().toString(16).padStart(8, '0');
    return digit() + digit() + digit() + digit();
  }

  perform(head: Operation): void {
    const run: Run = { head, at: head, opened: errnoOf('EBADF'), waiter: NOBODY };
    while (run.at !== undefined) this.#step(run);
  }

  performTransfer(code: Code, fd: number, view: Uint8Array, offset: number): number {
    const operation = new Operation(code);
    operation.fd = fd;
    operation.payload = view;
    operation.length = view.length;
    operation.offset = offset;
    this.perform(operation);
    return operation.result;
  }

  submit(head: Operation, waiter: Waiter): void {
    if (this.crash !== undefined) throw this.crash;
    this.#runs.push({ head, at: head, opened: errnoOf('EBADF'), waiter });
    this.#drainLater();
  }

  /** Performs what comes next on the calling thread: there is nobody else to do it. */
  wait(): boolean {
    const isAny = this.#runs.length > 0;
    this.#drain();
    return isAny;
  }

  harvest(): void {
    this.#drain();
  }

  /** Ends a run that has not begun. */
  cancel(operation: Operation): void {
    const isFound = (run: Run): boolean => run.at === run.head && isOfRun(operation, run.head);
    const run = this.#runs.find(isFound);
    if (run === undefined) return;
    run.head.result = errnoOf('ECANCELED');
    cancelAfter(run.head);
    run.at = undefined;
  }

  /*
   * In order, run by run; or by chance, an operation of any run at a time. Whoever waited for a run
   * goes on before the next one is done.
   */
  #drain(): void {
    const { chance, reorderCompletions } = this.#settings;
    try {
      while (this.#runs.length > 0) {
        const index = reorderCompletions ? chance.below(this.#runs.length) : 0;
        const run = this.#runs[index] as Run;
        if (run.at !== undefined) this.#step(run);
        if (run.at !== undefined) continue;
        this.#runs.splice(index, 1);
        if (this.#runs.length > 0) this.#drainLater();
        run.waiter.settle();
        return;
      }
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw error;
      const runs = this.#runs;
      this.#runs = [];
      for (const { waiter } of runs) waiter.fail?.(error);
    }
  }

  #drainLater(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    queueMicrotask(this.#drainAll);
  }

  #step(run: Run): void {
    const operation = run.at as Operation;
    operation.result = this.#answer(operation, run.opened);
    this.#counters.count(operation);
    this.#note(operation);
    if (opensDescriptor(operation.code) && operation.result >= 0) run.opened = operation.result;
    if (goesOn(operation)) run.at = operation.next;
    else {
      cancelAfter(operation);
      run.at = undefined;
    }
  }

  #answer(operation: Operation, opened: number): number {
    if (this.crash !== undefined) throw this.crash;
    this.operationCount++;
    this.#world.nowMs += (STEP_MS_MAX * (1 + this.#settings.chance.below(64))) / 64;
    const fd = operation.fd === FD_OPENED_IN_RUN ? opened : operation.fd;
    if (this.operationCount === this.crashOperation) {
      const isRefused = this.#verdict(operation) !== undefined;
      if (!isRefused) cutCall(this.#world, { operation, fd, opened, twist: STRAIGHT });
      this.crash = new SimulatedCrash(this.#settings.seed, this.operationCount);
      throw this.crash;
    }
    const verdict = this.#verdict(operation);
    const call = { operation, fd, opened, twist: STRAIGHT };
    if (verdict === undefined || 'limit' in verdict) {
      const twist = this.#twist(operation, verdict?.limit);
      return performCall(this.#world, twist === STRAIGHT ? call : { ...call, twist });
    }
    const answer = answerTo(verdict.errno, operation.code);
    if (answer !== 'refuse') {
      const result = performCall(this.#world, call);
      return answer === 'perform' ? result : verdict.errno;
    }
    const isSync = operation.code === Code.Sync || operation.code === Code.SyncData;
    if (isSync && LOSSES.some((code) => errnoOf(code) === verdict.errno)) failSync(this.#world, fd);
    return verdict.errno;
  }

  #verdict(operation: Operation): Verdict | undefined {
    let verdict: Verdict | undefined;
    for (const rule of this.rules) verdict ??= rule.verdict(operation);
    return verdict;
  }

  #twist(operation: Operation, limit: number | undefined): Twist {
    const { code, length } = operation;
    const isTransfer = code === Code.Read || code === Code.Write;
    if (!isTransfer) return STRAIGHT;
    let lie: Twist['lie'];
    if (code === Code.Write) {
      for (const one of this.lies) {
        if (--one.left !== 0) continue;
        one.struckCount++;
        lie = one.lie;
      }
    }
    const { shortShare, chance } = this.#settings;
    let bound = limit ?? Number.POSITIVE_INFINITY;
    if (shortShare > 0 && length > 1 && chance.isTrue(shortShare)) {
      bound = Math.min(bound, this.#shortened(operation));
    }
    return lie === undefined && bound === Number.POSITIVE_INFINITY
      ? STRAIGHT
      : { limit: bound, lie };
  }

  /*
   * Whole sectors come short by whole sectors: a device ends at a block, the kernel copies pages
   * under their locks (generic_perform_write in mm/filemap.c, Linux 6.18).
   */
  #shortened({ length, offset }: Operation): number {
    const { chance } = this.#settings;
    const isWhole = length % SECTOR_BYTES === 0 && offset % SECTOR_BYTES === 0;
    if (!isWhole) return 1 + chance.below(length - 1);
    const sectors = length / SECTOR_BYTES;
    return sectors === 1 ? length : SECTOR_BYTES * (1 + chance.below(sectors - 1));
  }

  #note({ code, place, fd, offset, length, result }: Operation): void {
    const { logCount } = this.#settings;
    if (logCount === 0) return;
    if (this.#log.length >= 2 * logCount) this.#log = this.#log.slice(-logCount);
    const isTransfer = code === Code.Read || code === Code.Write;
    const what = place === undefined ? fd : place.path;
    this.#log.push([code, what, isTransfer ? offset : length, result]);
  }

  /** What was asked, one line an operation. */
  log(): string[] {
    const kept = this.#log.slice(-this.#settings.logCount);
    const first = this.operationCount - kept.length + 1;
    return kept.map(([code, what, detail, result], index) => {
      const isTransfer = code === Code.Read || code === Code.Write;
      const at = isTransfer && detail >= 0 ? ` at ${detail}` : '';
      const where = what === FD_OPENED_IN_RUN ? 'opened' : what;
      return `${first + index} ${codeName(code)} ${where}${at} = ${result}`;
    });
  }
}

const NOBODY: Waiter = { settle: () => undefined };

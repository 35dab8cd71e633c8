/**
 * A lying disk that obeys a seed: files and directories in memory, behind the interface that every
 * engine has, with a cache that a power cut takes away. What a promise of durability is worth is
 * tried here, at every operation and for every state that a crash may leave.
 *
 * Invariants: 1. The same seed and the same calls give the same answers, the same crashes.
 *             2. What was synced stands after every crash: data, size and traits of a file after
 *                its sync, names after the sync of their directory.
 *             3. What was not synced is kept or lost by sector, by size, by change of a name; a
 *                rename is kept whole or lost whole: there is the old name or the new one.
 *             4. A crash leaves the disk it happens to as it is: many can be looked at.
 * Not promised: permissions (the caller is root), times of directories, FIFOs and devices, locks of
 * other processes, space set aside by an allocation.
 * Source: Pillai et al., All File Systems Are Not Created Equal, OSDI 2014; Rebello et al., Can
 * Applications Recover from fsync Failures?, ATC 2020; path_resolution(7) and section 2
 */
import type { Engine } from './engine.js';
import { outOfRange } from './errors.js';
import { randomName } from './platform.js';
import { Chance, mixed } from './simulated/chance.js';
import {
  type ChoiceOptions,
  choose,
  everyRemains,
  type Keep,
  type NameLoss,
  sampled,
} from './simulated/choice.js';
import { Machine, SimulatedCrash } from './simulated/machine.js';
import type { Node } from './simulated/node.js';
import { capabilitiesWithout, type DiskOptions, worldSettings } from './simulated/options.js';
import {
  type Fault,
  type OperationName,
  type RefuseOptions,
  RefusingEngine,
  Rule,
} from './simulated/refuse.js';
import { type Remains, treeAfter, type Unwritten, wordsFor } from './simulated/remains.js';
import { ROOT, Tree } from './simulated/tree.js';
import { keyOf, timesAt, World } from './simulated/world.js';

export {
  type DiskOptions,
  type Fault,
  type NameLoss,
  type OperationName,
  type RefuseOptions,
  type RefusingEngine,
  SimulatedCrash,
  type Unwritten,
};

const START_MS = 1_000_000_000_000;
const STATES_MAX = 4096;
const MODES: Readonly<Record<Node['kind'], number>> = {
  file: 0o644,
  directory: 0o755,
  symlink: 0o777,
};

export interface LossOptions {
  /**
   * `in order` (default): of the changes in a directory the first ones are kept, as by a file
   * system with a journal. `any`: of names that have nothing to do with each other any are.
   */
  readonly names?: NameLoss | undefined;
  /** What a lost sector holds that never was on the medium. Default `either`. */
  readonly unwritten?: Unwritten | undefined;
}

export interface CrashOptions extends LossOptions {
  /** Default: the next number of the disk's own chance. */
  readonly seed?: number | undefined;
  /** What was not synced. Default `random`. */
  readonly keep?: Keep | undefined;
}

export interface CrashStatesOptions extends LossOptions {
  /** All states when they are no more than this, else a sample of so many. Default 4096. */
  readonly limit?: number | undefined;
  readonly seed?: number | undefined;
}

function choiceOf({ names = 'in order', unwritten = 'either' }: LossOptions): ChoiceOptions {
  return { names, unwritten };
}

interface Birth {
  readonly tree: Tree | undefined;
  readonly seed: number;
  readonly chance: Chance;
  readonly nowMs: number;
  readonly origin: () => string;
}

/** A disk in memory. Made by `simulatedDisk`, and by its crashes. */
export class SimulatedDisk {
  /** What reproduces everything about this disk. */
  readonly seed: number;
  readonly #options: DiskOptions;
  readonly #world: World;
  readonly #machine: Machine;
  readonly #chance: Chance;
  readonly #origin: () => string;

  /** For `simulatedDisk`. */
  constructor(options: DiskOptions, birth: Birth) {
    const settings = worldSettings(options);
    const { seed, chance, nowMs } = birth;
    this.seed = seed;
    this.#options = options;
    this.#chance = chance;
    this.#origin = birth.origin;
    const mode = 0o755;
    const { user, group } = settings;
    const times = timesAt(nowMs);
    const root = { mode, user, group, attributes: new Map<string, Uint8Array>(), times };
    this.#world = new World(birth.tree ?? Tree.empty(root), settings, nowMs);
    this.#machine = new Machine(this.#world, {
      seed,
      chance,
      capabilities: capabilitiesWithout(options.without),
      viewCountMax: options.viewCountMax ?? 1024,
      reorderCompletions: options.reorderCompletions ?? false,
      shortShare: options.shortShare ?? 0,
      logCount: options.logCount ?? 256,
    });
  }

  /** What every door takes as its `engine`. */
  get engine(): Engine {
    return this.#machine;
  }

  /** Where this disk comes from: in words, what a crash kept and lost. */
  get origin(): string {
    return this.#origin();
  }

  /** Operations performed so far, refused ones included. */
  get operationCount(): number {
    return this.#machine.operationCount;
  }

  get openDescriptors(): readonly number[] {
    return this.#world.openDescriptors;
  }

  /** Milliseconds since 1970 on this disk's clock, which only operations and `passTime` move. */
  get nowMs(): number {
    return this.#world.nowMs;
  }

  passTime(milliseconds: number): void {
    this.#world.nowMs += milliseconds;
  }

  /** The last operations, one line each: number, call, what it was asked for, its answer. */
  log(): string[] {
    return this.#machine.log();
  }

  /* --------------------------------------------------------------- looking and preparing */

  /** The content of a file as a reader sees it now, or `undefined` when there is none. */
  read(path: string): Uint8Array | undefined {
    const node = this.#look(path);
    if (node?.kind !== 'file') return undefined;
    const bytes = new Uint8Array(node.cache.size);
    node.read([bytes], 0, bytes.length);
    return bytes;
  }

  /** The names in a directory, sorted; `undefined` when there is none. */
  list(path = '/'): string[] | undefined {
    const names = this.#look(path)?.names;
    return names === undefined ? undefined : [...names.keys()].sort();
  }

  /** Where the symbolic link at a path leads; `undefined` when there is none. */
  target(path: string): string | undefined {
    const { tree } = this.#world;
    const spot = tree.walk(ROOT, keyOf(path), 'look');
    const node = typeof spot === 'number' ? undefined : tree.nodes.get(spot.node);
    return node?.kind === 'symlink' ? node.target : undefined;
  }

  /** Makes a file with this content, and the directories it needs, and syncs the disk. */
  put(path: string, data: string | Uint8Array): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    const old = this.#look(path);
    const node = old ?? this.#make(path, 'file');
    this.#world.changing(node, (own) => {
      own.truncate(0);
      if (bytes.length > 0) own.write([bytes], bytes.length, 0);
    });
    this.sync();
  }

  /** Makes a directory, and those above it, and syncs the disk. */
  makeDirectory(path: string): void {
    if (this.#look(path)?.kind !== 'directory') this.#make(path, 'directory');
    this.sync();
  }

  /** Makes a symbolic link, and the directories above it, and syncs the disk. */
  makeLink(path: string, target: string): void {
    this.#make(path, 'symlink').target = keyOf(target);
    this.sync();
  }

  /** Makes everything durable. */
  sync(): void {
    const { tree } = this.#world;
    for (const number of tree.unsynced) {
      const node = tree.own(number);
      node.syncContent();
      node.syncTraits();
    }
    tree.unsynced.clear();
    tree.syncAllNames();
  }

  #look(path: string): Node | undefined {
    const { tree } = this.#world;
    const spot = tree.walk(ROOT, keyOf(path), 'follow');
    return typeof spot === 'number' || spot.node <= 0 ? undefined : tree.look(spot.node);
  }

  #make(path: string, kind: Node['kind']): Node {
    const { tree } = this.#world;
    const parts = keyOf(path)
      .split('/')
      .filter((part) => part !== '');
    let directory = tree.look(ROOT);
    for (const [index, name] of parts.entries()) {
      const isLast = index === parts.length - 1;
      const found = directory.names?.get(name);
      if (found !== undefined) {
        directory = tree.look(found);
        continue;
      }
      const mode = MODES[isLast ? kind : 'directory'];
      const node = tree.create(isLast ? kind : 'directory', this.#world.traits(mode));
      const change = { directory: directory.number, name, before: 0, after: node.number };
      tree.change(`create ${name}`, [change]);
      directory = node;
    }
    return directory;
  }

  /* ------------------------------------------------------------------------------ faults */

  /** Refuses an operation from now on: see the function of this name. Errors: as there. */
  refuseNth(n: number, code: string, options?: RefuseOptions): Fault {
    const rule = new Rule(n, code, options);
    this.#machine.rules.push(rule);
    return rule;
  }

  /** Acknowledges the n-th write from now on; readers see it, the medium never does. */
  loseNth(n: number): Fault {
    return this.#lie(n, 'lost');
  }

  /** Puts the n-th write from now on some sectors away from where it belongs, on the medium. */
  misdirectNth(n: number, sectors: number = 1 + this.#chance.below(8)): Fault {
    return this.#lie(n, sectors);
  }

  #lie(n: number, lie: 'lost' | number): Fault {
    const one = { left: n, lie, struckCount: 0 };
    this.#machine.lies.push(one);
    return one;
  }

  /** Turns one bit over at an offset of a file. Errors: `RangeError` when there is no such byte. */
  bitRot(path: string, offset: number, bit: number = this.#chance.below(8)): void {
    const node = this.#look(path);
    if (node === undefined || offset < 0 || offset >= node.cache.size) {
      throw outOfRange('offset', `that of a byte of ${path}`, offset);
    }
    this.#world.tree.own(node.number).rot(offset, bit);
  }

  /** Forgets what is clean in the cache: reads see the medium, also where a sync has failed. */
  dropCaches(): void {
    const { tree } = this.#world;
    for (const [number, { isDivergent }] of tree.nodes) {
      if (isDivergent) tree.own(number).dropCache();
    }
  }

  /* ----------------------------------------------------------------------------- crashes */

  /**
   * Lets the power go before the n-th operation from now on: it throws `SimulatedCrash`, and so
   * does every later one. Then `crash` is all there is to ask for.
   */
  crashAt(n: number): void {
    this.#machine.crashOperation = this.#machine.operationCount + n;
  }

  /** The disk a machine finds after a power cut now. This one goes on as if nothing had been. */
  crash(options: CrashOptions = {}): SimulatedDisk {
    const seed = options.seed ?? this.#chance.next();
    const choices = choiceOf(options);
    const { tree } = this.#world;
    const remains = choose(tree, new Chance(seed), options.keep ?? 'random', choices);
    return this.#after(remains, choices.unwritten, seed);
  }

  /** For `crashStates`. */
  *states(options: CrashStatesOptions = {}): Generator<SimulatedDisk> {
    const { limit = STATES_MAX, seed = this.seed } = options;
    const choices = choiceOf(options);
    const { tree } = this.#world;
    const all =
      everyRemains(tree, limit, choices) ?? sampled(tree, limit, new Chance(seed), choices);
    for (const remains of all) yield this.#after(remains, choices.unwritten, seed);
  }

  #after(remains: Remains, unwritten: Unwritten, seed: number): SimulatedDisk {
    const { tree, nowMs } = this.#world;
    const { pending } = tree;
    const cut = `power cut before operation ${this.operationCount + 1}`;
    return new SimulatedDisk(this.#options, {
      tree: treeAfter(tree, remains, { unwritten, seed }),
      seed: this.seed,
      chance: new Chance(mixed(this.seed, seed)),
      nowMs: nowMs + 1000,
      origin: () => `seed ${this.seed}, ${cut}: ${wordsFor(pending, remains)}`,
    });
  }
}

/**
 * A disk in memory that behaves as a real one may, and does it again for the same seed.
 *
 * Shapes: pass `disk.engine` as `engine` to any door; paths begin at the root of the disk.
 * Errors: `RangeError` for a seed that is no integer from 0 to 2^32 - 1.
 */
export function simulatedDisk(seed?: number, options: DiskOptions = {}): SimulatedDisk {
  const chosen = seed ?? Number.parseInt(randomName().slice(0, 8), 16);
  if (!Number.isInteger(chosen) || chosen < 0 || chosen > 0xffffffff) {
    throw outOfRange('seed', 'an integer from 0 to 2^32 - 1', seed);
  }
  return new SimulatedDisk(options, {
    tree: undefined,
    seed: chosen,
    chance: new Chance(chosen),
    nowMs: START_MS + (chosen % 1000) * 86_400_000,
    origin: () => `seed ${chosen}, new`,
  });
}

/**
 * An engine around any engine, a real one too, whose n-th operation is refused.
 *
 * Shapes: `code` as in `ENOSPC`; EINTR is retried as every engine does and so comes to nothing; a
 * refused close has closed all the same.
 * Errors: `TypeError`, `RangeError` for bad input.
 */
export function refuseNth(
  engine: Engine,
  n: number,
  code: string,
  options?: RefuseOptions,
): RefusingEngine {
  return new RefusingEngine(engine, new Rule(n, code, options));
}

/**
 * The disks that a power cut now may leave, each different: all when they are few, else a sample by
 * a seed in which nothing kept, everything kept, and each item alone come first.
 *
 * Order: by choice, not by likelihood.
 */
export function crashStates(
  disk: SimulatedDisk,
  options?: CrashStatesOptions,
): Generator<SimulatedDisk> {
  return disk.states(options);
}

/** A program to be cut short everywhere, and what has to hold then. */
export interface CrashScenario extends CrashStatesOptions {
  readonly disk?: DiskOptions | undefined;
  /** What stands before the program begins. */
  readonly prepare?: ((disk: SimulatedDisk) => void | Promise<void>) | undefined;
  readonly run: (disk: SimulatedDisk) => unknown;
  /** Throws when a state is not as it has to be. `isDone`: the program had ended. */
  readonly check: (state: SimulatedDisk, isDone: boolean) => void | Promise<void>;
}

export interface CrashReport {
  readonly seed: number;
  readonly operationCount: number;
  readonly stateCount: number;
}

/** A check that did not hold, with all it takes to see it again. */
export class CrashFailure extends Error {
  override readonly name: string = 'CrashFailure';
  readonly seed: number;

  constructor(state: SimulatedDisk, log: readonly string[], cause: unknown) {
    const words = cause instanceof Error ? cause.message : String(cause);
    super(`${words}\n  ${state.origin}\n  ${log.join('\n  ')}`, { cause });
    this.seed = state.seed;
  }
}

/**
 * Runs a program again and again, lets the power go before its first operation, its second, and so
 * on, and checks what is left: all states, or a sample.
 *
 * Errors: `CrashFailure` with seed, state and operations when a check throws; what the program
 * throws, but for `SimulatedCrash`.
 */
export async function crashEverywhere(scenario: CrashScenario): Promise<CrashReport> {
  const first = simulatedDisk(scenario.seed);
  const { seed } = first;
  let stateCount = 0;
  for (let n = 1; ; n++) {
    const disk = simulatedDisk(seed, scenario.disk);
    await scenario.prepare?.(disk);
    const before = disk.operationCount;
    disk.crashAt(n);
    const isDone = await ends(disk, scenario.run);
    for (const state of crashStates(disk, { ...scenario, seed: mixed(seed, n) })) {
      stateCount++;
      try {
        await scenario.check(state, isDone);
      } catch (cause) {
        throw new CrashFailure(state, disk.log(), cause);
      }
    }
    if (isDone) return { seed, operationCount: disk.operationCount - before, stateCount };
  }
}

async function ends(disk: SimulatedDisk, run: CrashScenario['run']): Promise<boolean> {
  try {
    await run(disk);
    return true;
  } catch (error) {
    if (error instanceof SimulatedCrash) return false;
    throw error;
  }
}

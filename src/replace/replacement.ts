/**
 * One replace under way: temporary file, content, traits, sync, name, sync of the directory. The
 * target is touched by the call that names the new file alone.
 */
import type { Sequence } from '../buffers.js';
import { Counters, type Engine, type Steps } from '../engine.js';
import { assert, IoError } from '../errors.js';
import { closing, Latch, type Target, Transfer, transferSteps } from '../file.js';
import {
  AT_FDCWD,
  Code,
  errnoOf,
  type FileStat,
  OPEN_UNNAMED,
  Operation,
  Place,
  refusal,
} from '../platform.js';
import { Draft, type Fallback, type Method } from './draft.js';
import {
  closeFileTasks,
  decideCommits,
  discard,
  namingTasks,
  openTasks,
  startTasks,
  syncTasks,
} from './making.js';
import { DESCRIPTORS, hasNamed, nameTasks, noExchange } from './names.js';
import type { ReplaceSettings } from './options.js';
import { findSpot, type Held, untouched } from './spot.js';
import { type Task, taskSteps } from './tasks.js';
import { sweepSteps, temporaryName } from './temporary.js';
import { settledTasks, traitTasks } from './traits.js';

/** What a replace did, and what it could not do. */
export interface ReplaceReport {
  /** Where the content went: symbolic links followed. */
  readonly path: string;
  readonly bytes: number;
  /** What a power cut from now on leaves: `full` and `file` as in the options. */
  readonly durability: 'full' | 'file' | 'none';
  readonly method: Method;
  /** True when size, blocks and name were committed together: see `options.oneCommit`. */
  readonly oneCommit: boolean;
  /** True when there was an old file. */
  readonly replaced: boolean;
  /** With `exchange`: where the old file is now, beside the new one. It is yours to remove. */
  readonly oldPath: string | undefined;
  readonly engine: string;
  /** What was kept back from the new file or weaker than asked, and why. */
  readonly fallbacks: readonly Fallback[];
  /** Files of killed processes removed from the directory. */
  readonly swept: number;
}

/* By engine: a simulated disk has directories of the same names. */
const sweptDirectories = new WeakMap<Engine, Set<string>>();
const SWEPT_REMEMBERED_MAX = 4096;

function sweptOn(engine: Engine): Set<string> {
  const swept = sweptDirectories.get(engine) ?? new Set();
  if (swept.size >= SWEPT_REMEMBERED_MAX) swept.clear();
  sweptDirectories.set(engine, swept);
  return swept;
}

export class Replacement implements Target {
  readonly engine: Engine;
  readonly latch: Latch = new Latch();
  readonly counters: Counters = new Counters();
  readonly directAlignment = undefined;
  readonly path: string;
  readonly #settings: ReplaceSettings;
  readonly #asked: Place;
  readonly #held: Held | undefined;
  #draft: Draft | undefined;
  /* The directory's descriptor, for as long as it is ours to close. */
  #directory = -1;
  #swept = 0;
  #order = 0;

  /** `held`: directories that are open for several replaces, and outlive this one. */
  constructor(engine: Engine, asked: Place, settings: ReplaceSettings, held?: Held) {
    this.engine = engine;
    this.path = asked.path;
    this.#asked = asked;
    this.#settings = settings;
    this.#held = held;
  }

  get fd(): number {
    return this.#draft?.fd ?? -1;
  }

  /** The name under construction; empty before there is one. */
  get temporaryPath(): string {
    return this.#draft?.temporary?.path ?? '';
  }

  /** Grows with the time at which directories were opened. */
  get order(): number {
    return this.#order;
  }

  /** The directory, held open; -1 where there is none to be synced. */
  get directory(): number {
    return this.#draft?.spot.descriptor ?? -1;
  }

  /** True when its directory is to be synced. */
  get wantsDirectory(): boolean {
    return this.#settings.durable === 'full';
  }

  /** The target is the new file. */
  get isNamed(): boolean {
    return this.#draft?.isNamed === true;
  }

  /** All of it, for content that is here already. Errors: `IoError`; nothing is left then. */
  *all(sequence: Sequence): Steps<ReplaceReport> {
    return yield* this.#attempt(sequence, function* (this: Replacement, made) {
      const tasks = [
        ...syncTasks(this.#here),
        ...namingTasks(this.#here),
        ...this.#directoryTasks(),
      ];
      const mustSweep = this.#mustSweep;
      if (!mustSweep) tasks.push(...this.#closeTasks());
      yield* taskSteps([...made, ...tasks]);
      if (mustSweep) yield* this.close();
      return this.report();
    });
  }

  /** The new file with all its content and traits, not yet synced, its writing begun. */
  *ready(sequence: Sequence): Steps<void> {
    yield* this.#attempt(sequence, function* (this: Replacement, made) {
      yield* taskSteps([...made, ...startTasks(this.#here)]);
    });
  }

  /** Opens the temporary file for content that comes bit by bit. Errors: `IoError`. */
  *begin(): Steps<void> {
    yield* this.look();
    yield* this.open();
  }

  /** Looks at the target: what is there, if anything. Errors: `IoError`. */
  *find(): Steps<FileStat | undefined> {
    yield* this.look();
    return this.#here.old;
  }

  /** Opens the temporary file where `find` has been. Errors: `IoError`. */
  *open(): Steps<void> {
    if (this.#isUnnamed && !hasNamed(this.engine)) yield* this.#checkDescriptors();
    try {
      yield* taskSteps(openTasks(this.#here));
    } catch (error) {
      if (!this.#wantsName) throw error;
      this.#takeName();
      yield* taskSteps(openTasks(this.#here));
    }
  }

  /** Adds to the temporary file. Errors: `IoError`. */
  *write(sequence: Sequence): Steps<void> {
    const draft = this.#here;
    const options = { code: Code.Write, offset: draft.bytes, isWhole: true } as const;
    draft.bytes += yield* transferSteps(new Transfer(this, sequence, options));
  }

  /** After the last `write`: as `ready`. */
  *complete(): Steps<void> {
    const tasks = yield* this.#traits([]);
    yield* taskSteps([...tasks, ...startTasks(this.#here)]);
  }

  /** Syncs and closes the file that is ready; its name comes later, by the tasks of `naming`. */
  *sync(): Steps<void> {
    yield* taskSteps([...syncTasks(this.#here), ...closeFileTasks(this.#here)]);
  }

  /** What gives the synced file its name, as tasks. */
  naming(): Task[] {
    return nameTasks(this.#here);
  }

  /** Syncs the file and names it; answers which directory that was in, by device and number. */
  *syncAndName(): Steps<string> {
    const stat = new Operation(Code.Stat);
    stat.fd = this.directory;
    const named = [...syncTasks(this.#here), ...namingTasks(this.#here)];
    if (stat.fd < 0) yield* taskSteps(named);
    else yield* taskSteps([{ operation: stat, refused: () => undefined }, ...named]);
    const { device, inode } = stat.stat ?? { device: 0, inode: 0 };
    return stat.stat === undefined ? `only ${this.directory}` : `${device}:${inode}`;
  }

  /** Takes what the sync of the directory answered. Errors: `IoError`, `durable: 'unknown'`. */
  directorySynced(sync: Operation | undefined): void {
    if (sync === undefined) this.#withoutDirectory();
    else if (sync.result >= 0) this.#here.durability = 'full';
    else {
      const error = this.#directoryRefused(sync);
      if (error !== undefined) throw error;
    }
  }

  /** Sweeps where that was not done yet, and closes. */
  *close(): Steps<void> {
    if (this.#mustSweep) yield* this.#sweep();
    yield* taskSteps(this.#closeTasks());
  }

  /** Puts the file in the target's place, alone. Errors: `IoError`. */
  *finish({ isReady = false }: { readonly isReady?: boolean } = {}): Steps<ReplaceReport> {
    const traits = isReady ? [] : yield* this.#traits([]);
    const named = [...syncTasks(this.#here), ...namingTasks(this.#here), ...this.#directoryTasks()];
    yield* taskSteps([...traits, ...named]);
    yield* this.close();
    return this.report();
  }

  /** Removes what stands half done. Never fails: the first error is the one to tell. */
  *abandon(): Steps<void> {
    const draft = this.#draft;
    if (draft !== undefined) yield* discard(draft);
    if (this.#directory >= 0) yield closing(this.#directory);
    this.#directory = -1;
  }

  /** At the end of the process: only the name is removed, what is open may be in use. */
  *forsake(): Steps<void> {
    const { exists, temporary } = this.#draft ?? { exists: false, temporary: undefined };
    if (!exists || temporary === undefined || this.isNamed) return;
    const unlink = new Operation(Code.Unlink);
    unlink.place = temporary;
    yield unlink;
  }

  /** The error as the caller of a replace should see it: with the state of the target. */
  told(error: unknown): unknown {
    return toldOf(error, this.path, this.isNamed);
  }

  report(): ReplaceReport {
    const { spot, old, bytes, durability, method, isOneCommit, oldPath, fallbacks } = this.#here;
    return {
      path: spot.target.path,
      bytes,
      durability,
      method,
      oneCommit: isOneCommit,
      replaced: old !== undefined,
      oldPath,
      engine: this.engine.name,
      fallbacks,
      swept: this.#swept,
    };
  }

  /* --------------------------------------------------------------------------- making it */

  /* From the look at the spot to whatever `then` does with a file whose tasks it is given. */
  *#attempt<T>(sequence: Sequence, then: (this: Replacement, made: Task[]) => Steps<T>): Steps<T> {
    try {
      yield* this.look();
      try {
        return yield* then.call(this, yield* this.#make(sequence));
      } catch (error) {
        if (!this.#wantsName) throw error;
      }
      yield* discard(this.#here);
      this.#takeName();
      return yield* then.call(this, yield* this.#make(sequence));
    } catch (error) {
      yield* this.abandon();
      throw this.told(error);
    }
  }

  *#make(sequence: Sequence): Steps<Task[]> {
    const tasks = openTasks(this.#here);
    if (sequence.views.length > this.engine.viewCountMax) {
      yield* taskSteps(tasks);
      yield* this.write(sequence);
      return yield* this.#traits([]);
    }
    if (sequence.byteLength > 0) tasks.push(this.#writeTask(sequence));
    return yield* this.#traits(tasks);
  }

  get #here(): Draft {
    const draft = this.#draft;
    assert(draft !== undefined, 'a replace finds its spot first');
    return draft;
  }

  /* A file that nobody can see is the best temporary file, where one call can name it. */
  get #isUnnamed(): boolean {
    return this.#here.temporary === undefined;
  }

  get #wantsName(): boolean {
    return this.#draft?.wantsName === true;
  }

  get #mustSweep(): boolean {
    const { spot, settings } = this.#here;
    return settings.sweep && !sweptOn(this.engine).has(spot.directory.path);
  }

  /** Opens the directory and finds out what is there, unless that was done. Errors: `IoError`. */
  *look(): Steps<void> {
    if (this.#draft === undefined) yield* this.#find();
  }

  *#find(): Steps<void> {
    const { engine, path } = this;
    const { ifAbsent, exchange, onTemporary } = this.#settings;
    const { capabilities } = engine;
    if (exchange && capabilities['exchange-names'] !== true) {
      throw noExchange(path, String(capabilities['exchange-names']));
    }
    const wish = { ...this.#settings, held: this.#held };
    const spot = yield* findSpot(engine, this.#asked, wish);
    if (spot.isOurs) this.#directory = spot.descriptor;
    this.#order = ++lastOrder;
    const draft = new Draft(engine, { settings: this.#settings, path }, spot);
    this.#draft = draft;
    yield* decideCommits(draft);
    const isThere = spot.old !== undefined || spot.isLink;
    if (ifAbsent && isThere) throw refused(path, 'EEXIST', 'it was to be absent');
    if (exchange && !isThere) throw refused(path, 'ENOENT', 'there is nothing to exchange it with');
    const canBeUnnamed = capabilities['unnamed-files'] === true && OPEN_UNNAMED !== 0;
    /* In a batch a file is closed before it is named. */
    const isBatch = this.#held !== undefined;
    const needsName = !ifAbsent || onTemporary !== undefined || isBatch;
    if (needsName || !canBeUnnamed) this.#takeName();
  }

  #takeName(): void {
    const draft = this.#here;
    const { directory, target } = draft.spot;
    draft.temporary = directory.child(temporaryName(this.engine), target.directory);
    draft.wantsName = false;
  }

  /* Content that comes once cannot be written again: whether it can be named is asked first. */
  *#checkDescriptors(): Steps<void> {
    const stat = new Operation(Code.Stat);
    stat.place = new Place(DESCRIPTORS, 'latin1', AT_FDCWD);
    yield stat;
    if (stat.result >= 0) return;
    if (!HIDDEN.includes(stat.result)) throw untouched(stat, 'inspect', this.path);
    this.#takeName();
  }

  #writeTask(sequence: Sequence): Task {
    const draft = this.#here;
    const options = { code: Code.Write, offset: 0, isWhole: true } as const;
    const transfer = new Transfer(this, sequence, options);
    const operation = transfer.next() as Operation;
    const done = (): void => {
      draft.bytes = transfer.bytesDone;
      transfer.release();
    };
    return { operation, transfer, done, refused: draft.strict('write') };
  }

  /* Where it matters, the owner is settled before the mode is. */
  *#traits(before: Task[]): Steps<Task[]> {
    const draft = this.#here;
    const tasks = [...before, ...traitTasks(draft)];
    return yield* settledTasks(tasks, draft);
  }

  /* ------------------------------------------------------------------------ its directory */

  #directoryTasks(): Task[] {
    if (!this.wantsDirectory) return [];
    if (this.directory < 0) {
      this.#withoutDirectory();
      return [];
    }
    const operation = directorySync(this.directory);
    const done = (): void => this.directorySynced(operation);
    return [{ operation, done, refused: (sync) => this.#directoryRefused(sync) }];
  }

  #withoutDirectory(): void {
    this.#here.note('directory sync', String(this.engine.capabilities['directory-sync']));
  }

  /* What was read through the directory is done; a refused close has closed all the same. */
  #closeTasks(): Task[] {
    if (this.#directory < 0) return [];
    const done = (): undefined => {
      this.#directory = -1;
    };
    return [{ operation: closing(this.#directory), done, refused: done }];
  }

  /* A file system that has no sync for directories says EINVAL; anything else is a loss. */
  #directoryRefused(sync: Operation): IoError | undefined {
    const step = 'sync the directory';
    const action = `replace the file: ${step}`;
    const { path } = this;
    const context = { action, syscall: 'fsync', step, path, durable: 'unknown' } as const;
    const error = refusal(sync.result, context);
    if (error.kind !== 'invalid' && error.kind !== 'unsupported') return error;
    this.#here.note('directory sync', error.code);
    return undefined;
  }

  *#sweep(): Steps<void> {
    const { directory, descriptor, target } = this.#here.spot;
    sweptOn(this.engine).add(directory.path);
    const held = descriptor < 0 ? target.directory : descriptor;
    this.#swept = yield* sweepSteps(this.engine, directory, held);
  }
}

let lastOrder = 0;

/* No /proc here, or it is not for us. */
const HIDDEN = ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].map(errnoOf);

/** The sync of a directory whose names have changed: nothing about it is to be aborted. */
export function directorySync(descriptor: number): Operation {
  const operation = new Operation(Code.Sync);
  operation.fd = descriptor;
  operation.mustRun = true;
  return operation;
}

function refused(path: string, code: string, words: string): IoError {
  const action = `replace the file: ${words}`;
  return new IoError({ action, code, path, step: 'inspect', durable: 'old' });
}

function toldOf(error: unknown, path: string, isNamed: boolean): unknown {
  if (!(error instanceof IoError) || error.durable !== undefined) return error;
  return new IoError({
    action: `replace the file: ${error.step ?? 'write'}`,
    code: error.code,
    errno: error.errno,
    syscall: error.syscall,
    path,
    offset: error.offset,
    bytesDone: error.bytesDone,
    step: error.step ?? 'write',
    durable: isNamed ? 'unknown' : 'old',
    cause: error,
  });
}

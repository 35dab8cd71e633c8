/**
 * One replace under way: temporary file, content, metadata, sync, name, sync of the directory. The
 * target is touched by the rename alone.
 */
import type { Sequence } from '../buffers.js';
import { Counters, type Engine, type Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { closing, Latch, type Target, Transfer, transferSteps } from '../file.js';
import {
  Code,
  environment,
  FD_OPENED_IN_RUN,
  type FileStat,
  OpenFlag,
  Operation,
  type Place,
  RENAME_NOREPLACE,
  refusal,
} from '../platform.js';
import type { ReplaceSettings } from './options.js';
import { type Attribute, findSpot, type Spot, untouched } from './spot.js';
import { type Task, taskSteps } from './tasks.js';
import { lockOf, sweepSteps, temporaryName } from './temporary.js';

/** What a replace did, and what it could not do. */
export interface ReplaceReport {
  /** Where the content went: symbolic links followed. */
  readonly path: string;
  readonly bytes: number;
  /** What a power cut from now on leaves: `full` and `file` as in the options. */
  readonly durability: 'full' | 'file' | 'none';
  readonly method: 'rename' | 'rename without replacing' | 'link';
  /** True when there was an old file. */
  readonly replaced: boolean;
  readonly engine: string;
  /** What was kept back from the new file or weaker than asked, and why. */
  readonly fallbacks: readonly { readonly what: string; readonly reason: string }[];
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
  readonly #fallbacks: { what: string; reason: string }[] = [];
  #spot: Spot | undefined;
  #temporary: Place | undefined;
  #fd = FD_OPENED_IN_RUN;
  #bytes = 0;
  #swept = 0;
  #exists = false;
  #hadOld = false;
  #isNamed = false;
  #isOwnerKept = true;
  #method: ReplaceReport['method'] = 'rename';
  #durability: ReplaceReport['durability'] = 'none';

  constructor(engine: Engine, asked: Place, settings: ReplaceSettings) {
    this.engine = engine;
    this.path = asked.path;
    this.#asked = asked;
    this.#settings = settings;
  }

  get fd(): number {
    return this.#fd;
  }

  /** True once the target is the new file. */
  get isNamed(): boolean {
    return this.#isNamed;
  }

  /** The name under construction; empty before there is one. */
  get temporaryPath(): string {
    return this.#temporary?.path ?? '';
  }

  /** All of it, for content that is here already. Errors: `IoError`; nothing is left then. */
  *all(sequence: Sequence): Steps<ReplaceReport> {
    try {
      yield* this.#find();
      const tasks = [this.#openTask()];
      if (sequence.views.length > this.engine.viewCountMax) {
        yield* taskSteps([...tasks]);
        yield* this.write(sequence);
      } else if (sequence.byteLength > 0) {
        tasks.push(this.#writeTask(sequence));
      }
      return yield* this.#seal(this.#fd === FD_OPENED_IN_RUN ? tasks : []);
    } catch (error) {
      yield* this.abandon();
      throw this.told(error);
    }
  }

  /** Opens the temporary file for content that comes bit by bit. Errors: `IoError`. */
  *begin(): Steps<void> {
    yield* this.#find();
    yield* this.open();
  }

  /** Looks at the target: what is there, if anything. Errors: `IoError`. */
  *find(): Steps<FileStat | undefined> {
    return yield* this.#find();
  }

  /** Opens the temporary file where `find` has been. Errors: `IoError`. */
  *open(): Steps<void> {
    const lock = lockOf(FD_OPENED_IN_RUN);
    yield* taskSteps([this.#openTask(), { operation: lock, refused: () => undefined }]);
  }

  /** Adds to the temporary file. Errors: `IoError`. */
  *write(sequence: Sequence): Steps<void> {
    const options = { code: Code.Write, offset: this.#bytes, isWhole: true };
    this.#bytes += yield* transferSteps(new Transfer(this, sequence, options));
  }

  /** Puts the temporary file in the target's place. Errors: `IoError`. */
  *finish(): Steps<ReplaceReport> {
    return yield* this.#seal([]);
  }

  /** Removes what stands half done. Never fails: the first error is the one to tell. */
  *abandon(): Steps<void> {
    if (this.#fd >= 0) yield closing(this.#fd);
    this.#fd = -1;
    if (this.#exists && this.#temporary !== undefined) {
      const unlink = new Operation(Code.Unlink);
      unlink.place = this.#temporary;
      unlink.mustRun = true;
      yield unlink;
      this.#exists = false;
    }
    const descriptor = this.#spot?.descriptor ?? -1;
    this.#spot = undefined;
    if (descriptor >= 0) yield closing(descriptor);
  }

  /** The error as the caller of a replace should see it: with the state of the target. */
  told(error: unknown): unknown {
    return toldOf(error, this.path, this.#isNamed);
  }

  *#find(): Steps<FileStat | undefined> {
    const { ifAbsent, takesAfter } = this.#settings;
    const spot = yield* findSpot(this.engine, this.#asked, this.#settings);
    const { old } = spot;
    this.#hadOld = old !== undefined;
    this.#spot = takesAfter === undefined ? spot : { ...spot, ...takesAfter, old: takesAfter.stat };
    this.#temporary = spot.directory.child(temporaryName(this.engine), spot.target.directory);
    if (!ifAbsent || old === undefined) return old;
    const action = 'replace the file: it was to be absent';
    throw new IoError({ action, code: 'EEXIST', path: this.path, step: 'inspect', durable: 'old' });
  }

  #strict(step: string): Task['refused'] {
    return (operation) => untouched(operation, step, this.path);
  }

  #noted(what: string): Task['refused'] {
    return (operation) => {
      const { code } = refusal(operation.result, { action: what });
      this.#fallbacks.push({ what, reason: code });
      return undefined;
    };
  }

  #openTask(): Task {
    const open = new Operation(Code.Open);
    open.place = this.#temporary;
    open.flags = OpenFlag.WriteOnly | OpenFlag.Create | OpenFlag.Exclusive | OpenFlag.NoFollow;
    open.mode = 0o600;
    const done = (): void => {
      this.#fd = open.result;
      this.#exists = true;
    };
    return { operation: open, done, refused: this.#strict('create the temporary file') };
  }

  #writeTask(sequence: Sequence): Task {
    const options = { code: Code.Write, offset: 0, isWhole: true };
    const transfer = new Transfer(this, sequence, options);
    const operation = transfer.next() as Operation;
    const done = (): void => {
      this.#bytes = transfer.bytesDone;
      transfer.release();
    };
    return { operation, transfer, done, refused: this.#strict('write') };
  }

  #onFile(code: Code, refused: Task['refused'], fill?: (operation: Operation) => void): Task {
    const operation = new Operation(code);
    operation.fd = this.#fd;
    fill?.(operation);
    return { operation, refused };
  }

  #ownerTasks(): Task[] {
    const { owner } = this.#settings;
    const { old } = this.#spot as Spot;
    const wanted = owner ?? old;
    if (wanted === undefined || wanted === false) return [];
    if (this.engine.capabilities.owner !== true) return [];
    const note = this.#noted('owner');
    const lenient = (operation: Operation): undefined => {
      this.#isOwnerKept = false;
      note(operation);
    };
    const refused = owner === undefined ? lenient : this.#strict('set the owner');
    return [
      this.#onFile(Code.SetOwner, refused, (operation) => {
        operation.flags = wanted.user;
        operation.mode = wanted.group;
      }),
    ];
  }

  #attributeTasks(): Task[] {
    const { attributes, attributesReason, unread } = this.#spot as Spot;
    if (attributesReason !== undefined) {
      this.#fallbacks.push({ what: 'attributes', reason: attributesReason });
    }
    for (const { name, reason } of unread) {
      this.#fallbacks.push({ what: `attribute ${name}`, reason });
    }
    return [...attributes, ...this.#plainRights()].map(({ name, value }) =>
      this.#onFile(Code.SetAttribute, this.#noted(`attribute ${name}`), (operation) => {
        operation.attribute = name;
        operation.payload = value;
      }),
    );
  }

  /*
   * A default ACL of the directory gives the temporary file rights that the old file never had: a
   * user who could not read it could read the new one. An ACL of the mode alone takes them back.
   */
  #plainRights(): Attribute[] {
    const { old, attributes, givesRights } = this.#spot as Spot;
    const hasOwn = attributes.some(({ name }) => name === ACCESS_RIGHTS);
    if (old === undefined || !givesRights || hasOwn) return [];
    return [{ name: ACCESS_RIGHTS, value: rightsOf(old.mode) }];
  }

  #modeTask(): Task[] {
    const { old } = this.#spot as Spot;
    const wanted = this.#settings.mode ?? old?.mode ?? 0o666 & ~environment.modeMask();
    return [
      this.#onFile(Code.SetMode, this.#strict('set the mode'), (operation) => {
        operation.mode = wanted;
      }),
    ];
  }

  #timesTask(): Task[] {
    const { old } = this.#spot as Spot;
    if (!this.#settings.keepTimes || old === undefined) return [];
    return [
      this.#onFile(Code.SetTimes, this.#strict('set the times'), (operation) => {
        operation.payload = new Uint8Array(old.times.buffer);
      }),
    ];
  }

  #contentTasks(): Task[] {
    const tasks = [
      ...this.#ownerTasks(),
      ...this.#attributeTasks(),
      ...this.#modeTask(),
      ...this.#timesTask(),
    ];
    if (this.#settings.durable !== false) {
      const sync = this.#onFile(Code.Sync, this.#strict('sync the file'));
      const done = (): void => {
        this.#durability = 'file';
      };
      tasks.push({ ...sync, done });
    }
    const done = (): void => {
      this.#fd = -1;
    };
    /* A refused close has closed: the number may be another file's by now (close(2)). */
    const refused = (operation: Operation): IoError => {
      done();
      return untouched(operation, 'close the temporary file', this.path);
    };
    return [...tasks, { ...this.#onFile(Code.Close, refused), done }];
  }

  #nameTask(code: typeof Code.Rename | typeof Code.Link, flags: number): Task {
    const operation = new Operation(code);
    operation.place = this.#temporary;
    operation.place2 = (this.#spot as Spot).target;
    operation.flags = flags;
    const done = (): void => {
      this.#isNamed = true;
      this.#exists = code === Code.Link;
    };
    return { operation, done, refused: this.#strict('rename') };
  }

  #nameTasks(): Task[] {
    if (!this.#settings.ifAbsent) return [this.#nameTask(Code.Rename, 0)];
    if (this.engine.capabilities['rename-without-replacing'] === true) {
      this.#method = 'rename without replacing';
      return [this.#nameTask(Code.Rename, RENAME_NOREPLACE)];
    }
    this.#method = 'link';
    const unlink = new Operation(Code.Unlink);
    unlink.place = this.#temporary;
    const done = (): void => {
      this.#exists = false;
    };
    const tidy = { operation: unlink, done, refused: this.#noted('temporary name') };
    return [this.#nameTask(Code.Link, 0), tidy];
  }

  #directoryTasks(): Task[] {
    const { descriptor } = this.#spot as Spot;
    if (this.#settings.durable !== 'full') return [];
    if (descriptor < 0) {
      const reason = String(this.engine.capabilities['directory-sync']);
      this.#fallbacks.push({ what: 'directory sync', reason });
      return [];
    }
    const operation = new Operation(Code.Sync);
    operation.fd = descriptor;
    /* The name has changed: what is left is no longer to be aborted. */
    operation.mustRun = true;
    const done = (): void => {
      this.#durability = 'full';
    };
    return [{ operation, done, refused: (sync) => this.#directoryRefused(sync) }];
  }

  /* What was read through the directory is done; a refused close has closed all the same. */
  #closeTasks(): Task[] {
    const spot = this.#spot as Spot;
    if (spot.descriptor < 0) return [];
    const done = (): undefined => {
      this.#spot = { ...spot, descriptor: -1 };
    };
    return [{ operation: closing(spot.descriptor), done, refused: done }];
  }

  /* A file system that has no sync for directories says EINVAL; anything else is a loss. */
  #directoryRefused(sync: Operation): IoError | undefined {
    const step = 'sync the directory';
    const action = `replace the file: ${step}`;
    const { path } = this;
    const context = { action, syscall: 'fsync', step, path, durable: 'unknown' } as const;
    const error = refusal(sync.result, context);
    if (error.kind !== 'invalid' && error.kind !== 'unsupported') return error;
    this.#fallbacks.push({ what: 'directory sync', reason: error.code });
    return undefined;
  }

  /* Who cannot give the owner away must not give the owner's powers either. */
  *#weakened(tasks: Task[]): Steps<void> {
    const owner = tasks.findIndex(({ operation }) => operation.code === Code.SetOwner);
    if (owner >= 0) {
      yield* taskSteps(tasks.splice(0, owner + 1));
      for (const { operation } of tasks) {
        if (operation.fd === FD_OPENED_IN_RUN) operation.fd = this.#fd;
        if (operation.code === Code.SetMode && !this.#isOwnerKept) operation.mode &= 0o777;
      }
    }
  }

  *#seal(before: Task[]): Steps<ReplaceReport> {
    const spot = this.#spot as Spot;
    const tasks = [...before, ...this.#contentTasks()];
    if (((spot.old?.mode ?? 0) & 0o6000) !== 0) yield* this.#weakened(tasks);
    tasks.push(...this.#nameTasks(), ...this.#directoryTasks());
    if (this.#settings.sweep && !sweptOn(this.engine).has(spot.directory.path)) {
      yield* taskSteps(tasks);
      yield* this.#sweep(spot);
      yield* taskSteps(this.#closeTasks());
    } else {
      yield* taskSteps([...tasks, ...this.#closeTasks()]);
    }
    return {
      path: spot.target.path,
      bytes: this.#bytes,
      durability: this.#durability,
      method: this.#method,
      replaced: this.#hadOld,
      engine: this.engine.name,
      fallbacks: this.#fallbacks,
      swept: this.#swept,
    };
  }

  *#sweep({ directory, descriptor, target }: Spot): Steps<void> {
    sweptOn(this.engine).add(directory.path);
    const held = descriptor < 0 ? target.directory : descriptor;
    this.#swept = yield* sweepSteps(this.engine, directory, held);
  }
}

const ACCESS_RIGHTS = 'system.posix_acl_access';

/* Version 2, then owner, group and others as the mode has them (linux/posix_acl_xattr.h). */
function rightsOf(mode: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(28));
  view.setUint32(0, 2, true);
  for (const [index, tag] of [0x01, 0x04, 0x20].entries()) {
    view.setUint16(4 + index * 8, tag, true);
    view.setUint16(6 + index * 8, (mode >> (6 - index * 3)) & 7, true);
    view.setUint32(8 + index * 8, 0xffffffff, true);
  }
  return new Uint8Array(view.buffer);
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

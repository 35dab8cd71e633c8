/** Directories held open: names are seen from them, wherever somebody moves them meanwhile. */
import type { Engine, Steps } from '../engine.js';
import { IoError, type IoErrorFields } from '../errors.js';
import { closing } from '../file.js';
import {
  AT_SYMLINK_NOFOLLOW,
  Code,
  codeName,
  FD_OPENED_IN_RUN,
  type FileStat,
  OpenFlag,
  Operation,
  Place,
  refusal,
} from '../platform.js';
import { groupSteps } from './groups.js';

/** A directory. Where directories cannot be opened, `fd` is -1 and names are paths. */
export interface Held {
  readonly fd: number;
  readonly place: Place;
}

/** What a directory is held for: to see names from it, or also to read and to sync it. */
export type Purpose = 'names' | 'all';

const FLAGS: Readonly<Record<Purpose, number>> = {
  names: OpenFlag.Path | OpenFlag.Directory,
  all: OpenFlag.ReadOnly | OpenFlag.Directory | OpenFlag.NonBlocking,
};

/** The error of an operation that was refused. */
export function refused(
  { code, result }: Operation,
  fields: Omit<IoErrorFields, 'code' | 'errno' | 'syscall'>,
): IoError {
  return refusal(result, { syscall: codeName(code), ...fields });
}

/** True for an `IoError` of one of these codes. */
export function isRefusal(error: unknown, ...codes: readonly string[]): error is IoError {
  return error instanceof IoError && codes.includes(error.code);
}

/** Whether directories can be opened at all. */
export function canHold({ capabilities }: Engine): boolean {
  return capabilities['directory-sync'] === true;
}

/** The operation that opens a directory; `flags` are added. */
export function holding(place: Place, purpose: Purpose, flags = 0): Operation {
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = FLAGS[purpose] | flags;
  return open;
}

/** The flags of `holding`. */
export function flagsFor(purpose: Purpose): number {
  return FLAGS[purpose];
}

/** Holds a directory. Errors: `IoError`. */
export function* holdSteps(
  engine: Engine,
  place: Place,
  purpose: Purpose,
  action: string,
): Steps<Held> {
  if (!canHold(engine)) return { fd: -1, place };
  const open = holding(place, purpose);
  yield open;
  if (open.result >= 0) return { fd: open.result, place };
  throw refused(open, { action, step: 'open the directory', path: place.path });
}

/** Lets a directory go. Never fails: nothing was written through it. */
export function* letGo(...directories: readonly (Held | undefined)[]): Steps<void> {
  const open = directories.filter((one): one is Held => one !== undefined && one.fd >= 0);
  yield* groupSteps(open.map(({ fd }) => [closing(fd)]));
}

/** A name in a directory, in the encoding of its path. */
export function nameIn({ fd, place }: Held, name: string): Place {
  return unheld(place.child(name, fd), fd);
}

/** The bytes of a path, or of a part of it, as text: one character a byte. */
export function rawOf({ path, encoding }: Place, text: string = path): string {
  return encoding === 'latin1' ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** A name as it was read, one character a byte. */
export function entryIn({ fd, place }: Held, name: string): Place {
  return unheld(place.entry(name, fd), fd);
}

/** A name in the directory that the run has opened at this place. */
export function nameInOpened(place: Place, name: string): Place {
  return place.child(name, FD_OPENED_IN_RUN);
}

/* Without a descriptor the name is the whole path. */
function unheld(place: Place, fd: number): Place {
  return fd >= 0 ? place : new Place(place.path, place.encoding);
}

/** The operation that looks at a name, links not followed. */
export function looking(place: Place): Operation {
  const stat = new Operation(Code.Stat);
  stat.place = place;
  stat.flags = AT_SYMLINK_NOFOLLOW;
  return stat;
}

/** What tells one file from another. */
export function identityOf({ device, inode }: FileStat): string {
  return `${device}:${inode}`;
}

/** What is done to an end once a name has changed, aborted or not. */
export function bound<T extends Operation>(operation: T): T {
  operation.mustRun = true;
  return operation;
}

/** What could not be had, and why. */
export interface Fallback {
  readonly what: string;
  readonly reason: string;
}

/**
 * Directories that owe a sync: held until it is done, each synced once, however many names in it
 * have changed.
 */
export class Dues {
  readonly fallbacks: Fallback[] = [];
  readonly #engine: Engine;
  readonly #isDurable: boolean;
  readonly #dues = new Map<string, Held>();
  /* Held a second time: not to be synced again, and let go in the end. */
  #spare: Held[] = [];
  #syncCount = 0;

  constructor(engine: Engine, isDurable: boolean) {
    this.#engine = engine;
    this.#isDurable = isDurable;
  }

  /** What directories have to be held for. */
  get purpose(): Purpose {
    return this.#isDurable ? 'all' : 'names';
  }

  /** What stands after `settle`. */
  get durability(): 'full' | 'none' {
    return this.#isDurable && this.fallbacks.length === 0 ? 'full' : 'none';
  }

  get count(): number {
    return this.#dues.size;
  }

  /** How many have been synced. */
  get syncCount(): number {
    return this.#syncCount;
  }

  /** Takes a directory over, until `settle` or `drop`; answers what tells it from others. */
  *add(held: Held): Steps<string> {
    const stat = bound(new Operation(Code.Stat));
    stat.fd = held.fd;
    if (held.fd >= 0) yield stat;
    const key = stat.stat === undefined ? held.place.path : identityOf(stat.stat);
    if (this.#dues.has(key)) this.#spare.push(held);
    else this.#dues.set(key, held);
    return key;
  }

  /** Lets directories go that are held more than once; whoever used them has ended. */
  *trim(): Steps<void> {
    const spare = this.#spare;
    this.#spare = [];
    yield* letGo(...spare);
  }

  /** Syncs and lets go. Errors: `IoError`, the first; all of them have been tried by then. */
  *settle(action: string): Steps<void> {
    yield* this.trim();
    const held = [...this.#dues.values()];
    this.#dues.clear();
    if (!this.#isDurable) {
      yield* letGo(...held);
      return;
    }
    let first: IoError | undefined;
    const works = held.filter(({ fd }) => fd >= 0).map((one) => ({ one, sync: syncing(one) }));
    yield* groupSteps(works.map(({ one, sync }) => [sync, closing(one.fd)]));
    for (const { one, sync } of works) {
      if (sync.result >= 0) {
        this.#syncCount++;
        continue;
      }
      yield* letGo(one);
      first ??= this.#refused(sync, action, one.place.path);
    }
    if (works.length < held.length) {
      const reason = String(this.#engine.capabilities['directory-sync']);
      this.fallbacks.push({ what: 'directory sync', reason });
    }
    if (first !== undefined) throw first;
  }

  /** Lets all go without a sync. */
  *drop(): Steps<void> {
    yield* this.trim();
    const held = [...this.#dues.values()];
    this.#dues.clear();
    yield* letGo(...held);
  }

  /* A file system that has no sync for directories says EINVAL; anything else is a loss. */
  #refused(sync: Operation, action: string, path: string): IoError | undefined {
    const error = refused(sync, { action, step: 'sync the directory', path, durable: 'unknown' });
    if (error.kind !== 'invalid' && error.kind !== 'unsupported') return error;
    this.fallbacks.push({ what: 'directory sync', reason: error.code });
    return undefined;
  }
}

function syncing({ fd }: Held): Operation {
  const sync = bound(new Operation(Code.Sync));
  sync.fd = fd;
  return sync;
}

/** Steps that change names, then the syncs they owe; after a refusal nothing stays open. */
export function* durably<T>(dues: Dues, action: string, steps: Steps<T>): Steps<T> {
  let result: T;
  try {
    result = yield* steps;
  } catch (error) {
    yield* dues.drop();
    throw error;
  }
  yield* dues.settle(action);
  return result;
}

/** Removing one name, or a tree: never through a symbolic link, whoever plants one meanwhile. */

import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { closing } from '../file.js';
import {
  canHold,
  entryIn,
  groupSteps,
  type Held,
  holding,
  identityOf,
  isRefusal,
  letGo,
  looking,
  type Names,
  rawOf,
  readSteps,
  refused,
} from '../held.js';
import {
  AT_REMOVEDIR,
  Code,
  errnoOf,
  type FileStat,
  linked,
  OpenFlag,
  Operation,
  Place,
} from '../platform.js';
import type { Dues, Fallback } from './dues.js';
import type { RemoveSettings } from './options.js';
import { checkNamed, type Spot, type Where } from './where.js';

const REMOVE_FILE = 'remove the file';
const REMOVE_TREE = 'remove the tree';

export interface RemoveFileReport {
  readonly path: string;
  /** False where there was nothing, and that was allowed. */
  readonly removed: boolean;
  /** What a power cut from now on leaves: the name gone, or no promise. */
  readonly durability: 'full' | 'none';
  readonly engine: string;
  readonly fallbacks: readonly Fallback[];
}

export interface RemoveTreeReport {
  readonly path: string;
  /** Names of anything but directories that this call removed. */
  readonly files: number;
  readonly directories: number;
  /** What a power cut from now on leaves: the tree gone, or no promise. */
  readonly durability: 'full' | 'none';
  readonly engine: string;
  readonly fallbacks: readonly Fallback[];
}

function unlinking(place: Place, flags = 0): Operation {
  const unlink = new Operation(Code.Unlink);
  unlink.place = place;
  unlink.flags = flags;
  return unlink;
}

/** Whether it was there. */
export function* removeFileSteps(
  where: Where,
  place: Place,
  { mustExist }: RemoveSettings,
  dues: Dues,
): Steps<boolean> {
  const spot = yield* where.spot(place, dues.purpose, REMOVE_FILE);
  yield* dues.add(spot.parent);
  checkNamed(spot, place, REMOVE_FILE);
  const unlink = unlinking(spot.place);
  yield unlink;
  if (unlink.result >= 0) return true;
  if (unlink.result === errnoOf('ENOENT') && !mustExist) return false;
  throw refused(unlink, { action: REMOVE_FILE, step: 'unlink', path: spot.place.path });
}

/** What one removal of a tree counts. */
export type Removed = Pick<RemoveTreeReport, 'files' | 'directories'>;

/** How much was removed. */
export function* removeTreeSteps(
  where: Where,
  place: Place,
  { mustExist }: RemoveSettings,
  dues: Dues,
): Steps<Removed> {
  const spot = yield* where.spot(place, dues.purpose, REMOVE_TREE);
  yield* dues.add(spot.parent);
  checkNamed(spot, place, REMOVE_TREE);
  const stat = looking(spot.place);
  yield stat;
  if (stat.result >= 0 && stat.stat?.kind === 'directory') {
    return yield* directorySteps(where.engine, spot);
  }
  const unlink = stat.result < 0 ? stat : unlinking(spot.place);
  if (unlink !== stat) yield unlink;
  if (unlink.result >= 0) return { files: 1, directories: 0 };
  const isGone = unlink.result === errnoOf('ENOENT');
  if (isGone && !mustExist) return { files: 0, directories: 0 };
  const step = unlink === stat ? 'inspect' : 'unlink';
  throw refused(unlink, { action: REMOVE_TREE, step, path: spot.place.path });
}

/** Removes a directory with all that is in it. Errors: `IoError`. */
export function directorySteps(engine: Engine, spot: Spot): Steps<Removed> {
  return new Removal(engine, spot).steps();
}

/* Directories held at once; of a deeper tree the upper ones are found again through `..`. */
const HELD_MAX = 64;
/* How often a directory is read again that others fill while it is being emptied. */
const ROUNDS_MAX = 16;

/** A directory on the way down. */
interface Frame {
  readonly place: Place;
  /** Its name in the frame above, as it was read. */
  readonly name: string;
  /** -1 while it is not held. */
  fd: number;
  /** Known once it was let go on the way down. */
  identity: string | undefined;
  /** Directories in it that are still to be removed. */
  readonly names: string[];
  rounds: number;
}

class Removal {
  readonly #engine: Engine;
  readonly #spot: Spot;
  readonly #frames: Frame[] = [];
  #files = 0;
  #directories = 0;

  constructor(engine: Engine, spot: Spot) {
    this.#engine = engine;
    this.#spot = spot;
  }

  *steps(): Steps<Removed> {
    try {
      yield* this.#enter(this.#spot.place, '');
      for (let frame = this.#frames.at(-1); frame !== undefined; frame = this.#frames.at(-1)) {
        const name = frame.names.pop();
        if (name === undefined) yield* this.#leave(frame);
        else yield* this.#enter(entryIn(this.#heldOf(frame), name), name);
      }
      return { files: this.#files, directories: this.#directories };
    } finally {
      yield* letGo(...this.#frames.map((frame) => this.#heldOf(frame)));
    }
  }

  #heldOf({ fd, place }: Frame): Held {
    return { fd, place };
  }

  /* What stands there is a directory, or was: a link or a file by now is removed as one. */
  *#enter(place: Place, name: string): Steps<void> {
    let fd = -1;
    if (canHold(this.#engine)) {
      const open = holding(place, 'all', OpenFlag.NoFollow);
      yield open;
      if (open.result === errnoOf('ENOENT')) return;
      if (open.result === errnoOf('ENOTDIR') || open.result === errnoOf('ELOOP')) {
        yield* this.#unlinkAll([unlinking(place)], [name], undefined);
        return;
      }
      if (open.result < 0) throw this.#refused(open, 'open the directory');
      fd = open.result;
    }
    const seen = new Place(place.path, place.encoding);
    const frame = { place: seen, name, fd, identity: undefined, names: [], rounds: 0 };
    this.#frames.push(frame);
    const far = this.#frames.at(-1 - HELD_MAX);
    if (far !== undefined && far.fd >= 0) yield* this.#release(far);
    yield* this.#empty(frame);
  }

  /* Removes all that is no directory, and remembers what is one. */
  *#empty(frame: Frame): Steps<void> {
    frame.rounds++;
    const held = this.#heldOf(frame);
    for (let isWhole = false; !isWhole; ) {
      const read = yield* this.#read(held);
      if (read === undefined) return;
      isWhole = read.isWhole;
      const others: string[] = [];
      for (const [index, name] of read.names.entries()) {
        if (read.kindAt(index) === 'directory') frame.names.push(name);
        else others.push(name);
      }
      const unlinks = others.map((name) => unlinking(entryIn(held, name)));
      yield* this.#unlinkAll(unlinks, others, frame);
    }
  }

  /* getdents64(2) of a directory that somebody else has removed is ENOENT. */
  *#read(held: Held): Steps<Names | undefined> {
    try {
      return yield* readSteps(held, REMOVE_TREE);
    } catch (error) {
      if (isRefusal(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  *#unlinkAll(
    unlinks: readonly Operation[],
    names: readonly string[],
    frame: Frame | undefined,
  ): Steps<void> {
    yield* groupSteps(unlinks.map((unlink) => [unlink]));
    for (const [index, unlink] of unlinks.entries()) {
      if (unlink.result >= 0) this.#files++;
      else if (unlink.result === errnoOf('EISDIR') && frame !== undefined) {
        frame.names.push(names[index] as string);
      } else if (unlink.result !== errnoOf('ENOENT')) throw this.#refused(unlink, 'unlink');
    }
  }

  /* Removes an emptied directory from the one above it. */
  *#leave(frame: Frame): Steps<void> {
    const above = this.#frames.at(-2);
    if (above !== undefined && above.fd < 0 && frame.fd >= 0) yield* this.#regain(above, frame);
    const { parent, place } = this.#spot;
    const name =
      above === undefined
        ? entryIn(parent, rawOf(place, place.base))
        : entryIn(this.#heldOf(above), frame.name);
    const remove = unlinking(name, AT_REMOVEDIR);
    yield remove;
    if (remove.result === errnoOf('ENOTEMPTY') && frame.rounds < ROUNDS_MAX) {
      yield* this.#rewind(frame);
      yield* this.#empty(frame);
      return;
    }
    this.#frames.pop();
    yield* letGo(this.#heldOf(frame));
    if (remove.result >= 0) this.#directories++;
    else if (remove.result === errnoOf('ENOTDIR')) {
      /* Swapped for a link by now: the link goes. */
      yield* this.#unlinkAll([unlinking(name)], [frame.name], undefined);
    } else if (remove.result !== errnoOf('ENOENT')) throw this.#refused(remove, 'remove');
  }

  /* Where every read answers all there is (node:fs), there is nothing to go back to. */
  *#rewind({ fd }: Frame): Steps<void> {
    const seek = new Operation(Code.Seek);
    seek.fd = fd;
    seek.offset = 0;
    if (fd >= 0) yield seek;
  }

  *#release(frame: Frame): Steps<void> {
    const stat = new Operation(Code.Stat);
    stat.fd = frame.fd;
    yield linked(stat, closing(frame.fd));
    if (stat.result < 0) throw this.#refused(stat, 'inspect');
    frame.identity = identityOf(stat.stat as FileStat);
    frame.fd = -1;
  }

  /* The directory above, opened again: by its number it is known, wherever it was moved to. */
  *#regain(above: Frame, below: Frame): Steps<void> {
    const open = holding(entryIn(this.#heldOf(below), '..'), 'all');
    yield open;
    if (open.result < 0) throw this.#refused(open, 'go back up');
    above.fd = open.result;
    const stat = new Operation(Code.Stat);
    stat.fd = above.fd;
    yield stat;
    if (stat.result >= 0 && identityOf(stat.stat as FileStat) === above.identity) return;
    const words = 'somebody has moved a directory of the tree';
    const { path } = above.place;
    const fields = { action: REMOVE_TREE, code: 'EBUSY', path, step: 'go back up' };
    throw new IoError({ ...fields, words });
  }

  #refused(operation: Operation, step: string): IoError {
    const path = operation.place?.path ?? this.#spot.place.path;
    return refused(operation, { action: REMOVE_TREE, step, path });
  }
}

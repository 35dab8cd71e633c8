/** Giving a file or a directory another name, in the same directory or in another one. */

import { copySettingsOf, copySteps, copyTreeSteps } from '../copy.js';
import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { groupSteps, identityOf, looking, nameIn, refused } from '../held.js';
import {
  Code,
  errnoOf,
  type FileKind,
  type FileStat,
  Operation,
  type Place,
  RENAME_NOREPLACE,
} from '../platform.js';
import { temporaryName } from '../replace.js';
import type { Dues, Fallback } from './dues.js';
import type { MoveSettings } from './options.js';
import { directorySteps } from './remove.js';
import { checkNamed, type Spot, type Where } from './where.js';

const ACTION = 'move the file';
const LINK_BYTES = 4097;

export interface MoveReport {
  readonly path: string;
  readonly dest: string;
  /**
   * How: `unlink` where both were names of one file already, which rename(2) leaves as they are;
   * `link` where the system cannot rename without replacing; `copy` to another file system.
   */
  readonly method: 'rename' | 'rename without replacing' | 'link' | 'unlink' | 'copy' | 'nothing';
  /** True when something stood at the target. */
  readonly replaced: boolean;
  /** What a power cut from now on leaves: the new name and not the old, or no promise. */
  readonly durability: 'full' | 'none';
  readonly engine: string;
  readonly fallbacks: readonly Fallback[];
}

/** What a move answers. */
export type Moved = Pick<MoveReport, 'method' | 'replaced'>;

/** Both names, seen from directories that are held, and what tells those apart. */
interface Ends {
  readonly source: Spot;
  readonly target: Spot;
  readonly isOneDirectory: boolean;
}

/** Moves by a rename. Errors: `IoError`, of code `EXDEV` where there are two file systems. */
export function* moveSteps(
  where: Where,
  places: { readonly source: Place; readonly target: Place },
  settings: MoveSettings,
  dues: Dues,
): Steps<Moved> {
  /* The target's directory is synced first: at the worst there are two names for a while. */
  const target = yield* where.spot(places.target, dues.purpose, ACTION);
  const there = yield* dues.add(target.parent);
  checkNamed(target, places.target, ACTION);
  const source = yield* where.spot(places.source, dues.purpose, ACTION);
  const here = yield* dues.add(source.parent);
  checkNamed(source, places.source, ACTION);
  const ends = { source, target, isOneDirectory: here === there };
  return yield* new Move(where.engine, ends, settings, dues).steps();
}

class Move {
  readonly #engine: Engine;
  readonly #dues: Dues;
  readonly #ends: Ends;
  readonly #settings: MoveSettings;

  constructor(engine: Engine, ends: Ends, settings: MoveSettings, dues: Dues) {
    this.#engine = engine;
    this.#dues = dues;
    this.#ends = ends;
    this.#settings = settings;
  }

  *steps(): Steps<Moved> {
    const { source, target, isOneDirectory } = this.#ends;
    const looks = [looking(source.place), looking(target.place)] as const;
    yield* groupSteps(looks.map((look) => [look]));
    const [old, stands] = looks;
    if (old.result < 0) throw this.#refused(old, 'inspect');
    const replaced = stands.result >= 0;
    if (replaced && !this.#settings.replaces) throw this.#exists();
    if (old.stat === undefined || stands.stat === undefined)
      return yield* this.#rename(old, replaced);
    const isOne = identityOf(old.stat) === identityOf(stands.stat);
    if (!isOne) return yield* this.#rename(old, replaced);
    if (isOneDirectory && source.base === target.base) return { method: 'nothing', replaced };
    /* Names that differ in case alone may be one entry: removing the old would remove the new. */
    const isOneEntry = isOneDirectory && source.base.toLowerCase() === target.base.toLowerCase();
    if (isOneEntry || old.stat.links < 2) return yield* this.#rename(old, replaced);
    return yield* this.#removeSource('unlink', replaced);
  }

  *#rename(old: Operation, replaced: boolean): Steps<Moved> {
    const isPlain = this.#settings.replaces;
    const rename = this.#naming(Code.Rename, isPlain ? 0 : RENAME_NOREPLACE);
    yield rename;
    if (rename.result >= 0) {
      return { method: isPlain ? 'rename' : 'rename without replacing', replaced };
    }
    if (rename.result === errnoOf('EXDEV')) return yield* this.#across(rename, old, replaced);
    const isLacking = ['ENOSYS', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP'].some(
      (code) => errnoOf(code) === rename.result,
    );
    if (isPlain || !isLacking) throw this.#refused(rename, 'rename');
    const link = this.#naming(Code.Link, 0);
    yield link;
    if (link.result === errnoOf('EXDEV')) return yield* this.#across(link, old, replaced);
    if (link.result < 0) throw this.#lacking(link);
    return yield* this.#removeSource('link', replaced);
  }

  /*
   * To another file system: first a copy that survives, then the old name goes. In between there
   * are two; never none.
   */
  *#across(rename: Operation, old: Operation, replaced: boolean): Steps<Moved> {
    const { kind } = old.stat as FileStat;
    if (kind === 'file') return yield* this.#fileAcross(old, replaced);
    if (kind !== 'symlink' && kind !== 'directory') throw this.#refused(rename, 'rename');
    const { source, target } = this.#ends;
    const place = nameIn(target.parent, temporaryName(this.#engine));
    const made: Spot = { parent: target.parent, place, base: place.base };
    try {
      if (kind === 'symlink') yield* this.#copyLink(place);
      else yield* this.#copyTree(place);
      yield* this.#name(made);
    } catch (error) {
      yield* this.#discard(made, kind);
      throw error;
    }
    yield* this.#dues.sync(target.parent, ACTION);
    if (kind === 'symlink') return yield* this.#removeSource('copy', replaced);
    yield* directorySteps(this.#engine, source);
    return { method: 'copy', replaced };
  }

  /* The old name goes only while it is still the file that was copied. */
  *#fileAcross(old: Operation, replaced: boolean): Steps<Moved> {
    const { source, target } = this.#ends;
    const { isDurable, replaces } = this.#settings;
    const settings = copySettingsOf({
      durable: isDurable ? 'full' : false,
      keepTimes: true,
      followSymlink: false,
      replace: replaces,
    });
    const route = { source: source.place, target: target.place };
    yield* copySteps(this.#engine, route, settings, { followsLinks: false });
    const look = looking(source.place);
    look.mustRun = true;
    yield look;
    if (look.result < 0 || !isUnchanged(old.stat as FileStat, look.stat)) {
      const words = 'the old file has changed since it was copied, and is left';
      throw new IoError({ ...this.#fields, code: 'EBUSY', step: 'remove the old name', words });
    }
    return yield* this.#removeSource('copy', replaced);
  }

  *#copyLink(target: Place): Steps<void> {
    const read = new Operation(Code.ReadLink);
    read.place = this.#ends.source.place;
    read.out = new Uint8Array(LINK_BYTES);
    yield read;
    if (read.result < 0) throw this.#refused(read, 'read the link');
    const make = new Operation(Code.MakeLink);
    make.place = target;
    make.payload = new Uint8Array([...read.out.subarray(0, read.result), 0]);
    yield make;
    if (make.result < 0) throw this.#refused(make, 'make the link');
  }

  *#copyTree(target: Place): Steps<void> {
    const durable = this.#settings.isDurable ? 'full' : false;
    const route = { source: this.#ends.source.place, target };
    yield* copyTreeSteps(this.#engine, route, { durable, keepTimes: true, replace: false });
  }

  *#name({ place }: Spot): Steps<void> {
    const rename = this.#naming(Code.Rename, this.#settings.replaces ? 0 : RENAME_NOREPLACE);
    rename.place = place;
    yield rename;
    if (rename.result < 0) throw this.#refused(rename, 'rename');
  }

  /* The first error is the one to tell. */
  *#discard(made: Spot, kind: FileKind): Steps<void> {
    const unlink = new Operation(Code.Unlink);
    unlink.place = made.place;
    unlink.mustRun = true;
    if (kind === 'symlink') yield unlink;
    else {
      try {
        yield* directorySteps(this.#engine, made);
      } catch {}
    }
  }

  *#removeSource(method: 'link' | 'unlink' | 'copy', replaced: boolean): Steps<Moved> {
    const unlink = new Operation(Code.Unlink);
    unlink.place = this.#ends.source.place;
    unlink.mustRun = true;
    yield unlink;
    if (unlink.result < 0) throw this.#refused(unlink, 'remove the old name');
    return { method, replaced };
  }

  #naming(code: Code, flags: number): Operation {
    const operation = new Operation(code);
    operation.place = this.#ends.source.place;
    operation.place2 = this.#ends.target.place;
    operation.flags = flags;
    return operation;
  }

  get #fields(): { action: string; path: string; dest: string } {
    const { source, target } = this.#ends;
    return { action: ACTION, path: source.place.path, dest: target.place.path };
  }

  #refused(operation: Operation, step: string): IoError {
    return refused(operation, { ...this.#fields, step });
  }

  #exists(): IoError {
    return new IoError({ ...this.#fields, code: 'EEXIST', step: 'inspect' });
  }

  /* link(2) of a directory is EPERM: what cannot be had is told as that. */
  #lacking(link: Operation): IoError {
    const error = this.#refused(link, 'link');
    if (error.code !== 'EPERM') return error;
    const words = 'directories cannot be renamed without replacing here';
    return new IoError({ ...this.#fields, code: 'ENOTSUP', step: 'link', words, cause: error });
  }
}

function isUnchanged(before: FileStat, after: FileStat | undefined): boolean {
  if (after === undefined || identityOf(before) !== identityOf(after)) return false;
  return before.size === after.size && before.modifiedMs === after.modifiedMs;
}

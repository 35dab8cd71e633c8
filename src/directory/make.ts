/** Making directories, level by level, each in the directory that was opened before it. */

import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { canHold, entryIn, type Held, holding, isRefusal, letGo, rawOf, refused } from '../held.js';
import {
  Code,
  errnoOf,
  FD_OPENED_IN_RUN,
  linked,
  OpenFlag,
  Operation,
  Place,
} from '../platform.js';
import type { Dues, Fallback } from './dues.js';
import type { MakeSettings } from './options.js';
import { checkNamed, type Where } from './where.js';

const ACTION = 'make the directory';
/* Two operations a level; more levels than this are made in several runs. */
const LEVELS_MAX = 200;

export interface MakeDirectoryReport {
  readonly path: string;
  /** The directories that were made, the outermost first; those that stood are left out. */
  readonly created: readonly string[];
  /** What a power cut from now on leaves: all levels, or no promise. */
  readonly durability: 'full' | 'none';
  readonly engine: string;
  /** What was weaker than asked, and why. */
  readonly fallbacks: readonly Fallback[];
}

/** The levels that were made, as paths. */
export function makeSteps(
  where: Where,
  place: Place,
  settings: MakeSettings,
  dues: Dues,
): Steps<string[]> {
  if (!settings.isRecursive) return oneSteps(where, place, settings, dues);
  return new Making(where, place, settings, dues).steps();
}

function making(place: Place, mode: number): Operation {
  const make = new Operation(Code.MakeDirectory);
  make.place = place;
  make.mode = mode;
  return make;
}

function* oneSteps(
  where: Where,
  place: Place,
  { mode }: MakeSettings,
  dues: Dues,
): Steps<string[]> {
  const spot = yield* where.spot(place, dues.purpose, ACTION);
  yield* dues.add(spot.parent);
  checkNamed(spot, place, ACTION);
  const make = making(spot.place, mode);
  yield make;
  if (make.result >= 0) return [place.path];
  throw refused(make, { action: ACTION, step: 'make', path: spot.place.path });
}

/** One `mkdir -p`. */
class Making {
  readonly #where: Where;
  readonly #settings: MakeSettings;
  readonly #dues: Dues;
  readonly #levels: readonly Place[];
  readonly #created: string[] = [];

  constructor(where: Where, place: Place, settings: MakeSettings, dues: Dues) {
    this.#where = where;
    this.#settings = settings;
    this.#dues = dues;
    this.#levels = where.levels(place);
  }

  *steps(): Steps<string[]> {
    if (this.#levels.length === 1) {
      yield* letGo(yield* this.#where.directory(this.#level(0), 'names', ACTION));
      return this.#created;
    }
    let { index, held } = yield* this.#deepest();
    while (index < this.#levels.length) {
      const done = yield* this.#makeFrom(held, index);
      index += done;
      if (index < this.#levels.length) held = yield* this.#enter(index - 1);
    }
    return this.#created;
  }

  #level(index: number): Place {
    return this.#levels[index] as Place;
  }

  /* Holds the deepest directory above the last level that stands: nearly always the next one. */
  *#deepest(): Steps<{ index: number; held: Held }> {
    if (!canHold(this.#where.engine)) return { index: 1, held: yield* this.#enter(0) };
    for (let index = this.#levels.length - 1; ; index--) {
      try {
        const held = yield* this.#enter(index - 1);
        return { index, held };
      } catch (error) {
        if (index === 1 || !isRefusal(error, 'ENOENT')) throw error;
      }
    }
  }

  *#enter(index: number): Steps<Held> {
    const held = yield* this.#where.directory(this.#level(index), this.#dues.purpose, ACTION);
    yield* this.#dues.add(held);
    return held;
  }

  /* Makes levels in one run until one stands already; answers how many are there then. */
  *#makeFrom(held: Held, first: number): Steps<number> {
    const last = Math.min(this.#levels.length, first + LEVELS_MAX) - 1;
    const run: { readonly make: Operation; readonly open: Operation | undefined }[] = [];
    for (let index = first; index <= last; index++) {
      const place = this.#placeIn(index === first ? held : undefined, index);
      const make = making(place, this.#settings.mode);
      const opens = index < last && canHold(this.#where.engine);
      const open = opens ? holding(place, this.#dues.purpose, OpenFlag.NoFollow) : undefined;
      run.push({ make, open });
    }
    const [head, ...rest] = run.flatMap(({ make, open }) => (open ? [make, open] : [make]));
    yield linked(head as Operation, ...rest);
    for (const [at, { make, open }] of run.entries()) {
      const level = this.#level(first + at);
      if (make.result >= 0) this.#created.push(level.path);
      if (open !== undefined && open.result >= 0) {
        yield* this.#dues.add({ fd: open.result, place: level });
      }
    }
    return yield* this.#doneIn(run, first);
  }

  *#doneIn(
    run: readonly { readonly make: Operation; readonly open: Operation | undefined }[],
    first: number,
  ): Steps<number> {
    for (const [at, { make, open }] of run.entries()) {
      const level = this.#level(first + at);
      if (make.result === errnoOf('EEXIST')) {
        yield* this.#checkDirectory(level);
        return at + 1;
      }
      if (make.result < 0) throw this.#refused(make, level);
      if (open !== undefined && open.result < 0) throw this.#refused(open, level);
    }
    return run.length;
  }

  /* Somebody else made it, before us or beside us: fine, where it is a directory. */
  *#checkDirectory(level: Place): Steps<void> {
    try {
      const held = yield* this.#where.directory(level, 'names', ACTION);
      if (held.fd < 0) yield* this.#checkKind(level);
      yield* letGo(held);
    } catch (error) {
      if (!isRefusal(error, 'ENOTDIR', 'ENOENT', 'ELOOP')) throw error;
      throw this.#stands(level, error);
    }
  }

  *#checkKind(level: Place): Steps<void> {
    const stat = new Operation(Code.Stat);
    stat.place = level;
    yield stat;
    if (stat.result < 0 || stat.stat?.kind !== 'directory') throw this.#stands(level, undefined);
  }

  #stands(level: Place, cause: unknown): IoError {
    const words = 'something that is no directory stands there';
    const fields = { action: ACTION, code: 'EEXIST', path: level.path, step: 'make' };
    return new IoError({ ...fields, words, cause });
  }

  #placeIn(held: Held | undefined, index: number): Place {
    const level = this.#level(index);
    const { base } = level;
    if (held !== undefined) return entryIn(held, rawOf(level, base));
    if (!canHold(this.#where.engine)) return level;
    return new Place(level.path, level.encoding, FD_OPENED_IN_RUN, base);
  }

  #refused(operation: Operation, level: Place): IoError {
    const step = operation.code === Code.Open ? 'open the directory' : 'make';
    return refused(operation, { action: ACTION, step, path: level.path });
  }
}

/**
 * Paths beneath a root that is held open, by openat2(2) where the kernel has it, else part by part:
 * each directory opened from the one before, links read and gone through here. Nobody who swaps a
 * directory for a link meanwhile can lead a call out: what is opened is what was looked at.
 */

import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { closing } from '../file.js';
import {
  entryIn,
  flagsFor,
  type Held,
  holding,
  isRefusal,
  letGo,
  type Purpose,
  rawOf,
  refused,
} from '../held.js';
import {
  AT_FDCWD,
  Code,
  errnoOf,
  OpenFlag,
  Operation,
  type PathLike,
  Place,
  placeOf,
  Resolve,
  textOf,
} from '../platform.js';
import type { Spot, Where } from './where.js';

/* As many as the kernel follows (path_resolution(7)). */
const LINKS_MAX = 40;
const LINK_BYTES = 4097;
/* openat2(2): EAGAIN where a rename came between and `..` might have led out. */
const TRIES_MAX = 128;

/** How a root keeps paths beneath itself. */
export type Resolution = 'kernel' | 'walk';

/* By engine: one question for each process. */
const answers = new WeakMap<Engine, true | string>();

/** Whether openat2(2) answers here, or the reason why not. Never fails. */
export function* kernelResolves(engine: Engine): Steps<true | string> {
  const capability = engine.capabilities['paths-beneath'];
  if (capability !== true) return capability;
  const known = answers.get(engine);
  if (known !== undefined) return known;
  const open = beneath(new Place('.', 'utf8', AT_FDCWD), flagsFor('names'), 0);
  yield open;
  if (open.result >= 0) yield closing(open.result);
  const isThere = open.result >= 0;
  const code = isThere ? '' : refused(open, { action: 'open beneath' }).code;
  const answer = isThere || `openat2 answers ${code}`;
  answers.set(engine, answer);
  return answer;
}

/** The operation that opens a path beneath the directory that its place is seen from. */
export function beneath(place: Place, flags: number, rules: number): Operation {
  const open = new Operation(Code.OpenBeneath);
  open.place = place;
  open.flags = flags;
  open.length = Resolve.Beneath | Resolve.NoMagicLinks | rules;
  return open;
}

function placeOfRaw(raw: string): Place {
  const { text, encoding } = textOf(Buffer.from(raw, 'latin1'));
  return new Place(text, encoding);
}

function partsOf(raw: string): string[] {
  return raw.split('/').filter((part) => part !== '' && part !== '.');
}

function escapes(action: string, path: string, words: string): IoError {
  return new IoError({ action, code: 'ERR_ESCAPE', path, step: 'resolve the path', words });
}

const LEADS_OUT = 'a symbolic link on its way leads out of the root';

/** A root, and the paths beneath it. Places are paths from the root. */
export class Jail implements Where {
  readonly engine: Engine;
  readonly root: Held;
  readonly resolution: Resolution;

  constructor(engine: Engine, root: Held, resolution: Resolution) {
    this.engine = engine;
    this.root = root;
    this.resolution = resolution;
  }

  place(path: PathLike, argument: string, action: string): Place {
    const place = placeOf(path, argument);
    const raw = rawOf(place);
    if (raw.startsWith('/')) {
      throw escapes(action, place.path, 'it does not begin at the root');
    }
    const parts = partsOf(raw);
    if (parts.includes('..')) throw escapes(action, place.path, 'it has a part ".."');
    return parts.length === 0 ? placeOf('.') : placeOfRaw(parts.join('/'));
  }

  *spot(place: Place, purpose: Purpose, action: string): Steps<Spot> {
    return yield* this.#spotOf(rawOf(place), purpose, action);
  }

  *followed(place: Place, purpose: Purpose, action: string): Steps<Spot> {
    let raw = rawOf(place);
    for (let links = 0; links <= LINKS_MAX; links++) {
      const spot = yield* this.#spotOf(raw, purpose, action);
      if (spot.base === '') return spot;
      const target = yield* readLink(spot.place);
      if (target === undefined) return spot;
      yield* letGo(spot.parent);
      if (target.startsWith('/')) throw escapes(action, place.path, LEADS_OUT);
      const cut = raw.lastIndexOf('/');
      raw = cut < 0 ? target : `${raw.slice(0, cut)}/${target}`;
    }
    throw new IoError({ action, code: 'ELOOP', path: place.path, step: 'resolve the path' });
  }

  directory(place: Place, purpose: Purpose, action: string): Steps<Held> {
    return this.#hold(rawOf(place), purpose, action);
  }

  levels(place: Place): Place[] {
    const parts = partsOf(rawOf(place));
    const paths = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
    return ['.', ...paths].map(placeOfRaw);
  }

  /* A link's target may end in `..` or `.`, which is a directory and not a name in one. */
  *#spotOf(raw: string, purpose: Purpose, action: string): Steps<Spot> {
    const parts = raw.split('/').filter((part) => part !== '');
    const base = parts.at(-1) ?? '.';
    if (base === '.' || base === '..') {
      const parent = yield* this.#hold(raw, purpose, action);
      return { parent, place: parent.place, base: '' };
    }
    const parent = yield* this.#hold(parts.slice(0, -1).join('/') || '.', purpose, action);
    return { parent, place: entryIn(parent, base), base };
  }

  *#hold(raw: string, purpose: Purpose, action: string): Steps<Held> {
    const flags = flagsFor(purpose);
    const place = raw === '.' ? this.root.place : entryIn(this.root, raw);
    const fd =
      this.resolution === 'kernel'
        ? yield* this.#open(place, raw, flags, action)
        : yield* this.#walk(raw, purpose, action);
    return { fd, place: new Place(place.path, place.encoding) };
  }

  *#open(place: Place, raw: string, flags: number, action: string): Steps<number> {
    const name = raw === '.' ? entryIn(this.root, '.') : place;
    for (let tries = 1; ; tries++) {
      const open = beneath(name, flags, 0);
      yield open;
      if (open.result >= 0) return open.result;
      if (open.result === errnoOf('EAGAIN') && tries < TRIES_MAX) continue;
      if (open.result === errnoOf('EXDEV')) throw escapes(action, place.path, LEADS_OUT);
      throw refused(open, { action, step: 'resolve the path', path: place.path });
    }
  }

  *#walk(raw: string, purpose: Purpose, action: string): Steps<number> {
    const walk = new Walk(this.root, action, entryIn(this.root, raw).path);
    try {
      return yield* walk.to(raw, purpose);
    } finally {
      yield* walk.close();
    }
  }
}

/** Where a link leads, one character a byte; `undefined` where none stands. */
function* readLink(place: Place): Steps<string | undefined> {
  const read = new Operation(Code.ReadLink);
  read.place = place;
  read.out = new Uint8Array(LINK_BYTES);
  yield read;
  if (read.result < 0) return undefined;
  return Buffer.from(read.out.buffer, 0, read.result).toString('latin1');
}

/** One way down from a root. Every directory on it stays open, so that `..` is a step back. */
class Walk {
  readonly #root: Held;
  readonly #action: string;
  readonly #path: string;
  readonly #way: Held[] = [];
  #links = 0;

  constructor(root: Held, action: string, path: string) {
    this.#root = root;
    this.#action = action;
    this.#path = path;
  }

  /** Answers a descriptor, which is the caller's. Errors: `IoError`. */
  *to(raw: string, purpose: Purpose): Steps<number> {
    const parts = raw.split('/').reverse();
    while (parts.length > 0) {
      const part = parts.pop() as string;
      if (part === '' || part === '.') continue;
      if (part === '..') {
        const left = this.#way.pop();
        if (left === undefined) throw escapes(this.#action, this.#path, LEADS_OUT);
        yield* letGo(left);
        continue;
      }
      const target = yield* this.#down(part);
      if (target === undefined) continue;
      if (target.startsWith('/')) throw escapes(this.#action, this.#path, LEADS_OUT);
      parts.push(...target.split('/').reverse());
    }
    const open = holding(entryIn(this.#here, '.'), purpose);
    yield open;
    if (open.result < 0) throw this.#refused(open);
    return open.result;
  }

  *close(): Steps<void> {
    yield* letGo(...this.#way);
  }

  get #here(): Held {
    return this.#way.at(-1) ?? this.#root;
  }

  /* Opens a part, or answers where it leads. What is neither was changed in between: once more. */
  *#down(part: string): Steps<string | undefined> {
    const place = entryIn(this.#here, part);
    for (;;) {
      const open = holding(place, 'names', OpenFlag.NoFollow);
      yield open;
      if (open.result >= 0) {
        this.#way.push({ fd: open.result, place: new Place(place.path, place.encoding) });
        return undefined;
      }
      const error = this.#refused(open);
      if (!isRefusal(error, 'ENOTDIR', 'ELOOP')) throw error;
      const target = yield* readLink(place);
      if (++this.#links > LINKS_MAX) throw target === undefined ? error : this.#loops();
      if (target !== undefined) return target;
      if (!(yield* isDirectory(place))) throw error;
    }
  }

  #refused(open: Operation): IoError {
    return refused(open, { action: this.#action, step: 'resolve the path', path: this.#path });
  }

  #loops(): IoError {
    const fields = { action: this.#action, path: this.#path, step: 'resolve the path' };
    return new IoError({ ...fields, code: 'ELOOP' });
  }
}

function* isDirectory(place: Place): Steps<boolean> {
  const open = holding(place, 'names', OpenFlag.NoFollow);
  yield open;
  if (open.result >= 0) yield closing(open.result);
  return open.result >= 0 || open.result === errnoOf('ELOOP');
}

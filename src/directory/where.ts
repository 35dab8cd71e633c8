/** Where paths are seen from: anywhere, or a root that nothing leads out of (jail.ts). */

import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { type Held, holdSteps, nameIn, type Purpose } from '../held.js';
import { type PathLike, type Place, placeOf } from '../platform.js';

/** A name, seen from the directory that it is in. */
export interface Spot {
  readonly parent: Held;
  readonly place: Place;
  /** Empty where the path names no entry of a directory: `/`, `.`, `..`. */
  readonly base: string;
}

export interface Where {
  readonly engine: Engine;
  /** Takes an argument as a place. Errors: `TypeError`; `IoError` where it may not be seen. */
  place(path: PathLike, argument: string, action: string): Place;
  /** Holds the directory that the last part of a path is in. Errors: `IoError`. */
  spot(place: Place, purpose: Purpose, action: string): Steps<Spot>;
  /** The same, behind the symbolic links that the last part may be. Errors: `IoError`. */
  followed(place: Place, purpose: Purpose, action: string): Steps<Spot>;
  /** Holds a directory, links followed. Errors: `IoError`. */
  directory(place: Place, purpose: Purpose, action: string): Steps<Held>;
  /** The directories along a path, from where it begins to the path itself. */
  levels(place: Place): Place[];
}

/** Paths as everybody has them. */
export class Anywhere implements Where {
  readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  place(path: PathLike, argument: string): Place {
    return placeOf(path, argument).trimmed();
  }

  *spot(place: Place, purpose: Purpose, action: string): Steps<Spot> {
    const parent = yield* holdSteps(this.engine, place.parent(), purpose, action);
    const { base } = place;
    if (base === '' || base === '.' || base === '..') return { parent, place, base: '' };
    return { parent, place: nameIn(parent, base), base };
  }

  followed(place: Place, purpose: Purpose, action: string): Steps<Spot> {
    return this.spot(place, purpose, action);
  }

  directory(place: Place, purpose: Purpose, action: string): Steps<Held> {
    return holdSteps(this.engine, place, purpose, action);
  }

  levels(place: Place): Place[] {
    const levels = [place];
    for (let at = place; ; ) {
      const above = at.parent().trimmed();
      if (above.path === at.path) return levels;
      levels.unshift(above);
      if (above.path === '.' || above.path === '/') return levels;
      at = above;
    }
  }
}

/** Refuses a path that names no entry of a directory. Errors: `IoError`. */
export function checkNamed({ base }: Spot, path: Place, action: string): void {
  if (base !== '') return;
  const words = 'it is no name in a directory';
  throw new IoError({ action, code: 'EINVAL', path: path.path, step: 'inspect', words });
}

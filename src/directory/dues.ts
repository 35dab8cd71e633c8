/** Directories that owe a sync. */
import type { Engine, Steps } from '../engine.js';
import type { IoError } from '../errors.js';
import { closing } from '../file.js';
import { groupSteps, type Held, identityOf, letGo, type Purpose, refused } from '../held.js';
import { Code, Operation } from '../platform.js';

/** What is done to an end once a name has changed, aborted or not. */
function bound<T extends Operation>(operation: T): T {
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

  /** Syncs a directory now, where that is owed, and goes on holding it. Errors: `IoError`. */
  *sync(held: Held, action: string): Steps<void> {
    if (!this.#isDurable || held.fd < 0) return;
    const sync = syncing(held);
    yield sync;
    const error = sync.result < 0 ? this.#refused(sync, action, held.place.path) : undefined;
    if (error !== undefined) throw error;
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

/**
 * Syncs of directories shared by the replaces that wait for them: a group commit without a timer.
 * A sync that has begun covers none of the names given after its beginning, so who comes while one
 * is under way waits for the next, which covers all who came by then.
 */
import { drive, type Engine } from '../engine.js';
import type { Operation } from '../platform.js';
import { directorySync } from './replacement.js';

interface Member {
  readonly descriptor: number;
  readonly order: number;
  readonly settle: (sync: Operation) => void;
  readonly fail: (error: unknown) => void;
}

interface Group {
  /** Named, and not covered by a sync that has begun. */
  waiting: Member[];
  isUnderWay: boolean;
}

/** The directories of one engine that replaces are under way in. */
export class SharedDirectories {
  readonly #engine: Engine;
  readonly #counts: Map<string, number> = new Map();
  readonly #groups: Map<string, Group> = new Map();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Counts one more replace in a directory; answers what takes it off again. */
  enter(path: string): () => void {
    this.#counts.set(path, this.countIn(path) + 1);
    return () => {
      const left = this.countIn(path) - 1;
      if (left > 0) this.#counts.set(path, left);
      else this.#counts.delete(path);
    };
  }

  countIn(path: string): number {
    return this.#counts.get(path) ?? 0;
  }

  /**
   * Syncs a directory for one whose file has its name there by now. `identity` is the same for two
   * descriptors only if they are open on one directory; `order` grows with the time of opening.
   */
  sync(identity: string, descriptor: number, order: number): Promise<Operation> {
    const group = this.#groups.get(identity) ?? { waiting: [], isUnderWay: false };
    this.#groups.set(identity, group);
    const done = new Promise<Operation>((settle, fail) => {
      group.waiting.push({ descriptor, order, settle, fail });
    });
    /* Whoever is told in the same turn of the loop comes before this. */
    if (!group.isUnderWay) {
      group.isUnderWay = true;
      queueMicrotask(() => void this.#run(identity, group));
    }
    return done;
  }

  async #run(identity: string, group: Group): Promise<void> {
    while (group.waiting.length > 0) {
      const members = group.waiting;
      group.waiting = [];
      try {
        const operation = await this.#syncOldest(members);
        for (const { settle } of members) settle(operation);
      } catch (error) {
        for (const { fail } of members) fail(error);
      }
      /* Those who were told go on, and who waits for them may have come by then. */
      await undefined;
    }
    group.isUnderWay = false;
    if (this.#groups.get(identity) === group) this.#groups.delete(identity);
  }

  /*
   * Through the descriptor opened first: a descriptor is told of what was lost since its opening
   * (errseq_t, Linux 4.13), so the oldest is told whatever any of the others would have been.
   */
  #syncOldest(members: readonly Member[]): Promise<Operation> {
    const [oldest] = [...members].sort((a, b) => a.order - b.order);
    const operation = directorySync((oldest as Member).descriptor);
    const steps = (function* () {
      yield operation;
      return operation;
    })();
    return drive(this.#engine, steps);
  }
}

const byEngine = new WeakMap<Engine, SharedDirectories>();

/** The one table of an engine. */
export function sharedOn(engine: Engine): SharedDirectories {
  const shared = byEngine.get(engine) ?? new SharedDirectories(engine);
  byEngine.set(engine, shared);
  return shared;
}

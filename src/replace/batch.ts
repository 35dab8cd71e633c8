/** Many files in one call: all made and synced before the first is named, one sync a directory. */
import type { Sequence } from '../buffers.js';
import { drive, driveSync, type Engine, type Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { closing } from '../file.js';
import { Code, linked, Operation, type Place } from '../platform.js';
import type { ReplaceSettings } from './options.js';
import type { Patience } from './patience.js';
import { directorySync, Replacement, type ReplaceReport } from './replacement.js';
import { Held } from './spot.js';
import { taskSteps } from './tasks.js';

/* Files under construction that are open at a time. */
const OPEN_MAX = 64;

/**
 * Some of the files of a `replaceFiles` were not replaced: which, and how many were. A failure
 * before the first rename leaves every target as it was: `replacedCount` is 0.
 */
export class ReplaceFilesError extends IoError {
  override readonly name: string = 'ReplaceFilesError';
  /** Of the first entry that failed. */
  readonly index: number;
  /** So many entries, from the first on, have their new content. */
  readonly replacedCount: number;

  constructor(cause: IoError, index: number, replacedCount: number) {
    super({
      action: `replace file ${index} of the batch, with ${replacedCount} replaced`,
      code: cause.code,
      kind: cause.kind,
      errno: cause.errno,
      syscall: cause.syscall,
      path: cause.path,
      offset: cause.offset,
      bytesDone: cause.bytesDone,
      step: cause.step,
      durable: cause.durable,
      cause,
    });
    this.index = index;
    this.replacedCount = replacedCount;
  }
}

/** One file of a batch: where, how, and the content or what writes it between two steps. */
export interface BatchEntry {
  readonly place: Place;
  readonly settings: ReplaceSettings;
  readonly content: Sequence | undefined;
  /** For content that comes bit by bit: from `begin` to before `complete`. */
  readonly pour: ((replacement: Replacement) => Promise<void>) | undefined;
}

type Work = Steps<void> | (() => Promise<void>);

/** Works that may go on side by side; thrown back is the failure of the first. */
interface Phase {
  readonly works: readonly Work[];
  readonly mayStop: boolean;
}

class Failure {
  readonly index: number;
  readonly reason: unknown;

  constructor(index: number, reason: unknown) {
    this.index = index;
    this.reason = reason;
  }
}

type Plan = Generator<Phase, readonly ReplaceReport[], void>;

export class Batch {
  readonly #engine: Engine;
  readonly #entries: readonly BatchEntry[];
  readonly #files: readonly Replacement[];
  readonly #held = new Held();

  constructor(engine: Engine, entries: readonly BatchEntry[]) {
    this.#engine = engine;
    this.#entries = entries;
    this.#files = entries.map(
      ({ place, settings }) => new Replacement(engine, place, settings, this.#held),
    );
  }

  /** Side by side. Errors: as `plan`. */
  async run(patience: Patience): Promise<readonly ReplaceReport[]> {
    const plan = this.#plan();
    for (let step = plan.next(); ; ) {
      if (step.done === true) return step.value;
      const { works, mayStop } = step.value;
      const stop = mayStop ? patience.interrupt : undefined;
      const ended = await Promise.allSettled(
        works.map((work) =>
          typeof work === 'function' ? work() : drive(this.#engine, work, stop),
        ),
      );
      const index = ended.findIndex(({ status }) => status === 'rejected');
      const failed = ended[index] as PromiseRejectedResult | undefined;
      step = failed === undefined ? plan.next() : plan.throw(new Failure(index, failed.reason));
    }
  }

  /** One after the other. Errors: as `plan`. */
  runSync(): readonly ReplaceReport[] {
    const plan = this.#plan();
    for (let step = plan.next(); ; ) {
      if (step.done === true) return step.value;
      let failure: Failure | undefined;
      for (const [index, work] of step.value.works.entries()) {
        try {
          driveSync(this.#engine, work as Steps<void>);
        } catch (reason) {
          failure ??= new Failure(index, reason);
        }
      }
      step = failure === undefined ? plan.next() : plan.throw(failure);
    }
  }

  /** At the end of the process. */
  *forsake(): Steps<void> {
    for (const file of this.#files) yield* file.forsake();
  }

  /* Errors: `ReplaceFilesError`; what a source throws and `AbortError`, before the first rename. */
  *#plan(): Plan {
    try {
      yield* this.#make();
    } catch (failure) {
      yield* this.#end();
      throw this.#told(failure as Failure, 0);
    }
    let failure: Failure | undefined;
    try {
      yield together([this.#name()]);
    } catch (thrown) {
      failure = new Failure(this.#namedCount, (thrown as Failure).reason);
    }
    try {
      yield* this.#syncDirectories();
    } catch (thrown) {
      failure ??= thrown as Failure;
    }
    yield* this.#end();
    if (failure !== undefined) throw this.#told(failure, this.#namedCount);
    return this.#files.map((file) => file.report());
  }

  get #namedCount(): number {
    return this.#files.filter(({ isNamed }) => isNamed).length;
  }

  #told({ index, reason }: Failure, replacedCount: number): unknown {
    const error = this.#files[index]?.told(reason) ?? reason;
    const isOurs = error instanceof IoError && error.kind !== 'timeout';
    return isOurs ? new ReplaceFilesError(error, index, replacedCount) : error;
  }

  /* The first of each directory opens it for all. */
  *#make(): Generator<Phase, void, void> {
    const firsts = new Map<string, number>();
    for (const [index, { place }] of this.#entries.entries()) {
      const directory = place.parent().path;
      if (!firsts.has(directory)) firsts.set(directory, index);
    }
    const all = [...firsts.values()];
    yield* this.#phases(all, (file) => file.look());
    const indexes = [...this.#files.keys()];
    for (let from = 0; from < indexes.length; from += OPEN_MAX) {
      const some = indexes.slice(from, from + OPEN_MAX);
      yield* this.#phases(some, (file, index) => this.#ready(file, index));
      yield* this.#phases(some, (file) => file.sync());
    }
  }

  #ready(file: Replacement, index: number): Work {
    const { content, pour } = this.#entries[index] as BatchEntry;
    if (pour === undefined) return file.ready(content as Sequence);
    return async () => {
      await pour(file);
      await drive(this.#engine, file.complete());
    };
  }

  *#phases(
    indexes: readonly number[],
    workOf: (file: Replacement, index: number) => Work,
  ): Generator<Phase, void, void> {
    try {
      yield {
        works: indexes.map((index) => workOf(this.#files[index] as Replacement, index)),
        mayStop: true,
      };
    } catch (thrown) {
      const { index, reason } = thrown as Failure;
      throw new Failure(indexes[index] as number, reason);
    }
  }

  /* In order and on one thread: whatever ends it, the files named are the first ones. */
  *#name(): Steps<void> {
    yield* taskSteps(this.#files.flatMap((file) => file.naming()));
  }

  *#syncDirectories(): Generator<Phase, void, void> {
    const named = [...this.#files.entries()].filter(
      ([, file]) => file.isNamed && file.wantsDirectory,
    );
    for (const [, file] of named) if (file.directory < 0) file.directorySynced(undefined);
    const inDirectory = new Map<number, number[]>();
    for (const [index, { directory }] of named) {
      if (directory >= 0)
        inDirectory.set(directory, [...(inDirectory.get(directory) ?? []), index]);
    }
    const same = new Map<string, number[]>();
    yield together([this.#identify(inDirectory, same)]);
    const groups = [...same.values()];
    try {
      yield together(groups.map((indexes) => this.#syncDirectory(indexes)));
    } catch (thrown) {
      const { index, reason } = thrown as Failure;
      throw new Failure(groups[index]?.[0] ?? 0, reason);
    }
  }

  /* Two paths may lead to one directory. */
  *#identify(inDirectory: ReadonlyMap<number, number[]>, same: Map<string, number[]>): Steps<void> {
    for (const [descriptor, indexes] of inDirectory) {
      const stat = new Operation(Code.Stat);
      stat.fd = descriptor;
      stat.mustRun = true;
      yield stat;
      const { device, inode } = stat.stat ?? { device: 'only', inode: descriptor };
      const key = `${device}:${inode}`;
      same.set(key, [...(same.get(key) ?? []), ...indexes]);
    }
  }

  *#syncDirectory(indexes: readonly number[]): Steps<void> {
    const files = indexes.map((index) => this.#files[index] as Replacement);
    const sync = directorySync((files[0] as Replacement).directory);
    yield sync;
    for (const file of files) file.directorySynced(sync);
  }

  /* Whatever is left: temporary files, sweeps, directories. What came before is what is told. */
  *#end(): Generator<Phase, void, void> {
    try {
      yield together([this.#tidy()]);
    } catch {
      /* The power of a simulated disk went: nothing else fails here. */
    }
  }

  *#tidy(): Steps<void> {
    for (const file of this.#files) {
      if (file.isNamed) yield* file.close();
      else yield* file.abandon();
    }
    const closes = this.#held.descriptors.map(closing);
    for (const close of closes) yield linked(close);
  }
}

function together(works: readonly Work[]): Phase {
  return { works, mayStop: false };
}

/** Several changes in order, and one sync for each directory at the end. */

import { type Buffers, type Sequence, sequenceOf } from '../buffers.js';
import { type CopyOptions, copySettingsOf, copySteps } from '../copy.js';
import { drive, driveSync, engineOf, type Steps } from '../engine.js';
import { AbortError, IoError, invalidType } from '../errors.js';
import { signalOf } from '../file.js';
import { holdSteps } from '../held.js';
import type { PathLike, Place } from '../platform.js';
import { inTurn, Replacement, type ReplaceOptions, replaceSettingsOf } from '../replace.js';
import { Dues, type Fallback } from './dues.js';
import { makeSteps } from './make.js';
import { moveSteps } from './move.js';
import {
  type DirectoryOptions,
  type DurableOptions,
  durableOf,
  type MakeDirectoryOptions,
  type MoveOptions,
  makeSettingsOf,
  moveSettingsOf,
  type RemoveOptions,
  removeSettingsOf,
} from './options.js';
import { removeFileSteps, removeTreeSteps } from './remove.js';
import { Anywhere, checkNamed, type Where } from './where.js';

const ACTION = 'run the batch';
const WRITE = 'replace the file';
/* Directories held at once; beyond that they are synced early. */
const DIRECTORIES_MAX = 256;

export type BatchOperation = 'write' | 'copy' | 'move' | 'remove' | 'removeTree' | 'makeDirectory';

export interface BatchReport {
  /** How many operations were done: all of them. */
  readonly completed: number;
  /** Bytes of the files written and copied. */
  readonly bytes: number;
  /** Directories synced at the end. */
  readonly directories: number;
  /** What a power cut from now on leaves: all of it, or no promise. */
  readonly durability: 'full' | 'none';
  readonly engine: string;
  readonly fallbacks: readonly Fallback[];
}

interface Failure {
  readonly index: number;
  readonly operation: BatchOperation;
  readonly areDurable: boolean;
  readonly cause: IoError;
}

/**
 * An operation of a batch was refused: the ones before it are done, those after it were not begun.
 * Code, path and the rest are those of the refusal, which is the `cause`.
 */
export class BatchError extends IoError {
  override readonly name: string = 'BatchError';
  /** Which one, counted from 0. */
  readonly index: number;
  readonly operation: BatchOperation;
  /** How many were done before it. */
  readonly completed: number;
  /** Whether those survive a power cut. */
  readonly completedDurable: boolean;

  constructor({ index, operation, areDurable, cause }: Failure) {
    const { code, kind, errno, syscall, path, dest, offset, bytesDone, step, durable } = cause;
    const action = `${ACTION}: operation ${index}, ${operation}`;
    const told = { code, kind, errno, syscall, path, dest, offset, bytesDone, step, durable };
    super({ ...told, action, cause });
    this.index = index;
    this.operation = operation;
    this.completed = index;
    this.completedDurable = areDurable;
  }
}

interface Task {
  readonly operation: BatchOperation;
  /** Takes turns with replaces of this path. */
  readonly turn: Place | undefined;
  /** Answers bytes. */
  readonly steps: (where: Where, dues: Dues) => Steps<number>;
}

export interface BatchOptions extends DurableOptions {}

export type BatchWriteOptions = Omit<
  ReplaceOptions,
  'durable' | 'onTemporary' | 'engine' | 'signal'
>;

export type BatchCopyOptions = Pick<
  CopyOptions,
  'reflink' | 'replace' | 'keepTimes' | 'followSymlink'
>;

/** Changes to be made. Made by `batch`. */
export class Batch {
  readonly #where: Anywhere;
  readonly #isDurable: boolean;
  readonly #tasks: Task[] = [];
  #hasRun = false;

  /** For `batch`. */
  constructor(options: BatchOptions) {
    this.#isDurable = durableOf(options);
    this.#where = new Anywhere(engineOf(options.engine));
  }

  /** How many operations there are. */
  get count(): number {
    return this.#tasks.length;
  }

  /**
   * Puts new content under a name, as `replaceFile` does.
   *
   * Lifetime: views are the library's until the batch has run.
   * Errors: `TypeError`, `RangeError` for bad input, at once.
   */
  write(path: PathLike, data: string | Buffers, options: BatchWriteOptions = {}): this {
    const durable = this.#isDurable ? 'file' : false;
    const settings = replaceSettingsOf({ ...options, durable });
    const content = contentOf(data, settings.encoding);
    const place = this.#where.place(path, 'path');
    return this.#add('write', place, (where, dues) =>
      newContentSteps(where, dues, place, (target) =>
        new Replacement(where.engine, target, settings).all(content),
      ),
    );
  }

  /** Copies a file, as `copyFile` does. Errors: as `write`. */
  copy(source: PathLike, target: PathLike, options: BatchCopyOptions = {}): this {
    const durable = this.#isDurable ? 'file' : false;
    const settings = copySettingsOf({ ...options, durable });
    const from = this.#where.place(source, 'source');
    const place = this.#where.place(target, 'target');
    return this.#add('copy', place, (where, dues) =>
      newContentSteps(where, dues, place, (target) =>
        copySteps(where.engine, { source: from, target }, settings),
      ),
    );
  }

  /** Gives a file another name, as `moveFile` does. Errors: as `write`. */
  move(source: PathLike, target: PathLike, options: Pick<MoveOptions, 'replace'> = {}): this {
    const settings = moveSettingsOf(options);
    const places = {
      source: this.#where.place(source, 'source'),
      target: this.#where.place(target, 'target'),
    };
    return this.#add('move', undefined, function* (where, dues) {
      yield* moveSteps(where, places, settings, dues);
      return 0;
    });
  }

  /** Removes a file, as `removeFile` does. Errors: as `write`. */
  remove(path: PathLike, options: Pick<RemoveOptions, 'mustExist'> = {}): this {
    const settings = removeSettingsOf(options, true);
    const place = this.#where.place(path, 'path');
    return this.#add('remove', undefined, function* (where, dues) {
      yield* removeFileSteps(where, place, settings, dues);
      return 0;
    });
  }

  /** Removes a tree, as `removeTree` does. Errors: as `write`. */
  removeTree(path: PathLike, options: Pick<RemoveOptions, 'mustExist'> = {}): this {
    const settings = removeSettingsOf(options, false);
    const place = this.#where.place(path, 'path');
    return this.#add('removeTree', undefined, function* (where, dues) {
      yield* removeTreeSteps(where, place, settings, dues);
      return 0;
    });
  }

  /** Makes a directory, as `makeDirectory` does. Errors: as `write`. */
  makeDirectory(
    path: PathLike,
    options: Pick<MakeDirectoryOptions, 'recursive' | 'mode'> = {},
  ): this {
    const settings = makeSettingsOf(options);
    const place = this.#where.place(path, 'path');
    return this.#add('makeDirectory', undefined, function* (where, dues) {
      yield* makeSteps(where, place, settings, dues);
      return 0;
    });
  }

  /**
   * Runs the operations in order, stops at the first that is refused, and syncs each directory once
   * at the end; after a refusal too, so that what was done is durable.
   *
   * Order: that of the calls; writes take turns with `replaceFile` of the same path.
   * Durable: when it resolves, a power cut leaves all of it. Not atomic: cut before, any first part
   * of it may be there, and names in different directories in any order.
   * Errors: `BatchError` with `index` and `completed`; `AbortError` with the same two; `TypeError`
   * when it has run already; `IoError` of kind `durable: 'unknown'` when only a sync failed.
   */
  async run(options: Omit<DirectoryOptions, 'engine'> = {}): Promise<BatchReport> {
    const signal = signalOf(options);
    const { engine } = this.#where;
    const tally = this.#begin();
    for (const [index, task] of this.#tasks.entries()) {
      try {
        const work = (): Promise<number> => {
          return drive(engine, stepsOf(task, this.#where, tally.dues), signal);
        };
        tally.bytes += await (task.turn === undefined ? work() : inTurn(task.turn, work));
      } catch (error) {
        throw await drive(engine, failureSteps(tally, task, { index, error }));
      }
    }
    return drive(engine, this.#endSteps(tally));
  }

  /** As `run`, on the calling thread, and not in turn with others. Errors: as `run`. */
  runSync(): BatchReport {
    const { engine } = this.#where;
    const tally = this.#begin();
    for (const [index, task] of this.#tasks.entries()) {
      try {
        tally.bytes += driveSync(engine, stepsOf(task, this.#where, tally.dues));
      } catch (error) {
        throw driveSync(engine, failureSteps(tally, task, { index, error }));
      }
    }
    return driveSync(engine, this.#endSteps(tally));
  }

  #add(operation: BatchOperation, turn: Place | undefined, steps: Task['steps']): this {
    if (this.#hasRun) throw hasRun();
    this.#tasks.push({ operation, turn, steps });
    return this;
  }

  #begin(): Tally {
    if (this.#hasRun) throw hasRun();
    this.#hasRun = true;
    const dues = new Dues(this.#where.engine, this.#isDurable);
    return { dues, bytes: 0 };
  }

  *#endSteps({ dues, bytes }: Tally): Steps<BatchReport> {
    yield* dues.settle(ACTION);
    return {
      completed: this.#tasks.length,
      bytes,
      directories: dues.syncCount,
      durability: dues.durability,
      engine: this.#where.engine.name,
      fallbacks: dues.fallbacks,
    };
  }
}

interface Tally {
  readonly dues: Dues;
  bytes: number;
}

function hasRun(): TypeError {
  const error = new TypeError('A batch runs once, and takes no operation after that');
  return Object.assign(error, { code: 'ERR_INVALID_STATE' });
}

function contentOf(data: unknown, encoding: BufferEncoding): Sequence {
  if (typeof data === 'string') return sequenceOf(Buffer.from(data, encoding), 'data');
  if (typeof data !== 'object' || data === null) {
    throw invalidType('data', 'a string, an ArrayBufferView or an iterable of them', data);
  }
  return sequenceOf(data as Buffers, 'data');
}

function* stepsOf(task: Task, where: Where, dues: Dues): Steps<number> {
  const bytes = yield* task.steps(where, dues);
  yield* dues.trim();
  if (dues.count > DIRECTORIES_MAX) yield* dues.settle(ACTION);
  return bytes;
}

/** What a replace and a copy tell, as far as it matters here. */
interface Written {
  readonly path: string;
  readonly bytes: number;
}

function* newContentSteps(
  where: Where,
  dues: Dues,
  place: Place,
  write: (target: Place) => Steps<Written>,
): Steps<number> {
  const spot = yield* where.spot(place, dues.purpose, WRITE);
  yield* dues.add(spot.parent);
  checkNamed(spot, place, WRITE);
  const { path, bytes } = yield* write(spot.place);
  if (path !== spot.place.path) {
    /* A symbolic link led into another directory. */
    const there = where.place(path, 'path', WRITE).parent();
    yield* dues.add(yield* holdSteps(where.engine, there, dues.purpose, WRITE));
  }
  return bytes;
}

/* What was done before is made durable, as far as it can be; the first error is the one to tell. */
function* failureSteps(
  { dues }: Tally,
  { operation }: Task,
  { index, error }: { readonly index: number; readonly error: unknown },
): Steps<unknown> {
  let areDurable = true;
  try {
    yield* dues.settle(ACTION);
    areDurable = dues.durability === 'full';
  } catch {
    areDurable = false;
  }
  if (error instanceof AbortError) {
    return Object.assign(error, { index, completed: index, completedDurable: areDurable });
  }
  if (!(error instanceof IoError)) return error;
  return new BatchError({ index, operation, areDurable, cause: error });
}

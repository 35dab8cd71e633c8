/**
 * JSON lines with a journal's promises: each value a line, durable when its append resolves, in a
 * file that any program reads. Hides shared syncs, locks, and what a crash leaves at the end.
 *
 * Invariants: 1. A value whose append resolved is there after any crash, in one whole line.
 *             2. Nothing is ever written behind a line that is not whole: a torn one is put aside
 *                and cut, and the cut is durable, before the next append.
 *             3. After a failed write or sync nothing more is acknowledged until it is reopened.
 * Not promised: that who reads during an append sees all of its last line, since ext4 shows the
 * pages of a write one by one; that of appends under way at a power cut those that are there are
 * the first ones; that somebody who appends without asking for the lock is kept from it; checksums:
 * a line that was changed and is still JSON goes unseen.
 * Source: https://jsonlines.org; open(2), fcntl(2); Pillai et al., OSDI 2014 (zeros at the end)
 */
import { drive, driveSync, type Engine, engineOf, type Steps, start, Turns } from './engine.js';
import { IoError } from './errors.js';
import {
  acquireSteps,
  closeSteps,
  fileSteps,
  Latch,
  Lock,
  type LockParts,
  lockWishOf,
  type OpenFile,
  stepsOf,
  syncSteps,
  writeAndSyncSteps,
} from './file.js';
import { valuesOf } from './jsonl/lines.js';
import { type JsonlOptions, type JsonlSettings, lineOf, settingsOf } from './jsonl/options.js';
import {
  blankSteps,
  blankZerosSteps,
  cutSteps,
  doubtedSteps,
  GROUP_BYTES_MAX,
  type LinesTail,
  mendSteps,
  type NulRun,
  nulRunsSteps,
  syncNameSteps,
  tailSteps,
} from './jsonl/tail.js';
import { Code, type PathLike, type Place, placeOf } from './platform.js';

export type { JsonlOptions, LinesTail, NulRun };

/** What was found when a file of lines was opened, and what was done. */
export interface JsonlRecovery {
  /** What the file ended with. */
  readonly tail: LinesTail;
  /** Bytes behind the last whole line that were cut off; where they were put aside. */
  readonly cutBytes: number;
  readonly keptPath: string | undefined;
  /** Lines that a power cut tore among others of its last write: blanks stand there now. */
  readonly blanked: readonly NulRun[];
  /** Stretches of zeros among the lines; blanks stand there now, unless it is open for reading. */
  readonly nulRuns: readonly NulRun[];
  /** What was asked for and is not given, and why. */
  readonly fallbacks: readonly { readonly what: string; readonly reason: string }[];
}

interface Waiter {
  readonly line: string;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: unknown) => void;
}

interface Opened {
  readonly file: OpenFile;
  readonly place: Place;
  readonly lock: Lock | undefined;
  readonly end: number;
  readonly recovery: JsonlRecovery;
}

/** A file of JSON lines. Made by `openJsonl`. */
export class Jsonl {
  readonly #opened: Opened;
  readonly #settings: JsonlSettings;
  readonly #latch = new Latch();
  readonly #turns = new Turns<'append'>();
  #waiting: Waiter[] = [];
  #end: number;
  #isScheduled = false;
  #isClosing = false;
  #closed: Promise<void> | undefined;

  /** For `openJsonl`. */
  constructor(opened: Opened, settings: JsonlSettings) {
    this.#opened = opened;
    this.#settings = settings;
    this.#end = opened.end;
  }

  get path(): string {
    return this.#opened.place.path;
  }

  /** What was found at the opening, and what was done about it. */
  get recovery(): JsonlRecovery {
    return this.#opened.recovery;
  }

  /**
   * Appends a value as a line. Answers the offset at which it begins.
   *
   * Order: as the calls.
   * Durable: when it resolves. All that are appended in one turn share one write and one sync.
   * Lifetime: the value is made text at once.
   * Errors: `TypeError` for what JSON cannot hold; `IoError`: of kind `no-space` with the file as
   * it was, else it is broken, and every later call tells this first cause; `LockHeldError`.
   */
  append(value: unknown): Promise<number> {
    return new Promise((resolve, reject) => {
      const line = lineOf(value);
      this.#checkUsable('append a line');
      this.#waiting.push({ line, resolve, reject });
      this.#soon();
    });
  }

  /**
   * As `append`, on the calling thread.
   *
   * Errors: as `append`; `EBUSY` while an asynchronous append is under way.
   */
  appendSync(value: unknown): number {
    const line = lineOf(value);
    this.#checkUsable('append a line');
    if (this.#waiting.length > 0 || this.#turns.isTaken('append')) {
      const words = 'an asynchronous append is under way';
      throw new IoError({ action: 'append a line', code: 'EBUSY', path: this.path, words });
    }
    const { engine } = this.#opened.file;
    return driveSync(engine, this.#appendSteps(Buffer.from(line)));
  }

  /**
   * The values in the file now, in their order. Lines that others append meanwhile are not among
   * them.
   *
   * Errors: `IoError` of kind `corrupt`, with the offset, for a line that is not JSON.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, void> {
    this.#checkOpen('read the lines');
    await this.#ended();
    const { file } = this.#opened;
    const { size } = await file.stat();
    yield* valuesOf(file, size);
  }

  /**
   * Closes it after what was appended; again is the same promise.
   *
   * Errors: `IoError`.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    await this.#ended();
    const { file, lock } = this.#opened;
    const { engine } = file;
    const { sync, readOnly } = this.#settings;
    try {
      const isUnsynced = sync === false && !readOnly && this.#latch.cause === undefined;
      if (isUnsynced) await drive(engine, syncSteps(file));
    } finally {
      if (lock !== undefined) await drive(engine, lock.releaseSteps());
      await file.close();
    }
  }

  /* All that was appended by now has ended. */
  #ended(): Promise<void> {
    if (this.#waiting.length > 0) this.#begin();
    return this.#turns.take('append', async () => undefined);
  }

  #checkOpen(action: string): void {
    if (!this.#isClosing) return;
    const words = 'the file is closed';
    throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'closed', words });
  }

  #checkUsable(action: string): void {
    this.#checkOpen(action);
    if (this.#settings.readOnly) {
      const words = 'the file is open for reading only';
      throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'access', words });
    }
    this.#latch.check(action, this.path);
  }

  /* What is appended in this turn goes together; what comes meanwhile is the next. */
  #soon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => this.#begin());
  }

  #begin(): void {
    this.#turns.enter('append', () => {
      this.#isScheduled = false;
      const group = this.#nextGroup();
      if (group.length === 0) {
        this.#turns.leave('append');
        return;
      }
      const bytes = Buffer.from(group.map(({ line }) => line).join(''));
      const resolve = (offset: number): void => {
        this.#turns.leave('append');
        resolveAll(group, offset);
      };
      const reject = (error: unknown): void => {
        this.#turns.leave('append');
        for (const waiter of group) waiter.reject(error);
      };
      start(this.#opened.file.engine, this.#appendSteps(bytes), { resolve, reject });
    });
  }

  /* As much as one write may have; the rest is the next. */
  #nextGroup(): readonly Waiter[] {
    const waiting = this.#waiting;
    let bytes = 0;
    let count = 0;
    while (count < waiting.length) {
      bytes += 3 * (waiting[count] as Waiter).line.length;
      if (count > 0 && bytes > GROUP_BYTES_MAX) break;
      count++;
    }
    this.#waiting = waiting.slice(count);
    if (this.#waiting.length > 0) this.#soon();
    return waiting.slice(0, count);
  }

  /* Where others append too, the end is looked for under the lock, and may have to be mended. */
  *#appendSteps(bytes: Uint8Array): Steps<number> {
    const { file, place } = this.#opened;
    this.#latch.check('append a line', this.path);
    if (!this.#settings.shared) return yield* this.#putSteps(bytes, this.#end);
    const lock = yield* lockSteps(file, this.#settings);
    try {
      const { end } = yield* mendSteps(file, place);
      return yield* this.#putSteps(bytes, end);
    } finally {
      yield* lock.releaseSteps();
    }
  }

  *#putSteps(bytes: Uint8Array, end: number): Steps<number> {
    const { file } = this.#opened;
    const { sync } = this.#settings;
    const code = sync === false ? undefined : sync === 'full' ? Code.Sync : Code.SyncData;
    try {
      yield* writeAndSyncSteps(file, bytes, end, code);
    } catch (error) {
      yield* this.#failed(error, end);
      throw error;
    }
    this.#end = end + bytes.length;
    return end;
  }

  /* What a full disk took of a line goes again; anything else breaks the file. */
  *#failed(error: unknown, end: number): Steps<void> {
    if (!(error instanceof IoError)) return;
    const isFull =
      error.kind === 'no-space' || error.kind === 'quota' || error.kind === 'too-large';
    if (!isFull || this.#opened.file.latch.cause !== undefined) {
      this.#latch.trip(error);
      return;
    }
    try {
      yield* cutSteps(this.#opened.file, end);
    } catch {
      this.#latch.trip(error);
    }
  }
}

/* Each line begins where the one before it ends. */
function resolveAll(group: readonly Waiter[], offset: number): void {
  let at = offset;
  for (const { line, resolve } of group) {
    resolve(at);
    at += Buffer.byteLength(line);
  }
}

function* lockSteps(file: OpenFile, { lockTimeoutMs: timeoutMs }: JsonlSettings): Steps<Lock> {
  const reason = file.engine.capabilities.locks;
  if (reason !== true) {
    const fields = { action: 'lock the file', path: file.path, step: 'lock', words: reason };
    throw new IoError({ ...fields, code: 'ENOSYS' });
  }
  return new Lock((yield* acquireSteps(file, { ...lockWishOf({}), timeoutMs })) as LockParts);
}

function* openSteps(engine: Engine, place: Place, settings: JsonlSettings): Steps<Opened> {
  const { readOnly, create, mode, shared } = settings;
  const access = readOnly ? 'read' : 'read-write';
  const file = yield* fileSteps(engine, place, { access, create, mode });
  let isKept = false;
  let lock: Lock | undefined;
  try {
    const fallbacks: { what: string; reason: string }[] = [];
    const locks = engine.capabilities.locks;
    if (!readOnly && locks !== true && !shared) fallbacks.push({ what: 'lock', reason: locks });
    else if (!readOnly) lock = yield* lockSteps(file, settings);
    const opened = yield* recoverSteps(file, place, settings, fallbacks);
    if (shared && lock !== undefined) {
      yield* lock.releaseSteps();
      lock = undefined;
    }
    isKept = true;
    return { ...opened, lock };
  } finally {
    if (!isKept) {
      if (lock !== undefined) yield* lock.releaseSteps();
      yield* closeSteps(file);
    }
  }
}

/* What a crashed process wrote becomes durable before anything is decided about it. */
function* recoverSteps(
  file: OpenFile,
  place: Place,
  { readOnly }: JsonlSettings,
  fallbacks: { what: string; reason: string }[],
): Steps<Omit<Opened, 'lock'>> {
  if (readOnly) {
    const { kind: tail, end } = yield* tailSteps(file);
    const nulRuns = yield* nulRunsSteps(file, end);
    const cut = { cutBytes: 0, keptPath: undefined, blanked: [] };
    const recovery = { tail, ...cut, nulRuns, fallbacks };
    return { file, place, end, recovery };
  }
  yield* syncSteps(file, Code.Sync);
  const { taken } = yield* stepsOf(file, () => file.advise('dontneed'));
  yield* syncNameSteps(file.engine, place);
  const doubted = taken ? undefined : yield* doubtedSteps(file, place);
  const isUnknown = typeof doubted === 'string';
  if (isUnknown) fallbacks.push({ what: 'page cache', reason: doubted });
  const { tail, end, keptPath } = yield* mendSteps(file, place, isUnknown ? undefined : doubted);
  const { blanked, keptPath: blankedPath } = yield* blankSteps(file, place, end);
  const nulRuns = yield* nulRunsSteps(file, end);
  yield* blankZerosSteps(file, nulRuns);
  const cutBytes = keptPath === undefined ? 0 : tail.size - tail.end;
  const kept = { cutBytes, keptPath: keptPath ?? blankedPath, blanked };
  return { file, place, end, recovery: { tail: tail.kind, ...kept, nulRuns, fallbacks } };
}

/**
 * Opens a file of JSON lines, or makes one; what a crash left at its end is put aside and cut.
 *
 * Durable: what was there is made durable first, and the name of the file too.
 * Errors: `TypeError`, `RangeError` for options; `LockHeldError` with the owner where another
 * process appends, unless both say `shared`; `IoError`, of kind `unsupported` for `shared` on an
 * engine without locks; `AbortError`.
 */
export async function openJsonl(path: PathLike, options: JsonlOptions = {}): Promise<Jsonl> {
  const settings = settingsOf(options);
  const engine = engineOf(options.engine);
  const place = placeOf(path);
  return new Jsonl(
    await drive(engine, openSteps(engine, place, settings), options.signal),
    settings,
  );
}

/** As `openJsonl`, on the calling thread. Errors: as `openJsonl`. */
export function openJsonlSync(path: PathLike, options: JsonlOptions = {}): Jsonl {
  const settings = settingsOf(options);
  const engine = engineOf(options.engine);
  return new Jsonl(driveSync(engine, openSteps(engine, placeOf(path), settings)), settings);
}

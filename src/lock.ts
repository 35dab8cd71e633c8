/**
 * Lock files: files that are there to be locked, so that processes take turns at something else.
 * The lock is the kernel's and goes with its holder, however that ends; what stands in the file
 * says who holds it and decides nothing.
 *
 * Invariants: 1. Whoever has a lock had it on the file that bore the name after it was taken.
 *             2. At most one holder of an exclusive lock of one file; a holder whose process is
 *                stopped or slow still holds it.
 *             3. A file that has other content than a record of this room is not written to.
 * Not promised: exclusion of whoever locks after the file was removed or replaced under a holder
 * (see `intact`); of whoever does not ask; order among processes.
 * Source: fcntl(2), open file description locks, kernel 3.15
 */

import type { Steps } from './engine.js';
import { chanceOf, clockOf, drive, driveSync, type Engine, engineOf, Pause } from './engine.js';
import { IoError, invalidType } from './errors.js';
import {
  acquireSteps,
  closing,
  type Identity,
  Lock,
  type LockClaim,
  type LockKindOptions,
  type LockOwner,
  type LockParts,
  type LockPrimitive,
  type LockWaitOptions,
  type LockWays,
  lockCall,
  lockWishOf,
  modeOf,
  ownerByNumber,
  ownerSeen,
  type PathLike,
  taken,
} from './file.js';
import { absolute, type LockFileHome, openLockFile } from './lock/open.js';
import { blankRecord, ownRecord, RECORD_BYTES, recordIn } from './lock/record.js';
import {
  AT_SYMLINK_NOFOLLOW,
  Code,
  environment,
  errnoOf,
  linked,
  Operation,
  type Place,
  placeOf,
  RangeLock,
  refusal,
} from './platform.js';

export interface LockFileOptions extends LockKindOptions, LockWaitOptions {
  /** Permissions of a lock file that is made, before the process' mask. Default 0o600. */
  readonly mode?: number | undefined;
  readonly engine?: Engine | undefined;
}

/** What is wanted, checked. */
export interface LockFileWish {
  readonly exclusive: boolean;
  readonly primitive: LockPrimitive;
  readonly timeoutMs: number;
  readonly mode: number;
}

/*
 * Far behind everything a file may hold: whoever waits shares the byte at 2^62, so that whoever
 * comes again and again can see it. The lock itself ends before it.
 */
const MARK: LockClaim['range'] = { start: 2 ** 62, end: 2 ** 62 + 1024 };
const LOCKED: LockClaim['range'] = { start: 0, end: 2 ** 62 };
/* Work under way in a ring keeps the files of a killed process open: 41 ms, 52 ms at most. */
const AFTERLIFE_MS = 100;
/* Who has had a lock for so long without a gap, while others wait, lets them. */
const TURN_MS = 30;
const GAP_MS = 10;
const STEP_BACK_MS = 25;
const RUNS_REMEMBERED_MAX = 1024;

/* Thrown in place of a lock on a file that has lost its name. */
class Gone extends Error {}

/** Takes options apart. Errors: `TypeError`, `RangeError` naming the option. */
function lockFileWishOf(options: LockFileOptions): LockFileWish {
  const { exclusive, primitive, timeoutMs } = lockWishOf(options);
  const mode = options.mode === undefined ? 0o600 : modeOf(options.mode, 'options.mode');
  return { exclusive, primitive, timeoutMs, mode };
}

/* How long this process has come again and again, and whether others waited at its last end. */
interface Run {
  sinceMs: number;
  endMs: number;
  othersWait: boolean;
}

const runs = new Map<string, Run>();

function runOf({ word: key }: Identity): Run {
  const known = runs.get(key);
  if (known !== undefined) return known;
  if (runs.size >= RUNS_REMEMBERED_MAX) runs.clear();
  const run = { sinceMs: 0, endMs: Number.NEGATIVE_INFINITY, othersWait: false };
  runs.set(key, run);
  return run;
}

function statOf(place: Place): Operation {
  const stat = new Operation(Code.Stat);
  stat.place = place;
  stat.flags = AT_SYMLINK_NOFOLLOW;
  return stat;
}

/* Errors: `IoError` where the system does not tell; of a name that is gone it does. */
function isSame({ result, stat }: Operation, home: LockFileHome): boolean {
  const { device, inode } = home.identity;
  if (result >= 0) return stat?.device === device && stat.inode === inode;
  if (result === errnoOf('ENOENT') || result === errnoOf('ENOTDIR')) return false;
  const context = { action: 'look at the lock file', path: home.path, syscall: 'stat' };
  throw refusal(result, { ...context, step: 'lock' });
}

function writing(fd: number, payload: Uint8Array): Operation {
  const write = new Operation(Code.Write);
  write.fd = fd;
  write.offset = 0;
  write.payload = payload;
  write.length = payload.byteLength;
  write.mustRun = true;
  return write;
}

/** How a lock file is asked for: with a look at its name before and after. */
class FileWays implements LockWays {
  readonly graceMs = AFTERLIFE_MS;
  readonly #home: LockFileHome;
  readonly #wish: LockFileWish;
  #attempts = 0;
  #isMarked = false;

  constructor(home: LockFileHome, wish: LockFileWish) {
    this.#home = home;
    this.#wish = wish;
  }

  *attempt(): Steps<boolean> {
    const home = this.#home;
    if (this.#attempts++ === 0) yield* this.#stepBack();
    const { exclusive, primitive } = this.#wish;
    const [before, after] = [statOf(home.place), statOf(home.place)];
    const lock = lockCall(primitive, exclusive ? 'Exclusive' : 'Shared', LOCKED);
    const run = [before, lock, after];
    if (this.#isMarked) run.push(lockCall('ofd', 'None', MARK));
    for (const operation of run) operation.fd = home.fd;
    if (exclusive && home.hasRecords) run.push(writing(home.fd, ownRecord(clockOf(home.engine))));
    yield linked(before, ...run.slice(1));
    /* The record is the last of the run, and no more than words: it may fail, on a full disk. */
    if (!isSame(before, home)) throw new Gone();
    if (!taken(home, lock)) {
      if (!this.#isMarked) yield* this.#mark();
      return false;
    }
    if (!isSame(after, home)) throw new Gone();
    return true;
  }

  /* Refused where somebody locks all of the file as data: then nobody is asked to step back. */
  *#mark(): Steps<void> {
    this.#isMarked = true;
    const mark = lockCall('ofd', 'Shared', MARK);
    mark.fd = this.#home.fd;
    yield mark;
  }

  *#stepBack(): Steps<void> {
    const { engine, identity } = this.#home;
    const run = runOf(identity);
    const nowMs = clockOf(engine);
    const goesOn = nowMs - run.endMs < GAP_MS;
    if (goesOn && (!run.othersWait || nowMs - run.sinceMs < TURN_MS)) return;
    run.sinceMs = nowMs;
    if (!goesOn || this.#wish.timeoutMs < AFTERLIFE_MS) return;
    yield new Pause(STEP_BACK_MS * (1 + chanceOf(engine)));
    run.sinceMs = clockOf(engine);
  }

  *owner(): Steps<LockOwner | undefined> {
    const { fd } = this.#home;
    const read = new Operation(Code.Read);
    read.fd = fd;
    read.offset = 0;
    read.payload = new Uint8Array(RECORD_BYTES);
    read.length = RECORD_BYTES;
    yield read;
    const record = read.result === RECORD_BYTES ? recordIn(read.payload) : undefined;
    if (record === undefined) return this.#seen();
    if (record.host !== environment.hostName()) {
      return { ...record, state: 'unknown', isThisProcess: false };
    }
    const owner = ownerByNumber(record.pid, { sinceMs: record.sinceMs });
    return owner.state === 'gone' ? (this.#seen() ?? owner) : owner;
  }

  #seen(): LockOwner | undefined {
    const { engine, identity } = this.#home;
    const { exclusive, primitive } = this.#wish;
    const isFlock = primitive === 'flock';
    return ownerSeen({ engine, file: identity, range: LOCKED, exclusive, isFlock });
  }
}

/** A lock of a lock file. Made by `lockFile`. */
export class FileLock extends Lock {
  readonly #home: LockFileHome;

  /** For `lockFileSteps`. */
  constructor(parts: LockParts, home: LockFileHome) {
    super(parts);
    this.#home = home;
  }

  /** All of the file: infinite. */
  override get length(): number {
    return Number.POSITIVE_INFINITY;
  }

  /**
   * Whether the lock is held and the file still bears its name. Once it does not, another process
   * can make a new file of that name and lock it.
   *
   * Errors: `IoError` when the system refuses to tell.
   */
  intact(): Promise<boolean> {
    return this.#home.laterOn(() => this.intactSteps());
  }

  /** As `intact`, on the calling thread. Errors: as `intact`. */
  intactSync(): boolean {
    return this.#home.nowOn(() => this.intactSteps());
  }

  /** For doors above: as `intact`. Errors: as `intact`. @internal */
  *intactSteps(): Steps<boolean> {
    if (!this.isHeld) return false;
    const stat = statOf(this.#home.place);
    yield stat;
    return isSame(stat, this.#home);
  }

  protected override *changedSteps(): Steps<void> {
    const { engine, fd, hasRecords } = this.#home;
    if (!hasRecords) return;
    yield writing(fd, this.exclusive ? ownRecord(clockOf(engine)) : blankRecord);
  }

  /* The lock goes with the descriptor, whatever else fails; nobody is told of that by an error. */
  protected override *unlockSteps(): Steps<void> {
    const { engine, fd, hasRecords, identity } = this.#home;
    const waiting = new Operation(Code.GetLock);
    waiting.fd = fd;
    waiting.flags = RangeLock.Exclusive;
    waiting.offset = MARK.start;
    waiting.length = 1;
    waiting.out = new Uint8Array(32);
    waiting.mustRun = true;
    const close = closing(fd);
    const blank = this.exclusive && hasRecords ? [writing(fd, blankRecord)] : [];
    yield linked(waiting, ...blank, close);
    const wasCut = [waiting, ...blank].some(({ result }, index) => {
      return index === 0 ? result < 0 : result !== RECORD_BYTES;
    });
    if (wasCut) yield closing(fd);
    const run = runOf(identity);
    run.endMs = clockOf(engine);
    run.othersWait = waiting.result >= 0 && waiting.out[0] !== RangeLock.None;
  }
}

/**
 * For doors above: takes the lock of a lock file.
 *
 * Errors: as `lockFile`; no descriptor is left then.
 */
export function* lockFileSteps(engine: Engine, asked: Place, wish: LockFileWish): Steps<FileLock> {
  const reason = engine.capabilities.locks;
  if (reason !== true) {
    const fields = { action: 'lock the file', path: asked.path, step: 'lock', words: reason };
    throw new IoError({ ...fields, code: 'ENOSYS' });
  }
  const place = absolute(engine, asked);
  const endMs = clockOf(engine) + wish.timeoutMs;
  for (let timeoutMs = wish.timeoutMs; ; timeoutMs = Math.max(endMs - clockOf(engine), 0)) {
    const lock = yield* lockedSteps(yield* openLockFile(engine, place, wish), wish, timeoutMs);
    if (lock !== undefined) return lock;
  }
}

/* `undefined` when the file has lost its name: then there is another, or none. */
function* lockedSteps(
  home: LockFileHome,
  wish: LockFileWish,
  timeoutMs: number,
): Steps<FileLock | undefined> {
  let isKept = false;
  try {
    const ways = (): LockWays => new FileWays(home, wish);
    const parts = yield* acquireSteps(home, { ...wish, range: LOCKED, timeoutMs }, ways);
    isKept = true;
    return new FileLock(parts as LockParts, home);
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
    return undefined;
  } finally {
    if (!isKept) yield closing(home.fd);
  }
}

/**
 * Locks a file that is there for that, and makes it when it is absent: for taking turns with other
 * processes. Symbolic links are not followed. The file stays when the lock is released: removed
 * under a holder, it lets a second one in.
 *
 * Units: milliseconds.
 * Order: inside this process in the order in which the calls found the file; among processes none,
 * but who comes again and again steps back for those who wait.
 * Lifetime: held until `release`, or the end of the process, by whatever.
 * Errors: `TypeError`, `RangeError`; `LockHeldError` when the time is up, with the owner: process,
 * host, since when, whether it is stopped; `IoError`, of kind `unsupported` on an engine without
 * locks, `loop` for a symbolic link, `wrong-type` for what is no file; `AbortError`.
 */
export async function lockFile(path: PathLike, options: LockFileOptions = {}): Promise<FileLock> {
  const { engine, place, wish } = checked(path, options);
  return drive(engine, lockFileSteps(engine, place, wish), options.signal);
}

/** As `lockFile`, on the calling thread. Errors: as there; `EBUSY` if this process holds it. */
export function lockFileSync(path: PathLike, options: LockFileOptions = {}): FileLock {
  const { engine, place, wish } = checked(path, options);
  return driveSync(engine, lockFileSteps(engine, place, wish));
}

function checked(path: PathLike, options: LockFileOptions) {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const wish = lockFileWishOf(options);
  return { place: placeOf(path), engine: engineOf(options.engine), wish };
}

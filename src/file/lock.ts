/**
 * A lock of a range of a file: waiting for it in this process' queue, then in the kernel; changing
 * it; giving it up. Nobody waits inside the kernel: a lock that is refused is asked for again, soon
 * at first, then every 25 ms or so, with some chance in it so that processes do not keep step.
 */
import { chanceOf, clockOf, Pause, type Steps } from '../engine.js';
import { IoError } from '../errors.js';
import {
  Code,
  codeName,
  errnoOf,
  LOCK_EXCLUSIVE_NOW,
  LOCK_NONE,
  LOCK_SHARED_NOW,
  Operation,
  RangeLock,
  refusal,
} from '../platform.js';
import { Claim, type Claims, claimsOf, type LockRange, without } from './claims.js';
import { heldWords, LockHeldError, type LockOwner, ownClaim, ownerSeen } from './holder.js';
import type { Target } from './transfer.js';
import {
  changeOf,
  EVERYTHING,
  type LockChange,
  type LockChangeOptions,
  type LockPrimitive,
  type Wish,
} from './wish.js';

/** Which file it is, and whether its locks are this kernel's alone. */
export interface Identity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly isHere: boolean;
}

/** The open file that locks are taken on. */
export interface LockHome extends Target {
  readonly isClosed: boolean;
  readonly identity: Identity;
  /** Those who wait, to be told of a close. */
  readonly waiting: Set<Claim>;
  readonly locks: Set<Lock>;
  /** Counted as under way, by either face. */
  laterOn<T>(steps: () => Steps<T>, signal?: AbortSignal): Promise<T>;
  nowOn<T>(steps: () => Steps<T>): T;
}

/** How the kernel is asked, where that takes more than one call. */
export interface Ways {
  /** Asks once: false when somebody holds it. */
  attempt(): Steps<boolean>;
  /** Whoever holds it, as far as it can be told. */
  owner(): Steps<LockOwner | undefined>;
  /** After so many milliseconds the time is up, where the owner has gone; see AFTERLIFE_MS. */
  readonly graceMs: number;
}

const POLL_MS_MIN = 1;
const POLL_MS_MAX = 25;

/** What the kernel is asked for a lock. */
export function lockCall(
  primitive: LockPrimitive,
  type: 'Shared' | 'Exclusive' | 'None',
  { start, end }: LockRange = EVERYTHING,
): Operation {
  if (primitive === 'flock') {
    const lock = new Operation(Code.Lock);
    lock.flags = { Shared: LOCK_SHARED_NOW, Exclusive: LOCK_EXCLUSIVE_NOW, None: LOCK_NONE }[type];
    return lock;
  }
  const lock = new Operation(Code.SetLock);
  lock.flags = RangeLock[type];
  lock.offset = start;
  lock.length = end === Number.POSITIVE_INFINITY ? 0 : end - start;
  return lock;
}

function typeOf(exclusive: boolean): 'Shared' | 'Exclusive' {
  return exclusive ? 'Exclusive' : 'Shared';
}

export function lockError(home: Target, code: string, words: string, kind?: 'closed'): IoError {
  return new IoError({ action: 'lock the file', path: home.path, code, words, step: 'lock', kind });
}

/** True where the lock was taken, false where somebody holds it. Errors: `IoError`. */
export function taken(home: Target, operation: Operation): boolean {
  if (operation.result >= 0) return true;
  if (operation.result === errnoOf('EAGAIN')) return false;
  const { path } = home;
  const syscall = codeName(operation.code);
  throw refusal(operation.result, { action: 'lock the file', syscall, path, step: 'lock' });
}

/** One call on the file itself. */
function plainWays(home: LockHome, claim: Claim, primitive: LockPrimitive): Ways {
  return {
    graceMs: 0,
    *attempt() {
      const exclusive = claim.exclusive || claim.isUpgrading;
      const lock = lockCall(primitive, typeOf(exclusive), claim.range);
      lock.fd = home.fd;
      lock.triesNow = home.identity.isHere && primitive === 'ofd';
      home.latch.check('lock the file', home.path);
      yield lock;
      home.counters.count(lock);
      return taken(home, lock);
    },
    // biome-ignore lint/correctness/useYield: other ways ask the system.
    *owner() {
      const { engine, identity } = home;
      const exclusive = claim.exclusive || claim.isUpgrading;
      const isFlock = primitive === 'flock';
      return ownerSeen({ engine, file: identity, range: claim.range, exclusive, isFlock });
    },
  };
}

/* How long whoever waits has waited, and may. */
class Patience {
  readonly home: LockHome;
  readonly claim: Claim;
  readonly startMs: number;
  readonly #timeoutMs: number;

  constructor(home: LockHome, claim: Claim, timeoutMs: number) {
    this.home = home;
    this.claim = claim;
    this.startMs = clockOf(home.engine);
    this.#timeoutMs = timeoutMs;
  }

  get passedMs(): number {
    return clockOf(this.home.engine) - this.startMs;
  }

  get leftMs(): number {
    return this.#timeoutMs - this.passedMs;
  }

  /** Stands still, until woken or for so long at most. Errors: `closed`. */
  *pause(milliseconds: number, refusal?: () => Error): Steps<void> {
    const { claim, home } = this;
    if (!home.isClosed) {
      claim.pause = new Pause(milliseconds, refusal);
      try {
        yield claim.pause;
      } finally {
        claim.pause = undefined;
      }
    }
    if (home.isClosed) throw lockError(home, 'EBADF', 'the file was closed', 'closed');
  }

  timeIsUp(owner: LockOwner | undefined): LockHeldError {
    const action = 'lock the file';
    const { path } = this.home;
    const passed = Math.round(this.passedMs);
    const words = `${heldWords(owner)}; the time given is up after ${passed} ms`;
    return new LockHeldError({ action, code: 'ETIMEDOUT', path, words, step: 'lock' }, owner);
  }
}

/* Waits for this process to let a claim through. */
function* turnSteps(claims: Claims, patience: Patience, isReady: () => boolean): Steps<void> {
  const { claim, home } = patience;
  while (!isReady()) {
    const obstacle = claims.obstacle(claim);
    const owner = ownClaim(obstacle ?? claim);
    if (patience.leftMs <= 0) throw patience.timeIsUp(owner);
    yield* patience.pause(patience.leftMs, () => {
      const words = `${heldWords(owner)}, and the calling thread cannot wait for itself`;
      const fields = { action: 'lock the file', code: 'EBUSY', path: home.path, words };
      return new LockHeldError({ ...fields, step: 'lock' }, owner);
    });
  }
}

function* kernelSteps(patience: Patience, ways: Ways): Steps<void> {
  const { engine } = patience.home;
  for (let pollMs = POLL_MS_MIN; !(yield* ways.attempt()); ) {
    let { leftMs } = patience;
    if (leftMs <= 0) {
      const owner = yield* ways.owner();
      const graceMs = owner?.state === 'gone' ? ways.graceMs : 0;
      leftMs = graceMs - patience.passedMs;
      if (leftMs <= 0) throw patience.timeIsUp(owner);
    }
    const jittered = pollMs * (0.5 + chanceOf(engine));
    yield* patience.pause(Math.max(Math.min(jittered, leftMs), POLL_MS_MIN));
    pollMs = Math.min(2 * pollMs, POLL_MS_MAX);
  }
}

function identityWord({ device, inode }: Identity, primitive: LockPrimitive): string {
  return `${primitive} ${device}:${inode}`;
}

/** What a lock is made of. */
export interface LockParts {
  readonly home: LockHome;
  readonly claim: Claim;
  readonly claims: Claims;
  readonly primitive: LockPrimitive;
}

/**
 * Takes a lock: waits for its turn in this process, then for other processes. `undefined` where
 * nothing may be waited for and somebody holds it.
 *
 * Errors: `IoError`; `LockHeldError` when the time is up. Nothing is held then.
 */
export function* acquireSteps(
  home: LockHome,
  wish: Wish,
  waysOf: (home: LockHome, claim: Claim, primitive: LockPrimitive) => Ways = plainWays,
): Steps<LockParts | undefined> {
  const { primitive, timeoutMs } = wish;
  const claims = claimsOf(home.engine, identityWord(home.identity, primitive));
  const claim = new Claim(home, wish.range, wish.exclusive);
  const patience = new Patience(home, claim, timeoutMs);
  const ways = waysOf(home, claim, primitive);
  home.waiting.add(claim);
  claims.enter(claim);
  try {
    if (timeoutMs < 0) {
      if (!claim.isGranted || !(yield* ways.attempt())) return undefined;
    } else {
      yield* turnSteps(claims, patience, () => claim.isGranted);
      yield* kernelSteps(patience, ways);
    }
    claim.isHeld = true;
    claim.heldSinceMs = clockOf(home.engine);
    return { home, claim, claims, primitive };
  } finally {
    home.waiting.delete(claim);
    if (!claim.isHeld) yield* withdrawSteps({ home, claim, claims, primitive });
  }
}

/* One that came to nothing. What another gave up meanwhile was left in the kernel for its sake. */
function* withdrawSteps(parts: LockParts): Steps<void> {
  const { claim, claims } = parts;
  claim.isReleasing = true;
  try {
    if (claim.inherits) yield* unlockSteps(parts);
  } finally {
    claims.leave(claim);
  }
}

/*
 * The kernel knows one owner for all locks of an open file, and shared ones of the same bytes are
 * one to it: what another of them holds, or is about to, stays.
 */
function* unlockSteps({ home, claim, claims, primitive }: LockParts): Steps<void> {
  const others = claims.beside(claim);
  for (const other of others) other.inherits = true;
  const kept = others.map(({ range }) => range);
  for (const range of without(claim.range, kept)) {
    const unlock = lockCall(primitive, 'None', range);
    unlock.fd = home.fd;
    unlock.mustRun = true;
    unlock.triesNow = home.identity.isHere && primitive === 'ofd';
    yield unlock;
    home.counters.count(unlock);
    if (unlock.result >= 0) continue;
    const context = { action: 'release the lock', path: home.path, step: 'unlock' };
    throw refusal(unlock.result, { ...context, syscall: codeName(unlock.code) });
  }
}

function* upgradeSteps({ home, claim, claims, primitive }: LockParts, timeoutMs: number) {
  const rival = claims.rival(claim);
  if (rival !== undefined) {
    const words = 'another lock of this process waits to become exclusive, and for this one to go';
    throw lockError(home, 'EDEADLK', words);
  }
  const patience = new Patience(home, claim, timeoutMs);
  claim.isUpgrading = true;
  home.waiting.add(claim);
  try {
    yield* turnSteps(claims, patience, () => claims.obstacle(claim) === undefined);
    yield* kernelSteps(patience, plainWays(home, claim, primitive));
    claim.exclusive = true;
  } finally {
    claim.isUpgrading = false;
    home.waiting.delete(claim);
    claims.loosened();
  }
}

function* downgradeSteps({ home, claim, claims, primitive }: LockParts): Steps<void> {
  claim.exclusive = false;
  try {
    yield* plainWays(home, claim, primitive).attempt();
  } catch (error) {
    claim.exclusive = true;
    throw error;
  }
  claims.loosened();
}

/**
 * A lock that is held. Made by `file.lock`, `file.tryLock` and `lockFile`.
 *
 * Lifetime: held until `release`, the close of its file, or the end of the process, by whatever.
 */
export class Lock {
  readonly #parts: LockParts;
  #isHeld = true;
  #isChanging = false;
  #released: Promise<void> | undefined;

  /** For the doors that take locks. */
  constructor(parts: LockParts) {
    this.#parts = parts;
    parts.home.locks.add(this);
  }

  get path(): string | undefined {
    return this.#parts.home.path;
  }

  get primitive(): LockPrimitive {
    return this.#parts.primitive;
  }

  get exclusive(): boolean {
    return this.#parts.claim.exclusive;
  }

  /** The first byte that is locked. */
  get offset(): number {
    return this.#parts.claim.range.start;
  }

  /** Bytes that are locked; infinite for all there will ever be. */
  get length(): number {
    return this.#parts.claim.range.end - this.#parts.claim.range.start;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Since when it has been held, in milliseconds since 1970. */
  get sinceMs(): number {
    return this.#parts.claim.heldSinceMs as number;
  }

  /** What it is made of, for the doors that take locks. */
  protected get parts(): LockParts {
    return this.#parts;
  }

  /**
   * Makes the lock exclusive, or shared. It stays what it was until it is the other, and when that
   * does not come to be.
   *
   * Order: who waits to become exclusive goes before all who wait for a lock of these bytes.
   * Errors: `TypeError`, `RangeError`; `LockHeldError` when the time is up; `IoError`, with
   * `EDEADLK` when another lock of this process holds these bytes and waits for the same, of kind
   * `unsupported` for `flock`; `AbortError`.
   */
  change(options: LockChangeOptions): Promise<void> {
    try {
      const change = changeOf(options);
      return this.#parts.home.laterOn(() => this.changeSteps(change), options.signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `change`, on the calling thread. Errors: as `change`; `EBUSY`. */
  changeSync(options: LockChangeOptions): void {
    const change = changeOf(options);
    this.#parts.home.nowOn(() => this.changeSteps(change));
  }

  /** For doors above: what changes it, by either face. Errors: as of their `change`. */
  *changeSteps({ exclusive, timeoutMs }: LockChange): Steps<void> {
    const { home, claim, primitive } = this.#parts;
    if (!this.#isHeld) throw lockError(home, 'ERR_LOCK_RELEASED', 'the lock was released');
    if (this.#isChanging) throw lockError(home, 'EBUSY', 'the lock is changing already');
    if (claim.exclusive === exclusive) return;
    if (primitive === 'flock') {
      const words = 'flock(2) gives a lock up before it takes the other';
      throw lockError(home, 'ENOTSUP', words);
    }
    this.#isChanging = true;
    try {
      if (exclusive) yield* upgradeSteps(this.#parts, timeoutMs);
      else yield* downgradeSteps(this.#parts);
      yield* this.changedSteps();
    } finally {
      this.#isChanging = false;
    }
  }

  /** What else is to be done once it has changed: nothing here. */
  protected *changedSteps(): Steps<void> {}

  /**
   * Gives the lock up; again is the same promise.
   *
   * Order: whoever waits in this process is next, in the order of the calls.
   * Errors: `IoError` when the system refuses; the lock is held then, until its file is closed.
   */
  release(): Promise<void> {
    this.#released ??= this.#parts.home
      .laterOn(() => this.releaseSteps())
      .catch((error: unknown) => {
        this.#released = undefined;
        throw error;
      });
    return this.#released;
  }

  /** As `release`, on the calling thread. Errors: as `release`. */
  releaseSync(): void {
    this.#parts.home.nowOn(() => this.releaseSteps());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  [Symbol.dispose](): void {
    this.releaseSync();
  }

  /** For doors above: what gives it up, by either face. Errors: as `release`. */
  *releaseSteps(): Steps<void> {
    if (!this.#isHeld) return;
    const { claim } = this.#parts;
    this.#isHeld = false;
    claim.isReleasing = true;
    try {
      yield* this.unlockSteps();
      this.forget();
    } finally {
      this.#isHeld = claim.isHeld;
      claim.isReleasing = false;
    }
  }

  /** What the system is asked to give it up. Errors: `IoError`; it is held then. */
  protected unlockSteps(): Steps<void> {
    return unlockSteps(this.#parts);
  }

  /** For the close of its file, which leaves nothing locked. */
  forget(): void {
    const { home, claim, claims } = this.#parts;
    this.#isHeld = false;
    claim.isHeld = false;
    home.locks.delete(this);
    claims.leave(claim);
  }
}

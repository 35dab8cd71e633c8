/**
 * How a lock of a range of a file is taken: waiting in this process' queue, then in the kernel; how
 * it is changed, and given up. Nobody waits inside the kernel: a lock that is refused is asked for
 * again, soon at first, then every 25 ms or so, with some chance in it so that processes do not
 * keep step.
 */
import { chanceOf, clockOf, type Engine, Pause, type Steps } from '../engine.js';
import { IoError } from '../errors.js';
import {
  Code,
  codeName,
  errnoOf,
  type FileStat,
  LOCK_EXCLUSIVE_NOW,
  LOCK_NONE,
  LOCK_SHARED_NOW,
  linked,
  locksHere,
  Operation,
  RangeLock,
  refusal,
} from '../platform.js';
import { Claim, type Claims, claimsOf, type LockRange, without } from './claims.js';
import { heldWords, LockHeldError, type LockOwner, ownClaim, ownerSeen } from './holder.js';
import type { Lock } from './lock.js';
import type { Target } from './transfer.js';
import { EVERYTHING, type LockPrimitive, type Wish } from './wish.js';

/** Which file it is. */
export interface Identity {
  readonly device: bigint;
  readonly inode: bigint;
  /** Both as one word. */
  readonly word: string;
}

/** What stat told, as an identity. */
export function identityOf({ device, inode }: Pick<FileStat, 'device' | 'inode'>): Identity {
  return { device, inode, word: `${device}:${inode}` };
}

/** The open file that locks are taken on. */
export interface LockHome extends Target {
  readonly isClosed: boolean;
  readonly identity: Identity;
  /** What statfs(2) said of its volume, once it has been asked; below 0: it refused. */
  volumeType: number | undefined;
  /** Those who wait, to be told of a close. */
  readonly waiting: Set<Claim>;
  readonly locks: Set<Lock>;
  /** Counted as under way, by either face. */
  laterOn<T>(steps: () => Steps<T>, signal?: AbortSignal): Promise<T>;
  nowOn<T>(steps: () => Steps<T>): T;
}

/** A turn among those of this process alone. */
export interface OwnTurn {
  leave(): void;
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

export function lockError(
  home: Pick<Target, 'path'>,
  code: string,
  words: string,
  kind?: 'closed',
): IoError {
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

/* Whether setting its locks asks nobody but this kernel, so that the calling thread may. */
function isHere({ volumeType }: LockHome): boolean {
  return volumeType !== undefined && volumeType >= 0 && locksHere(volumeType);
}

/* The first lock of an open file is set beside the question where its locks are kept. */
function* withVolumeSteps(home: LockHome, lock: Operation): Steps<void> {
  const volume = new Operation(Code.VolumeType);
  volume.fd = home.fd;
  volume.mustRun = true;
  yield linked(lock, volume);
  home.counters.count(volume);
  home.volumeType = volume.result;
}

/** One call on the file itself. */
class PlainWays implements Ways {
  readonly graceMs = 0;
  readonly #home: LockHome;
  readonly #claim: Claim;
  readonly #primitive: LockPrimitive;

  constructor(home: LockHome, claim: Claim, primitive: LockPrimitive) {
    this.#home = home;
    this.#claim = claim;
    this.#primitive = primitive;
  }

  *attempt(): Steps<boolean> {
    const home = this.#home;
    const { range, wantsExclusive } = this.#claim;
    const lock = lockCall(this.#primitive, wantsExclusive ? 'Exclusive' : 'Shared', range);
    lock.fd = home.fd;
    lock.triesNow = isHere(home);
    home.latch.check('lock the file', home.path);
    if (home.volumeType === undefined) yield* withVolumeSteps(home, lock);
    else yield lock;
    home.counters.count(lock);
    return taken(home, lock);
  }

  // biome-ignore lint/correctness/useYield: other ways ask the system.
  *owner(): Steps<LockOwner | undefined> {
    const { engine, identity } = this.#home;
    const { range, wantsExclusive: exclusive } = this.#claim;
    const isFlock = this.#primitive === 'flock';
    return ownerSeen({ engine, file: identity, range, exclusive, isFlock });
  }
}

type Waiting = Pick<LockHome, 'engine' | 'path' | 'isClosed'>;

/* How long whoever waits has waited, and may. */
class Patience {
  readonly home: Waiting;
  readonly claim: Claim;
  readonly startMs: number;
  readonly #timeoutMs: number;

  constructor(home: Waiting, claim: Claim, timeoutMs: number) {
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

/* Asks the kernel until it gives the lock; once it has been asked already. */
function* kernelSteps(patience: Patience, ways: Ways, wasAsked = false): Steps<void> {
  const { engine } = patience.home;
  let pollMs = POLL_MS_MIN;
  let isTaken = wasAsked ? false : yield* ways.attempt();
  while (!isTaken) {
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
    isTaken = yield* ways.attempt();
  }
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
  waysOf?: () => Ways,
): Steps<LockParts | undefined> {
  const { primitive, timeoutMs } = wish;
  const claims = claimsOf(home.engine, `${primitive} ${home.identity.word}`);
  const claim = new Claim(home, wish.range, wish.exclusive);
  const ways = waysOf === undefined ? new PlainWays(home, claim, primitive) : waysOf();
  home.waiting.add(claim);
  claims.enter(claim);
  try {
    const wasAsked = claim.isGranted;
    if (!wasAsked || !(yield* ways.attempt())) {
      if (timeoutMs < 0) return undefined;
      const patience = new Patience(home, claim, timeoutMs);
      yield* turnSteps(claims, patience, () => claim.isGranted);
      yield* kernelSteps(patience, ways, wasAsked);
    }
    claim.isHeld = true;
    claim.heldSinceMs = clockOf(home.engine);
    return { home, claim, claims, primitive };
  } finally {
    home.waiting.delete(claim);
    if (!claim.isHeld) yield* withdrawSteps({ home, claim, claims, primitive });
  }
}

/**
 * Waits for a turn among those of this process that ask by the same word; nobody else is asked.
 *
 * Errors: `LockHeldError` when the time is up, or the calling thread would wait for itself.
 */
export function* ownTurnSteps(
  engine: Engine,
  word: string,
  path: string,
  timeoutMs: number,
): Steps<OwnTurn> {
  const claims = claimsOf(engine, word);
  const home = { engine, path, isClosed: false };
  const claim = new Claim(home, EVERYTHING, true);
  claims.enter(claim);
  try {
    const patience = new Patience(home, claim, timeoutMs);
    yield* turnSteps(claims, patience, () => claim.isGranted);
    claim.isHeld = true;
    claim.heldSinceMs = clockOf(engine);
    return { leave: () => claims.leave(claim) };
  } finally {
    if (!claim.isHeld) claims.leave(claim);
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

/**
 * What the kernel is asked to give a lock up. It knows one owner for all locks of an open file, and
 * shared ones of the same bytes are one to it: what another of them holds, or is about to, stays.
 *
 * Errors: `IoError`.
 */
export function* unlockSteps({ home, claim, claims, primitive }: LockParts): Steps<void> {
  const others = claims.beside(claim);
  for (const other of others) other.inherits = true;
  const kept = others.map(({ range }) => range);
  for (const range of without(claim.range, kept)) {
    const unlock = lockCall(primitive, 'None', range);
    unlock.fd = home.fd;
    unlock.mustRun = true;
    unlock.triesNow = isHere(home);
    yield unlock;
    home.counters.count(unlock);
    if (unlock.result >= 0) continue;
    const context = { action: 'release the lock', path: home.path, step: 'unlock' };
    throw refusal(unlock.result, { ...context, syscall: codeName(unlock.code) });
  }
}

/** Makes a shared lock exclusive. Errors: as `Lock.change`; it is shared then. */
export function* upgradeSteps(parts: LockParts, timeoutMs: number): Steps<void> {
  const { home, claim, claims, primitive } = parts;
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
    yield* kernelSteps(patience, new PlainWays(home, claim, primitive));
    claim.exclusive = true;
  } finally {
    claim.isUpgrading = false;
    home.waiting.delete(claim);
    claims.loosened();
  }
}

/** Makes an exclusive lock shared. Errors: `IoError`; it is exclusive then. */
export function* downgradeSteps({ home, claim, claims, primitive }: LockParts): Steps<void> {
  claim.exclusive = false;
  try {
    yield* new PlainWays(home, claim, primitive).attempt();
  } catch (error) {
    claim.exclusive = true;
    throw error;
  }
  claims.loosened();
}

/** A lock that is held: what it is, changing it, giving it up. */
import type { Steps } from '../engine.js';
import { downgradeSteps, type LockParts, lockError, unlockSteps, upgradeSteps } from './acquire.js';
import { changeOf, type LockChange, type LockChangeOptions, type LockPrimitive } from './wish.js';

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
   * `unsupported` for `flock`, and to make one exclusive on Windows; `AbortError`.
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

  /** For doors above: what changes it, by either face. Errors: as of `change`. @internal */
  *changeSteps({ exclusive, timeoutMs }: LockChange): Steps<void> {
    const { home, claim, primitive } = this.#parts;
    if (!this.#isHeld) throw lockError(home, 'ERR_LOCK_RELEASED', 'the lock was released');
    if (this.#isChanging) throw lockError(home, 'EBUSY', 'the lock is changing already');
    if (claim.exclusive === exclusive) return;
    if (primitive === 'flock') {
      const words = 'flock(2) gives a lock up before it takes the other';
      throw lockError(home, 'ENOTSUP', words);
    }
    const upgrades = home.engine.capabilities['lock-upgrade'];
    if (exclusive && upgrades !== true) throw lockError(home, 'ENOTSUP', upgrades);
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

  /** For doors above: what gives it up, by either face. Errors: as `release`. @internal */
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

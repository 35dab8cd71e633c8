/** The locks of an open file. */
import type { Steps } from '../engine.js';
import { acquireSteps, type Identity, identityOf, type LockHome, lockError } from './acquire.js';
import type { Claim } from './claims.js';
import { FileCore, type FileParts } from './core.js';
import { Lock } from './lock.js';
import { type LockOptions, type TryLockOptions, type Wish, wishOf } from './wish.js';

/** An open file that can be locked against other processes, and others in this one. */
export abstract class LockableFile extends FileCore implements LockHome {
  readonly locks: Set<Lock> = new Set();
  /** @internal */
  readonly waiting: Set<Claim> = new Set();
  /** For locks: which file it is. Known from the open: calls queue in their order. @internal */
  readonly identity: Identity;
  volumeType: number | undefined = undefined;

  constructor(parts: FileParts) {
    super(parts);
    this.identity = identityOf(parts.stat);
  }

  /**
   * Locks the file, or bytes of it, against everybody else who locks it: advisory, nobody who does
   * not ask is kept from anything. Waiting takes no thread.
   *
   * Shapes: locks of one `OpenFile` exclude each other like those of others.
   * Units: bytes; milliseconds.
   * Order: inside this process in the order of the calls, whatever waits, and those who share have
   * it together; among processes none, by asking again every 25 ms or so.
   * Lifetime: held until `release`, the close of this file, or the end of the process.
   * Errors: `TypeError`, `RangeError`; `LockHeldError` naming the owner when the time is up;
   * `IoError`, of kind `unsupported` on an engine without locks; `AbortError`.
   * Source: fcntl(2), open file description locks
   */
  async lock(options: LockOptions = {}): Promise<Lock> {
    const wish = this.#wish(options, 'lock');
    const steps = (): Steps<Lock> => this.#locking(wish) as Steps<Lock>;
    return this.laterOn(steps, options.signal);
  }

  /** As `lock`, on the calling thread. Errors: as `lock`; `EBUSY` if this process holds it. */
  lockSync(options: LockOptions = {}): Lock {
    const wish = this.#wish(options, 'lock');
    return this.now(() => this.#locking(wish)) as Lock;
  }

  /**
   * Locks the file if nobody holds it; does not wait.
   *
   * Errors: as `lock`. `undefined` when somebody holds it: also for up to 50 ms after a process
   * was killed with work under way.
   */
  async tryLock(options: TryLockOptions = {}): Promise<Lock | undefined> {
    const wish = this.#wish(options, 'tryLock');
    return this.laterOn(() => this.#locking(wish));
  }

  /** As `tryLock`, on the calling thread. Errors: as `tryLock`. */
  tryLockSync(options: TryLockOptions = {}): Lock | undefined {
    const wish = this.#wish(options, 'tryLock');
    return this.now(() => this.#locking(wish));
  }

  /** For locks: work under way, also on a file that is broken. Errors: its own. @internal */
  laterOn<T>(steps: () => Steps<T>, signal?: AbortSignal): Promise<T> {
    return this.begun(steps(), signal);
  }

  /** For locks: as `laterOn`, on the calling thread. Errors: its own. @internal */
  nowOn<T>(steps: () => Steps<T>): T {
    return this.done(steps());
  }

  #wish(options: LockOptions, call: 'lock' | 'tryLock'): Wish {
    const wish = wishOf(options, call === 'tryLock');
    this.checkUsable('lock the file');
    const reason = this.engine.capabilities.locks;
    if (reason !== true) throw lockError(this, 'ENOSYS', reason);
    if (wish.primitive === 'flock') return wish;
    const isAllowed = wish.exclusive ? this.mayWrite : this.mayRead;
    this.check(
      isAllowed,
      wish.exclusive ? 'lock the file exclusively' : 'share a lock of the file',
    );
    return wish;
  }

  *#locking(wish: Wish): Steps<Lock | undefined> {
    const parts = yield* acquireSteps(this, wish);
    return parts === undefined ? undefined : new Lock(parts);
  }

  protected override closing(): void {
    for (const claim of this.waiting) claim.pause?.wake();
  }

  /* Other descriptors may share the description, and its locks: they are given up by name. */
  protected override *lastSteps(): Steps<void> {
    for (const lock of this.locks) {
      try {
        yield* lock.releaseSteps();
      } catch {
        lock.forget();
      }
    }
  }
}

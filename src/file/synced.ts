/** Syncs of an open file: in turn, shared by those who wait, and never told twice. */
import type { Steps } from '../engine.js';
import { Code } from '../platform.js';
import type { CallOptions } from './options.js';
import { PlacedFile } from './placed.js';
import { type SyncCode, syncSteps } from './steps.js';

/** The primitive a sync used. */
export interface SyncReport {
  readonly primitive: 'fsync' | 'fdatasync';
}

/** An open file whose bytes can be made durable. */
export abstract class SyncedFile extends PlacedFile {
  /* Asked for, not begun: what a further call may share. */
  readonly #nextSync = new Map<SyncCode, Promise<SyncReport>>();

  /**
   * Makes what was written, and everything about the file, durable.
   *
   * Order: syncs of one `OpenFile` take turns; those called while one is under way share the next.
   * Durable: when the promise resolves, what had been written before the call survives a crash.
   * Errors: `IoError`; the file is broken then, for ever.
   */
  sync(options?: CallOptions): Promise<SyncReport> {
    return this.#syncLater(Code.Sync, options);
  }

  /** As `sync`, on the calling thread. Errors: as `sync`; `EBUSY` while one is under way. */
  syncSync(): SyncReport {
    return this.nowInTurn('sync', () => this.#sync(Code.Sync));
  }

  /**
   * Makes the bytes durable, and the size they need; not times and permissions.
   *
   * Durable: as `sync`, for the data.
   * Errors: as `sync`.
   */
  syncData(options?: CallOptions): Promise<SyncReport> {
    return this.#syncLater(Code.SyncData, options);
  }

  /** As `syncData`, on the calling thread. Errors: as `sync`. */
  syncDataSync(): SyncReport {
    return this.nowInTurn('sync', () => this.#sync(Code.SyncData));
  }

  /**
   * Makes what was written before it durable before anything written after it, as cheaply as the
   * system can; on Linux that is `syncData`.
   *
   * Durable: as the primitive in the report.
   * Errors: as `sync`.
   */
  syncBarrier(options?: CallOptions): Promise<SyncReport> {
    return this.#syncLater(Code.SyncData, options);
  }

  /** As `syncBarrier`, on the calling thread. Errors: as `sync`. */
  syncBarrierSync(): SyncReport {
    return this.nowInTurn('sync', () => this.#sync(Code.SyncData));
  }

  /*
   * One at a time: of two under way beside each other the first is told of a lost page and the
   * second is told 0 (fsync(2), NOTES), and the lie may be delivered first. A call made while one
   * is under way waits for the next, which begins after it and so covers what it was made for.
   */
  #syncLater(code: SyncCode, options: CallOptions | undefined): Promise<SyncReport> {
    const shared = options === undefined ? this.#nextSync.get(code) : undefined;
    if (shared !== undefined) return shared;
    const waits = this.turns.isTaken('sync');
    const sync = this.later(options, () => this.#sync(code), 'sync');
    if (waits && options === undefined && !this.isClosed) this.#nextSync.set(code, sync);
    return sync;
  }

  *#sync(code: SyncCode): Steps<SyncReport> {
    this.#nextSync.delete(code);
    yield* syncSteps(this, code);
    return { primitive: code === Code.Sync ? 'fsync' : 'fdatasync' };
  }
}

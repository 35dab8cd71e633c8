/**
 * A write-ahead log: records appended in order, durable when `append` resolves, read back by their
 * LSN. Hides segments, checksums, group commit and recovery; docs/journal-format.md has the bytes.
 *
 * Invariants: 1. A record whose `append` resolved is there after any crash; what is there is a
 *                prefix of what was appended, batches whole.
 *             2. Nothing is acknowledged that a sync has not covered, and after a failed write or
 *                sync nothing more is: the journal is broken and says so until it is opened again.
 *             3. A torn tail is put aside, cut, and the cut is durable before the next append;
 *                damage before the tail is an error that names the place, never cut.
 *             4. Bytes of a recycled file are never taken for records: the epoch of the segment and
 *                the LSN are inside every checksum.
 *             5. Memory for records under way has a bound; whoever comes then waits in turn.
 * Not promised: that an append that was rejected is not there after a crash; order of appends made
 * by several processes, since there is one writer.
 * Source: Mohan et al., ARIES, TODS 1992; Pillai et al., All File Systems Are Not Created Equal,
 * OSDI 2014; Rebello et al., ATC 2020; etcd's wal
 */

import type { Buffers } from './buffers.js';
import { byteCount } from './bytes.js';
import { drive, type Engine, engineOf } from './engine.js';
import { IoError, interruption, invalidType, outOfRange, trueOrFalse } from './errors.js';
import type { AdviceName } from './file.js';
import { closeSteps, stepsOf } from './file.js';
import { segmentName, type TailKind } from './frames.js';
import {
  batchOf,
  type FollowOptions,
  type JournalCallOptions,
  type ReadOptions,
  rangeOf,
  recordOf,
  signalOf,
} from './journal/arguments.js';
import { Committer, closedSteps } from './journal/commit.js';
import { type Damage, JournalDamageError } from './journal/damage.js';
import { passed, RecordIterator, told, unlessAborted } from './journal/follow.js';
import {
  type OpenedForReading,
  type OpenedForWriting,
  openForReading,
  openForWriting,
} from './journal/opening.js';
import { type JournalOptions, type JournalSync, settingsOf } from './journal/options.js';
import {
  ForwardReading,
  getSteps,
  type JournalRecord,
  type Reading,
  ReverseReading,
  type Shelf,
} from './journal/reader.js';
import type { RecoveryReport } from './journal/recovery.js';
import { limited, WriterShelf } from './journal/shelf.js';
import { type Histogram, JournalCounts, type JournalStats } from './journal/stats.js';
import { trimSteps } from './journal/trim.js';
import { type VerifyProgress, type VerifyReport, verifySteps } from './journal/verify.js';
import { Watcher } from './journal/watcher.js';
import { Writer } from './journal/writer.js';
import type { FileLock } from './lock.js';
import { type PathLike, placeOf } from './platform.js';

export {
  type Damage as JournalDamage,
  type FollowOptions,
  type Histogram,
  type JournalCallOptions,
  JournalDamageError,
  type JournalOptions,
  type JournalRecord,
  type JournalStats,
  type JournalSync,
  type ReadOptions,
  type RecoveryReport,
  type TailKind,
  type VerifyProgress,
  type VerifyReport,
};

/** A place in a journal: it orders records, and finds them. */
export type Lsn = number;
export interface VerifyOptions extends JournalCallOptions {
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
  readonly engine?: Engine | undefined;
}

/* How often a reader in another process looks for more: sooner when there was something. */
const [POLL_MS_MIN, POLL_MS_MAX] = [1, 25];
/** What stands behind a journal that is written. */
interface Writing {
  readonly disk: Committer;
  readonly writer: Writer;
  readonly lock: FileLock | undefined;
  readonly counts: JournalCounts;
  /** First LSNs of segments that are being read, and by how many. */
  readonly held: Map<number, number>;
  readonly fallbacks: JournalStats['fallbacks'];
}

/** A journal. Made by `Journal.open`. */
export class Journal {
  readonly engine: Engine;
  /** The directory. */
  readonly path: string;
  readonly #writing: Writing | undefined;
  readonly #watcher: Watcher | undefined;
  readonly #recovery: RecoveryReport;
  readonly #shelf: Shelf;
  #isClosing = false;
  #closed: Promise<void> | undefined;

  /** For `Journal.open`. */
  private constructor(
    engine: Engine,
    writing: Writing | undefined,
    reading: OpenedForReading | undefined,
    recovery: RecoveryReport,
  ) {
    this.engine = engine;
    this.#writing = writing;
    this.#recovery = recovery;
    if (writing === undefined) {
      const { home, survey } = reading as OpenedForReading;
      this.#watcher = new Watcher(home, survey, recovery.firstLsn);
      this.#shelf = this.#watcher;
      this.path = home.path;
    } else {
      this.#shelf = new WriterShelf(writing.disk, writing.held, recovery.firstLsn);
      this.path = writing.disk.shop.home.path;
    }
  }

  /**
   * Opens the journal in a directory, or makes one there: recovers what a crash left, and says in
   * `recovery` what it was.
   *
   * Shapes: one process writes; with `readOnly` any number reads beside it.
   * Durable: what a crashed process left is made durable first, and only then looked at.
   * Errors: `TypeError`, `RangeError` for options; `LockHeldError` with the owner where another
   * writer has it; `JournalDamageError` where bytes before the tail are damaged; `IoError`, of kind
   * `unsupported` for a format from the future, `not-found` when there is none; `AbortError`.
   */
  static async open(directory: PathLike, options: JournalOptions = {}): Promise<Journal> {
    const settings = settingsOf(options);
    const engine = engineOf(options.engine);
    const place = placeOf(directory, 'directory');
    const signal = signalOf(options);
    if (settings.readOnly) {
      const opened = await drive(engine, openForReading(engine, place, settings), signal);
      return new Journal(engine, undefined, opened, opened.report);
    }
    const opened = await drive(engine, openForWriting(engine, place, settings), signal);
    return new Journal(engine, writingOf(opened), undefined, opened.standing.report);
  }

  /** What was found at the opening, and what was done about it. */
  get recovery(): RecoveryReport {
    return this.#recovery;
  }

  get isReadOnly(): boolean {
    return this.#writing === undefined;
  }

  /** That of the next record. */
  get nextLsn(): Lsn {
    return this.#writing?.writer.nextLsn ?? this.#shelf.endLsn;
  }

  /** Records up to this LSN, its own included, are durable; `firstLsn - 1` while none is. */
  get syncedLsn(): Lsn {
    const lsn = this.#writing?.disk.syncedLsn ?? this.#watcher?.lastLsn ?? 0;
    return Math.max(lsn, this.firstLsn - 1);
  }

  /** The LSN of the first record there is; `nextLsn` while there is none. */
  get firstLsn(): Lsn {
    return this.#shelf.firstLsn;
  }

  /**
   * Appends a record.
   *
   * Shapes: one view or any number, joined; also of 0 bytes. 256 MiB - 1 at most.
   * Order: as the calls.
   * Durable: when it resolves. All that are appended in one turn share one write and one sync.
   * Lifetime: the bytes are copied; where there is no room they are the library's until then.
   * Errors: `TypeError`, `RangeError`; `IoError`: of kind `no-space` before anything was written it
   * leaves the journal usable, else it is broken, and every later call tells this first cause;
   * `AbortError`: what had its place by then is appended all the same.
   */
  append(record: Buffers, options?: JournalCallOptions): Promise<Lsn> {
    try {
      const { writer } = this.#toWrite('append to the journal', options);
      const { signal } = options ?? {};
      return unlessAborted(writer.append(recordOf(record, 'record'), signal), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Appends records that stay together: after any crash all of them are there or none is.
   *
   * Shapes: at least one record; 1 GiB together at most.
   * Order: as `append`.
   * Durable: when it resolves, all of them.
   * Lifetime: as `append`.
   * Errors: as `append`; none of them is there then, or the journal is broken.
   */
  async appendBatch(
    records: Iterable<Buffers>,
    options?: JournalCallOptions,
  ): Promise<{ readonly first: Lsn; readonly last: Lsn }> {
    const { writer } = this.#toWrite('append to the journal', options);
    const { records: batch, bytes, lastBytes } = batchOf(records);
    const signal = options?.signal;
    const first = await unlessAborted(writer.appendBatch(batch, bytes, signal), signal);
    return { first, last: first + bytes - lastBytes };
  }

  /**
   * Puts a record in its place. It is written before long, and durable after `syncThrough`, or with
   * the next `append`.
   *
   * Shapes: as `append`.
   * Order: as the calls, those of `append` among them.
   * Durable: no.
   * Lifetime: the bytes are copied.
   * Errors: as `append`; of kind `busy` where memory is full and the engine cannot wait here.
   */
  write(record: Buffers): Lsn {
    const { writer } = this.#toWrite('write to the journal', undefined);
    return writer.write(recordOf(record, 'record'));
  }

  /**
   * Makes the record of an LSN durable, and all before it. An LSN inside a record stands for it.
   *
   * Durable: when it resolves, whatever `sync` the journal was opened with.
   * Errors: `TypeError`, `RangeError` for an LSN that is not below `nextLsn`; as `append`.
   */
  async syncThrough(lsn: number | bigint, options?: JournalCallOptions): Promise<void> {
    const { writer } = this.#toWrite('sync the journal', options);
    const wanted = byteCount(lsn, 'lsn');
    if (wanted >= writer.nextLsn) throw outOfRange('lsn', `below nextLsn, ${writer.nextLsn}`, lsn);
    await unlessAborted(writer.syncThrough(wanted), options?.signal);
  }

  /**
   * Records in their order, as far as they were appended when the first was asked for; those that
   * are not durable yet too.
   *
   * Shapes: `for await (const { lsn, data } of journal.read())`.
   * Order: by LSN; in reverse from `from` down to `to`, given in either order.
   * Lifetime: `data` stays as it is; it shares memory with records beside it.
   * Errors: `TypeError`, `RangeError`; `JournalDamageError` at a damaged place, after what stands
   * before it; reading can go on from its `resumesAt`.
   */
  read(options: ReadOptions = {}): AsyncIterableIterator<JournalRecord, undefined> {
    const signal = signalOf(options);
    const reverse = trueOrFalse(options.reverse, 'options.reverse');
    this.#checkOpen('read the journal');
    const [from, to] = rangeOf(options, reverse);
    const begin = async (): Promise<Reading> => {
      await this.#refresh(signal);
      const shelf = this.#snapshot();
      return reverse ? new ReverseReading(shelf, from, to) : new ForwardReading(shelf, from, to);
    };
    return new RecordIterator({ engine: this.engine, signal, begin, more: undefined });
  }

  /**
   * The record of an LSN.
   *
   * Errors: `TypeError`; `RangeError` for an LSN that is that of no record; `JournalDamageError`.
   */
  async get(lsn: number | bigint, options?: JournalCallOptions): Promise<Uint8Array> {
    const wanted = byteCount(lsn, 'lsn');
    const signal = signalOf(options);
    this.#checkOpen('read the journal');
    await this.#refresh(signal);
    const { firstLsn, endLsn } = this.#shelf;
    if (wanted < firstLsn || wanted >= endLsn) {
      throw outOfRange('lsn', `that of a record: from ${firstLsn} to below ${endLsn}`, lsn);
    }
    return drive(this.engine, getSteps(this.#shelf, wanted), signal);
  }

  /**
   * Records as they become durable, and never before; goes on until the signal is aborted, or this
   * journal closed. Beside a writer in another process too, by `readOnly`.
   *
   * Order: by LSN, none left out.
   * Errors: `AbortError`; as `read`; the first cause when the journal broke.
   */
  follow(options: FollowOptions = {}): AsyncIterableIterator<JournalRecord, undefined> {
    const signal = signalOf(options);
    this.#checkOpen('follow the journal');
    const from = options.from === undefined ? 0 : byteCount(options.from, 'options.from');
    const shelf = this.#durableShelf();
    const reading = new ForwardReading(shelf, from, Number.POSITIVE_INFINITY);
    let pollMs = POLL_MS_MIN;
    const more = async (): Promise<boolean> => {
      if (this.#isClosing) return false;
      const writing = this.#writing;
      if (writing === undefined) await this.#refresh(signal);
      if (shelf.endLsn > reading.lsn) {
        pollMs = POLL_MS_MIN;
        return true;
      }
      if (writing === undefined) await passed(this.engine, pollMs, signal);
      else {
        writing.writer.check('follow the journal');
        await told(writing.writer.listeners, signal);
      }
      pollMs = Math.min(2 * pollMs, POLL_MS_MAX);
      return true;
    };
    return new RecordIterator({ engine: this.engine, signal, begin: async () => reading, more });
  }

  /**
   * Gives up the records before an LSN. Files of segments that hold nothing else are recycled.
   *
   * Durable: when it resolves.
   * Errors: `TypeError`, `RangeError` for an LSN above `nextLsn`; `IoError`.
   */
  async trimBefore(lsn: number | bigint, options?: JournalCallOptions): Promise<void> {
    const { writer, disk, counts, held } = this.#toWrite('trim the journal', options);
    const wanted = byteCount(lsn, 'lsn');
    if (wanted > writer.nextLsn) {
      throw outOfRange('lsn', `no more than nextLsn, ${writer.nextLsn}`, lsn);
    }
    await writer.written();
    await writer.chore(() => trimSteps(disk, wanted, (first) => held.has(first), counts));
  }

  /**
   * Tells the system how the files of the journal will be read; answers how many took it.
   *
   * Errors: `TypeError`; `IoError`.
   */
  async advise(advice: AdviceName, options?: JournalCallOptions): Promise<number> {
    const signal = signalOf(options);
    this.#checkOpen('advise about the journal');
    const { home, segments } = this.#shelf;
    let takenCount = 0;
    for (const firstLsn of [...segments]) {
      const file = await drive(
        this.engine,
        home.open(segmentName(firstLsn), { access: 'read' }),
        signal,
      );
      try {
        const report = await drive(
          this.engine,
          stepsOf(file, () => file.advise(advice)),
        );
        if (report.taken) takenCount++;
      } finally {
        await drive(this.engine, closeSteps(file));
      }
    }
    return takenCount;
  }

  /**
   * For a journal that is read beside its writer: looks for what has become durable since. `read`,
   * `get` and `follow` do so by themselves. Errors: `IoError`.
   */
  async refresh(options?: JournalCallOptions): Promise<void> {
    this.#checkOpen('refresh the journal');
    await this.#refresh(signalOf(options));
  }

  /** What went through it, and how it is. */
  stats(): JournalStats {
    const writing = this.#writing;
    const counts = writing?.counts ?? new JournalCounts();
    const { writer } = writing ?? {};
    return {
      health: this.#isClosing ? 'closed' : writer?.isBroken === true ? 'broken' : 'ok',
      recordCount: counts.recordCount,
      recordBytes: counts.recordBytes,
      writtenBytes: counts.writtenBytes,
      groupCount: counts.groupCount,
      syncCount: counts.syncCount,
      rotationCount: counts.rotationCount,
      recycledCount: counts.recycledCount,
      trimmedCount: counts.trimmedCount,
      waiterCount: writer?.waiterCount ?? 0,
      pendingCount: writer?.pendingCount ?? 0,
      bufferedBytes: writer?.bufferedBytes ?? 0,
      memoryBytes: writer?.memoryBytes ?? 0,
      groupRecords: counts.groupRecords.told(),
      groupBytes: counts.groupBytes.told(),
      syncMs: counts.syncMs.told(),
      fallbacks: [...(writing?.fallbacks ?? [])],
    };
  }

  /**
   * Makes everything durable, notes where the journal ends, closes it; again is the same promise.
   *
   * Errors: `IoError` when that fails, and the first cause when it had failed before; the files are
   * closed and the lock is given up then too.
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
    const { engine } = this;
    const writing = this.#writing;
    if (writing === undefined) {
      await drive(engine, this.#shelf.home.close());
      return;
    }
    const { writer, disk, lock } = writing;
    try {
      await writer.idle();
      if (writer.isBroken) writer.checkTold('close the journal');
      else await drive(engine, closedSteps(disk));
    } finally {
      await drive(engine, disk.closeSteps());
      for (const listener of writer.listeners) listener();
      if (lock !== undefined) await drive(engine, lock.releaseSteps());
      await drive(engine, this.#shelf.home.close());
    }
  }

  #checkOpen(action: string): void {
    if (!this.#isClosing) return;
    const words = 'the journal is closed';
    throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'closed', words });
  }

  #toWrite(action: string, options: JournalCallOptions | undefined): Writing {
    const signal = signalOf(options);
    this.#checkOpen(action);
    const writing = this.#writing;
    if (writing === undefined) {
      const words = 'the journal is open for reading only';
      throw new IoError({ action, path: this.path, code: 'EBADF', kind: 'access', words });
    }
    writing.writer.check(action);
    if (signal?.aborted === true) throw interruption(signal.reason);
    return writing;
  }

  /* What was appended by now can be read then. */
  async #refresh(signal: AbortSignal | undefined): Promise<void> {
    if (this.#writing !== undefined) await this.#writing.writer.written();
    else await drive(this.engine, (this.#watcher as Watcher).refreshSteps(), signal);
  }

  /* What is there now; what comes later is not read. */
  #snapshot(): Shelf {
    return limited(this.#shelf, this.#shelf.endLsn);
  }

  #durableShelf(): Shelf {
    const { disk } = this.#writing ?? {};
    return disk === undefined ? this.#shelf : limited(this.#shelf, () => disk.syncedEndLsn);
  }
}

function writingOf({ shop, lock, standing }: OpenedForWriting): Writing {
  const counts = new JournalCounts();
  const disk = new Committer(shop, counts, standing);
  const writer = new Writer(disk, counts, standing.carried);
  return { disk, writer, lock, counts, held: new Map(), fallbacks: shop.fallbacks };
}

/**
 * Reads all of a journal and tells whether it is what was appended. Changes nothing; goes on behind
 * damage.
 *
 * Errors: `TypeError`; `IoError`; `AbortError`.
 */
export async function verifyJournal(
  directory: PathLike,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const signal = signalOf(options);
  const { onProgress } = options;
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalidType('options.onProgress', 'a function', onProgress);
  }
  const engine = engineOf(options.engine);
  return drive(engine, verifySteps(engine, placeOf(directory, 'directory'), onProgress), signal);
}

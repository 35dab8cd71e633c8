/** What a commit asks of the system: chores, a new segment, a cut, one write, one sync. */

import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { closeSteps, type SyncCode, syncSteps, writeAndSyncSteps } from '../file.js';
import type { SegmentHead } from '../frames.js';
import { Code, randomName } from '../platform.js';
import {
  type ActiveSegment,
  beginSegmentSteps,
  cutSteps,
  makeSpareSteps,
  markSteps,
  type Workshop,
} from './active.js';
import type { Group } from './group.js';
import { offsetOf } from './scan.js';
import type { JournalCounts } from './stats.js';

/** Work that no group may stand beside: trims, marks. */
export interface Chore {
  readonly steps: () => Steps<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One commit: a group, which may be empty, and what is to be done with it. */
export interface Job {
  readonly group: Group;
  /** The bytes as they go to disk. */
  readonly bytes: Uint8Array;
  /** The group begins this segment. */
  readonly head: SegmentHead | undefined;
  readonly syncs: boolean;
  readonly chores: readonly Chore[];
}

/** A new name for a segment's contents: 16 hexadecimal digits nobody can foresee. */
export function newEpoch({ home }: Workshop): string {
  return (home.engine.randomName?.() ?? randomName()).slice(0, 16);
}

/** The disk's side of a writer: what is written, and how far it is durable. */
export class Committer {
  readonly shop: Workshop;
  readonly #counts: JournalCounts;
  active: ActiveSegment;
  /** Names of files that wait to become segments. */
  readonly spares: string[];
  /** First LSNs of the segments there are. */
  readonly segments: number[];
  trimLsn = 0;
  writtenEndLsn: number;
  syncedEndLsn: number;
  /** Those of the last records written, and made durable; 0 for none. */
  writtenLsn: number;
  syncedLsn: number;
  /* What stands behind the end may be a refused write: it goes before the next. */
  needsCut = false;
  /* A segment has got its name, and it is not known whether that is durable. */
  isUncertain = false;

  constructor(
    shop: Workshop,
    counts: JournalCounts,
    standing: {
      readonly active: ActiveSegment;
      readonly spares: readonly string[];
      readonly segments: readonly number[];
      readonly trimLsn: number;
      readonly nextLsn: number;
      readonly lastLsn: number;
    },
  ) {
    this.shop = shop;
    this.#counts = counts;
    this.active = standing.active;
    this.spares = [...standing.spares];
    this.segments = [...standing.segments];
    this.trimLsn = standing.trimLsn;
    this.writtenEndLsn = standing.nextLsn;
    this.syncedEndLsn = standing.nextLsn;
    this.writtenLsn = standing.lastLsn;
    this.syncedLsn = standing.lastLsn;
  }

  /** The sector of direct I/O, in bytes; 1 without. */
  get alignment(): number {
    return this.active.file.directAlignment?.length ?? 1;
  }

  /** Whether something was written that is not durable. */
  get hasUnsynced(): boolean {
    return this.writtenEndLsn > this.syncedEndLsn;
  }

  get #syncCode(): SyncCode {
    return this.shop.settings.sync === 'full' ? Code.Sync : Code.SyncData;
  }

  /** Carries a job out. Errors: `IoError`. */
  *steps(job: Job): Steps<void> {
    for (const chore of job.chores) yield* this.#chore(chore);
    if (job.head !== undefined) yield* this.#rotate(job.head);
    const { group } = job;
    if (group.recordCount > 0) {
      if (this.needsCut) yield* this.cutSteps();
      yield* this.#write(job);
    } else if (job.syncs && this.hasUnsynced) yield* this.syncSteps();
    this.#wrote(job);
  }

  /* A chore that fails is told of it; it fails the group too where it broke the file. */
  *#chore({ steps, reject }: Chore): Steps<void> {
    try {
      yield* steps();
    } catch (error) {
      const isOurs = error instanceof IoError && this.active.file.latch.cause === undefined;
      if (!isOurs) throw error;
      reject(error);
    }
  }

  #wrote({ group, syncs }: Job): void {
    this.writtenEndLsn = group.endLsn;
    if (group.recordCount > 0) this.writtenLsn = group.lastLsn;
    if (!syncs) return;
    this.syncedEndLsn = this.writtenEndLsn;
    this.syncedLsn = this.writtenLsn;
  }

  /** Makes what was written durable. Errors: `IoError`. */
  *syncSteps(): Steps<void> {
    yield* syncSteps(this.active.file, this.#syncCode);
    this.#counts.syncCount++;
    this.syncedEndLsn = this.writtenEndLsn;
    this.syncedLsn = this.writtenLsn;
  }

  /** Cuts off what a refused write may have left behind the end. Errors: `IoError`. */
  *cutSteps(): Steps<void> {
    yield* cutSteps(this.active.file, offsetOf(this.active, this.writtenEndLsn));
    this.needsCut = false;
  }

  *#write(job: Job): Steps<void> {
    const { group, bytes, syncs } = job;
    const { file, durable } = this.active;
    const offset = offsetOf(this.active, group.firstLsn) - group.carriedBytes;
    /* One call, durable when it returns; what was written before it does not become so. */
    if (syncs && durable !== undefined && !this.hasUnsynced) {
      this.needsCut = true;
      yield* writeAndSyncSteps(durable, bytes, offset, undefined);
      this.needsCut = false;
    } else if (syncs) {
      yield* writeAndSyncSteps(file, bytes, offset, this.#syncCode);
    } else yield* writeAndSyncSteps(file, bytes, offset, undefined);
    if (syncs) this.#counts.syncCount++;
    this.#counts.writtenBytes += bytes.length;
  }

  /*
   * The segment before is durable to its end before another follows it: only the last one can be
   * torn, whatever the power does.
   */
  *#rotate(head: SegmentHead): Steps<void> {
    if (this.hasUnsynced) yield* this.syncSteps();
    const before = this.active;
    const spare = this.spares.shift();
    if (spare !== undefined) this.#counts.recycledCount++;
    /* A trim may have gone before, in this very commit. */
    const current = { ...head, trimLsn: this.trimLsn };
    const next = yield* beginSegmentSteps(this.shop, spare, current, () => {
      this.isUncertain = true;
    });
    this.isUncertain = false;
    this.active = next;
    this.needsCut = false;
    this.#counts.rotationCount++;
    const isReplaced = before.head.firstLsn === head.firstLsn;
    if (!isReplaced) this.segments.push(head.firstLsn);
    const end = { closedLsn: head.firstLsn, lastLsn: this.writtenLsn };
    try {
      if (!isReplaced) {
        yield* markSteps(before, { trimLsn: this.trimLsn, ...end, isFollowed: true });
      }
    } finally {
      yield* closeSteps(before.file, before.durable);
    }
  }

  /**
   * Makes a file for the next segment, beside the commits, where zeros are to be written and no
   * file waits. Never fails: a rotation that finds none makes its own.
   */
  *prepareSteps(): Steps<void> {
    if (this.spares.length > 0 || this.shop.settings.preallocate !== 'zeros') return;
    try {
      this.spares.push(yield* makeSpareSteps(this.shop, this.shop.settings.segmentBytes));
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
    }
  }

  /** Writes the mark of the segment that is written, durably. Errors: `IoError`. */
  *markSteps(isClosed: boolean): Steps<void> {
    const { trimLsn, writtenEndLsn, writtenLsn: lastLsn } = this;
    const closedLsn = isClosed ? writtenEndLsn : 0;
    yield* markSteps(this.active, { trimLsn, closedLsn, lastLsn, isFollowed: false });
    yield* this.syncSteps();
  }

  closeSteps(): Steps<void> {
    return closeSteps(this.active.file, this.active.durable);
  }
}

/** Makes everything durable, then says where the journal ends. Errors: `IoError`. */
export function* closedSteps(disk: Committer): Steps<void> {
  if (disk.needsCut) yield* disk.cutSteps();
  if (disk.hasUnsynced) yield* disk.syncSteps();
  yield* disk.markSteps(true);
}

/**
 * Group commit. Records gather in one group while another is written and synced; when that has
 * ended, the next begins. Without a timer: a group is handed over when a turn of the microtasks
 * brings nothing more.
 */

import type { Sequence } from '../buffers.js';
import { alignUp } from '../bytes.js';
import { clockOf, drive, type Engine, type Steps, start } from '../engine.js';
import { IoError } from '../errors.js';
import { Latch } from '../file.js';
import {
  END_BYTES,
  FrameFlag,
  frameBytes,
  PAGE_BYTES,
  SEGMENT_HEAD_BYTES,
  type SegmentHead,
  seedOf,
} from '../frames.js';
import { isFull } from './active.js';
import { type Chore, type Committer, type Job, newEpoch } from './commit.js';
import { Group } from './group.js';
import type { JournalCounts } from './stats.js';

/* An append, or a batch, there was no room for. */
interface Pending {
  readonly records: readonly Sequence[];
  readonly bytes: number;
  readonly resolve: (lsn: number) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
}

interface SyncWaiter {
  readonly lsn: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/* A group that nobody waits for is handed over when it has so much: writing goes on meanwhile. */
const WRITE_BYTES = 1048576;

/** Records on their way, and who waits for them. */
export class Writer {
  readonly #disk: Committer;
  readonly #counts: JournalCounts;
  readonly #engine: Engine;
  readonly #path: string;
  readonly #latch = new Latch();
  readonly #groupBytesMax: number;
  /** Told when more has become durable. */
  readonly listeners: Set<() => void> = new Set();
  #gather = new Group();
  #idle = new Group();
  #underWay: Job | undefined;
  #startedMs = 0;
  /* Where frames of the segment that gathers have to end. */
  #limitLsn: number;
  readonly #pending: Pending[] = [];
  #pendingFirst = 0;
  #syncs: SyncWaiter[] = [];
  #chores: Chore[] = [];
  #isScheduled = false;
  #seenCount = -1;
  /* Why nothing goes any more, where that is no IoError: the power of a simulated disk. */
  #lost: unknown;
  #whenIdle: (() => void) | undefined;
  /* A file for the next segment being made. */
  #preparing: Promise<void> = Promise.resolve();
  /* Somebody has heard why it is broken. */
  #isTold = false;

  constructor(disk: Committer, counts: JournalCounts, carried: Uint8Array | undefined) {
    this.#disk = disk;
    this.#counts = counts;
    const { home, settings } = disk.shop;
    this.#engine = home.engine;
    this.#path = home.path;
    this.#groupBytesMax = Math.floor(settings.bufferBytes / 2);
    this.#limitLsn = limitOf(disk.active.head.firstLsn, disk.active.head.capacityBytes);
    this.#gather.begin(disk.writtenEndLsn, carried, this.#groupBytesMax);
  }

  /** Where the next record goes. */
  get nextLsn(): number {
    return this.#gather.endLsn;
  }

  get isBroken(): boolean {
    return this.#latch.cause !== undefined || this.#lost !== undefined;
  }

  get pendingCount(): number {
    return this.#pending.length - this.#pendingFirst;
  }

  get waiterCount(): number {
    return this.#gather.waiterCount + (this.#underWay?.group.waiterCount ?? 0);
  }

  get bufferedBytes(): number {
    return this.#gather.bytes + (this.#underWay?.group.bytes ?? 0);
  }

  get memoryBytes(): number {
    const spare = this.#underWay === undefined ? this.#idle : this.#underWay.group;
    return this.#gather.memoryBytes + spare.memoryBytes;
  }

  /** Errors: the first cause of a broken journal. */
  check(action: string): void {
    if (!this.isBroken) return;
    this.#isTold = true;
    if (this.#lost !== undefined) throw this.#lost;
    this.#latch.check(action, this.#path);
  }

  /** As `check`, where nobody has heard of it yet. */
  checkTold(action: string): void {
    if (!this.#isTold) this.check(action);
  }

  /** Appends one record; resolves when it is durable. Errors: `IoError`. */
  append(record: Sequence, signal?: AbortSignal): Promise<number> {
    const bytes = frameBytes(record.byteLength);
    if (this.pendingCount > 0 || !this.#makesRoom(bytes)) {
      return this.#later([record], bytes, signal);
    }
    const group = this.#gather;
    const lsn = group.put(record, bytes, 0);
    this.#soon();
    return group.promise(lsn);
  }

  /** Appends records that stay together. Answers the first LSN. Errors: `IoError`. */
  appendBatch(records: readonly Sequence[], bytes: number, signal?: AbortSignal): Promise<number> {
    if (this.pendingCount > 0 || !this.#makesRoom(bytes)) {
      return this.#later(records, bytes, signal);
    }
    const group = this.#gather;
    const first = putAll(group, records);
    this.#soon();
    return group.promise(first);
  }

  #later(
    records: readonly Sequence[],
    bytes: number,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    this.check('append to the journal');
    return new Promise((resolve, reject) => {
      this.#pending.push({ records, bytes, resolve, reject, signal });
    });
  }

  /** Puts a record in its place, and no more. Errors: `IoError` of kind `busy`. */
  write(record: Sequence): number {
    const bytes = frameBytes(record.byteLength);
    while (this.pendingCount > 0 || !this.#makesRoom(bytes)) this.#waitForRoom();
    const group = this.#gather;
    const lsn = group.put(record, bytes, 0);
    group.writeCount++;
    if (group.bytes >= WRITE_BYTES && group.waiterCount === 0) this.#handOver();
    else this.#soon();
    return lsn;
  }

  /* The loop does not come round while the caller goes on writing: what is under way ends here. */
  #waitForRoom(): void {
    this.check('write to the journal');
    const isWaiting = this.#engine.wait?.(-1) === true;
    this.check('write to the journal');
    if (isWaiting) return;
    const words = 'its memory is full of records under way: await syncThrough, then go on';
    throw new IoError({ action: 'write to the journal', code: 'EAGAIN', path: this.#path, words });
  }

  /** Resolves when the record of an LSN, and all before it, is durable. Errors: `IoError`. */
  syncThrough(lsn: number): Promise<void> {
    if (lsn < this.#disk.syncedEndLsn) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#syncs.push({ lsn, resolve, reject });
      this.#soon();
    });
  }

  /** Does work that no commit stands beside. Errors: those of the work, which may break all. */
  chore(steps: () => Steps<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.check('go on');
      this.#chores.push({ steps, resolve, reject });
      this.#soon();
    });
  }

  /** Resolves when nothing is under way or waits. */
  async idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
      if (this.isBroken || !this.#hasWork()) this.#tellIdle();
      else this.#soon();
    });
    await this.#preparing;
  }

  /** Writes what gathers by now; resolves when it can be read. Errors: `IoError`. */
  async written(): Promise<void> {
    const endLsn = this.nextLsn;
    while (this.#disk.writtenEndLsn < endLsn) await this.chore(nothing);
  }

  /* Whether so many bytes of frames can be put now; hands over what stands in the way. */
  #makesRoom(bytes: number): boolean {
    if (this.isBroken) return false;
    let group = this.#gather;
    const fits = group.bytes + bytes <= this.#groupBytesMax;
    if (fits && group.endLsn + bytes <= this.#limitLsn) return true;
    if (group.recordCount > 0) {
      if (this.#underWay !== undefined) return false;
      this.#handOver();
      if (this.isBroken) return false;
      group = this.#gather;
    }
    if (group.endLsn + bytes > this.#limitLsn) {
      const { segmentBytes } = this.#disk.shop.settings;
      const least = alignUp(SEGMENT_HEAD_BYTES + bytes + END_BYTES, PAGE_BYTES);
      group.beginSegment(Math.max(segmentBytes, least));
      this.#limitLsn = limitOf(group.firstLsn, group.segmentBytes);
    }
    return true;
  }

  /* When nothing more joins in this turn: whoever was just told may append at once. */
  #soon(): void {
    if (this.#isScheduled || this.#underWay !== undefined) return;
    this.#isScheduled = true;
    this.#seenCount = -1;
    queueMicrotask(this.#look);
  }

  readonly #look = (): void => {
    const { recordCount } = this.#gather;
    if (recordCount !== this.#seenCount) {
      this.#seenCount = recordCount;
      queueMicrotask(this.#look);
      return;
    }
    this.#isScheduled = false;
    this.#handOver();
  };

  #hasWork(): boolean {
    if (this.#underWay !== undefined) return true;
    return this.#gather.recordCount > 0 || this.#syncs.length > 0 || this.#chores.length > 0;
  }

  #handOver(): void {
    if (this.#underWay !== undefined || this.isBroken || !this.#hasWork()) return;
    const group = this.#gather;
    const disk = this.#disk;
    const isEmpty = group.recordCount === 0;
    const head = isEmpty || group.segmentBytes === 0 ? undefined : this.#headFor(group);
    const { alignment } = disk;
    const seed = head === undefined ? disk.active.seed : seedOf(head);
    group.epoch = (head ?? disk.active.head).epoch;
    const bytes = isEmpty ? nothingToWrite : group.seal(seed, disk.syncedEndLsn, alignment);
    const isAwaited = group.waiterCount > 0 && disk.shop.settings.sync !== false;
    const job: Job = {
      group,
      bytes,
      head,
      syncs: isAwaited || this.#syncs.length > 0,
      chores: this.#chores,
    };
    this.#chores = [];
    this.#underWay = job;
    this.#gather = this.#idle;
    this.#gather.begin(group.endLsn, group.carry(alignment), this.#groupBytesMax);
    this.#startedMs = clockOf(this.#engine);
    const resolve = (): void => this.#ended(job);
    const reject = (error: unknown): void => this.#failed(job, error);
    start(this.#engine, disk.steps(job), { resolve, reject });
  }

  #headFor(group: Group): SegmentHead {
    const { active, trimLsn, shop } = this.#disk;
    /* A segment that holds nothing is replaced by the one that holds this group. */
    const isReplaced = active.head.firstLsn === group.firstLsn;
    return {
      flags: isReplaced ? active.head.flags : 0,
      journal: active.head.journal,
      epoch: newEpoch(shop),
      firstLsn: group.firstLsn,
      epochBefore: isReplaced ? active.head.epochBefore : active.head.epoch,
      trimLsn,
      capacityBytes: group.segmentBytes,
    };
  }

  #ended(job: Job): void {
    const { group, syncs } = job;
    this.#count(job);
    this.#underWay = undefined;
    this.#idle = group;
    group.resolveAll();
    if (job.head !== undefined) this.#prepare();
    for (const { resolve } of job.chores) resolve();
    if (syncs) this.#tellSynced();
    this.#admit();
    if (this.#hasWork()) this.#soon();
    else this.#tellIdle();
  }

  #prepare(): void {
    const begin = (): Promise<void> => drive(this.#engine, this.#disk.prepareSteps());
    const lost = (error: unknown): void => this.#break(error, undefined);
    this.#preparing = this.#preparing.then(begin).catch(lost);
  }

  #count({ group, syncs }: Job): void {
    const counts = this.#counts;
    if (syncs) counts.syncMs.add(clockOf(this.#engine) - this.#startedMs);
    if (group.recordCount === 0) return;
    counts.groupCount++;
    counts.recordCount += group.recordCount;
    counts.recordBytes += group.recordBytes;
    counts.groupRecords.add(group.recordCount);
    counts.groupBytes.add(group.bytes);
  }

  #tellSynced(): void {
    const { syncedEndLsn } = this.#disk;
    const waiters = this.#syncs;
    if (waiters.length > 0) {
      this.#syncs = waiters.filter(({ lsn }) => lsn >= syncedEndLsn);
      for (const { lsn, resolve } of waiters) if (lsn < syncedEndLsn) resolve();
    }
    for (const listener of this.listeners) listener();
  }

  #tellIdle(): void {
    const idle = this.#whenIdle;
    this.#whenIdle = undefined;
    idle?.();
  }

  /* In the order of the calls, before anybody who calls now. */
  #admit(): void {
    const pending = this.#pending;
    while (this.pendingCount > 0) {
      const one = pending[this.#pendingFirst] as Pending;
      const { records, bytes, resolve, reject, signal } = one;
      /* Whoever was aborted has been told, and waited for room until now. */
      if (signal?.aborted !== true && !this.#makesRoom(bytes)) return;
      this.#pendingFirst++;
      if (signal?.aborted === true) continue;
      const group = this.#gather;
      group.wait(putAll(group, records), resolve, reject);
    }
    pending.length = 0;
    this.#pendingFirst = 0;
  }

  #failed(job: Job, error: unknown): void {
    const { group } = job;
    this.#underWay = undefined;
    this.#idle = group;
    if (!this.#isHarmless(job, error)) {
      this.#break(error, job);
      return;
    }
    /* Nothing was written, and nobody was told an LSN: it is as if they had not been there. */
    const gathered = this.#gather;
    const carried = group.carriedView();
    group.rejectAll(error);
    gathered.rejectAll(error);
    for (const { reject } of job.chores) reject(error);
    for (const { reject } of this.#syncs.splice(0)) reject(error);
    const { active } = this.#disk;
    gathered.begin(this.#disk.writtenEndLsn, carried, this.#groupBytesMax);
    this.#limitLsn = limitOf(active.head.firstLsn, active.head.capacityBytes);
    this.#admit();
    if (this.#hasWork()) this.#soon();
    else this.#tellIdle();
  }

  /* There was no room, before anything was written, and no record is lost that was taken. */
  #isHarmless({ group }: Job, error: unknown): boolean {
    if (!isFull(error) || (error.bytesDone ?? 0) > 0) return false;
    const { file, durable } = this.#disk.active;
    if (this.#disk.isUncertain) return false;
    if (file.latch.cause !== undefined || durable?.latch.cause !== undefined) return false;
    return group.writeCount === 0 && this.#gather.writeCount === 0;
  }

  #break(error: unknown, job: Job | undefined): void {
    if (error instanceof IoError) this.#latch.trip(error);
    else this.#lost = error;
    const awaited = this.waiterCount + (job?.group.waiterCount ?? 0) + this.#syncs.length;
    this.#isTold = this.#isTold || awaited > 0;
    job?.group.rejectAll(error);
    this.#gather.rejectAll(error);
    for (const { reject } of [...(job?.chores ?? []), ...this.#chores.splice(0)]) reject(error);
    for (const { reject } of this.#syncs.splice(0)) reject(error);
    for (const { reject } of this.#pending.splice(0).slice(this.#pendingFirst)) reject(error);
    this.#pendingFirst = 0;
    for (const listener of this.listeners) listener();
    this.#tellIdle();
  }
}

const nothingToWrite = new Uint8Array(0);

/* A chore that asks for nothing. */
function* nothing(): Steps<void> {}

function limitOf(firstLsn: number, capacityBytes: number): number {
  return firstLsn + capacityBytes - SEGMENT_HEAD_BYTES - END_BYTES;
}

/* All but the last say that another follows. */
function putAll(group: Group, records: readonly Sequence[]): number {
  const last = records.length - 1;
  let first = 0;
  for (let index = 0; index <= last; index++) {
    const record = records[index] as Sequence;
    const flags = index < last ? FrameFlag.Continues : 0;
    const lsn = group.put(record, frameBytes(record.byteLength), flags);
    if (index === 0) first = lsn;
  }
  return first;
}

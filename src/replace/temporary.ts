/** Names of files under construction, and sweeping those that a killed process left. */
import type { Engine, Steps } from '../engine.js';
import { closing } from '../file.js';
import {
  AT_SYMLINK_NOFOLLOW,
  Code,
  errnoOf,
  FD_OPENED_IN_RUN,
  type FileStat,
  LOCK_EXCLUSIVE_NOW,
  linked,
  now,
  OpenFlag,
  Operation,
  type Place,
  randomName,
} from '../platform.js';

const PATTERN = /^\.holdfast-[0-9a-f]{32}\.tmp$/;
/* A live writer touches its file, or holds its lock; this much silence is a dead one. */
const STALE_MS = 3_600_000;
const READS_MAX = 16;
const ENTRIES_BYTES = 65536;

/** A name that nobody can foresee, short enough for every directory whatever the target's name. */
export function temporaryName(engine: Engine): string {
  return `.holdfast-${engine.randomName?.() ?? randomName()}.tmp`;
}

function* namesIn(directory: Place, descriptor: number): Steps<string[]> {
  const names: string[] = [];
  for (let reads = 0; reads < READS_MAX; reads++) {
    const read = new Operation(Code.ReadEntries);
    read.fd = descriptor;
    read.out = new Uint8Array(ENTRIES_BYTES);
    /* node:fs reads directories by path, the addon by descriptor. */
    read.place = directory;
    read.mustRun = true;
    yield read;
    if (read.result < 0) break;
    names.push(...(read.names ?? []).filter((name) => PATTERN.test(name)));
    if (read.result === 0) break;
  }
  return names;
}

function* isStale(engine: Engine, place: Place): Steps<boolean> {
  const stat = new Operation(Code.Stat);
  stat.place = place;
  stat.flags = AT_SYMLINK_NOFOLLOW;
  stat.mustRun = true;
  yield stat;
  if (stat.result < 0) return false;
  const { kind, modifiedMs, changedMs } = stat.stat as FileStat;
  const nowMs = engine.now?.() ?? now();
  return kind === 'file' && nowMs - Math.max(modifiedMs, changedMs) > STALE_MS;
}

/** Removes one stale file, unless its writer is alive and holds its lock. */
function* removeUnlocked(place: Place): Steps<boolean> {
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = OpenFlag.ReadOnly | OpenFlag.NoFollow | OpenFlag.NonBlocking;
  open.mustRun = true;
  const lock = lockOf(FD_OPENED_IN_RUN);
  const unlink = new Operation(Code.Unlink);
  unlink.place = place;
  unlink.mustRun = true;
  yield linked(open, lock);
  if (open.result < 0) return false;
  /* Where there are no locks the age alone decides: a writer robbed of its file fails whole. */
  const isFree = lock.result >= 0 || lock.result !== errnoOf('EAGAIN');
  if (isFree) yield unlink;
  yield closing(open.result);
  return isFree && unlink.result >= 0;
}

/** The lock a slow writer holds on its temporary file. */
export function lockOf(descriptor: number): Operation {
  const lock = new Operation(Code.Lock);
  lock.fd = descriptor;
  lock.flags = LOCK_EXCLUSIVE_NOW;
  return lock;
}

/**
 * Removes what killed processes left in a directory; answers how many. Never fails, and is not
 * aborted: it comes after the replace has succeeded.
 */
export function* sweepSteps(engine: Engine, directory: Place, descriptor: number): Steps<number> {
  let swept = 0;
  for (const name of yield* namesIn(directory, descriptor)) {
    const place = directory.child(name, descriptor);
    if ((yield* isStale(engine, place)) && (yield* removeUnlocked(place))) swept++;
  }
  return swept;
}

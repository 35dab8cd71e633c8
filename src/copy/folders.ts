/** One directory of a tree at both ends: entered, left with its traits, synced. */
import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { closing } from '../file.js';
import { canHold, type Held, holding, letGo } from '../held.js';
import {
  Code,
  errnoOf,
  type FileStat,
  linked,
  OpenFlag,
  Operation,
  type Place,
} from '../platform.js';
import { giveTraits, HeldDirectories, type Traits, traitsOf } from '../replace.js';
import { foundSteps, refusedTree } from './entries.js';
import { Company } from './single.js';

/** A directory under way. */
export interface Folder {
  /** Seen from the root, one character a byte; empty for the root. */
  readonly path: string;
  readonly parent: Folder | undefined;
  readonly source: Held;
  readonly target: Held;
  /** What the target takes over, where this copy made it. */
  readonly traits: Traits | undefined;
  /** What the copies of its files share. */
  readonly company: Company;
  /** What in it is not done yet. */
  pendingCount: number;
}

/** What the copies into a directory share. */
export function companyOf({ fd, place }: Held): Company {
  if (fd < 0) return new Company();
  const held = new HeldDirectories();
  held.add(place.path, fd);
  return new Company(held);
}

export type Note = (what: string, reason: string) => void;

/* The final permissions come last: until then nobody else looks at what is half there. */
const MODE_UNDER_WAY = 0o700;

function stands(place: Place): IoError {
  const action = 'copy the tree: make the directory';
  const step = 'make the directory';
  return new IoError({ action, code: 'EEXIST', dest: place.path, path: place.path, step });
}

/** Makes a directory and holds it; answers the one that stands there when that may be. */
export function* madeOrHeld(
  engine: Engine,
  place: Place,
  mayStand: boolean,
): Steps<{ readonly held: Held; readonly isMade: boolean }> {
  const make = new Operation(Code.MakeDirectory);
  make.place = place;
  make.mode = MODE_UNDER_WAY;
  const open = canHold(engine) ? holding(place, 'all', OpenFlag.NoFollow) : undefined;
  yield open === undefined ? make : linked(make, open);
  if (make.result >= 0 && open !== undefined && open.result >= 0) {
    return { held: { fd: open.result, place }, isMade: true };
  }
  const exists = make.result === errnoOf('EEXIST');
  if (make.result < 0 && !exists) {
    throw refusedTree(make, { step: 'make the directory', path: place.path });
  }
  if (exists && !mayStand) throw stands(place);
  const held = yield* foundSteps(engine, place, false);
  if (held === undefined) throw stands(place);
  return { held, isMade: !exists };
}

/** The traits of a directory that is held. */
export function* traitsOfHeld(
  engine: Engine,
  { fd, place }: Held,
  stat: FileStat,
): Steps<Traits | undefined> {
  return fd < 0 ? undefined : yield* traitsOf(engine, { fd, stat, path: place.path });
}

/** Lets go of both ends. */
export function* dropFolder({ source, target }: Folder): Steps<void> {
  yield* letGo(source, target);
}

/* A file system that has no sync for directories says EINVAL; anything else is a loss. */
export function* syncSteps(held: Held, note: Note): Steps<void> {
  if (held.fd < 0) return;
  const sync = new Operation(Code.Sync);
  sync.fd = held.fd;
  yield sync;
  if (sync.result >= 0) return;
  const { path } = held.place;
  const error = refusedTree(sync, { step: 'sync the directory', path, durable: 'unknown' });
  if (error.kind !== 'invalid' && error.kind !== 'unsupported') throw error;
  note('directory sync', error.code);
}

interface Leave {
  readonly isSynced: boolean;
  readonly keepTimes: boolean;
  readonly note: Note;
}

/** Ends a directory all of whose names are there: traits, sync, and both ends are let go. */
export function* leaveSteps(engine: Engine, folder: Folder, leave: Leave): Steps<void> {
  const { source, target, traits } = folder;
  const { note, keepTimes } = leave;
  /* Not needed any more; the target stays open for what follows. */
  if (source.fd >= 0) yield closing(source.fd);
  try {
    if (target.fd < 0) note('traits of directories', String(engine.capabilities['directory-sync']));
    else if (traits !== undefined) {
      const to = { fd: target.fd, place: target.place };
      for (const { what, reason } of yield* giveTraits(engine, to, traits, keepTimes)) {
        note(what, reason);
      }
    }
    if (leave.isSynced) yield* syncSteps(target, note);
  } finally {
    yield* letGo(target);
  }
}

/** What is in a directory of the tree, and what is above it. */
import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import {
  canHold,
  entryIn,
  groupSteps,
  type Held,
  holdSteps,
  identityOf,
  isRefusal,
  looking,
  readSteps,
  refused,
} from '../held.js';
import { errnoOf, type FileStat, OpenFlag, type Operation, type Place } from '../platform.js';

/** A name in a directory, and what it stands for. */
export interface Entry {
  /** As it was read: one character a byte. */
  readonly name: string;
  readonly stat: FileStat;
}

const LEVELS_MAX = 4096;

/** The error of an operation that was refused. */
export function refusedTree(
  operation: Operation,
  fields: Omit<Parameters<typeof refused>[1], 'action'> & { readonly step: string },
): IoError {
  return refused(operation, { ...fields, action: `copy the tree: ${fields.step}` });
}

/** Holds a directory; `undefined` where nothing is. Errors: `IoError`. */
export function* foundSteps(
  engine: Engine,
  place: Place,
  followsLinks: boolean,
): Steps<Held | undefined> {
  const step = 'open the directory';
  const action = `copy the tree: ${step}`;
  if (!canHold(engine)) {
    const look = looking(place);
    if (followsLinks) look.flags = 0;
    yield look;
    if (look.result === errnoOf('ENOENT')) return undefined;
    if (look.result < 0) throw refusedTree(look, { step, path: place.path });
    if (look.stat?.kind === 'directory') return { fd: -1, place };
    throw new IoError({ action, code: 'ENOTDIR', path: place.path, step });
  }
  try {
    return yield* holdSteps(engine, place, 'all', action, followsLinks ? 0 : OpenFlag.NoFollow);
  } catch (error) {
    if (isRefusal(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function* namesIn(held: Held): Steps<string[]> {
  const names: string[] = [];
  for (;;) {
    const some = yield* readSteps(held, 'copy the tree: read the directory');
    for (const name of some.names) names.push(name);
    if (some.isWhole) return names;
  }
}

/**
 * All that is in a directory, links not followed. What vanished since its name was read is counted
 * and left out. Errors: `IoError`.
 */
export function* entriesIn(held: Held): Steps<{ entries: Entry[]; vanishedCount: number }> {
  const names = yield* namesIn(held);
  const looks = names.map((name) => looking(entryIn(held, name)));
  yield* groupSteps(looks.map((look) => [look]));
  const entries: Entry[] = [];
  let vanishedCount = 0;
  for (const [index, look] of looks.entries()) {
    const { result, stat, place } = look;
    if (stat !== undefined) entries.push({ name: names[index] as string, stat });
    else if (result === errnoOf('ENOENT')) vanishedCount++;
    else throw refusedTree(look, { step: 'inspect', path: (place as Place).path });
  }
  return { entries, vanishedCount };
}

/** Whether a directory is `other` or lies in it: asked upwards, `..` by `..`. Errors: `IoError`. */
export function* isWithin(held: Held, other: FileStat): Steps<boolean> {
  let below = '';
  let up = '.';
  for (let level = 0; level < LEVELS_MAX; level++) {
    const look = looking(entryIn(held, up));
    look.flags = 0;
    yield look;
    const { path } = held.place;
    if (look.result < 0) throw refusedTree(look, { step: 'look upwards', path });
    const identity = identityOf(look.stat as FileStat);
    if (identity === identityOf(other)) return true;
    /* The root is its own parent. */
    if (identity === below) return false;
    below = identity;
    up += '/..';
  }
  return false;
}

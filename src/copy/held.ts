/** Directories held open, what is in them, and what is above them. */
import type { Engine, Steps } from '../engine.js';
import { IoError, type IoErrorFields } from '../errors.js';
import { closing } from '../file.js';
import {
  AT_SYMLINK_NOFOLLOW,
  Code,
  codeName,
  errnoOf,
  type FileStat,
  linked,
  OpenFlag,
  Operation,
  Place,
  refusal,
} from '../platform.js';

/** A directory. Where directories cannot be opened, `fd` is -1 and names are paths. */
export interface Held {
  readonly fd: number;
  readonly place: Place;
}

/** A name in a directory, and what it stands for. */
export interface Entry {
  /** As it was read: one character a byte. */
  readonly name: string;
  readonly stat: FileStat;
}

const READ_BYTES = 65536;
const LOOKS_MAX = 256;
const LEVELS_MAX = 4096;

/** The error of an operation that was refused. */
export function refused(
  { code, result }: Operation,
  fields: Omit<IoErrorFields, 'code' | 'errno' | 'syscall' | 'action'> & { readonly step: string },
): IoError {
  const action = `copy the tree: ${fields.step}`;
  return refusal(result, { syscall: codeName(code), action, ...fields });
}

/** The operation that opens a directory. */
export function holding(place: Place, followsLinks: boolean): Operation {
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = OpenFlag.ReadOnly | OpenFlag.Directory | OpenFlag.NonBlocking;
  if (!followsLinks) open.flags |= OpenFlag.NoFollow;
  return open;
}

/** Whether directories can be opened at all. */
export function canHold({ capabilities }: Engine): boolean {
  return capabilities['directory-sync'] === true;
}

/** Holds a directory; `undefined` where nothing is. Errors: `IoError`. */
export function* holdSteps(
  engine: Engine,
  place: Place,
  followsLinks: boolean,
): Steps<Held | undefined> {
  const open = canHold(engine) ? holding(place, followsLinks) : looking(place, followsLinks);
  yield open;
  if (open.result === errnoOf('ENOENT')) return undefined;
  const { path } = place;
  if (open.result < 0) throw refused(open, { step: 'open the directory', path });
  if (open.code === Code.Open) return { fd: open.result, place };
  if (open.stat?.kind === 'directory') return { fd: -1, place };
  const action = 'copy the tree: open the directory';
  throw new IoError({ action, code: 'ENOTDIR', path, step: 'open the directory' });
}

/** Lets directories go. Never fails: nothing was written through them. */
export function* letGo(...directories: readonly (Held | undefined)[]): Steps<void> {
  for (const held of directories) if (held !== undefined && held.fd >= 0) yield closing(held.fd);
}

/** A name in a directory, one character a byte. */
export function entryIn({ fd, place }: Held, name: string): Place {
  const entry = place.entry(name, fd);
  return fd >= 0 ? entry : new Place(entry.path, entry.encoding);
}

function looking(place: Place, followsLinks = false): Operation {
  const stat = new Operation(Code.Stat);
  stat.place = place;
  stat.flags = followsLinks ? 0 : AT_SYMLINK_NOFOLLOW;
  return stat;
}

function* namesIn(held: Held): Steps<string[]> {
  const names: string[] = [];
  for (;;) {
    const read = new Operation(Code.ReadEntries);
    read.fd = held.fd;
    read.place = held.place;
    read.out = new Uint8Array(READ_BYTES);
    yield read;
    const { path } = held.place;
    if (read.result < 0) throw refused(read, { step: 'read the directory', path });
    for (const name of read.names ?? []) names.push(name);
    /* The addon answers bytes, and 0 at the end; the others answer all names at once. */
    if (read.result === 0) return names;
  }
}

/**
 * All that is in a directory, links not followed. What vanished since its name was read is counted
 * and left out. Errors: `IoError`.
 */
export function* entriesIn(held: Held): Steps<{ entries: Entry[]; vanishedCount: number }> {
  const names = yield* namesIn(held);
  const entries: Entry[] = [];
  let vanishedCount = 0;
  for (let first = 0; first < names.length; ) {
    const some = names.slice(first, first + LOOKS_MAX);
    const looks = some.map((name) => looking(entryIn(held, name)));
    const [head, ...rest] = looks;
    yield linked(head as Operation, ...rest);
    for (const [index, look] of looks.entries()) {
      if (look.result === errnoOf('ECANCELED')) break;
      first++;
      if (look.result >= 0) {
        entries.push({ name: some[index] as string, stat: look.stat as FileStat });
      } else if (look.result === errnoOf('ENOENT')) vanishedCount++;
      else throw refused(look, { step: 'inspect', path: (look.place as Place).path });
    }
  }
  return { entries, vanishedCount };
}

/** True when the two are one file. */
export function isOne(one: FileStat, other: FileStat | undefined): boolean {
  return other !== undefined && one.inode === other.inode && one.device === other.device;
}

/** Whether a directory is `other` or lies in it: asked upwards, `..` by `..`. Errors: `IoError`. */
export function* isWithin(held: Held, other: FileStat): Steps<boolean> {
  let below: FileStat | undefined;
  let up = '.';
  for (let level = 0; level < LEVELS_MAX; level++) {
    const look = looking(entryIn(held, up), true);
    yield look;
    const { path } = held.place;
    if (look.result < 0) throw refused(look, { step: 'look upwards', path });
    const stat = look.stat as FileStat;
    if (isOne(stat, other)) return true;
    /* The root is its own parent. */
    if (isOne(stat, below)) return false;
    below = stat;
    up += '/..';
  }
  return false;
}

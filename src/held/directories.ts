/** Opening directories and seeing names from them. */
import type { Engine, Steps } from '../engine.js';
import { IoError, type IoErrorFields } from '../errors.js';
import { closing } from '../file.js';
import {
  AT_SYMLINK_NOFOLLOW,
  Code,
  codeName,
  type FileStat,
  OpenFlag,
  Operation,
  Place,
  refusal,
} from '../platform.js';
import { groupSteps } from './groups.js';

/** A directory. Where directories cannot be opened, `fd` is -1 and names are paths. */
export interface Held {
  readonly fd: number;
  readonly place: Place;
}

/** What a directory is held for: to see names from it, or also to read and to sync it. */
export type Purpose = 'names' | 'all';

const FLAGS: Readonly<Record<Purpose, number>> = {
  names: OpenFlag.Path | OpenFlag.Directory,
  all: OpenFlag.ReadOnly | OpenFlag.Directory | OpenFlag.NonBlocking,
};

/** The error of an operation that was refused. */
export function refused(
  { code, result }: Operation,
  fields: Omit<IoErrorFields, 'code' | 'errno' | 'syscall'>,
): IoError {
  return refusal(result, { syscall: codeName(code), ...fields });
}

/** True for an `IoError` of one of these codes. */
export function isRefusal(error: unknown, ...codes: readonly string[]): error is IoError {
  return error instanceof IoError && codes.includes(error.code);
}

/** Whether directories can be opened at all. */
export function canHold({ capabilities }: Engine): boolean {
  return capabilities['directory-sync'] === true;
}

/** The operation that opens a directory; `flags` are added. */
export function holding(place: Place, purpose: Purpose, flags = 0): Operation {
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = FLAGS[purpose] | flags;
  return open;
}

/** The flags of `holding`. */
export function flagsFor(purpose: Purpose): number {
  return FLAGS[purpose];
}

/** Holds a directory; `flags` are added. Errors: `IoError`. */
export function* holdSteps(
  engine: Engine,
  place: Place,
  purpose: Purpose,
  action: string,
  flags = 0,
): Steps<Held> {
  if (!canHold(engine)) return { fd: -1, place };
  const open = holding(place, purpose, flags);
  yield open;
  if (open.result >= 0) return { fd: open.result, place };
  throw refused(open, { action, step: 'open the directory', path: place.path });
}

/** Lets a directory go. Never fails: nothing was written through it. */
export function* letGo(...directories: readonly (Held | undefined)[]): Steps<void> {
  const open = directories.filter((one): one is Held => one !== undefined && one.fd >= 0);
  yield* groupSteps(open.map(({ fd }) => [closing(fd)]));
}

/** A name in a directory, in the encoding of its path. */
export function nameIn({ fd, place }: Held, name: string): Place {
  return unheld(place.child(name, fd), fd);
}

/** The bytes of a path, or of a part of it, as text: one character a byte. */
export function rawOf({ path, encoding }: Place, text: string = path): string {
  return encoding === 'latin1' ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** A name as it was read, one character a byte. */
export function entryIn({ fd, place }: Held, name: string): Place {
  return unheld(place.entry(name, fd), fd);
}

/* Without a descriptor the name is the whole path. */
function unheld(place: Place, fd: number): Place {
  return fd >= 0 ? place : new Place(place.path, place.encoding);
}

/** The operation that looks at a name, links not followed. */
export function looking(place: Place): Operation {
  const stat = new Operation(Code.Stat);
  stat.place = place;
  stat.flags = AT_SYMLINK_NOFOLLOW;
  return stat;
}

/** What tells one file from another. */
export function identityOf({ device, inode }: FileStat): string {
  return `${device}:${inode}`;
}

/** Where a path leads: through every link, and to the nearest parent where it does not exist. */
import type { Steps } from '../engine.js';
import { closing } from '../file.js';
import {
  Code,
  errnoOf,
  FD_OPENED_IN_RUN,
  type FileStat,
  linked,
  linkInTable,
  OPEN_PATH,
  Operation,
  type Place,
  placeOf,
  refusal,
} from '../platform.js';

/* As many as the kernel follows (path_resolution(7)). */
const LINKS_MAX = 40;
const LINK_BYTES = 4097;

/** What a path leads to, held by a descriptor that needs no rights to it. */
export interface Spot {
  readonly place: Place;
  /** -1 where the system has no such descriptors. */
  readonly fd: number;
  readonly stat: FileStat;
  /** False for the nearest existing parent of what was asked for. */
  readonly isAsked: boolean;
}

interface Look {
  readonly head: Operation;
  readonly open: Operation | undefined;
  readonly stat: Operation;
}

function lookAt(place: Place): Look {
  const stat = new Operation(Code.Stat);
  if (OPEN_PATH === 0) {
    stat.place = place;
    return { head: stat, open: undefined, stat };
  }
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = OPEN_PATH;
  stat.fd = FD_OPENED_IN_RUN;
  return { head: linked(open, stat), open, stat };
}

function refused(look: Look, asked: Place): Error {
  const isOpen = look.open !== undefined && look.open.result < 0;
  const result = isOpen ? look.open.result : look.stat.result;
  const syscall = isOpen ? 'open' : 'stat';
  return refusal(result, { action: 'probe the path', syscall, path: asked.path });
}

/* A link that leads nowhere yet: what is written through it will be where it leads. */
function* pastMissing(place: Place): Steps<{ place: Place; isLink: boolean }> {
  const read = new Operation(Code.ReadLink);
  read.place = place;
  read.out = new Uint8Array(LINK_BYTES);
  yield read;
  if (read.result < 0) return { place: place.parent(), isLink: false };
  return { place: place.linkTarget(read.out.subarray(0, read.result)), isLink: true };
}

/* The kernel's own words for where a descriptor leads: no link and no `..` is left in them. */
function resolved(place: Place, fd: number): Place {
  const { text } = linkInTable(`/proc/self/fd/${fd}`);
  return text?.startsWith('/') ? placeOf(Buffer.from(text, 'latin1')) : place;
}

/**
 * Finds what a path leads to. The descriptor it answers is open; give it to `leave`.
 *
 * Errors: `IoError`; no descriptor is left then.
 */
export function* locate(asked: Place): Steps<Spot> {
  let place = asked;
  let isAsked = true;
  for (let links = 0; ; ) {
    const look = lookAt(place);
    yield look.head;
    const fd = look.open?.result ?? -1;
    if (look.stat.result >= 0) {
      const stat = look.stat.stat as FileStat;
      return { place: resolved(place, fd), fd, stat, isAsked };
    }
    if (fd >= 0) yield closing(fd);
    const isMissing = look.open === undefined ? look.stat.result : fd;
    if (isMissing !== errnoOf('ENOENT')) throw refused(look, asked);
    const next = yield* pastMissing(place);
    if (next.isLink ? ++links > LINKS_MAX : next.place.path === place.path) {
      throw refused(look, asked);
    }
    place = next.place;
    isAsked = false;
  }
}

/** Closes what `locate` opened. */
export function* leave(spot: Spot): Steps<void> {
  if (spot.fd >= 0) yield closing(spot.fd);
}

/** A path as people read it. */
export function shown(place: Place): string {
  return Buffer.from(place.path, place.encoding).toString('utf8');
}

/** The path of something open that stays right whatever is renamed meanwhile. */
export function heldPath(spot: Spot): string | Buffer {
  return spot.fd >= 0 ? `/proc/self/fd/${spot.fd}` : spot.place.nodePath;
}

/** What calls on a simulated disk share: the tree, open files, space, a clock and settings. */
import { errnoOf, OpenFlag, type Operation, type Place } from '../platform.js';
import { type Node, SECTOR_BYTES, type Times, type Traits } from './node.js';
import { type Bounds, type LastPart, ROOT, type Spot, type Tree } from './tree.js';

/* No descriptor of the process has such a number: a stray one cannot hit a real file. */
const DESCRIPTOR_BASE = 1_000_000;
const ACCESS_MASK = 3;

/** An open file description: what duplicated descriptors share. */
export interface Description {
  readonly node: number;
  flags: number;
  position: number;
  descriptorCount: number;
  lock: 'shared' | 'exclusive' | undefined;
  /** Locks of ranges; those of one description do not overlap. */
  ranges: readonly LockedRange[];
}

/** Bytes from `start` to before `end`, which is infinite for a lock to the end of the file. */
export interface LockedRange {
  readonly start: number;
  readonly end: number;
  readonly isExclusive: boolean;
}

export interface WorldSettings {
  readonly user: number;
  readonly group: number;
  readonly modeMask: number;
  readonly capacityBytes: number;
  readonly quotaBytes: number;
  readonly descriptorsMax: number;
  readonly namesWithFile: boolean;
  readonly directAlignment: number;
}

export class World {
  tree: Tree;
  readonly settings: WorldSettings;
  readonly descriptions: (Description | undefined)[] = [];
  nowMs: number;
  #usedSectors: number;

  constructor(tree: Tree, settings: WorldSettings, nowMs: number) {
    this.tree = tree;
    this.settings = settings;
    this.nowMs = nowMs;
    this.#usedSectors = 0;
    for (const node of tree.nodes.values()) this.#usedSectors += node.allocatedCount;
  }

  get times(): Times {
    return timesAt(this.nowMs);
  }

  traits(mode: number): Traits {
    const { user, group } = this.settings;
    return { mode, user, group, attributes: NO_ATTRIBUTES, times: this.times };
  }

  /* ------------------------------------------------------------------------ descriptors */

  /** Opens a descriptor on a description: the lowest free number, as open(2) does. */
  allot(description: Description): number {
    const free = this.descriptions.indexOf(undefined);
    const index = free < 0 ? this.descriptions.length : free;
    if (index >= this.settings.descriptorsMax) return errnoOf('EMFILE');
    this.descriptions[index] = description;
    if (description.descriptorCount++ === 0) this.tree.own(description.node).opens++;
    return DESCRIPTOR_BASE + index;
  }

  description(fd: number): Description | undefined {
    return this.descriptions[fd - DESCRIPTOR_BASE];
  }

  release(fd: number): number {
    const description = this.description(fd);
    if (description === undefined) return errnoOf('EBADF');
    this.descriptions[fd - DESCRIPTOR_BASE] = undefined;
    if (--description.descriptorCount === 0) {
      const node = this.tree.own(description.node);
      node.opens--;
      this.letGo(node);
    }
    return 0;
  }

  get openDescriptors(): number[] {
    const open: number[] = [];
    this.descriptions.forEach((one, index) => {
      if (one !== undefined) open.push(DESCRIPTOR_BASE + index);
    });
    return open;
  }

  /** The node that a descriptor may read or write, or -errno. */
  nodeFor(fd: number, access: 'read' | 'write' | 'any'): Node | number {
    const description = this.description(fd);
    if (description === undefined) return errnoOf('EBADF');
    const mode = description.flags & ACCESS_MASK;
    if (access === 'read' && mode === OpenFlag.WriteOnly) return errnoOf('EBADF');
    if (access === 'write' && mode === OpenFlag.ReadOnly) return errnoOf('EBADF');
    return this.tree.look(description.node);
  }

  /* ------------------------------------------------------------------------------ places */

  /** The directory a place begins at, or -errno. */
  start(directory: number): number {
    const description = this.description(directory);
    if (description === undefined) return errnoOf('EBADF');
    const { kind, links } = this.tree.look(description.node);
    if (kind !== 'directory') return errnoOf('ENOTDIR');
    return links === 0 ? errnoOf('ENOENT') : description.node;
  }

  /** Follows a place. `directory` is where a relative one begins, -100 the root. */
  walk(
    place: Place | undefined,
    directory: number,
    last: LastPart,
    bounds?: Bounds,
  ): Spot | number {
    if (place === undefined) return errnoOf('EINVAL');
    const path = nameOf(place);
    const isFree = path.startsWith('/') || directory === WORKING_DIRECTORY;
    const start = isFree ? ROOT : this.start(directory);
    return start < 0 ? start : this.tree.walk(start, path, last, bounds);
  }

  /* ------------------------------------------------------------------------------- space */

  /** How many of the bytes there is room for, or -errno when there is none for the first. */
  room(node: Node, offset: number, length: number): number {
    const { capacityBytes, quotaBytes } = this.settings;
    const limit = Math.min(capacityBytes, quotaBytes);
    if (limit === Number.POSITIVE_INFINITY) return length;
    let left = Math.floor(limit / SECTOR_BYTES) - this.#usedSectors;
    let end = offset;
    while (end < offset + length) {
      const isHole = node.cache.sectors[Math.floor(end / SECTOR_BYTES)] === undefined;
      if (isHole && left-- <= 0) break;
      end += SECTOR_BYTES - (end % SECTOR_BYTES);
    }
    const fits = Math.min(length, end - offset);
    if (fits > 0) return fits;
    return errnoOf(quotaBytes < capacityBytes ? 'EDQUOT' : 'ENOSPC');
  }

  /** Makes a change to a node's content and reckons what it takes or frees. */
  changing(node: Node, change: (own: Node) => void): Node {
    const own = this.tree.own(node.number);
    const before = own.allocatedCount;
    change(own);
    this.#usedSectors += own.allocatedCount - before;
    this.tree.unsynced.add(own.number);
    return own;
  }

  /** Gives the space of a node back that has neither a name nor a descriptor. */
  letGo(node: Node): void {
    if (node.links > 0 || node.opens > 0) return;
    this.#usedSectors -= node.allocatedCount;
    this.tree.forget(node.number);
  }
}

const NO_ATTRIBUTES: ReadonlyMap<string, Uint8Array> = new Map();
const WORKING_DIRECTORY = -100;

/** The name of a place, one character a byte. */
function nameOf({ name, encoding }: Place): string {
  return encoding === 'utf8' ? keyOf(name) : name;
}

/** Text of a path as the tree keeps it, one character a byte. */
export function keyOf(text: string): string {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return Buffer.from(text, 'utf8').toString('latin1');
  }
  return text;
}

/** The views of a transfer. */
export function viewsOf({ payload }: Operation): readonly Uint8Array[] {
  if (payload === undefined) return [];
  return Array.isArray(payload) ? payload : [payload];
}

/** A moment as all times of a node. */
export function timesAt(nowMs: number): Times {
  const seconds = Math.floor(nowMs / 1000);
  const nanoseconds = Math.round((nowMs - seconds * 1000) * 1e6);
  return {
    accessedSeconds: seconds,
    accessedNanoseconds: nanoseconds,
    modifiedSeconds: seconds,
    modifiedNanoseconds: nanoseconds,
  };
}

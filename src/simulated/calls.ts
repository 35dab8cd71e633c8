/** The calls by descriptor: transfers, syncs, space, traits, locks. Each answers >= 0 or -errno. */
import {
  Advice,
  APPENDS,
  Code,
  errnoOf,
  OpenFlag,
  type Operation,
  SEEK_DATA,
  SEEK_HOLE,
} from '../platform.js';
import { getLock, setLock } from './locks.js';
import { found, namedCalls } from './named.js';
import { type Lie, type Node, SECTOR_BYTES, type Times } from './node.js';
import { type Description, viewsOf, type World } from './world.js';

const VIEWS_MAX = 1024;
const BLOCK_BYTES = 4096;
const FULL_SYNC = OpenFlag.FullSync;
const SETTABLE = OpenFlag.Append | OpenFlag.NonBlocking | OpenFlag.Direct;

/** What a fault does to the call it hits, beside answering. */
export interface Twist {
  /** A transfer moves no more than so many bytes. */
  readonly limit: number;
  readonly lie: Lie | undefined;
  /** The power goes before what a write of a synced descriptor makes durable is. */
  readonly isCut?: boolean;
}

export const STRAIGHT: Twist = { limit: Number.POSITIVE_INFINITY, lie: undefined };

/** One call. `fd` is the descriptor itself, `opened` the one that the run has opened. */
export interface Call {
  readonly operation: Operation;
  readonly fd: number;
  readonly opened: number;
  readonly twist: Twist;
}

export type Handler = (world: World, call: Call) => number;

function isMisaligned(world: World, description: Description, call: Call, at: number): boolean {
  if ((description.flags & OpenFlag.Direct) === 0) return false;
  const { directAlignment } = world.settings;
  const isOff = (value: number): boolean => value % directAlignment !== 0;
  return isOff(at) || viewsOf(call.operation).some((view) => isOff(view.length));
}

function lengthOf(views: readonly Uint8Array[]): number {
  let length = 0;
  for (const view of views) length += view.length;
  return length;
}

function read(world: World, call: Call): number {
  const { operation, fd, twist } = call;
  const node = world.nodeFor(fd, 'read');
  if (typeof node === 'number') return node;
  if (node.kind === 'directory') return errnoOf('EISDIR');
  const description = world.description(fd) as Description;
  const views = viewsOf(operation);
  if (views.length > VIEWS_MAX) return errnoOf('EINVAL');
  const at = operation.offset < 0 ? description.position : operation.offset;
  if (isMisaligned(world, description, call, at)) return errnoOf('EINVAL');
  const moved = node.read(views, at, twist.limit);
  if (operation.offset < 0) description.position += moved;
  return moved;
}

function write(world: World, call: Call): number {
  const { operation, fd, twist } = call;
  const node = world.nodeFor(fd, 'write');
  if (typeof node === 'number') return node;
  const description = world.description(fd) as Description;
  const views = viewsOf(operation);
  if (views.length > VIEWS_MAX) return errnoOf('EINVAL');
  /* O_APPEND wins over the offset on Linux: pwrite(2), BUGS. */
  const appends = (description.flags & OpenFlag.Append) !== 0 || (operation.flags & APPENDS) !== 0;
  const isOwn = operation.offset < 0;
  const at = appends ? node.cache.size : isOwn ? description.position : operation.offset;
  if (isMisaligned(world, description, call, at)) return errnoOf('EINVAL');
  const wanted = Math.min(lengthOf(views), twist.limit);
  if (wanted === 0) return 0;
  if (at + wanted > Number.MAX_SAFE_INTEGER) return errnoOf('EFBIG');
  const length = world.room(node, at, wanted);
  if (length < 0) return length;
  const own = world.changing(node, (one) => {
    one.write(views, length, at, twist.lie);
    one.touch(world.times);
  });
  if (isOwn) description.position = at + length;
  if (twist.isCut === true) return length;
  if ((description.flags & OpenFlag.DataSync) !== 0) own.syncRange(at, length);
  if ((description.flags & FULL_SYNC) === FULL_SYNC) own.syncTraits();
  return length;
}

function sync(world: World, call: Call): number {
  const node = world.nodeFor(call.fd, 'any');
  if (typeof node === 'number') return node;
  const { tree, settings } = world;
  if (node.isUnsynced) {
    const own = tree.own(node.number);
    own.syncContent();
    if (call.operation.code === Code.Sync) own.syncTraits();
    if (!own.isUnsynced) tree.unsynced.delete(own.number);
  }
  if (node.kind === 'directory') tree.syncNames(node.number);
  else if (settings.namesWithFile) tree.syncNamesOf(node.number);
  return 0;
}

/** A sync that failed: what was dirty is clean, and has not reached the medium. */
export function failSync(world: World, fd: number): void {
  const node = world.nodeFor(fd, 'any');
  if (typeof node === 'number') return;
  const own = world.tree.own(node.number);
  own.dropVersions();
  if (!own.isUnsynced) world.tree.unsynced.delete(own.number);
}

function truncate(world: World, { operation, fd }: Call): number {
  const node = world.nodeFor(fd, 'write');
  if (typeof node === 'number')
    return node === errnoOf('EBADF') && world.description(fd) ? errnoOf('EINVAL') : node;
  if (operation.length < 0) return errnoOf('EINVAL');
  world.changing(node, (own) => {
    own.truncate(operation.length);
    own.touch(world.times);
  });
  return 0;
}

/** Sets what fsync(2) alone makes durable. */
function setTraits(world: World, call: Call, change: (node: Node) => Partial<Node['traits']>) {
  const node = found(world, call);
  if (typeof node === 'number') return node;
  const own = world.tree.own(node.number);
  own.setTraits({ ...own.traits, ...change(own) });
  own.changedMs = world.nowMs;
  world.tree.unsynced.add(own.number);
  return 0;
}

function setAttribute(world: World, call: Call): number {
  const { operation } = call;
  const value = (operation.payload as Uint8Array | undefined) ?? new Uint8Array(0);
  return setTraits(world, call, ({ traits }) => ({
    attributes: new Map(traits.attributes).set(operation.attribute, value.slice()),
  }));
}

function setTimes(world: World, call: Call): number {
  const bytes = call.operation.payload as Uint8Array;
  if (bytes.length < 32) return errnoOf('EINVAL');
  const parts = new DataView(bytes.buffer, bytes.byteOffset, 32);
  const part = (index: number): number => Number(parts.getBigInt64(index * 8, true));
  const times: Times = {
    accessedSeconds: part(0),
    accessedNanoseconds: part(1),
    modifiedSeconds: part(2),
    modifiedNanoseconds: part(3),
  };
  return setTraits(world, call, () => ({ times }));
}

function setOwner(world: World, call: Call): number {
  const { operation } = call;
  return setTraits(world, call, ({ kind, traits }) => ({
    user: operation.flags < 0 ? traits.user : operation.flags,
    group: operation.mode < 0 ? traits.group : operation.mode,
    mode: kind === 'file' ? traits.mode & 0o1777 : traits.mode,
  }));
}

/* Where data or a hole begins; there is one behind the end (lseek(2)). */
function nextAfter({ cache }: Node, offset: number, wantsData: boolean): number {
  const { size, sectors } = cache;
  if (offset < 0 || offset >= size) return errnoOf('ENXIO');
  for (let at = offset; at < size; at += SECTOR_BYTES - (at % SECTOR_BYTES)) {
    const isData = sectors[Math.floor(at / SECTOR_BYTES)] !== undefined;
    if (isData === wantsData) return at;
  }
  return wantsData ? errnoOf('ENXIO') : size;
}

function seek(world: World, { operation, fd }: Call): number {
  const description = world.description(fd);
  if (description === undefined) return errnoOf('EBADF');
  const node = world.tree.look(description.node);
  const { size } = node.cache;
  if (operation.flags === SEEK_DATA || operation.flags === SEEK_HOLE) {
    const at = nextAfter(node, operation.offset, operation.flags === SEEK_DATA);
    if (at >= 0) description.position = at;
    return at;
  }
  const base = [0, description.position, size][operation.flags];
  if (base === undefined || base + operation.offset < 0) return errnoOf('EINVAL');
  description.position = base + operation.offset;
  return description.position;
}

const LOCK_SHARED = 1;
const LOCK_EXCLUSIVE = 2;
const LOCK_NONE = 8;

/** flock(2). Nobody can wait here: a lock that is held answers EAGAIN, asked to wait or not. */
function lock(world: World, { operation, fd }: Call): number {
  const description = world.description(fd);
  if (description === undefined) return errnoOf('EBADF');
  const wanted = operation.flags & (LOCK_SHARED | LOCK_EXCLUSIVE | LOCK_NONE);
  if (wanted === LOCK_NONE) {
    description.lock = undefined;
    return 0;
  }
  if (wanted !== LOCK_SHARED && wanted !== LOCK_EXCLUSIVE) return errnoOf('EINVAL');
  const kind = wanted === LOCK_SHARED ? 'shared' : 'exclusive';
  const isHeld = world.descriptions.some(
    (other) =>
      other !== undefined &&
      other !== description &&
      other.node === description.node &&
      other.lock !== undefined &&
      (kind === 'exclusive' || other.lock === 'exclusive'),
  );
  if (isHeld) return errnoOf('EAGAIN');
  description.lock = kind;
  return 0;
}

/* `d_type` of readdir(3). */
const ENTRY_KINDS = { file: 8, directory: 4, symlink: 10 };

function readEntries(world: World, { operation, fd }: Call): number {
  const node = world.nodeFor(fd, 'any');
  if (typeof node === 'number') return node;
  if (node.names === undefined) return errnoOf('ENOTDIR');
  const description = world.description(fd) as Description;
  const all = [...node.names].slice(description.position);
  operation.names = all.map(([name]) => name);
  operation.kinds = Uint8Array.from(all, ([, number]) => ENTRY_KINDS[world.tree.look(number).kind]);
  description.position += all.length;
  return 0;
}

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const COLLAPSE_RANGE = 8;
const ZERO_RANGE = 16;

function allocateRefusal(flags: number): number {
  const mode = flags & ~KEEP_SIZE;
  const keepsSize = (flags & KEEP_SIZE) !== 0;
  if (mode === 0 || mode === ZERO_RANGE) return 0;
  if (mode === PUNCH_HOLE && keepsSize) return 0;
  return mode === COLLAPSE_RANGE && !keepsSize ? 0 : errnoOf('ENOTSUP');
}

/** fallocate(2). */
function allocate(world: World, { operation, fd }: Call): number {
  const { flags, offset, length } = operation;
  if (world.description(fd) === undefined) return errnoOf('EBADF');
  if (offset < 0 || length <= 0) return errnoOf('EINVAL');
  const refused = allocateRefusal(flags);
  if (refused < 0) return refused;
  const node = world.nodeFor(fd, 'write');
  if (typeof node === 'number') return node;
  const end = offset + length;
  const mode = flags & ~KEEP_SIZE;
  if (mode === COLLAPSE_RANGE) {
    if (offset % BLOCK_BYTES !== 0 || length % BLOCK_BYTES !== 0) return errnoOf('EINVAL');
    if (end >= node.cache.size) return errnoOf('EINVAL');
    world.changing(node, (own) => own.collapse(offset, length));
    return 0;
  }
  const room = mode === PUNCH_HOLE ? length : world.room(node, offset, length);
  if (room < length) return room < 0 ? room : errnoOf('ENOSPC');
  world.changing(node, (own) => {
    if (mode !== 0) own.erase(offset, length);
    if ((flags & KEEP_SIZE) === 0 && end > own.cache.size) own.truncate(end);
  });
  return 0;
}

interface Range {
  readonly offset: number;
  readonly length: number;
}

/* Writes what the source has there; answers how much of it there was room for. */
function copyInto(world: World, target: Node, source: Node, { offset, length }: Range): number {
  const fits = world.room(target, offset, length);
  if (fits < 0) return fits;
  const bytes = new Uint8Array(fits);
  source.read([bytes], offset, fits);
  world.changing(target, (own) => {
    own.write([bytes], fits, offset);
    own.touch(world.times);
  });
  return fits;
}

type Pair = { readonly source: Node; readonly target: Node };

function pairOf(world: World, { operation, fd }: Call): Pair | number {
  const kinds = [operation.fd2, fd].map((one) => world.nodeFor(one, 'any'));
  if (kinds.some((node) => typeof node === 'number')) return errnoOf('EBADF');
  if (kinds.some((node) => (node as Node).kind === 'directory')) return errnoOf('EISDIR');
  const source = world.nodeFor(operation.fd2, 'read');
  const target = world.nodeFor(fd, 'write');
  const isAppended = ((world.description(fd)?.flags ?? 0) & OpenFlag.Append) !== 0;
  const isOff = typeof source === 'number' || typeof target === 'number' || isAppended;
  return isOff ? errnoOf('EBADF') : { source, target };
}

function copyRange(world: World, call: Call): number {
  const pair = pairOf(world, call);
  if (typeof pair === 'number') return pair;
  const { offset } = call.operation;
  const length = Math.min(call.operation.length, pair.source.cache.size - offset);
  if (length <= 0) return 0;
  if (pair.source.number === pair.target.number) return errnoOf('EINVAL');
  return copyInto(world, pair.target, pair.source, { offset, length });
}

/** FICLONE of ioctl_ficlone(2): all of the source, holes too. Blocks are not shared here. */
function clone(world: World, call: Call): number {
  const pair = pairOf(world, call);
  if (typeof pair === 'number') return pair;
  const { source, target } = pair;
  if (source.number === target.number) return 0;
  const { size } = source.cache;
  world.changing(target, (own) => own.truncate(0));
  for (let at = nextAfter(source, 0, true); at >= 0; at = nextAfter(source, at, true)) {
    const end = nextAfter(source, at, false);
    const done = copyInto(world, target, source, { offset: at, length: end - at });
    if (done < end - at) return errnoOf('ENOSPC');
    at = end;
  }
  world.changing(target, (own) => own.truncate(size));
  return 0;
}

function duplicate(world: World, { fd }: Call): number {
  const description = world.description(fd);
  return description === undefined ? errnoOf('EBADF') : world.allot(description);
}

function onDescription(answer: (description: Description, operation: Operation) => number) {
  return (world: World, { fd, operation }: Call): number => {
    const description = world.description(fd);
    return description === undefined ? errnoOf('EBADF') : answer(description, operation);
  };
}

/** posix_fadvise(2): what is clean is forgotten when nobody needs it. */
function advise(world: World, { fd, operation }: Call): number {
  const node = world.nodeFor(fd, 'any');
  if (typeof node === 'number') return node;
  if (operation.flags === Advice.dontneed && node.isDivergent) {
    world.tree.own(node.number).dropCache();
  }
  return 0;
}

/* That of ext4, statfs(2). */
const VOLUME_TYPE = 0xef53;

const HANDLERS: Readonly<Partial<Record<Code, Handler>>> = {
  ...namedCalls,
  [Code.Nop]: () => 0,
  [Code.Read]: read,
  [Code.Write]: write,
  [Code.Sync]: sync,
  [Code.SyncData]: sync,
  [Code.Close]: (world, { fd }) => world.release(fd),
  [Code.Truncate]: truncate,
  [Code.SetMode]: (world, call) =>
    setTraits(world, call, () => ({ mode: call.operation.mode & 0o7777 })),
  [Code.SetOwner]: setOwner,
  [Code.Seek]: seek,
  [Code.SetAttribute]: setAttribute,
  [Code.SetTimes]: setTimes,
  [Code.SetStatusFlags]: onDescription((description, { flags }) => {
    description.flags = (description.flags & ~SETTABLE) | (flags & SETTABLE);
    return 0;
  }),
  [Code.GetStatusFlags]: onDescription(({ flags }) => flags),
  [Code.Lock]: lock,
  [Code.SetLock]: setLock,
  [Code.GetLock]: getLock,
  [Code.VolumeType]: onDescription(() => VOLUME_TYPE),
  [Code.ReadEntries]: readEntries,
  [Code.Allocate]: allocate,
  [Code.Advise]: advise,
  [Code.SetLifetime]: onDescription(() => 0),
  [Code.StartWriteback]: onDescription(() => 0),
  [Code.Duplicate]: duplicate,
  [Code.Clone]: clone,
  [Code.CopyRange]: copyRange,
};

/**
 * The power goes in the midst of a call: of a write that is durable when it returns, as with
 * O_DSYNC, any part may be there. Of any other call, what there may be after it is seen there.
 */
export function cutCall(world: World, call: Call): void {
  const flags = world.description(call.fd)?.flags ?? 0;
  if (call.operation.code !== Code.Write || (flags & OpenFlag.DataSync) === 0) return;
  performCall(world, { ...call, twist: { ...STRAIGHT, isCut: true } });
}

/** Performs one call. What this disk does not have answers -ENOSYS. */
export function performCall(world: World, call: Call): number {
  return HANDLERS[call.operation.code]?.(world, call) ?? errnoOf('ENOSYS');
}

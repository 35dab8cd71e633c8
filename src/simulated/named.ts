/** The calls by name: open, stat, rename, link, unlink, links and attributes. */
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  Code,
  errnoOf,
  FD_OPENED_IN_RUN,
  OPEN_UNNAMED,
  OpenFlag,
  type Operation,
  type Place,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  Resolve,
} from '../platform.js';
import type { Call, Handler } from './calls.js';
import { type Node, SECTOR_BYTES } from './node.js';
import type { Bounds, LastPart, Spot } from './tree.js';
import type { World } from './world.js';

const ACCESS_MASK = 3;

function walked(world: World, place: Place | undefined, call: Call, last: LastPart) {
  const isOpened = place?.directory === FD_OPENED_IN_RUN;
  const start = isOpened ? call.opened : (place?.directory ?? -1);
  return world.walk(place, start, last, boundsOf(call.operation));
}

function boundsOf({ code, length }: Operation): Bounds | undefined {
  if (code !== Code.OpenBeneath) return undefined;
  return { followsLinks: (length & Resolve.NoLinks) === 0 };
}

function placed(world: World, call: Call, last: LastPart): Spot | number {
  const spot = walked(world, call.operation.place, call, last);
  return typeof spot === 'number' || spot.node >= 0 ? spot : spot.node;
}

/* A rename finds both directories before it looks for either name; a link ends with its source. */
function bothPlaced(world: World, call: Call, last: LastPart): readonly [Spot, Spot] | number {
  const source = walked(world, call.operation.place, call, last);
  if (typeof source === 'number') return source;
  const absent = source.node < 0 ? source.node : errnoOf('ENOENT');
  if (last !== 'name' && source.node <= 0) return absent;
  const target = walked(world, call.operation.place2, call, 'name');
  if (typeof target === 'number') return target;
  if (source.node <= 0) return absent;
  return target.node < 0 ? target.node : [source, target];
}

/* ----------------------------------------------------------------------------------- open */

function openRefusal(node: Node | undefined, flags: number): number {
  if (node === undefined) {
    return (flags & OpenFlag.Create) === 0 ? errnoOf('ENOENT') : 0;
  }
  if ((flags & OpenFlag.Create) !== 0 && (flags & OpenFlag.Exclusive) !== 0)
    return errnoOf('EEXIST');
  if (node.kind === 'directory') {
    const changes = (flags & (OpenFlag.Create | OpenFlag.Truncate)) !== 0;
    const isPlain = (flags & ACCESS_MASK) === OpenFlag.ReadOnly && !changes;
    return isPlain ? 0 : errnoOf('EISDIR');
  }
  if ((flags & OpenFlag.Directory) !== 0) return errnoOf('ENOTDIR');
  return node.kind === 'symlink' ? errnoOf('ELOOP') : 0;
}

function open(world: World, call: Call): number {
  const { flags, mode } = call.operation;
  if (isUnnamed(flags)) return openUnnamed(world, call);
  const creates = (flags & OpenFlag.Create) !== 0;
  const isExclusive = creates && (flags & OpenFlag.Exclusive) !== 0;
  /* Kernel 6.4 and later: open(2), BUGS. */
  if (creates && (flags & OpenFlag.Directory) !== 0) return errnoOf('EINVAL');
  const isNamed = creates && call.operation.place?.name.endsWith('/') === true;
  const follows = !isExclusive && (flags & OpenFlag.NoFollow) === 0;
  const spot = placed(world, call, isNamed ? 'name' : follows ? 'follow' : 'look');
  if (typeof spot === 'number') return spot;
  if (isNamed) return errnoOf('EISDIR');
  const { tree } = world;
  const found = spot.node === 0 ? undefined : tree.look(spot.node);
  const refused = openRefusal(found, flags);
  if (refused < 0) return refused;
  const node = found ?? create(world, spot, mode & ~world.settings.modeMask);
  const fd = world.allot({
    node: node.number,
    flags: flags & ~(OpenFlag.Create | OpenFlag.Exclusive | OpenFlag.Truncate),
    position: 0,
    descriptorCount: 0,
    lock: undefined,
    ranges: [],
  });
  /* Linux cuts a file that is opened for reading, too. */
  if (fd >= 0 && (flags & OpenFlag.Truncate) !== 0 && node.cache.size > 0)
    world.changing(node, (own) => own.truncate(0));
  return fd;
}

/* O_TMPFILE has the bit of O_DIRECTORY in it. */
function isUnnamed(flags: number): boolean {
  return OPEN_UNNAMED !== 0 && (flags & OPEN_UNNAMED) === OPEN_UNNAMED;
}

/** A file without a name: gone with its last descriptor, or with the power, unless it is linked. */
function openUnnamed(world: World, call: Call): number {
  const { flags, mode } = call.operation;
  const spot = placed(world, call, 'follow');
  if (typeof spot === 'number') return spot;
  if (spot.node === 0) return errnoOf('ENOENT');
  const { tree, settings } = world;
  if (tree.look(spot.node).kind !== 'directory') return errnoOf('ENOTDIR');
  if ((flags & ACCESS_MASK) === OpenFlag.ReadOnly) return errnoOf('EINVAL');
  const node = tree.create('file', world.traits(mode & 0o7777 & ~settings.modeMask));
  node.createdMs = world.nowMs;
  node.changedMs = world.nowMs;
  const fd = world.allot({
    node: node.number,
    flags: flags & ACCESS_MASK,
    position: 0,
    descriptorCount: 0,
    lock: undefined,
    ranges: [],
  });
  if (fd < 0) world.letGo(node);
  return fd;
}

function create(world: World, { directory, name }: Spot, mode: number): Node {
  const node = world.tree.create('file', world.traits(mode & 0o7777));
  node.createdMs = world.nowMs;
  node.changedMs = world.nowMs;
  const changes = [{ directory, name, before: 0, after: node.number }];
  world.tree.change(`create ${name}`, changes);
  return node;
}

/* ----------------------------------------------------------------------------------- stat */

const KIND_LINKS = { file: 0, symlink: 0, directory: 1 };

function milliseconds(seconds: number, nanoseconds: number): number {
  return seconds * 1000 + nanoseconds / 1e6;
}

function stat(world: World, call: Call): number {
  const { operation, fd } = call;
  let node: Node | number;
  if (operation.place === undefined) node = world.nodeFor(fd, 'any');
  else {
    const isLook = (operation.flags & AT_SYMLINK_NOFOLLOW) !== 0;
    const spot = placed(world, call, isLook ? 'look' : 'follow');
    if (typeof spot === 'number') return spot;
    node = spot.node === 0 ? errnoOf('ENOENT') : world.tree.look(spot.node);
  }
  if (typeof node === 'number') return node;
  fillStat(operation, node, world.settings.directAlignment);
  return 0;
}

function fillStat(operation: Operation, node: Node, alignment: number): void {
  const { kind, traits, cache } = node;
  const { times } = traits;
  operation.stat = {
    kind,
    size: kind === 'symlink' ? node.target.length : cache.size,
    mode: traits.mode,
    user: traits.user,
    group: traits.group,
    links: node.links + KIND_LINKS[kind],
    inode: BigInt(node.number),
    device: 1n,
    blockBytes: 4096,
    allocatedBytes: node.allocatedCount * SECTOR_BYTES,
    accessedMs: milliseconds(times.accessedSeconds, times.accessedNanoseconds),
    modifiedMs: milliseconds(times.modifiedSeconds, times.modifiedNanoseconds),
    changedMs: node.changedMs,
    createdMs: node.createdMs,
    mount: undefined,
    direct: { memory: alignment, offset: alignment },
    times: BigInt64Array.of(
      BigInt(times.accessedSeconds),
      BigInt(times.accessedNanoseconds),
      BigInt(times.modifiedSeconds),
      BigInt(times.modifiedNanoseconds),
    ),
  };
}

/* ---------------------------------------------------------------------------------- names */

function isInside(world: World, directory: number, ancestor: number): boolean {
  for (let at = directory; ; at = world.tree.look(at).parent) {
    if (at === ancestor) return true;
    if (at === world.tree.look(at).parent) return false;
  }
}

function renameRefusal(world: World, source: Spot, target: Spot, flags: number): number {
  if (source.name === '' || target.name === '') return errnoOf('EBUSY');
  if ((flags & RENAME_NOREPLACE) !== 0 && target.node !== 0) return errnoOf('EEXIST');
  const moved = world.tree.look(source.node);
  const isDirectory = moved.kind === 'directory';
  if ((target.isSlashed || source.isSlashed) && !isDirectory) return errnoOf('ENOTDIR');
  if (isDirectory && isInside(world, target.directory, source.node)) return errnoOf('EINVAL');
  if ((flags & RENAME_EXCHANGE) !== 0) return target.node === 0 ? errnoOf('ENOENT') : 0;
  if (isInside(world, source.directory, target.node)) return errnoOf('ENOTEMPTY');
  if (target.node === 0 || target.node === source.node) return 0;
  const old = world.tree.look(target.node);
  if (old.kind !== 'directory') return isDirectory ? errnoOf('ENOTDIR') : 0;
  if (!isDirectory) return errnoOf('EISDIR');
  return (old.names?.size ?? 0) > 0 ? errnoOf('ENOTEMPTY') : 0;
}

function rename(world: World, call: Call): number {
  const { flags } = call.operation;
  const both = bothPlaced(world, call, 'name');
  if (typeof both === 'number') return both;
  const [source, target] = both;
  const refused = renameRefusal(world, source, target, flags);
  if (refused < 0) return refused;
  /* Two names of one file: nothing happens, rename(2). */
  if (source.node === target.node) return 0;
  const left = (flags & RENAME_EXCHANGE) !== 0 ? target.node : 0;
  const { node: moved } = source;
  const from = { directory: source.directory, name: source.name, before: moved, after: left };
  const to = { directory: target.directory, name: target.name, before: target.node, after: moved };
  world.tree.change(`rename ${source.name} to ${target.name}`, [from, to]);
  if (target.node !== 0) world.letGo(world.tree.look(target.node));
  return 0;
}

function unlink(world: World, call: Call): number {
  const spot = placed(world, call, 'name');
  if (typeof spot === 'number') return spot;
  if (spot.node === 0) return errnoOf('ENOENT');
  const node = world.tree.look(spot.node);
  const wantsDirectory = (call.operation.flags & AT_REMOVEDIR) !== 0;
  if (wantsDirectory) {
    if (node.kind !== 'directory') return errnoOf('ENOTDIR');
    if (spot.name === '') return errnoOf('EBUSY');
    if ((node.names?.size ?? 0) > 0) return errnoOf('ENOTEMPTY');
  } else if (node.kind === 'directory') return errnoOf('EISDIR');
  else if (spot.isSlashed) return errnoOf('ENOTDIR');
  const { directory, name } = spot;
  world.tree.change(`unlink ${name}`, [{ directory, name, before: spot.node, after: 0 }]);
  world.letGo(world.tree.look(spot.node));
  return 0;
}

/** Gives the file that a descriptor is open on another name. */
function linkOpened(world: World, call: Call): number {
  const { place, place2 } = call.operation;
  const held = place?.directory === FD_OPENED_IN_RUN ? call.opened : (place?.directory ?? -1);
  const node = world.nodeFor(held, 'any');
  if (typeof node === 'number') return node;
  const target = walked(world, place2, call, 'name');
  if (typeof target === 'number') return target;
  if (target.node < 0) return target.node;
  if (target.node !== 0) return errnoOf('EEXIST');
  if (target.isSlashed) return errnoOf('ENOENT');
  if (node.kind === 'directory') return errnoOf('EPERM');
  const { directory, name } = target;
  const changes = [{ directory, name, before: 0, after: node.number }];
  world.tree.change(`link an open file to ${name}`, changes);
  return 0;
}

function link(world: World, call: Call): number {
  const isOpened = (call.operation.flags & AT_EMPTY_PATH) !== 0;
  if (isOpened && call.operation.place?.name === '') return linkOpened(world, call);
  const follows = (call.operation.flags & AT_SYMLINK_FOLLOW) !== 0;
  const both = bothPlaced(world, call, follows ? 'follow' : 'look');
  if (typeof both === 'number') return both;
  const [source, target] = both;
  if (target.node !== 0) return errnoOf('EEXIST');
  if (target.isSlashed) return errnoOf('ENOENT');
  if (world.tree.look(source.node).kind === 'directory') return errnoOf('EPERM');
  const { directory, name } = target;
  const changes = [{ directory, name, before: 0, after: source.node }];
  world.tree.change(`link ${source.name} to ${name}`, changes);
  return 0;
}

function made(world: World, call: Call, kind: 'directory' | 'symlink', mode: number) {
  const spot = placed(world, call, 'name');
  if (typeof spot === 'number') return spot;
  if (spot.node !== 0 || spot.name === '') return errnoOf('EEXIST');
  if (spot.isSlashed && kind !== 'directory') return errnoOf('ENOENT');
  const { directory, name } = spot;
  const node = world.tree.create(kind, world.traits(mode));
  node.createdMs = world.nowMs;
  node.changedMs = world.nowMs;
  world.tree.change(`make ${name}`, [{ directory, name, before: 0, after: node.number }]);
  return node;
}

function makeDirectory(world: World, call: Call): number {
  const mode = call.operation.mode & 0o1777 & ~world.settings.modeMask;
  const node = made(world, call, 'directory', mode);
  return typeof node === 'number' ? node : 0;
}

function makeLink(world: World, call: Call): number {
  const bytes = call.operation.payload as Uint8Array;
  if (bytes.length < 2) return errnoOf('ENOENT');
  const node = made(world, call, 'symlink', 0o777);
  if (typeof node === 'number') return node;
  node.target = Buffer.from(bytes).toString('latin1', 0, bytes.length - 1);
  return 0;
}

/* ------------------------------------------------------------------------ bytes by name */

/** Fills `out`, as the calls for attributes do: with no room at all, they answer the length. */
function filled(operation: Operation, bytes: Uint8Array): number {
  const room = operation.out?.length ?? 0;
  if (room === 0) return bytes.length;
  if (room < bytes.length) return errnoOf('ERANGE');
  operation.out?.set(bytes);
  return bytes.length;
}

/** What a call names, links not followed; by descriptor where it names nothing. */
export function found(world: World, call: Call): Node | number {
  if (call.operation.place === undefined) return world.nodeFor(call.fd, 'any');
  const spot = placed(world, call, 'look');
  if (typeof spot === 'number') return spot;
  return spot.node === 0 ? errnoOf('ENOENT') : world.tree.look(spot.node);
}

function readLink(world: World, call: Call): number {
  const node = found(world, call);
  if (typeof node === 'number') return node;
  if (node.kind !== 'symlink') return errnoOf('EINVAL');
  const { out } = call.operation;
  const bytes = Buffer.from(node.target, 'latin1').subarray(0, out?.length ?? 0);
  out?.set(bytes);
  return bytes.length;
}

function listAttributes(world: World, call: Call): number {
  const node = found(world, call);
  if (typeof node === 'number') return node;
  const { attributes } = node.traits;
  if (attributes.size === 0) return 0;
  const names = [...attributes.keys()].map((name) => `${name}\0`);
  return filled(call.operation, Buffer.from(names.join('')));
}

function getAttribute(world: World, call: Call): number {
  const node = found(world, call);
  if (typeof node === 'number') return node;
  const value = node.traits.attributes.get(call.operation.attribute);
  return value === undefined ? errnoOf('ENODATA') : filled(call.operation, value);
}

export const namedCalls: Readonly<Partial<Record<Code, Handler>>> = {
  [Code.Open]: open,
  [Code.OpenBeneath]: open,
  [Code.Stat]: stat,
  [Code.Rename]: rename,
  [Code.Unlink]: unlink,
  [Code.Link]: link,
  [Code.MakeDirectory]: makeDirectory,
  [Code.MakeLink]: makeLink,
  [Code.ReadLink]: readLink,
  [Code.ListAttributes]: listAttributes,
  [Code.GetAttribute]: getAttribute,
};

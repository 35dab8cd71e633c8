/** Locks of ranges that belong to an open file description: F_OFD_SETLK and F_OFD_GETLK. */
import { errnoOf, OpenFlag, type Operation, RangeLock } from '../platform.js';
import type { Call } from './calls.js';
import type { Description, LockedRange, World } from './world.js';

const ACCESS_MASK = 3;

function rangeOf({ flags, offset, length }: Operation): LockedRange | undefined {
  if (offset < 0 || length < 0) return undefined;
  const end = length === 0 ? Number.POSITIVE_INFINITY : offset + length;
  return { start: offset, end, isExclusive: flags === RangeLock.Exclusive };
}

function overlaps(one: LockedRange, two: LockedRange): boolean {
  return one.start < two.end && two.start < one.end;
}

function without(ranges: readonly LockedRange[], cut: LockedRange): LockedRange[] {
  return ranges.flatMap((range) => {
    if (!overlaps(range, cut)) return [range];
    const before = { ...range, end: cut.start };
    const after = { ...range, start: cut.end };
    return [before, after].filter(({ start, end }) => start < end);
  });
}

function conflict(world: World, own: Description, wanted: LockedRange): LockedRange | undefined {
  for (const other of world.descriptions) {
    if (other === undefined || other === own || other.node !== own.node) continue;
    const found = other.ranges.find(
      (range) => overlaps(range, wanted) && (range.isExclusive || wanted.isExclusive),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

function isAllowed(description: Description, type: number): boolean {
  const access = description.flags & ACCESS_MASK;
  if (type === RangeLock.Shared) return access !== OpenFlag.WriteOnly;
  return type === RangeLock.None || access !== OpenFlag.ReadOnly;
}

/** Sets or gives up a lock; one that another description holds answers EAGAIN. */
export function setLock(world: World, { operation, fd }: Call): number {
  const description = world.description(fd);
  if (description === undefined || !isAllowed(description, operation.flags)) {
    return errnoOf('EBADF');
  }
  const range = rangeOf(operation);
  if (range === undefined) return errnoOf('EINVAL');
  if (operation.flags === RangeLock.None) {
    description.ranges = without(description.ranges, range);
    return 0;
  }
  if (conflict(world, description, range) !== undefined) return errnoOf('EAGAIN');
  description.ranges = [...without(description.ranges, range), range];
  return 0;
}

/** Tells of a lock that stands in the way: its type, start, length, and -1 for its process. */
export function getLock(world: World, { operation, fd }: Call): number {
  const description = world.description(fd);
  const range = rangeOf(operation);
  if (description === undefined) return errnoOf('EBADF');
  if (range === undefined) return errnoOf('EINVAL');
  const found = conflict(world, description, range);
  const out = operation.out as Uint8Array;
  const told = new DataView(out.buffer, out.byteOffset, 32);
  const type = found?.isExclusive === true ? RangeLock.Exclusive : RangeLock.Shared;
  const { start, end } = found ?? range;
  const length = end === Number.POSITIVE_INFINITY ? 0 : end - start;
  const values = [found === undefined ? RangeLock.None : type, start, length, -1];
  for (const [index, value] of values.entries()) {
    told.setBigInt64(8 * index, BigInt(value), true);
  }
  return 0;
}

/** Making a map: the file is looked at, then mapped, or read where it cannot be mapped. */
import { allocated, sequenceOf } from '../buffers.js';
import { alignDown } from '../bytes.js';
import { Counters, type Engine, type Steps, Turns } from '../engine.js';
import { IoError, outOfRange } from '../errors.js';
import {
  callSteps,
  closing,
  Latch,
  OpenFile,
  openSteps,
  readSteps,
  settingsOf,
  type Target,
} from '../file.js';
import {
  Code,
  errnoOf,
  type FileStat,
  HUGE_PAGES_VOLUME,
  linked,
  MAP_READ_WRITE,
  MapAdvice,
  MapFlag,
  mapBytesMax,
  mapMemory,
  mapPageBytes,
  Operation,
  type PathLike,
  placeOf,
  refusal,
  VIEW_BYTES_MAX,
} from '../platform.js';
import { adviceNumber, type MapWrite, type Range, type Wish } from './options.js';

const ACTION = 'map the file';

export interface Fallback {
  readonly what: string;
  readonly reason: string;
}

/** What a map is made of. */
export interface MapParts {
  readonly engine: Engine;
  readonly path: string | undefined;
  readonly range: Range;
  readonly write: MapWrite;
  readonly bytes: Uint8Array;
  /** What a Map answered; -1 where nothing is mapped. */
  readonly handle: number;
  /** Why the bytes are a copy; `undefined` where they are the file's own pages. */
  readonly copyReason: string | undefined;
  readonly fallbacks: readonly Fallback[];
  /** Those of the file that was mapped: its pages are broken with it, its syncs take turns. */
  readonly latch: Latch;
  readonly turns: Pick<OpenFile['turns'], 'isTaken' | 'take'>;
}

/* What is mapped, open for as long as the map is made. */
interface Source extends Target {
  readonly turns: MapParts['turns'];
}

/** Makes a map of a path or of an open file. Errors: as `mapFile`. */
export function* makeSteps(
  engine: Engine,
  source: PathLike | OpenFile,
  wish: Wish,
): Steps<MapParts> {
  if (source instanceof OpenFile) return yield* fromFileSteps(source, wish);
  const place = placeOf(source);
  const access = wish.write === 'shared' ? 'read-write' : 'read';
  const { fd } = yield* openSteps(engine, place, settingsOf({ access }));
  const rest = { latch: new Latch(), counters: new Counters(), turns: new Turns<'sync'>() };
  const target = { engine, fd, path: place.path, directAlignment: undefined, ...rest };
  try {
    return yield* partsSteps(target, wish);
  } finally {
    yield closing(fd);
  }
}

function* fromFileSteps(file: OpenFile, wish: Wish): Steps<MapParts> {
  file.hold();
  try {
    const isAllowed =
      file.allows(Code.Read) && (wish.write !== 'shared' || file.allows(Code.Write));
    if (!isAllowed) {
      const words = `the file is open for ${file.access} only`;
      throw new IoError({ action: ACTION, path: file.path, code: 'EBADF', kind: 'access', words });
    }
    return yield* partsSteps(file, wish);
  } finally {
    file.letGo();
  }
}

function* partsSteps(source: Source, wish: Wish): Steps<MapParts> {
  const { engine, path, latch, turns } = source;
  const stat = new Operation(Code.Stat);
  const volume = new Operation(Code.VolumeType);
  volume.fd = source.fd;
  yield* callSteps(source, linked(stat, volume), ACTION);
  const range = rangeIn(stat.stat as FileStat, wish, path);
  const { write } = wish;
  const parts = { engine, path, range, write, latch, turns };
  const isHuge = volume.result === HUGE_PAGES_VOLUME;
  const absent = isHuge ? 'hugetlbfs has pages of its own' : engine.capabilities.maps;
  if (absent === true) {
    const mapped = yield* mappedSteps(source, range, wish);
    if (mapped !== undefined) return { ...parts, ...mapped };
  }
  const reason = absent === true ? 'there are no addresses left for a map' : absent;
  return { ...parts, ...(yield* copiedSteps(source, range, wish, reason)) };
}

/* A device has no size, and a directory no bytes: open(2) of them was refused, or says no more. */
function rangeIn(stat: FileStat, wish: Wish, path: string | undefined): Range {
  if (stat.kind !== 'file') {
    const words = `it is not a regular file but a ${stat.kind.replace('-', ' ')}`;
    throw new IoError({ action: ACTION, path, code: 'ERR_WRONG_TYPE', words });
  }
  const { offset } = wish;
  if (offset > stat.size) {
    throw outOfRange('options.offset', `at most the ${stat.size} bytes of the file`, offset);
  }
  const rest = stat.size - offset;
  const length = wish.length ?? rest;
  if (length > rest) {
    const expected = `at most the ${rest} bytes of the file from there; grow it first`;
    throw outOfRange('options.length', expected, length);
  }
  return { offset, length };
}

/* Every runtime with maps takes so many, and more only some. */
const BYTES_EVERYWHERE = 2 ** 32;

function checkLength(bytes: number, path: string | undefined, isCopy: boolean): void {
  if (bytes <= BYTES_EVERYWHERE) return;
  const most = isCopy ? VIEW_BYTES_MAX : mapBytesMax();
  if (bytes <= most) return;
  const words = `${bytes} bytes are more than the ${most} of one map here; map a part of the file`;
  throw new IoError({ action: ACTION, path, code: 'EOVERFLOW', words });
}

/* ------------------------------------------------------------------------------- by the system */

type Mapped = Pick<MapParts, 'bytes' | 'handle' | 'copyReason' | 'fallbacks'>;

/*
 * A store to memory that may not be written ends the process, and JavaScript has no view that
 * refuses it. So pages that nobody is to write are private: a store changes this map alone, never
 * the file. They are not to count as memory that was promised.
 */
function flagsOf(write: MapWrite): number {
  if (write === 'shared') return MapFlag.Shared;
  return write === 'private' ? MapFlag.Private : MapFlag.Private | MapFlag.NoReserve;
}

function mapOf(memory: Uint8Array, offset: number, write: MapWrite): Operation {
  const map = new Operation(Code.Map);
  map.payload = memory;
  map.flags = flagsOf(write);
  map.mode = MAP_READ_WRITE;
  map.offset = offset;
  return map;
}

/** The operation that leaves the file. */
export function leaving(handle: number): Operation {
  const leave = new Operation(Code.Unmap);
  leave.fd = handle;
  leave.mustRun = true;
  return leave;
}

function nothing(): Mapped {
  return { bytes: new Uint8Array(0), handle: -1, copyReason: undefined, fallbacks: [] };
}

/* `undefined` where there is no memory to map into. */
function* mappedSteps(source: Source, range: Range, wish: Wish): Steps<Mapped | undefined> {
  const start = alignDown(range.offset, mapPageBytes());
  const skipped = range.offset - start;
  checkLength(skipped + range.length, source.path, false);
  /* Of nothing one page is mapped, to see that it can be: /proc tells sizes of 0. */
  const length = range.length === 0 ? 1 : skipped + range.length;
  const memory = mapMemory(length);
  if (memory === undefined) return undefined;
  const map = mapOf(memory, start, wish.write);
  yield* callSteps(source, map, ACTION);
  const handle = map.result;
  let isKept = false;
  try {
    if (range.length === 0) return nothing();
    const fallbacks = yield* preparedSteps(source, handle, length, wish);
    isKept = true;
    const bytes = memory.subarray(skipped, length);
    return { bytes, handle, copyReason: undefined, fallbacks };
  } finally {
    if (!isKept) yield leaving(handle);
  }
}

/** An advice on a part of a map, counted from its first page; answers why it was not taken. */
export function* adviseSteps(
  handle: number,
  range: Range,
  advice: number,
): Steps<string | undefined> {
  const advise = new Operation(Code.AdviseMap);
  advise.fd = handle;
  advise.offset = range.offset;
  advise.length = range.length;
  advise.flags = advice;
  yield advise;
  if (advise.result >= 0) return undefined;
  return refusal(advise.result, { action: 'give advice', syscall: 'madvise' }).message;
}

function* preparedSteps(
  source: Target,
  handle: number,
  length: number,
  wish: Wish,
): Steps<Fallback[]> {
  const fallbacks: Fallback[] = [];
  const whole = { offset: 0, length };
  if (wish.advise !== undefined) {
    const number = adviceNumber(wish.advise, wish.write);
    const reason = yield* adviseSteps(handle, whole, number);
    if (reason !== undefined) fallbacks.push({ what: 'advise', reason });
  }
  if (!wish.populate) return fallbacks;
  const populate = new Operation(Code.AdviseMap);
  populate.fd = handle;
  populate.offset = 0;
  populate.length = length;
  populate.flags = MapAdvice.populate;
  yield populate;
  if (populate.result >= 0) return fallbacks;
  if (populate.result !== errnoOf('EINVAL')) throw notPopulated(populate.result, source.path);
  /* Kernels before 5.14. MAP_POPULATE would copy every page of a private map (mmap(2)). */
  yield* adviseSteps(handle, whole, MapAdvice.willneed);
  const reason = 'the kernel lacks MADV_POPULATE_READ (5.14): the pages are asked for, not there';
  return [...fallbacks, { what: 'populate', reason }];
}

function notPopulated(result: number, path: string | undefined): IoError {
  const isFault = result === errnoOf('EFAULT');
  const cause = refusal(result, { action: 'populate the map', syscall: 'madvise', path });
  if (!isFault) return cause;
  return new IoError({ action: 'populate the map', path, code: 'ERR_MAP_TORN', cause });
}

/* ---------------------------------------------------------------------------------- by reading */

function* copiedSteps(source: Target, range: Range, wish: Wish, reason: string): Steps<Mapped> {
  const { path } = source;
  if (wish.write === 'shared') {
    const words = `writes would not reach the file: ${reason}`;
    throw new IoError({ action: ACTION, path, code: 'ENOTSUP', words });
  }
  checkLength(range.length, path, true);
  const bytes = allocated(range.length);
  if (range.length > 0) {
    const done = yield* readSteps(source, sequenceOf(bytes), range.offset);
    if (done < range.length)
      throw new IoError({ action: ACTION, path, code: 'ERR_SOURCE_CHANGED' });
  }
  const fallbacks = wish.advise === undefined ? [] : [{ what: 'advise', reason }];
  return { bytes, handle: -1, copyReason: reason, fallbacks };
}

/**
 * Operations by `node:fs` alone. Each code stands once, as the call and its arguments; a face that
 * waits and a face that calls back make it from there.
 */
import * as fs from 'node:fs';
import { constants } from 'node:fs';
import { errnoOf } from './errno.js';
import { FD_OPENED_IN_RUN, GET_POSITION, kindOf } from './linux.js';
import { Code, type Operation } from './operation.js';
import type { Place } from './paths.js';
import type { FileStat } from './stat.js';
import { heldDirectories } from './surroundings.js';

type Answer = (operation: Operation, value: unknown) => number;

interface Call {
  /** `fs[name]` calls back, `fs[name + 'Sync']` waits. */
  readonly name: string;
  readonly arguments: readonly unknown[];
  readonly answer: Answer;
}

const nothing: Answer = () => 0;
const number: Answer = (_operation, value) => value as number;

const bytesInto: Answer = (operation, value) => {
  const source = value as Buffer;
  const out = operation.out as Uint8Array;
  out.set(source.subarray(0, out.byteLength));
  return Math.min(source.byteLength, out.byteLength);
};

const statInto: Answer = (operation, value) => {
  operation.stat = statOf(value as fs.BigIntStats);
  return 0;
};

function typeOf(entry: fs.Dirent): number {
  if (entry.isFile()) return constants.S_IFREG >> 12;
  if (entry.isDirectory()) return constants.S_IFDIR >> 12;
  if (entry.isSymbolicLink()) return constants.S_IFLNK >> 12;
  if (entry.isFIFO()) return constants.S_IFIFO >> 12;
  if (entry.isSocket()) return constants.S_IFSOCK >> 12;
  if (entry.isBlockDevice()) return constants.S_IFBLK >> 12;
  return entry.isCharacterDevice() ? constants.S_IFCHR >> 12 : 0;
}

/*
 * With `encoding: 'buffer'` the names are bytes, whatever the types of Node say; Bun (1.4) answers
 * the names alone then, and the kinds are left to be asked for.
 */
const entriesInto: Answer = (operation, value) => {
  const entries = value as unknown as (Buffer | { name: Buffer })[];
  const bytes = (entry: (typeof entries)[0]): Buffer =>
    Buffer.isBuffer(entry) ? entry : entry.name;
  operation.names = entries.map((entry) => bytes(entry).toString('latin1'));
  if (!Buffer.isBuffer(entries[0])) operation.kinds = Uint8Array.from(value as fs.Dirent[], typeOf);
  return 0;
};

function statOf(stat: fs.BigIntStats): FileStat {
  const mode = Number(stat.mode);
  const milliseconds = (nanoseconds: bigint): number => Number(nanoseconds) / 1e6;
  const parts = (nanoseconds: bigint): [bigint, bigint] => {
    const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    return [(nanoseconds - rest) / 1_000_000_000n, rest];
  };
  return {
    kind: kindOf(mode),
    mode: mode & 0o7777,
    links: Number(stat.nlink),
    user: Number(stat.uid),
    group: Number(stat.gid),
    inode: stat.ino,
    device: stat.dev,
    size: Number(stat.size),
    blockBytes: Number(stat.blksize ?? 4096n),
    allocatedBytes: Number(stat.blocks ?? 0n) * 512,
    accessedMs: milliseconds(stat.atimeNs),
    modifiedMs: milliseconds(stat.mtimeNs),
    changedMs: milliseconds(stat.ctimeNs),
    createdMs: stat.birthtimeNs === 0n ? undefined : milliseconds(stat.birthtimeNs),
    mount: undefined,
    direct: undefined,
    times: BigInt64Array.of(...parts(stat.atimeNs), ...parts(stat.mtimeNs)),
  };
}

function viewsOf(operation: Operation): Uint8Array[] {
  const payload = operation.payload;
  if (payload === undefined) return [];
  return Array.isArray(payload) ? payload : [payload];
}

/*
 * What one system call moves at most on Linux. Node 20.20 keeps the count in 32 bits: of 2^31 bytes
 * and more it makes an error with a number of its own.
 */
const TRANSFER_BYTES_MAX = 2 ** 31 - 4096;

function movedViews(operation: Operation): Uint8Array[] {
  const views = viewsOf(operation);
  if (operation.length <= TRANSFER_BYTES_MAX) return views;
  const front: Uint8Array[] = [];
  let room = TRANSFER_BYTES_MAX;
  for (const view of views) {
    front.push(view.length <= room ? view : view.subarray(0, room));
    room -= view.length;
    if (room <= 0) break;
  }
  return front;
}

function call(name: string, args: readonly unknown[], answer: Answer = nothing): Call {
  return { name, arguments: args, answer };
}

function secondsOf(times: BigInt64Array, index: number): number {
  return Number(times[index] ?? 0n) + Number(times[index + 1] ?? 0n) / 1e9;
}

/* A descriptor of the operation itself, and the one its run has opened. */
interface Descriptors {
  readonly fd: number;
  readonly opened: number;
}

/*
 * What stands behind a descriptor has a path of its own in /proc (proc(5)): that is how node:fs
 * sees a name from a directory that is held open, wherever somebody moves it meanwhile.
 */
function seenFrom(directory: number, place: Place): string | Buffer {
  if (directory < 0 || heldDirectories !== true || place.name.startsWith('/')) {
    return place.nodePath;
  }
  const path = `/proc/self/fd/${directory}/${place.name}`;
  return place.encoding === 'utf8' ? path : Buffer.from(path, 'latin1');
}

function pathOf(place: Place | undefined, { opened }: Descriptors): unknown {
  if (place === undefined) return undefined;
  return seenFrom(place.directory === FD_OPENED_IN_RUN ? opened : place.directory, place);
}

function statCall(operation: Operation, descriptors: Descriptors): Call {
  const options = { bigint: true };
  if (operation.place === undefined) return call('fstat', [descriptors.fd, options], statInto);
  const name = operation.flags !== 0 ? 'lstat' : 'stat';
  return call(name, [pathOf(operation.place, descriptors), options], statInto);
}

function timesCall(operation: Operation, at: Descriptors): Call {
  const bytes = operation.payload as Uint8Array;
  const times = new BigInt64Array(bytes.buffer, bytes.byteOffset, 4);
  const seconds = [secondsOf(times, 0), secondsOf(times, 2)];
  const { place } = operation;
  if (place !== undefined) return call('lutimes', [pathOf(place, at), ...seconds]);
  return call('futimes', [at.fd, ...seconds]);
}

function ownerCall({ place, flags: user, mode: group }: Operation, at: Descriptors): Call {
  if (place !== undefined) return call('lchown', [pathOf(place, at), user, group]);
  return call('fchown', [at.fd, user, group]);
}

/* The payload ends in NUL. */
function linkCall({ payload, place }: Operation, at: Descriptors): Call {
  const target = payload as Uint8Array;
  return call('symlink', [Buffer.from(target.subarray(0, -1)), pathOf(place, at)]);
}

/*
 * node:fs clones by name: Linux shows descriptors as names (proc(5)). What is cloned into takes the
 * permissions of the source at once: uv_fs_copyfile calls fchmod(2) before the ioctl.
 */
function cloneCall(operation: Operation, { fd }: Descriptors): Call {
  const name = (descriptor: number): string => `/proc/self/fd/${descriptor}`;
  const mode = constants.COPYFILE_FICLONE_FORCE;
  return call('copyFile', [name(operation.fd2), name(fd), mode]);
}

/* By descriptor where that can be, as the addon does; it answers everything at once, every time. */
function entriesCall({ place }: Operation, { fd }: Descriptors): Call {
  const path = fd >= 0 && heldDirectories === true ? `/proc/self/fd/${fd}` : place?.nodePath;
  return call('readdir', [path, { encoding: 'buffer', withFileTypes: true }], entriesInto);
}

/* fs.unlink() or fs.rmdir(), as unlinkat(2) has it. */
function unlinkCall(operation: Operation, descriptors: Descriptors): Call {
  const path = pathOf(operation.place, descriptors);
  return call(operation.flags === 0 ? 'unlink' : 'rmdir', [path]);
}

/* What has no entry, node:fs does not have. */
const CALLS: Readonly<Partial<Record<Code, (operation: Operation, at: Descriptors) => Call>>> = {
  [Code.Read]: (o, { fd }) => call('readv', [fd, movedViews(o), positionOf(o)], number),
  [Code.Write]: (o, { fd }) => call('writev', [fd, movedViews(o), positionOf(o)], number),
  [Code.Sync]: (_, { fd }) => call('fsync', [fd]),
  [Code.SyncData]: (_, { fd }) => call('fdatasync', [fd]),
  [Code.Open]: (o, at) => call('open', [pathOf(o.place, at), o.flags, o.mode], number),
  [Code.Close]: (_, { fd }) => call('close', [fd]),
  [Code.Stat]: statCall,
  [Code.Truncate]: (o, { fd }) => call('ftruncate', [fd, o.length]),
  [Code.Rename]: (o, at) => call('rename', [pathOf(o.place, at), pathOf(o.place2, at)]),
  [Code.Unlink]: unlinkCall,
  [Code.Link]: (o, at) => call('link', [pathOf(o.place, at), pathOf(o.place2, at)]),
  [Code.SetMode]: (o, { fd }) => call('fchmod', [fd, o.mode]),
  [Code.SetOwner]: ownerCall,
  [Code.ReadLink]: (o, at) => call('readlink', [pathOf(o.place, at), 'buffer'], bytesInto),
  [Code.SetTimes]: timesCall,
  [Code.ReadEntries]: entriesCall,
  [Code.MakeDirectory]: (o, at) => call('mkdir', [pathOf(o.place, at), o.mode]),
  [Code.MakeLink]: linkCall,
  [Code.Clone]: cloneCall,
};

function positionOf(operation: Operation): number | null {
  return operation.offset < 0 ? null : operation.offset;
}

function callOf(operation: Operation, descriptors: Descriptors): Call | undefined {
  if (operation.code === Code.Rename && operation.flags !== 0) return undefined;
  return CALLS[operation.code]?.(operation, descriptors);
}

function descriptorsOf({ fd }: Operation, opened: number): Descriptors {
  return { fd: fd === FD_OPENED_IN_RUN ? opened : fd, opened };
}

/*
 * The permission model refuses without a number (ERR_ACCESS_DENIED): paths that are not allowed,
 * and, whatever is allowed, fsync, fchmod and the like on descriptors (Node 20.20: "API is
 * disabled"). Nothing is thrown here: inside a callback that would end the process.
 */
function errnoIn(error: unknown, operation: Operation): number {
  const { errno, code } = error as NodeJS.ErrnoException;
  if (typeof errno === 'number') return errno;
  if (code !== 'ERR_ACCESS_DENIED') return errnoOf('EINVAL');
  return errnoOf(operation.place === undefined ? 'ENOSYS' : 'EACCES');
}

/* node:fs has no call for a descriptor's position and flags; Linux shows them (proc(5)). */
function shown(fd: number, field: 'pos' | 'flags', base: 8 | 10): number {
  if (process.platform !== 'linux') return errnoOf('ENOSYS');
  try {
    const info = fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
    const digits = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(info)?.[1];
    return digits === undefined ? errnoOf('ENOSYS') : Number.parseInt(digits, base);
  } catch {
    return errnoOf('ENOSYS');
  }
}

function answeredHere(operation: Operation, fd: number): number | undefined {
  if (operation.code === Code.Nop) return 0;
  if (operation.code === Code.Seek) {
    return operation.flags === GET_POSITION ? shown(fd, 'pos', 10) : errnoOf('ENOSYS');
  }
  if (operation.code === Code.GetStatusFlags) return shown(fd, 'flags', 8);
  return undefined;
}

type Waiting = (...values: unknown[]) => unknown;

function perform(operation: Operation, opened: number): number {
  const descriptors = descriptorsOf(operation, opened);
  const here = answeredHere(operation, descriptors.fd);
  if (here !== undefined) return here;
  const wanted = callOf(operation, descriptors);
  if (wanted === undefined) return errnoOf('ENOSYS');
  const waits = (fs as unknown as Record<string, Waiting>)[`${wanted.name}Sync`] as Waiting;
  try {
    return wanted.answer(operation, waits(...wanted.arguments));
  } catch (error) {
    return errnoIn(error, operation);
  }
}

function start(operation: Operation, opened: number, done: (result: number) => void): void {
  const descriptors = descriptorsOf(operation, opened);
  const here = answeredHere(operation, descriptors.fd);
  const wanted = here === undefined ? callOf(operation, descriptors) : undefined;
  if (wanted === undefined) {
    queueMicrotask(() => done(here ?? errnoOf('ENOSYS')));
    return;
  }
  const back = (error: unknown, value: unknown): void => {
    /* Node gives null where nothing failed, Deno (2.9) sometimes undefined. */
    done(error == null ? wanted.answer(operation, value) : errnoIn(error, operation));
  };
  const calls = (fs as unknown as Record<string, Waiting>)[wanted.name] as Waiting;
  try {
    calls(...wanted.arguments, back);
  } catch (error) {
    queueMicrotask(() => done(errnoIn(error, operation)));
  }
}

/**
 * `node:fs` as the world: `perform` waits, `start` calls back; both answer >= 0 or -errno. `opened`
 * is the descriptor that the run has opened.
 */
export const portablePlatform: {
  readonly viewCountMax: number;
  readonly perform: (operation: Operation, opened: number) => number;
  readonly start: (operation: Operation, opened: number, done: (result: number) => void) => void;
} = { viewCountMax: 1024, perform, start };

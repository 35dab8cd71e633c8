/** Linux' numbers and the layouts its calls answer in. */
import { constants } from 'node:fs';
import type { FileKind, FileStat } from './stat.js';

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_SYMLINK_FOLLOW = 0x400;
/** An empty name means the descriptor itself. */
export const AT_EMPTY_PATH = 0x1000;
export const RENAME_NOREPLACE = 1;
/** For renameat2(2): the two names change places (kernel 3.15). */
export const RENAME_EXCHANGE = 2;
/** flock(2): LOCK_EX | LOCK_NB. */
export const LOCK_EXCLUSIVE_NOW = 6;
/**
 * `flags` of StartWriteback: sync_file_range(2). `Start` does not wait; `Whole` waits until nothing
 * of the range is left to write, and says whether that failed.
 */
export const Writeback: Readonly<Record<'Start' | 'Whole', number>> = { Start: 2, Whole: 7 };
/** unlinkat(2): takes away a directory, which has to be empty. */
export const AT_REMOVEDIR = 0x200;
/** How openat2(2) resolves a path. */
export const Resolve: Readonly<Record<'NoMagicLinks' | 'NoLinks' | 'Beneath', number>> = {
  NoMagicLinks: 2,
  NoLinks: 4,
  Beneath: 8,
};
/** flock(2): LOCK_SH | LOCK_NB, and LOCK_UN. */
export const LOCK_SHARED_NOW = 5;
export const LOCK_NONE = 8;
/** `flags` of SetLock and GetLock: fcntl(2). */
export const RangeLock: Readonly<Record<'Shared' | 'Exclusive' | 'None', number>> = {
  Shared: 0,
  Exclusive: 1,
  None: 2,
};

/**
 * File systems whose locks are kept by this kernel alone, by the number statfs(2) tells: those
 * without a `lock` of their own in struct file_operations (Linux 6.18). NFS, SMB and FUSE ask
 * elsewhere.
 */
const LOCKS_HERE: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0xf2f52010, // f2fs
  0x794c7630, // overlayfs
  0x2fc12fc1, // zfs
]);

/** Whether setting a lock on such a volume asks nobody but this kernel. */
export function locksHere(volumeType: number): boolean {
  return LOCKS_HERE.has(volumeType);
}

const FUSE = 0x65735546;

/**
 * Why io_uring is not to read and write files of a volume, by the number statfs(2) tells (below 0:
 * it was refused); `undefined` where it may.
 *
 * A file of FUSE can be polled and says that it is ready, so the kernel reads it on the thread that
 * submits, which waits for the file system's own process; and after a short read, as at the end of
 * a file, it reads on from where it began, since fuse_direct_IO() leaves the position alone: 5000
 * bytes asked for 1000 before the end gave 5000, five times the same (io_uring/rw.c, fs/fuse/file.c
 * of Linux 6.18, FOPEN_DIRECT_IO; libaio and pread(2) gave 1000).
 */
export function ringRefusal(volumeType: number): string | undefined {
  if (volumeType < 0) return 'what volume the file is on is not known';
  return volumeType === FUSE ? 'io_uring misreads files of FUSE; threads read them' : undefined;
}

/** lseek(2): SEEK_CUR. */
export const GET_POSITION = 1;
/** lseek(2): the next byte that is not in a hole, and the next hole; kernel 3.1. */
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
/** Modes of fallocate(2). */
export const AllocateMode: Readonly<
  Record<'KeepSize' | 'PunchHole' | 'CollapseRange' | 'ZeroRange', number>
> = { KeepSize: 1, PunchHole: 2, CollapseRange: 8, ZeroRange: 16 };

/** Advice of posix_fadvise(2). */
export const Advice: Readonly<
  Record<'normal' | 'random' | 'sequential' | 'willneed' | 'dontneed' | 'noreuse', number>
> = { normal: 0, random: 1, sequential: 2, willneed: 3, dontneed: 4, noreuse: 5 };

/** `flags` of a Map: mmap(2). */
export const MapFlag: Readonly<Record<'Shared' | 'Private' | 'NoReserve', number>> = {
  Shared: 1,
  Private: 2,
  NoReserve: 0x4000,
};
/** `mode` of a Map: pages that are read and written. */
export const MAP_READ_WRITE = 3;
/** Advice of madvise(2); the last two are of kernel 5.4 and 5.14. */
export const MapAdvice: Readonly<
  Record<'normal' | 'random' | 'sequential' | 'willneed' | 'dontneed' | 'cold' | 'populate', number>
> = { normal: 0, random: 1, sequential: 2, willneed: 3, dontneed: 4, cold: 20, populate: 22 };
/** The number that statfs(2) tells of hugetlbfs, whose pages are not those of the processor. */
export const HUGE_PAGES_VOLUME = 0x958458f6;

/** In `flags` of a Write: at the end of the file, wherever that is by then (RWF_APPEND). */
export const APPENDS = 2;
/** In place of a descriptor: the one that the latest Open of the same run answered. */
export const FD_OPENED_IN_RUN = -1000;

const onMacos = process.platform === 'darwin';

/*
 * macOS has O_DSYNC and O_SYNC, but such a write is in the drive's cache when it returns, no
 * further: 27,493 a second with O_DSYNC beside 42 with F_FULLFSYNC (pg_test_fsync on a MacBook Pro
 * of 2019, gist.github.com/mrnugget/b6bff62b3265761e640e9124947fe293). To us it has none.
 */
const durableWrites = (flag: number | undefined): number => (onMacos ? 0 : (flag ?? 0));

/*
 * Direct I/O of macOS is no flag of open(2) but a mark on the descriptor, F_NOCACHE. In rows this
 * bit stands for it: native/darwin.c.
 */
const DIRECT_ON_MACOS = 0x10000000;

/*
 * What libuv has on Windows for direct I/O (uv/win.h), which node:constants do not tell, and two
 * that are ours alone, which libuv passes over. native/windows/opening.c has the same. Windows has
 * no durable writes either: drivers of SATA pass over what FILE_FLAG_WRITE_THROUGH asks for, unlike
 * what FlushFileBuffers does (devblogs.microsoft.com/oldnewthing/20170510-00/?p=95505).
 */
const onWindows = process.platform === 'win32';
const ON_WINDOWS = { direct: 0x02000000, directory: 0x00100000, noFollow: 0x00200000 };

function directFlag(): number {
  if (onWindows) return ON_WINDOWS.direct;
  return onMacos ? DIRECT_ON_MACOS : (constants.O_DIRECT ?? 0);
}

/** Flags of open(2); 0 where the system has none. */
export const OpenFlag: Readonly<
  Record<
    | 'ReadOnly'
    | 'WriteOnly'
    | 'ReadWrite'
    | 'Create'
    | 'Exclusive'
    | 'Truncate'
    | 'Append'
    | 'Directory'
    | 'NoFollow'
    | 'NonBlocking'
    | 'DataSync'
    | 'FullSync'
    | 'Direct'
    | 'Path',
    number
  >
> = {
  ReadOnly: constants.O_RDONLY,
  WriteOnly: constants.O_WRONLY,
  ReadWrite: constants.O_RDWR,
  Create: constants.O_CREAT,
  Exclusive: constants.O_EXCL,
  Truncate: constants.O_TRUNC,
  Append: constants.O_APPEND,
  Directory: onWindows ? ON_WINDOWS.directory : (constants.O_DIRECTORY ?? 0),
  NoFollow: onWindows ? ON_WINDOWS.noFollow : (constants.O_NOFOLLOW ?? 0),
  NonBlocking: constants.O_NONBLOCK ?? 0,
  DataSync: durableWrites(constants.O_DSYNC),
  FullSync: durableWrites(constants.O_SYNC),
  Direct: directFlag(),
  /* node:constants do not have it: the same number on every CPU of Linux that Node runs on. */
  Path: process.platform === 'linux' ? 0x200000 : 0,
};

/* The type bits of inode(7), in decimal: Biome 2.5.15 "mends" octal keys to wrong numbers. */
const KINDS: Readonly<Record<number, FileKind>> = {
  4096: 'fifo',
  8192: 'character-device',
  16384: 'directory',
  24576: 'block-device',
  32768: 'file',
  40960: 'symlink',
  49152: 'socket',
};

/** The kind that the type bits of a mode name. */
export function kindOf(mode: number): FileKind {
  return KINDS[mode & 0o170000] ?? 'unknown';
}

function millisecondsAt(view: DataView, offset: number): number {
  const seconds = Number(view.getBigInt64(offset, true));
  return seconds * 1000 + view.getUint32(offset + 8, true) / 1e6;
}

const STATX_BTIME = 0x800;
const STATX_DIOALIGN = 0x2000;
/* Kernel 6.8 and later: with it stx_mnt_id is a number that is not given out again. */
const STATX_MNT_ID_UNIQUE = 0x4000;

/* Kernel 6.1 and later tell; 0 means that the file cannot be opened for direct I/O. */
function directOf(view: DataView): FileStat['direct'] {
  if ((view.getUint32(0, true) & STATX_DIOALIGN) === 0) return undefined;
  return { memory: view.getUint32(152, true), offset: view.getUint32(156, true) };
}

/* As makedev(3) of glibc has it, so that the number is the one stat(2) and node:fs tell. */
function deviceOf(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (
    ((high & ~0xfffn) << 32n) | ((low & ~0xffn) << 12n) | ((high & 0xfffn) << 8n) | (low & 0xffn)
  );
}

/** Decodes struct statx (statx(2)), little-endian as the CPUs that the addon is built for. */
export function decodeStat(out: Uint8Array): FileStat {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  const mode = view.getUint16(28, true);
  return {
    kind: kindOf(mode),
    mode: mode & 0o7777,
    links: view.getUint32(16, true),
    user: view.getUint32(20, true),
    group: view.getUint32(24, true),
    inode: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    blockBytes: view.getUint32(4, true),
    allocatedBytes: Number(view.getBigUint64(48, true)) * 512,
    device: deviceOf(view.getUint32(136, true), view.getUint32(140, true)),
    accessedMs: millisecondsAt(view, 64),
    createdMs: view.getUint32(0, true) & STATX_BTIME ? millisecondsAt(view, 80) : undefined,
    changedMs: millisecondsAt(view, 96),
    modifiedMs: millisecondsAt(view, 112),
    mount:
      (view.getUint32(0, true) & STATX_MNT_ID_UNIQUE) !== 0
        ? view.getBigUint64(144, true)
        : undefined,
    direct: directOf(view),
    times: BigInt64Array.of(
      view.getBigInt64(64, true),
      BigInt(view.getUint32(72, true)),
      view.getBigInt64(112, true),
      BigInt(view.getUint32(120, true)),
    ),
  };
}

const ENTRY_KINDS: readonly FileKind[] = Array.from({ length: 16 }, (_, type) => {
  return kindOf(type << 12);
});

/** The kind that a `d_type` of readdir(3) names: the type bits of a mode, shifted (IFTODT). */
export function entryKind(type: number): FileKind {
  return ENTRY_KINDS[type] ?? 'unknown';
}

/** Names in a directory, as latin1 text: one character a byte. `kinds` is for `entryKind`. */
export interface Entries {
  readonly names: string[];
  readonly kinds: Uint8Array;
}

const NAME_AT = 19;
const DOT = 0x2e;

/* `.` and `..`, which nobody asked for. */
function isSelfOrParent(text: string, at: number, end: number): boolean {
  if (text.charCodeAt(at) !== DOT) return false;
  return end - at === 1 || (end - at === 2 && text.charCodeAt(at + 1) === DOT);
}

/**
 * Decodes struct linux_dirent64 (man 2 getdents64), without `.` and `..`. The text is made once
 * and cut: one call for each name would cost more than the system call itself.
 */
export function decodeEntries(out: Uint8Array, length: number): Entries {
  const text = Buffer.from(out.buffer, out.byteOffset, length).toString('latin1');
  const names: string[] = [];
  const kinds: number[] = [];
  let next = 0;
  for (let at = 0; at < length; at = next) {
    next = at + ((out[at + 16] as number) | ((out[at + 17] as number) << 8));
    const end = text.indexOf('\0', at + NAME_AT);
    if (isSelfOrParent(text, at + NAME_AT, end)) continue;
    names.push(text.slice(at + NAME_AT, end));
    kinds.push(out[at + 18] as number);
  }
  return { names, kinds: Uint8Array.from(kinds) };
}

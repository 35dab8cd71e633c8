/** One system call asked for: the words in which every engine is spoken to. */
import type { Place } from './paths.js';
import type { FileStat } from './stat.js';

/** The codes of operations; native/rows.h has the same numbers. */
export const Code = {
  Nop: 0,
  Read: 1,
  Write: 2,
  Sync: 3,
  SyncData: 4,
  Open: 5,
  Close: 6,
  Stat: 7,
  Truncate: 8,
  Rename: 9,
  Unlink: 10,
  Link: 11,
  SetMode: 12,
  SetOwner: 13,
  Seek: 14,
  ReadLink: 15,
  ListAttributes: 16,
  GetAttribute: 17,
  SetAttribute: 18,
  SetTimes: 19,
  SetStatusFlags: 20,
  Lock: 21,
  ReadEntries: 22,
  Allocate: 23,
  Advise: 24,
  SetLifetime: 25,
  StartWriteback: 26,
  Duplicate: 27,
  GetStatusFlags: 28,
  MakeDirectory: 29,
  MakeLink: 30,
  Clone: 31,
  CopyRange: 32,
  OpenBeneath: 33,
  SetLock: 34,
  GetLock: 35,
  VolumeType: 36,
  Map: 37,
  Unmap: 38,
  SyncMap: 39,
  AdviseMap: 40,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

const NAMES: readonly string[] = [
  'nop',
  'read',
  'write',
  'fsync',
  'fdatasync',
  'open',
  'close',
  'stat',
  'ftruncate',
  'rename',
  'unlink',
  'link',
  'fchmod',
  'fchown',
  'lseek',
  'readlink',
  'listxattr',
  'getxattr',
  'setxattr',
  'futimens',
  'fcntl',
  'flock',
  'scandir',
  'fallocate',
  'posix_fadvise',
  'fcntl(F_SET_RW_HINT)',
  'sync_file_range',
  'fcntl(F_DUPFD)',
  'fcntl(F_GETFL)',
  'mkdir',
  'symlink',
  'ioctl(FICLONE)',
  'copy_file_range',
  'openat2',
  'fcntl(F_OFD_SETLK)',
  'fcntl(F_OFD_GETLK)',
  'fstatfs',
  'mmap',
  'munmap',
  'msync',
  'madvise',
];

/** The name Node's errors give the system call of a code. */
export function codeName(code: Code): string {
  return NAMES[code] ?? 'unknown';
}

/** True for the codes that answer a descriptor, the one that FD_OPENED_IN_RUN stands for. */
export function opensDescriptor(code: Code): boolean {
  return code === Code.Open || code === Code.OpenBeneath;
}

/**
 * One system call asked for, and its answer. Always the same shape, so that engines read it fast.
 *
 * Lifetime: `payload` and `out` stay referenced from here until the completion is delivered.
 */
export class Operation {
  readonly code: Code;
  /** Of Unmap, SyncMap and AdviseMap: what a Map answered. */
  fd = -1;
  /** Clone, CopyRange: the source. */
  fd2 = -1;
  flags = 0;
  mode = 0;
  /** Bytes; -1 is the descriptor's own position. */
  offset = -1;
  /**
   * Bytes a transfer has to move for its run to go on; the new size for Truncate; `Resolve` for
   * OpenBeneath.
   */
  length = 0;
  /**
   * Read, Write: the views. SetAttribute: the value. SetTimes: four 64-bit numbers. MakeLink: where
   * it leads, ending in NUL.
   */
  payload: Uint8Array | Uint8Array[] | undefined = undefined;
  /** Where the answer goes: Stat, ReadLink, ListAttributes, GetAttribute, ReadEntries, GetLock. */
  out: Uint8Array | undefined = undefined;
  place: Place | undefined = undefined;
  place2: Place | undefined = undefined;
  /** The name of an attribute. */
  attribute = '';
  /** The place of `fd` in the engine's table of registered files; -1: none. */
  fixedFile = -1;
  /** On a Read or Write, in place of a payload: that of a registered view; -1: none. */
  fixedView = -1;
  /** Bytes; where in the registered view the transfer begins. */
  start = 0;
  /** > 0: an engine that `endsInTime` ends the operation then, as far as it can. */
  timeoutMs = 0;
  /** The engine's: where it keeps the operation while it is under way. */
  slot = -1;
  next: Operation | undefined = undefined;
  /**
   * Done by the thread that submits it: a Read where that waits for nothing, since the page cache
   * has what it asks for; a SetLock always, so it is for file systems that ask no server.
   */
  triesNow = false;
  /** On a Read or Write: of a file for direct I/O, so that nobody copies what it moves. */
  isDirect = false;
  /** Waits for somebody else, as on a pipe: an abort asks the engine to end it. */
  mayWait = false;
  /** Cleans up: an abort does not keep it from running. */
  mustRun = false;
  /** >= 0 or -errno; below 0 until it has been performed. */
  result = -1;
  stat: FileStat | undefined = undefined;
  names: readonly string[] | undefined = undefined;
  /** ReadEntries: by name, the kind as `entryKind` takes it. */
  kinds: Uint8Array | undefined = undefined;

  constructor(code: Code) {
    this.code = code;
  }
}

/** Bytes of a transfer that are soon copied; more are not for a thread that has others to serve. */
export const AT_ONCE_BYTES_MAX = 65536;

/** Links operations into one run and answers its head. */
export function linked(head: Operation, ...rest: readonly Operation[]): Operation {
  let last = head;
  while (last.next !== undefined) last = last.next;
  for (const operation of rest) {
    last.next = operation;
    last = operation;
  }
  return head;
}

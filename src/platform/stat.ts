/** What a file is. */

export type FileKind =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'fifo'
  | 'socket'
  | 'block-device'
  | 'character-device'
  | 'unknown';

/** What a file is. Units: bytes; milliseconds since 1970, with the fraction the system keeps. */
export interface FileStat {
  readonly kind: FileKind;
  readonly size: number;
  /** Permission bits and setuid, setgid, sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly user: number;
  readonly group: number;
  readonly links: number;
  readonly inode: bigint;
  readonly device: bigint;
  readonly blockBytes: number;
  readonly allocatedBytes: number;
  readonly accessedMs: number;
  readonly modifiedMs: number;
  readonly changedMs: number;
  readonly createdMs: number | undefined;
  /** Of the mount, never given out again; `undefined` where nobody tells (before Linux 6.8). */
  readonly mount: bigint | undefined;
  /** What direct I/O demands, in bytes, 0 where it is refused; `undefined` where nobody tells. */
  readonly direct: { readonly memory: number; readonly offset: number } | undefined;
  /** Seconds and nanoseconds of access and modification, to set them again exactly. */
  readonly times: BigInt64Array;
}

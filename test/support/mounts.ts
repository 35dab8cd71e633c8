/**
 * Real file systems of a given size, made for a test and gone after it. Needs root and the mkfs
 * tools; where they are missing the answer is a reason, so that a test is skipped aloud.
 *
 * Nothing stays mounted: unmounted when the test ends, at exit, on a signal; what a process killed
 * with SIGKILL left is removed by the next one that mounts.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasTool, toolEnvironment } from './child.js';
import type { Test } from './scratch.js';

export type MountKind = 'ext4' | 'xfs' | 'btrfs' | 'tmpfs';

export interface MountOptions {
  /** Default: the least the kind can do with, see `sizeMinBytes`. */
  readonly sizeBytes?: number;
  /** Where the image file lies. Default: the folder for temporary files. */
  readonly under?: string;
  /** Words for mkfs, for instance ['-O', '^has_journal']. */
  readonly make?: readonly string[];
  /** As mount(8) has them after -o. */
  readonly mount?: string;
  /**
   * Writes the whole image once, so that the cost of a sync does not depend on which blocks of it
   * were ever written. For measurements.
   */
  readonly isWritten?: boolean;
}

/** What could not be had, and why. */
export interface Refusal {
  readonly reason: string;
}

const mebibyte = 1024 * 1024;

/** ext4: enough for a journal; xfs: mkfs.xfs(8) since xfsprogs 5.19; btrfs: mkfs.btrfs(8). */
const sizeMinBytes: Readonly<Record<MountKind, number>> = {
  ext4: 16 * mebibyte,
  xfs: 300 * mebibyte,
  btrfs: 120 * mebibyte,
  tmpfs: 8 * mebibyte,
};

/** No lazy initialisation: the kernel would go on writing behind a measurement. */
const makers: Readonly<Record<Exclude<MountKind, 'tmpfs'>, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F', '-O', 'has_journal', '-E', 'lazy_itable_init=0'],
  xfs: ['mkfs.xfs', '-q', '-f'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
};

const prefix = 'holdfast-mount-';
const mounted = new Set<Mount>();

/** A mounted file system. */
export class Mount {
  readonly kind: MountKind;
  /** The root of the file system. */
  readonly path: string;
  readonly #home: string;
  readonly #words: readonly string[];

  constructor(kind: MountKind, home: string, words: readonly string[]) {
    this.kind = kind;
    this.#home = home;
    this.path = join(home, 'root');
    this.#words = words;
    mkdirSync(this.path);
    this.#mount();
    mounted.add(this);
  }

  /** From now on read-only, or writable again. Fails if a file is open for writing. */
  remount(access: 'read-only' | 'read-write'): void {
    run('mount', ['-o', `remount,${access === 'read-only' ? 'ro' : 'rw'}`, this.path]);
  }

  /**
   * What a power cut does, less the disk's own cache: whatever the page cache and the journal in
   * memory held is gone. ext4 and xfs only.
   *
   * Source: XFS_IOC_GOINGDOWN with NOLOGFLUSH, xfs_io(8) shutdown
   */
  cutPower(): void {
    run('xfs_io', ['-x', '-c', 'shutdown', this.path]);
    run('umount', [this.path]);
    this.#mount();
  }

  /** Writes everything out and forgets the page cache: the next read comes from the device. */
  reopen(): void {
    run('umount', [this.path]);
    this.#mount();
  }

  /** Unmounts and removes; `mount -o loop` detaches its device by itself (LO_FLAGS_AUTOCLEAR). */
  unmount(): void {
    if (!mounted.delete(this)) return;
    discard(this.#home);
  }

  #mount(): void {
    run('mount', [...this.#words, this.path]);
  }
}

/** Mounts a file system for one test. Where that cannot be, skips the test and says why. */
export function mountFor(t: Test, kind: MountKind, options?: MountOptions): Mount | undefined {
  const made = tryMount(kind, options);
  if (made instanceof Mount) {
    t.after(() => made.unmount());
    return made;
  }
  t.diagnostic(`NOT TESTED on ${kind}: ${made.reason}`);
  t.skip(made.reason);
  return undefined;
}

/** Mounts a file system until `unmount` or the end of the process. */
export function tryMount(kind: MountKind, options: MountOptions = {}): Mount | Refusal {
  const refusal = mountRefusal(kind);
  if (refusal !== undefined) return { reason: refusal };
  const under = options.under ?? tmpdir();
  cleanUpOnce(under);
  const home = mkdtempSync(join(under, `${prefix}${process.pid}-`));
  try {
    const words = prepared(kind, home, options);
    return new Mount(kind, home, words);
  } catch (error) {
    discard(home);
    return { reason: `cannot mount ${kind}: ${(error as Error).message}` };
  }
}

/** Why a kind cannot be mounted here, as far as can be told without trying. */
export function mountRefusal(kind: MountKind): string | undefined {
  if (process.platform !== 'linux') return `mounts need Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return `mounting ${kind} needs root`;
  if (kind === 'tmpfs') return undefined;
  const maker = makers[kind][0] as string;
  return hasTool(maker) ? undefined : `${maker} is not installed`;
}

/** Makes the image, if the kind has one; answers the words for mount(8) before the path. */
function prepared(kind: MountKind, home: string, options: MountOptions): string[] {
  const sizeBytes = options.sizeBytes ?? sizeMinBytes[kind];
  if (kind === 'tmpfs') return ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs'];
  const image = join(home, 'image');
  makeImage(image, sizeBytes, options.isWritten ?? false);
  const [maker, ...words] = makers[kind];
  run(maker as string, [...words, ...(options.make ?? []), image]);
  const how = options.mount === undefined ? 'loop' : `loop,${options.mount}`;
  return ['-t', kind, '-o', how, image];
}

function makeImage(path: string, sizeBytes: number, isWritten: boolean): void {
  const fd = openSync(path, 'wx', 0o600);
  try {
    ftruncateSync(fd, sizeBytes);
    if (!isWritten) return;
    const zeros = Buffer.alloc(mebibyte);
    for (let done = 0; done < sizeBytes; ) {
      done += writeSync(fd, zeros, 0, Math.min(zeros.length, sizeBytes - done), done);
    }
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Throws with what the program said. The time limit is for a device that does not answer. */
function run(program: string, words: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, words, {
    encoding: 'utf8',
    env: toolEnvironment,
    timeout: 60_000,
  });
  if (status !== 0) throw new Error(`${program} failed: ${(error?.message ?? stderr).trim()}`);
}

/** Takes down what is mounted in a home, busy or not, and removes the home. */
function discard(home: string): void {
  const root = join(home, 'root');
  // Lazily: a descriptor still open in a failed test must not keep the mount for ever.
  for (const words of [[root], ['--lazy', root]]) {
    if (spawnSync('umount', words, { env: toolEnvironment, timeout: 60_000 }).status === 0) break;
  }
  rmSync(home, { recursive: true, force: true });
}

let isWatching = false;

function cleanUpOnce(under: string): void {
  for (const name of readdirSync(under)) {
    const owner = Number(name.startsWith(prefix) && name.slice(prefix.length).split('-')[0]);
    if (owner > 0 && !isRunning(owner)) discard(join(under, name));
  }
  if (isWatching) return;
  isWatching = true;
  const unmountAll = (): void => {
    for (const mount of mounted) mount.unmount();
  };
  process.on('exit', unmountAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      unmountAll();
      process.kill(process.pid, signal);
    });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Where a bench writes. Durable work is measured only where a sync has to reach a journal: on a
 * file system without one it costs next to nothing and would flatter everybody.
 */
import { mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Mount, tryMount } from '../../test/support/mounts.js';
import type { Surroundings } from './question.js';

export interface Place {
  readonly path: string;
  readonly fileSystem: string;
  close(): void;
}

interface FileSystem {
  readonly type: string;
  /** undefined: cannot be told. */
  readonly isJournaled: boolean | undefined;
}

const deviceBytes = 512 * 1024 * 1024;

/** A folder for work that is not made durable. */
export function scratchPlace({ directory, note }: Surroundings): Place {
  const path = mkdtempSync(join(directory ?? tmpdir(), 'holdfast-bench-'));
  const { type } = fileSystemOf(path);
  note(`Files on ${type}, in the page cache.`);
  return {
    path,
    fileSystem: type,
    close: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Places where a sync costs what it costs; none, with a note that says why, if there are none. */
export function durablePlaces(surroundings: Surroundings): Place[] {
  const { directory, note } = surroundings;
  if (directory !== undefined) return givenPlace(directory, surroundings);
  const places: Place[] = [];
  for (const kind of ['ext4', 'xfs'] as const) {
    const made = tryMount(kind, { sizeBytes: deviceBytes, isWritten: true, under: imageFolder() });
    if (made instanceof Mount) {
      note(`${kind} with a journal, loop-mounted, 512 MiB image on ${underneath()}.`);
      places.push({ path: made.path, fileSystem: kind, close: () => made.unmount() });
    } else {
      note(`NOT MEASURED on ${kind}: ${made.reason}.`);
    }
  }
  if (places.length === 0) note('Nothing measured: run as root, or give a journaled --dir.');
  return places;
}

function givenPlace(directory: string, { note }: Surroundings): Place[] {
  const { type, isJournaled } = fileSystemOf(directory);
  if (isJournaled !== true) {
    const state = isJournaled === false ? 'has no journal' : 'is not known to have a journal';
    note(`NOT MEASURED: the file system of --dir, ${type}, ${state}.`);
    return [];
  }
  const path = mkdtempSync(join(directory, 'holdfast-bench-'));
  note(`${type} with a journal, the directory given.`);
  const close = (): void => rmSync(path, { recursive: true, force: true });
  return [{ path, fileSystem: type, close }];
}

/** An image in memory would be synced for nothing. */
function imageFolder(): string {
  return fileSystemOf(tmpdir()).type === 'tmpfs' ? process.cwd() : tmpdir();
}

function underneath(): string {
  const { type, isJournaled } = fileSystemOf(imageFolder());
  return isJournaled === false ? `${type} (that one without a journal)` : type;
}

/** The file system a path is on, by the longest mount point above it. */
export function fileSystemOf(path: string): FileSystem {
  const real = realpathSync(path);
  let [device, type, length] = ['', `a file system of ${process.platform}`, 0];
  for (const line of readMounts()) {
    const [source = '', point = '', kind = ''] = line.split(' ');
    const isAbove = point === '/' || real === point || real.startsWith(`${point}/`);
    if (isAbove && point.length >= length) [device, type, length] = [source, kind, point.length];
  }
  return { type, isJournaled: isJournaled(type, device) };
}

function readMounts(): string[] {
  try {
    return readFileSync('/proc/self/mounts', 'utf8').trim().split('\n');
  } catch {
    return [];
  }
}

function isJournaled(type: string, device: string): boolean | undefined {
  if (['xfs', 'btrfs', 'ext3', 'zfs', 'bcachefs'].includes(type)) return true;
  if (['tmpfs', 'ramfs', 'ext2'].includes(type)) return false;
  if (type !== 'ext4') return undefined;
  try {
    // "<none>" for an ext4 without a journal, see journal_task_show() in fs/ext4/sysfs.c.
    const name = realpathSync(device).split('/').at(-1);
    statSync(`/sys/fs/ext4/${name}`);
    return !readFileSync(`/sys/fs/ext4/${name}/journal_task`, 'utf8').includes('<none>');
  } catch {
    return undefined;
  }
}

/** The table of mounts, and the row that a file belongs to (proc(5), /proc/pid/mountinfo). */
import { numbersOfFile, readTable } from '../platform.js';

/** One mount. Paths are as the table has them, one character a byte. */
export interface Mount {
  readonly id: number;
  /** `major:minor` of the file system; 0 as major where it has no device of its own. */
  readonly device: string;
  /** What of the file system is mounted: not `/` for a bind mount of a part, or a subvolume. */
  readonly root: string;
  readonly point: string;
  readonly type: string;
  readonly source: string;
  /** Of the mount, then of the file system. */
  readonly options: readonly string[];
}

/* Spaces, tabs, newlines and backslashes stand as octal numbers. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => {
    return String.fromCharCode(Number.parseInt(digits, 8));
  });
}

function mountOf(line: string): Mount | undefined {
  const [left = '', right] = line.split(' - ', 2);
  if (right === undefined) return undefined;
  const [id, , device, root, point, own] = left.split(' ');
  const [type, source, whole] = right.split(' ');
  if (type === undefined || own === undefined) return undefined;
  return {
    id: Number(id),
    device: device as string,
    root: unescaped(root as string),
    point: unescaped(point as string),
    type,
    source: unescaped(source ?? ''),
    options: [...new Set([...own.split(','), ...(whole ?? '').split(',')])].filter(Boolean),
  };
}

/** Reads a table of mounts. */
export function mountsIn(text: string): Mount[] {
  return text.split('\n').flatMap((line) => mountOf(line) ?? []);
}

function isUnder(path: string, point: string): boolean {
  return point === '/' || path === point || path.startsWith(`${point}/`);
}

/**
 * The mount that holds a path: that of the number the kernel gave its descriptor; where there is
 * none, the longest that leads to it and lies on the same device, of these the last, which hides
 * the others.
 */
export function mountAmong(
  mounts: readonly Mount[],
  file: { readonly id: number | undefined; readonly path: string; readonly device: string },
): Mount | undefined {
  if (file.id !== undefined) return mounts.find(({ id }) => id === file.id);
  let best: Mount | undefined;
  for (const mount of mounts) {
    if (mount.device !== file.device || !isUnder(file.path, mount.point)) continue;
    if (best === undefined || mount.point.length >= best.point.length) best = mount;
  }
  return best;
}

/** The mount of an open file, or why it is not known. */
export function mountOfDescriptor(fd: number, path: string): Mount | string {
  const table = readTable('/proc/self/mountinfo');
  if (table.text === undefined) return `/proc/self/mountinfo cannot be read (${table.code})`;
  const shown = /^mnt_id:\s+(\d+)/m.exec(readTable(`/proc/self/fdinfo/${fd}`).text ?? '')?.[1];
  const id = shown === undefined ? undefined : Number(shown);
  const device = numbersOfFile(fd) ?? '';
  const mount = mountAmong(mountsIn(table.text), { id, path, device });
  return mount ?? 'the mount is not among those this process is shown';
}

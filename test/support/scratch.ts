/** A fresh folder for each test, and proof that nothing was left behind: files, descriptors. */
import { deepEqual } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultEngine } from 'holdfast';

/** What these helpers need of a `TestContext` of node:test. */
export interface Test {
  after(run: () => void | Promise<void>): void;
  skip(reason?: string): void;
  diagnostic(line: string): void;
}

/** The project; a child that imports 'holdfast' by its own name has to run here. */
export const projectRoot = fileURLToPath(new URL('../../..', import.meta.url));

/* On Windows a folder stays while a file in it is open, and some are closed after this. */
const removedAtLast: string[] = [];

function remove(directory: string): void {
  if (process.platform !== 'win32') rmSync(directory, { recursive: true, force: true });
  else if (removedAtLast.push(directory) === 1) process.on('exit', removeAll);
}

function removeAll(): void {
  for (const directory of removedAtLast) {
    try {
      rmSync(directory, { recursive: true, force: true });
    } catch {
      // A file is open still: it is the system's to remove.
    }
  }
}

/** A fresh folder, removed when the test ends. `under` puts it into a mounted file system. */
export function scratch(t: Pick<Test, 'after'>, under: string = tmpdir()): string {
  const directory = mkdtempSync(join(under, 'holdfast-test-'));
  t.after(() => remove(directory));
  return directory;
}

const MEMORY = '/dev/shm';
let memory: string | undefined;

/* Whether files there may have attributes (tmpfs since Linux 6.6), as those of disks do. */
function memoryPlace(): string {
  try {
    const directory = mkdtempSync(join(MEMORY, 'holdfast-test-'));
    const set = spawnSync('setfattr', ['-n', 'user.holdfast', '-v', '1', directory]);
    rmSync(directory, { recursive: true });
    return set.status === 0 ? MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
}

/**
 * A fresh folder in memory where there is one, for thousands of cases that ask who was called and
 * what was left: each sync of a disk takes its time, and none of them is looked at.
 */
export function scratchInMemory(t: Pick<Test, 'after'>): string {
  memory ??= memoryPlace();
  return scratch(t, memory);
}

/** Fails unless the directory holds these names and no other: no temporary file was left. */
export function assertHoldsOnly(directory: string, names: readonly string[]): void {
  deepEqual(readdirSync(directory).sort(), [...names].sort(), `names in ${directory}`);
}

/** Number -> what it leads to. Empty where there is no /proc. */
export type Descriptors = ReadonlyMap<number, string>;

/** Every descriptor this process has open, those of the default engine among them. */
export function openDescriptors(): Descriptors {
  defaultEngine();
  const open = new Map<number, string>();
  for (const name of namesIn('/proc/self/fd')) {
    try {
      open.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // The descriptor by which the folder itself was listed: closed by now.
    }
  }
  return open;
}

/**
 * Fails if descriptors are open that were not open before. Those of files are compared by path,
 * since a number is given out again; the anonymous ones (epoll, eventfd, rings) by their count,
 * so warm the engine up before taking `before`.
 */
export function assertNoNewDescriptors(before: Descriptors, after = openDescriptors()): void {
  const were = countsOf(before);
  const leaked = Object.entries(countsOf(after))
    .map(([target, count]) => ({ target, leaked: count - (were[target] ?? 0) }))
    .filter(({ leaked }) => leaked > 0);
  deepEqual(leaked, [], 'descriptors open that were not open before');
}

function countsOf(descriptors: Descriptors): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const target of descriptors.values()) {
    const kind = target.replace(/:\[\d+\]$/, '');
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

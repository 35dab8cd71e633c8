/** A directory of the demo's own, gone when the demo is, however that ends. */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAMES: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  801189825: 'zfs',
  2035054128: 'overlay',
  16914836: 'tmpfs, which is memory: nothing on it survives a power cut',
  26985: 'nfs',
};

const endings = new Set<() => void>();

/** Has something done when the demo ends: by itself, by an error, by Ctrl-C. */
export function atEnd(ending: () => void): () => void {
  endings.add(ending);
  return () => endings.delete(ending);
}

function endAll(): void {
  for (const ending of [...endings].reverse()) ending();
  endings.clear();
}

process.on('exit', endAll);
for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
  process.on(signal, () => process.exit(code));
}

/** Makes the directory: below the working directory, or where that cannot be, in the system's. */
export function makeScratch(): string {
  const directory = fresh(process.cwd()) ?? mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
  /* A call under way may put a file into the directory while it is removed: hence the tries. */
  const tries = { maxRetries: 10, retryDelay: 20 };
  atEnd(() => rmSync(directory, { recursive: true, force: true, ...tries }));
  return directory;
}

function fresh(parent: string): string | undefined {
  try {
    return mkdtempSync(join(parent, 'holdfast-demo-'));
  } catch {
    return undefined;
  }
}

export function fileSystemOf(path: string): string {
  const { type } = statfsSync(path);
  return NAMES[type] ?? `file system 0x${type.toString(16)}`;
}

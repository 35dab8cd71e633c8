/** Reads every file of a directory, with holdfast. */
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { openFile } from 'holdfast';
import { type Item, sha256Of } from './image.js';

/** The demo cannot go on, for a reason a person can mend. */
export class Unusable extends Error {}

const BYTES_MAX = 2 ** 30;
const AT_ONCE = 16;

export interface Source {
  readonly items: readonly Item[];
  readonly byteLength: number;
  /** Symbolic links, sockets and the like. */
  readonly leftOut: number;
}

interface Listing {
  readonly paths: readonly string[];
  readonly leftOut: number;
}

async function list(directory: string): Promise<Listing> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const folders = entries.filter((entry) => entry.isDirectory());
  const leftOut = entries.length - files.length - folders.length;
  return { paths: files.map((entry) => join(entry.parentPath, entry.name)).sort(), leftOut };
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such directory',
  ENOTDIR: 'it is not a directory',
  EACCES: 'permission denied',
};

/** Reads all regular files below a directory. Throws `Unusable`. */
export async function readSource(
  directory: string,
  onProgress: (files: number, of: number) => void,
): Promise<Source> {
  const { paths, leftOut } = await list(directory).catch((error: NodeJS.ErrnoException) => {
    const words = WORDS[error.code ?? ''] ?? error.message;
    throw new Unusable(`Cannot read ${error.path ?? directory}: ${words}`);
  });
  if (paths.length === 0) throw new Unusable(`There is no regular file in ${directory}`);

  const items: Item[] = new Array(paths.length);
  let next = 0;
  let done = 0;
  let byteLength = 0;
  const reader = async (): Promise<void> => {
    for (let index = next++; index < paths.length; index = next++) {
      const path = paths[index] as string;
      await using file = await openFile(path);
      byteLength += (await file.stat()).size;
      if (byteLength > BYTES_MAX) throw new Unusable(tooMuch(directory));
      const bytes = await file.readAll();
      const name = relative(directory, path).split(sep).join('/');
      items[index] = { path: name, bytes, sha256: sha256Of(bytes).toString('hex') };
      onProgress(++done, paths.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, reader));
  return { items, byteLength: sum(items), leftOut };
}

function sum(items: readonly Item[]): number {
  return items.reduce((bytes, item) => bytes + item.bytes.byteLength, 0);
}

function tooMuch(directory: string): string {
  return `${directory} holds more than 1 GiB, and the demo keeps all of it in memory`;
}

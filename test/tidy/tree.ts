/** Reads the files that the rules look at, as many of them as exist. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Source, sourceOf } from './source.js';

/** The project: three folders above build/test/tidy/. */
export const root: string = fileURLToPath(new URL('../../../', import.meta.url));

const folders = ['src', 'native', 'test', 'bench', 'examples', 'demo'];
const foreign = /(^|\/)(node_modules|golden|results)\/|^native\/include\//;

export function readSources(): Source[] {
  return folders
    .flatMap(filesUnder)
    .filter((path) => /\.([ch]|ts)$/.test(path) && !foreign.test(path))
    .map((path) => sourceOf(path, readFileSync(join(root, path), 'utf8')));
}

function filesUnder(folder: string): string[] {
  try {
    return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'));
  } catch {
    return [];
  }
}

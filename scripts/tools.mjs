// What the scripts share: where the project is, how to run a program, how to compare ages.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

export const inRoot = (...parts) => join(root, ...parts);

export function say(line) {
  console.error(`holdfast: ${line}`);
}

/** Says why and ends the process. */
export function fail(line) {
  say(line);
  process.exit(1);
}

export function isMain(url) {
  return process.argv[1] === fileURLToPath(url);
}

/** Runs a program with our terminal and returns its exit code. */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) say(`cannot run ${program}: ${result.error.message}`);
  return result.status ?? 1;
}

/** Runs a JavaScript file of an installed development package. */
export function runTool(path, args) {
  return run(process.execPath, [inRoot('node_modules', path), ...args]);
}

/** Every file under a folder of the project as a path from its root; none if it does not exist. */
export function filesUnder(folder) {
  let entries;
  try {
    entries = readdirSync(inRoot(folder), { recursive: true, withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((path) => !path.includes('node_modules'))
    .sort();
}

/** When a file last changed, in ms; -Infinity if it does not exist. */
export function changedMs(path) {
  return statSync(inRoot(path), { throwIfNoEntry: false })?.mtimeMs ?? Number.NEGATIVE_INFINITY;
}

/** The doors that package.json opens, by name. */
export function openDoors() {
  const { exports } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
  return Object.values(exports).flatMap(({ import: entry }) =>
    entry === undefined ? [] : [basename(entry.default, '.js')],
  );
}

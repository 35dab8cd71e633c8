// Makes a clone ready to run: development packages, compiled TypeScript, the addon.
// Does only what is stale, so a second run takes about a second.

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { buildAddon } from './addon.mjs';
import { bundle } from './bundle.mjs';
import { writeCommonJs } from './commonjs.mjs';
import { rollDeclarations } from './declarations.mjs';
import { changedMs, fail, filesUnder, inRoot, isMain, root, runTool, say } from './tools.mjs';

export async function setup() {
  installPackages();
  await compileTypeScript();
  buildAddon({});
}

export function installPackages() {
  if (isInstalled()) return;
  say('installing the development packages');
  const retry = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-timeout=60000'];
  const result = spawnSync(
    'npm',
    ['ci', '--no-audit', '--no-fund', '--include=dev', '--ignore-scripts', ...retry],
    { cwd: root, encoding: 'utf8', shell: process.platform === 'win32', timeout: 300_000 },
  );
  if (result.status === 0) return;
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`;
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT/.test(output)) {
    fail('cannot install the development packages: the npm registry is out of reach');
  }
  console.error(output);
  fail('cannot install the development packages: `npm ci` failed, see above');
}

/** Whether node_modules holds what package-lock.json asks for, by version. */
function isInstalled() {
  const wanted = packagesOf('package-lock.json');
  const present = packagesOf('node_modules/.package-lock.json');
  if (wanted === undefined || present === undefined) return false;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true;
    return present[path] ? present[path].version === version : optional === true;
  });
}

function packagesOf(lock) {
  try {
    return JSON.parse(readFileSync(inRoot(lock), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

export async function compileTypeScript() {
  removeOrphans('dist', 'src');
  removeOrphans('build/src', 'src');
  for (const folder of ['test', 'bench', 'examples', 'demo']) {
    removeOrphans(`build/${folder}`, folder);
  }
  if (runTool('typescript/bin/tsc', ['--build']) !== 0) fail('cannot compile: see above');
  await bundle();
  await rollDeclarations();
  writeCommonJs();
}

/** Removes what was compiled from a source that is gone, lest it be run or published. */
function removeOrphans(output, sources) {
  for (const path of filesUnder(output)) {
    if (/^dist\/(house|cli-|part-)/.test(path)) continue;
    const source = path.replace(/\.(js|js\.map|d\.ts)$/, '.ts').replace(output, sources);
    if (source.endsWith('.ts') && changedMs(source) === Number.NEGATIVE_INFINITY) {
      rmSync(inRoot(path));
    }
  }
}

if (isMain(import.meta.url)) await setup();

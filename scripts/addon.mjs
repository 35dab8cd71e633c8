// Compiles native/*.c to prebuilds/<platform>-<arch>/holdfast.node with a plain C compiler.
//
//   node scripts/addon.mjs [--require] [--force] [--sanitize=address|undefined|thread]
//
// Without a compiler the library still works, on its portable engine, so that is not a failure
// unless --require is given. A sanitized binary goes to build/<kind>/ and is loaded by nobody
// unless asked.

import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { changedMs, fail, filesUnder, inRoot, isMain, root, run, say } from './tools.mjs';

/** One file of system calls for each operating system; only that of this one is compiled. */
const systemFiles = {
  linux: 'native/linux.c',
  darwin: 'native/darwin.c',
  win32: 'native/windows.c',
};

const target = `${process.platform}-${process.arch}`;
const portable = 'continuing on the portable engine';

export const addonPath = `prebuilds/${target}/holdfast.node`;

/** Builds the addon if it is older than its sources. */
export function buildAddon({ require = false, force = false, sanitize }) {
  const giveUp = require ? (why) => fail(why) : (why) => say(`${why}: ${portable}`);
  const output = sanitize ? `build/${sanitize}/holdfast.node` : addonPath;
  const sources = sourcesHere();
  if (!sources.includes(systemFiles[process.platform])) {
    return giveUp(`there are no native sources for ${target}`);
  }
  const inputs = [...filesUnder('native'), 'scripts/addon.mjs'];
  const isFresh = inputs.every((path) => changedMs(path) < changedMs(output));
  if (isFresh && !force) return;

  const [compiler, ...words] = (process.env.CC || 'cc').split(' ').filter(Boolean);
  if (spawnSync(compiler, [...words, '--version']).error) {
    return giveUp(`no C compiler found (${compiler})`);
  }
  say(`compiling ${output}`);
  mkdirSync(dirname(inRoot(output)), { recursive: true });
  // A running process may have the old binary mapped: never write into it, replace it.
  const temporary = `${output}.${process.pid}.tmp`;
  const flags = [...compilerFlags(), ...sanitizerFlags(sanitize), ...linkerFlags()];
  const status = run(compiler, [...words, ...flags, '-o', temporary, ...sources]);
  if (status === 0) {
    renameSync(inRoot(temporary), inRoot(output));
  } else {
    rmSync(inRoot(temporary), { force: true });
    fail(`cannot compile the addon: ${compiler} ended with ${status}, see above`);
  }
}

function sourcesHere() {
  const others = Object.entries(systemFiles)
    .filter(([platform]) => platform !== process.platform)
    .map(([, path]) => path);
  return filesUnder('native').filter(
    (path) => /^native\/[^/]+\.c$/.test(path) && !others.includes(path),
  );
}

function compilerFlags() {
  const language = ['-std=c11', '-O2', '-fPIC', '-fvisibility=hidden', '-pthread'];
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wshadow', '-Wstrict-prototypes'];
  const defines = ['-D_FILE_OFFSET_BITS=64', '-DNAPI_VERSION=8'];
  // -ffile-prefix-map: no path of the building machine in the binary.
  return [...language, ...warnings, ...defines, '-Inative/include', `-ffile-prefix-map=${root}=`];
}

function linkerFlags() {
  if (process.platform === 'darwin') return ['-bundle', '-undefined', 'dynamic_lookup'];
  return ['-shared', '-Wl,-z,relro,-z,now,-z,noexecstack'];
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
    },
  });
  buildAddon(values);
}

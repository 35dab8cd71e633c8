// Runs the addon over test/native/exercise.mjs under sanitizers: what they say of our frames fails.
//
//   npm run sanitize                     all of them
//   npm run sanitize -- address          ASan, LSan and UBSan
//   npm run sanitize -- thread           TSan
//   npm run sanitize -- valgrind         memcheck; slow
//
// Node and V8 are not instrumented, so each report counts only if a frame of it is ours. A tool
// that is not installed is skipped aloud.

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addonPath, buildAddon } from './addon.mjs';
import { setup } from './setup.mjs';
import { fail, inRoot, isMain, say } from './tools.mjs';

const compiler = (process.env.CC || 'cc').split(' ')[0];

/** The library of a sanitizer, which has to be there before Node's own allocator is. */
function libraryOf(name) {
  const found = spawnSync(compiler, [`-print-file-name=lib${name}.so`], { encoding: 'utf8' });
  const path = found.stdout?.trim() ?? '';
  return path.startsWith('/') && existsSync(path) ? path : undefined;
}

const hasValgrind = () => spawnSync('valgrind', ['--version']).status === 0;

const kinds = {
  address: {
    missing: () => (libraryOf('asan') ? undefined : `${compiler} has no libasan`),
    sanitize: 'address,undefined',
    program: [process.execPath],
    environment: () => ({
      LD_PRELOAD: libraryOf('asan'),
      ASAN_OPTIONS: 'detect_leaks=1:exitcode=0:halt_on_error=0',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    }),
    begins: /ERROR: AddressSanitizer|runtime error:|^(Direct|Indirect) leak of/m,
  },
  thread: {
    missing: () => (libraryOf('tsan') ? undefined : `${compiler} has no libtsan`),
    sanitize: 'thread',
    // Else each map reserves 10 GiB of addresses, and TSan leaves the program few.
    program: [process.execPath, '--disable-wasm-trap-handler'],
    environment: () => ({ LD_PRELOAD: libraryOf('tsan'), TSAN_OPTIONS: 'exitcode=0' }),
    begins: /WARNING: ThreadSanitizer/,
  },
  valgrind: {
    missing: () => (hasValgrind() ? undefined : 'valgrind is not installed'),
    sanitize: undefined,
    // Without --jitless it takes generated code for wild jumps.
    program: [
      'valgrind',
      '--leak-check=full',
      '--show-leak-kinds=definite',
      '--num-callers=30',
      '--fair-sched=yes',
      process.execPath,
      '--jitless',
    ],
    environment: () => ({}),
    begins: /Invalid (read|write|free)|uninitialised|definitely lost|points to un/,
  },
};

/** A copy of the library with another addon: it looks for it beside itself. */
function prepare(name, sanitize) {
  const home = inRoot('build', 'sanitize', name);
  rmSync(home, { recursive: true, force: true });
  mkdirSync(join(home, addonPath, '..'), { recursive: true });
  for (const folder of ['dist', 'build/doors']) {
    cpSync(inRoot(folder), join(home, folder), { recursive: true });
  }
  cpSync(inRoot('package.json'), join(home, 'package.json'));
  buildAddon({ require: true, sanitize });
  const built = sanitize === undefined ? addonPath : `build/${sanitize}/holdfast.node`;
  cpSync(inRoot(built), join(home, addonPath));
  return home;
}

/** Reports stand in paragraphs; ours are those with a frame of the addon. */
export function reportsOf(output, begins) {
  const paragraphs = output.split(/^(?:==\d+==\s*|=+)?$/m);
  return paragraphs.filter((text) => begins.test(text) && /holdfast\.node|native\//.test(text));
}

function sanitize(name) {
  const kind = kinds[name];
  const missing = kind.missing();
  if (missing !== undefined) {
    say(`NOT RUN under ${name}: ${missing}`);
    return true;
  }
  const home = prepare(name, kind.sanitize);
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-sanitize-'));
  const [program, ...words] = kind.program;
  const exercise = inRoot('test', 'native', 'exercise.mjs');
  const { status, signal, stdout, stderr } = spawnSync(
    program,
    [...words, exercise, home, directory],
    {
      env: { ...process.env, ...kind.environment() },
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      timeout: 600_000,
    },
  );
  rmSync(directory, { recursive: true, force: true });
  const reports = reportsOf(`${stdout}\n${stderr}`, kind.begins);
  const isWhole = status === 0 && stdout.trim().endsWith('workers');
  if (!isWhole) say(`${name}: the exercise ended with ${signal ?? status}\n${stdout}${stderr}`);
  for (const report of reports) say(`${name}: ${report.trim()}`);
  const others = stderr.split('\n').filter((line) => kind.begins.test(line)).length;
  say(`${name}: ${reports.length} reports of our frames, ${others} of all`);
  return isWhole && reports.length === 0;
}

if (isMain(import.meta.url)) {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((name) => !Object.hasOwn(kinds, name));
  if (unknown !== undefined) fail(`there is no "${unknown}": ${Object.keys(kinds).join(', ')}`);
  await setup();
  const names = chosen.length > 0 ? chosen : Object.keys(kinds);
  const clean = names.map((name) => sanitize(name));
  process.exitCode = clean.every(Boolean) ? 0 : 1;
}

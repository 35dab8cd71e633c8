/**
 * The addon as a file: it names no C library, so that one binary loads beside glibc and musl; it
 * binds no name to an old function; it is hardened; the same sources give the same bytes.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { hasTool, toolEnvironment } from './support/child.js';
import { projectRoot, scratch } from './support/scratch.js';

const here = `${process.platform}-${process.arch}`;
const isAnyLibc = ['linux-x64', 'linux-arm64'].includes(here);
const present = ['linux-x64', 'linux-arm64']
  .map((target) => join(projectRoot, 'prebuilds', target, 'holdfast.node'))
  .filter((path) => existsSync(path));

function outputOf(program: string, ...args: string[]): string {
  const options = { encoding: 'utf8', env: toolEnvironment, timeout: 60_000 } as const;
  const { status, stdout, stderr } = spawnSync(program, args, options);
  equal(status, 0, `${program}: ${stderr}${stdout}`);
  return stdout;
}

function lacks(t: TestContext, ...tools: readonly string[]): boolean {
  const missing = tools.filter((tool) => !hasTool(tool));
  if (isAnyLibc && missing.length === 0 && present.length > 0) return false;
  const why = missing.length > 0 ? `${missing} is not installed` : `no addon for ${here}`;
  t.diagnostic(`NOT TESTED: ${why}`);
  t.skip(why);
  return true;
}

/** What a binary wants of others, without Node-API. */
function importsOf(path: string): string[] {
  return outputOf('nm', '-D', '--undefined-only', path)
    .split('\n')
    .map((line) => line.trim().split(/\s+/).at(-1) ?? '')
    .filter((name) => name !== '' && !name.startsWith('napi_'));
}

test('the addon names no library and no version, of Node or of C', (t) => {
  if (lacks(t, 'readelf', 'nm')) return;
  for (const path of present) {
    equal(outputOf('readelf', '-dW', path).includes('(NEEDED)'), false, path);
    deepEqual(
      importsOf(path).filter((name) => /@|^uv_|64$|_chk$/.test(name)),
      [],
      path,
    );
  }
});

test('a name without a version means one function of this C library', (t) => {
  if (lacks(t, 'readelf', 'nm', 'cc')) return;
  const library = outputOf('cc', '-print-file-name=libc.so.6').trim();
  const addresses = new Map<string, Set<string>>();
  for (const line of outputOf('nm', '-D', '--defined-only', library).split('\n')) {
    const [address = '', , versioned = ''] = line.split(' ');
    const name = versioned.split('@')[0] as string;
    addresses.set(name, (addresses.get(name) ?? new Set()).add(address));
  }
  const isDouble = (name: string): boolean => (addresses.get(name)?.size ?? 0) > 1;
  const own = present.find((path) => path.includes(here)) as string;
  deepEqual(importsOf(own).filter(isDouble), []);
  if (here === 'linux-x64') ok(isDouble('pthread_cond_init'), 'the trap is there to be seen');
});

test('the addon is hardened', (t) => {
  if (lacks(t, 'readelf', 'nm')) return;
  for (const path of present) {
    const headers = outputOf('readelf', '-lW', path);
    match(headers, /GNU_RELRO/);
    match(headers, /GNU_STACK .* RW /);
    match(outputOf('readelf', '-dW', path), /BIND_NOW/);
    /* A worker that ends would take the handler of SIGBUS along (native/maps.h). */
    match(outputOf('readelf', '-dW', path), /NODELETE/);
    ok(importsOf(path).includes('__stack_chk_fail'), path);
    const notes = path.includes('x64') ? /IBT, SHSTK/ : /BTI, PAC/;
    match(outputOf('readelf', '-nW', path), notes);
  }
});

test('musl loads the addon: all it wants is there', (t) => {
  if (lacks(t, 'musl-gcc', 'nm')) return;
  const own = present.find((path) => path.includes(here)) as string;
  const directory = scratch(t);
  const calls = outputOf('nm', '-D', '--undefined-only', own).match(/napi_\w+/g) ?? [];
  const stubs = calls.map((name) => `void ${name}(void);\nvoid ${name}(void) {}\n`);
  const main = `#include <dlfcn.h>
    #include <stdio.h>
    int main(int count, char **words) {
      void *addon = dlopen(words[count - 1], RTLD_NOW);
      puts(addon ? "loaded" : dlerror());
      return addon == NULL || dlsym(addon, "napi_register_module_v1") == NULL;
    }\n`;
  const [source, program] = [join(directory, 'host.c'), join(directory, 'host')];
  writeFileSync(source, [main, ...stubs].join('\n'));
  outputOf('musl-gcc', '-rdynamic', '-o', program, source);
  equal(outputOf(program, own), 'loaded\n');
});

test('the same sources give the same bytes, wherever they are compiled', (t) => {
  if (lacks(t, process.env.CC ?? 'cc')) return;
  const built = ['one', 'a longer name'].map((name) => {
    const copy = join(scratch(t), name);
    for (const folder of ['native', 'scripts', 'package.json']) {
      cpSync(join(projectRoot, folder), join(copy, folder), {
        recursive: true,
        filter: (path) => !path.includes('node_modules'),
      });
    }
    outputOf(process.execPath, join(copy, 'scripts/addon.mjs'), '--require');
    const [target] = readdirSync(join(copy, 'prebuilds'));
    return readFileSync(join(copy, 'prebuilds', target as string, 'holdfast.node'));
  });
  ok(built[0]?.equals(built[1] as Buffer));
});

/* Without one compiler at all: a tarball to try is made, and says of each target what it lacks. */
test('a release wants the addon of every target, a tarball to try tells what it lacks', (t) => {
  const copy = scratch(t);
  for (const folder of ['native', 'scripts', 'package.json']) {
    cpSync(join(projectRoot, folder), join(copy, folder), {
      recursive: true,
      filter: (path) => !path.includes('node_modules'),
    });
  }
  const build = (isRelease: boolean) => {
    const source = `(await import('./scripts/addon.mjs')).buildAll({ isRelease: ${isRelease} })`;
    const env = { PATH: copy, CC: join(copy, 'none'), npm_config_offline: 'true' };
    const words = ['--input-type=module', '--eval', source];
    return spawnSync(process.execPath, words, {
      cwd: copy,
      env,
      encoding: 'utf8',
      timeout: 60_000,
    });
  };
  const release = build(true);
  equal(release.status, 1, release.stderr);
  match(release.stderr, /no C compiler found for linux-x64/);
  const trial = build(false);
  equal(trial.status, 0, trial.stderr);
  for (const target of ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64']) {
    match(trial.stderr, new RegExp(`for ${target}.*continuing on the portable engine`));
  }
});

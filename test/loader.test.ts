/**
 * Finding and loading the addon: importing never fails, and without the addon everything works on
 * the portable engine, which says why. Each case runs in a copy of the built package.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { Code } from '#holdfast/platform.js';
import { type ChildOptions, type Ended, hasTool, runChild } from './support/child.js';
import { projectRoot, scratch } from './support/scratch.js';

const target = `${process.platform}-${process.arch}`;
const addonName = `prebuilds/${target}/holdfast.node`;
const codeCount = Object.keys(Code).length;
const permissionFlag = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';

/** The built package, to be damaged at will. */
function packageCopy(t: TestContext): string {
  const directory = scratch(t);
  cpSync(join(projectRoot, 'dist'), join(directory, 'dist'), { recursive: true });
  copyFileSync(join(projectRoot, 'package.json'), join(directory, 'package.json'));
  if (existsSync(join(projectRoot, 'prebuilds'))) {
    cpSync(join(projectRoot, 'prebuilds'), join(directory, 'prebuilds'), { recursive: true });
  }
  return directory;
}

/** A copy that has an addon; skips aloud where none was built. */
function copyWithAddon(t: TestContext): { directory: string; addon: string } | undefined {
  const directory = packageCopy(t);
  const addon = join(directory, addonName);
  if (existsSync(addon)) return { directory, addon };
  t.diagnostic(`NOT TESTED: no addon was built for ${target}`);
  t.skip(`no addon was built for ${target}`);
  return undefined;
}

/* Uses the library by both faces, tells what ran. The engine is chosen only when it is used. */
const USE = `
  const forced = process.argv[2];
  if (forced === '') delete process.env.HOLDFAST_ENGINE;
  else process.env.HOLDFAST_ENGINE = forced;
  const { openFile, openFileSync, replaceFile } = await import('holdfast');
  const path = process.argv[1];
  const file = await openFile(path, { access: 'read-write', create: true });
  await file.writeAt([Buffer.from('one, '), Buffer.from('two')], 0);
  const synced = await file.sync().then(() => 'synced', ({ kind }) => kind);
  const text = Buffer.from(await file.readAll()).toString();
  const { engine, reason, fallbacks } = file.explain();
  await file.close();
  const again = openFileSync(path);
  const same = Buffer.from(again.readAllSync()).toString();
  again.closeSync();
  const replaced = await replaceFile(path, 'three').then(() => 'new', ({ kind }) => kind);
  console.log(JSON.stringify({ text, same, engine, reason, fallbacks, synced, replaced }));
`;

interface Told {
  readonly text: string;
  readonly same: string;
  readonly synced: string;
  readonly replaced: string;
  readonly engine: string;
  readonly reason: string;
  readonly fallbacks: readonly { readonly what: string; readonly reason: string }[];
}

interface Use {
  readonly directory: string;
  readonly forced?: string;
  readonly nodeArgs?: readonly string[];
}

function use({ directory, forced = '', nodeArgs = [] }: Use): Promise<Ended> {
  const args = [join(directory, 'file'), forced];
  return runChild({ source: USE, args, nodeArgs, cwd: directory });
}

/** The use succeeded, and this is what it told. */
function toldBy(ended: Ended): Told {
  equal(ended.signal, null, `it died of ${ended.signal}: ${ended.stderr}`);
  equal(ended.code, 0, ended.stderr);
  const told = JSON.parse(ended.stdout) as Told;
  equal(told.text, 'one, two');
  equal(told.same, 'one, two');
  return told;
}

async function worksPortably(options: Use, says: RegExp): Promise<Told> {
  const told = toldBy(await use(options));
  equal(told.engine, 'portable');
  match(told.reason, says);
  const native = told.fallbacks.find(({ what }) => what === 'native-calls');
  match(native?.reason ?? '', says, 'explain() gives the reason for each fallback');
  return told;
}

describe('loadAddon()', () => {
  test('loads the addon where it is whole', async (t) => {
    const copy = copyWithAddon(t);
    if (copy === undefined) return;
    const told = toldBy(await use(copy));
    match(told.engine, /^(ring|pool)$/);
    match(told.reason, /io_uring/);
    deepEqual(told.fallbacks, []);
    equal(told.synced, 'synced');
    equal(told.replaced, 'new');
  });

  test('answers a reason when the addon is deleted', async (t) => {
    const directory = packageCopy(t);
    rmSync(join(directory, 'prebuilds'), { recursive: true, force: true });
    await worksPortably({ directory }, new RegExp(`no addon built for ${target}`));
  });

  test('answers a reason under --no-addons', async (t) => {
    const copy = copyWithAddon(t);
    if (copy === undefined) return;
    await worksPortably({ ...copy, nodeArgs: ['--no-addons'] }, /does not load.*addons/i);
  });

  test('answers a reason under the permission model', async (t) => {
    const directory = packageCopy(t);
    const allowed = [`--allow-fs-read=${directory}/*`, `--allow-fs-write=${directory}/*`];
    const nodeArgs = [permissionFlag, ...allowed];
    const told = await worksPortably({ directory, nodeArgs }, /the permission model is on/);
    /* Node 20.20 turns fsync(2) and fchmod(2) off under the model, whatever is allowed. */
    match(told.synced, /^(synced|unsupported)$/);
    match(told.replaced, /^(new|unsupported)$/);
  });

  /*
   * dlopen(3) of a truncated library maps pages past the end of the file and dies of SIGBUS when it
   * relocates them: the whole process, at import. The length is checked first.
   */
  test('answers a reason for an addon truncated at any length', async (t) => {
    const copy = copyWithAddon(t);
    if (copy === undefined) return;
    const whole = readFileSync(copy.addon);
    const sections = Number(whole.readBigUInt64LE(40));
    const lengths = [0, 1, 63, 64, 4096, 8192, whole.length >> 1, sections, whole.length - 1];
    for (const length of lengths.filter((length) => length < whole.length)) {
      truncateSync(copy.addon, length);
      await worksPortably(copy, /the addon is truncated/);
      writeFileSync(copy.addon, whole);
    }
  });

  test('answers a reason for an addon of another CPU', async (t) => {
    const copy = copyWithAddon(t);
    if (copy === undefined) return;
    const bytes = readFileSync(copy.addon);
    bytes.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18);
    writeFileSync(copy.addon, bytes);
    await worksPortably(copy, new RegExp(`another CPU than ${process.arch}`));
  });

  test('answers a reason for an addon that is text', async (t) => {
    const copy = copyWithAddon(t);
    if (copy === undefined) return;
    writeFileSync(copy.addon, 'version https://git-lfs.github.com/spec/v1\n'.repeat(4));
    await worksPortably(copy, /not an ELF file/);
  });

  test('answers a reason for an addon that is a directory', async (t) => {
    const copy = copyWithAddon(t);
    if (copy === undefined) return;
    rmSync(copy.addon);
    cpSync(join(copy.directory, 'dist'), copy.addon, { recursive: true });
    await worksPortably(copy, /does not load/);
  });

  for (const [what, rowBytes, count] of [
    ['rows', 128, codeCount],
    ['codes', 64, codeCount - 1],
  ] as const) {
    test(`answers a reason for an addon with other ${what}`, async (t) => {
      const copy = copyWithAddon(t);
      if (copy === undefined) return;
      if (!hasTool('cc')) return t.skip('no C compiler: cannot build an addon of another version');
      buildStranger(t, copy.addon, { rowBytes, codeCount: count });
      await worksPortably(copy, /the addon is of another version/);
    });
  }
});

interface Stranger {
  readonly rowBytes: number;
  readonly codeCount: number;
}

/** An addon like ours, of another version. */
function buildStranger(t: TestContext, output: string, stranger: Stranger): void {
  const numbers = Object.entries({ ...stranger, viewCountMax: 1024 });
  const functions = ['attach', 'perform', 'performView', 'submit', 'setThreads'];
  const source = `
    #define NAPI_VERSION 8
    #include <node_api.h>
    static napi_value none(napi_env env, napi_callback_info info) { return 0; }
    NAPI_MODULE_INIT() {
      napi_value value;
      ${numbers
        .map(
          ([name, number]) => `napi_create_int32(env, ${number}, &value);
          napi_set_named_property(env, exports, "${name}", value);`,
        )
        .join('\n')}
      ${functions
        .map(
          (name) => `napi_create_function(env, "${name}", NAPI_AUTO_LENGTH, none, 0, &value);
          napi_set_named_property(env, exports, "${name}", value);`,
        )
        .join('\n')}
      return exports;
    }`;
  const file = join(scratch(t), 'stranger.c');
  writeFileSync(file, source);
  const include = `-I${join(projectRoot, 'native/include')}`;
  const words = ['-shared', '-fPIC', include, file, '-o', output];
  const { status, stderr } = spawnSync('cc', words, { encoding: 'utf8' });
  equal(status, 0, stderr);
  const addon = createRequire(import.meta.url)(output) as Stranger;
  equal(addon.rowBytes, stranger.rowBytes, 'the stranger itself loads');
}

describe('HOLDFAST_ENGINE', () => {
  test('portable is taken where the addon is there', async (t) => {
    const told = toldBy(await use({ directory: packageCopy(t), forced: 'portable' }));
    equal(told.engine, 'portable');
    match(told.reason, /it was asked for/);
  });

  test('pool is taken, and says that it was asked for', async (t) => {
    const copy = copyWithAddon(t);
    if (copy === undefined) return;
    const told = toldBy(await use({ ...copy, forced: 'pool' }));
    equal(told.engine, 'pool');
    match(told.reason, /it was asked for/);
  });

  const refused = async (options: Use, says: RegExp): Promise<void> => {
    const { code, stderr } = await use(options);
    equal(code, 1);
    match(stderr, /TypeError/);
    match(stderr, /ERR_INVALID_ARG_VALUE/);
    match(stderr, /HOLDFAST_ENGINE/);
    match(stderr, says);
  };

  test('a name nobody knows is a TypeError at the first use, not at import', async (t) => {
    await refused({ directory: packageCopy(t), forced: 'nonsense' }, /got "nonsense"/);
    const source = "process.env.HOLDFAST_ENGINE = 'nonsense'; await import('holdfast');";
    const imported = await runChild({ source, cwd: packageCopy(t) });
    equal(imported.code, 0, imported.stderr);
  });

  test('pool without the addon is a TypeError that gives the reason', async (t) => {
    const directory = packageCopy(t);
    rmSync(join(directory, 'prebuilds'), { recursive: true, force: true });
    await refused({ directory, forced: 'pool' }, /no addon built for/);
  });
});

/*
 * Under the permission model node:fs refuses with ERR_ACCESS_DENIED, an error without a number:
 * Node 20.20 throws it from open, and gives it to the callback of fchown and fsync. It was handed
 * on bare, and thrown inside a callback it ended the process.
 */
test('openFile() tells a refusal of the permission model as an IoError', async (t) => {
  const directory = packageCopy(t);
  const source = `
    import { openFile, openFileSync, replaceFile } from 'holdfast';
    const told = [];
    const tell = ({ name, kind, code }) => told.push({ name, kind, code });
    const path = process.argv[1];
    await openFile(path).catch(tell);
    try { openFileSync(path); } catch (error) { tell(error); }
    await replaceFile(path, 'x').catch(tell);
    console.log(JSON.stringify(told));
  `;
  const options: ChildOptions = { source, args: [join(scratch(t), 'denied')], cwd: directory };
  const nodeArgs = [permissionFlag, `--allow-fs-read=${directory}/*`];
  const { code, stdout, stderr } = await runChild({ ...options, nodeArgs });
  equal(code, 0, stderr);
  const refusal = { name: 'IoError', kind: 'access', code: 'EACCES' };
  deepEqual(JSON.parse(stdout), [refusal, refusal, refusal]);
});

test('the addon holds no symbol of libuv and needs nothing but libc', (t) => {
  const addon = join(projectRoot, addonName);
  if (!existsSync(addon)) return t.skip(`no addon was built for ${target}`);
  if (!hasTool('nm')) return t.skip('nm (binutils) is not installed');
  const { stdout } = spawnSync('nm', ['-D', '--undefined-only', addon], { encoding: 'utf8' });
  const symbols = stdout.split('\n').map((line) => line.trim().split(/\s+/).at(-1) ?? '');
  ok(symbols.includes('napi_create_function'), 'nm lists what the addon needs');
  deepEqual(
    symbols.filter((symbol) => symbol.startsWith('uv_')),
    [],
  );
});

/**
 * The tarball as a user gets it: what it holds, that it needs no script at its install, what
 * publint and attw say of it, and that ESM, CommonJS and types work from a folder of their own.
 * Other runtimes, musl and arm64 are for `npm run matrix`.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { hasTool } from './support/child.js';
import { projectRoot } from './support/scratch.js';

const packedBytesMax = 400 * 1024;

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

const home = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
const user = join(home, 'user');
const manifest = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
const subpaths = Object.keys(manifest.exports).filter((path) => path !== './package.json');
let packed: Packed;

function outputOf(program: string, args: readonly string[], options: SpawnSyncOptions = {}) {
  const ended = spawnSync(program, args, { encoding: 'utf8', timeout: 100_000, ...options });
  equal(ended.status, 0, `${program} ${args.join(' ')}: ${ended.stderr}${ended.stdout}`);
  return String(ended.stdout);
}

const tool = (path: string, ...args: string[]) =>
  outputOf(process.execPath, [join(projectRoot, 'node_modules', path), ...args], { cwd: user });

before(() => {
  /* Offline: what is not installed is not to be fetched by a test. */
  const printed = outputOf('npm', ['pack', '--json', '--offline', '--pack-destination', home], {
    cwd: projectRoot,
  });
  packed = JSON.parse(printed.slice(printed.indexOf('[')))[0];
  mkdirSync(user);
  writeFileSync(join(user, 'package.json'), '{ "private": true, "type": "module" }\n');
  const words = ['install', '--ignore-scripts', '--offline', '--no-audit', '--no-fund'];
  outputOf('npm', [...words, join(home, packed.filename)], { cwd: user });
});

after(() => rmSync(home, { recursive: true }));

test('the tarball holds what a user needs and no more, in 400 KiB', () => {
  const paths = packed.files.map(({ path }) => path);
  ok(packed.size <= packedBytesMax, `${packed.size} bytes`);
  for (const { import: esm, require: cjs } of subpaths.map((path) => manifest.exports[path])) {
    for (const file of [esm.types, esm.default, cjs.types, cjs.default]) {
      ok(paths.includes(file.slice(2)), file);
    }
  }
  for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md', 'dist/sbom.cdx.json']) {
    ok(paths.includes(file), file);
  }
  /* Declarations of the doors, and one module with all that they lead to. */
  deepEqual(
    paths.filter((path) => path.endsWith('.d.ts')).sort(),
    [...subpaths.map((path) => manifest.exports[path].import.types), './dist/house.d.ts']
      .map((path) => path.slice(2))
      .sort(),
  );
  deepEqual(
    paths.filter((path) => /\.map$|^(src|test|bench|native|build)\/|binding\.gyp/.test(path)),
    [],
  );
});

interface Target {
  readonly compiler: readonly string[];
  readonly from: string;
}

interface AddonScript {
  readonly targets: Readonly<Record<string, Target>>;
  readonly sourcesFor: (target: string) => readonly string[] | undefined;
}

function addonScript(): Promise<AddonScript> {
  return import(pathToFileURL(join(projectRoot, 'scripts/addon.mjs')).href);
}

test('there is an addon for each target whose compiler is here', async (t) => {
  const { targets, sourcesFor } = await addonScript();
  for (const [target, { compiler, from }] of Object.entries(targets)) {
    const isHere = target === `${process.platform}-${process.arch}`;
    const [program = ''] = isHere ? (process.env.CC ?? 'cc').split(' ') : compiler;
    const hasCompiler = hasTool(program) || existsSync(program);
    if (!hasCompiler || sourcesFor(target) === undefined) {
      const why = hasCompiler ? 'there are no sources' : `${program} is not installed; ${from}`;
      t.diagnostic(`NOT TESTED for ${target}: ${why}`);
      continue;
    }
    const path = `prebuilds/${target}/holdfast.node`;
    ok(
      packed.files.some((file) => file.path === path),
      path,
    );
  }
});

test('nothing runs at an install, nothing is needed besides', () => {
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
    equal(manifest.scripts[name], undefined, name);
  }
  equal(manifest.gypfile, false);
  equal(manifest.dependencies, undefined);
  ok(existsSync(join(user, 'node_modules/holdfast')));
  const bill = JSON.parse(
    readFileSync(join(user, 'node_modules/holdfast/dist/sbom.cdx.json'), 'utf8'),
  );
  equal(bill.bomFormat, 'CycloneDX');
  equal(bill.metadata.component.version, manifest.version);
});

test('publint and attw have nothing to say', () => {
  const tarball = join(home, packed.filename);
  match(tool('publint/src/cli.js', 'run', tarball, '--strict'), /All good/);
  const told = JSON.parse(
    tool('@arethetypeswrong/cli/dist/index.js', tarball, '--format', 'json', '--profile', 'strict'),
  );
  deepEqual(Object.values(told.problems ?? {}).flat(), []);
});

test('what was installed works, by import and by require', () => {
  copyFileSync(join(projectRoot, 'test/package/use.mjs'), join(user, 'use.mjs'));
  mkdirSync(join(user, 'place'), { recursive: true });
  const told = JSON.parse(
    outputOf(process.execPath, ['use.mjs', join(user, 'place')], { cwd: user }),
  );
  equal(told.runtime, process.version);
  const names = subpaths.map((path) => JSON.stringify(path.replace('.', 'holdfast')));
  const tried = (import_: string): string =>
    `for (const name of [${names}]) console.log(Object.keys(${import_}(name)).length > 0)`;
  for (const [text, type] of [
    [tried('await import'), 'module'],
    [tried('require'), 'commonjs'],
  ] as const) {
    const output = outputOf(process.execPath, [`--input-type=${type}`, '-e', text], { cwd: user });
    equal(output, 'true\n'.repeat(subpaths.length));
  }
});

/*
 * An import took 25 ms, 14 of them to read rooms that most programs never enter. A static import in
 * the wrong place brings them back unnoticed, so what is loaded is counted, not timed.
 */
test('an import loads no part of a room, a first call that of its own', () => {
  const source = `
    import { createRequire } from 'node:module';
    const { cache } = createRequire(import.meta.url);
    const parts = () =>
      Object.keys(cache).flatMap((path) => /part-(\\w+)-/.exec(path)?.slice(1) ?? []);
    const told = [];
    const { copyFile, IoError, Journal } = await import('holdfast');
    await import('holdfast/testing');
    told.push(parts());
    told.push(await copyFile('absent', 'place').catch((error) => error instanceof IoError));
    told.push(parts());
    await (await Journal.open('place/a journal')).close();
    told.push(parts().includes('journal'));
    console.log(JSON.stringify(told));
  `;
  mkdirSync(join(user, 'place'), { recursive: true });
  const words = ['--input-type=module', '-e', source];
  const told = JSON.parse(outputOf(process.execPath, words, { cwd: user }));
  deepEqual(told, [[], true, ['copy', 'replace'], true]);
});

/*
 * `node -e`, the prompt of Node and a worker of a text give every module a `require` that looks
 * from the working directory. It was taken for a bundler's, and no part of a room was found.
 */
test('a part is found where every module has a require', () => {
  const text = `
    const { copyFileSync } = require('holdfast');
    copyFileSync('package.json', 'place/copied');
    console.log(typeof globalThis.require, 'copied');`;
  const inWorker = `
    const { Worker } = require('node:worker_threads');
    new Worker(${JSON.stringify(text)}, { eval: true });`;
  mkdirSync(join(user, 'place'), { recursive: true });
  for (const source of [text, inWorker]) {
    const words = ['--input-type=commonjs', '-e', source];
    equal(outputOf(process.execPath, words, { cwd: user }), 'function copied\n');
  }
});

const consumer = `
import { IoError, OpenFile, openFile, type ReplaceReport, replaceFile } from 'holdfast';
import { CompletionQueue } from 'holdfast/queue';
import { simulatedDisk } from 'holdfast/testing';
export async function store(path: string): Promise<ReplaceReport> {
  const file = await openFile(path, { access: 'read-write', create: true });
  await file.writeAt([Float64Array.of(1)], 0);
  // @ts-expect-error: a path is not a number
  await openFile(12);
  new CompletionQueue({ depth: 8 });
  // @ts-expect-error: made by openFile
  new OpenFile({});
  // @ts-expect-error: for the library's own rooms
  file.prepare(() => file.sync());
  simulatedDisk(1).put('/x', 'y');
  if (!(new Error() instanceof IoError)) await file.close();
  return replaceFile(path, 'text');
}
`;

test('esbuild takes all of it into one file, which runs elsewhere without the addon', () => {
  copyFileSync(join(projectRoot, 'test/package/bundled.mjs'), join(user, 'bundled.mjs'));
  for (const [format, extension] of Object.entries({ esm: 'mjs', cjs: 'cjs' })) {
    const elsewhere = mkdtempSync(join(home, 'bundle-'));
    const program = join(elsewhere, `program.${extension}`);
    const words = ['--bundle', '--platform=node', '--log-level=error'];
    outputOf(
      join(projectRoot, 'node_modules/.bin/esbuild'),
      ['bundled.mjs', ...words, `--format=${format}`, `--outfile=${program}`],
      { cwd: user },
    );
    const said = JSON.parse(outputOf(process.execPath, [program], { cwd: elsewhere }));
    deepEqual(said, { durability: 'full', bytes: 2, lsn: said.lsn, read: 2, engine: 'portable' });
    ok(said.lsn > 0);
  }
});

/*
 * A program that TypeScript compiles to CommonJS by its default, the resolution of Node 10, which
 * knows no "exports": it did not find `holdfast/journal`, and "typesVersions" leads it there.
 */
const oldProgram = `
import { openFile } from 'holdfast';
${subpaths
  .filter((path) => path !== '.')
  .map((path, index) => `import * as door${index} from '${path.replace('.', 'holdfast')}';`)
  .join('\n')}
import writeFileAtomic from 'holdfast/write-file-atomic';
export const doors = [${subpaths.slice(1).map((_, index) => `door${index}`)}];
export const stored: Promise<void> = writeFileAtomic('path', 'text');
// @ts-expect-error: a path is not a number
openFile(12);
`;

test('types are found by modules of both kinds, and of the old one', () => {
  writeFileSync(join(user, 'esm.mts'), consumer);
  writeFileSync(join(user, 'cjs.cts'), consumer);
  writeFileSync(join(user, 'old.ts'), oldProgram);
  const types = join(projectRoot, 'node_modules/@types');
  const words = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2023'];
  const lib = ['--lib', 'es2023,esnext.disposable', '--typeRoots', types, '--types', 'node'];
  const modules = ['--module', 'nodenext', '--skipLibCheck', 'false'];
  const compiler = join('typescript', 'bin', 'tsc');
  tool(compiler, ...words, ...lib, ...modules, 'esm.mts', 'cjs.cts');
  const old = ['--module', 'commonjs', '--moduleResolution', 'node10', '--esModuleInterop'];
  tool(compiler, ...words, ...lib, ...old, '--skipLibCheck', 'false', 'old.ts');
});

/*
 * Names of the command's parts were made of the path of the folder too: the same sources packed to
 * other bytes elsewhere, which nobody saw but who packed twice (`npm run matrix -- again`).
 */
test('what is bundled elsewhere has the same names and bytes', () => {
  const copy = join(home, 'another folder');
  for (const folder of ['scripts', 'assets', 'src', 'build/src', 'package.json']) {
    cpSync(join(projectRoot, folder), join(copy, folder), {
      recursive: true,
      filter: (path) => !path.includes('node_modules'),
    });
  }
  mkdirSync(join(copy, 'dist'));
  symlinkSync(join(projectRoot, 'node_modules'), join(copy, 'node_modules'));
  const source = "await (await import('./scripts/bundle.mjs')).bundle()";
  outputOf(process.execPath, ['--input-type=module', '--eval', source], { cwd: copy });
  const made = readdirSync(join(copy, 'dist')).filter((name) => /\.c?js$/.test(name));
  ok(made.includes('house.js') && made.some((name) => name.startsWith('cli-')), `${made}`);
  for (const name of made) {
    const here = readFileSync(join(projectRoot, 'dist', name));
    ok(here.equals(readFileSync(join(copy, 'dist', name))), name);
  }
});

// Puts the compiled rooms into one module, dist/house.js, and a door for each in front of it.
//
// Node takes 0.5 ms a module to find, read and link: `import 'holdfast'` took 26 ms as 48 modules
// and takes 7 as two (`npm run bench -- import`). Every door, public or private, leads into the
// one module, so there is one IoError and one set of engines whichever way one comes in.

import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { changedMs, filesUnder, inRoot } from './tools.mjs';

const ROOMS = 'build/src';
const ASSETS = 'assets/report';
const HOUSE = 'dist/house.js';
const COMMAND = `${ROOMS}/cli.js`;

function isStale() {
  const built = changedMs(HOUSE);
  const own = changedMs('scripts/bundle.mjs');
  const inputs = [...filesUnder(ROOMS), ...filesUnder(ASSETS)];
  return own > built || inputs.some((path) => changedMs(path) > built);
}

/* The command is a program of its own, in front of the doors. */
function doors() {
  return filesUnder(ROOMS).filter(
    (path) => path.endsWith('.js') && path.split('/').length === 3 && path !== COMMAND,
  );
}

/** What each door gives away, by file name. */
function exportsOf(esbuild, paths) {
  const { metafile } = esbuild.buildSync({
    entryPoints: paths.map((path) => inRoot(path)),
    absWorkingDir: inRoot(),
    outdir: 'unused',
    bundle: false,
    write: false,
    metafile: true,
    format: 'esm',
    logLevel: 'error',
  });
  const given = new Map();
  for (const output of Object.values(metafile.outputs)) {
    if (output.entryPoint !== undefined) given.set(basename(output.entryPoint), output.exports);
  }
  return given;
}

/* A name that no two doors share, and the name that the door gives it. */
const pair = (room, name) => [`${room.replaceAll('-', '_')}$${name.replaceAll('.', '_')}`, name];

const spelt = (name) => (/^[\w$]+$/.test(name) ? name : JSON.stringify(name));

function listed(names, turn) {
  return names.map(turn).join(', ');
}

/**
 * The command: what is asked for seldom stands in parts of its own, loaded when it is; all that the
 * library has comes from its doors. So the library's users load nothing of the command.
 */
function bundleCommand(esbuild) {
  const doorPaths = doors().map((path) => inRoot(path));
  const { outputFiles } = esbuild.buildSync({
    entryPoints: [inRoot(COMMAND)],
    absWorkingDir: inRoot(),
    outdir: inRoot('build/command'),
    chunkNames: 'cli-[name]-[hash]',
    bundle: true,
    splitting: true,
    write: false,
    external: doorPaths,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: true,
    lineLimit: 100,
    logLevel: 'error',
  });
  for (const path of filesUnder('dist')) {
    if (/^dist\/cli-[^/]*\.js$/.test(path)) rmSync(inRoot(path));
  }
  for (const { path, text } of outputFiles) {
    const file = inRoot('dist', basename(path));
    writeFileSync(file, text.replaceAll('"../src/', '"./'));
    if (basename(path) === 'cli.js') chmodSync(file, 0o755);
  }
}

/** The page of `holdfast bench --html`: its script with uPlot, its styles, all in one file. */
function bundleReport(esbuild) {
  const assets = (name) => readFileSync(inRoot(ASSETS, name), 'utf8');
  const minified = { absWorkingDir: inRoot(), bundle: true, minify: true, write: false };
  const textOf = (entry) => {
    const options = { ...minified, entryPoints: [entry], target: 'es2022', logLevel: 'error' };
    return esbuild.buildSync(options).outputFiles[0].text.trim();
  };
  const licence = '/*! uPlot, MIT licence, (c) Leon Sorokin: github.com/leeoniya/uPlot */\n';
  const script = textOf(`${ASSETS}/page.js`).replaceAll('</script', '<\\/script');
  const styles = ['node_modules/uplot/dist/uPlot.min.css', `${ASSETS}/page.css`];
  const style = styles.map(textOf).join('\n');
  const page = assets('page.html')
    .replace('/*STYLE*/', () => style)
    .replace('/*SCRIPT*/', () => licence + script);
  writeFileSync(inRoot('dist/report.html'), page);
}

export function bundle() {
  if (!isStale()) return;
  const esbuild = createRequire(import.meta.url)('esbuild');
  const given = exportsOf(esbuild, doors());
  const lines = [];
  for (const [file, names] of given) {
    const pairs = names.map((name) => pair(basename(file, '.js'), name));
    lines.push(
      `export { ${listed(pairs, ([unique, name]) => `${spelt(name)} as ${unique}`)} } ` +
        `from './${file}';`,
    );
  }
  esbuild.buildSync({
    stdin: { contents: lines.join('\n'), resolveDir: inRoot(ROOMS), sourcefile: 'house.js' },
    outfile: inRoot(HOUSE),
    absWorkingDir: inRoot(),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    sourcemap: true,
    // Comments and indents gone, names and lines kept: a trace still says where.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 100,
    logLevel: 'error',
  });
  bundleCommand(esbuild);
  bundleReport(esbuild);
  for (const [file, names] of given) {
    const pairs = names.map((name) => pair(basename(file, '.js'), name));
    const turn = ([unique, name]) => `${unique} as ${spelt(name)}`;
    writeFileSync(
      inRoot('dist', file),
      names.length === 0
        ? 'export {};\n'
        : `export { ${listed(pairs, turn)} } from './house.js';\n`,
    );
  }
}

// Puts the compiled rooms into one module, dist/house.js, and a door for each in front of it.
//
// Node takes 0.5 ms a module to find, read and link: `import 'holdfast'` took 26 ms as 48 modules
// (`npm run bench -- import`). Every door, public or private, leads into the one module, so there
// is one IoError and one set of engines whichever way one comes in. What an import does not need at
// once stands beside it: the rooms of `holdfast/testing` in a module of their own, the private
// folders of some rooms in parts that their first call loads (scripts/later.mjs).
//
// Doors that package.json opens go to dist; the others, for tests alone, to build/doors.

import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { importsOf, laterParts, seenByBundlers, unique } from './later.mjs';
import { shrink } from './shrink.mjs';
import { changedMs, filesUnder, inRoot, openDoors, root } from './tools.mjs';

const ROOMS = 'build/src';
const DOORS = 'build/doors';
const ASSETS = 'assets/report';
const HOUSE = 'dist/house.js';
const COMMAND = `${ROOMS}/cli.js`;

/** The rooms of each module, by name; all others are the house's. */
const APART = { 'house-testing': ['simulated', 'testing'] };

function isStale() {
  const built = changedMs(HOUSE);
  const own = ['bundle', 'later', 'shrink'].map((name) => `scripts/${name}.mjs`);
  const inputs = [...filesUnder(ROOMS), ...filesUnder(ASSETS), 'package.json', ...own];
  return inputs.some((path) => changedMs(path) > built);
}

/** The rooms, by name: their paths, what each gives away, the module it stands in. */
async function roomsOf(esbuild) {
  const paths = filesUnder(ROOMS).filter(
    (path) => path.endsWith('.js') && path.split('/').length === 3 && path !== COMMAND,
  );
  const { metafile } = await esbuild.build({
    entryPoints: paths.map((path) => inRoot(path)),
    absWorkingDir: inRoot(),
    outdir: 'unused',
    bundle: false,
    write: false,
    metafile: true,
    format: 'esm',
    logLevel: 'error',
  });
  return Object.values(metafile.outputs).flatMap(({ entryPoint, exports }) => {
    if (entryPoint === undefined) return [];
    const room = basename(entryPoint, '.js');
    const apart = Object.keys(APART).find((name) => APART[name].includes(room));
    const module = apart ?? 'house';
    const path = inRoot(entryPoint);
    return [{ room, path, names: exports, owners: ownersOf(path), module }];
  });
}

/** Names that a door passes on from another one, which gives them away already. */
function ownersOf(path) {
  const owners = new Map();
  for (const { path: owner, names, passesOn } of importsOf(path)) {
    const isDoor = dirname(owner) === inRoot(ROOMS);
    for (const { name, local } of names) {
      if (passesOn && isDoor && name === local) {
        owners.set(name, ownersOf(owner).get(name) ?? owner);
      }
    }
  }
  return owners;
}

/** The name by which the module of a room gives away what its door does. */
const inModule = ({ path, owners }, name) => unique(owners.get(name) ?? path, name);

const spelt = (name) => (/^[\w$]+$/.test(name) ? name : JSON.stringify(name));

/** A module of some rooms: every name that a door gives away, by a name that no two doors share. */
async function bundleModule(esbuild, module, rooms, plugin) {
  const own = rooms.filter((room) => room.module === module);
  const lines = own.map(({ path, names, owners }) => {
    const list = names
      .filter((name) => !owners.has(name))
      .map((name) => `${spelt(name)} as ${unique(path, name)}`);
    return `export { ${list.join(', ')} } from ${JSON.stringify(path)};`;
  });
  const { outputFiles } = await esbuild.build({
    stdin: { contents: lines.join('\n'), resolveDir: inRoot(ROOMS), sourcefile: `${module}.js` },
    outfile: inRoot('dist', `${module}.js`),
    absWorkingDir: inRoot(),
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    sourcemap: 'external',
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 100,
    plugins: [plugin],
    logLevel: 'error',
  });
  const textOf = (end) => outputFiles.find(({ path }) => path.endsWith(end)).text;
  const { code, map } = await shrink({ code: textOf('.js'), map: textOf('.map') });
  return { file: `${module}.js`, code: seenByBundlers(code), map };
}

const filesOf = (names) =>
  filesUnder(ROOMS).filter((path) => path.endsWith('.js') && names.includes(roomOf(path)));
const roomOf = (path) => path.split('/')[2].replace(/\.js$/, '');

/** Doors of other modules, for what is bundled apart from them: names of those modules. */
function throughDoors(rooms, module, files) {
  /* Only what is taken is listed: of a list of re-exports esbuild leaves nothing out. */
  const all = files.flatMap((file) => importsOf(inRoot(file)));
  const taken = (path) => {
    const names = all.filter((one) => one.path === path).flatMap((one) => one.names);
    return [...new Set(names.map(({ name }) => name))];
  };
  return {
    name: 'through-doors',
    setup(build) {
      build.onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir, namespace }) => {
        if (namespace === 'door') return { path, external: true };
        const target = join(resolveDir, path);
        const isElsewhere = rooms.some((room) => room.path === target && room.module !== module);
        // From the root on: names of parts are made of their content and of this.
        return isElsewhere ? { path: relative(root, target), namespace: 'door' } : undefined;
      });
      build.onLoad({ filter: /./, namespace: 'door' }, ({ path }) => {
        const target = inRoot(path);
        const room = rooms.find((one) => one.path === target);
        const contents = doorOf({ ...room, names: taken(target) });
        return { contents, resolveDir: inRoot('dist') };
      });
    },
  };
}

/** The names of a room, out of its module. */
function doorOf(room, folder = './') {
  const { names, module } = room;
  if (names.length === 0) return 'export {};\n';
  const list = names.map((name) => `${inModule(room, name)} as ${spelt(name)}`);
  return `export { ${list.join(', ')} } from '${folder}${module}.js';\n`;
}

function writeModule({ file, code, map }) {
  writeFileSync(inRoot('dist', file), `${code}\n//# sourceMappingURL=${file}.map\n`);
  writeFileSync(inRoot('dist', `${file}.map`), map);
}

/**
 * The command: what is asked for seldom stands in parts of its own, loaded when it is; all that the
 * library has comes from its doors. So the library's users load nothing of the command.
 */
async function bundleCommand(esbuild, rooms) {
  const { outputFiles } = await esbuild.build({
    entryPoints: [inRoot(COMMAND)],
    absWorkingDir: inRoot(),
    outdir: inRoot('dist'),
    chunkNames: 'cli-[name]-[hash]',
    bundle: true,
    splitting: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: true,
    lineLimit: 100,
    plugins: [throughDoors(rooms, 'cli', filesOf(['cli']))],
    logLevel: 'error',
  });
  for (const { path, text } of outputFiles) {
    writeFileSync(path, text);
    if (basename(path) === 'cli.js') chmodSync(path, 0o755);
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

/* Named by what is in them: those of another build would stay. */
const isNamedByContent = (path) => /^dist\/(cli|part)-/.test(path);

export async function bundle() {
  if (!isStale()) return;
  const esbuild = createRequire(import.meta.url)('esbuild');
  const rooms = await roomsOf(esbuild);
  const { parts, plugin } = await laterParts(esbuild, shrink);
  const made = await Promise.all([
    ...Object.keys(APART).map((name) =>
      bundleModule(esbuild, name, rooms, throughDoors(rooms, name, filesOf(APART[name]))),
    ),
    bundleModule(esbuild, 'house', rooms, plugin),
  ]);
  mkdirSync(inRoot('dist'), { recursive: true });
  mkdirSync(inRoot(DOORS), { recursive: true });
  for (const path of filesUnder('dist').filter(isNamedByContent)) rmSync(inRoot(path));
  await bundleCommand(esbuild, rooms);
  bundleReport(esbuild);
  const open = openDoors();
  for (const room of rooms) {
    const file = `${room.room}.js`;
    if (open.includes(room.room)) writeFileSync(inRoot('dist', file), doorOf(room));
    writeFileSync(inRoot(DOORS, file), doorOf(room, '../../dist/'));
  }
  for (const module of [...parts, ...made]) writeModule(module);
}

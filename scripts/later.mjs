// Which files of a room are loaded when the room is first asked for, and how they are reached.
//
// An import reads all of the module behind the doors before it runs a line of it: 14 of 25 ms, for
// rooms that a program may never enter (bench/results/import.md). So of some rooms only the door
// stands in that module, with the classes that are exported; the private folder becomes a part of
// its own, dist/part-<room>-<hash>.cjs, which the first call that needs it requires. By `require`,
// since functions that answer at once (`copyFileSync`) cannot wait for an import.
//
// A part is a function of what it takes from the house, so that it has no instance of anything of
// its own, whichever way the library is loaded. The hash keeps parts of another version apart,
// where a package is renewed under a process that runs.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { filesUnder, inRoot } from './tools.mjs';

const ROOMS = inRoot('build/src');

/**
 * The rooms, and which of their files if not all. Not what every read and write goes through, where
 * one more call would be felt.
 */
const LATER = {
  copy: /./,
  directory: /./,
  file: /\/stream-/,
  image: /./,
  journal: /./,
  mapped: /./,
  probe: /./,
  replace: /./,
  update: /./,
};

/*
 * An ES module has no `require`, but where esbuild puts the library into a bundle it takes the file
 * along that a call of it names. It comes second: `node -e` and its like have one for all modules,
 * which looks from the working directory. It would rename the call here, so that the name is given last.
 */
const BUNDLED = 'requireOfBundlers';

/** Names the call of a part as bundlers know it. */
export const seenByBundlers = (code) => code.replaceAll(BUNDLED, 'require');

/** A name of its own for each name of each file. */
export const unique = (path, name) =>
  `${relative(ROOMS, path).replace(/\.js$/, '')}$${name}`.replace(/[^\w$]/g, '_');

/** The parts, and for the house a plugin that puts calls of them in place of their files. */
export async function laterParts(esbuild, finish) {
  const waits = Object.keys(LATER).map((room) => waiting(room));
  const parts = [];
  for (const wait of waits) {
    const part = await finish(await bundlePart(esbuild, wait));
    const hash = createHash('sha256').update(part.code).digest('hex').slice(0, 8);
    wait.file = `part-${wait.room}-${hash}.cjs`;
    parts.push({ ...part, file: wait.file });
  }
  return { parts, plugin: standIns(waits) };
}

/** The files of a room's folder that can wait, and the names by which the rest reaches them. */
function waiting(room) {
  const cold = new Set(
    filesUnder(`build/src/${room}`)
      .filter((path) => path.endsWith('.js') && LATER[room].test(path))
      .map((path) => inRoot(path)),
  );
  const reached = [
    join(ROOMS, `${room}.js`),
    ...filesUnder(`build/src/${room}`)
      .map((path) => inRoot(path))
      .filter((path) => path.endsWith('.js') && !cold.has(path)),
  ];
  for (const from of reached) {
    for (const taken of importsOf(from)) {
      if (!cold.has(taken.path) || canWait(from, taken)) continue;
      cold.delete(taken.path);
      reached.push(taken.path);
    }
  }
  const seam = new Map();
  for (const from of reached) {
    for (const { path, names } of importsOf(from)) {
      if (!cold.has(path)) continue;
      for (const { name } of names) seam.set(unique(path, name), { path, name });
    }
  }
  const needed = new Map();
  for (const from of cold) {
    for (const { path, names } of importsOf(from)) {
      if (cold.has(path)) continue;
      for (const { name } of names) needed.set(unique(path, name), { path, name });
    }
  }
  return { room, cold, seam, needed };
}

/** What a compiled file takes from others of the project. */
export function importsOf(path) {
  const found = readFileSync(path, 'utf8').matchAll(
    /^(import|export) \{([^}]*)\} from '(\.[^']+)';/gm,
  );
  return [...found].map(([, word, list, target]) => ({
    path: join(dirname(path), target),
    passesOn: word === 'export',
    names: list
      .split(',')
      .filter((part) => part.trim() !== '')
      .map((part) => part.trim().split(' as '))
      .map(([name, local = name]) => ({ name, local })),
  }));
}

/* A call can stand for a function, and for a class that is only made there. */
function canWait(from, { path, names, passesOn }) {
  const body = readFileSync(from, 'utf8')
    .replace(/^import [^;]*;$/gm, '')
    .replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
  return (
    !passesOn &&
    names.every(
      ({ name, local }) =>
        isFunction(path, name) || !new RegExp(`(?<!\\bnew )(?<![\\w$.#])${local}\\b`).test(body),
    )
  );
}

const isFunction = (path, name) =>
  new RegExp(`^export (async )?function\\*? ${name}\\b`, 'm').test(readFileSync(path, 'utf8'));

function standIns(waits) {
  const waitOf = (path) => waits.find(({ cold }) => cold.has(path));
  return {
    name: 'stand-ins',
    setup(build) {
      build.onResolve({ filter: /^\.\.?\// }, ({ path, importer, resolveDir, namespace }) => {
        const target = join(resolveDir, path);
        const wait = namespace === 'file' ? waitOf(target) : undefined;
        return wait === undefined || wait.cold.has(importer)
          ? undefined
          : { path: target, namespace: 'calls-of' };
      });
      build.onResolve({ filter: /^part:/ }, ({ path }) => ({ path, namespace: 'part' }));
      build.onLoad({ filter: /./, namespace: 'calls-of' }, ({ path }) => {
        const { room, seam } = waitOf(path);
        const calls = [...seam].filter(([, place]) => place.path === path);
        const names = calls.map(([own, { name }]) => `${own} as ${name}`);
        return { contents: `export { ${names} } from 'part:${room}';`, resolveDir: ROOMS };
      });
      build.onLoad({ filter: /./, namespace: 'part' }, ({ path }) => {
        const wait = waits.find(({ room }) => path === `part:${room}`);
        return { contents: callsOf(wait), resolveDir: ROOMS };
      });
    },
  };
}

/* What stands in the house for a part: for each name a call of the real one. */
function callsOf({ seam, needed, file }) {
  const taken = [...needed].map(
    ([own, { path, name }]) => `import { ${name} as ${own} } from ${JSON.stringify(path)};`,
  );
  const calls = [...seam].map(([own, { path, name }]) => {
    const real = isFunction(path, name) ? `part().${own}` : `new (part().${own})`;
    return `export function ${own}(...given) { return ${real}(...given); }`;
  });
  return `${taken.join('\n')}
    import { createRequire } from 'node:module';
    let loaded;
    function part() {
      if (loaded !== undefined) return loaded;
      let make;
      try {
        make = createRequire(import.meta.url)('./${file}');
      } catch (error) {
        if (typeof ${BUNDLED} !== 'function') throw error;
        make = ${BUNDLED}('./${file}');
      }
      loaded = make([${[...needed.keys()]}]);
      return loaded;
    }
    ${calls.join('\n')}`;
}

/** The waiting files of a room as a function of what they take from the house. */
async function bundlePart(esbuild, { room, cold, seam, needed }) {
  const lines = [...seam].map(
    ([own, { path, name }]) => `import { ${name} as ${own} } from ${JSON.stringify(path)};`,
  );
  const house = {
    name: 'house',
    setup(build) {
      build.onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
        const target = join(resolveDir, path);
        return cold.has(target) ? undefined : { path: target, namespace: 'house' };
      });
      build.onLoad({ filter: /./, namespace: 'house' }, ({ path: from }) => {
        const taken = [...needed].filter(([, { path }]) => path === from);
        const order = [...needed.keys()];
        const names = taken.map(
          ([own, { name }]) => `export const ${name} = house[${order.indexOf(own)}];`,
        );
        return { contents: names.join('\n') };
      });
    },
  };
  const { outputFiles } = await esbuild.build({
    stdin: {
      contents: `${lines.join('\n')}\npart = { ${[...seam.keys()]} };`,
      resolveDir: ROOMS,
      sourcefile: `part-${room}.js`,
    },
    bundle: true,
    write: false,
    outfile: inRoot('dist', `part-${room}.cjs`),
    absWorkingDir: inRoot(),
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    banner: { js: "'use strict';module.exports=(house)=>{let part;" },
    footer: { js: 'return part};' },
    sourcemap: 'external',
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 100,
    plugins: [house],
    logLevel: 'error',
  });
  const textOf = (end) => outputFiles.find(({ path }) => path.endsWith(end)).text;
  return { code: textOf('.cjs'), map: textOf('.map') };
}

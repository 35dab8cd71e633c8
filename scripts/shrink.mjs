// Shortens the names that stand inside functions of the module behind the doors, when it is packed:
// a seventh less to download. Functions, classes and members keep theirs, so that a trace says where
// it was. The source map follows.

import { readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { inRoot } from './tools.mjs';

const HOUSE = 'dist/house.js';
const MARK = '/* holdfast: names inside functions are shortened */\n';

export async function shrinkHouse() {
  const text = readFileSync(inRoot(HOUSE), 'utf8');
  if (text.startsWith(MARK)) return;
  const { minify } = await import('terser');
  const { code, map } = await minify(text, {
    ecma: 2022,
    compress: false,
    keep_classnames: true,
    keep_fnames: true,
    mangle: { toplevel: false, keep_classnames: true, keep_fnames: true },
    format: { max_line_len: 100, preamble: MARK.trim() },
    sourceMap: {
      content: readFileSync(inRoot(`${HOUSE}.map`), 'utf8'),
      url: 'house.js.map',
      includeSources: true,
    },
  });
  replace(HOUSE, code);
  replace(`${HOUSE}.map`, map);
}

/* Another process may be reading it; and the build goes by times. */
function replace(path, text) {
  const { atime, mtime } = statSync(inRoot(path));
  const temporary = inRoot(`${path}.${process.pid}.tmp`);
  writeFileSync(temporary, text);
  utimesSync(temporary, atime, mtime);
  renameSync(temporary, inRoot(path));
}

// Writes the CommonJS entries that the exports map of package.json names.
//
// An entry holds no code of its own: it requires the ES module beside it (Node 20.19 and later
// can), so both worlds share one IoError and one set of engines. A module that must be *called*
// when required says so in Node's own way: `export { name as 'module.exports' }`.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { changedMs, inRoot } from './tools.mjs';

export function writeCommonJs() {
  const { exports } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
  for (const entry of Object.values(exports)) {
    if (entry.require === undefined) continue;
    if (changedMs(entry.import.default) === Number.NEGATIVE_INFINITY) continue;
    const module = JSON.stringify(`./${basename(entry.import.default)}`);
    writeIfChanged(
      entry.require.default,
      `'use strict';\nconst whole = require(${module});\n` +
        "module.exports = whole['module.exports'] ?? whole;\n",
    );
    writeIfChanged(entry.require.types, `import whole = require(${module});\nexport = whole;\n`);
  }
}

function writeIfChanged(path, text) {
  let old;
  try {
    old = readFileSync(inRoot(path), 'utf8');
  } catch {}
  if (old !== text) writeFileSync(inRoot(path), text);
}

// The whole gate: format and lint, types, the addon without a warning, every test.
//
//   npm run check [-- --no-tests]

import { buildAddon } from './addon.mjs';
import { compileTypeScript, installPackages } from './setup.mjs';
import { test } from './test.mjs';
import { fail, runTool } from './tools.mjs';

installPackages();
if (runTool('@biomejs/biome/bin/biome', ['ci', '--error-on-warnings', '.']) !== 0) {
  fail('format or lint: see above; `npm run format` mends what can be mended');
}
await compileTypeScript();
buildAddon({ require: true });
if (!process.argv.includes('--no-tests')) process.exitCode = await test([]);

// Sets up, then runs a compiled program with the arguments given: `run.mjs demo/demo.js --help`.

import { existsSync } from 'node:fs';
import { setup } from './setup.mjs';
import { fail, inRoot, run } from './tools.mjs';

const [program, ...args] = process.argv.slice(2);
await setup();
const compiled = inRoot('build', program);
if (!existsSync(compiled)) fail(`there is no ${program.replace(/\.js$/, '.ts')} yet`);
process.exitCode = run(process.execPath, [compiled, ...args], { cwd: process.cwd() });

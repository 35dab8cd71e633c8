// Sets up and runs the tests.
//
//   npm test                         all of them
//   npm test -- replace              the files whose name contains "replace"
//   npm test -- "resumes after"      no such file: the tests whose name matches
//   npm test -- file --test-only     anything that begins with a dash goes to node

import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { addonPath } from './addon.mjs';
import { setup } from './setup.mjs';
import { fail, filesUnder, inRoot, isMain, run, say } from './tools.mjs';

/** The longest one file of tests may take; a test that needs less says so itself. */
const timeoutMs = 120_000;

export async function test(args) {
  const flags = args.filter((arg) => arg.startsWith('-'));
  const patterns = args.filter((arg) => !arg.startsWith('-'));
  const all = filesUnder('build/test').filter((path) => path.endsWith('.test.js'));
  const chosen = all.filter((path) => patterns.some((pattern) => path.includes(pattern)));
  if (all.length === 0) fail('there are no tests');
  if (chosen.length === 0) flags.push(...patterns.map((name) => `--test-name-pattern=${name}`));
  say(await engineLine());
  const files = chosen.length > 0 ? chosen : all;
  return run(process.execPath, [
    '--test',
    '--test-reporter=spec',
    `--test-timeout=${timeoutMs}`,
    // Much of a test is waiting, for a device or a time limit: one file more than processors.
    `--test-concurrency=${availableParallelism() + 1}`,
    ...flags,
    ...files,
  ]);
}

/** What these tests run on, in one line. */
async function engineLine() {
  const addon = existsSync(inRoot(addonPath)) ? addonPath : 'no addon';
  const { defaultEngine } = await import('holdfast');
  const { name, reason } = defaultEngine();
  return `node ${process.version}, ${addon}, engine ${name}: ${reason}`;
}

if (isMain(import.meta.url)) {
  await setup();
  process.exitCode = await test(process.argv.slice(2));
}

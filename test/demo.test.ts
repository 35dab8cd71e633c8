/** The demo is what a stranger runs first: it runs, it notices, it leaves nothing behind. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../demo/demo.js', import.meta.url));

interface Outcome {
  readonly status: number | null;
  readonly output: string;
  /** What the demo left in its working directory. */
  readonly left: readonly string[];
}

function runDemo(t: TestContext, args: readonly string[], engine?: string): Outcome {
  const home = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  t.after(() => rmSync(home, { recursive: true }));
  mkdirSync(join(home, 'files/deeper'), { recursive: true });
  mkdirSync(join(home, 'empty'));
  for (let index = 0; index < 40; index++) {
    writeFileSync(join(home, 'files/deeper', `${index}.txt`), `content ${index}\n`.repeat(index));
  }
  symlinkSync('deeper/1.txt', join(home, 'files/link'));
  const { INIT_CWD: _, ...env } = process.env;
  const forced = engine === undefined ? {} : { HOLDFAST_ENGINE: engine };
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: home,
    env: { ...env, ...forced },
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, output: stdout + stderr, left: readdirSync(home).sort() };
}

for (const engine of [undefined, 'portable']) {
  test(`demo verifies and survives kills on ${engine ?? 'the default engine'}`, (t) => {
    const { status, output, left } = runDemo(t, ['files', '--kills', '3'], engine);
    equal(status, 0, output);
    match(output, /40 files, .*1 left out/);
    match(output, /pwritev +1 /);
    match(output, /fsync +2 /);
    match(output, /40 of 40 files have their SHA-256/);
    match(output, /3 of 3 images whole/);
    if (engine !== undefined) match(output, /engine +portable, because it was asked for/);
    deepEqual(left, ['empty', 'files'], 'scratch files are left');
  });
}

test('demo ends with exit code 1 when one bit of the image is wrong', (t) => {
  const { status, output, left } = runDemo(t, ['files', '--corrupt', '--kills', '0']);
  equal(status, 1, output);
  match(output, /MISMATCH: /);
  deepEqual(left, ['empty', 'files'], 'scratch files are left');
});

test('demo says what is wrong with its arguments and ends with exit code 1', (t) => {
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [['absent'], /Cannot read .*absent: there is no such directory/],
    [['files/deeper/1.txt'], /it is not a directory/],
    [['empty'], /There is no regular file in .*empty/],
    [['--kills', 'many'], /--kills takes a whole number/],
  ];
  for (const [args, words] of wrong) {
    const { status, output } = runDemo(t, args);
    equal(status, 1, output);
    match(output, words);
  }
  const { status, output } = runDemo(t, [], 'steam');
  equal(status, 1, output);
  match(output, /^The "HOLDFAST_ENGINE" must be .*"steam"/m);
});

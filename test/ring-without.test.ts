/**
 * Older kernels lack parts of io_uring, and filters forbid some: each part turned off by itself
 * (HOLDFAST_RING_WITHOUT), what the contract of a file and a queue ask for comes to the same.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ringState } from '#holdfast/engine.js';
import { outputOf, runChild } from './support/child.js';

interface Told {
  readonly isThere: boolean;
  readonly reason: string;
}

const plain = ['env', '-u', 'HOLDFAST_ENGINE', '-u', 'NODE_TEST_CONTEXT'];
const here = ringState();
const skip = here.isThere ? false : here.reason;
const features = ['no-sqarray', 'registered-files', 'registered-buffers', 'registered-ring'];
const others = ['restrictions', 'large-completion-queue', 'loop'];
/* By the names of their system calls, as in `stats()`. */
const operations = ['read', 'write', 'fsync', 'fdatasync', 'close', 'ftruncate', 'fallocate'];
const names = ['nop', 'open', 'stat', 'rename', 'unlink', 'link'];

async function passes(without: string): Promise<Told> {
  const { code, stdout, stderr } = await runChild({
    module: new URL('./ring/features.js', import.meta.url),
    nodeArgs: ['--test-reporter=tap', '--test-name-pattern', '/\\(ring(, async)?\\)/'],
    under: plain,
    env: { HOLDFAST_RING_WITHOUT: without },
    timeoutMs: 60_000,
  });
  const lines = stdout.split('\n');
  const failed = lines.filter((line) => /^ *not ok /.test(line));
  deepEqual([code, failed], [0, []], stderr);
  /* What the pattern leaves out counts as skipped too. */
  const skipped = lines.filter((line) => /# SKIP (?!test name does not match)/.test(line));
  deepEqual(skipped, []);
  const passed = Number(/^# pass (\d+)/m.exec(stdout)?.[1]);
  ok(passed > 30, `${passed} passed`);
  return JSON.parse(stderr.trim().split('\n').at(-1) as string) as Told;
}

const operationsIn = (reason: string): number => Number(/(\d+) operations/.exec(reason)?.[1]);

describe('a ring with parts turned off', { concurrency: 2 }, () => {
  for (const name of [...features, ...others, 'defer-taskrun']) {
    test(`a ring without ${name} does the same`, { skip, timeout: 90_000 }, async () => {
      const { isThere, reason } = await passes(name);
      ok(isThere, reason);
      if (name === 'loop') match(reason, /a thread hears of it/);
      else match(reason, new RegExp(`without .*${name}`));
      if (name === 'large-completion-queue') match(reason, / 512 at once/);
    });
  }

  for (const without of [...operations, names.join(',')]) {
    test(`a ring without ${without} does the same`, { skip, timeout: 90_000 }, async () => {
      const { isThere, reason } = await passes(without);
      ok(isThere, reason);
      equal(operationsIn(reason), operationsIn(here.reason) - without.split(',').length);
    });
  }

  test('a ring that can only do nothing does the same', { skip, timeout: 90_000 }, async () => {
    const all = [...operations, ...names, ...features, ...others, 'defer-taskrun'];
    const { isThere, reason } = await passes(all.join(','));
    ok(isThere, reason);
    equal(operationsIn(reason), operationsIn(here.reason) - operations.length - names.length);
  });
});

async function chosen(without: string): Promise<string[]> {
  const source = `
    import { CompletionQueue, defaultEngine } from 'holdfast';
    const { name, reason } = defaultEngine();
    let named;
    try {
      named = new CompletionQueue({ engine: 'ring' }).stats().engine;
    } catch (error) {
      named = error.message;
    }
    console.log(JSON.stringify([name, reason, named]));
  `;
  const env = { HOLDFAST_RING_WITHOUT: without };
  return JSON.parse(await outputOf({ source, under: plain, env })) as string[];
}

/* Rings of kernels before 6.1 have known bugs. */
test("'auto' takes no ring without DEFER_TASKRUN; 'ring' does", { skip }, async () => {
  const [name, reason, named] = await chosen('defer-taskrun');
  equal(name, 'pool');
  match(reason ?? '', /no DEFER_TASKRUN/);
  equal(named, 'ring');
});

test('a ring that is turned off is not to be had, and says so', { skip }, async () => {
  const [name, reason, named] = await chosen('everything');
  equal(name, 'pool');
  match(reason ?? '', /turned off by HOLDFAST_RING_WITHOUT/);
  match(named ?? '', /turned off by HOLDFAST_RING_WITHOUT/);
});

test('without being told otherwise, the ring has all there is here', { skip }, async () => {
  ok(!here.reason.includes('without'), here.reason);
  const [name] = await chosen('');
  equal(name, 'ring');
});

/**
 * Where io_uring is not to be had, the pool does the work and everything that is asked says why.
 *
 * kernel.io_uring_disabled is not touched: io_uring_setup answers EPERM then, as the filter does.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ringState } from '#holdfast/engine.js';
import {
  asNobody,
  nobodyRefusal,
  otherRings,
  type RingCall,
  refuserRefusal,
  refusing,
  ringCalls,
} from './ring/launchers.js';
import { hasTool, outputOf, runChild } from './support/child.js';
import { projectRoot, scratch } from './support/scratch.js';

const here = ringState();
const noFilter = refuserRefusal() ?? false;
/* Where all of it is refused already, one call more or less makes no difference. */
const noOne = here.isThere ? noFilter : here.reason;
const tracing = hasTool('strace') ? otherRings : 'strace is not installed';
const noTrace = here.isThere ? tracing : here.reason;
const noNobody = nobodyRefusal() ?? false;

/* Neither the engine nor the test runner that this process was told of. */
const plain = ['env', '-u', 'HOLDFAST_ENGINE', '-u', 'NODE_TEST_CONTEXT'];

const source = `
  import { CompletionQueue, openFile, probe } from 'holdfast';
  import { ringState } from '#holdfast/engine.js';
  const [directory] = process.argv.slice(-1);
  const file = await openFile(directory + '/file', { access: 'read-write', create: true });
  const queue = new CompletionQueue();
  const registered = new Uint8Array(1 << 20).fill(7);
  queue.registerBuffers([registered]);
  queue.writeFixed(file, 0, 0, 1, { link: true });
  queue.sync(file, 'data', 2);
  const ended = await queue.wait({ atLeast: 2 });
  const content = await file.readAll();
  const { engine, reason } = file.explain();
  const stats = queue.stats();
  let named;
  try {
    new CompletionQueue({ engine: 'ring' });
  } catch (error) {
    named = error.message;
  }
  const report = await probe(directory);
  const ring = ringState().reason;
  console.log(JSON.stringify({
    ended: ended.map(({ tag, status, bytes }) => [tag, status, bytes]),
    isWhole: Buffer.compare(content, registered) === 0,
    explained: [engine, reason],
    stats: [stats.engine, stats.reason, stats.registered],
    probed: JSON.stringify(report.engine),
    named,
    ring,
  }));
  await queue.close();
  await file.close();
`;

interface Told {
  readonly ended: unknown;
  readonly isWhole: boolean;
  readonly explained: [string, string];
  readonly stats: [string, string, string];
  readonly probed: string;
  readonly named?: string;
  readonly ring: string;
}

async function told(directory: string, under: readonly string[]): Promise<Told> {
  const output = await outputOf({ source, args: [directory], under: [...plain, ...under] });
  return JSON.parse(output) as Told;
}

const steps: Readonly<Record<RingCall, string>> = {
  setup: 'io_uring_setup',
  enter: 'io_uring_enter',
  register: 'io_uring_register(PROBE)',
};

describe('one call refused', { concurrency: 2 }, () => {
  for (const code of ['EPERM', 'ENOSYS'] as const) {
    for (const call of Object.keys(ringCalls) as RingCall[]) {
      test(`${call} answers ${code}: the pool works, and says so`, {
        skip: noOne || (call === 'enter' && otherRings),
      }, async (t) => {
        const come = await told(scratch(t), refusing(code, [call]));
        deepEqual(come.ended, [
          [1, 0, 1 << 20],
          [2, 0, 0],
        ]);
        ok(come.isWhole);
        const reason = `io_uring is not to be had: ${steps[call]} answers ${code}`;
        equal(come.explained[0], 'pool');
        equal(come.stats[0], 'pool');
        for (const words of [come.explained[1], come.stats[1], come.probed, come.named ?? '']) {
          ok(words.includes(reason), words);
        }
        if (code === 'EPERM')
          match(come.explained[1], /a seccomp filter or kernel.io_uring_disabled/);
      });
    }
  }
});

/* What kernels before 6.6 and 6.1 answer, and what 64 KiB of RLIMIT_MEMLOCK did before 5.12. */
const olds: Readonly<Record<string, { inject: string; words: RegExp; engine: string }>> = {
  'of a kernel before 6.6': {
    inject: 'error=EINVAL:when=1',
    words: /, without no-sqarray$/,
    engine: 'ring',
  },
  'of a kernel before 6.1': {
    inject: 'error=EINVAL:when=1..2',
    words: /, without defer-taskrun and no-sqarray$/,
    engine: 'pool',
  },
  'with little memory': {
    inject: 'error=ENOMEM:when=1',
    words: / 512 at once, without large-completion-queue$/,
    engine: 'ring',
  },
};

for (const [name, { inject, words, engine }] of Object.entries(olds)) {
  test(`a ring ${name} does without what it has not`, { skip: noTrace }, async (t) => {
    const trace = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=io_uring_setup'];
    const under = [...trace, '-e', `inject=io_uring_setup:${inject}`];
    const come = await told(scratch(t), under);
    ok(come.isWhole);
    equal(come.explained[0], engine);
    equal(come.named, undefined, "'ring' can be asked for");
    match(come.ring, words);
  });
}

/* RLIMIT_MEMLOCK bounds registered buffers, on kernels before 5.12 the ring itself. */
test('a user who may lock 64 KiB has a ring, or is told why not', { skip: noNobody }, async (t) => {
  const directory = scratch(t);
  chmodSync(directory, 0o777);
  const come = await told(directory, asNobody);
  deepEqual(come.ended, [
    [1, 0, 1 << 20],
    [2, 0, 0],
  ]);
  ok(come.isWhole);
  equal(come.stats[0], come.explained[0]);
  if (come.stats[0] === 'ring') match(come.stats[2], /the kernel refused some buffers/);
  else match(come.explained[1], /io_uring is not to be had/);
  t.diagnostic(`engine ${come.stats[0]}, ${come.stats[2]}`);
});

interface Launcher {
  readonly skip: string | false;
  readonly under: () => readonly string[];
  readonly suites: readonly string[];
}

const launchers: Readonly<Record<string, Launcher>> = {
  'a filter that answers EPERM': {
    skip: noFilter,
    under: () => refusing('EPERM'),
    suites: ['contract', 'file-read', 'queue', 'replace'],
  },
  'a kernel that answers ENOSYS': {
    skip: noFilter,
    under: () => refusing('ENOSYS'),
    suites: ['contract', 'queue'],
  },
  'a user who may lock 64 KiB': {
    skip: noNobody,
    under: () => asNobody,
    suites: ['contract', 'file-read', 'queue'],
  },
};

describe('suites without a ring', { concurrency: 2 }, () => {
  for (const [name, { skip, under, suites }] of Object.entries(launchers)) {
    test(`suites pass under ${name}`, { skip, timeout: 100_000 }, async () => {
      const paths = suites.map((suite) => join(projectRoot, 'build', 'test', `${suite}.test.js`));
      const { code, stdout, stderr } = await runChild({
        module: paths[0] as string,
        args: paths.slice(1),
        nodeArgs: ['--test', '--test-reporter=tap'],
        under: [...plain, ...under()],
        timeoutMs: 90_000,
      });
      const failed = stdout.split('\n').filter((line) => /^ *not ok /.test(line));
      deepEqual([code, failed], [0, []], stderr);
      const passed = Number(/^# pass (\d+)/m.exec(stdout)?.[1]);
      ok(passed > 150, `${passed} passed`);
    });
  }
});

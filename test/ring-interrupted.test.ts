/**
 * io_uring_enter(2) refused at any of its turns: nothing is lost, nothing is done twice, each
 * operation is told of once.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EngineStats } from 'holdfast';
import { ringState } from '#holdfast/engine.js';
import { otherRings } from './ring/launchers.js';
import { hasTool, outputOf } from './support/child.js';
import { projectRoot, scratch } from './support/scratch.js';

interface Told {
  readonly told: number;
  readonly once: number;
  readonly wrong: readonly string[];
  readonly ring: NonNullable<EngineStats['ring']>;
}

const here = ringState();
const noTrace = hasTool('strace') ? otherRings : 'strace is not installed';
const skip = here.isThere ? noTrace : here.reason;

async function work(directory: string, faults: readonly string[]): Promise<Told> {
  const injected = faults.flatMap((fault) => ['-e', `inject=io_uring_enter:${fault}`]);
  const output = await outputOf({
    module: join(projectRoot, 'build', 'test', 'ring', 'interrupted.js'),
    args: [directory],
    under: ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=io_uring_enter', ...injected],
    timeoutMs: 40_000,
  });
  return JSON.parse(output) as Told;
}

/* The first call is the ring's birth. */
const turns: Readonly<Record<string, string>> = {
  'every other time': 'when=3+2',
  'every third time': 'when=4+3',
  'six times in a row': 'when=9..14',
};

for (const code of ['EINTR', 'EAGAIN', 'EBUSY']) {
  for (const [name, when] of Object.entries(turns)) {
    test(`io_uring_enter answers ${code} ${name}`, { skip, timeout: 60_000 }, async (t) => {
      const { told, once, wrong, ring } = await work(scratch(t), [`error=${code}:${when}`]);
      deepEqual([told, once, wrong], [480, 480, []]);
      deepEqual(ring.refusals, {}, 'all of it was taken in the end');
    });
  }
}

/*
 * What the kernel will not take is withdrawn, and the pool does it. A wait on the calling thread
 * may use up all the refusals; then there is another run.
 */
test('io_uring_enter answers EBUSY for long: threads do it', {
  skip,
  timeout: 90_000,
}, async (t) => {
  let withdrawn = 0;
  for (let run = 0; run < 6 && withdrawn === 0; run++) {
    const { told, once, wrong, ring } = await work(scratch(t), ['error=EBUSY:when=9..200']);
    deepEqual([told, once, wrong], [480, 480, []]);
    equal(ring.wokenBy, 'loop');
    const refused = Object.keys(ring.refusals).filter((what) => what.endsWith(': not taken'));
    withdrawn = refused.length;
  }
  ok(withdrawn > 0, 'six runs in which nothing was withdrawn');
});

test('io_uring_enter answers what it likes: the loop hears all the same', { skip }, async (t) => {
  const faults = ['error=EBUSY:when=5..60+4'];
  const { told, once, wrong } = await work(scratch(t), faults);
  deepEqual([told, once, wrong], [480, 480, []]);
});

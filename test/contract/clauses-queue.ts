/** What a queue's completions say on every engine, waited for by either face. */
import { type Completion, CompletionQueue, IoError, Status } from 'holdfast';
import { cutEvery, patterned } from '../file/bytes.js';
import type { Clause, Stage } from './suite.js';

/** Everything outstanding, as [tag, status, bytes, code]. */
async function told(stage: Stage, queue: CompletionQueue): Promise<unknown[]> {
  const atLeast = queue.outstanding;
  const all =
    stage.doors.face === 'sync' ? queue.waitSync({ atLeast }) : await queue.wait({ atLeast });
  const line = ({ tag, status, bytes, error }: Completion): unknown[] =>
    error === undefined ? [tag, status, bytes] : [tag, status, bytes, error.code];
  return all.map(line).sort((one, two) => Number(one[0]) - Number(two[0]));
}

function refusalOf(work: () => void): string {
  try {
    work();
  } catch (error) {
    if (error instanceof IoError) return `${error.code} ${error.kind}`;
  }
  return 'none';
}

async function queues(stage: Stage): Promise<unknown> {
  const queue = new CompletionQueue({ engine: stage.engine, depth: 8 });
  const file = await stage.open(patterned(100));
  const target = new Uint8Array(150);
  queue.read(file, target, 50, 1);
  queue.write(file, cutEvery(patterned(40, 100), 7), 100, 2n, { drain: true });
  queue.nop(3);
  queue.unlink(stage.path('absent'), 4);
  queue.open(stage.path('none/file'), {}, 5);
  stage.told.push(await told(stage, queue), queue.outstanding);
  queue.read(file, target, 0, 6);
  stage.told.push(await told(stage, queue));
  stage.told.push(Buffer.compare(target.subarray(0, 140), patterned(140)));
  await queue.close();
  return stage.told;
}

async function chains(stage: Stage): Promise<unknown> {
  const queue = new CompletionQueue({ engine: stage.engine });
  const file = await stage.open(patterned(10));
  const link = { link: true };
  queue.write(file, patterned(10), 10, 1, link);
  queue.sync(file, 'data', 2, link);
  queue.rename(stage.path('file'), stage.path('other'), 3, link);
  queue.read(file, new Uint8Array(50), 0, 4, link);
  queue.unlink(stage.path('other'), 5);
  queue.write(file, patterned(5), null, 6, { drain: true });
  queue.read(file, new Uint8Array(5), null, 7);
  stage.told.push(await told(stage, queue), file.position, stage.place.names());
  await queue.close();
  return stage.told;
}

async function ends(stage: Stage): Promise<unknown> {
  const queue = new CompletionQueue({ engine: stage.engine, depth: 2 });
  const file = await stage.open(patterned(10));
  queue.write(file, patterned(10), 10, 1);
  queue.sync(file, 'full', 2);
  stage.told.push(
    refusalOf(() => queue.nop(3)),
    queue.cancel(1),
    queue.cancel(9),
  );
  stage.told.push(await told(stage, queue), stage.place.content('file')?.length);
  queue.nop(4);
  const closing = queue.close({ cancel: true });
  stage.told.push(refusalOf(() => queue.nop(5)));
  await closing;
  stage.told.push(await told(stage, queue), await told(stage, queue));
  return stage.told;
}

const { Ok, NotFound, Cancelled } = Status;

export const queueClauses: readonly Clause[] = [
  {
    name: 'queue: each operation completes with its tag, status and bytes',
    body: queues,
    comesTo: [
      [
        [1, Ok, 50],
        [2n, Ok, 40],
        [3, Ok, 0],
        [4, NotFound, 0, 'ENOENT'],
        [5, NotFound, 0, 'ENOENT'],
      ],
      0,
      [[6, Ok, 140]],
      0,
    ],
  },
  {
    name: 'queue: a chain stops at a short read, a drain waits, the position goes on',
    body: chains,
    comesTo: [
      [
        [1, Ok, 10],
        [2, Ok, 0],
        [3, Ok, 0],
        [4, Ok, 20],
        [5, Cancelled, 0, 'ECANCELED'],
        [6, Ok, 5],
        [7, Ok, 5],
      ],
      10,
      ['other'],
    ],
  },
  {
    name: 'queue: full, cancelled, closed',
    body: ends,
    comesTo: [
      'EAGAIN busy',
      1,
      0,
      [
        [1, Cancelled, 0, 'ECANCELED'],
        [2, Ok, 0],
      ],
      10,
      'EBADF closed',
      [[4, Cancelled, 0, 'ECANCELED']],
      [],
    ],
  },
];

/** Reads and writes through the ring by every way up; prints how often each was told of. */
import { join } from 'node:path';
import { type Completion, CompletionQueue, type OpenFile, openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';

const COUNT = 240;
const BYTES = 4096;
const DEPTH = 32;

const [directory = ''] = process.argv.slice(-1);
const engine = engineNamed('ring');
const queue = new CompletionQueue({ engine: 'ring', depth: DEPTH });
const told = new Map<number, number>();
const wrong: string[] = [];

const blockOf = (index: number): Uint8Array => new Uint8Array(BYTES).fill(index % 251);

function tell({ tag, status, bytes }: Completion, expected: number): void {
  const key = Number(tag);
  told.set(key, (told.get(key) ?? 0) + 1);
  if (status !== 0 || bytes !== expected) wrong.push(`${key}: status ${status}, ${bytes} bytes`);
}

/* By turns: the loop, polling, the calling thread. */
async function retrieve(round: number): Promise<Completion[]> {
  if (round % 3 === 0) return queue.wait();
  if (round % 3 === 1) return queue.waitSync();
  await new Promise((resolve) => setImmediate(resolve));
  const out: Completion[] = [];
  return out.slice(0, queue.poll(out));
}

async function through(push: (index: number) => number): Promise<void> {
  const expected = new Map<number, number>();
  let next = 0;
  for (let round = 0; next < COUNT || queue.outstanding > 0; round++) {
    while (next < COUNT && queue.outstanding + 1 < queue.capacity) {
      expected.set(next, push(next));
      next++;
    }
    for (const one of await retrieve(round)) tell(one, expected.get(Number(one.tag) % 10_000) ?? 0);
  }
}

async function work(file: OpenFile): Promise<void> {
  await through((index) => {
    queue.write(file, blockOf(index), index * BYTES, index, { link: index % 5 === 0 });
    return BYTES;
  });
  const targets = Array.from({ length: COUNT }, () => new Uint8Array(BYTES));
  await through((index) => {
    queue.read(file, targets[index] as Uint8Array, index * BYTES, 10_000 + index);
    return BYTES;
  });
  const own = Array.from({ length: COUNT }, () => new Uint8Array(BYTES));
  for (let first = 0; first < COUNT; first += 48) {
    const some = own.slice(first, first + 48);
    await Promise.all(some.map((view, index) => file.readAt(view, (first + index) * BYTES)));
    await file.syncData();
  }
  for (const [index, view] of [...targets, ...own].entries()) {
    const isRight = Buffer.compare(view, blockOf(index % COUNT)) === 0;
    if (!isRight) wrong.push(`block ${index} has ${view[0]}`);
  }
}

const file = await openFile(join(directory, 'file'), {
  access: 'read-write',
  create: true,
  engine,
});
await work(file);
await queue.close();
await file.close();
const once = [...told.values()].filter((count) => count === 1).length;
const { ring } = engine.stats();
console.log(JSON.stringify({ told: told.size, once, wrong, ring }));

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { alignedBuffer, Completion, CompletionQueue, openFile } from 'holdfast';
import { makeFile } from './gather/writers.js';
import { looped } from './harness/measure.js';
import { scratchPlace } from './harness/places.js';
import type { Question, Subject } from './harness/question.js';
import { placesIn, readBytes } from './random/reads.js';

const fileBytes = 1024 * 1024;
const depth = 256;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

type Submit = (queue: CompletionQueue, tag: number) => void;

export const question: Question = {
  description: 'what the queue itself costs: time, garbage, and what many operations leave behind',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    const path = join(place.path, 'file');
    makeFile(path, fileBytes);
    const file = await openFile(path);
    const next = placesIn(fileBytes);
    const nop: Submit = (queue, tag) => queue.nop(tag);
    const readOne: Submit = (queue, tag) => queue.readFixed(file, tag, next(), tag);
    try {
      yield {
        name: 'an operation, submitted and retrieved',
        unit: 'ns',
        higherIsBetter: false,
        subjects: [
          timeOf('no-op, ring', 'ring', nop),
          timeOf('no-op, pool', 'pool', nop),
          timeOf('readFixed of 4 KiB, ring', 'ring', readOne),
          timeOf('readFixed of 4 KiB, pool', 'pool', readOne),
        ],
      };
      yield {
        name: 'garbage of a readFixed in steady state',
        unit: 'bytes',
        higherIsBetter: false,
        rounds: 3,
        subjects: [garbageOf('ring', readOne), garbageOf('pool', readOne)],
        goals: [{ subject: 'ring', valueAtMost: 1 }],
      };
      const count = surroundings.isQuick ? 1e6 : 1e7;
      yield {
        name: `what ${count} operations leave: memory of the process`,
        unit: 'MiB',
        higherIsBetter: false,
        rounds: 1,
        subjects: [grownBy('ring', count, readOne)],
        goals: [{ subject: 'ring', valueAtMost: 8 }],
      };
      surroundings.note(`descriptors open at the end: ${readdirSync('/proc/self/fd').length}`);
    } finally {
      await file.close();
      place.close();
    }
  },
};

function queueFor(engine: 'ring' | 'pool'): CompletionQueue {
  const queue = new CompletionQueue({ depth, engine });
  queue.registerBuffers(Array.from({ length: depth }, () => alignedBuffer(readBytes)));
  return queue;
}

function turn(queue: CompletionQueue, out: Completion[], count: number, submit: Submit): void {
  for (let tag = 0; tag < depth; tag++) submit(queue, tag);
  queue.submit();
  for (let retrieved = 0; retrieved < count; ) {
    const here = queue.poll(out);
    for (let index = 0; index < here; index++) {
      if (retrieved++ + depth < count) submit(queue, (out[index] as Completion).tag as number);
    }
    if (here > 0) queue.submit();
  }
}

function timeOf(name: string, engine: 'ring' | 'pool', submit: Submit): Subject {
  const queue = queueFor(engine);
  const out = Array.from({ length: depth }, () => new Completion());
  return looped({
    name,
    unit: 'ns',
    run: (count) => turn(queue, out, Math.max(count, depth), submit),
    close: () => queue.close(),
  });
}

/** Bytes of the heap for each operation: no collection may come between. */
function garbageOf(engine: 'ring' | 'pool', submit: Submit): Subject {
  const count = 50_000;
  const queue = queueFor(engine);
  const out = Array.from({ length: depth }, () => new Completion());
  return {
    name: engine,
    round() {
      for (let warm = 0; warm < 4; warm++) turn(queue, out, count, submit);
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      turn(queue, out, count, submit);
      return [Math.max(0, process.memoryUsage().heapUsed - before) / count];
    },
    close: () => queue.close(),
  };
}

function grownBy(engine: 'ring' | 'pool', count: number, submit: Submit): Subject {
  const queue = queueFor(engine);
  const out = Array.from({ length: depth }, () => new Completion());
  return {
    name: engine,
    round() {
      turn(queue, out, count / 10, submit);
      collectGarbage();
      const before = process.memoryUsage().rss;
      turn(queue, out, count, submit);
      collectGarbage();
      return [Math.max(0, process.memoryUsage().rss - before) / 1024 ** 2];
    },
    close: () => queue.close(),
  };
}

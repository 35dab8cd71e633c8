import { fstat } from 'node:fs';
import { drive, driveSync, engineNamed, type Steps } from '#holdfast/engine.js';
import { Code, Operation } from '#holdfast/platform.js';
import { looped } from './harness/measure.js';
import type { Question, Subject } from './harness/question.js';

export const question: Question = {
  description: 'what an operation costs that asks nothing of the system',
  async *cases({ note }) {
    note('fs.fstat is the cheapest call that Node sends to its threads, for comparison.');
    yield {
      name: 'one after the other',
      unit: 'ns',
      higherIsBetter: false,
      subjects: [
        nothing('ring', 1),
        nothing('pool', 1),
        nothing('portable', 1),
        status(1),
        onThisThread('pool'),
      ],
    };
    yield {
      name: '256 in flight',
      unit: 'ns',
      higherIsBetter: false,
      subjects: [nothing('ring', 256), nothing('pool', 256), nothing('portable', 256), status(256)],
    };
    yield {
      name: 'heap allocated by one operation, 256 in flight',
      unit: 'bytes',
      higherIsBetter: false,
      subjects: [heap('ring'), heap('pool'), heap('portable')],
    };
  },
};

function* asking(): Steps<void> {
  yield new Operation(Code.Nop);
}

async function keepInFlight(depth: number, count: number, one: () => Promise<unknown>) {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: depth }, lane));
}

function nothing(engineName: 'ring' | 'pool' | 'portable', depth: number): Subject {
  const engine = engineNamed(engineName);
  return looped({
    name: `no-op, ${engineName}`,
    unit: 'ns',
    run: (count) => keepInFlight(depth, count, () => drive(engine, asking())),
  });
}

function onThisThread(engineName: 'ring' | 'pool' | 'portable'): Subject {
  const engine = engineNamed(engineName);
  return looped({
    name: `no-op on the calling thread, ${engineName}`,
    unit: 'ns',
    run: (count) => {
      for (let index = 0; index < count; index++) driveSync(engine, asking());
    },
  });
}

function status(depth: number): Subject {
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => fstat(1, (error) => (error ? reject(error) : resolve())));
  return looped({
    name: 'fs.fstat',
    unit: 'ns',
    run: (count) => keepInFlight(depth, count, one),
  });
}

/* Between two collections nothing is freed, so what the heap grew by is what was allocated. */
function heap(engineName: 'ring' | 'pool' | 'portable'): Subject {
  const engine = engineNamed(engineName);
  const count = 2000;
  return {
    name: `no-op, ${engineName}`,
    async round() {
      await keepInFlight(256, count, () => drive(engine, asking()));
      const before = process.memoryUsage().heapUsed;
      await keepInFlight(256, count, () => drive(engine, asking()));
      const grown = process.memoryUsage().heapUsed - before;
      return grown > 0 ? [grown / count] : [];
    },
  };
}

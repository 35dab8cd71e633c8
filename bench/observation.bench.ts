import { openSync } from 'node:fs';
import { join } from 'node:path';
import { type Observation, observeOperations, openFile, recordLatency } from 'holdfast';
import { engineNamed, isQuickEngine, perform, performTransfer } from '#holdfast/engine.js';
import { Code, Operation } from '#holdfast/platform.js';
import { makeFile } from './gather/writers.js';
import { looped } from './harness/measure.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Question, Subject } from './harness/question.js';

const fileBytes = 4 * 1024 * 1024;
const depth = 32;

export const question: Question = {
  description: 'what it costs that operations can be observed: nobody listens, somebody does',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    try {
      const path = join(place.path, 'file');
      makeFile(path, fileBytes);
      yield asked(path);
      yield await readCase('readAtSync', path, (file, view) => file.readAtSync(view, 0));
      yield await readCase('readAt', path, (file, view) => file.readAt(view, 0));
    } finally {
      place.close();
    }
  },
};

const sliceCalls = 300;
const slicesPerRound = 400;

/* Slices shorter than the scheduler's, so that a busy machine disturbs few of them. */
function sliced(name: string, one: () => void): Subject {
  return {
    name,
    round() {
      const samples: number[] = [];
      for (let slice = 0; slice < slicesPerRound; slice++) {
        const begin = process.hrtime.bigint();
        for (let call = 0; call < sliceCalls; call++) one();
        samples.push(Number(process.hrtime.bigint() - begin) / sliceCalls);
      }
      return samples;
    },
  };
}

/* The question whether somebody listens, beside the same work without it. */
function asked(path: string): Case {
  const engine = engineNamed('pool');
  if (!isQuickEngine(engine)) throw new Error('the pool has a shortest way');
  const fd = openSync(path, 'r');
  const view = new Uint8Array(4096);
  const nop = new Operation(Code.Nop);
  const read = 'a read of 4 KiB, with the question';
  const straight = 'a read of 4 KiB, straight to the engine';
  return {
    name: 'nobody listens, on the calling thread',
    unit: 'ns',
    higherIsBetter: false,
    rounds: 15,
    subjects: [
      sliced(straight, () => void engine.performTransfer(Code.Read, fd, view, 0)),
      sliced(read, () => void performTransfer(engine, Code.Read, fd, view, 0)),
      sliced('nothing, straight to the engine', () => engine.perform(nop)),
      sliced('nothing, with the question', () => perform(engine, nop)),
    ],
    goals: [{ subject: read, against: straight, timeAtMost: 1.02 }],
  };
}

type Opened = Awaited<ReturnType<typeof openFile>>;
type Read = (file: Opened, view: Uint8Array) => number | Promise<number>;

async function readCase(name: string, path: string, read: Read): Promise<Case> {
  const file = await openFile(path);
  const listened = (label: string, listen: (() => Observation) | undefined): Subject => {
    const reads = looped({
      name: label,
      unit: 'ns',
      run: async (count) => {
        const view = new Uint8Array(4096);
        if (name === 'readAtSync') for (let index = 0; index < count; index++) read(file, view);
        else await inFlight(count, () => read(file, new Uint8Array(4096)));
      },
    });
    return {
      name: label,
      async round() {
        const observation = listen?.();
        try {
          return await reads.round();
        } finally {
          observation?.stop();
        }
      },
    };
  };
  const ignored = (): Observation => observeOperations({ ended: () => undefined });
  return {
    name: `${name}, 4 KiB from the page cache`,
    unit: 'ns',
    higherIsBetter: false,
    subjects: [
      listened('nobody listens', undefined),
      listened('a listener that does nothing', ignored),
      listened('recordLatency', recordLatency),
      { name: 'nobody listens any more', round: listened('', undefined).round },
    ],
  };
}

async function inFlight(count: number, one: () => unknown): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await one();
  };
  await Promise.all(Array.from({ length: depth }, lane));
}

import { join } from 'node:path';
import { type Observation, observeOperations, openFile, recordLatency } from 'holdfast';
import { engineNamed, perform, submit } from '#holdfast/engine.js';
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
      yield asked();
      yield await readCase('readAtSync', path, (file, view) => file.readAtSync(view, 0));
      yield await readCase('readAt', path, (file, view) => file.readAt(view, 0));
    } finally {
      place.close();
    }
  },
};

/* The cheapest work there is, with the question whether somebody listens and without it. */
function asked(): Case {
  const engine = engineNamed('portable');
  const nop = new Operation(Code.Nop);
  const each = (name: string, one: () => void): Subject =>
    looped({
      name,
      unit: 'ns',
      run: (count) => {
        for (let index = 0; index < count; index++) one();
      },
    });
  const settled = { settle: (): void => undefined };
  const handed = (name: string, one: () => void): Subject =>
    looped({
      name,
      unit: 'ns',
      run: async (count) => {
        for (let index = 0; index < count; index += depth) {
          for (let lane = 0; lane < depth; lane++) one();
          await undefined;
        }
      },
    });
  return {
    name: 'nothing done, nobody listens',
    unit: 'ns',
    higherIsBetter: false,
    rounds: 15,
    subjects: [
      each('on the calling thread, straight to the engine', () => engine.perform(nop)),
      each('on the calling thread, with the question', () => perform(engine, nop)),
      handed('handed over, straight to the engine', () => {
        engine.submit(new Operation(Code.Nop), settled);
      }),
      handed('handed over, with the question', () => {
        submit(engine, new Operation(Code.Nop), settled);
      }),
    ],
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

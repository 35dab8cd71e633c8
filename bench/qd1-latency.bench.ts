import { join } from 'node:path';
import { alignedBuffer, CompletionQueue, openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { makeFile } from './gather/writers.js';
import { timed } from './harness/measure.js';
import { scratchPlace } from './harness/places.js';
import type { Question, Subject } from './harness/question.js';
import { fioSubject } from './random/fio.js';
import { placesIn, readBytes } from './random/reads.js';

const fileBytes = 64 * 1024 * 1024;
/* Half a second a round, as fio's: what serves the disk is quicker once it has been kept busy. */
const count = 8000;
const limit = 'fio io_uring';

export const question: Question = {
  description: 'one direct read of 4 KiB at a time: its latency, and that of what waits for it',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    try {
      const path = join(place.path, 'file');
      makeFile(path, fileBytes);
      const choices = { name: limit, path, depth: 1, isDirect: true, batch: 1 } as const;
      yield {
        name: 'direct, 1 in flight',
        unit: 'us',
        higherIsBetter: false,
        statistics: ['median', 'p99'],
        subjects: [
          await waited('queue.waitSync, ring', path, true),
          await waited('await queue.wait, ring', path, false),
          await awaited('await file.readAt, ring', 'ring', path),
          await awaited('await file.readAt, pool', 'pool', path),
          await inPlace('file.readAtSync', path),
          fioSubject({ ...choices, tells: 'p50' }),
        ],
        goals: [
          { subject: 'queue.waitSync, ring', against: limit, timeAtMost: 1.1 },
          { subject: 'await file.readAt, ring', against: limit, timeAtMost: 1.1 },
        ],
      };
    } finally {
      place.close();
    }
  },
};

async function waited(name: string, path: string, isSync: boolean): Promise<Subject> {
  const file = await openFile(path, { direct: 'strict' });
  const queue = new CompletionQueue({ depth: 1, engine: 'ring' });
  queue.registerBuffers([alignedBuffer(readBytes)]);
  queue.registerFiles([file]);
  const next = placesIn(fileBytes);
  const run = (): unknown => {
    queue.readFixed(file, 0, next(), 0);
    return isSync ? queue.waitSync() : queue.wait();
  };
  const close = async (): Promise<void> => {
    await queue.close();
    await file.close();
  };
  return { ...timed({ name, unit: 'us', count, run }), close };
}

async function awaited(name: string, engine: 'ring' | 'pool', path: string): Promise<Subject> {
  const file = await openFile(path, { direct: 'strict', engine: engineNamed(engine) });
  const view = alignedBuffer(readBytes);
  const next = placesIn(fileBytes);
  const run = (): Promise<number> => file.readAt(view, next());
  return { ...timed({ name, unit: 'us', count, run }), close: () => file.close() };
}

async function inPlace(name: string, path: string): Promise<Subject> {
  const file = await openFile(path, { direct: 'strict' });
  const view = alignedBuffer(readBytes);
  const next = placesIn(fileBytes);
  const run = (): number => file.readAtSync(view, next());
  return { ...timed({ name, unit: 'us', count, run }), close: () => file.close() };
}

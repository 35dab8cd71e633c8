import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Journal } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import type { Question, Subject } from './harness/question.js';

export const question: Question = {
  description: 'what a journal costs the processor, by record, where no device is waited for',
  async *cases({ isQuick, note }) {
    const under = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
    note(`Files under ${under}; user and system time of the process, whatever else runs.`);
    const count = isQuick ? 200_000 : 1_000_000;
    const engine = engineNamed('auto');
    const place: Place = { under, count };
    yield {
      name: `on ${engine.name}`,
      unit: 'ns',
      higherIsBetter: false,
      rounds: 5,
      subjects: [
        subject('append 64 B by 512', place, (journal) => committed(journal, 512, count)),
        subject('append 64 B by 4096', place, (journal) => committed(journal, 4096, count)),
        subject('write 64 B, one sync', place, (journal) => written(journal, 64, count)),
        subject('write 4 KiB, one sync', { ...place, count: count / 16 }, (journal) =>
          written(journal, 4096, count / 16),
        ),
        subject('appendBatch, 10,000 of 150 B', place, (journal) => batched(journal, count)),
      ],
    };
  },
};

interface Place {
  readonly under: string;
  readonly count: number;
}

function subject(
  name: string,
  { under, count }: Place,
  work: (journal: Journal) => Promise<void>,
): Subject {
  return {
    name,
    round: async () => {
      const directory = mkdtempSync(join(under, 'holdfast-bench-'));
      const options = { segmentBytes: 2 ** 28, preallocate: false };
      const journal = await Journal.open(join(directory, 'journal'), options);
      const before = process.cpuUsage();
      await work(journal);
      const { user, system } = process.cpuUsage(before);
      await journal.close();
      rmSync(directory, { recursive: true });
      return [((user + system) * 1000) / count];
    },
  };
}

async function committed(journal: Journal, committers: number, count: number): Promise<void> {
  const record = Buffer.alloc(64, 7);
  let left = count;
  const commit = async (): Promise<void> => {
    while (left-- > 0) await journal.append(record);
  };
  await Promise.all(Array.from({ length: committers }, commit));
}

async function written(journal: Journal, bytes: number, count: number): Promise<void> {
  const record = Buffer.alloc(bytes, 7);
  let lsn = 0;
  for (let index = 0; index < count; index++) lsn = journal.write(record);
  await journal.syncThrough(lsn);
}

async function batched(journal: Journal, count: number): Promise<void> {
  const batch = Array.from({ length: 10_000 }, () => Buffer.alloc(150, 3));
  for (let done = 0; done < count; done += batch.length) await journal.appendBatch(batch);
}

import * as zlib from 'node:zlib';
import { crc32c } from '#holdfast/bytes.js';
import { checksum, loadAddon } from '#holdfast/platform.js';
import { looped } from './harness/measure.js';
import type { Question, Subject } from './harness/question.js';

export const question: Question = {
  description: 'what a checksum costs, by length',
  async *cases({ note }) {
    note('zlib.crc32 is Node’s own, of another polynomial.');
    for (const bytes of [16, 32, 64, 256, 4096, 1 << 20]) {
      yield {
        name: `${bytes} bytes`,
        unit: 'ns',
        higherIsBetter: false,
        subjects: subjectsOf(new Uint8Array(bytes).map((_, index) => index * 31)),
      };
    }
  },
};

function subjectsOf(view: Uint8Array): Subject[] {
  const { addon } = loadAddon();
  const ways: [name: string, sum: (view: Uint8Array) => number][] = [
    ['checksum', checksum],
    ['JavaScript', crc32c],
  ];
  if (addon !== undefined) ways.push(['addon', (bytes) => addon.crc32c(bytes, 0)]);
  if ('crc32' in zlib) ways.push(['zlib.crc32', zlib.crc32 as (view: Uint8Array) => number]);
  return ways.map(([name, sum]) =>
    looped({
      name,
      unit: 'ns',
      run: async (count) => {
        for (let turn = 0; turn < count; turn++) sum(view);
      },
    }),
  );
}

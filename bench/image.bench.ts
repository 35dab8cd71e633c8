import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { replaceFile } from 'holdfast';
import {
  encodeImage,
  f64,
  imageOf,
  list,
  openImage,
  openImageSync,
  struct,
  u32,
  writeImage,
} from 'holdfast/image';
import { durablePlaces } from './harness/places.js';
import type { Case, Question, Subject, Surroundings } from './harness/question.js';
import { Cache, type Codec, codecs, nodesOf, type Value } from './image/nodes.js';

const count = 1_000_000;
const inImage = 'image';

export const question: Question = {
  description: 'a million nodes kept as an image: written, opened, looked at, beside others',
  async *cases(surroundings) {
    const directory = mkdtempSync(join(surroundings.directory ?? tmpdir(), 'holdfast-bench-'));
    try {
      /* First: a large map makes V8 collect, and then the nodes would be collected on the clock. */
      yield await opening(directory, surroundings);
      yield column();
      yield verifying();
      const others = await codecs(surroundings);
      const value = nodesOf(count);
      for (const place of durablePlaces(surroundings)) {
        try {
          yield writing(`durably, on ${place.fileSystem}`, place.path, value, others);
        } finally {
          place.close();
        }
      }
      yield encoding(value, others);
      yield await memory(directory, others, surroundings);
      yield await looking(directory, value, others);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

function timed(name: string, work: () => Promise<unknown> | unknown, durable?: boolean): Subject {
  const kind = durable === undefined ? {} : { durable };
  return {
    ...kind,
    name,
    async round() {
      const start = performance.now();
      await work();
      return [performance.now() - start];
    },
  };
}

function writing(where: string, directory: string, value: Value, others: readonly Codec[]): Case {
  const pathOf = (file: string): string => join(directory, file);
  return {
    name: `a million nodes ${where}`,
    unit: 'ms',
    higherIsBetter: false,
    rounds: 5,
    subjects: [
      timed(inImage, () => writeImage(pathOf('image'), Cache, value), true),
      ...others.map(({ name, file, encode }) =>
        timed(name, () => replaceFile(pathOf(file), encode(value)), true),
      ),
    ],
    goals: [{ subject: inImage, against: 'v8.serialize', timeAtMost: 1 / 3 }],
  };
}

function encoding(value: Value, others: readonly Codec[]): Case {
  return {
    name: 'a million nodes into views, bytes or text, not written',
    unit: 'ms',
    higherIsBetter: false,
    rounds: 5,
    subjects: [
      timed(`${inImage}, views`, () => encodeImage(Cache, value).buffers()),
      timed(`${inImage}, one buffer`, () => encodeImage(Cache, value).toBuffer()),
      ...others.map(({ name, encode }) => timed(name, () => encode(value))),
    ],
  };
}

async function memory(
  directory: string,
  others: readonly Codec[],
  { note }: Surroundings,
): Promise<Case> {
  const program = join(import.meta.dirname, 'image/peak.js');
  const path = join(directory, 'peak');
  const run = promisify(execFile);
  const peak = async (way: string): Promise<number> => {
    const words = ['--expose-gc', program, path, way, String(count)];
    const { stdout } = await run(process.execPath, words, { timeout: 120_000 });
    return Number(stdout) / 1024;
  };
  await peak(inImage);
  const size = statSync(path).size / 1048576;
  note(`The image of a million nodes has ${size.toFixed(1)} MiB.`);
  return {
    name: 'memory beyond the value while a million nodes are written, at most, of a process',
    unit: 'MiB',
    higherIsBetter: false,
    rounds: 3,
    subjects: [inImage, ...others.map(({ name }) => name)].map((name) => ({
      name,
      round: async () => [await peak(name)],
    })),
    goals: [{ subject: inImage, valueAtMost: size / 10 }],
  };
}

async function looking(directory: string, value: Value, others: readonly Codec[]): Promise<Case> {
  const pathOf = (file: string): string => join(directory, file);
  await writeImage(pathOf('image'), Cache, value);
  for (const { file, encode } of others) await replaceFile(pathOf(file), encode(value));
  let sum = 0;
  return {
    name: 'a file of a million nodes opened, one number of each summed up',
    unit: 'ms',
    higherIsBetter: false,
    rounds: 5,
    subjects: [
      timed(`${inImage}, one view that moves`, () => {
        using image = openImageSync(pathOf('image'), Cache);
        for (const node of image.nodes.scan()) sum += node.start;
      }),
      timed(`${inImage}, a view for each`, () => {
        using image = openImageSync(pathOf('image'), Cache);
        for (const node of image.nodes) sum += node.start;
      }),
      ...others.map(({ name, file, decode }) =>
        timed(name, () => {
          for (const node of decode(readFileSync(pathOf(file))).nodes) sum += node.start;
          return sum;
        }),
      ),
    ],
  };
}

const Large = struct({ id: u32, rows: list(f64), more: list(f64) });

async function opening(directory: string, { isQuick, note }: Surroundings): Promise<Case> {
  const sizes = isQuick ? [1, 64] : [1, 64, 1024];
  const subjects: Subject[] = [];
  for (const mebibytes of sizes) {
    const path = join(directory, `open-${mebibytes}`);
    const rows = new Float64Array(mebibytes * 65536).map((_, n) => n);
    await writeImage(path, Large, { id: 7, rows, more: rows }, { durable: false });
    subjects.push(
      timed(`${mebibytes} MiB, openImage`, async () => {
        await using image = await openImage(path, Large);
        return image.id;
      }),
      timed(`${mebibytes} MiB, openImageSync`, () => {
        using image = openImageSync(path, Large);
        return image.id;
      }),
    );
  }
  const { rss } = process.memoryUsage();
  const image = await openImage(join(directory, `open-${sizes.at(-1)}`), Large);
  const more = (process.memoryUsage().rss - rss) / 1048576;
  note(`Opening the largest and looking at ${image.id} added ${more.toFixed(1)} MiB to the RSS.`);
  await image.close();
  return {
    name: 'an image opened, one field looked at, closed',
    unit: 'ms',
    higherIsBetter: false,
    rounds: 15,
    subjects,
    goals: sizes.map((size) => ({ subject: `${size} MiB, openImage`, valueAtMost: 5 })),
  };
}

function column(): Case {
  const rows = new Float64Array(10_000_000).map((_, n) => n);
  const whole = encodeImage(Large, { id: 1, rows, more: [] }).toBuffer();
  const image = imageOf(whole, Large, { verify: 'header' });
  const summed = (numbers: Float64Array): number => {
    let sum = 0;
    for (let index = 0; index < numbers.length; index++) sum += numbers[index] as number;
    return sum;
  };
  return {
    name: 'one column of ten million rows summed up',
    unit: 'ms',
    higherIsBetter: false,
    subjects: [
      timed('image.rows', () => summed(image.rows)),
      timed('a Float64Array', () => summed(rows)),
    ],
    goals: [{ subject: 'image.rows', against: 'a Float64Array', timeAtMost: 1.2 }],
  };
}

function verifying(): Case {
  const rows = new Float64Array(16_777_216).fill(1.5);
  const whole = encodeImage(Large, { id: 1, rows, more: [] }).toBuffer();
  return {
    name: 'an image of 128 MiB in memory opened with verify full',
    unit: 'MB/s',
    higherIsBetter: true,
    subjects: [
      {
        name: 'verify full',
        round() {
          const start = performance.now();
          imageOf(whole, Large, { verify: 'full' });
          return [whole.length / 1000 / (performance.now() - start)];
        },
      },
    ],
  };
}

import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { engineNamed } from '#holdfast/engine.js';
import { makeFile } from './gather/writers.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Question, Subject } from './harness/question.js';

const fileBytes = 16 * 1024 * 1024;
/* The fastest of so many: whatever else the machine does makes a run slower, never faster. */
const runsPerRound = 8;
const engines = ['ring', 'pool', 'portable'] as const;
const asOurs = 1048576;

interface Files {
  readonly source: string;
  readonly target: string;
}

export const question: Question = {
  description: 'a file through streams: read, written, and from one to the other',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    surroundings.note('`fs`, 1 MiB: with the high-water mark that holdfast has by default.');
    try {
      const files = { source: join(place.path, 'source'), target: join(place.path, 'target') };
      makeFile(files.source, fileBytes);
      makeFile(files.target, fileBytes);
      yield readCase(files);
      yield webCase(files);
      for (const viewBytes of [65536, 4096, 100]) yield writeCase(files, viewBytes);
      yield copyCase(files);
    } finally {
      place.close();
    }
  },
};

function rates(name: string, fs: string, subjects: readonly Subject[]): Case {
  return {
    name,
    unit: 'MB/s',
    higherIsBetter: true,
    statistics: ['max', 'median'],
    rounds: 9,
    subjects,
    goals: [{ subject: 'holdfast, ring', against: fs, statistic: 'max', rateAtLeast: 1.5 }],
  };
}

function rate(name: string, bytes: number, work: () => Promise<number>): Subject {
  return {
    name,
    async round() {
      const samples: number[] = [];
      for (let run = 0; run < runsPerRound; run++) {
        const begin = process.hrtime.bigint();
        const moved = await work();
        samples.push((bytes * 1000) / Number(process.hrtime.bigint() - begin));
        if (moved !== bytes) throw new Error(`${name} moved ${moved} bytes of ${bytes}`);
      }
      return samples;
    },
  };
}

async function opened(
  path: string,
  engineName: (typeof engines)[number],
  access: 'read' | 'write',
) {
  const { openFile } = await import('holdfast');
  return openFile(path, { engine: engineNamed(engineName), access });
}

function taken(stream: Readable): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    stream.on('data', (view: Uint8Array) => {
      bytes += view.length;
    });
    stream.on('end', () => resolve(bytes));
    stream.on('error', reject);
  });
}

function readCase({ source }: Files): Case {
  const ours = engines.map((engine) =>
    rate(`holdfast, ${engine}`, fileBytes, async () =>
      taken((await opened(source, engine, 'read')).createReadStream()),
    ),
  );
  const large = { highWaterMark: asOurs };
  return rates('read, page cache', 'fs.createReadStream', [
    ...ours,
    rate('fs.createReadStream', fileBytes, () => taken(createReadStream(source))),
    rate('fs.createReadStream, 1 MiB', fileBytes, () => taken(createReadStream(source, large))),
  ]);
}

async function webTaken(stream: ReadableStream<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const view of stream) bytes += view.byteLength;
  return bytes;
}

async function byobTaken(stream: ReadableStream<Uint8Array>): Promise<number> {
  const reader = stream.getReader({ mode: 'byob' });
  let memory = new Uint8Array(262144);
  for (let bytes = 0; ; ) {
    const { done, value } = await reader.read(memory);
    if (done || value === undefined) return bytes;
    bytes += value.length;
    memory = new Uint8Array(value.buffer);
  }
}

function webCase({ source }: Files): Case {
  const web = (name: string, take: typeof webTaken): Subject =>
    rate(name, fileBytes, async () => take((await opened(source, 'ring', 'read')).readable()));
  const handle = async (): Promise<number> => {
    const { open } = await import('node:fs/promises');
    const file = await open(source);
    const bytes = await webTaken(file.readableWebStream() as ReadableStream<Uint8Array>);
    await file.close();
    return bytes;
  };
  return {
    ...rates('read as a Web stream, page cache', 'FileHandle.readableWebStream', [
      web('holdfast, ring', webTaken),
      web('holdfast, ring, memory of the reader', byobTaken),
      rate('FileHandle.readableWebStream', fileBytes, handle),
    ]),
    goals: [],
  };
}

async function put(stream: Writable, view: Uint8Array, bytes: number): Promise<number> {
  let given = 0;
  const end = new Promise<void>((resolve, reject) => {
    stream.on('close', resolve);
    stream.on('error', reject);
  });
  for (; given < bytes; given += view.length) {
    if (!stream.write(view)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  stream.end();
  await end;
  return given;
}

function writeCase({ target }: Files, viewBytes: number): Case {
  const view = new Uint8Array(viewBytes).fill(7);
  const bytes = Math.ceil((viewBytes < 1000 ? fileBytes / 8 : fileBytes) / viewBytes) * viewBytes;
  const ours = engines.map((engine) =>
    rate(`holdfast, ${engine}`, bytes, async () =>
      put((await opened(target, engine, 'write')).createWriteStream(), view, bytes),
    ),
  );
  const theirs = (options: object): Promise<number> =>
    put(createWriteStream(target, { flags: 'r+', ...options }), view, bytes);
  return rates(`write views of ${viewBytes} bytes, page cache`, 'fs.createWriteStream', [
    ...ours,
    rate('fs.createWriteStream', bytes, () => theirs({})),
    rate('fs.createWriteStream, 1 MiB', bytes, () => theirs({ highWaterMark: asOurs })),
  ]);
}

function copyCase({ source, target }: Files): Case {
  const ours = engines.map((engine) =>
    rate(`holdfast, ${engine}`, fileBytes, async () => {
      const reading = (await opened(source, engine, 'read')).createReadStream();
      const writing = (await opened(target, engine, 'write')).createWriteStream();
      await pipeline(reading, writing);
      return writing.bytesWritten;
    }),
  );
  const theirs = async (options: object): Promise<number> => {
    const writing = createWriteStream(target, { flags: 'r+', ...options });
    await pipeline(createReadStream(source, options), writing);
    return writing.bytesWritten;
  };
  return rates('pipeline from one to the other, page cache', 'fs', [
    ...ours,
    rate('fs', fileBytes, () => theirs({})),
    rate('fs, 1 MiB', fileBytes, () => theirs({ highWaterMark: asOurs })),
  ]);
}

import { type FileHandle, open as openHandle, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { OpenFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { durablePlaces, type Place } from './harness/places.js';
import type { Case, Question, Subject } from './harness/question.js';

const outstanding = 100;
const roundMs = 600;
const fileCount = 8;

export const question: Question = {
  description: 'what 100 syncs outstanding do to the event loop and to fs.readFile of another file',
  async *cases(surroundings) {
    const places = durablePlaces(surroundings);
    try {
      for (const place of places) {
        yield delayCase(place);
        yield readCase(place);
      }
    } finally {
      for (const place of places) place.close();
    }
  },
};

/** Something whose syncs can be kept outstanding. */
interface Writer {
  writeAndSync(lane: number): Promise<void>;
  close(): Promise<void>;
}

type MakeWriter = (place: Place) => Promise<Writer>;

const block = new Uint8Array(4096);

async function holdfastWriter(place: Place, name: 'ring' | 'pool'): Promise<Writer> {
  const { openFile } = await import('holdfast');
  const files: OpenFile[] = [];
  for (let index = 0; index < fileCount; index++) {
    const path = join(place.path, `ours-${name}-${index}`);
    const options = { access: 'read-write', create: true, engine: engineNamed(name) } as const;
    files.push(await openFile(path, options));
  }
  return {
    async writeAndSync(lane) {
      const file = files[lane % fileCount] as OpenFile;
      await file.writeAt(block, lane * block.length);
      await file.syncData();
    },
    close: async () => {
      for (const file of files) await file.close();
    },
  };
}

async function nodeWriter(place: Place): Promise<Writer> {
  const handles: FileHandle[] = [];
  for (let index = 0; index < fileCount; index++) {
    handles.push(await openHandle(join(place.path, `theirs-${index}`), 'w+'));
  }
  return {
    async writeAndSync(lane) {
      const handle = handles[lane % fileCount] as FileHandle;
      await handle.write(block, 0, block.length, lane * block.length);
      await handle.datasync();
    },
    close: async () => {
      for (const handle of handles) await handle.close();
    },
  };
}

async function idleWriter(): Promise<Writer> {
  return {
    writeAndSync: () => new Promise((resolve) => setTimeout(resolve, 5)),
    close: async () => {},
  };
}

const writers: readonly { readonly name: string; readonly make: MakeWriter }[] = [
  { name: 'holdfast, ring', make: (place) => holdfastWriter(place, 'ring') },
  { name: 'holdfast, pool', make: (place) => holdfastWriter(place, 'pool') },
  { name: 'fs.promises', make: nodeWriter },
  { name: 'nothing outstanding', make: idleWriter },
];

/** Keeps the syncs outstanding while `observe` looks, and lets them end. */
async function during<T>(writer: Writer, observe: (end: number) => Promise<T>): Promise<T> {
  const end = performance.now() + roundMs;
  const lanes = Array.from({ length: outstanding }, async (_, lane) => {
    while (performance.now() < end) await writer.writeAndSync(lane);
  });
  const observed = await observe(end);
  await Promise.all(lanes);
  return observed;
}

function subjectOf(
  place: Place,
  { name, make }: (typeof writers)[number],
  observe: (end: number) => Promise<number[]>,
): Subject {
  let writer: Writer | undefined;
  return {
    name,
    async round() {
      writer ??= await make(place);
      return during(writer, observe);
    },
    close: async () => writer?.close(),
  };
}

async function delays(end: number): Promise<number[]> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, end - performance.now())));
  histogram.disable();
  /* The timer that measures comes a millisecond late by itself. */
  return [histogram.percentile(99) / 1e6];
}

function delayCase(place: Place): Case {
  return {
    name: `event-loop delay, p99, ${outstanding} syncs outstanding, ${place.fileSystem}`,
    unit: 'ms',
    higherIsBetter: false,
    subjects: writers.map((writer) => subjectOf(place, writer, delays)),
    goals: [
      { subject: 'holdfast, ring', valueAtMost: 5 },
      { subject: 'holdfast, pool', valueAtMost: 5 },
    ],
  };
}

function readCase(place: Place): Case {
  const path = join(place.path, 'unrelated');
  const reads = async (end: number): Promise<number[]> => {
    await writeFile(path, block);
    const samples: number[] = [];
    while (performance.now() < end) {
      const begin = performance.now();
      await readFile(path);
      samples.push(performance.now() - begin);
    }
    return samples;
  };
  return {
    name: `fs.readFile of another file, ${outstanding} syncs outstanding, ${place.fileSystem}`,
    unit: 'ms',
    higherIsBetter: false,
    statistics: ['median', 'p99'],
    subjects: writers.map((writer) => subjectOf(place, writer, reads)),
    goals: [{ subject: 'holdfast, ring', against: 'nothing outstanding', timeAtMost: 1.2 }],
  };
}

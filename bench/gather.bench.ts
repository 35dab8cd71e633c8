import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  makeFile,
  makeViews,
  openWriter,
  type ViewKind,
  type Views,
  type WriterName,
  writerNames,
} from './gather/writers.js';
import { looped } from './harness/measure.js';
import { root } from './harness/peers.js';
import { type Place, scratchPlace } from './harness/places.js';
import type { Case, Goal, Question, Subject, Surroundings } from './harness/question.js';

interface Shape {
  readonly count: number;
  readonly length: number;
  readonly goals: readonly Goal[];
  /** How many sets of views to prepare at most where each call gets views of its own. */
  readonly setCountMax: number;
}

const threeTimesWritev: Goal = {
  subject: 'await file.writeAt',
  against: 'await fs.writev',
  rateAtLeast: 3,
};

const asFastAsConcat: readonly Goal[] = [
  {
    subject: 'await file.writeAt',
    against: 'await Buffer.concat + fs.write',
    timeAtMost: 1.2,
  },
  { subject: 'file.writeAtSync', against: 'Buffer.concat + fs.writeSync', timeAtMost: 1.2 },
];

const shapes: readonly Shape[] = [
  { count: 64, length: 4096, goals: [], setCountMax: 64 },
  { count: 1024, length: 64, goals: [threeTimesWritev], setCountMax: 128 },
  { count: 5000, length: 64, goals: [], setCountMax: 32 },
  { count: 1_000_000, length: 16, goals: asFastAsConcat, setCountMax: 1 },
];

const kinds: readonly ViewKind[] = ['subarrays of one Buffer', 'Uint8Arrays of their own'];

export const question: Question = {
  description: 'many small views written as one: gather against writev and against concat + write',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    try {
      for (const shape of shapes) {
        for (const kind of kinds) {
          yield await timeCase(place, shape, kind, 'the same at each call');
          yield await timeCase(place, shape, kind, 'new at each call');
        }
      }
      for (const kind of kinds) yield* memoryCase(place, kind, surroundings);
    } finally {
      place.close();
    }
  },
};

type Reuse = 'the same at each call' | 'new at each call';

/**
 * New views are how a gather is used: a writer makes them, writes them once and drops them. They
 * cost more, since V8 gives a small Uint8Array memory outside its heap when C first asks for it.
 */
async function timeCase(
  place: Place,
  { count, length, goals, setCountMax }: Shape,
  kind: ViewKind,
  reuse: Reuse,
): Promise<Case> {
  const path = join(place.path, `${count}x${length}`);
  if (!existsSync(path)) makeFile(path, count * length);
  const isNew = reuse === 'new at each call';
  const shared = isNew ? [] : makeViews(kind, count, length);
  const subjects = writerNames.map((name) =>
    subjectOf(name, path, {
      countMax: isNew ? setCountMax : Number.POSITIVE_INFINITY,
      prepare: (calls) => {
        if (!isNew) return [shared];
        return Array.from({ length: calls }, () => makeViews(kind, count, length));
      },
    }),
  );
  return {
    name: `${count.toLocaleString('en')} x ${length} B, ${kind}, ${reuse}`,
    unit: 'us',
    higherIsBetter: false,
    subjects,
    rounds: count === 1_000_000 ? 7 : 9,
    goals,
  };
}

function subjectOf(
  name: WriterName,
  path: string,
  sets: { readonly countMax: number; prepare(calls: number): readonly Views[] },
): Subject {
  let opened: ReturnType<typeof openWriter> | undefined;
  const looping = looped<readonly Views[]>({
    name,
    unit: 'us',
    ...sets,
    run: async (calls, prepared) => {
      const { write } = await (opened ?? fail());
      for (let i = 0; i < calls; i++) {
        const pending = write(prepared[i % prepared.length] as Views);
        if (pending !== undefined) await pending;
      }
    },
  });
  return {
    name,
    async round() {
      opened ??= openWriter(name, path);
      await opened;
      return looping.round();
    },
    async close() {
      await (await opened?.catch(() => undefined))?.close();
    },
  };
}

function fail(): never {
  throw new Error('The writer is not open');
}

/** The peak can be set back only on Linux. */
async function* memoryCase(
  place: Place,
  kind: ViewKind,
  { note }: Surroundings,
): AsyncGenerator<Case> {
  if (process.platform !== 'linux') return note('NOT MEASURED: peak memory, it needs Linux.');
  const run = promisify(execFile);
  const program = join(root, 'build', 'bench', 'gather', 'memory.js');
  const path = join(place.path, '1000000x16');
  yield {
    name: `1,000,000 x 16 B, ${kind}: growth of peak memory`,
    unit: 'MiB',
    higherIsBetter: false,
    rounds: 3,
    subjects: writerNames.map((name) => ({
      name,
      async round() {
        const { stdout } = await run(process.execPath, [program, name, kind, path], {
          timeout: 60_000,
        });
        return [Number(stdout) / 2 ** 20];
      },
    })),
  };
}

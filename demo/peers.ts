/** The same job by holdfast and by node:fs, in turns, so that all of them meet the same disk. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { defaultEngine, replaceFile } from 'holdfast';
import { type Item, viewsOf } from './image.js';

/* What fs.promises.writeFile hands to the system at once: seen with strace, Node 20. */
const NODE_WRITE_BYTES = 524288;

export interface Way {
  readonly name: string;
  readonly atomic: 'yes' | 'no';
  readonly durable: 'yes' | 'no' | 'data only';
  /** System calls: counted, or with a ~ reckoned. */
  readonly calls: string;
  readonly ms: number;
}

interface Contender {
  readonly name: string;
  readonly atomic: Way['atomic'];
  readonly durable: Way['durable'];
  /** Left out where the engine counts them. */
  readonly calls?: string;
  readonly run: (directory: string, items: readonly Item[]) => Promise<void>;
}

function oneFile(flush: boolean): Contender['run'] {
  return async (directory, items) => {
    await writeFile(join(directory, 'concat.image'), Buffer.concat(viewsOf(items, 1)), { flush });
  };
}

function everyFile(flush: boolean): Contender['run'] {
  return async (directory, items) => {
    const made = new Set<string>();
    for (const { path, bytes } of items) {
      const target = join(directory, 'files', path);
      const parent = dirname(target);
      if (!made.has(parent)) await mkdir(parent, { recursive: true });
      made.add(parent);
      await writeFile(target, bytes, { flush });
    }
  };
}

function replace(durable: 'full' | false): Contender['run'] {
  return async (directory, items) => {
    await replaceFile(join(directory, 'replaced.image'), viewsOf(items, 1), { durable });
  };
}

function reckoned(lengths: readonly number[], flush: boolean): string {
  const writes = lengths.reduce((sum, bytes) => sum + Math.ceil(bytes / NODE_WRITE_BYTES), 0);
  return `~${writes + lengths.length * (flush ? 3 : 2)}`;
}

function contenders(items: readonly Item[]): Contender[] {
  const each = items.map(({ bytes }) => bytes.byteLength);
  const all = [viewsOf(items, 1).reduce((sum, view) => sum + view.byteLength, 0)];
  const node = { atomic: 'no', durable: 'no' } as const;
  const flushed = { atomic: 'no', durable: 'data only' } as const;
  const concat = 'fs.writeFile of a Buffer.concat';
  const single = 'fs.writeFile for each file';
  return [
    { name: 'replaceFile', atomic: 'yes', durable: 'yes', run: replace('full') },
    { name: concat, ...node, calls: reckoned(all, false), run: oneFile(false) },
    { name: `${concat}, flush`, ...flushed, calls: reckoned(all, true), run: oneFile(true) },
    { name: single, ...node, calls: reckoned(each, false), run: everyFile(false) },
    { name: `${single}, flush`, ...flushed, calls: reckoned(each, true), run: everyFile(true) },
    {
      name: 'replaceFile, durable: false',
      atomic: 'yes',
      durable: 'no',
      run: replace(false),
    },
  ];
}

export interface Race {
  readonly directory: string;
  readonly items: readonly Item[];
  readonly rounds: number;
  readonly onProgress: (done: number, of: number) => void;
}

/** Runs every way in turn, `rounds` times; tells the median of each. */
export async function race({ directory, items, rounds, onProgress }: Race): Promise<Way[]> {
  const ways = contenders(items).map((way) => ({ ...way, times: [] as number[], counted: 0 }));
  const callCount = (): number => defaultEngine().stats().systemCallCount;
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const way of ways) {
      const callsBefore = callCount();
      const start = performance.now();
      await way.run(directory, items);
      way.times.push(performance.now() - start);
      way.counted = callCount() - callsBefore;
      onProgress(++done, rounds * ways.length);
    }
  }
  return ways.map(({ name, atomic, durable, calls, counted, times }) => {
    const ms = times.sort((a, b) => a - b)[times.length >> 1] ?? 0;
    return { name, atomic, durable, calls: calls ?? String(counted), ms };
  });
}

/**
 * Processes that are killed with -9 while they replace, and readers that look in between: what
 * stands under the name is whole, always. A kill is not a power cut: the page cache survives it.
 */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { replaceFile, replaceFileSync } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { contentOf, turnOf } from './replace/content.js';
import { engineHere, engineWords } from './replace/worlds.js';
import { Child } from './support/child.js';
import { scratch } from './support/scratch.js';

const CYCLES = 30;

test('turnOf() notices a torn content', () => {
  const bytes = contentOf(7);
  equal(turnOf(bytes), 7);
  throws(() => turnOf(bytes.subarray(1)), /torn/);
  throws(() => turnOf(bytes.subarray(0, -1)), /torn/);
  throws(() => turnOf(Buffer.concat([bytes.subarray(0, 5000), Buffer.alloc(9)])), /torn/);
  throws(() => turnOf(Buffer.alloc(0)), /torn/);
});

/* Both engines and both faces at once, each on a file of its own, from one turn to the next. */
const REPLACER = `
  import { replaceFile, replaceFileSync } from 'holdfast';
  import { engineNamed } from '#holdfast/engine.js';
  import { contentOf } from './build/test/replace/content.js';
  const [directory, first, ...words] = process.argv.slice(1);
  const tell = (word, turn) => process.stdout.write(word + ' ' + turn + '\\n');
  async function* piecesOf(turn) {
    const whole = contentOf(turn);
    for (let at = 0; at < whole.length; at += 7000) yield whole.subarray(at, at + 7000);
  }
  const loop = async (word) => {
    const engine = engineNamed(word);
    const path = directory + '/' + word;
    for (let turn = Number(first); ; turn++) {
      if (turn % 3 === 0) replaceFileSync(path, contentOf(turn), { engine });
      else if (turn % 3 === 1) await replaceFile(path, contentOf(turn), { engine });
      else await replaceFile(path, piecesOf(turn), { engine });
      tell(word, turn);
    }
  };
  await Promise.all(words.map(loop));`;

/** The last turn that a child told to be done. */
function lastTold(stdout: string, word: string): number {
  const lines = stdout.split('\n').slice(0, -1);
  const line = lines.findLast((one) => one.startsWith(`${word} `)) ?? '';
  return Number(line.split(' ')[1] ?? -1);
}

test('a file stands whole after each of 30 kills in the middle of replaces', async (t) => {
  const directory = scratch(t);
  const words = engineWords.filter((word) => typeof engineHere(word) !== 'string');
  let first = 0;
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const child = new Child({ source: REPLACER, args: [directory, `${first}`, ...words] });
    await child.waitFor(/\d\n/);
    await new Promise((resolve) => setTimeout(resolve, (cycle * 7) % 23));
    const { stdout, stderr, signal } = await child.kill();
    deepEqual([signal, stderr], ['SIGKILL', '']);
    for (const word of words) {
      const turn = readTurn(join(directory, word));
      const told = lastTold(stdout, word);
      ok(turn >= told, `${word} stands at ${turn} and was told done at ${told}`);
      first = Math.max(first, turn + 1);
    }
  }
  ok(first > CYCLES, `only ${first} turns`);
  const others = readdirSync(directory).filter((name) => !words.includes(name as 'pool'));
  for (const name of others) ok(/^\.holdfast-[0-9a-f]{32}\.tmp$/.test(name), name);
  ok(others.length <= CYCLES * words.length, 'at most one is left by each kill');
});

/** The turn that stands in a file; -1 where the first replace did not come to its end. */
function readTurn(path: string): number {
  try {
    return turnOf(readFileSync(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return -1;
    throw error;
  }
}

const READER = `
  const { readFileSync } = require('node:fs');
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.content).then(({ turnOf }) => {
    const stop = new Int32Array(workerData.stop);
    const last = {};
    let reads = 0;
    let torn = '';
    let backwards = 0;
    parentPort.postMessage('ready');
    while (Atomics.load(stop, 0) === 0 && torn === '') {
      for (const path of workerData.paths) {
        try {
          const turn = turnOf(readFileSync(path));
          if (turn < (last[path] ?? 0)) backwards++;
          last[path] = turn;
          reads++;
        } catch (error) {
          torn = String(error);
        }
      }
    }
    parentPort.postMessage({ reads, torn, backwards });
  });`;

interface Seen {
  readonly reads: number;
  readonly torn: string;
  readonly backwards: number;
}

class Reader {
  readonly ready: Promise<void>;
  readonly seen: Promise<Seen>;

  constructor(workerData: object) {
    const worker = new Worker(READER, { eval: true, workerData });
    this.ready = new Promise((resolve) => worker.once('message', () => resolve()));
    this.seen = new Promise((resolve, reject) => {
      worker.on('message', (message: Seen | 'ready') => message !== 'ready' && resolve(message));
      worker.on('error', reject);
    });
  }
}

test('eight readers see no torn content while a file is replaced', async (t) => {
  const directory = scratch(t);
  const words = engineWords.filter((word) => typeof engineHere(word) !== 'string');
  const paths = words.map((word) => join(directory, word));
  for (const path of paths) replaceFileSync(path, contentOf(0));
  const stop = new SharedArrayBuffer(4);
  const content = new URL('./replace/content.js', import.meta.url).href;
  const readers = Array.from({ length: 8 }, () => new Reader({ stop, paths, content }));
  await Promise.all(readers.map(({ ready }) => ready));
  for (let turn = 1; turn < 120; turn++) {
    for (const word of words) {
      const engine = engineNamed(word);
      const path = join(directory, word);
      const durable = turn % 4 === 0 ? 'full' : false;
      if (turn % 2 === 0) replaceFileSync(path, contentOf(turn), { engine, durable });
      else await replaceFile(path, contentOf(turn), { engine, durable });
    }
  }
  Atomics.store(new Int32Array(stop), 0, 1);
  for (const { reads, torn, backwards } of await Promise.all(readers.map(({ seen }) => seen))) {
    equal(torn, '');
    equal(backwards, 0);
    ok(reads > 0);
  }
});

/**
 * kill -9 at any moment, many times: what was acknowledged is there, readers never see a torn file,
 * what is left lying about is swept.
 */
import { equal, ok } from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { replaceFile } from 'holdfast';
import { engineHere, engineWords, temporaries } from './replace/worlds.js';
import { Child } from './support/child.js';
import { scratch } from './support/scratch.js';

const CYCLES = Number(process.env.HOLDFAST_KILLS ?? 200);
const KILLERS = 4;
const LENGTH = 40_000;

const words = engineWords.filter((word) => typeof engineHere(word) !== 'string');

/* One number, again and again: a mix of two files shows. */
const source = `
  import { configure, replaceFile, replaceFiles, replaceFileSync } from 'holdfast';
  const [directory, first, word] = process.argv.slice(1);
  configure({ engine: word });
  const contentOf = (turn) => (String(turn).padStart(9, '0') + ';').repeat(${LENGTH} / 10);
  async function* pieces(text) { yield text.slice(0, 9999); yield text.slice(9999); }
  const path = directory + '/file';
  for (let turn = Number(first); ; turn++) {
    const text = contentOf(turn);
    const way = turn % 5;
    if (way === 0) await replaceFile(path, text);
    if (way === 1) replaceFileSync(path, text);
    if (way === 2) await replaceFile(path, pieces(text));
    if (way === 3) await replaceFiles([{ path, data: text }, { path: path + '2', data: text }]);
    if (way === 4) {
      const beside = Array.from({ length: 3 }, (_, at) => replaceFile(path + at, text));
      await Promise.all([replaceFile(path, text), ...beside]);
    }
    process.stdout.write(turn + '\\n');
  }`;

function contentOf(turn: number): string {
  return `${String(turn).padStart(9, '0')};`.repeat(LENGTH / 10);
}

function turnOf(path: string): number {
  const text = readFileSync(path, 'latin1');
  const turn = Number.parseInt(text, 10);
  ok(text === contentOf(turn), `torn: ${text.length} bytes that begin with ${text.slice(0, 12)}`);
  return turn;
}

async function killer(directory: string, cycles: number, seed: number): Promise<number> {
  const path = join(directory, 'file');
  writeFileSync(
    path,
    '0;'
      .repeat(LENGTH / 10)
      .padEnd(LENGTH, '0;')
      .slice(0, LENGTH),
  );
  let acknowledged = 0;
  let state = seed;
  for (let cycle = 0; cycle < cycles; cycle++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const word = words[cycle % words.length] as string;
    const child = new Child({ source, args: [directory, String(acknowledged + 1), word] });
    await child.waitFor('\n');
    /* Between two turns of the child, at any place within them. */
    const until = performance.now() + (state % 4000) / 1000;
    while (performance.now() < until) turnOf(path);
    const { stdout } = await child.kill();
    const told = stdout.slice(0, stdout.lastIndexOf('\n')).split('\n').map(Number);
    acknowledged = Math.max(acknowledged, ...told);
    const found = turnOf(path);
    const where = `cycle ${cycle}, seed ${seed}`;
    ok(found >= acknowledged, `${where}: ${found} stands, ${acknowledged} was acknowledged`);
    ok(found <= acknowledged + 1, where);
    acknowledged = found;
  }
  return acknowledged;
}

test(`a replace survives ${CYCLES} kills`, async (t) => {
  const directories = Array.from({ length: KILLERS }, () => scratch(t));
  const seed = Date.now() % 1_000_000;
  t.diagnostic(`seed ${seed}`);
  const turns = await Promise.all(
    directories.map((directory, at) => killer(directory, CYCLES / KILLERS, seed + at)),
  );
  let left = 0;
  for (const directory of directories) {
    const names = readdirSync(directory).filter((name) => !name.startsWith('file'));
    left += names.length;
    equal(temporaries(directory).length, names.length, `only temporary files: ${names}`);
  }
  t.diagnostic(`${turns.reduce((a, b) => a + b)} replaces, ${left} temporary files left`);
  const now = performance.now.bind(performance);
  const value = (): number => now() + 7_200_000;
  Object.defineProperty(performance, 'now', { configurable: true, value });
  try {
    for (const directory of directories) {
      const before = temporaries(directory).length;
      const { swept } = await replaceFile(join(directory, 'file'), 'last');
      equal(swept, before);
      equal(temporaries(directory).length, 0);
    }
  } finally {
    Reflect.deleteProperty(performance, 'now');
  }
});

/**
 * Random runs, many in a tick, each on a file of its own: what they come to on the ring beside what
 * they come to on the calling thread. Prints those that differ.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { engineNamed } from '#holdfast/engine.js';
import { Code, linked, Operation, placeOf } from '#holdfast/platform.js';
import { handed, resultsOf } from '../contract/engines.js';

const ROUNDS = 40;
const RUNS = 12;

const [directory = '', seed = '1'] = process.argv.slice(-2);
const engine = engineNamed('ring');

/* Numbers of a seed: mulberry32. */
let state = Number(seed);
function below(limit: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
}

const absent = placeOf(`${directory}/absent`);
const other = placeOf(`${directory}/other`);

/* What may be refused is: what is behind it must not take place. */
const makers = {
  write: (fd, at) => made(Code.Write, transfer(fd, 8 * at, 8)),
  read: (fd) => made(Code.Read, transfer(fd, 0, 8)),
  'long read': (fd) => made(Code.Read, transfer(fd, 4, 4096)),
  'read of nothing': () => made(Code.Read, transfer(9999, 0, 8)),
  nop: () => made(Code.Nop, {}),
  sync: (fd) => made(Code.SyncData, { fd }),
  'sync of nothing': () => made(Code.Sync, { fd: 9999 }),
  truncate: (fd) => made(Code.Truncate, { fd, length: 64 }),
  'truncate of nothing': () => made(Code.Truncate, { fd: 9999, length: 64 }),
  'allocate of nothing': () => made(Code.Allocate, { fd: 9999, offset: 0, length: 64 }),
  'open of nothing': () => made(Code.Open, { place: absent }),
  'close of nothing': () => made(Code.Close, { fd: 9999 }),
  'stat of nothing': () => made(Code.Stat, { place: absent }),
  'unlink of nothing': () => made(Code.Unlink, { place: absent }),
  'rename of nothing': () => made(Code.Rename, { place: absent, place2: other }),
  'link of nothing': () => made(Code.Link, { place: absent, place2: other }),
} satisfies Readonly<Record<string, (fd: number, at: number) => Operation>>;

type Kind = keyof typeof makers;
const kinds = Object.keys(makers) as Kind[];
/* Runs of some length are to be among them. */
const well: readonly Kind[] = ['write', 'read', 'nop', 'write', 'sync', 'truncate'];

function made(code: Code, fields: Partial<Operation>): Operation {
  return Object.assign(new Operation(code), fields);
}

function transfer(fd: number, offset: number, length: number): Partial<Operation> {
  return { fd, offset, length, payload: new Uint8Array(length).fill(offset) };
}

function anyKind(): Kind {
  const some = below(2) === 0 ? kinds : well;
  return some[below(some.length)] as Kind;
}

function runOf(these: readonly Kind[], fd: number): Operation {
  return linked(makers.write(fd, 0), ...these.map((kind, at) => makers[kind](fd, at)));
}

interface Files {
  readonly ring: number;
  readonly thread: number;
}

function filesFor(name: string): Files {
  const opened = (way: string): number => openSync(join(directory, `${name}-${way}`), 'w+');
  return { ring: opened('ring'), thread: opened('thread') };
}

/* What each of a run answered, and what the file has then: what answers that it was left out is. */
function told(run: Operation, fd: number): string {
  const content = Buffer.alloc(128);
  const length = readSync(fd, content, 0, content.length, 0);
  return `${resultsOf(run).join()} with ${content.toString('hex', 0, length)}`;
}

async function round(number: number): Promise<void> {
  const asked = Array.from({ length: RUNS }, () => Array.from({ length: below(8) }, anyKind));
  const files = asked.map((_, at) => filesFor(`${number}-${at}`));
  const ran = asked.map((these, at) => handed(engine, runOf(these, files[at]?.ring as number)));
  for (const [at, these] of asked.entries()) {
    const { ring, thread } = files[at] as Files;
    const expected = runOf(these, thread);
    engine.perform(expected);
    const came = told((await ran[at]) as Operation, ring);
    const right = told(expected, thread);
    if (came !== right) differences.push(`${these}: ${came} and not ${right}`);
    closeSync(ring);
    closeSync(thread);
  }
}

const differences: string[] = [];
for (let number = 0; number < ROUNDS; number++) await round(number);
console.log(JSON.stringify({ differences, ring: engine.stats().ring }));

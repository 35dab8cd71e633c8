import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import {
  buildPeer,
  compilePeer,
  crateLabel,
  loadCompiledPeer,
  peerLabel,
} from './harness/peers.js';
import { durablePlaces, type Place } from './harness/places.js';
import type { Case, Goal, Question, Subject, Surroundings } from './harness/question.js';

export const question: Question = {
  description: 'a journal: committers at the same time, writes with one sync, batches, against C',
  async *cases(surroundings) {
    const places = durablePlaces(surroundings);
    const ms = surroundings.isQuick ? 150 : 500;
    try {
      for (const place of places) {
        yield alone(place, ms, surroundings);
        yield await together(place, ms, surroundings);
        for (const bytes of [64, 4096]) yield written(place, bytes, surroundings);
        yield batches(place, surroundings);
        yield delays(place, ms);
      }
    } finally {
      for (const place of places) place.close();
    }
  },
};

const engineNames = ['pool', 'ring', 'portable'] as const;

function engines(): Engine[] {
  return engineNames.flatMap((name) => {
    try {
      return [engineNamed(name)];
    } catch {
      return [];
    }
  });
}

/** What bench/journal/work.ts does, in a process of its own. */
function working(
  place: Place,
  engine: string,
  words: readonly (string | number)[],
  isDirect = false,
): () => readonly [number] {
  const program = join(import.meta.dirname, 'journal/work.js');
  const all = [program, place.path, engine, isDirect, ...words].map(String);
  return () => [answerOf(process.execPath, all)];
}

function committing(
  place: Place,
  engine: Engine,
  committers: number,
  ms: number,
  isDirect = false,
): Subject {
  return {
    name: `${committers} on ${engine.name}${isDirect ? ', direct' : ''}`,
    durable: true,
    round: working(place, engine.name, ['commit', committers, ms], isDirect),
  };
}

function alone(place: Place, ms: number, surroundings: Surroundings): Case {
  const own = engines().flatMap((engine) =>
    [false, true].map((direct) => committing(place, engine, 1, ms, direct)),
  );
  const program = compilePeer('journal', surroundings);
  const inC =
    program === undefined ? [] : ['fdatasync', 'dsync'].map((how) => loop(place, program, how, ms));
  const inFsys = fsysCommitting(place, 1, ms, surroundings);
  return {
    name: `one committer, 64 B, durable each, on ${place.fileSystem}`,
    unit: '1/s',
    higherIsBetter: true,
    subjects: [...own, ...inC, ...inFsys],
    goals: [...inC.slice(0, 1), ...inFsys].flatMap((peer) =>
      own.map(({ name }) => ({ subject: name, against: peer.name, rateAtLeast: 1 })),
    ),
  };
}

function loop(place: Place, program: string, how: string, ms: number): Subject {
  return {
    name: `C, ${how}`,
    durable: true,
    round: () => [answerOf(program, [join(place.path, 'c'), '96', String(ms / 1000), how])],
  };
}

/** The number that a program prints. */
function answerOf(program: string, words: readonly string[]): number {
  const { stdout, stderr, status } = spawnSync(program, words, {
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (status !== 0) throw new Error(stderr);
  return Number(stdout);
}

/** The journal of the crate fsys; its committers are threads. */
function fsys(
  place: Place,
  surroundings: Surroundings,
  what: string,
  words: readonly string[],
): Subject[] {
  const program = buildPeer('fsys', surroundings);
  if (program === undefined) return [];
  const path = join(place.path, 'fsys');
  return [
    {
      name: [crateLabel('fsys'), what].filter(Boolean).join(', '),
      durable: true,
      round: () => {
        const found = answerOf(program, [path, ...words]);
        rmSync(path);
        return [found];
      },
    },
  ];
}

/** One who syncs does not wait for others: its default, 500 us, is slower with 1 and with 64. */
function fsysCommitting(
  place: Place,
  committers: number,
  ms: number,
  surroundings: Surroundings,
): Subject[] {
  const words = ['commit', String(committers), String(ms), '0'];
  return fsys(place, surroundings, `${committers} at once`, words);
}

async function together(place: Place, ms: number, surroundings: Surroundings): Promise<Case> {
  const [engine] = engines();
  const counts = [1, 8, 64, 512, 4096];
  const name = (count: number): string => `${count} on ${engine?.name}`;
  const inFsys = [64, 512].flatMap((count) => fsysCommitting(place, count, ms, surroundings));
  const goals: Goal[] = [
    { subject: name(8), against: name(1), rateAtLeast: 7 },
    { subject: name(64), against: name(1), rateAtLeast: 55 },
    ...inFsys
      .slice(0, 1)
      .map((peer) => ({ subject: name(64), against: peer.name, rateAtLeast: 2 })),
  ];
  return {
    name: `committers at the same time, 64 B, on ${place.fileSystem}`,
    unit: '1/s',
    higherIsBetter: true,
    subjects: engines()
      .slice(0, 2)
      .flatMap((one) => counts.map((count) => committing(place, one, count, ms)))
      .concat(inFsys, await inSqlite(place, ms, surroundings)),
    goals,
  };
}

interface Database {
  pragma(words: string): unknown;
  exec(words: string): unknown;
  prepare(words: string): { run(value: Buffer): unknown };
  transaction<T>(work: (given: T) => void): (given: T) => void;
  close(): void;
}

/** SQLite's write-ahead log, synced at each commit: records inserted one by one, and by 512. */
async function inSqlite(place: Place, ms: number, surroundings: Surroundings): Promise<Subject[]> {
  type Peer = { readonly default: new (path: string) => Database };
  const sqlite = await loadCompiledPeer<Peer>('better-sqlite3', surroundings);
  if (sqlite === undefined) return [];
  return [1, 512].map((count) => ({
    name: `${peerLabel('better-sqlite3')}, WAL, FULL, ${count} a commit`,
    durable: true,
    round: () => {
      const directory = mkdtempSync(join(place.path, 'sqlite-'));
      const database = new sqlite.default(join(directory, 'records'));
      database.pragma('journal_mode = WAL');
      database.pragma('synchronous = FULL');
      database.exec('CREATE TABLE records (id INTEGER PRIMARY KEY, data BLOB)');
      const insert = database.prepare('INSERT INTO records (data) VALUES (?)');
      const record = Buffer.alloc(64, 7);
      const commit = database.transaction((many: number) => {
        for (let index = 0; index < many; index++) insert.run(record);
      });
      const began = performance.now();
      let done = 0;
      for (; performance.now() < began + ms; done += count) commit(count);
      const found = (done / (performance.now() - began)) * 1000;
      database.close();
      rmSync(directory, { recursive: true });
      return [found];
    },
  }));
}

/** Each engine, and the crate, at work of one kind. */
function each(
  place: Place,
  surroundings: Surroundings,
  words: readonly (string | number)[],
): Subject[] {
  const own = engines().map(({ name }) => ({
    name,
    durable: true,
    round: working(place, name, words),
  }));
  return [...own, ...fsys(place, surroundings, '', words.map(String))];
}

function written(place: Place, bytes: number, surroundings: Surroundings): Case {
  const count = bytes === 64 ? 500_000 : 20_000;
  return {
    name: `write, and one sync at the end, ${bytes} B, on ${place.fileSystem}`,
    unit: '1/s',
    higherIsBetter: true,
    rounds: 5,
    subjects: each(place, surroundings, ['write', count, bytes]),
  };
}

function batches(place: Place, surroundings: Surroundings): Case {
  return {
    name: `appendBatch of 10,000 records of 150 B, on ${place.fileSystem}`,
    unit: '1/s',
    higherIsBetter: true,
    rounds: 5,
    subjects: each(place, surroundings, ['batch', 10_000, 10]),
  };
}

function delays(place: Place, ms: number): Case {
  return {
    name: `event loop delay, p99, under 512 committers, on ${place.fileSystem}`,
    unit: 'ms',
    higherIsBetter: false,
    rounds: 5,
    subjects: engines().map(({ name }) => ({
      name,
      round: working(place, name, ['delay', 512, ms]),
    })),
    goals: engines().map(({ name }) => ({ subject: name, valueAtMost: 5 })),
  };
}

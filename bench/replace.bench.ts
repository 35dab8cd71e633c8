import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { mkdirSync } from 'node:fs';
import * as fsp from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { timed } from './harness/measure.js';
import { compilePeer, loadPeer, peerLabel } from './harness/peers.js';
import { durablePlaces, type Place } from './harness/places.js';
import type { Case, Goal, Question, Subject, Surroundings } from './harness/question.js';

interface WriteFileAtomic {
  readonly default: {
    (path: string, data: Uint8Array): Promise<void>;
    sync(path: string, data: Uint8Array): void;
  };
}

interface Atomically {
  writeFile(path: string, data: Uint8Array): Promise<void>;
  writeFileSync(path: string, data: Uint8Array): void;
}

const sizes = [
  { label: '64 B', bytes: 64 },
  { label: '4 KiB', bytes: 4096 },
  { label: '64 KiB', bytes: 65_536 },
  { label: '1 MiB', bytes: 1 << 20 },
];

/** Replaces of one subject in a row. */
const count = 6;

const byHand = 'node:fs/promises by hand';
const inC = 'C, the same system calls';

export const question: Question = {
  description: 'one durable replace after the other: replaceFile against peers and against C',
  async *cases(surroundings) {
    const places = durablePlaces(surroundings);
    try {
      for (const place of places) {
        for (const size of sizes) yield await replaceCase(place, size, surroundings);
      }
    } finally {
      for (const place of places) place.close();
    }
  },
};

async function replaceCase(
  place: Place,
  { label, bytes }: (typeof sizes)[number],
  surroundings: Surroundings,
): Promise<Case> {
  const data = new Uint8Array(bytes).fill(0x78);
  const home = (name: string): string => {
    const directory = join(place.path, `${bytes}-${name}`);
    mkdirSync(directory);
    return join(directory, 'target');
  };
  const own = ownSubjects(home, data);
  const packages = await packageSubjects(home, data, surroundings);
  const program = compilePeer('replace', surroundings);
  const directory = join(home('c'), '..');
  const other = program ? [programSubject(program, { directory, bytes })] : [];
  return {
    name: `${label} on ${place.fileSystem}`,
    unit: 'ms',
    higherIsBetter: false,
    statistics: ['median', 'p99'],
    // Many short ones: what else the machine does then hits all subjects of a round alike.
    rounds: 64,
    subjects: [...own, ...other, ...packages],
    goals: goals(),
  };
}

function goals(): Goal[] {
  const peer = peerLabel('write-file-atomic');
  return [
    { subject: 'replaceFile', against: peer, timeAtMost: 0.8 },
    { subject: 'replaceFile', against: inC, timeAtMost: 1.1 },
    { subject: 'replaceFileSync', against: inC, timeAtMost: 1.1 },
  ];
}

type Home = (name: string) => string;

function ownSubjects(home: Home, data: Uint8Array): Subject[] {
  const [later, now] = [home('replaceFile'), home('replaceFileSync')];
  const [handLater, handNow] = [home('promises'), home('sync')];
  const common = { durable: true, unit: 'ms', count } as const;
  return [
    lazily('replaceFile', async () => {
      const { replaceFile } = await import('holdfast');
      return timed({ ...common, name: 'replaceFile', run: () => replaceFile(later, data) });
    }),
    lazily('replaceFileSync', async () => {
      const { replaceFileSync } = await import('holdfast');
      return timed({ ...common, name: 'replaceFileSync', run: () => replaceFileSync(now, data) });
    }),
    timed({ ...common, name: byHand, run: () => replaceByHand(handLater, data) }),
    timed({
      ...common,
      name: 'node:fs sync by hand',
      run: () => replaceByHandSync(handNow, data),
    }),
  ];
}

/** A subject of ours, imported when first measured, so that a broken one stops only itself. */
function lazily(name: string, make: () => Promise<Subject>): Subject {
  let made: Promise<Subject> | undefined;
  return {
    name,
    durable: true,
    async round() {
      made ??= make();
      return (await made).round();
    },
  };
}

/** None of them syncs the directory: after a power cut the old content may be back. */
async function packageSubjects(
  home: Home,
  data: Uint8Array,
  surroundings: Surroundings,
): Promise<Subject[]> {
  const common = { durable: false, unit: 'ms', count } as const;
  const subjects: Subject[] = [];
  const add = (name: string, label: string, run: (path: string) => unknown): void => {
    const path = home(name);
    subjects.push(timed({ ...common, name: label, run: () => run(path) }));
  };
  const one = (await loadPeer<WriteFileAtomic>('write-file-atomic', surroundings))?.default;
  if (one) {
    const label = peerLabel('write-file-atomic');
    add('wfa', label, (path) => one(path, data));
    add('wfa-sync', `${label} .sync`, (path) => one.sync(path, data));
  }
  const two = await loadPeer<Atomically>('atomically', surroundings);
  if (two) {
    const label = peerLabel('atomically');
    add('atomically', label, (path) => two.writeFile(path, data));
    add('atomically-sync', `${label} writeFileSync`, (path) => two.writeFileSync(path, data));
  }
  return subjects;
}

let serial = 0;

async function replaceByHand(path: string, data: Uint8Array): Promise<void> {
  const temporary = `${path}.${serial++}`;
  const file = await fsp.open(temporary, 'wx');
  await file.writeFile(data);
  await file.sync();
  await file.close();
  await fsp.rename(temporary, path);
  const directory = await fsp.open(join(path, '..'), 'r');
  await directory.sync();
  await directory.close();
}

function replaceByHandSync(path: string, data: Uint8Array): void {
  const temporary = `${path}.${serial++}`;
  const fd = fs.openSync(temporary, 'wx');
  fs.writeFileSync(fd, data);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
  fs.renameSync(temporary, path);
  const directory = fs.openSync(join(path, '..'), 'r');
  fs.fsyncSync(directory);
  fs.closeSync(directory);
}

function programSubject(
  program: string,
  work: { readonly directory: string; readonly bytes: number },
): Subject {
  const words = [work.directory, String(work.bytes), String(count), '--samples'];
  const run = promisify(execFile);
  return {
    name: inC,
    durable: true,
    async round() {
      const { stdout } = await run(program, words, { timeout: 60_000 });
      return stdout
        .trim()
        .split('\n')
        .map((ns) => Number(ns) / 1e6);
    },
  };
}

import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { replaceFile, replaceFileSync } from 'holdfast';
import { timed } from './harness/measure.js';
import { compilePeer, loadPeer, peerLabel } from './harness/peers.js';
import { durablePlaces, type Place } from './harness/places.js';
import type { Case, Question, Subject, Surroundings } from './harness/question.js';

type WriteFileAtomic = (path: string, data: Uint8Array) => Promise<void>;

const sizes = [
  { label: '64 B', bytes: 64 },
  { label: '4 KiB', bytes: 4096 },
  { label: '64 KiB', bytes: 65_536 },
  { label: '1 MiB', bytes: 1 << 20 },
];

/** Replaces of one subject in a row. */
const count = 6;

const once = 'replaceFile, one commit';
const onceSync = 'replaceFileSync, one commit';
const onceInC = 'C, one commit';
const twiceInC = 'C, two commits';

export const question: Question = {
  description: 'a durable replace that waits for the journal once, against one that waits twice',
  async *cases(surroundings) {
    const places = durablePlaces(surroundings);
    try {
      for (const place of places) {
        for (const size of sizes) yield await oneCommitCase(place, size, surroundings);
      }
    } finally {
      for (const place of places) place.close();
    }
  },
};

async function oneCommitCase(
  place: Place,
  { label, bytes }: (typeof sizes)[number],
  surroundings: Surroundings,
): Promise<Case> {
  const data = new Uint8Array(bytes).fill(0x78);
  const home = (name: string): string => {
    const directory = join(place.path, `${bytes}-${name}`);
    mkdirSync(directory);
    return directory;
  };
  const peer = peerLabel('write-file-atomic');
  return {
    name: `${label} on ${place.fileSystem}`,
    unit: 'ms',
    higherIsBetter: false,
    statistics: ['median', 'p99'],
    rounds: 64,
    subjects: [
      ...ownSubjects(home, data),
      ...programs(home, bytes, surroundings),
      ...(await packageSubjects(home, data, surroundings)),
    ],
    goals: [
      { subject: once, against: peer, timeAtMost: 0.8 },
      { subject: once, against: 'replaceFile', timeAtMost: 0.8 },
      { subject: onceSync, against: onceInC, timeAtMost: 1.2 },
    ],
  };
}

type Home = (name: string) => string;

function ownSubjects(home: Home, data: Uint8Array): Subject[] {
  const subject = (name: string, run: (path: string) => unknown): Subject => {
    const path = join(home(name), 'target');
    return timed({ durable: true, unit: 'ms', count, name, run: () => run(path) });
  };
  const oneCommit = true;
  return [
    subject(once, (path) => replaceFile(path, data, { oneCommit })),
    subject(onceSync, (path) => replaceFileSync(path, data, { oneCommit })),
    subject('replaceFile', (path) => replaceFile(path, data)),
    subject('replaceFileSync', (path) => replaceFileSync(path, data)),
  ];
}

function programs(home: Home, bytes: number, surroundings: Surroundings): Subject[] {
  const program = compilePeer('replace', surroundings);
  if (program === undefined) return [];
  return [
    programSubject(onceInC, [program, home(onceInC), `${bytes}`, `${count}`, '--one-commit']),
    programSubject(twiceInC, [program, home(twiceInC), `${bytes}`, `${count}`]),
  ];
}

function programSubject(name: string, [program, ...words]: [string, ...string[]]): Subject {
  const run = promisify(execFile);
  return {
    name,
    durable: true,
    async round() {
      const { stdout } = await run(program, [...words, '--samples'], { timeout: 60_000 });
      return stdout
        .trim()
        .split('\n')
        .map((ns) => Number(ns) / 1e6);
    },
  };
}

/** It does not sync the directory: after a power cut the old content may be back. */
async function packageSubjects(
  home: Home,
  data: Uint8Array,
  surroundings: Surroundings,
): Promise<Subject[]> {
  const name = 'write-file-atomic';
  const peer = await loadPeer<{ readonly default: WriteFileAtomic }>(name, surroundings);
  if (peer === undefined) return [];
  const path = join(home(name), 'target');
  const run = (): unknown => peer.default(path, data);
  return [timed({ durable: false, unit: 'ms', count, name: peerLabel(name), run })];
}

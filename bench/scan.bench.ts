import * as fs from 'node:fs';
import { mkdirSync, writeFileSync } from 'node:fs';
import * as fsp from 'node:fs/promises';
import { join } from 'node:path';
import { timed } from './harness/measure.js';
import { loadPeer, peerLabel } from './harness/peers.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Goal, Question, Subject, Surroundings } from './harness/question.js';

interface FastGlob {
  readonly default: (pattern: string, options: object) => Promise<string[]>;
}

interface TinyGlobby {
  glob(options: object): Promise<string[]>;
}

/** Calls of one subject in a row. */
const count = 5;

/* With `recursive`, Node 20 calls back before it returns: this one blocks the loop throughout. */
const callback = 'fs.readdir, recursive, withFileTypes';
const promised = 'fs.promises.readdir, the same';

const shapes = [
  { directories: 100, files: 100 },
  { directories: 1000, files: 10 },
  { directories: 1, files: 10_000 },
];

export const question: Question = {
  description: 'what is in a tree of 10,000 files: scans, and searches by glob',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    surroundings.note(
      'fs.readdir with recursive calls back before it returns (Node 20): it is the sync call.',
    );
    try {
      for (const shape of shapes) {
        const home = plant(place.path, shape);
        yield await scanCase(home, shape);
        yield await globCase(home, shape, surroundings);
      }
    } finally {
      place.close();
    }
  },
};

type Shape = (typeof shapes)[number];

function plant(path: string, { directories, files }: Shape): string {
  const home = join(path, `${directories}-${files}`);
  for (let directory = 0; directory < directories; directory++) {
    const name = join(home, `group-${directory % 10}`, `directory-${directory}`);
    mkdirSync(name, { recursive: true });
    for (let file = 0; file < files; file++) {
      writeFileSync(join(name, `file-${file}.${file % 2 === 0 ? 'txt' : 'md'}`), '');
    }
  }
  return home;
}

function shapeName({ directories, files }: Shape): string {
  const groups = directories === 1 ? '1 directory' : `${directories} directories`;
  return `${groups} of ${files} files`;
}

async function scanCase(home: string, shape: Shape): Promise<Case> {
  const { scanDirectory, scanDirectorySync } = await import('holdfast');
  const all = { recursive: true } as const;
  const subject = (name: string, run: () => unknown): Subject =>
    timed({ name, unit: 'ms', count, run });
  const ours = [
    subject('scanDirectory, batches', async () => {
      let found = 0;
      for await (const entries of scanDirectory(home, all).batches()) found += entries.length;
      check(found, shape);
    }),
    subject('scanDirectory, one by one', async () => {
      let found = 0;
      for await (const _ of scanDirectory(home, all)) found++;
      check(found, shape);
    }),
    subject('scanDirectorySync, batches', () => {
      let found = 0;
      for (const entries of scanDirectorySync(home, all).batches()) found += entries.length;
      check(found, shape);
    }),
  ];
  const types = { recursive: true, withFileTypes: true } as const;
  const theirs = [
    subject(callback, () => {
      return new Promise<void>((resolve, reject) => {
        fs.readdir(home, types, (error, entries) => {
          if (error) reject(error);
          else resolve(check(entries.length, shape));
        });
      });
    }),
    subject(promised, async () => {
      check((await fsp.readdir(home, types)).length, shape);
    }),
    subject('fs.readdirSync, the same', () => check(fs.readdirSync(home, types).length, shape)),
    subject('fs.promises.opendir, recursive', async () => {
      let found = 0;
      for await (const _ of await fsp.opendir(home, all)) found++;
      check(found, shape);
    }),
  ];
  return {
    name: `scan, ${shapeName(shape)}`,
    unit: 'ms',
    higherIsBetter: false,
    statistics: ['median', 'p99'],
    rounds: 15,
    subjects: [...ours, ...theirs],
    goals: goals(),
  };
}

function goals(): Goal[] {
  const subject = 'scanDirectory, batches';
  return [
    { subject, against: promised, timeAtMost: 0.5 },
    { subject: 'scanDirectory, one by one', against: promised, timeAtMost: 0.5 },
    { subject, against: callback, timeAtMost: 0.5 },
  ];
}

/* Nobody is measured who does not find everything. */
function check(found: number, { directories, files }: Shape): void {
  const expected = directories * (files + 1) + Math.min(directories, 10);
  if (found !== expected) throw new Error(`found ${found} of ${expected}`);
}

async function globCase(home: string, shape: Shape, surroundings: Surroundings): Promise<Case> {
  const { findFiles } = await import('holdfast');
  const pattern = '**/*.md';
  const expected = (shape.directories * shape.files) / 2;
  const subject = (name: string, run: () => Promise<string[]>): Subject => {
    const checked = async (): Promise<void> => {
      const { length } = await run();
      if (length !== expected) throw new Error(`found ${length} of ${expected}`);
    };
    return timed({ name, unit: 'ms', count, run: checked });
  };
  const subjects = [subject('findFiles', () => findFiles(home, pattern))];
  const fast = await loadPeer<FastGlob>('fast-glob', surroundings);
  if (fast) {
    const name = peerLabel('fast-glob');
    subjects.push(subject(name, () => fast.default(pattern, { cwd: home, absolute: true })));
  }
  const tiny = await loadPeer<TinyGlobby>('tinyglobby', surroundings);
  if (tiny) {
    const options = { patterns: pattern, cwd: home, absolute: true };
    subjects.push(subject(peerLabel('tinyglobby'), () => tiny.glob(options)));
  }
  return {
    name: `${pattern}, ${shapeName(shape)}`,
    unit: 'ms',
    higherIsBetter: false,
    rounds: 15,
    subjects,
  };
}

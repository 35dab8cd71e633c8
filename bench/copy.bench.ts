import { execFile } from 'node:child_process';
import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import * as fsp from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CopyOptions } from 'holdfast';
import { Mount, type MountKind, tryMount } from '../test/support/mounts.js';
import type { Case, Goal, Question, Subject, Surroundings } from './harness/question.js';

const run = promisify(execFile);
const mebibyte = 1 << 20;
const treeFiles = 2000;

export const question: Question = {
  description: 'copies: reflinks, plain copies of one large file, trees of small ones',
  async *cases(surroundings) {
    const { isQuick, note } = surroundings;
    const bytes = (isQuick ? 256 : 1024) * mebibyte;
    note(
      `Load when it began: ${loadavg()
        .map((one) => one.toFixed(1))
        .join(', ')}.`,
    );
    for (const kind of ['xfs', 'btrfs', 'ext4'] as const) {
      const place = mounted(kind, bytes, surroundings);
      if (place === undefined) continue;
      try {
        const source = join(place.path, 'source');
        makeSource(source, bytes);
        if (kind !== 'ext4') yield reflinkCase(place, source, bytes);
        if (kind !== 'btrfs') yield plainCase(place, source, bytes);
        rmSync(source);
        if (kind === 'ext4') yield treeCase(place, isQuick ? treeFiles / 4 : treeFiles);
      } finally {
        place.unmount();
      }
    }
  },
};

function mounted(kind: MountKind, bytes: number, { note }: Surroundings): Mount | undefined {
  const sizeBytes = 3 * bytes + 512 * mebibyte;
  const made = tryMount(kind, { sizeBytes });
  if (made instanceof Mount) {
    note(`${kind}, loop-mounted, an image of ${sizeBytes / mebibyte} MiB.`);
    return made;
  }
  note(`NOT MEASURED on ${kind}: ${made.reason}.`);
  return undefined;
}

/** Bytes that nothing can take for zeros, on the device and in the page cache. */
function makeSource(path: string, bytes: number): void {
  const fd = openSync(path, 'w');
  const block = Buffer.alloc(4 * mebibyte, 'some content, ');
  for (let at = 0; at < bytes; at += block.length) writeSync(fd, block, 0, block.length, at);
  fsyncSync(fd);
  closeSync(fd);
}

/** One copy to a fresh name, timed; the target is taken away afterwards, which is not. */
function subject(
  name: string,
  durable: boolean,
  target: string,
  copy: () => Promise<unknown>,
): Subject {
  return {
    name,
    durable,
    async round() {
      const start = process.hrtime.bigint();
      await copy();
      const ms = Number(process.hrtime.bigint() - start) / 1e6;
      await fsp.rm(target, { recursive: true });
      await run('sync', ['-f', join(target, '..')]);
      return [ms];
    },
  };
}

interface Files {
  readonly source: string;
  readonly target: string;
}

function ours(name: string, files: Files, options: CopyOptions): Subject {
  return subject(name, options.durable !== false, files.target, async () => {
    const { copyFile } = await import('holdfast');
    await copyFile(files.source, files.target, options);
  });
}

function cp(name: string, files: Files, words: readonly string[], isSynced: boolean): Subject {
  return subject(name, isSynced, files.target, async () => {
    await run('cp', [...words, files.source, files.target]);
    if (isSynced) await run('sync', [files.target, join(files.target, '..')]);
  });
}

function node(name: string, { source, target }: Files, mode: number): Subject {
  return subject(name, false, target, () => fsp.copyFile(source, target, mode));
}

function sizeWords(bytes: number): string {
  return bytes >= 1024 * mebibyte ? `${bytes / mebibyte / 1024} GiB` : `${bytes / mebibyte} MiB`;
}

function reflinkCase(place: Mount, source: string, bytes: number): Case {
  const files = { source, target: join(place.path, 'target') };
  return {
    name: `reflink of ${sizeWords(bytes)} on ${place.kind}`,
    unit: 'ms',
    higherIsBetter: false,
    statistics: ['median', 'max'],
    rounds: 21,
    subjects: [
      ours('copyFile', files, { reflink: 'always' }),
      ours('copyFile, durable: false', files, { reflink: 'always', durable: false }),
      cp('cp --reflink=always', files, ['--reflink=always'], false),
      cp('cp --reflink=always, sync', files, ['--reflink=always'], true),
      node('fs.copyFile, FICLONE_FORCE', files, constants.COPYFILE_FICLONE_FORCE),
    ],
    goals: [{ subject: 'copyFile', valueAtMost: 10 }],
  };
}

function plainCase(place: Mount, source: string, bytes: number): Case {
  const files = { source, target: join(place.path, 'target') };
  const reflink = 'never' as const;
  /* ext4 has none: there the way is the one that a user gets, from cp(1) too. */
  const isPlain = place.kind === 'ext4';
  const wish: CopyOptions = isPlain ? {} : { reflink };
  const words = isPlain ? [] : ['--reflink=never'];
  const without = ['cp', ...words].join(' ');
  const withSync = `${without}, sync`;
  const goals: Goal[] = [
    { subject: 'copyFile', against: withSync, rateAtLeast: 1 },
    { subject: 'copyFile, durable: false', against: without, rateAtLeast: 1 },
  ];
  return {
    name: `plain copy of ${sizeWords(bytes)} on ${place.kind}`,
    unit: 'ms',
    higherIsBetter: false,
    rounds: 9,
    subjects: [
      ours('copyFile', files, wish),
      cp(withSync, files, words, true),
      ours('copyFile, durable: false', files, { ...wish, durable: false }),
      cp(without, files, words, false),
      node('fs.copyFile', files, 0),
      subject('fs.cp', false, files.target, () => fsp.cp(source, files.target)),
    ],
    goals,
  };
}

function treeCase(place: Mount, count: number): Case {
  const files = { source: join(place.path, 'tree'), target: join(place.path, 'copy') };
  for (let at = 0; at < count; at++) {
    const directory = join(files.source, `d${at % 20}`);
    if (at < 20) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${at}`), Buffer.alloc(4096, at));
  }
  const tree = (name: string, durable: 'full' | false): Subject =>
    subject(name, durable !== false, files.target, async () => {
      const { copyTree } = await import('holdfast');
      await copyTree(files.source, files.target, { durable });
    });
  return {
    name: `tree of ${count} files of 4 KiB on ${place.kind}`,
    unit: 'ms',
    higherIsBetter: false,
    rounds: 5,
    subjects: [
      tree('copyTree', 'full'),
      tree('copyTree, durable: false', false),
      cp('cp -a', files, ['-a'], false),
      subject('fs.cp, recursive', false, files.target, () =>
        fsp.cp(files.source, files.target, { recursive: true }),
      ),
    ],
  };
}

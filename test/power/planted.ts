/**
 * Wrong ways to replace a file, each leaving out or misplacing one thing. A rig that does not see
 * them sees nothing.
 */
import { equal } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { contentOf } from '../replace/content.js';
import { beginOf, doneOf, recordOf } from './ledger.js';
import type { Site } from './rig.js';

interface Place {
  /** Where the file is, seen through a symbolic link to its directory or not. */
  readonly directory: string;
  readonly target: string;
  readonly temporary: string;
  /** Somebody else syncs a file at this point: ext4 and xfs commit all names with it. */
  meddle(): void;
  /** Somebody else syncs the whole file system. */
  meddleWithAll(): void;
}

function synced(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

function put(path: string, bytes: Uint8Array, { sync }: { readonly sync: boolean }): void {
  const fd = openSync(path, 'w');
  writeSync(fd, bytes);
  if (sync) fsyncSync(fd);
  closeSync(fd);
}

/** By what is wrong with it. */
export const planted: Readonly<Record<string, (place: Place, content: Buffer) => void>> = {
  'the file is not synced'({ directory, target, temporary }, content) {
    put(temporary, content, { sync: false });
    renameSync(temporary, target);
    synced(directory);
  },
  'the directory is not synced'({ target, temporary }, content) {
    put(temporary, content, { sync: true });
    renameSync(temporary, target);
  },
  'nothing is synced'({ target, temporary }, content) {
    put(temporary, content, { sync: false });
    renameSync(temporary, target);
  },
  'renamed before it is synced'({ directory, target, temporary, meddle }, content) {
    const fd = openSync(temporary, 'w');
    writeSync(fd, content);
    renameSync(temporary, target);
    meddle();
    fsyncSync(fd);
    closeSync(fd);
    synced(directory);
  },
  'truncated in place'({ directory, target, meddleWithAll }, content) {
    const fd = openSync(target, 'w');
    meddleWithAll();
    writeSync(fd, content);
    fsyncSync(fd);
    closeSync(fd);
    synced(directory);
  },
  'written in place, without a temporary file'({ directory, target, meddleWithAll }, content) {
    const fd = openSync(target, constants.O_WRONLY | constants.O_CREAT, 0o666);
    const half = content.length >> 1;
    writeSync(fd, content, 0, half);
    meddleWithAll();
    writeSync(fd, content, half);
    ftruncateSync(fd, content.length);
    fsyncSync(fd);
    closeSync(fd);
    synced(directory);
  },
  'the directory of the link is synced, not the one it leads to'({ target, temporary }, content) {
    put(temporary, content, { sync: true });
    renameSync(temporary, target);
    synced(join(target, '../../links'));
  },
  'synced before the last write'({ directory, target, temporary }, content) {
    const fd = openSync(temporary, 'w');
    writeSync(fd, content, 0, content.length - 100);
    fsyncSync(fd);
    writeSync(fd, content, content.length - 100);
    closeSync(fd);
    renameSync(temporary, target);
    synced(directory);
  },
  'the directory is synced before the rename'({ directory, target, temporary }, content) {
    put(temporary, content, { sync: true });
    synced(directory);
    renameSync(temporary, target);
  },
};

/** Runs one of them: an old file replaced and a new one made, turn by turn. */
export function work({ path, input, mark }: Site): void {
  const { wrong, rounds } = input as { readonly wrong: string; readonly rounds: number };
  const replace = planted[wrong] as (typeof planted)[string];
  const directory = join(path, 'real');
  mkdirSync(directory);
  mkdirSync(join(path, 'links'));
  symlinkSync('../real/state', join(path, 'links/state'));
  put(join(directory, 'state'), contentOf(0), { sync: true });
  for (const name of ['links', 'real', '.']) synced(join(path, name));
  const meddle = (): void => put(join(path, 'meddler'), Buffer.from('x'), { sync: true });
  const meddleWithAll = (): void => {
    /* sync(1) -f is syncfs(2). */
    equal(spawnSync('sync', ['-f', path]).status, 0);
  };
  mark('start');
  mark(doneOf({ how: 'replace', name: 'real/state' }, 0));
  for (let turn = 1; turn <= rounds; turn++) {
    for (const name of ['state', `fresh-${turn}`]) {
      const entry = { how: 'replace', name: `real/${name}` } as const;
      const target = join(directory, name);
      const temporary = join(directory, `temporary-${turn}`);
      mark(beginOf(entry, turn));
      replace({ directory, target, temporary, meddle, meddleWithAll }, contentOf(turn));
      mark(doneOf(entry, turn));
      if (turn % 2 === 0) meddle();
    }
  }
  mark('end');
}

/** Appends that are acknowledged unsynced. */
export function appendUnsynced({ path, input, mark }: Site): void {
  const { rounds } = input as { readonly rounds: number };
  const fd = openSync(join(path, 'log'), 'a');
  fsyncSync(fd);
  synced(path);
  mark('start');
  const entry = { how: 'append', name: 'log' } as const;
  for (let turn = 0; turn < rounds; turn++) {
    mark(beginOf(entry, turn));
    writeSync(fd, recordOf(turn));
    mark(doneOf(entry, turn));
  }
  mark('end');
  closeSync(fd);
}

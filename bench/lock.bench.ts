import { closeSync, openSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { looped } from './harness/measure.js';
import { loadPeer, peerLabel } from './harness/peers.js';
import { scratchPlace } from './harness/places.js';
import type { Case, Question, Subject, Surroundings } from './harness/question.js';

const ours = 'file.lock, release';
const oursSync = 'file.lockSync, releaseSync';
/* In 40 ms code that takes microseconds has hardly been compiled. */
const roundMs = 300;

export const question: Question = {
  description: 'taking a lock that nobody else wants, and giving it up',
  async *cases(surroundings) {
    const place = scratchPlace(surroundings);
    const [load = 0] = loadavg();
    surroundings.note(
      `Load average before it: ${load.toFixed(1)} on ${availableParallelism()} CPUs.`,
    );
    try {
      yield await openFileCase(place.path, surroundings);
      yield await lockFileCase(place.path, surroundings);
    } finally {
      place.close();
    }
  },
};

interface FsNativeExtensions {
  readonly default: {
    tryLock(fd: number): boolean;
    waitForLock(fd: number): Promise<void>;
    unlock(fd: number): void;
  };
}

interface ProperLockfile {
  readonly default: {
    lock(path: string): Promise<() => Promise<void>>;
    lockSync(path: string): () => void;
  };
}

async function openFileCase(directory: string, surroundings: Surroundings): Promise<Case> {
  const path = join(directory, 'data');
  writeFileSync(path, 'data');
  const subjects = [...ownOpenFile(path)];
  const peer = (await loadPeer<FsNativeExtensions>('fs-native-extensions', surroundings))?.default;
  if (peer !== undefined) {
    const fd = openSync(path, 'r+');
    const name = peerLabel('fs-native-extensions');
    const run = (count: number): void => {
      for (let index = 0; index < count; index++) {
        if (!peer.tryLock(fd)) throw new Error('The lock is held');
        peer.unlock(fd);
      }
    };
    const waiting = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index++) {
        await peer.waitForLock(fd);
        peer.unlock(fd);
      }
    };
    subjects.push(
      looped({ name: `${name} waitForLock, unlock`, unit: 'us', roundMs, run: waiting }),
    );
    const close = (): void => closeSync(fd);
    subjects.push(looped({ name: `${name} tryLock, unlock`, unit: 'us', roundMs, run, close }));
  }
  const goals = [ours, oursSync].map((subject) => ({ subject, valueAtMost: 20 }));
  return { name: 'a file that is open', unit: 'us', higherIsBetter: false, goals, subjects };
}

function ownOpenFile(path: string): Subject[] {
  const opening = (async () => {
    const { openFileSync } = await import('holdfast');
    return openFileSync(path, { access: 'read-write' });
  })();
  opening.catch(() => undefined);
  return [
    looped({
      name: ours,
      unit: 'us',
      roundMs,
      run: async (count) => {
        const file = await opening;
        for (let index = 0; index < count; index++) {
          const lock = await file.lock();
          await lock.release();
        }
      },
    }),
    looped({
      name: oursSync,
      unit: 'us',
      roundMs,
      run: async (count) => {
        const file = await opening;
        for (let index = 0; index < count; index++) file.lockSync().releaseSync();
      },
      close: async () => (await opening).close(),
    }),
  ];
}

async function lockFileCase(directory: string, surroundings: Surroundings): Promise<Case> {
  const path = join(directory, 'app');
  writeFileSync(path, '');
  const subjects = [...ownLockFile(`${path}.ours`)];
  const proper = (await loadPeer<ProperLockfile>('proper-lockfile', surroundings))?.default;
  if (proper !== undefined) {
    const name = peerLabel('proper-lockfile');
    const later = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index++) await (await proper.lock(path))();
    };
    const now = (count: number): void => {
      for (let index = 0; index < count; index++) proper.lockSync(path)();
    };
    subjects.push(looped({ name: `${name} lock, release`, unit: 'us', run: later }));
    subjects.push(looped({ name: `${name} lockSync, release`, unit: 'us', run: now }));
  }
  const peer = (await loadPeer<FsNativeExtensions>('fs-native-extensions', surroundings))?.default;
  if (peer !== undefined) {
    const name = `fs.promises.open, ${peerLabel('fs-native-extensions')}, close`;
    const run = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index++) {
        const file = await open(`${path}.theirs`, 'a+');
        await peer.waitForLock(file.fd);
        peer.unlock(file.fd);
        await file.close();
      }
    };
    subjects.push(looped({ name, unit: 'us', run }));
  }
  return { name: 'a lock file', unit: 'us', higherIsBetter: false, subjects };
}

function ownLockFile(path: string): Subject[] {
  const loading = import('holdfast');
  return [
    looped({
      name: 'lockFile, release',
      unit: 'us',
      run: async (count) => {
        const { lockFile } = await loading;
        for (let index = 0; index < count; index++) await (await lockFile(path)).release();
      },
    }),
    looped({
      name: 'lockFileSync, releaseSync',
      unit: 'us',
      run: async (count) => {
        const { lockFileSync } = await loading;
        for (let index = 0; index < count; index++) lockFileSync(path).releaseSync();
      },
    }),
  ];
}

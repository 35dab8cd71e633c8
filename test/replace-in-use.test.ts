/**
 * A name that does not change while somebody has its file open, as on Windows: a replace asks again
 * for a while. Elsewhere the same refusals are the system's last word.
 */
import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { replaceFile, replaceFileSync } from 'holdfast';
import { type SimulatedDisk, simulatedDisk } from 'holdfast/testing';

const without = { 'names-of-open-files': 'as on Windows' };

function diskWith(options?: Parameters<typeof simulatedDisk>[1]): SimulatedDisk {
  const disk = simulatedDisk(5, options);
  disk.put('/state', 'old');
  return disk;
}

const renames = ({ engine }: SimulatedDisk) => engine.stats().systemCalls.rename ?? 0;
const contentOf = (disk: SimulatedDisk) => Buffer.from(disk.read('/state') ?? []).toString();

for (const code of ['EBUSY', 'EACCES', 'EPERM']) {
  for (const face of ['async', 'sync'] as const) {
    const replace = async ({ engine }: SimulatedDisk) =>
      face === 'sync'
        ? replaceFileSync('/state', 'new', { engine })
        : replaceFile('/state', 'new', { engine });

    test(`a rename refused with ${code} is asked for again on Windows, ${face}`, async () => {
      const disk = diskWith({ without });
      disk.refuseNth(1, code, { operations: ['Rename'] });
      const { durability, fallbacks, method } = await replace(disk);
      deepEqual([durability, fallbacks, method], ['full', [], 'rename']);
      equal(contentOf(disk), 'new');
      equal(renames(disk), 2);
    });

    test(`a rename refused with ${code} for long leaves the target, ${face}`, async () => {
      const disk = diskWith({ without });
      disk.refuseNth(1, code, { operations: ['Rename'], sticky: true });
      await rejects(replace(disk), { code, durable: 'old' });
      equal(contentOf(disk), 'old');
      deepEqual(disk.list('/'), ['state']);
      /* 1, 2, 4 ... 64 and 100 ms, until 2 s are over, and once at the end. */
      equal(renames(disk), 7 + 19 + 1);
    });

    test(`a rename refused with ${code} is refused at once elsewhere, ${face}`, async () => {
      const disk = diskWith();
      disk.refuseNth(1, code, { operations: ['Rename'] });
      await rejects(replace(disk), { code, durable: 'old' });
      equal(renames(disk), 1);
    });
  }
}

test('a replace that waits for a name heeds an abort', async () => {
  const disk = diskWith({ without });
  disk.refuseNth(1, 'EBUSY', { operations: ['Rename'], sticky: true });
  const { engine } = disk;
  const stop = new AbortController();
  const replaced = replaceFile('/state', 'new', { engine, signal: stop.signal });
  setImmediate(() => stop.abort());
  await rejects(replaced, { name: 'AbortError' });
  equal(contentOf(disk), 'old');
  deepEqual(disk.list('/'), ['state']);
});

test('a refusal of another kind is not asked again', () => {
  const disk = diskWith({ without });
  disk.refuseNth(1, 'EXDEV', { operations: ['Rename'] });
  throws(() => replaceFileSync('/state', 'new', { engine: disk.engine }), { code: 'EXDEV' });
  equal(renames(disk), 1);
});

/**
 * The power goes while journals and JSON lines are written, on real file systems, buffered and
 * direct, on every engine: nothing acknowledged is lost, nothing is invented. And the rig sees a
 * journal that acknowledges too early.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { journalFaultOf } from './journals.js';
import { type DiskKind, diskKinds, type Workload } from './rig.js';
import { type Found, faultsOf, stands } from './search.js';

const statesCount = 100;
const timeout = 118_000;

function workload(name: string, rounds: number): Workload {
  return { module: new URL('./journals.js', import.meta.url), name, input: { rounds } };
}

function search(kind: DiskKind, work: Workload, faultsMax: number): Promise<Found> {
  const seed = Math.floor(Math.random() * 2 ** 31);
  return faultsOf(kind, work, { seed, count: statesCount, faultsMax, faultOf: journalFaultOf });
}

describe('power cuts under journals', { concurrency: 3, timeout: 2 * timeout }, () => {
  for (const kind of diskKinds) {
    test(`what a journal acknowledged survives on ${kind}`, { timeout }, async (t) => {
      if (!stands(t, kind)) return;
      const { count, faults } = await search(kind, workload('work', 14), 5);
      deepEqual(faults, []);
      equal(count, statesCount);
    });
  }

  test('a journal that acknowledges before its sync is flagged', { timeout }, async (t) => {
    if (!stands(t, 'ext4')) return;
    const { faults } = await search('ext4', workload('workUnsynced', 14), 1);
    equal(faults.length, 1, 'nobody noticed');
  });
});

/**
 * The power goes while journals and JSON lines are written, on real file systems, buffered and
 * direct, on every engine: nothing acknowledged is lost, nothing is invented. And the rig sees
 * journals that do what others got wrong.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Flaw, journalFaultOf, oneEpoch } from './journals.js';
import { type DiskKind, diskKinds, type Workload } from './rig.js';
import { type Found, faultsOf, stands } from './search.js';

const statesCount = 100;
const timeout = 118_000;

/** What a wrong journal does, and the work in which that can be seen. */
const planted: ReadonlyMap<Flaw, string> = new Map([
  ['acknowledged before the sync', 'workFlawed'],
  ['no sync of the directory at a rotation', 'workFlawed'],
  ['no cut behind a torn tail', 'workBehindTear'],
  [oneEpoch, 'workRecycled'],
]);

/*
 * Where a wrong journal is right by accident: of 60 states none was wrong. xfs and btrfs log the
 * names of a file with its sync; a write of btrfs goes elsewhere and is whole or not there.
 */
const harmless: ReadonlyMap<Flaw, readonly DiskKind[]> = new Map([
  ['no sync of the directory at a rotation', ['xfs', 'btrfs']],
  ['no cut behind a torn tail', ['btrfs']],
]);

function workload(name: string, rounds: number, flaw?: Flaw): Workload {
  return { module: new URL('./journals.js', import.meta.url), name, input: { rounds, flaw } };
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

  for (const kind of diskKinds) {
    for (const [flaw, name] of planted) {
      if (harmless.get(flaw)?.includes(kind) === true) continue;
      test(`${flaw} is flagged on ${kind}`, { timeout }, async (t) => {
        if (!stands(t, kind)) return;
        const { faults } = await search(kind, workload(name, 14, flaw), 1);
        equal(faults.length, 1, 'nobody noticed');
      });
    }
  }

  for (const name of new Set(planted.values())) {
    test(`${name}() without a flaw is not`, { timeout }, async (t) => {
      if (!stands(t, 'ext4')) return;
      const { faults } = await search('ext4', workload(name, 14), 1);
      deepEqual(faults, []);
    });
  }
});

/**
 * The power goes while journals and JSON lines are written, on real file systems, buffered and
 * direct, on every engine: nothing acknowledged is lost, nothing is invented. And the rig sees a
 * journal that acknowledges too early.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { journalFaultOf } from './journals.js';
import { type DiskKind, diskKinds, record, rigRefusal, type Workload } from './rig.js';

const statesCount = 100;
const timeout = 118_000;

function workload(name: string, rounds: number): Workload {
  return { module: new URL('./journals.js', import.meta.url), name, input: { rounds } };
}

function stands(t: TestContext, kind: DiskKind): boolean {
  const reason = rigRefusal(kind);
  if (reason === undefined) return true;
  t.diagnostic(`NOT TESTED on ${kind}: ${reason}`);
  t.skip(reason);
  return false;
}

async function faultsOf(
  kind: DiskKind,
  work: Workload,
  faultsMax: number,
): Promise<[number, string[]]> {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const recording = await record(kind, work);
  try {
    const faults: string[] = [];
    const states = recording.states(seed, statesCount);
    for (const state of states) {
      const fault = await journalFaultOf(state);
      if (fault !== undefined) faults.push(`seed ${seed}, ${fault}`);
      if (faults.length === faultsMax) break;
    }
    return [states.length, faults];
  } finally {
    await recording.close();
  }
}

describe('power cuts under journals', { concurrency: 3, timeout: 2 * timeout }, () => {
  for (const kind of diskKinds) {
    test(`what a journal acknowledged survives on ${kind}`, { timeout }, async (t) => {
      if (!stands(t, kind)) return;
      const [count, faults] = await faultsOf(kind, workload('work', 14), 5);
      deepEqual(faults, []);
      equal(count, statesCount);
    });
  }

  test('a journal that acknowledges before its sync is flagged', { timeout }, async (t) => {
    if (!stands(t, 'ext4')) return;
    const [, faults] = await faultsOf('ext4', workload('workUnsynced', 14), 1);
    equal(faults.length, 1, 'nobody noticed');
  });
});

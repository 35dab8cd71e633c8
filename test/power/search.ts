/** Looking for states of a disk that break a promise: what every test of the rig does. */
import type { TestContext } from 'node:test';
import { type DiskKind, record, rigRefusal, type State, type Workload } from './rig.js';

/** Whether the rig stands here; skips aloud where it does not. */
export function stands(t: TestContext, kind: DiskKind): boolean {
  const reason = rigRefusal(kind);
  if (reason === undefined) return true;
  t.diagnostic(`NOT TESTED on ${kind}: ${reason}`);
  t.skip(reason);
  return false;
}

export interface Search {
  readonly seed: number;
  readonly count: number;
  readonly faultsMax: number;
  /** What is wrong with a state, if anything. */
  readonly faultOf: (state: State) => Promise<string | undefined>;
}

export interface Found {
  readonly count: number;
  readonly faults: readonly string[];
}

/** Records, and looks at states until so many are wrong. */
export async function faultsOf(
  kind: DiskKind,
  workload: Workload,
  { seed, count, faultsMax, faultOf }: Search,
): Promise<Found> {
  const recording = await record(kind, workload);
  try {
    const faults: string[] = [];
    const states = recording.states(seed, count);
    for (const state of states) {
      const fault = await faultOf(state);
      if (fault !== undefined) faults.push(`seed ${seed}, ${fault}`);
      if (faults.length === faultsMax) break;
    }
    return { count: states.length, faults };
  } finally {
    await recording.close();
  }
}

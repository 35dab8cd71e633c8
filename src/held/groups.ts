/** Many small pieces of work in few crossings: a refusal ends its own piece, not the others'. */
import type { Steps } from '../engine.js';
import { assert } from '../errors.js';
import { linked, type Operation } from '../platform.js';

/* Far below the 1024 rows that one crossing takes (engine/pool.ts). */
const RUN_MAX = 256;

/**
 * Performs groups of operations in order. The first refusal of a group leaves out the rest of that
 * group: those answer -ECANCELED.
 */
export function* groupSteps(groups: readonly (readonly Operation[])[]): Steps<void> {
  let index = 0;
  while (index < groups.length) {
    const run: (readonly Operation[])[] = [];
    let count = 0;
    for (let at = index; at < groups.length; at++) {
      const group = groups[at] as readonly Operation[];
      if (count > 0 && count + group.length > RUN_MAX) break;
      run.push(group);
      count += group.length;
    }
    index += yield* runSteps(run);
  }
}

/* One crossing; answers how many groups are done with. */
function* runSteps(run: readonly (readonly Operation[])[]): Steps<number> {
  const operations = run.flat();
  assert(operations.length > 0, 'a group is not empty');
  const [head, ...rest] = operations;
  yield linked(head as Operation, ...rest);
  for (const operation of operations) operation.next = undefined;
  const refused = run.findIndex((group) => group.some(({ result }) => result < 0));
  return refused < 0 ? run.length : refused + 1;
}

/** What every engine over the addon does with a run before and after it crosses. */
import { assert } from '../errors.js';
import { Code, decodeEntries, decodeStat, type Operation, scratchMemory } from '../platform.js';
import { volumes } from './volumes.js';

/** Rows that cross at once; a run is in one batch. */
export const BATCH_ROWS = 1024;

const CHANGES_DESCRIPTORS = new Uint8Array(64);
for (const code of [Code.Open, Code.OpenBeneath, Code.Duplicate, Code.Close, Code.GetStatusFlags]) {
  CHANGES_DESCRIPTORS[code] = 1;
}

/** What Stat and ReadEntries answer in memory becomes what `Operation` promises. */
export function decode(operation: Operation): void {
  if (CHANGES_DESCRIPTORS[operation.code] === 1) volumes.note(operation);
  if (operation.result < 0 || operation.out === undefined) return;
  if (operation.code === Code.Stat) operation.stat = decodeStat(operation.out);
  else if (operation.code === Code.ReadEntries) {
    Object.assign(operation, decodeEntries(operation.out, operation.result));
  }
}

/** Gives an operation the memory that its answer goes to. */
export function needsMemory(operation: Operation): void {
  if (operation.code === Code.Stat) operation.out ??= scratchMemory(256);
}

/* Made once: a message for each run that is whole would be garbage. */
const RUN_LIMIT = `a run has at most ${BATCH_ROWS} operations`;

/** Operations of a run: few enough to cross in one batch. */
export function runLength(head: Operation): number {
  let count = 0;
  for (let at: Operation | undefined = head; at !== undefined; at = at.next) count++;
  assert(count <= BATCH_ROWS, RUN_LIMIT);
  return count;
}

/** Whether an operation is of a run. */
export function isOfRun(operation: Operation, head: Operation): boolean {
  for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
    if (at === operation) return true;
  }
  return false;
}

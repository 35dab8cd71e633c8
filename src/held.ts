/**
 * Directories held open: names are seen from them, wherever somebody moves them meanwhile. What
 * rooms share that work on many names: opening, reading, looking, and many small pieces of work in
 * few crossings.
 *
 * Invariants: 1. A name of an entry reaches the system byte for byte, also one that is not UTF-8.
 *             2. A refusal of one group of operations leaves the other groups alone.
 * Not promised: where directories cannot be opened, that names are seen from what was opened: they
 * are paths there.
 * Source: openat(2), getdents64(2), path_resolution(7)
 */
export {
  canHold,
  entryIn,
  flagsFor,
  type Held,
  holding,
  holdSteps,
  identityOf,
  isRefusal,
  letGo,
  looking,
  nameIn,
  type Purpose,
  rawOf,
  refused,
} from './held/directories.js';
export { Names, reading, readSteps } from './held/entries.js';
export { groupSteps } from './held/groups.js';

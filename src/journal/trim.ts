/** Giving up the front of a journal: files go back to be used again, or go. */

import type { Steps } from '../engine.js';
import { segmentName, spareName } from '../frames.js';
import { randomName } from '../platform.js';
import type { Committer } from './commit.js';
import type { JournalCounts } from './stats.js';

/**
 * Gives up what lies before an LSN: first the mark says so, durably; then files go, the oldest
 * first, so that whatever a crash leaves has no hole.
 *
 * Errors: `IoError`.
 */
export function* trimSteps(
  disk: Committer,
  lsn: number,
  isHeld: (firstLsn: number) => boolean,
  counts: JournalCounts,
): Steps<void> {
  if (lsn <= disk.trimLsn) return;
  disk.trimLsn = lsn;
  yield* disk.markSteps(false);
  const { shop, segments, spares } = disk;
  const { home, settings } = shop;
  let goneCount = 0;
  while (segments.length > 1 && (segments[1] as number) <= lsn) {
    const firstLsn = segments.shift() as number;
    const name = segmentName(firstLsn);
    if (isHeld(firstLsn) || spares.length >= settings.spareCount) yield* home.remove(name);
    else {
      const spare = spareName(home.engine.randomName?.() ?? randomName());
      yield* home.rename(name, spare);
      spares.push(spare);
    }
    counts.trimmedCount++;
    goneCount++;
  }
  if (goneCount > 0) yield* home.sync();
}

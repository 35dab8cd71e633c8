/** The file that is copied: opened once, looked at twice. */
import { Counters, type Engine, type Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { Latch, openSteps, settingsOf, type Target } from '../file.js';
import { type FileStat, OpenFlag, type Place } from '../platform.js';

/** An open source. */
export interface Source extends Target {
  readonly path: string;
  readonly stat: FileStat;
}

/**
 * Opens a source for reading. A FIFO is not waited for, and a device, which may have no end, is
 * refused.
 *
 * Errors: `IoError`; no descriptor is left then.
 */
export function* openSource(
  engine: Engine,
  place: Place,
  { followsLinks }: { readonly followsLinks: boolean },
): Steps<Source> {
  const settings = settingsOf({ access: 'read' });
  const noFollow = followsLinks ? 0 : OpenFlag.NoFollow;
  const { path } = place;
  const opened = yield* openSteps(engine, place, { ...settings, flags: settings.flags | noFollow });
  const { fd, stat } = opened;
  const counters = new Counters();
  return { engine, latch: new Latch(), counters, path, fd, directAlignment: undefined, stat };
}

/** Errors: `IoError` for what is not a regular file. */
export function checkRegular({ stat, path }: Source): void {
  if (stat.kind === 'file') return;
  const words = `it is a ${stat.kind}, not a regular file`;
  throw new IoError({ action: 'copy the file', code: 'ERR_WRONG_TYPE', path, words, step: 'open' });
}

/**
 * True when somebody wrote to the file between two looks at it, of which `length` bytes were read.
 * Linux 6.13 and later tell two writes apart however close they are (multigrain timestamps);
 * before, those of one tick of the clock, 1 to 10 ms, look alike.
 *
 * What the kernel makes up (proc(5), sysfs(5)) takes no blocks and is not as long as it says: its
 * times are those of the moment, and tell nothing.
 */
export function hasChanged(before: FileStat, after: FileStat, length: number): boolean {
  if (before.size !== after.size) return true;
  const hasBlocks = before.allocatedBytes > 0 || after.allocatedBytes > 0;
  if (!hasBlocks && length !== after.size) return false;
  return before.times[2] !== after.times[2] || before.times[3] !== after.times[3];
}

/** The source is not what it was when the copy began. */
export function changed({ path }: Source): IoError {
  const action = 'copy the file: compare the source';
  return new IoError({ action, code: 'ERR_SOURCE_CHANGED', path, step: 'compare the source' });
}

/** What stays broken once it has broken: the file's word, and the journal's. */
import { type ErrorKind, IoError } from '../errors.js';

/* A system that cannot sync this kind of file has lost nothing by saying so. */
const SYNC_REFUSALS: readonly ErrorKind[] = ['invalid', 'unsupported', 'read-only', 'wrong-type'];

/**
 * Keeps the first failure after which nothing about the bytes on the device is known, and refuses
 * everything from then on. After a failed fsync(2) the next one answers 0 and the pages are clean,
 * with the old bytes on the device: seen on ext4, xfs and btrfs, kernel 6.18. So there is no retry.
 */
export class Latch {
  #cause: IoError | undefined;

  get cause(): IoError | undefined {
    return this.#cause;
  }

  /** Keeps the first cause; later ones change nothing. Answers the error it was given. */
  trip(cause: IoError): IoError {
    this.#cause ??= cause;
    return cause;
  }

  /** As `trip`, for a sync that was refused: where nothing was lost by that, nothing is broken. */
  tripBySync(cause: IoError): IoError {
    return SYNC_REFUSALS.includes(cause.kind) ? cause : this.trip(cause);
  }

  /** Errors: `IoError` of kind `broken` with the first cause, once tripped. */
  check(action: string, path: string | undefined, bytesDone?: number): void {
    const cause = this.#cause;
    if (cause === undefined) return;
    throw new IoError({
      action,
      path,
      code: cause.code,
      kind: 'broken',
      errno: cause.errno,
      syscall: cause.syscall,
      bytesDone,
      cause,
      words: `an earlier failure broke the file; open it again (first cause: ${cause.message})`,
    });
  }
}

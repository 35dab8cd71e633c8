/** What comes back: one completion for each submission that was taken. */
import { type IoError, Status } from '../errors.js';
import type { OpenFile } from '../file.js';

/** What the caller knows a submission by. */
export type Tag = number | bigint;

/**
 * How one submission ended.
 *
 * Units: `bytes` is what was moved, also by an operation that failed after a part.
 * Lifetime: one that `poll` filled is overwritten by the next `poll` into the same array.
 */
export class Completion {
  tag: Tag = 0;
  status: Status = Status.Ok;
  bytes = 0;
  /** Set for every status but `Ok`. */
  error: IoError | undefined = undefined;
  /** The file that an `open` opened. */
  file: OpenFile | undefined = undefined;
}

/** How a copy of a tree fails. A file of its own: the door exports it, the rest can wait. */
import { IoError } from '../errors.js';
import type { Route } from './single.js';
import type { CopyTreeReport } from './tree-options.js';

/** A copy of a tree that failed, with what it had completed by then. */
export class CopyTreeError extends IoError {
  override readonly name: string = 'CopyTreeError';
  /** What stands whole at the target. Its directories may not have been synced. */
  readonly completed: CopyTreeReport;

  constructor(error: IoError, route: Route, completed: CopyTreeReport) {
    super({
      action: `copy the tree: ${error.step}`,
      code: error.code,
      kind: error.kind,
      errno: error.errno,
      syscall: error.syscall,
      path: error.path,
      dest: error.dest ?? route.target.path,
      offset: error.offset,
      bytesDone: completed.bytes,
      step: error.step,
      durable: error.durable,
      cause: error,
    });
    this.completed = completed;
  }
}

/** Operations on names. */
import type { Steps } from '../engine.js';
import { Code, Operation, type PathLike, placeOf, refusal } from '../platform.js';

function* asked(operation: Operation, action: string, dest?: string): Steps<void> {
  yield operation;
  if (operation.result >= 0) return;
  const path = operation.place?.path;
  const step = operation.code === Code.Rename ? 'rename' : 'unlink';
  throw refusal(operation.result, { action, syscall: step, path, dest, step });
}

/** Steps that rename. Errors: `TypeError` at once for what is no path. */
export function renaming(source: PathLike, target: PathLike): Steps<void> {
  const rename = new Operation(Code.Rename);
  rename.place = placeOf(source, 'source');
  rename.place2 = placeOf(target, 'target');
  return asked(rename, 'rename the file', rename.place2.path);
}

/** Steps that remove a name. Errors: `TypeError` at once for what is no path. */
export function removing(path: PathLike): Steps<void> {
  const unlink = new Operation(Code.Unlink);
  unlink.place = placeOf(path);
  return asked(unlink, 'remove the file');
}

/** One operation on an open file, counted, its refusal an error. */
import type { Steps } from '../engine.js';
import { Code, codeName, type FileStat, Operation, refusal } from '../platform.js';
import type { Target } from './transfer.js';

/** Performs one operation on the target. Errors: `IoError`. */
export function* callSteps(target: Target, operation: Operation, action: string): Steps<void> {
  operation.fd = target.fd;
  target.latch.check(action, target.path);
  yield operation;
  target.counters.count(operation);
  if (operation.result >= 0) return;
  throw refusal(operation.result, {
    action,
    syscall: codeName(operation.code),
    path: target.path,
    step: codeName(operation.code),
  });
}

/** The size of the file. Errors: `IoError`. */
export function* sizeSteps(file: Target, mustRun = false): Steps<number> {
  const stat = new Operation(Code.Stat);
  stat.mustRun = mustRun;
  yield* callSteps(file, stat, 'inspect the file');
  return (stat.stat as FileStat).size;
}

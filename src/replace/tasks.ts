/** Operations of a replace in order, as few crossings as their answers allow. */
import { Pause, type Steps } from '../engine.js';
import { assert, IoError } from '../errors.js';
import { type Transfer, transferSteps } from '../file.js';
import { FD_OPENED_IN_RUN, linked, type Operation, opensDescriptor } from '../platform.js';

/* What crosses at once is bounded (engine/pool.ts: 32 rows on the calling thread); attributes are
 * not, so a run is cut here. */
const RUN_MAX = 32;

/**
 * What a refusal means: an error, other tasks in place of the refused one, the same once more after
 * a pause, or nothing.
 */
export type Refused = (operation: Operation) => IoError | readonly Task[] | Pause | undefined;

/** One operation, and what its refusal means. */
export interface Task {
  readonly operation: Operation;
  /** Set for the write: the transfer that prepared the operation. */
  readonly transfer?: Transfer;
  /** Called once it is done. */
  readonly done?: () => void;
  readonly refused: Refused;
}

/** Tells tasks that are not yet under way the descriptor that was opened for them. */
function adopt(tasks: readonly Task[], descriptor: number): void {
  for (const { operation } of tasks) {
    const { fd, place } = operation;
    if (fd === FD_OPENED_IN_RUN) operation.fd = descriptor;
    if (place?.directory === FD_OPENED_IN_RUN) operation.place = place.seenFrom(descriptor);
  }
}

interface Settled {
  readonly goesOn: boolean;
  /** What is to be done in place of the task. */
  readonly instead: readonly Task[];
}

const STOPPED: Settled = { goesOn: false, instead: [] };
const DONE: Settled = { goesOn: true, instead: [] };

function* settle(task: Task, rest: readonly Task[]): Steps<Settled> {
  const { operation, transfer } = task;
  if (transfer !== undefined) {
    const isWhole = operation.result === operation.length;
    transfer.take();
    assert(transfer.isDone || !isWhole || rest.length === 0, 'a run ends where its write does');
    if (!transfer.isDone) yield* transferSteps(transfer);
    task.done?.();
    return isWhole ? DONE : STOPPED;
  }
  if (operation.result < 0) {
    const answer = task.refused(operation);
    if (answer instanceof IoError) throw answer;
    if (answer instanceof Pause) {
      yield answer;
      return { goesOn: false, instead: [task] };
    }
    return answer === undefined ? STOPPED : { goesOn: false, instead: answer };
  }
  if (opensDescriptor(operation.code)) adopt(rest, operation.result);
  task.done?.();
  return DONE;
}

/**
 * Performs tasks in order as one linked run; where the run stops, the refused task decides, and
 * what is left is a run again.
 *
 * Errors: those of the tasks.
 */
export function* taskSteps(tasks: readonly Task[]): Steps<void> {
  let left = tasks;
  while (left.length > 0) {
    const run = left.slice(0, RUN_MAX);
    const [head, ...others] = run.map((task) => task.operation);
    yield linked(head as Operation, ...others);
    /* A short write is resumed alone: still linked, it would take the rest along a second time. */
    for (const { operation } of run) operation.next = undefined;
    let index = 0;
    let settled = DONE;
    while (settled.goesOn && index < run.length) {
      const task = left[index++] as Task;
      settled = yield* settle(task, left.slice(index));
    }
    left = [...settled.instead, ...left.slice(index)];
  }
}

/** The way up: polling and waiting for what has ended. */
import { IoError, invalidType } from '../errors.js';
import { now, startTimer } from '../platform.js';
import { type WaitOptions, waitOf } from './arguments.js';
import { Completion } from './completion.js';
import { Flow } from './flow.js';
import { Asked } from './submission.js';

/* The caller's place in a wait. */
interface Waiting {
  readonly atLeast: number;
  readonly waitsForMore: boolean;
  /** False when the time was over first. */
  readonly resolve: (isDone: boolean) => void;
  stopTimer: (() => void) | undefined;
}

/** Completions are retrieved in the order in which they came. */
export abstract class Retrieval extends Flow {
  readonly #waiting: Set<Waiting> = new Set();
  readonly #notify = (): void => {
    this.#isNotifying = false;
    for (const waiting of [...this.#waiting]) this.#tellIfDone(waiting);
  };
  #isNotifying = false;

  protected override oneEnded(): void {
    if (this.#waiting.size === 0 || this.#isNotifying) return;
    this.#isNotifying = true;
    queueMicrotask(this.#notify);
  }

  /** Whoever waits for more is to look again. */
  protected notify(): void {
    this.#notify();
  }

  /**
   * Retrieves what has ended, without waiting.
   *
   * Shapes: fills `out` from its start, at most `out.length` places, or as many as there are when
   * it is empty; completions that stand there already are overwritten.
   * Units: completions retrieved.
   * Errors: `TypeError` for anything that is not an array.
   */
  poll(out: Completion[]): number {
    if (!Array.isArray(out)) throw invalidType('out', 'an array of completions', out);
    if (this.endedOnes.count === 0) {
      this.submit();
      if (this.inFlight > 0) this.engine.harvest?.();
    }
    const count = Math.min(out.length === 0 ? this.depth : out.length, this.endedOnes.count);
    for (let index = 0; index < count; index++) {
      let completion = out[index];
      if (!(completion instanceof Completion)) {
        completion = new Completion();
        out[index] = completion;
      }
      this.retrieve(completion);
    }
    return count;
  }

  #retrieveAll(): Completion[] {
    const all: Completion[] = [];
    while (this.endedOnes.count > 0) {
      const completion = new Completion();
      this.retrieve(completion);
      all.push(completion);
    }
    return all;
  }

  /**
   * Waits until `atLeast` completions are there, and retrieves all that are. Fewer come when the
   * time is over, or when nothing more is outstanding.
   *
   * Errors: `TypeError`, `RangeError` for bad options.
   */
  async wait(options: WaitOptions = {}): Promise<Completion[]> {
    const { atLeast, timeoutMs } = waitOf(options, this.depth);
    const endMs = timeoutMs < 0 ? -1 : now() + timeoutMs;
    while (!this.isDone(atLeast)) {
      const leftMs = endMs < 0 ? -1 : Math.max(0, endMs - now());
      /* Whoever waits beside this one may have retrieved them: what is left is waited for. */
      if (!(await this.untilDone(atLeast, leftMs, false))) break;
    }
    return this.#retrieveAll();
  }

  protected isDone(atLeast: number): boolean {
    return this.endedOnes.count >= Math.min(atLeast, this.outstanding);
  }

  protected untilDone(atLeast: number, timeoutMs: number, waitsForMore: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const waiting: Waiting = { atLeast, waitsForMore, resolve, stopTimer: undefined };
      this.#waiting.add(waiting);
      if (timeoutMs < 0) return;
      waiting.stopTimer = startTimer(timeoutMs, () => this.#tell(waiting, false));
    });
  }

  #tellIfDone(waiting: Waiting): void {
    const isOver = waiting.waitsForMore ? this.endedOnes.count > 0 || this.isClosing : false;
    if (isOver || (!waiting.waitsForMore && this.isDone(waiting.atLeast)))
      this.#tell(waiting, true);
  }

  #tell(waiting: Waiting, isDone: boolean): void {
    waiting.stopTimer?.();
    this.#waiting.delete(waiting);
    waiting.resolve(isDone);
  }

  /**
   * As `wait`, on the calling thread.
   *
   * Errors: as `wait`; `IoError` of kind `unsupported` where the engine cannot wait for what is
   * under way (`portable`, for what was handed over in an earlier tick). What had ended by then
   * stays to be retrieved.
   */
  waitSync(options: WaitOptions = {}): Completion[] {
    const { atLeast, timeoutMs } = waitOf(options, this.depth);
    const endMs = timeoutMs < 0 ? Number.POSITIVE_INFINITY : now() + timeoutMs;
    this.submit();
    this.engine.harvest?.();
    while (!this.isDone(atLeast)) {
      const leftMs = Math.min(endMs, this.#nextDeadline()) - now();
      if (leftMs <= 0 && now() >= endMs) break;
      this.#waitFor(leftMs, Math.min(atLeast, this.outstanding) - this.endedOnes.count);
    }
    return this.#retrieveAll();
  }

  #waitFor(leftMs: number, count: number): void {
    if (leftMs <= 0) {
      const over = [...this.timed].filter(({ deadlineMs }) => deadlineMs <= now());
      for (const submission of over) {
        this.end(submission, Asked.Time);
        this.timed.delete(submission);
      }
      return;
    }
    const { engine } = this;
    if (engine.wait?.(Number.isFinite(leftMs) ? leftMs : -1, count) === true) return;
    const words = `what is under way on engine ${engine.name} ends in the event loop only`;
    throw new IoError({ action: 'wait on the calling thread', code: 'ENOTSUP', words });
  }

  #nextDeadline(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { deadlineMs } of this.timed) next = Math.min(next, deadlineMs);
    return next;
  }

  /**
   * Completions as they come, until the queue is closed and all were retrieved.
   *
   * Lifetime: each is retrieved when it is yielded; leaving the loop leaves the rest in the queue.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Completion, void, void> {
    while (true) {
      while (this.endedOnes.count > 0) {
        const completion = new Completion();
        this.retrieve(completion);
        yield completion;
      }
      if (this.isClosing && this.outstanding === 0) return;
      await this.untilDone(1, -1, !this.isClosing);
    }
  }
}

/** The engine over `node:fs` alone. */
import {
  type Capabilities,
  errnoOf,
  type Operation,
  opensDescriptor,
  portablePlatform,
} from '../platform.js';
import {
  Counters,
  cancelAfter,
  type Engine,
  type EngineStats,
  goesOn,
  type Waiter,
} from './contract.js';

interface Submitted {
  readonly head: Operation;
  readonly waiter: Waiter;
}

/* Where a run left off: the descriptor it opened. */
interface Run {
  opened: number;
}

/** `node:fs`, with the meaning of every other engine. */
export class PortableEngine implements Engine {
  readonly name = 'portable';
  readonly reason: string;
  readonly viewCountMax: number = portablePlatform.viewCountMax;
  readonly capabilities: Capabilities;
  readonly #counters = new Counters();
  /* In this tick, and not begun. */
  readonly #submitted: Submitted[] = [];

  constructor(capabilities: Capabilities, reason: string) {
    this.capabilities = capabilities;
    this.reason = reason;
  }

  get threads(): number {
    return 0;
  }

  perform(head: Operation): void {
    const run: Run = { opened: errnoOf('EBADF') };
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      at.result = portablePlatform.perform(at, run.opened);
      this.#counters.count(at);
      if (opensDescriptor(at.code)) run.opened = at.result;
      if (!goesOn(at)) {
        cancelAfter(at);
        return;
      }
    }
  }

  submit(head: Operation, waiter: Waiter): void {
    this.#submitted.push({ head, waiter });
    if (this.#submitted.length === 1) queueMicrotask(this.#startAll);
  }

  readonly #startAll = (): void => {
    for (const { head, waiter } of this.#submitted.splice(0)) {
      this.#step(head, { opened: errnoOf('EBADF') }, waiter);
    }
  };

  /**
   * Performs what was submitted in this tick. What is under way ends in the loop, which does not
   * come round while the thread waits.
   */
  wait(): boolean {
    const submitted = this.#submitted.splice(0);
    for (const { head, waiter } of submitted) {
      this.perform(head);
      waiter.settle();
    }
    return submitted.length > 0;
  }

  #step(operation: Operation, run: Run, waiter: Waiter): void {
    portablePlatform.start(operation, run.opened, (result) => {
      operation.result = result;
      this.#counters.count(operation);
      if (opensDescriptor(operation.code)) run.opened = result;
      if (!goesOn(operation)) cancelAfter(operation);
      else if (operation.next !== undefined) {
        this.#step(operation.next, run, waiter);
        return;
      }
      waiter.settle();
    });
  }

  stats(): EngineStats {
    return this.#counters.stats();
  }
}

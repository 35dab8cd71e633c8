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
    this.#step(head, { opened: errnoOf('EBADF') }, waiter);
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

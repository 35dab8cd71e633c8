/** An engine that also answers questions, which are not operations of any engine. */
import type { Engine, EngineName, EngineStats, Waiter } from '../engine.js';
import { type Capabilities, type Operation, Question } from '../platform.js';

/** Hands operations to another engine and answers questions itself. */
export class AskingEngine implements Engine {
  readonly name: EngineName;
  readonly reason: string;
  readonly viewCountMax: number;
  readonly capabilities: Capabilities;
  readonly threads: number;
  readonly #inner: Engine;

  constructor(inner: Engine) {
    this.#inner = inner;
    this.name = inner.name;
    this.reason = inner.reason;
    this.viewCountMax = inner.viewCountMax;
    this.capabilities = inner.capabilities;
    this.threads = inner.threads;
  }

  perform(run: Operation): void {
    if (run instanceof Question) run.ask();
    else this.#inner.perform(run);
  }

  submit(run: Operation, waiter: Waiter): void {
    if (run instanceof Question) run.askLater(() => waiter.settle());
    else this.#inner.submit(run, waiter);
  }

  stats(): EngineStats {
    return this.#inner.stats();
  }
}

/** An engine around another that keeps completions back until they are asked for. */
import type { Engine, EngineName, EngineStats } from 'holdfast';
import type { Operation } from '#holdfast/platform.js';

interface Waiter {
  settle(): void;
}

export class HeldEngine implements Engine {
  readonly name: EngineName;
  readonly reason: string;
  readonly viewCountMax: number;
  readonly capabilities: Engine['capabilities'];
  /** Runs that were submitted. */
  submitted = 0;
  isHolding = false;
  readonly #inner: Engine;
  readonly #ended: Waiter[] = [];
  #whenEnded: (() => void) | undefined;

  constructor(inner: Engine) {
    this.#inner = inner;
    this.name = inner.name;
    this.reason = inner.reason;
    this.viewCountMax = inner.viewCountMax;
    this.capabilities = inner.capabilities;
  }

  get threads(): number {
    return this.#inner.threads;
  }

  stats(): EngineStats {
    return this.#inner.stats();
  }

  perform(run: Operation): void {
    this.#inner.perform(run);
  }

  submit(run: Operation, waiter: Waiter): void {
    this.submitted++;
    const settle = (): void => {
      if (!this.isHolding) {
        waiter.settle();
        return;
      }
      this.#ended.push(waiter);
      this.#whenEnded?.();
    };
    this.#inner.submit(run, { settle });
  }

  /** Resolves when a completion is being kept back. */
  async ended(): Promise<void> {
    while (this.#ended.length === 0) {
      await new Promise<void>((resolve) => {
        this.#whenEnded = resolve;
      });
    }
  }

  /** Tells the oldest completion kept back. */
  tellOne(): void {
    this.#ended.shift()?.settle();
  }

  /** Tells all, and keeps none back from now on. */
  tellAll(): void {
    this.isHolding = false;
    while (this.#ended.length > 0) this.tellOne();
  }
}

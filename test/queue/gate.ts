/** An engine around another that keeps operations from beginning for as long as a test likes. */
import type { CompletionQueue, Engine, EngineName, EngineStats, OpenFile } from 'holdfast';
import { cancelAfter } from '#holdfast/engine.js';
import { errnoOf, type Operation } from '#holdfast/platform.js';
import type { World } from './worlds.js';

interface Waiter {
  settle(): void;
  fail?(error: unknown): void;
}

interface Gated {
  readonly gate: GateEngine;
  readonly queue: CompletionQueue;
  readonly file: OpenFile;
}

interface Held {
  readonly head: Operation;
  readonly waiter: Waiter;
}

function isOfRun(operation: Operation, head: Operation): boolean {
  for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
    if (at === operation) return true;
  }
  return false;
}

/** A queue over a gate, and a file of its world; the gate is shut behind them. */
export async function gated(world: World): Promise<Gated> {
  const gate = new GateEngine(world.engine);
  const queue = world.queue({ engine: gate });
  const file = await world.open('file', {}, gate);
  gate.isShut = true;
  return { gate, queue, file };
}

class GateEngine implements Engine {
  readonly name: EngineName;
  readonly reason: string;
  readonly viewCountMax: number;
  readonly capabilities: Engine['capabilities'];
  isShut = false;
  /** Whether what is held can be cancelled; else it ends as it does. */
  cancels = true;
  /** Cancels that reached it. */
  asked = 0;
  readonly #inner: Engine;
  readonly #held: Held[] = [];
  readonly #ended: Waiter[] = [];

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

  /** Runs that are held. */
  get heldCount(): number {
    return this.#held.length;
  }

  stats(): EngineStats {
    return this.#inner.stats();
  }

  perform(run: Operation): void {
    this.#inner.perform(run);
  }

  submit(head: Operation, waiter: Waiter): void {
    if (this.isShut) this.#held.push({ head, waiter });
    else this.#inner.submit(head, waiter);
  }

  /** Lets the run that has been held longest begin. */
  letOne(): void {
    const { head, waiter } = this.#held.shift() as Held;
    this.#inner.submit(head, waiter);
  }

  /** Lets all begin, and holds none from now on. */
  open(): void {
    this.isShut = false;
    while (this.#held.length > 0) this.letOne();
  }

  cancel(operation: Operation): void {
    this.asked++;
    const index = this.#held.findIndex(({ head }) => isOfRun(operation, head));
    if (index < 0 || !this.cancels) return;
    const [{ head, waiter }] = this.#held.splice(index, 1) as [Held];
    head.result = errnoOf('ECANCELED');
    cancelAfter(head);
    this.#ended.push(waiter);
    setImmediate(() => this.harvest());
  }

  handOver(): void {
    this.#inner.handOver?.();
  }

  harvest(): void {
    for (const waiter of this.#ended.splice(0)) waiter.settle();
    this.#inner.harvest?.();
  }

  /** What is held ends when somebody cancels it: a thread that waits sleeps until its time. */
  wait(timeoutMs: number): boolean {
    if (this.#ended.length === 0 && this.#inner.wait?.(timeoutMs) !== true) {
      if (this.#held.length === 0) return false;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeoutMs < 0 ? 1 : timeoutMs);
    }
    this.harvest();
    return true;
  }
}

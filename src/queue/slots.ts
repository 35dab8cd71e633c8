/** Registered buffers of a queue, by the numbers that its caller has for them. */
import type { Engine } from '../engine.js';
import { outOfRange } from '../errors.js';
import { PartsInUse } from './use.js';

interface Slot {
  readonly view: Uint8Array;
  /** Its place with the engine; -1: it goes as any other view. */
  readonly place: number;
  readonly parts: PartsInUse;
}

/** What a slot may be at most: the engine's table is shared by all queues. */
export class Slots {
  readonly #engine: Engine;
  readonly #slots: Slot[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** True when every registered buffer is one for the kernel too. */
  get isWhole(): boolean {
    return this.#slots.every(({ place }) => place >= 0);
  }

  add(view: Uint8Array): number {
    const place = this.#engine.registerView?.(view) ?? -1;
    return this.#slots.push({ view, place, parts: new PartsInUse() }) - 1;
  }

  /** Errors: `RangeError` for a number that stands for none. */
  at(slot: unknown): Slot {
    const found = typeof slot === 'number' ? this.#slots[slot] : undefined;
    if (found !== undefined) return found;
    const expected = `a registered slot: 0 to ${this.#slots.length - 1}`;
    throw outOfRange('slot', this.#slots.length === 0 ? 'a registered slot' : expected, slot);
  }

  /** Gives the memory back to the caller. Nothing of it may be under way. */
  clear(): void {
    for (const { place } of this.#slots) {
      if (place >= 0) this.#engine.unregisterView?.(place);
    }
    this.#slots.length = 0;
  }
}

/** Registered buffers of a queue, by the numbers that its caller has for them. */
import type { Engine } from '../engine.js';
import { invalidValue, outOfRange } from '../errors.js';
import { PartsInUse } from './use.js';

interface Slot {
  /** Of the length that was registered, also where the caller's grows with its buffer. */
  readonly view: Uint8Array;
  readonly length: number;
  /** Its place with the engine; -1: it goes as any other view. */
  readonly place: number;
  readonly parts: PartsInUse;
}

/** Places in the table of an engine. */
interface Held {
  readonly engine: Engine;
  readonly places: number[];
}

function giveBack({ engine, places }: Held): void {
  for (const place of places) engine.unregisterView?.(place);
  places.length = 0;
}

/* A queue that nobody closes: it is not collected before everything it has accepted has ended. */
const forgotten: FinalizationRegistry<Held> = new FinalizationRegistry(giveBack);

/** What a slot may be at most: the engine's table is shared by all queues. */
export class Slots {
  readonly #held: Held;
  readonly #slots: Slot[] = [];

  constructor(engine: Engine) {
    this.#held = { engine, places: [] };
  }

  /** True when every registered buffer is one for the kernel too. */
  get isWhole(): boolean {
    return this.#slots.every(({ place }) => place >= 0);
  }

  add(given: Uint8Array): number {
    const { length } = given;
    const view = new Uint8Array(given.buffer, given.byteOffset, length);
    const { engine, places } = this.#held;
    const place = engine.registerView?.(view) ?? -1;
    if (this.#slots.length === 0) forgotten.register(this, this.#held, this);
    if (place >= 0) places.push(place);
    return this.#slots.push({ view, length, place, parts: new PartsInUse() }) - 1;
  }

  /** Errors: `RangeError` for a number that stands for none; `TypeError` for memory taken away. */
  at(slot: unknown): Slot {
    const found = typeof slot === 'number' ? this.#slots[slot] : undefined;
    if (found !== undefined && found.view.length === found.length) return found;
    if (found !== undefined) {
      throw invalidValue('slot', 'memory that is still as long as it was registered', slot);
    }
    const expected = `a registered slot: 0 to ${this.#slots.length - 1}`;
    throw outOfRange('slot', this.#slots.length === 0 ? 'a registered slot' : expected, slot);
  }

  /** Gives the memory back to the caller. Nothing of it may be under way. */
  clear(): void {
    giveBack(this.#held);
    forgotten.unregister(this);
    this.#slots.length = 0;
  }
}

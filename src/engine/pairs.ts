/** Completions on their way up: pairs of slot and result that the addon writes. */
import { libraryMemory } from '../platform.js';
import { BATCH_ROWS } from './native.js';

/**
 * Told one after the other, in the order in which they came. Telling one may lead to the next
 * crossing, so what that brings is written behind what has not been told yet.
 */
export class Pairs {
  readonly memory: Float64Array;
  readonly #count: number;
  #read = 0;
  #written = 0;
  /* Slot and result by turns, of those for which there was no room. */
  readonly #own: number[] = [];

  constructor(count: number) {
    this.memory = new Float64Array(libraryMemory(count * 16).buffer);
    this.#count = count;
  }

  /** Where the addon is to write on. */
  get next(): number {
    return this.#written;
  }

  get isEmpty(): boolean {
    return this.#read === this.#written && this.#own.length === 0;
  }

  /** Takes note of pairs that were written. */
  came(count: number): void {
    this.#written += count;
  }

  /** Adds one that the addon did not write. */
  push(slot: number, result: number): void {
    const at = 2 * this.#written;
    if (at === this.memory.length) {
      this.#own.push(slot, result);
      return;
    }
    this.memory[at] = slot;
    this.memory[at + 1] = result;
    this.#written++;
  }

  /** Tells all, and what `reap` finds where there had been no room for a run more. */
  tell(settle: (slot: number, result: number) => void, reap: () => number): void {
    this.#tellWritten(settle, reap);
    if (this.#own.length === 0) return;
    const own = this.#own.splice(0);
    for (let at = 0; at < own.length; at += 2) settle(own[at] as number, own[at + 1] as number);
  }

  #tellWritten(settle: (slot: number, result: number) => void, reap: () => number): void {
    const { memory } = this;
    while (this.#read < this.#written) {
      const at = 2 * this.#read++;
      settle(memory[at] as number, memory[at + 1] as number);
      if (this.#read < this.#written) continue;
      const wasFull = this.#count - this.#written < BATCH_ROWS;
      this.#read = 0;
      this.#written = 0;
      if (wasFull) this.#written = reap();
    }
  }
}

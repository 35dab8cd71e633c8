/** Places of a table that the addon has: who has which. */

/** As many as native/ring.h has: RING_TABLE_MAX. */
const PLACES_MAX = 1024;

/** Hands out the numbers of places. */
export class Places<T> {
  readonly #held: (T | undefined)[] = [];
  readonly #free: number[] = [];

  /** A free place, now held for `value`; -1 when all are taken. */
  take(value: T): number {
    const place = this.#free.pop() ?? this.#held.length;
    if (place >= PLACES_MAX) return -1;
    this.#held[place] = value;
    return place;
  }

  giveBack(place: number): void {
    if (this.#held[place] === undefined) return;
    this.#held[place] = undefined;
    this.#free.push(place);
  }
}

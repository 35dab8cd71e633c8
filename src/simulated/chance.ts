/** Chance that obeys a seed. */

/** Numbers that only look random: the same seed answers the same ones (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to 2^32 - 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** An integer from 0 to `count` - 1. */
  below(count: number): number {
    return count <= 1 ? 0 : Math.floor((this.next() / 0x100000000) * count);
  }

  /** True in a share of the cases. */
  isTrue(share: number): boolean {
    return this.next() < share * 0x100000000;
  }
}

/** Another seed made from one and a number, so that what differs in either differs. */
export function mixed(seed: number, number: number): number {
  return new Chance((seed ^ Math.imul(number + 1, 0x9e3779b1)) >>> 0).next();
}

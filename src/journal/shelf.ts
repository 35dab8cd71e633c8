/** Where a journal that is written finds its own records. */
import type { Committer } from './commit.js';
import type { Home } from './home.js';
import type { Shelf } from './reader.js';

/** The records that a writer has written. */
export class WriterShelf implements Shelf {
  readonly #disk: Committer;
  readonly #held: Map<number, number>;
  readonly #firstLsn: number;

  constructor(disk: Committer, held: Map<number, number>, firstLsn: number) {
    this.#disk = disk;
    this.#held = held;
    this.#firstLsn = firstLsn;
  }

  get home(): Home {
    return this.#disk.shop.home;
  }

  get segments(): readonly number[] {
    return this.#disk.segments;
  }

  get endLsn(): number {
    return this.#disk.writtenEndLsn;
  }

  get firstLsn(): number {
    return Math.max(this.#firstLsn, this.#disk.trimLsn);
  }

  hold(firstLsn: number): void {
    this.#held.set(firstLsn, (this.#held.get(firstLsn) ?? 0) + 1);
  }

  letGo(firstLsn: number): void {
    const left = (this.#held.get(firstLsn) ?? 0) - 1;
    if (left > 0) this.#held.set(firstLsn, left);
    else this.#held.delete(firstLsn);
  }
}

/** The same records, as far as an LSN that stays or moves. */
export function limited(shelf: Shelf, endLsn: number | (() => number)): Shelf {
  return {
    get home() {
      return shelf.home;
    },
    get segments() {
      return shelf.segments;
    },
    get firstLsn() {
      return shelf.firstLsn;
    },
    get endLsn() {
      return typeof endLsn === 'number' ? endLsn : endLsn();
    },
    hold: (firstLsn) => shelf.hold(firstLsn),
    letGo: (firstLsn) => shelf.letGo(firstLsn),
  };
}

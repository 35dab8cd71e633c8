/** First in, first out, in memory that is there from the start. */
export class Fifo<T> {
  readonly #items: (T | undefined)[];
  readonly #mask: number;
  #head = 0;
  #tail = 0;

  /** Units: items that may be in it at once. */
  constructor(capacity: number) {
    const size = 2 ** Math.ceil(Math.log2(capacity + 1));
    this.#items = new Array(size).fill(undefined);
    this.#mask = size - 1;
  }

  get count(): number {
    return (this.#tail - this.#head) & this.#mask;
  }

  push(item: T): void {
    this.#items[this.#tail] = item;
    this.#tail = (this.#tail + 1) & this.#mask;
  }

  /** The item `index` places behind the first. */
  at(index: number): T | undefined {
    return this.#items[(this.#head + index) & this.#mask];
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & this.#mask;
    return item;
  }
}

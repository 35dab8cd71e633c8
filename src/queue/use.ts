/** Which memory operations under way use: what a read may still fill is nobody else's. */
import { invalidValue } from '../errors.js';

const READING = -1;

/** How many writes take from a piece of memory, or -1: a read fills it. */
export class Use {
  #uses = 0;

  /** Errors: `TypeError` naming the argument when what is under way would be disturbed. */
  take(isRead: boolean, argument: string, value: unknown): void {
    if (this.#uses === READING || (isRead && this.#uses > 0)) {
      const expected = 'memory that no operation under way reads into or writes from';
      throw invalidValue(argument, expected, value);
    }
    this.#uses = isRead ? READING : this.#uses + 1;
  }

  /** Answers whether nobody uses it any more. */
  giveBack(): boolean {
    this.#uses = this.#uses === READING ? 0 : this.#uses - 1;
    return this.#uses === 0;
  }
}

/** The uses of views, by view. */
export class MemoryInUse {
  readonly #uses: Map<Uint8Array, Use> = new Map();
  readonly #spare: Use[] = [];

  /**
   * Takes a view for a read (alone) or a write (beside other writes).
   *
   * Errors: as `Use.take`.
   */
  take(view: Uint8Array, isRead: boolean, argument: string): void {
    let use = this.#uses.get(view);
    if (use === undefined) {
      use = this.#spare.pop() ?? new Use();
      this.#uses.set(view, use);
    }
    use.take(isRead, argument, view);
  }

  /** Takes all or none. Errors: as `take`. */
  takeAll(views: readonly Uint8Array[], isRead: boolean, argument: string): void {
    for (const [index, view] of views.entries()) {
      try {
        this.take(view, isRead, `${argument}[${index}]`);
      } catch (error) {
        for (const taken of views.slice(0, index)) this.giveBack(taken);
        throw error;
      }
    }
  }

  giveBack(view: Uint8Array): void {
    const use = this.#uses.get(view);
    if (use?.giveBack() !== true) return;
    this.#uses.delete(view);
    this.#spare.push(use);
  }
}

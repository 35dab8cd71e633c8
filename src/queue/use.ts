/** Which memory operations under way use: what a read may still fill is nobody else's. */
import { invalidValue } from '../errors.js';

const READING = -1;

/** By view or registered slot: how many writes take from it, or that a read fills it. */
export class MemoryInUse {
  readonly #uses: Map<Uint8Array | number, number> = new Map();

  /**
   * Takes a view for a read (alone) or a write (beside other writes).
   *
   * Errors: `TypeError` when it is under way in a way that this would disturb.
   */
  take(key: Uint8Array | number, isRead: boolean, argument: string): void {
    const uses = this.#uses.get(key);
    if (uses !== undefined && (isRead || uses === READING)) {
      const expected = 'memory that no operation under way reads into or writes from';
      throw invalidValue(argument, expected, key);
    }
    this.#uses.set(key, isRead ? READING : (uses ?? 0) + 1);
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

  giveBack(key: Uint8Array | number): void {
    const uses = this.#uses.get(key);
    if (uses === undefined) return;
    if (uses > 1) this.#uses.set(key, uses - 1);
    else this.#uses.delete(key);
  }
}

/** Which memory operations under way use: what a read may still fill is nobody else's. */
import { invalidValue } from '../errors.js';

const READING = -1;
/* Of operations with a million views not all are kept. */
const SPARE_MAX = 1024;
const EXPECTED = 'memory that no operation under way reads into or writes from';

/** How many writes take from a piece of memory, or -1: a read fills it. */
class Use {
  #uses = 0;

  /** Errors: `TypeError` naming the argument when what is under way would be disturbed. */
  take(isRead: boolean, argument: string, value: unknown): void {
    if (this.#uses === READING || (isRead && this.#uses > 0)) {
      throw invalidValue(argument, EXPECTED, value);
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
   * Errors: `TypeError` when it is under way in a way that this would disturb.
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
    if (this.#spare.length < SPARE_MAX) this.#spare.push(use);
  }
}

/** What an operation uses of a registered buffer, in bytes from its start. */
export interface Part {
  partStart: number;
  partEnd: number;
  partIsRead: boolean;
  /** The table's. */
  partIndex: number;
}

/** The parts of one registered buffer that are under way. Makes no garbage. */
export class PartsInUse {
  readonly #parts: Part[] = [];

  /** Takes a part as `MemoryInUse` takes a view. Errors: `TypeError`, as there. */
  take(part: Part, slot: number): void {
    const { partStart, partEnd, partIsRead } = part;
    for (let index = 0; index < this.#parts.length; index++) {
      const other = this.#parts[index] as Part;
      const isShared = partStart < other.partEnd && other.partStart < partEnd;
      if (isShared && (partIsRead || other.partIsRead)) throw invalidValue('slot', EXPECTED, slot);
    }
    part.partIndex = this.#parts.length;
    this.#parts.push(part);
  }

  giveBack(part: Part): void {
    const last = this.#parts.pop() as Part;
    if (last === part) return;
    this.#parts[part.partIndex] = last;
    last.partIndex = part.partIndex;
  }
}

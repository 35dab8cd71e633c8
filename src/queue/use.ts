/** Which memory operations under way use: what a read may still fill is nobody else's. */
import { invalidValue } from '../errors.js';

const READING = -1;
/* So many are looked through: a Map makes 86 bytes of garbage for each that comes and goes. */
const FEW = 64;
const EXPECTED = 'memory that no operation under way reads into or writes from';

function oneMore(uses: number, isRead: boolean, argument: string, value: unknown): number {
  if (uses !== READING && !(isRead && uses > 0)) return isRead ? READING : uses + 1;
  throw invalidValue(argument, EXPECTED, value);
}

function oneFewer(uses: number): number {
  return uses === READING ? 0 : uses - 1;
}

/** By view: how many writes take from it, or that a read fills it. */
export class MemoryInUse {
  readonly #few: (Uint8Array | undefined)[] = new Array(FEW).fill(undefined);
  readonly #fewUses: number[] = new Array(FEW).fill(0);
  readonly #more: Map<Uint8Array, number> = new Map();
  #fewCount = 0;

  /**
   * Takes a view for a read (alone) or a write (beside other writes).
   *
   * Errors: `TypeError` when it is under way in a way that this would disturb.
   */
  take(view: Uint8Array, isRead: boolean, argument: string): void {
    const place = this.#placeOf(view);
    if (place >= 0) {
      this.#fewUses[place] = oneMore(this.#fewUses[place] as number, isRead, argument, view);
      return;
    }
    const uses = this.#more.size > 0 ? (this.#more.get(view) ?? 0) : 0;
    const next = oneMore(uses, isRead, argument, view);
    if (uses !== 0 || this.#fewCount === FEW) this.#more.set(view, next);
    else {
      this.#few[this.#fewCount] = view;
      this.#fewUses[this.#fewCount++] = next;
    }
  }

  #placeOf(view: Uint8Array): number {
    const count = this.#fewCount;
    for (let place = 0; place < count; place++) if (this.#few[place] === view) return place;
    return -1;
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
    const place = this.#placeOf(view);
    const uses = place >= 0 ? this.#fewUses[place] : this.#more.get(view);
    const left = oneFewer(uses as number);
    if (place >= 0) this.#leave(place, left);
    else if (left > 0) this.#more.set(view, left);
    else this.#more.delete(view);
  }

  /* The last of the few takes the place of one that nobody uses any more. */
  #leave(place: number, left: number): void {
    this.#fewUses[place] = left;
    if (left > 0) return;
    const last = --this.#fewCount;
    this.#few[place] = this.#few[last];
    this.#fewUses[place] = this.#fewUses[last] as number;
    this.#few[last] = undefined;
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

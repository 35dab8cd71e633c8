/** The inside of an open image: its parts in memory, what guards them, the root. */
import { IoError } from '../errors.js';
import { type AnySchema, type Described, damaged, isDifference, Space, seenAs } from '../struct.js';
import {
  checkHeader,
  FRAME_BYTES,
  type Section,
  type Tail,
  type Trailer,
  tailOf,
  trailerOf,
} from './format.js';
import type { Verify } from './options.js';
import { Verifier } from './sums.js';

/* So much is verified before somebody else has a turn. */
const VERIFY_STEP_BYTES = 16777216;

/** What is known of an image when its ends have been read. */
export interface Ends {
  readonly path: string | undefined;
  readonly size: number;
  readonly header: Uint8Array;
  readonly trailer: Trailer;
  /** From the end of the values to the trailer. */
  readonly tail: Uint8Array;
}

/** A section as it is told. */
export interface SectionReport {
  /** The field of the root; empty for the root itself. */
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  readonly isLoaded: boolean;
}

/** The image has a layout that the schema cannot read. */
export class LayoutMismatchError extends IoError {
  override readonly name: string = 'LayoutMismatchError';
  /** Where they differ: the names of fields, `[]` for the elements of a list. */
  readonly field: string;
  /** What the image has there, and what the schema. */
  readonly image: string;
  readonly schema: string;

  constructor(difference: { field: string; image: string; schema: string }, path?: string) {
    const { field, image, schema } = difference;
    const words = `the field "${field}" is ${image} in the image and ${schema} in the schema`;
    super({ action: 'read the image', code: 'ERR_IMAGE_LAYOUT', words, path });
    this.field = field;
    this.image = image;
    this.schema = schema;
  }
}

/** Errors: `IoError` of kind `corrupt` for what has not even the size of one. */
export function checkSize(size: number, path: string | undefined): void {
  if (size >= 2 * FRAME_BYTES) return;
  throw damaged(`it is no image: it has ${size} bytes only`, 0, path);
}

/** Where the tail is, by the last bytes of the file. Errors: as `trailerOf` and `checkHeader`. */
export function trailerIn(
  header: Uint8Array,
  last: Uint8Array,
  { size, path }: Pick<Ends, 'size' | 'path'>,
): Trailer {
  checkHeader(header, path);
  return trailerOf(last.subarray(last.length - FRAME_BYTES), { size, header, path });
}

export class Core {
  readonly path: string | undefined;
  readonly size: number;
  readonly space: Space;
  readonly seen: Described;
  readonly sections: readonly Section[];
  readonly verify: Verify;
  readonly layoutHash: string;
  readonly #image: Described;
  readonly #tail: Tail;
  readonly #verifier: Verifier;
  readonly #loaded: boolean[];
  #check: ((isNow: boolean) => void) | undefined;
  #isClosed = false;
  #root: unknown;

  /** Errors: `IoError` of kind `corrupt`; `LayoutMismatchError`. */
  constructor({ path, size, header, trailer, tail }: Ends, schema: AnySchema, verify: Verify) {
    this.path = path;
    this.size = size;
    this.verify = verify;
    this.layoutHash = checkHeader(header, path).toString(16).padStart(16, '0');
    this.#tail = tailOf(tail, trailer, path);
    const { description, sections, sums } = this.#tail;
    const { image, seen } = seenAs(description, schema, trailer.end, path);
    if (isDifference(seen)) throw new LayoutMismatchError(seen, path);
    this.seen = seen;
    this.#image = image;
    this.sections = sections;
    if (sections.length !== image.layout.fields.length + 1) {
      throw damaged('its sections are not those of its layout', trailer.end, path);
    }
    this.#loaded = sections.map(({ length }) => length === 0);
    this.space = new Space(FRAME_BYTES, {
      path,
      alive: () => this.checkAlive(),
      verify: (offset, length) => {
        if (verify !== 'header') this.#verifier.verify(offset, length);
      },
    });
    const bytesAt = (offset: number, length: number): Uint8Array => {
      return this.space.bytesAt(offset, length);
    };
    this.#verifier = new Verifier({ sections, sums, path, bytesAt });
  }

  /** Errors: `IoError` of kind `closed`, or what the check of a map throws. */
  checkAlive(isNow = false): void {
    if (this.#isClosed) {
      const fields = { action: 'look at the image', path: this.path };
      throw new IoError({ ...fields, code: 'ERR_IMAGE_CLOSED' });
    }
    this.#check?.(isNow);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** It is in memory that has to be looked after: `check` throws when it is no more. */
  guardBy(check: (isNow: boolean) => void): void {
    this.#check = check;
  }

  close(): void {
    this.#isClosed = true;
    this.space.clear();
    this.#root = undefined;
  }

  /** The sections of these fields of the root, and the root, that are not loaded. */
  missing(names: readonly string[] | undefined): number[] {
    const all = this.sections.keys();
    const wanted = names?.map((name) => this.#indexOf(name));
    const last = this.sections.length - 1;
    return [...all].filter((index) => {
      const isWanted = wanted === undefined || wanted.includes(index) || index === last;
      return isWanted && !this.#loaded[index];
    });
  }

  #indexOf(name: string): number {
    const index = this.#image.layout.fields.findIndex((field) => field.name === name);
    return index >= 0 ? index : this.sections.length - 1;
  }

  /** Bytes of the image are in memory: those of whole sections, from an offset on. */
  add(offset: number, bytes: Uint8Array): void {
    this.space.add(offset, bytes);
    for (const [index, section] of this.sections.entries()) {
      const isIn = section.offset >= offset;
      const end = section.offset + section.length;
      if (isIn && end <= offset + bytes.length) this.#loaded[index] = true;
    }
  }

  /** Verifies all that is loaded, a part at a time. Errors: `IoError` of kind `corrupt`. */
  *verifyAll(): Generator<void, void, void> {
    for (const index of this.sections.keys()) {
      if (this.#loaded[index]) yield* this.#verifier.verifySection(index, VERIFY_STEP_BYTES);
    }
  }

  /** The view of the root. Errors: `IoError`. */
  root(isNow: boolean): unknown {
    this.checkAlive(isNow);
    if (this.#root === undefined) {
      const { root, end } = this.#tail.trailer;
      const found = this.space.rootAt(root, this.seen, end);
      this.#root = this.seen.get(found.region, found.at);
    }
    return this.#root;
  }

  reports(): readonly SectionReport[] {
    const { fields } = this.#image.layout;
    return this.sections.map(({ offset, length }, index) => {
      const name = fields[index]?.name ?? '';
      return { name, offset, length, isLoaded: this.#loaded[index] === true };
    });
  }
}

/** An open image as its users have it. */
import { drive, type Engine, Pause, type Steps } from '../engine.js';
import { invalidType } from '../errors.js';
import type { CallOptions, OpenFile } from '../file.js';
import { copyOf, type Fields, fieldIndexOf, type Plain, type ViewOf } from '../struct.js';
import type { Core, SectionReport } from './core.js';
import { type Ask, type Asking, loadSteps, type Origin } from './opening.js';
import type { ImageMode, Verify } from './options.js';

/** What an open image is, and why. */
export interface ImageExplanation {
  readonly path: string | undefined;
  /** `memory` for one that was given as bytes. */
  readonly method: ImageMode | 'memory';
  readonly reason: string;
  readonly verify: Verify;
  readonly layoutHash: string;
  /** False: fields that only one of them has are left out, optional ones. */
  readonly isExact: boolean;
  readonly sections: readonly SectionReport[];
}

/** Where an image is, apart from its core. */
export interface Home {
  readonly method: ImageMode | 'memory';
  readonly reason: string;
  readonly isExact: boolean;
  /** Open for as long as there is something to load. */
  readonly file: OpenFile | undefined;
  readonly engine: Engine | undefined;
  readonly origin: Origin;
  /** True as long as the bytes are those of the file. */
  readonly isIntact: () => boolean;
  readonly release: () => Promise<void>;
  readonly releaseSync: () => void;
}

type LoadOptions = Pick<CallOptions, 'signal' | 'timeoutMs'>;

/**
 * An open image. Its root, field by field, is on the image itself too; a field that is called as
 * one of these members is at `root` only.
 *
 * Lifetime: views are good until it is closed; then they throw. What is to be kept is copied.
 */
export class Image<F extends Fields> {
  readonly #core: Core;
  readonly #home: Home;

  /** For `openImage`. */
  constructor(core: Core, home: Home) {
    this.#core = core;
    this.#home = home;
    for (const { name } of core.seen.layout.fields) {
      if (name in this) continue;
      const get = (): unknown => (core.root(false) as Record<string, unknown>)[name];
      Object.defineProperty(this, name, { get, enumerable: true });
    }
  }

  /**
   * The view of the root. Whether the file was cut under the map is looked at each time; elsewhere
   * with every 256th place that a view follows.
   *
   * Errors: `IoError` of kind `closed`, `corrupt`, `broken`.
   */
  get root(): ViewOf<F> {
    return this.#core.root(true) as ViewOf<F>;
  }

  /** Bytes of the whole image. */
  get byteLength(): number {
    return this.#core.size;
  }

  /** Whether every byte in memory is still the file's, and the image open. */
  get intact(): boolean {
    return !this.#core.isClosed && this.#home.isIntact();
  }

  /** The parts of the image: one for each field of the root, then the root. */
  get sections(): readonly SectionReport[] {
    return this.#core.reports();
  }

  /**
   * Loads sections that were left out: those beside each other by one read.
   *
   * Shapes: names of fields of the root; none for all of them.
   * Errors: `TypeError` for a name that is none; `IoError`; `AbortError`.
   */
  async load(names?: readonly string[], options: LoadOptions = {}): Promise<void> {
    const { engine, file } = this.#home;
    const steps = this.#load(names);
    if (engine !== undefined) await answered(engine, file, steps, options);
  }

  /** As `load`, on the calling thread. Errors: as `load`. */
  loadSync(names?: readonly string[]): void {
    const steps = this.#load(names);
    if (this.#home.engine !== undefined) answeredSync(this.#home.file, steps);
  }

  #load(names: readonly string[] | undefined): Asking<void> {
    this.#core.checkAlive();
    checkNames(this.#core, names, 'names');
    return loadSteps(this.#home.origin, this.#core, names);
  }

  /**
   * Compares all that is loaded with its checksums, what was compared already left out.
   *
   * Errors: `IoError` of kind `corrupt` with the offset of the block that is not as written.
   */
  async verify(options: LoadOptions = {}): Promise<void> {
    const { engine, file } = this.#home;
    if (engine === undefined) this.verifySync();
    else await answered(engine, file, this.#verify(), options);
  }

  /** As `verify`, on the calling thread. Errors: as `verify`. */
  verifySync(): void {
    answeredSync(undefined, this.#verify());
  }

  *#verify(): Asking<void> {
    this.#core.checkAlive();
    for (const _ of this.#core.verifyAll()) yield undefined;
  }

  /** Plain values of all of it, which need the image no longer. Errors: as `root`. */
  copy(): Plain<ViewOf<F>> {
    return copyOf(this.root);
  }

  /** What this image is and why: how it came into memory, what is verified, its sections. */
  explain(): ImageExplanation {
    const { path, verify, layoutHash } = this.#core;
    const { method, reason, isExact } = this.#home;
    return { path, method, reason, verify, layoutHash, isExact, sections: this.sections };
  }

  /** Lets go of file and memory: views throw from now on. Again it does nothing. Errors: none. */
  async close(): Promise<void> {
    this.#core.close();
    await this.#home.release();
  }

  /** As `close`, on the calling thread. Errors: none. */
  closeSync(): void {
    this.#core.close();
    this.#home.releaseSync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.dispose](): void {
    this.closeSync();
  }
}

/** Errors: `TypeError` for a name that is no field of the root. */
export function checkNames(
  { seen }: Pick<Core, 'seen'>,
  names: readonly string[] | undefined,
  argument: string,
): void {
  if (names === undefined) return;
  if (!Array.isArray(names)) throw invalidType(argument, 'an array of fields of the root', names);
  for (const [index, name] of names.entries()) fieldIndexOf(seen, name, `${argument}[${index}]`);
}

function* turn(): Steps<void> {
  yield new Pause(0);
}

/** Answers what is asked of a file without blocking the loop. */
export async function answered<T>(
  engine: Engine,
  file: OpenFile | undefined,
  asking: Asking<T>,
  options: LoadOptions,
): Promise<T> {
  let step = asking.next(0);
  while (!step.done) {
    const ask: Ask = step.value;
    if (ask === undefined || file === undefined) await drive(engine, turn(), options.signal);
    const done = ask === undefined ? 0 : await file?.readAt(ask.views, ask.offset, options);
    step = asking.next(done ?? 0);
  }
  return step.value;
}

/** As `answered`, on the calling thread. */
export function answeredSync<T>(file: OpenFile | undefined, asking: Asking<T>): T {
  let step = asking.next(0);
  while (!step.done) {
    const ask: Ask = step.value;
    step = asking.next(ask === undefined ? 0 : (file?.readAtSync(ask.views, ask.offset) ?? 0));
  }
  return step.value;
}

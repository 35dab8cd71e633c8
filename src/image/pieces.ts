/** Where an open image lies: in one map, in a map for each section, or in memory that was read. */
import { IoError } from '../errors.js';
import type { OpenFile } from '../file.js';
import type { MappedFile } from '../mapped.js';
import type { Core } from './core.js';
import type { Origin } from './opening.js';
import type { ImageMode } from './options.js';

/* A look at the file costs microseconds, a look at memory nanoseconds: every so many of these. */
const LOOKS_BETWEEN = 256;

interface Range {
  readonly offset: number;
  readonly length: number;
}

export class Pieces {
  readonly file: OpenFile;
  /** True: it does not fit in one map, and its sections are mapped one by one. */
  isTooLarge = false;
  readonly #maps: MappedFile[] = [];
  #looks = 0;

  constructor(file: OpenFile) {
    this.file = file;
  }

  /** Maps all of it, unless it is too large for one map. Errors: as `mapFile`. */
  async tryWhole(map: () => Promise<MappedFile>): Promise<void> {
    try {
      this.#maps.push(await map());
    } catch (error) {
      this.#tooLarge(error);
    }
  }

  /** As `tryWhole`, on the calling thread. Errors: as `mapFile`. */
  tryWholeSync(map: () => MappedFile): void {
    try {
      this.#maps.push(map());
    } catch (error) {
      this.#tooLarge(error);
    }
  }

  #tooLarge(error: unknown): void {
    if (!(error instanceof IoError) || error.kind !== 'too-large') throw error;
    this.isTooLarge = true;
  }

  /** Where the bytes come from, if all are mapped. */
  get origin(): Origin | undefined {
    const [map] = this.#maps;
    if (map === undefined) return undefined;
    return { path: this.file.path, size: map.length, whole: map.bytes };
  }

  /** Where they come from, if they are to be read. */
  unmapped(size: number): Origin {
    return { path: this.file.path, size, whole: undefined };
  }

  /** What is still to be mapped. */
  left(core: Core): readonly Range[] {
    if (!this.isTooLarge) return [];
    return core.missing(undefined).map((index) => {
      const { offset = 0, length = 0 } = core.sections[index] ?? {};
      return { offset, length };
    });
  }

  /** Adds the map of a section. */
  add(core: Core, map: MappedFile): void {
    this.#maps.push(map);
    core.add(map.offset, map.bytes);
  }

  /** Lets the core look at the maps now and then. */
  guard(core: Core): void {
    if (this.#maps.length === 0) return;
    core.guardBy((isNow) => {
      if (!isNow && ++this.#looks < LOOKS_BETWEEN) return;
      this.#looks = 0;
      for (const map of this.#maps) map.bytes;
    });
  }

  get isIntact(): boolean {
    return this.#maps.every((map) => map.intact);
  }

  /** How it came into memory, and why so. */
  explained(asked: ImageMode): { readonly method: ImageMode; readonly reason: string } {
    const [map] = this.#maps;
    if (map === undefined) return { method: 'read', reason: 'it was asked for' };
    const { method, reason } = map.explain();
    const isApart = this.isTooLarge
      ? '; it is too large for one map: each section has its own'
      : '';
    return { method: asked === 'map' ? method : 'read', reason: `${reason}${isApart}` };
  }

  /** Lets go of everything. */
  async release(): Promise<void> {
    await Promise.all([this.file.close(), ...this.#maps.map((map) => map.release())]);
  }

  /** As `release`, on the calling thread. */
  releaseSync(): void {
    for (const map of this.#maps) map.releaseSync();
    this.file.closeSync();
  }
}

/** What a logged disk was told, and which contents it may have after a power cut. */

/** The least that a disk writes whole. */
const sectorBytes = 4096;

const kinds = { write: 1, sync: 2, mark: 3, zero: 4 } as const;
const headBytes = 24;

/** One write of at most a sector, or one zeroing. */
export interface Write {
  readonly offset: number;
  readonly length: number;
  /** Absent for zeros. */
  readonly bytes?: Uint8Array;
}

/**
 * The time from one sync to the next. What was written before it is on the medium; of what is
 * written in it any part may be. Marks count if they were set before it ended: nothing that it
 * wrote need have reached the medium by then.
 */
export interface Epoch {
  readonly writes: readonly Write[];
  readonly marks: readonly string[];
}

/** Reads the log. The sectors of a write are apart: a write may be torn. */
export function epochsOf(log: Uint8Array): Epoch[] {
  const view = new DataView(log.buffer, log.byteOffset, log.byteLength);
  const epochs: { writes: Write[]; marks: string[] }[] = [{ writes: [], marks: [] }];
  for (let at = 0; at + headBytes <= log.length; ) {
    const epoch = epochs.at(-1) as (typeof epochs)[number];
    const kind = view.getUint32(at, true);
    const offset = Number(view.getBigUint64(at + 8, true));
    const length = Number(view.getBigUint64(at + 16, true));
    at += headBytes;
    if (kind === kinds.sync) epochs.push({ writes: [], marks: [] });
    if (kind === kinds.zero) epoch.writes.push({ offset, length });
    if (kind !== kinds.write && kind !== kinds.mark) continue;
    const bytes = log.subarray(at, at + length);
    at += length;
    if (kind === kinds.mark) epoch.marks.push(Buffer.from(bytes).toString('utf8'));
    else epoch.writes.push(...sectorsOf(offset, bytes));
  }
  return epochs;
}

function sectorsOf(offset: number, bytes: Uint8Array): Write[] {
  const sectors: Write[] = [];
  for (let done = 0; done < bytes.length; ) {
    const room = sectorBytes - ((offset + done) % sectorBytes);
    const part = bytes.subarray(done, done + room);
    sectors.push({ offset: offset + done, length: part.length, bytes: part });
    done += part.length;
  }
  return sectors;
}

/** Numbers from 0 to 1 that a seed repeats (mulberry32). */
export type Chance = () => number;

export function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (chance: Chance, end: number): number => Math.floor(chance() * end);

/**
 * Which of so many unsynced writes reach the medium: none, all, the first ones, any, all but one,
 * one alone.
 */
export function keptBy(chance: Chance, count: number): boolean[] {
  const one = below(chance, count);
  const share = chance();
  const rules: ((index: number) => boolean)[] = [
    () => false,
    () => true,
    (index) => index < one,
    () => chance() < share,
    (index) => index !== one,
    (index) => index === one,
  ];
  const rule = rules[below(chance, rules.length)] as (index: number) => boolean;
  return Array.from({ length: count }, (_, index) => rule(index));
}

/** An epoch and what is kept of it. Each once; as many as there are, if they are fewer. */
export interface Choice {
  readonly epoch: number;
  readonly kept: readonly boolean[];
}

/** What is on the medium when an epoch begins: of what was written over, the last alone. */
export class Medium {
  readonly #epochs: readonly Epoch[];
  readonly #first: readonly Write[];
  #writes: Map<string, Write> = new Map();
  #epoch = 0;

  /** `first` is there before the first epoch. */
  constructor(epochs: readonly Epoch[], first: readonly Write[]) {
    this.#epochs = epochs;
    this.#first = first;
    this.#rewind();
  }

  /** In an order in which they can be written; cheap for epochs that go up. */
  before(epoch: number): Iterable<Write> {
    if (epoch < this.#epoch) this.#rewind();
    while (this.#epoch < epoch) this.#put((this.#epochs[this.#epoch++] as Epoch).writes);
    return this.#writes.values();
  }

  #rewind(): void {
    this.#writes = new Map();
    this.#epoch = 0;
    this.#put(this.#first);
  }

  #put(writes: readonly Write[]): void {
    for (const write of writes) {
      const key = `${write.offset} ${write.length}`;
      /* Last, since others may overlap it in part. */
      this.#writes.delete(key);
      this.#writes.set(key, write);
    }
  }
}

/** Chooses among the epochs from the first mark to the last; they go up. */
export function choicesOf(epochs: readonly Epoch[], seed: number, count: number): Choice[] {
  const chance = chanceOf(seed);
  const isMarked = ({ marks }: Epoch): boolean => marks.length > 0;
  const first = epochs.findIndex(isMarked);
  const end = epochs.findLastIndex(isMarked) + 1;
  const chosen = new Map<string, Choice>();
  /* Few writes give few states: give up once hardly any choice is a new one. */
  for (let tries = 0; chosen.size < count && tries < count * 8; tries++) {
    const epoch = first + below(chance, end - first);
    const kept = keptBy(chance, (epochs[epoch] as Epoch).writes.length);
    chosen.set(`${epoch}:${kept.map(Number).join('')}`, { epoch, kept });
  }
  return [...chosen.values()].sort((a, b) => a.epoch - b.epoch);
}

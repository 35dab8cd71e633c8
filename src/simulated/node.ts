/**
 * One file, directory or link of a simulated disk, twice: as the cache shows it, and as the medium
 * has it. What was changed since the last sync lies between the two, sector by sector.
 *
 * Sectors are never changed in place, so disks share them.
 */

export const SECTOR_BYTES = 512;

export type NodeKind = 'file' | 'directory' | 'symlink';
export type Sector = Uint8Array | undefined;

export interface Times {
  readonly accessedSeconds: number;
  readonly accessedNanoseconds: number;
  readonly modifiedSeconds: number;
  readonly modifiedNanoseconds: number;
}

/** What is set by calls of its own and made durable by fsync(2) alone. */
export interface Traits {
  readonly mode: number;
  readonly user: number;
  readonly group: number;
  readonly attributes: ReadonlyMap<string, Uint8Array>;
  readonly times: Times;
}

export interface Content {
  size: number;
  readonly sectors: Sector[];
}

/** Where the medium puts a sector it was told to write: nowhere, or some sectors away. */
export type Lie = 'lost' | number;

/** What a sector held after one of the writes since the last sync. */
export interface Version {
  readonly bytes: Sector;
  readonly order: number;
  readonly lie: Lie | undefined;
}

export interface SizeChange {
  readonly size: number;
  readonly order: number;
}

export type Names = Map<string, number>;

function copyOf(content: Content): Content {
  return { size: content.size, sectors: content.sectors.slice() };
}

function sectorsIn(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES);
}

/** Puts a sector, filling what lies before it: arrays with gaps are slow. */
export function putSector(sectors: Sector[], index: number, bytes: Sector): void {
  while (sectors.length < index) sectors.push(undefined);
  sectors[index] = bytes;
}

/** Cuts the sectors to a size: none is left beyond it. */
function cutSectors(sectors: Sector[], size: number): void {
  const count = sectorsIn(size);
  if (sectors.length > count) sectors.length = count;
}

export class Node {
  readonly number: number;
  readonly kind: NodeKind;
  /** The tree that may change this node; others copy it first. */
  owner: object;
  parent = 0;
  mediumParent = 0;
  target = '';
  links = 0;
  mediumLinks = 0;
  /** Open file descriptions. */
  opens = 0;
  cache: Content = { size: 0, sectors: [] };
  medium: Content = this.cache;
  names: Names | undefined = undefined;
  mediumNames: Names | undefined = undefined;
  traits: Traits;
  mediumTraits: Traits;
  changedMs = 0;
  createdMs = 0;
  /** Sectors that are not holes, as the cache has them. */
  allocatedCount = 0;
  /** By sector: what was written since the last sync, in order. */
  versions: Map<number, Version[]> | undefined = undefined;
  sizes: SizeChange[] | undefined = undefined;
  traitVersions: Traits[] | undefined = undefined;
  /** True when clean sectors of the cache are not those of the medium. */
  isDivergent = false;
  #order = 0;

  constructor(number: number, kind: NodeKind, traits: Traits, owner: object) {
    this.number = number;
    this.kind = kind;
    this.traits = traits;
    this.mediumTraits = traits;
    this.owner = owner;
    if (kind === 'directory') {
      this.names = new Map();
      this.mediumNames = this.names;
    }
  }

  /** True when there is something a crash could take away. */
  get isUnsynced(): boolean {
    return (
      this.versions !== undefined || this.sizes !== undefined || this.traitVersions !== undefined
    );
  }

  copyFor(owner: object): Node {
    const copy = new Node(this.number, this.kind, this.traits, owner);
    const isOneContent = this.cache === this.medium;
    const isOneNames = this.names === this.mediumNames;
    Object.assign(copy, this, { owner });
    copy.cache = copyOf(this.cache);
    copy.medium = isOneContent ? copy.cache : copyOf(this.medium);
    if (this.names !== undefined) {
      copy.names = new Map(this.names);
      copy.mediumNames = isOneNames ? copy.names : new Map(this.mediumNames);
    }
    if (this.versions !== undefined) {
      copy.versions = new Map([...this.versions].map(([sector, list]) => [sector, list.slice()]));
    }
    copy.sizes = this.sizes?.slice();
    copy.traitVersions = this.traitVersions?.slice();
    copy.#order = this.#order;
    return copy;
  }

  /** The names as the cache has them, to be changed. */
  ownNames(): Names {
    if (this.names === this.mediumNames) this.names = new Map(this.mediumNames);
    return this.names as Names;
  }

  /** The names as the medium has them, to be changed. */
  ownMediumNames(): Names {
    if (this.names === this.mediumNames) this.mediumNames = new Map(this.names);
    return this.mediumNames as Names;
  }

  /** Reads into the views; answers the bytes read. */
  read(views: readonly Uint8Array[], offset: number, limit: number): number {
    const { size, sectors } = this.cache;
    let left = Math.max(0, Math.min(limit, size - offset));
    let at = offset;
    for (const view of views) {
      let filled = 0;
      while (filled < view.length && left > 0) {
        const inside = at % SECTOR_BYTES;
        const count = Math.min(SECTOR_BYTES - inside, view.length - filled, left);
        const sector = sectors[(at - inside) / SECTOR_BYTES];
        if (sector === undefined) view.fill(0, filled, filled + count);
        else view.set(sector.subarray(inside, inside + count), filled);
        filled += count;
        at += count;
        left -= count;
      }
    }
    return at - offset;
  }

  /** Sectors a write of so many bytes would take that are holes now. */
  newSectorCount(offset: number, length: number): number {
    let count = 0;
    const end = sectorsIn(offset + length);
    for (let index = Math.floor(offset / SECTOR_BYTES); index < end; index++) {
      if (this.cache.sectors[index] === undefined) count++;
    }
    return count;
  }

  /** Writes all of the views; `length` is what they hold. */
  write(
    views: readonly Uint8Array[],
    length: number,
    offset: number,
    lie: Lie | undefined = undefined,
  ): void {
    this.#detach();
    const { sectors } = this.cache;
    const first = Math.floor(offset / SECTOR_BYTES);
    const last = sectorsIn(offset + length) - 1;
    const bytes = new Uint8Array((last - first + 1) * SECTOR_BYTES);
    const head = sectors[first];
    if (head !== undefined) bytes.set(head);
    const tail = last > first ? sectors[last] : undefined;
    if (tail !== undefined) bytes.set(tail, (last - first) * SECTOR_BYTES);
    let at = offset - first * SECTOR_BYTES;
    let left = length;
    for (const view of views) {
      if (left <= 0) break;
      bytes.set(view.length > left ? view.subarray(0, left) : view, at);
      at += view.length;
      left -= view.length;
    }
    this.#order++;
    if (first === last) this.#renew(first, bytes, lie);
    else {
      for (let index = first; index <= last; index++) {
        const start = (index - first) * SECTOR_BYTES;
        this.#renew(index, bytes.subarray(start, start + SECTOR_BYTES), lie);
      }
    }
    if (offset + length > this.cache.size) this.#resize(offset + length);
  }

  /** Turns a range into zeros; whole sectors become holes. */
  erase(offset: number, length: number): void {
    const end = Math.min(offset + length, sectorsIn(this.cache.size) * SECTOR_BYTES);
    if (end <= offset) return;
    this.#detach();
    this.#order++;
    const { sectors } = this.cache;
    for (let index = Math.floor(offset / SECTOR_BYTES); index * SECTOR_BYTES < end; index++) {
      const old = sectors[index];
      if (old === undefined) continue;
      const start = index * SECTOR_BYTES;
      const [from, to] = [Math.max(offset, start), Math.min(end, start + SECTOR_BYTES)];
      const isWhole = to - from === SECTOR_BYTES;
      this.#renew(index, isWhole ? undefined : old.slice().fill(0, from - start, to - start));
    }
  }

  /** Takes a range of whole sectors out; what lies behind moves up. */
  collapse(offset: number, length: number): void {
    this.#detach();
    this.#order++;
    const { size, sectors } = this.cache;
    const count = sectorsIn(size);
    const shift = length / SECTOR_BYTES;
    for (let index = offset / SECTOR_BYTES; index + shift < count; index++) {
      this.#renew(index, sectors[index + shift]);
    }
    this.truncate(size - length);
  }

  truncate(size: number): void {
    const old = this.cache.size;
    if (size === old) return;
    this.#detach();
    this.#order++;
    if (size < old) {
      const { sectors } = this.cache;
      const inside = size % SECTOR_BYTES;
      const cut = (size - inside) / SECTOR_BYTES;
      const torn = inside === 0 ? undefined : sectors[cut];
      if (torn !== undefined) this.#renew(cut, torn.slice().fill(0, inside));
      for (let index = sectorsIn(size); index < sectors.length; index++) {
        if (sectors[index] !== undefined) this.allocatedCount--;
      }
      cutSectors(sectors, size);
    }
    this.#resize(size);
  }

  setTraits(traits: Traits): void {
    this.traits = traits;
    this.traitVersions ??= [];
    this.traitVersions.push(traits);
  }

  /** Sets times that no call asked for: nothing that a crash has to choose about. */
  touch(times: Times): void {
    this.traits = { ...this.traits, times };
  }

  /** fdatasync(2): content and size reach the medium. */
  syncContent(): void {
    const { versions, sizes } = this;
    if (versions === undefined && sizes === undefined) return;
    this.#syncSize();
    this.versions = undefined;
    if (versions === undefined) return;
    for (const [sector, list] of versions) {
      const { lie } = list[list.length - 1] as Version;
      if (lie !== undefined) this.#misplace(sector, lie);
      else this.#reach(sector, this.cache.sectors[sector]);
    }
  }

  /** What O_DSYNC makes durable: the sectors of one write, and the size. */
  syncRange(offset: number, length: number): void {
    this.#syncSize();
    const end = sectorsIn(offset + length);
    for (let index = Math.floor(offset / SECTOR_BYTES); index < end; index++) {
      const list = this.versions?.get(index);
      if (list === undefined) continue;
      const { lie } = list[list.length - 1] as Version;
      if (lie !== undefined) this.#misplace(index, lie);
      else this.#reach(index, this.cache.sectors[index]);
      this.versions?.delete(index);
    }
    if (this.versions?.size === 0) this.versions = undefined;
  }

  syncTraits(): void {
    this.mediumTraits = this.traits;
    this.traitVersions = undefined;
  }

  /** A sync that fails: the sectors are clean now and have not reached the medium (fsyncgate). */
  dropVersions(): void {
    if (this.versions === undefined) return;
    this.versions = undefined;
    this.isDivergent = true;
  }

  /** Forgets what is clean: the next read sees the medium. */
  dropCache(): void {
    if (!this.isDivergent) return;
    const content = copyOf(this.medium);
    content.size = this.cache.size;
    for (const [sector, list] of this.versions ?? []) {
      putSector(content.sectors, sector, list[list.length - 1]?.bytes);
    }
    cutSectors(content.sectors, content.size);
    this.cache = content;
    this.allocatedCount = content.sectors.reduce(
      (sum, one) => sum + (one === undefined ? 0 : 1),
      0,
    );
    this.isDivergent = false;
  }

  /** Changes one bit of what lies at an offset, in the cache and on the medium. */
  rot(offset: number, bit: number): void {
    const index = Math.floor(offset / SECTOR_BYTES);
    const rotten = (sectors: Sector[]): Sector => {
      const bytes = sectors[index]?.slice() ?? new Uint8Array(SECTOR_BYTES);
      bytes[offset % SECTOR_BYTES] = (bytes[offset % SECTOR_BYTES] as number) ^ (1 << bit);
      return bytes;
    };
    this.#detach();
    const onMedium = rotten(this.medium.sectors);
    putSector(this.cache.sectors, index, rotten(this.cache.sectors));
    putSector(this.medium.sectors, index, onMedium);
    this.isDivergent = true;
  }

  #detach(): void {
    if (this.cache === this.medium) this.cache = copyOf(this.medium);
  }

  #renew(index: number, bytes: Sector, lie: Lie | undefined = undefined): void {
    const { sectors } = this.cache;
    if ((sectors[index] === undefined) !== (bytes === undefined)) {
      this.allocatedCount += bytes === undefined ? -1 : 1;
    }
    putSector(sectors, index, bytes);
    this.versions ??= new Map();
    const version = { bytes, order: this.#order, lie };
    const list = this.versions.get(index);
    if (list === undefined) this.versions.set(index, [version]);
    else list.push(version);
  }

  #resize(size: number): void {
    this.cache.size = size;
    this.sizes ??= [];
    this.sizes.push({ size, order: this.#order });
  }

  /* What a cut took away is gone from the medium too, once the size is there. */
  #syncSize(): void {
    if (this.sizes === undefined) return;
    const { cache, medium } = this;
    let least = medium.size;
    for (const { size } of this.sizes) least = Math.min(least, size);
    for (let index = sectorsIn(least); index < medium.sectors.length; index++) {
      const isPending = this.versions?.has(index) ?? false;
      medium.sectors[index] = isPending ? undefined : cache.sectors[index];
    }
    medium.size = cache.size;
    cutSectors(medium.sectors, medium.size);
    this.sizes = undefined;
  }

  #reach(sector: number, bytes: Sector): void {
    if (sector < sectorsIn(this.medium.size)) putSector(this.medium.sectors, sector, bytes);
  }

  #misplace(sector: number, lie: Lie): void {
    this.isDivergent = true;
    if (lie !== 'lost' && sector + lie >= 0) this.#reach(sector + lie, this.cache.sectors[sector]);
  }
}

/**
 * What is in a directory, batch by batch, and below it. Sixteen directories cross at once, each
 * opened beneath the first by a path on which no link is followed.
 */

import type { Engine, Steps } from '../engine.js';
import type { IoError } from '../errors.js';
import { closing } from '../file.js';
import {
  canHold,
  entryIn,
  flagsFor,
  groupSteps,
  type Held,
  holding,
  letGo,
  looking,
  Names,
  reading,
  refused,
} from '../held.js';
import {
  Code,
  errnoOf,
  FD_OPENED_IN_RUN,
  type FileKind,
  OpenFlag,
  type Operation,
  type Place,
  Resolve,
} from '../platform.js';
import { type DirectoryEntry, Finds, type Pending, type Wanted } from './found.js';
import { beneath, kernelResolves } from './jail.js';

const ACTION = 'scan the directory';
const DIRECTORIES_MAX = 16;
const READ_BYTES = 32768;
/* Nearly always this read answers that the first one was all. */
const LAST_READ_BYTES = 4096;
/* Of a path relative to the root; the kernel takes 4096 with the NUL (PATH_MAX). */
const PATH_BYTES_MAX = 3500;

export interface ScanSettings extends Wanted {
  readonly onError: ((error: IoError) => void) | undefined;
}

/** A directory that is being read. */
interface Reading {
  readonly directory: Pending;
  readonly held: Held;
  readonly open: Operation | undefined;
  readonly reads: readonly Operation[];
}

/*
 * One object of each shape stays alive between scans. V8 throws optimized code away when the last
 * object of a shape that it was compiled for is collected ("weak objects" in --trace-deopt), and
 * the first scans after every collection took twice as long.
 */
interface Kept {
  readonly scanner: Scanner;
  readonly reading: Reading | undefined;
  readonly entry: DirectoryEntry | undefined;
}

/** One scan: steps that answer batch after batch. */
export class Scanner {
  static kept: Kept | undefined;
  readonly #engine: Engine;
  readonly #root: Held;
  readonly #finds: Finds;
  readonly #onError: ScanSettings['onError'];
  /* Every descriptor of this scan, and those among them that are read to the end. */
  readonly #open = new Set<number>();
  #done: number[] = [];
  /* Larger than what two reads take. */
  readonly #unfinished: Reading[] = [];
  /* What no read is under way into, by size. */
  readonly #memory = new Map<number, Uint8Array[]>([
    [READ_BYTES, []],
    [LAST_READ_BYTES, []],
  ]);
  #isKernel: boolean | undefined;
  #reading: Reading | undefined;
  #entry: DirectoryEntry | undefined;

  /** Takes `root` over. `shown` is the directory as the caller wrote it. */
  constructor(engine: Engine, root: Held, shown: Place, settings: ScanSettings) {
    this.#engine = engine;
    this.#root = root;
    this.#finds = new Finds(shown, settings);
    this.#onError = settings.onError;
    if (root.fd >= 0) this.#open.add(root.fd);
  }

  /** Whether `next` has something to read now; what it finds may be more. */
  get hasWork(): boolean {
    return this.#unfinished.length > 0 || this.#finds.pending.length > 0;
  }

  /**
   * The next entries; `undefined` where there is nothing to read now. Several may be under way at a
   * time. Errors: `IoError`.
   */
  *next(): Steps<DirectoryEntry[] | undefined> {
    this.#isKernel ??= (yield* kernelResolves(this.#engine)) === true;
    while (this.hasWork) {
      const reading = this.#unfinished.pop();
      if (reading === undefined) yield* this.#readNext();
      else yield* this.#goOn(reading);
      this.#entry ??= this.#finds.entries[0];
      if (this.#finds.entries.length > 0) return this.#finds.take();
    }
    return undefined;
  }

  /** Ends the scan wherever it is. Never fails. */
  *close(): Steps<void> {
    this.#unfinished.length = 0;
    this.#finds.pending.length = 0;
    const open = [...this.#open];
    this.#open.clear();
    this.#done = [];
    this.#keep();
    yield* letGo(...open.map((fd): Held => ({ fd, place: this.#root.place })));
  }

  /* Of what was read nothing is kept but one entry, and no memory. */
  #keep(): void {
    for (const free of this.#memory.values()) free.length = 0;
    for (const one of this.#reading?.reads ?? []) {
      Object.assign(one, { out: undefined, names: undefined, kinds: undefined, next: undefined });
    }
    Scanner.kept = { scanner: this, reading: this.#reading, entry: this.#entry };
  }

  *#readNext(): Steps<void> {
    const { pending } = this.#finds;
    const readings: Reading[] = [];
    while (pending.length > 0 && readings.length < DIRECTORIES_MAX) {
      const begun = yield* this.#begin(pending.pop() as Pending);
      if (begun !== undefined) readings.push(begun);
    }
    const done = this.#done;
    this.#done = [];
    /* Before they are closed: another read may be given the same numbers then. */
    for (const fd of done) this.#open.delete(fd);
    const groups = readings.map(({ open, reads }) =>
      open === undefined ? reads : [open, ...reads],
    );
    try {
      yield* groupSteps([...done.map((fd) => [closing(fd)]), ...groups]);
    } finally {
      for (const { open } of readings) if (open && open.result >= 0) this.#open.add(open.result);
    }
    this.#reading ??= readings.at(-1);
    for (const one of readings) {
      yield* this.#take(one);
      for (const read of one.reads) this.#giveBack(read);
    }
  }

  #room(bytes: number): Uint8Array {
    return this.#memory.get(bytes)?.pop() ?? new Uint8Array(bytes);
  }

  #giveBack({ out }: Operation): void {
    if (out !== undefined) this.#memory.get(out.byteLength)?.push(out);
  }

  *#begin(directory: Pending): Steps<Reading | undefined> {
    const { raw } = directory;
    const isRoot = raw === '' || !canHold(this.#engine);
    const open = isRoot ? undefined : this.#opening(raw);
    let fd = isRoot ? this.#root.fd : FD_OPENED_IN_RUN;
    if (!isRoot && open === undefined) {
      const walked = yield* this.#walk(raw);
      if (walked.result < 0) {
        this.#tell(walked, directory);
        return undefined;
      }
      fd = walked.result;
    }
    const place = raw === '' ? this.#root.place : entryIn(this.#root, raw);
    const held = { fd, place };
    const first = reading(held, this.#room(READ_BYTES));
    const second = reading(held, this.#room(LAST_READ_BYTES));
    /* node:fs answers all at once, and would again. */
    const isOnce = this.#engine.capabilities['native-calls'] !== true;
    return { directory, held, open, reads: isOnce ? [first] : [first, second] };
  }

  /* In one call where no link can come between: by the kernel's word, or with nothing between. */
  #opening(raw: string): Operation | undefined {
    const place = entryIn(this.#root, raw);
    if (!raw.includes('/')) return holding(place, 'all', OpenFlag.NoFollow);
    if (this.#isKernel !== true || raw.length > PATH_BYTES_MAX) return undefined;
    return withoutLinks(place);
  }

  /* Part by part, or, where the kernel resolves, by as many as a path can have. */
  *#walk(raw: string): Steps<Operation> {
    const isKernel = this.#isKernel === true;
    let here = this.#root;
    let left = raw;
    try {
      for (;;) {
        const part = isKernel ? longestPath(left) : (left.split('/', 1)[0] as string);
        const place = entryIn(here, part);
        const open = isKernel ? withoutLinks(place) : holding(place, 'all', OpenFlag.NoFollow);
        yield open;
        left = left.slice(part.length + 1);
        if (open.result >= 0 && left === '') this.#open.add(open.result);
        if (open.result < 0 || left === '') return open;
        if (here !== this.#root) yield* letGo(here);
        here = { fd: open.result, place: this.#root.place };
      }
    } finally {
      if (here !== this.#root) yield* letGo(here);
    }
  }

  /* What is gone by now, or was put in its place, is no directory of this tree: no error. */
  #tell(operation: Operation, directory: Pending): void {
    const isRead = operation.code === Code.ReadEntries;
    const isGone = ['ENOENT', 'ENOTDIR', 'ELOOP'].some(
      (name) => errnoOf(name) === operation.result,
    );
    if (isGone && (!isRead || directory.raw !== '')) return;
    const step = isRead ? 'read the directory' : 'open the directory';
    const { path } = directory.raw === '' ? this.#root.place : entryIn(this.#root, directory.raw);
    const error = refused(operation, { action: ACTION, step, path });
    if (this.#onError === undefined) throw error;
    this.#onError(error);
  }

  *#take(one: Reading): Steps<void> {
    const { directory, open, reads } = one;
    if (open !== undefined && open.result < 0) return this.#tell(open, directory);
    const held = open === undefined ? one.held : { ...one.held, fd: open.result };
    let isWhole = true;
    for (const read of reads) {
      if (read.result < 0) {
        this.#tell(read, directory);
        isWhole = true;
        break;
      }
      const names = new Names(read);
      isWhole = names.isWhole;
      yield* this.#collect(directory, held, names);
      if (isWhole) break;
    }
    if (isWhole) this.#finish(held);
    else this.#unfinished.push({ ...one, held });
  }

  *#goOn(one: Reading): Steps<void> {
    const read = reading(one.held, this.#room(READ_BYTES));
    yield read;
    const names = read.result < 0 ? undefined : new Names(read);
    if (names === undefined || names.isWhole) this.#finish(one.held);
    else this.#unfinished.push(one);
    if (names === undefined) this.#tell(read, one.directory);
    else yield* this.#collect(one.directory, one.held, names);
    this.#giveBack(read);
  }

  #finish({ fd }: Held): void {
    if (fd >= 0 && fd !== this.#root.fd) this.#done.push(fd);
  }

  *#collect(directory: Pending, held: Held, names: Names): Steps<void> {
    if (names.isTold) {
      this.#finds.considerAll(directory, names);
      return;
    }
    for (let index = 0; index < names.names.length; index++) {
      const raw = names.names[index] as string;
      const told = names.kindAt(index);
      const kind = told === 'unknown' ? yield* this.#kindOf(held, raw) : told;
      if (kind !== undefined) this.#finds.consider(directory, raw, kind);
    }
  }

  /* A file system that does not tell kinds beside names is asked for each. */
  *#kindOf(held: Held, raw: string): Steps<FileKind | undefined> {
    const look = looking(entryIn(held, raw));
    yield look;
    return look.result < 0 ? undefined : look.stat?.kind;
  }
}

function withoutLinks(place: Place): Operation {
  return beneath(place, flagsFor('all') | OpenFlag.NoFollow, Resolve.NoLinks);
}

function longestPath(raw: string): string {
  if (raw.length <= PATH_BYTES_MAX) return raw;
  return raw.slice(0, raw.lastIndexOf('/', PATH_BYTES_MAX));
}

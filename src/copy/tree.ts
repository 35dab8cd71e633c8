/**
 * A tree on its way: what is still to be done, in an order that keeps few directories open, and
 * what has been done. Two schedulers drive it (copy/run.ts); what they do is written once, here.
 */
import type { Engine, Steps } from '../engine.js';
import { AbortError, IoError } from '../errors.js';
import { entryIn, type Held, identityOf, letGo } from '../held.js';
import { Code, errnoOf, type FileStat, linked, Operation, type Place } from '../platform.js';
import { temporaryName } from '../replace.js';
import type { CopyMethod } from './content.js';
import { type Entry, entriesIn, foundSteps, isWithin, refusedTree } from './entries.js';
import {
  companyOf,
  dropFolder,
  type Folder,
  leaveSteps,
  madeOrHeld,
  syncSteps,
  traitsOfHeld,
} from './folders.js';
import { checkLinked, type Linked, linkingTo, noteCopy } from './linked.js';
import type { CopyProgress } from './options.js';
import { copySteps, type Route } from './single.js';
import { CopyTreeError } from './tree-error.js';
import type { CopyTreeReport, TreeEntry, TreeSettings } from './tree-options.js';

/** Something to be done. */
export type Job =
  | {
      readonly kind: 'enter' | 'file' | 'link' | 'hard link';
      readonly in: Folder;
      readonly entry: Entry;
    }
  | { readonly kind: 'leave'; readonly folder: Folder };

/** What a job found: names that may be copied too, once the filter has been asked. */
export interface Found {
  readonly folder: Folder;
  readonly entries: readonly Entry[];
}

function textOf(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

function pathIn(folder: Folder, name: string): string {
  return folder.path === '' ? name : `${folder.path}/${name}`;
}

/** What a filter is told. */
export function entryOf(folder: Folder, { name, stat }: Entry): TreeEntry {
  return { path: textOf(pathIn(folder, name)), kind: stat.kind, size: stat.size };
}

export class Tree {
  readonly engine: Engine;
  readonly settings: TreeSettings;
  readonly #route: Route;
  readonly #jobs: Job[] = [];
  readonly #open = new Set<Folder>();
  readonly #linked = new Map<string, Linked<Job>>();
  readonly #fallbacks = new Map<string, { what: string; reason: string; count: number }>();
  readonly #methods: Record<CopyMethod, number> = {
    reflink: 0,
    copy_file_range: 0,
    'read-write': 0,
  };
  readonly #counts = { files: 0, directories: 0, links: 0, hardLinks: 0, skipped: 0, bytes: 0 };
  /** The directory above a target that this copy has made. */
  #above: Held | undefined;
  #root: Folder | undefined;
  #durability: CopyTreeReport['durability'] = 'none';

  constructor(engine: Engine, route: Route, settings: TreeSettings) {
    this.engine = engine;
    this.settings = settings;
    this.#route = route;
  }

  /* ---------------------------------------------------------------------------- the plan */

  /** What to do next; `undefined` when nothing is to be had for now. */
  next(): Job | undefined {
    for (;;) {
      const job = this.#jobs.pop();
      if (job === undefined || job.kind !== 'file' || job.entry.stat.links < 2) return job;
      const key = identityOf(job.entry.stat);
      const first = this.#linked.get(key);
      if (first === undefined) {
        const path = pathIn(job.in, job.entry.name);
        this.#linked.set(key, { isCopied: false, path, waiting: [], copy: undefined });
        return job;
      }
      if (first.isCopied) return { ...job, kind: 'hard link' };
      first.waiting.push(job);
    }
  }

  /** Plans what a directory holds: its files first, then its directories. */
  admit({ folder }: Found, entries: readonly Entry[]): void {
    const { special } = this.settings;
    const files: Job[] = [];
    for (const entry of entries) {
      const { kind } = entry.stat;
      if (kind === 'directory') this.#jobs.push({ kind: 'enter', in: folder, entry });
      else if (kind === 'file') files.push({ kind: 'file', in: folder, entry });
      else if (kind === 'symlink') files.push({ kind: 'link', in: folder, entry });
      else if (special === 'refuse') throw this.#isSpecial(folder, entry);
      else {
        this.#counts.skipped++;
        continue;
      }
      folder.pendingCount++;
    }
    for (const job of files.reverse()) this.#jobs.push(job);
    if (folder.pendingCount === 0) this.#jobs.push({ kind: 'leave', folder });
  }

  /** Counts what the filter left out. */
  leaveOut(count: number): void {
    this.#counts.skipped += count;
  }

  #isSpecial(folder: Folder, { name, stat }: Entry): IoError {
    const { path } = entryIn(folder.source, name);
    const words = `it is a ${stat.kind}: neither a file, a directory nor a link`;
    const action = 'copy the tree: inspect';
    return new IoError({ action, code: 'ERR_WRONG_TYPE', path, step: 'inspect', words });
  }

  /** Takes a job that is done: the last one of a directory lets that be left. */
  done(job: Job): void {
    const folder = job.kind === 'leave' ? job.folder.parent : job.in;
    if (job.kind === 'file') this.#copied(job.entry.stat);
    if (job.kind !== 'enter' && folder !== undefined && --folder.pendingCount === 0) {
      this.#jobs.push({ kind: 'leave', folder });
    }
    if (job.kind !== 'enter') this.#tell(job);
  }

  #copied(stat: FileStat): void {
    const first = this.#linked.get(identityOf(stat));
    if (first === undefined) return;
    first.isCopied = true;
    this.#jobs.push(...first.waiting);
  }

  #tell(job: Job): void {
    const { onProgress } = this.settings;
    if (onProgress === undefined) return;
    const path = job.kind === 'leave' ? job.folder.path : pathIn(job.in, job.entry.name);
    this.#progress(path, 0);
  }

  #progress(path: string, more: number): void {
    const { files, directories, links, bytes } = this.#counts;
    const all = { files, directories, links, bytes: bytes + more };
    this.settings.onProgress?.({ path: textOf(path), ...all });
  }

  readonly #note = (what: string, reason: string): void => {
    const key = `${what}\0${reason}`;
    const one = this.#fallbacks.get(key);
    if (one === undefined) this.#fallbacks.set(key, { what, reason, count: 1 });
    else one.count++;
  };

  report(): CopyTreeReport {
    return {
      path: this.#route.target.path,
      ...this.#counts,
      methods: { ...this.#methods },
      durability: this.#durability,
      engine: this.engine.name,
      fallbacks: [...this.#fallbacks.values()],
    };
  }

  /** The error as the caller should see it: with what was completed. */
  told(error: unknown): unknown {
    const completed = this.report();
    if (error instanceof IoError) {
      /* Nothing was begun: the refusal says it all. */
      if (this.#root === undefined) return error;
      return new CopyTreeError(error, this.#route, completed);
    }
    if (!(error instanceof AbortError)) return error;
    return Object.assign(new AbortError(error.cause, completed.bytes), { completed });
  }

  /* ---------------------------------------------------------------------------- the steps */

  /** The root: checked before anything is made, made, held. Errors: `IoError`. */
  *begin(): Steps<Found> {
    const { engine } = this;
    const source = yield* foundSteps(engine, this.#route.source, true);
    if (source === undefined) throw this.#absent(this.#route.source);
    let target: Held | undefined;
    try {
      const stat = yield* this.#inspect(source);
      target = yield* foundSteps(engine, this.#route.target, true);
      if (target !== undefined && !this.settings.replaces) throw this.#exists();
      yield* this.#checkApart(target, stat);
      const isMade = target === undefined;
      target ??= yield* this.#makeRoot();
      const traits = isMade ? yield* traitsOfHeld(engine, source, stat) : undefined;
      return yield* this.#hold({
        path: '',
        parent: undefined,
        source,
        target,
        traits,
        company: companyOf(target),
        pendingCount: 0,
      });
    } catch (error) {
      if (this.#root === undefined) yield* letGo(source, target);
      throw error;
    }
  }

  *#inspect({ fd, place }: Held): Steps<FileStat> {
    const stat = new Operation(Code.Stat);
    if (fd >= 0) stat.fd = fd;
    else stat.place = place;
    yield stat;
    if (stat.result < 0) throw refusedTree(stat, { step: 'inspect', path: place.path });
    return stat.stat as FileStat;
  }

  #absent({ path }: Place): IoError {
    const step = 'open the directory';
    return new IoError({ action: `copy the tree: ${step}`, code: 'ENOENT', path, step });
  }

  #exists(): IoError {
    const { path } = this.#route.target;
    const action = 'copy the tree: it was to be absent';
    return new IoError({
      action,
      code: 'EEXIST',
      path,
      dest: path,
      step: 'inspect',
      durable: 'old',
    });
  }

  /* A tree in itself would have no end; a tree onto itself would lose what it copies. */
  *#checkApart(target: Held | undefined, source: FileStat): Steps<void> {
    const from = target ?? (yield* this.#holdAbove());
    if (!(yield* isWithin(from, source))) return;
    throw new IoError({
      action: 'copy the tree',
      code: 'EINVAL',
      path: this.#route.source.path,
      dest: this.#route.target.path,
      step: 'inspect',
      durable: 'old',
      words: 'the target is the source, or lies in it',
    });
  }

  *#holdAbove(): Steps<Held> {
    const parent = this.#route.target.parent();
    this.#above = yield* foundSteps(this.engine, parent, true);
    if (this.#above === undefined) throw this.#absent(parent);
    return this.#above;
  }

  *#makeRoot(): Steps<Held> {
    const { target } = this.#route;
    const above = this.#above as Held;
    const place = above.fd >= 0 ? above.place.child(target.base, above.fd) : target;
    return (yield* madeOrHeld(this.engine, place, false)).held;
  }

  *#hold(folder: Folder): Steps<Found> {
    this.#open.add(folder);
    if (folder.parent === undefined) this.#root = folder;
    const { entries, vanishedCount } = yield* entriesIn(folder.source);
    this.#counts.skipped += vanishedCount;
    return { folder, entries };
  }

  /** Does a job. Errors: `IoError`. */
  *steps(job: Job): Steps<Found | undefined> {
    if (job.kind === 'enter') return yield* this.#enter(job.in, job.entry);
    if (job.kind === 'leave') yield* this.#leave(job.folder);
    else if (job.kind === 'link') yield* this.#link(job.in, job.entry);
    else if (job.kind === 'hard link') yield* this.#hardLink(job.in, job.entry);
    else yield* this.#file(job.in, job.entry);
    return undefined;
  }

  *#enter(parent: Folder, { name, stat }: Entry): Steps<Found> {
    const { engine } = this;
    const source = yield* foundSteps(engine, entryIn(parent.source, name), false);
    if (source === undefined) throw this.#absent(entryIn(parent.source, name));
    let target: Held | undefined;
    try {
      const place = entryIn(parent.target, name);
      const made = yield* madeOrHeld(engine, place, this.settings.replaces);
      target = made.held;
      const traits = made.isMade ? yield* traitsOfHeld(engine, source, stat) : undefined;
      const path = pathIn(parent, name);
      return yield* this.#hold({
        path,
        parent,
        source,
        target,
        traits,
        company: companyOf(target),
        pendingCount: 0,
      });
    } catch (error) {
      const isHeld = [...this.#open].some((folder) => folder.source === source);
      if (!isHeld) yield* letGo(source, target);
      throw error;
    }
  }

  *#leave(folder: Folder): Steps<void> {
    const { durable, keepTimes } = this.settings;
    this.#open.delete(folder);
    const isSynced = durable === 'full';
    yield* leaveSteps(this.engine, folder, { isSynced, keepTimes, note: this.#note });
    this.#counts.directories++;
  }

  *#file(folder: Folder, { name, stat }: Entry): Steps<void> {
    const source = entryIn(folder.source, name);
    const target = entryIn(folder.target, name);
    const path = pathIn(folder, name);
    const onProgress = ({ bytes, total }: CopyProgress): void => {
      if (bytes < total) this.#progress(path, bytes);
    };
    const { file } = this.settings;
    const settings = this.settings.onProgress === undefined ? file : { ...file, onProgress };
    const wish = { followsLinks: false, expected: stat, company: folder.company };
    const report = yield* copySteps(this.engine, { source, target }, settings, wish);
    for (const { what, reason } of report.fallbacks) this.#note(what, reason);
    this.#methods[report.method]++;
    this.#counts.files++;
    this.#counts.bytes += report.bytes;
    const several = this.#linked.get(identityOf(stat));
    if (several !== undefined) yield* noteCopy(several, target);
  }

  *#link(folder: Folder, { name, stat }: Entry): Steps<void> {
    const source = entryIn(folder.source, name);
    const read = new Operation(Code.ReadLink);
    read.place = source;
    read.out = new Uint8Array(4097);
    yield read;
    if (read.result < 0) throw refusedTree(read, { step: 'read the link', path: source.path });
    const bytes = (read.out as Uint8Array).slice(0, read.result + 1);
    bytes[read.result] = 0;
    yield* this.#placed(folder, name, (place) => {
      const make = new Operation(Code.MakeLink);
      make.place = place;
      make.payload = bytes;
      return linked(make, ...this.#linkTraits(place, stat));
    });
    this.#counts.links++;
  }

  #linkTraits(place: Place, stat: FileStat): Operation[] {
    const operations: Operation[] = [];
    if (this.engine.capabilities.owner === true) {
      const own = new Operation(Code.SetOwner);
      own.place = place;
      own.flags = stat.user;
      own.mode = stat.group;
      operations.push(own);
    }
    if (this.settings.keepTimes) {
      const times = new Operation(Code.SetTimes);
      times.place = place;
      times.payload = new Uint8Array(stat.times.buffer);
      operations.push(times);
    }
    return operations;
  }

  *#hardLink(folder: Folder, { name, stat }: Entry): Steps<void> {
    const file = this.#linked.get(identityOf(stat)) as Linked<Job>;
    const first = entryIn((this.#root as Folder).target, file.path);
    yield* this.#placed(folder, name, (place) => linkingTo(first, place), file);
    this.#counts.hardLinks++;
  }

  /* Makes a name; where one stands, under a name of its own that is then renamed over it. */
  *#placed(
    folder: Folder,
    name: string,
    made: (place: Place) => Operation,
    file?: Linked<Job>,
  ): Steps<void> {
    const place = entryIn(folder.target, name);
    const run = made(place);
    yield run;
    if (run.result >= 0) {
      if (file !== undefined) yield* checkLinked(run, file);
      else this.#noteRest(run);
      return;
    }
    const step = run.code === Code.Link ? 'link' : 'make the link';
    const path = entryIn(folder.source, name).path;
    const isThere = run.result === errnoOf('EEXIST') && this.settings.replaces;
    if (!isThere) throw refusedTree(run, { step, path, dest: place.path });
    const temporary = entryIn(folder.target, temporaryName(this.engine));
    const again = made(temporary);
    const rename = new Operation(Code.Rename);
    rename.place = temporary;
    rename.place2 = place;
    try {
      yield again;
      if (again.result < 0) throw refusedTree(again, { step, path, dest: place.path });
      if (file !== undefined) yield* checkLinked(again, file);
      else this.#noteRest(again);
      yield rename;
      if (rename.result < 0) throw refusedTree(rename, { step: 'rename', path, dest: place.path });
    } finally {
      /* Gone by the rename, unless that failed or both were names of one file (rename(2)). */
      const unlink = new Operation(Code.Unlink);
      unlink.place = temporary;
      unlink.mustRun = true;
      if (again.result >= 0) yield unlink;
    }
  }

  #noteRest(run: Operation): void {
    for (let at = run.next; at !== undefined; at = at.next) {
      if (at.result >= 0 || at.result === errnoOf('ECANCELED')) continue;
      const what = at.code === Code.SetOwner ? 'owner of a link' : 'times of a link';
      this.#note(what, refusedTree(at, { step: what }).code);
    }
  }

  /** When nothing is left to do: the name of the root. Errors: `IoError`. */
  *finish(): Steps<CopyTreeReport> {
    const { durable } = this.settings;
    const above = this.#above;
    this.#above = undefined;
    try {
      if (above !== undefined && durable === 'full') yield* syncSteps(above, this.#note);
    } finally {
      yield* letGo(above);
    }
    const isWeak = [...this.#fallbacks.values()].some(({ what }) => what === 'directory sync');
    this.#durability = durable === false ? 'none' : durable === 'full' && !isWeak ? 'full' : 'file';
    return this.report();
  }

  /** Lets everything go. Never fails. */
  *abandon(): Steps<void> {
    for (const folder of this.#open) yield* dropFolder(folder);
    this.#open.clear();
    yield* letGo(this.#above);
    this.#above = undefined;
  }
}

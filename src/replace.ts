/**
 * Durable atomic replace: new content under an old name, or the old content, whole, and nothing in
 * between, whatever fails and whenever the power goes.
 *
 * Order of system calls, all inside one directory held open: an exclusive temporary file that
 * nobody can foresee, 0600 -> write all -> owner, attributes, mode, times -> fsync -> rename ->
 * fsync of the directory. On the pool they are one job, unless several replaces are under way in
 * the directory: then they share its sync.
 *
 * Invariants: 1. Until the rename the target is untouched; every failure before it removes the
 *                temporary file and says `durable: 'old'`.
 *             2. After the promise of a `durable: 'full'` replace has resolved, a power cut leaves
 *                the new content. A failed sync of the directory says `durable: 'unknown'`.
 *             3. Replaces of one path in one process end in the order of the calls.
 *             4. A sync of a directory covers the names given before it began, and no others.
 * Not promised: order between processes (the last rename wins); hard links (the other names keep
 * the old content); a target that is a mount point of its own (EBUSY).
 * Source: rename(2), fsync(2); Pillai et al., All File Systems Are Not Created Equal, OSDI 2014
 */

import { isAbsolute, normalize } from 'node:path';
import type { Buffers, Sequence } from './buffers.js';
import { drive, driveSync, type Engine, engineOf, type Steps } from './engine.js';
import { invalidType } from './errors.js';
import type { PathLike } from './file.js';
import { atExit, environment, type Place, placeOf } from './platform.js';
import { Batch, type BatchEntry, ReplaceFilesError } from './replace/batch.js';
import {
  type ReplaceEntryOptions,
  type ReplaceFilesOptions,
  type ReplaceOptions,
  type ReplaceSettings,
  replaceSettingsOf,
} from './replace/options.js';
import { Patience } from './replace/patience.js';
import { Replacement, type ReplaceReport } from './replace/replacement.js';
import { type SharedDirectories, sharedOn } from './replace/shared.js';
import {
  contentOf,
  Gathering,
  isPieces,
  type PieceSource,
  type Pieces,
  Source,
} from './replace/source.js';
import { Held, type Traits, traitsOf } from './replace/spot.js';
import { temporaryName } from './replace/temporary.js';
import { giveTraits } from './replace/traits.js';
import { inTurns } from './replace/turns.js';

export type {
  PieceSource,
  Pieces,
  ReplaceEntryOptions,
  ReplaceFilesOptions,
  ReplaceOptions,
  ReplaceReport,
  ReplaceSettings,
  Traits,
};
export {
  giveTraits,
  Held as HeldDirectories,
  ReplaceFilesError,
  Replacement,
  replaceSettingsOf,
  temporaryName,
  traitsOf,
};

/* Of two spellings of one path, too; a link and what it leads to are two. */
function turnOf({ path }: Place): string {
  const isWhole = isAbsolute(path);
  return normalize(isWhole ? path : `${environment.workingDirectory()}/${path}`);
}

/** Work on one path takes turns with all replaces of that path. */
export function inTurn<T>(place: Place, work: () => Promise<T>): Promise<T> {
  return inTurns(new Set([turnOf(place)]), new Patience({}), work);
}

/* What a call was given, checked. */
interface Call {
  readonly engine: Engine;
  readonly place: Place;
  readonly settings: ReplaceSettings;
  readonly patience: Patience;
  /** One of the two. */
  readonly content: Sequence | undefined;
  readonly source: Source | undefined;
}

/**
 * Replaces the content of a file, or makes the file, durably and at once.
 *
 * Shapes: `data` is text, one view, views in order, or what brings any of these bit by bit: an
 * async iterable, a Node `Readable`, a Web `ReadableStream`. Such a source is read as it is
 * written, 64 KiB ahead at most, and may be larger than memory; it is closed whatever happens.
 * Order: replaces of one path end in the order of the calls.
 * Durable: by default, when the promise resolves, a power cut leaves the new content; before, the
 * old or the new, never a mix. Told by `report.durability`.
 * Lifetime: views are the library's until the promise settles.
 * Errors: `TypeError`, `RangeError` for bad input before anything happens; `IoError` with `step`
 * and `durable`: `old` when the target is untouched, `unknown` when only the last sync failed;
 * `AbortError`, or an `IoError` of kind `timeout`, never after the rename; whatever a source
 * throws. The temporary file is gone in every case.
 */
export async function replaceFile(
  path: PathLike,
  data: string | Buffers | PieceSource,
  options: ReplaceOptions = {},
): Promise<ReplaceReport> {
  return replacePlace(placeOf(path), data, options);
}

/** As `replaceFile`, of a place: that may be a name in a directory held open. */
export async function replacePlace(
  place: Place,
  data: string | Buffers | PieceSource,
  options: ReplaceOptions,
): Promise<ReplaceReport> {
  const settings = replaceSettingsOf(options);
  const engine = engineOf(options.engine);
  const patience = new Patience(options);
  const source = isPieces(data) ? new Source(data) : undefined;
  const content = isPieces(data) ? undefined : contentOf(data, settings.encoding);
  const call: Call = { engine, place, settings, patience, content, source };
  try {
    return await inTurns(new Set([turnOf(place)]), patience, () => replace(call));
  } finally {
    source?.end();
  }
}

async function replace(call: Call): Promise<ReplaceReport> {
  const { engine, place, settings, content, patience } = call;
  const replacement = new Replacement(engine, place, settings);
  const shared = sharedOn(engine);
  const directory = place.parent().path;
  const leave = shared.enter(directory);
  const isAlone = (): boolean => shared.countIn(directory) === 1;
  const forget = atExit(() => driveSync(engine, replacement.forsake()));
  try {
    if (content !== undefined && settings.onTemporary === undefined) {
      if (isAlone()) return await drive(engine, replacement.all(content), patience.interrupt);
      await drive(engine, replacement.ready(content), patience.interrupt);
      return await withCare(call, replacement, async (step) => {
        if (isAlone()) return step(replacement.finish({ isReady: true }));
        return nameTogether(replacement, shared, step);
      });
    }
    return await withCare(call, replacement, async (step) => {
      await pour(call, replacement, step);
      if (isAlone()) return step(replacement.finish());
      await step(replacement.complete());
      return nameTogether(replacement, shared, step);
    });
  } finally {
    forget();
    leave();
  }
}

type Step = <T>(steps: Steps<T>) => Promise<T>;

/* What the source throws passes as it is; what our steps throw is told as a replace's. */
async function withCare<T>(
  { engine, patience }: Call,
  replacement: Replacement,
  run: (step: Step) => Promise<T>,
): Promise<T> {
  const step: Step = (steps) =>
    drive(engine, steps, patience.interrupt).catch((error: unknown) => {
      throw replacement.told(error);
    });
  try {
    return await run(step);
  } catch (error) {
    await drive(engine, replacement.abandon());
    throw error;
  }
}

/* From an open temporary file to one that has all its content. */
async function pour(call: Call, replacement: Replacement, step: Step): Promise<void> {
  const { settings, patience, content, source } = call;
  await step(replacement.begin());
  const told = settings.onTemporary?.(replacement.temporaryPath);
  if (told !== undefined) await patience.wait(Promise.resolve(told));
  if (content !== undefined) await step(replacement.write(content));
  if (source === undefined) return;
  const gathering = new Gathering(settings.encoding);
  for (;;) {
    const next = await source.next(patience);
    const ripe = next === undefined ? gathering.rest() : gathering.take(next.piece);
    for (const sequence of ripe) await step(replacement.write(sequence));
    if (next === undefined) return;
  }
}

/* Beside others in the directory: the files are synced side by side, the directory once for all. */
async function nameTogether(
  replacement: Replacement,
  shared: SharedDirectories,
  step: Step,
): Promise<ReplaceReport> {
  const identity = await step(replacement.syncAndName());
  const { directory, order, wantsDirectory } = replacement;
  if (wantsDirectory) {
    const sync = directory < 0 ? undefined : await shared.sync(identity, directory, order);
    replacement.directorySynced(sync);
  }
  await step(replacement.close());
  return replacement.report();
}

/**
 * As `replaceFile`, on the calling thread; not for content that comes bit by bit, and not in turn
 * with replaces of the same path that are under way.
 *
 * Durable: as `replaceFile`.
 * Errors: as `replaceFile`.
 */
export function replaceFileSync(
  path: PathLike,
  data: string | Buffers,
  options: ReplaceOptions = {},
): ReplaceReport {
  return replacePlaceSync(placeOf(path), data, options);
}

/** As `replaceFileSync`, of a place: that may be a name in a directory held open. */
export function replacePlaceSync(
  place: Place,
  data: string | Buffers,
  options: ReplaceOptions,
): ReplaceReport {
  const settings = replaceSettingsOf(options);
  const engine: Engine = engineOf(options.engine);
  const content = contentOf(data, settings.encoding);
  const replacement = new Replacement(engine, place, settings);
  if (settings.onTemporary === undefined) return driveSync(engine, replacement.all(content));
  try {
    driveSync(engine, replacement.begin());
    settings.onTemporary(replacement.temporaryPath);
    driveSync(engine, replacement.write(content));
    return driveSync(engine, replacement.finish());
  } catch (error) {
    driveSync(engine, replacement.abandon());
    throw replacement.told(error);
  }
}

/** One file of `replaceFiles`: what `replaceFile` takes. */
export interface ReplaceEntry extends ReplaceEntryOptions {
  readonly path: PathLike;
  readonly data: string | Buffers | PieceSource;
}

function entriesOf(entries: Iterable<ReplaceEntry>): readonly ReplaceEntry[] {
  const isList = typeof entries === 'object' && entries !== null && Symbol.iterator in entries;
  if (!isList) throw invalidType('entries', 'an iterable of { path, data }', entries);
  return [...entries].map((entry, index) => {
    if (typeof entry === 'object' && entry !== null) return entry;
    throw invalidType(`entries[${index}]`, '{ path, data }', entry);
  });
}

interface Checked {
  readonly place: Place;
  readonly settings: ReplaceSettings;
  readonly entry: ReplaceEntry;
}

function checked(entry: ReplaceEntry, index: number, options: ReplaceFilesOptions): Checked {
  const settings = replaceSettingsOf({ ...entry, ...options, onTemporary: undefined });
  return { place: placeOf(entry.path, `entries[${index}].path`), settings, entry };
}

/**
 * Replaces many files: all are written and synced before the first gets its name, and each
 * directory is synced once.
 *
 * Shapes: as `replaceFile` for each entry. 64 files under construction are open at a time.
 * Order: names are given in the order of the entries: after a failure or a kill the files with new
 * content are the first ones. Takes its turn among replaces of the same paths.
 * Durable: each file as by `replaceFile`. The batch is not atomic: a power cut before the promise
 * has resolved leaves each file old or new, whole.
 * Errors: `TypeError`, `RangeError` before anything happens; `ReplaceFilesError` with `index` and
 * `replacedCount`, which is 0 as long as no name was given; `AbortError`, or an `IoError` of kind
 * `timeout`, and whatever a source throws: every target is as it was then.
 */
export async function replaceFiles(
  entries: Iterable<ReplaceEntry>,
  options: ReplaceFilesOptions = {},
): Promise<readonly ReplaceReport[]> {
  const engine = engineOf(options.engine);
  const patience = new Patience(options);
  const all = entriesOf(entries).map((entry, index) => checked(entry, index, options));
  const contents = all.map(({ entry: { data }, settings }) =>
    isPieces(data) ? undefined : contentOf(data, settings.encoding),
  );
  const sources = all.map(({ entry: { data } }) => (isPieces(data) ? new Source(data) : undefined));
  const batch = all.map(({ place, settings }, index): BatchEntry => {
    const source = sources[index];
    const call: Call = { engine, place, settings, patience, content: undefined, source };
    const step: Step = (steps) => drive(engine, steps, patience.interrupt);
    const poured = (replacement: Replacement): Promise<void> => pour(call, replacement, step);
    const content = contents[index];
    return { place, settings, content, pour: source === undefined ? undefined : poured };
  });
  try {
    if (batch.length === 0) return [];
    const keys = new Set(batch.map(({ place }) => turnOf(place)));
    return await inTurns(keys, patience, async () => {
      const files = new Batch(engine, batch);
      const forget = atExit(() => driveSync(engine, files.forsake()));
      return files.run(patience).finally(forget);
    });
  } finally {
    for (const source of sources) source?.end();
  }
}

/**
 * As `replaceFiles`, on the calling thread; not for content that comes bit by bit, and not in turn
 * with replaces of the same paths that are under way.
 *
 * Durable: as `replaceFiles`.
 * Errors: as `replaceFiles`.
 */
export function replaceFilesSync(
  entries: Iterable<ReplaceEntry>,
  options: ReplaceFilesOptions = {},
): readonly ReplaceReport[] {
  const engine = engineOf(options.engine);
  const batch = entriesOf(entries).map((entry, index): BatchEntry => {
    const { place, settings } = checked(entry, index, options);
    const content = contentOf(entry.data, settings.encoding);
    return { place, settings, content, pour: undefined };
  });
  return new Batch(engine, batch).runSync();
}

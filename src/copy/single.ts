/** One file copied: the source read once, the target replaced whole or not at all. */
import type { Engine, Steps } from '../engine.js';
import { type DurableState, IoError, interruptedAt } from '../errors.js';
import { closing } from '../file.js';
import { identityOf } from '../held.js';
import type { FileStat, Place } from '../platform.js';
import { type HeldDirectories, Replacement, type ReplaceReport, traitsOf } from '../replace.js';
import { Content, type CopyMethod, type Moved } from './content.js';
import type { CopySettings } from './options.js';
import { changed, checkRegular, openSource, type Source } from './source.js';

/** What a copy did, and what it could not do. */
export interface CopyReport {
  /** Where the copy is: symbolic links followed. */
  readonly path: string;
  /** How the bytes came over; where two ways were needed, the slower one. */
  readonly method: CopyMethod;
  readonly bytes: number;
  /** Bytes of these that are holes; `undefined` for a reflink, which has those of its source. */
  readonly holeBytes: number | undefined;
  /** What a power cut from now on leaves: `full` and `file` as in the options. */
  readonly durability: ReplaceReport['durability'];
  /** True when there was an old target. */
  readonly replaced: boolean;
  readonly engine: string;
  /** What was not kept or not done as asked, and why. */
  readonly fallbacks: ReplaceReport['fallbacks'];
}

export interface Route {
  readonly source: Place;
  readonly target: Place;
}

/** The refusal of a copy that would destroy what it copies. */
function oneFile({ source, target }: Route): IoError {
  return new IoError({
    action: 'copy the file',
    code: 'EINVAL',
    path: source.path,
    dest: target.path,
    step: 'inspect',
    durable: 'old',
    words: 'source and target are one file',
  });
}

/** The error as the caller of a copy should see it. */
function told(
  error: unknown,
  { source, target }: Route,
  { bytesDone, durable = 'old' }: { readonly bytesDone: number; readonly durable?: DurableState },
): unknown {
  if (!(error instanceof IoError)) return interruptedAt(error, bytesDone);
  if (error.dest !== undefined) return error;
  const step = error.step ?? 'write';
  return new IoError({
    action: `copy the file: ${step}`,
    code: error.code,
    kind: error.kind,
    errno: error.errno,
    syscall: error.syscall,
    path: source.path,
    dest: target.path,
    offset: error.offset,
    bytesDone,
    step,
    durable: error.durable ?? durable,
    cause: error,
  });
}

/** What the copies of one directory's files share. */
export class Company {
  /** The directory of the targets, held open. */
  readonly held: HeldDirectories | undefined;
  /** Why there are no reflinks here, once it is known. */
  cloneRefusal: string | undefined;

  constructor(held?: HeldDirectories) {
    this.held = held;
  }
}

/** How a source is reached, where it is not by its name alone. */
export interface SourceWish {
  readonly followsLinks: boolean;
  /** The file that it has to be still. */
  readonly expected?: FileStat;
  readonly company?: Company;
}

/**
 * Copies one file.
 *
 * Errors: `IoError` with `step` and `durable`; nothing is left of the copy then.
 */
export function* copySteps(
  engine: Engine,
  route: Route,
  settings: CopySettings,
  wish: SourceWish = { followsLinks: true },
): Steps<CopyReport> {
  let source: Source;
  try {
    source = yield* openSource(engine, route.source, wish);
  } catch (error) {
    throw told(error, route, { bytesDone: 0 });
  }
  try {
    return yield* copyOpened(source, route, settings, wish);
  } finally {
    yield closing(source.fd);
  }
}

function* copyOpened(
  source: Source,
  route: Route,
  settings: CopySettings,
  { expected, company = new Company() }: SourceWish,
): Steps<CopyReport> {
  const { engine, stat } = source;
  let replacement: Replacement | undefined;
  let content: Content | undefined;
  const notes: { what: string; reason: string }[] = [];
  try {
    checkRegular(source);
    if (identityOf(stat) !== identityOf(expected ?? stat)) throw changed(source);
    const takesAfter = yield* traitsOf(engine, source);
    replacement = new Replacement(
      engine,
      route.target,
      { ...settings.replacing, takesAfter },
      company.held,
    );
    const old = yield* replacement.find();
    if (old !== undefined && identityOf(stat) === identityOf(old)) throw oneFile(route);
    yield* replacement.open();
    content = new Content(source, replacement, {
      reflink: settings.reflink,
      company,
      isSynced: settings.replacing.durable !== false,
      tell: settings.onProgress,
      note: (what, reason) => notes.push({ what, reason }),
    });
    const moved = yield* content.move();
    return reportOf(yield* replacement.finish(), moved, notes);
  } catch (error) {
    const durable = replacement?.isNamed === true ? 'unknown' : 'old';
    if (replacement !== undefined) yield* replacement.abandon();
    throw told(error, route, { bytesDone: content?.bytesDone ?? 0, durable });
  }
}

function reportOf(
  { path, durability, replaced, engine, fallbacks }: ReplaceReport,
  { method, bytes, holeBytes }: Moved,
  notes: ReplaceReport['fallbacks'],
): CopyReport {
  const all = [...notes, ...fallbacks];
  return { path, method, bytes, holeBytes, durability, replaced, engine, fallbacks: all };
}

/**
 * Durable atomic replace: new content under an old name, or the old content, whole, and nothing in
 * between, whatever fails and whenever the power goes.
 *
 * Order of system calls, all inside one directory held open: an exclusive temporary file that
 * nobody can foresee, 0600 -> write all -> owner, attributes, mode, times -> fsync -> rename ->
 * fsync of the directory. On the pool they are one job.
 *
 * Invariants: 1. Until the rename the target is untouched; every failure before it removes the
 *                temporary file and says `durable: 'old'`.
 *             2. After the promise of a `durable: 'full'` replace has resolved, a power cut leaves
 *                the new content. A failed sync of the directory says `durable: 'unknown'`.
 *             3. Replaces of one path in one process end in the order of the calls.
 * Not promised: order between processes (the last rename wins); hard links (the other names keep
 * the old content); a target that is a mount point of its own (EBUSY).
 * Source: rename(2), fsync(2); Pillai et al., All File Systems Are Not Created Equal, OSDI 2014
 */
import { type Buffers, type Sequence, sequenceOf } from './buffers.js';
import {
  drive,
  driveSync,
  type Engine,
  engineOf,
  type Interrupt,
  type Steps,
  Turns,
} from './engine.js';
import { interruption, invalidType } from './errors.js';
import { type PathLike, signalOf } from './file.js';
import { environment, type Place, placeOf } from './platform.js';
import { type ReplaceOptions, type ReplaceSettings, replaceSettingsOf } from './replace/options.js';
import { Replacement, type ReplaceReport } from './replace/replacement.js';
import { type Traits, traitsOf } from './replace/spot.js';
import { temporaryName } from './replace/temporary.js';

export type { ReplaceOptions, ReplaceReport, ReplaceSettings, Traits };
export { Replacement, replaceSettingsOf, temporaryName, traitsOf };

/** Content that comes bit by bit. */
export type Pieces = AsyncIterable<string | Buffers>;

const turns = new Turns<string>();

function isPieces(data: unknown): data is Pieces {
  return typeof data === 'object' && data !== null && Symbol.asyncIterator in data;
}

const EXPECTED = 'a string, an ArrayBufferView, an iterable of them or an async iterable';

function contentOf(data: unknown, encoding: BufferEncoding): Sequence {
  if (typeof data === 'string') return sequenceOf(Buffer.from(data, encoding), 'data');
  if (typeof data !== 'object' || data === null) throw invalidType('data', EXPECTED, data);
  return sequenceOf(data as Buffers, 'data');
}

/** Work on one path takes turns with all replaces of that path. */
export function inTurn<T>(place: Place, work: () => Promise<T>): Promise<T> {
  const { path } = place;
  return turns.take(
    path.startsWith('/') ? path : `${environment.workingDirectory()}/${path}`,
    work,
  );
}

/**
 * Replaces the content of a file, or makes the file, durably and at once.
 *
 * Shapes: `data` is text, one view, views in order, or an async iterable of any of these, which is
 * written as it comes and may be larger than memory.
 * Order: replaces of one path end in the order of the calls.
 * Durable: by default, when the promise resolves, a power cut leaves the new content; before, the
 * old or the new, never a mix. Told by `report.durability`.
 * Lifetime: views are the library's until the promise settles.
 * Errors: `TypeError`, `RangeError` for bad input before anything happens; `IoError` with `step`
 * and `durable`: `old` when the target is untouched, `unknown` when only the last sync failed;
 * `AbortError`; whatever an async iterable throws. The temporary file is gone in every case.
 */
export async function replaceFile(
  path: PathLike,
  data: string | Buffers | Pieces,
  options: ReplaceOptions = {},
): Promise<ReplaceReport> {
  const settings = replaceSettingsOf(options);
  const place = placeOf(path);
  const engine = engineOf(options.engine);
  const signal = signalOf(options);
  const content = isPieces(data) ? data : contentOf(data, settings.encoding);
  return inTurn(place, () => {
    const replacement = new Replacement(engine, place, settings);
    if (!isPieces(content) && settings.onTemporary === undefined) {
      return drive(engine, replacement.all(content), signal);
    }
    return replaceByPieces(replacement, content, settings, { signal, giveUp: options.signal });
  });
}

/* What stops our own steps, and what ends the wait for a source. */
interface Stops {
  readonly signal: Interrupt | undefined;
  readonly giveUp: AbortSignal | undefined;
}

async function replaceByPieces(
  replacement: Replacement,
  content: Pieces | Sequence,
  settings: ReplaceSettings,
  { signal, giveUp }: Stops,
): Promise<ReplaceReport> {
  const { engine } = replacement;
  /* What the source throws passes as it is; what our steps throw is told as a replace's. */
  const step = <T>(steps: Steps<T>): Promise<T> =>
    drive<T>(engine, steps, signal).catch((error: unknown) => {
      throw replacement.told(error);
    });
  try {
    await step(replacement.begin());
    await settings.onTemporary?.(replacement.temporaryPath);
    if (!isPieces(content)) await step(replacement.write(content));
    else {
      for await (const piece of interruptible(content, giveUp)) {
        await step(replacement.write(contentOf(piece, settings.encoding)));
      }
    }
    return await step(replacement.finish());
  } catch (error) {
    await drive(engine, replacement.abandon());
    throw error;
  }
}

/** An async iterable whose next value is not waited for any longer once the caller gave up. */
async function* interruptible<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, void> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  const gaveUp = new Promise<never>((_, reject) => {
    const give = (): void => reject(interruption(signal.reason));
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
  });
  gaveUp.catch(() => undefined);
  let isDone = false;
  try {
    while (!isDone) {
      const next = await Promise.race([iterator.next(), gaveUp]);
      isDone = next.done === true;
      if (next.done !== true) yield next.value;
    }
  } finally {
    /* A source that hangs would hang here too: it is told, not waited for. */
    if (!isDone) Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/**
 * As `replaceFile`, on the calling thread; not for async iterables, and not in turn with replaces
 * of the same path that are under way.
 *
 * Durable: as `replaceFile`.
 * Errors: as `replaceFile`.
 */
export function replaceFileSync(
  path: PathLike,
  data: string | Buffers,
  options: ReplaceOptions = {},
): ReplaceReport {
  const settings = replaceSettingsOf(options);
  const place = placeOf(path);
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

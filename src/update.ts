/**
 * Read, change, replace: as one step among all processes that do it this way. The lock is on a file
 * beside the target, since the target is another file after each replace.
 *
 * Invariants: 1. From the read of the old content to the replace nobody else who updates gets in:
 *                no update is lost.
 *             2. What a callback throws, or returns that cannot be written, leaves the file as it
 *                was, and the lock free.
 *             3. The new content is put in place as by `replaceFile`, with the same promises.
 * Not promised: exclusion of those who write without asking; that a callback which waits for an
 * update of the same file ends.
 * Source: the locks of lock.ts, the order of replace.ts
 */
import { type Buffers, type Sequence, sequenceOf } from './buffers.js';
import { drive, driveSync, type Engine, engineOf, type Interrupt, Pause } from './engine.js';
import { invalidType, timeIsUp } from './errors.js';
import { type PathLike, signalOf } from './file.js';
import { placeOf } from './platform.js';
import { inTurn } from './replace.js';
import { textOf, valueIn } from './update/json.js';
import {
  type Exclusion,
  indentOf,
  type UpdateJsonOptions,
  type UpdateOptions,
  type UpdateSettings,
  updateSettingsOf,
} from './update/options.js';
import { Session, type UpdateReport } from './update/session.js';

export type { Exclusion, UpdateJsonOptions, UpdateOptions, UpdateReport };

/** What an update of JSON did, with the value that stands in the file now. */
export interface UpdateJsonReport<T> extends UpdateReport {
  readonly value: T;
}

type Content = string | Buffers;
type Old = Uint8Array | undefined;

const EXPECTED = 'a string, an ArrayBufferView or an iterable of them';

interface Asked {
  readonly engine: Engine;
  readonly session: Session;
  readonly settings: UpdateSettings;
}

function askedFor(path: PathLike, change: unknown, options: UpdateOptions): Asked {
  const place = placeOf(path);
  if (typeof change !== 'function') throw invalidType('change', 'a function', change);
  const settings = updateSettingsOf(options);
  const engine = engineOf(options.engine);
  return { engine, settings, session: new Session(engine, place, settings) };
}

function contentOf(answer: unknown, { replace }: UpdateSettings): Sequence {
  const argument = 'content that was returned';
  if (typeof answer === 'string')
    return sequenceOf(Buffer.from(answer, replace.encoding), argument);
  if (typeof answer !== 'object' || answer === null) throw invalidType(argument, EXPECTED, answer);
  return sequenceOf(answer as Buffers, argument);
}

/* Nobody can stop a callback: whoever gives up waits for it no longer, and drops its answer. */
async function answered<T>({ engine, session, settings }: Asked, work: () => T | Promise<T>) {
  const { signal, timeoutMs } = settings;
  const isTimed = Number.isFinite(timeoutMs) && engine.pause === undefined;
  if (signal === undefined && !isTimed) return await work();
  let isAnswered = false;
  let pause: Pause | undefined;
  const waits = function* (): Generator<Pause, never, void> {
    while (isAnswered || !isTimed || session.leftMs > 0) {
      pause = new Pause(isTimed ? session.leftMs : Number.POSITIVE_INFINITY, timeIsUp);
      yield pause;
      if (isAnswered) break;
    }
    throw timeIsUp();
  };
  const givesUp = drive(engine, waits(), signal);
  try {
    return await Promise.race([givesUp, Promise.resolve(work())]);
  } finally {
    isAnswered = true;
    pause?.wake();
    givesUp.catch(() => undefined);
  }
}

async function updated(asked: Asked, change: (old: Old) => unknown): Promise<UpdateReport> {
  const { engine, session, settings } = asked;
  const { signal } = settings;
  const deadline = (): Interrupt | undefined => {
    const { leftMs } = session;
    return signalOf({ signal, timeoutMs: Number.isFinite(leftMs) ? leftMs : undefined });
  };
  try {
    const old = await drive(engine, session.begin(), signal);
    const content = contentOf(await answered(asked, () => change(old)), settings);
    return await inTurn(session.place, () => drive(engine, session.finish(content), deadline()));
  } catch (error) {
    throw session.told(error);
  } finally {
    await drive(engine, session.end());
  }
}

function updatedSync({ engine, session, settings }: Asked, change: (old: Old) => unknown) {
  try {
    const answer = change(driveSync(engine, session.begin()));
    if (typeof (answer as { then?: unknown } | null | undefined)?.then === 'function') {
      throw invalidType('content that was returned', `${EXPECTED}, not a promise`, answer);
    }
    return driveSync(engine, session.finish(contentOf(answer, settings)));
  } finally {
    driveSync(engine, session.end());
  }
}

/**
 * Replaces the content of a file by what `change` makes of the old one, while no other process
 * updates it.
 *
 * Shapes: `change` is given the bytes, or `undefined` when there is no file, and returns text or
 * views, or a promise of them.
 * Order: updates of one path in one process take place in the order of the calls; among processes
 * none, but each has its turn.
 * Durable: as `replaceFile`.
 * Lifetime: the lock file, `.<name>.lock` beside the file, stays.
 * Errors: `TypeError`, `RangeError` for bad input and for what cannot be written; `LockHeldError`
 * with the owner when the time is up; what `change` throws; `IoError` with `durable` as by
 * `replaceFile`, of kind `unsupported` on an engine without locks (see `exclusion`), `stale` when
 * the lock file was removed meanwhile; `AbortError`.
 */
export async function updateFile(
  path: PathLike,
  change: (old: Uint8Array | undefined) => Content | Promise<Content>,
  options: UpdateOptions = {},
): Promise<UpdateReport> {
  return updated(askedFor(path, change, options), change);
}

/** As `updateFile`, on the calling thread. Errors: as there; `EBUSY` beside one under way here. */
export function updateFileSync(
  path: PathLike,
  change: (old: Uint8Array | undefined) => Content,
  options: UpdateOptions = {},
): UpdateReport {
  return updatedSync(askedFor(path, change, options), change);
}

/* One update of JSON by either face: what it reads, what it writes, what it reports. */
class JsonChange<T> {
  readonly asked: Asked;
  readonly #indent: UpdateJsonOptions['indent'];
  #value: T | undefined;

  constructor(path: PathLike, change: unknown, options: UpdateJsonOptions) {
    this.asked = askedFor(path, change, options);
    this.#indent = indentOf(options.indent);
  }

  read(old: Old): T | undefined {
    return old === undefined ? undefined : (valueIn(old, this.asked.session.path) as T);
  }

  write(value: T): string {
    const text = textOf(value, this.#indent);
    this.#value = value;
    return text;
  }

  told(report: UpdateReport): UpdateJsonReport<T> {
    return { ...report, value: this.#value as T };
  }
}

/**
 * Replaces the JSON value in a file by what `change` makes of the old one, while no other process
 * updates it.
 *
 * Shapes: `change` is given the value, or `undefined` when there is no file, and returns the new
 * one, or a promise of it; it may be the old one, changed. Written as `JSON.stringify` has it, with
 * a line feed.
 * Order: as `updateFile`.
 * Durable: as `updateFile`.
 * Errors: as `updateFile`; `IoError` of kind `corrupt` with the byte at `offset` where the file is
 * not JSON, `TypeError` where the new value cannot be: the file is as it was then.
 */
export async function updateJson<T = unknown>(
  path: PathLike,
  change: (old: T | undefined) => T | Promise<T>,
  options: UpdateJsonOptions = {},
): Promise<UpdateJsonReport<T>> {
  const json = new JsonChange<T>(path, change, options);
  const whole = async (old: Old): Promise<string> => json.write(await change(json.read(old)));
  return json.told(await updated(json.asked, whole));
}

/** As `updateJson`, on the calling thread. Errors: as `updateJson` and `updateFileSync`. */
export function updateJsonSync<T = unknown>(
  path: PathLike,
  change: (old: T | undefined) => T,
  options: UpdateJsonOptions = {},
): UpdateJsonReport<T> {
  const json = new JsonChange<T>(path, change, options);
  return json.told(updatedSync(json.asked, (old) => json.write(change(json.read(old)))));
}

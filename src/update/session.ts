/** One update: its turn, the lock, the old content, the new one, the end. */
import type { Sequence } from '../buffers.js';
import { Counters, clockOf, type Engine, type Steps } from '../engine.js';
import { IoError } from '../errors.js';
import {
  closing,
  Latch,
  type OwnTurn,
  openSteps,
  ownTurnSteps,
  readAllSteps,
  settingsOf,
} from '../file.js';
import { type FileLock, lockFileSteps } from '../lock.js';
import {
  absolutePath,
  Code,
  environment,
  errnoOf,
  Operation,
  Place,
  refusal,
} from '../platform.js';
import { Replacement, type ReplaceReport } from '../replace.js';
import type { Exclusion, UpdateSettings } from './options.js';

const LINKS_MAX = 40;
const NAME_BYTES_MAX = 255;

/** What an update did: the report of its replace, and who took turns. */
export interface UpdateReport extends ReplaceReport {
  readonly exclusion: Exclusion;
  /** The lock file, which stays; `undefined` for `this-process`. */
  readonly lockPath: string | undefined;
}

/* FNV-1a: two long names that share a hash share a lock file, and wait for each other. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

function lockPlaceOf(target: Place): Place {
  const { base, encoding } = target;
  const plain = `.${base}.lock`;
  const fits = Buffer.byteLength(plain, encoding) <= NAME_BYTES_MAX;
  const name = fits ? plain : `.holdfast-${hashOf(base)}.lock`;
  const directory = target.parent().path;
  return new Place(directory.endsWith('/') ? directory + name : `${directory}/${name}`, encoding);
}

function wordOf({ path }: Place): string {
  return absolutePath(path, environment.workingDirectory());
}

/* Two names of one file that differ by a link have to come to one lock. */
function* resolvedSteps(asked: Place): Steps<Place> {
  let place = asked;
  for (let links = 0; links <= LINKS_MAX; links++) {
    const read = new Operation(Code.ReadLink);
    read.place = place;
    read.out = new Uint8Array(4097);
    yield read;
    const { result } = read;
    if (result === errnoOf('EINVAL') || result === errnoOf('ENOENT')) return place;
    if (result < 0) throw untouched(result, 'readlink', asked.path);
    place = place.linkTarget(read.out.subarray(0, result));
  }
  throw untouched(errnoOf('ELOOP'), 'readlink', asked.path);
}

function untouched(errno: number, syscall: string, path: string): IoError {
  const context = { action: 'update the file', syscall, path, step: 'follow the link' };
  return refusal(errno, { ...context, durable: 'old' });
}

/* Before the replace nothing has happened to the file: locks and reads do not know that. */
function* toldAsOld<T>(steps: Steps<T>): Steps<T> {
  try {
    return yield* steps;
  } catch (error) {
    if (!(error instanceof IoError) || error.durable !== undefined) throw error;
    throw Object.assign(error, { durable: 'old' });
  }
}

/** One update under way. `end` has to come last, whatever happened. */
export class Session {
  readonly engine: Engine;
  readonly #asked: Place;
  readonly #settings: UpdateSettings;
  readonly #endMs: number;
  readonly #turns: OwnTurn[] = [];
  #target: Place;
  #lock: FileLock | undefined;

  constructor(engine: Engine, asked: Place, settings: UpdateSettings) {
    this.engine = engine;
    this.#asked = asked;
    this.#target = asked;
    this.#settings = settings;
    this.#endMs = clockOf(engine) + settings.timeoutMs;
    const reason = engine.capabilities.locks;
    if (settings.exclusion === 'this-process' || reason === true) return;
    const words = `${reason}; options.exclusion 'this-process' does without`;
    const fields = { action: 'update the file', path: asked.path, step: 'lock', words };
    throw new IoError({ ...fields, code: 'ENOSYS', durable: 'old' });
  }

  get path(): string {
    return this.#target.path;
  }

  get place(): Place {
    return this.#target;
  }

  /** Milliseconds until the time is up. */
  get leftMs(): number {
    return Math.max(this.#endMs - clockOf(this.engine), 0);
  }

  /** Waits for its turn and answers the old content. Errors: `IoError`; `LockHeldError`. */
  begin(): Steps<Uint8Array | undefined> {
    return toldAsOld(this.#begin());
  }

  *#begin(): Steps<Uint8Array | undefined> {
    const { exclusion, lockPlace, lockMode } = this.#settings;
    yield* this.#turn(`update ${wordOf(this.#asked)}`);
    this.#target = yield* resolvedSteps(this.#asked);
    if (exclusion === 'this-process') yield* this.#turn(`updated ${wordOf(this.#target)}`);
    else {
      const wish = { exclusive: true, primitive: 'ofd', mode: lockMode } as const;
      const place = lockPlace ?? lockPlaceOf(this.#target);
      const { leftMs: timeoutMs } = this;
      this.#lock = yield* lockFileSteps(this.engine, place, { ...wish, timeoutMs });
    }
    return yield* this.#read();
  }

  *#turn(word: string): Steps<void> {
    const { engine, leftMs } = this;
    this.#turns.push(yield* ownTurnSteps(engine, word, this.#asked.path, leftMs));
  }

  *#read(): Steps<Uint8Array | undefined> {
    const { engine, path } = this;
    let fd = -1;
    try {
      ({ fd } = yield* openSteps(engine, this.#target, settingsOf({ access: 'read' })));
      const file = { engine, latch: new Latch(), counters: new Counters(), path, fd };
      return yield* readAllSteps({ ...file, directAlignment: undefined });
    } catch (error) {
      if (error instanceof IoError && error.code === 'ENOENT') return undefined;
      throw error;
    } finally {
      if (fd >= 0) yield closing(fd);
    }
  }

  /** Puts the new content in place. Errors: `IoError` with `durable`. */
  *finish(content: Sequence): Steps<UpdateReport> {
    const { exclusion, replace } = this.#settings;
    const lock = this.#lock;
    if (lock !== undefined && !(yield* toldAsOld(lock.intactSteps()))) {
      const words = 'its lock file was removed or replaced meanwhile: others may have updated it';
      const fields = { action: 'update the file', path: this.path, step: 'lock', words };
      throw new IoError({ ...fields, code: 'ESTALE', durable: 'old' });
    }
    const report = yield* new Replacement(this.engine, this.#target, replace).all(content);
    return { ...report, exclusion, lockPath: lock?.path };
  }

  /** What is known of a time that was up between steps: the replace tells of its own. */
  told(error: unknown): unknown {
    const isTime = error instanceof IoError && error.code === 'ETIMEDOUT';
    if (!isTime || error.durable !== undefined) return error;
    const fields = { action: 'update the file', path: this.path, step: 'update', cause: error };
    const words = 'the time given is up';
    return new IoError({ ...fields, code: 'ETIMEDOUT', words, durable: 'old' });
  }

  /** Lets the next one in. */
  *end(): Steps<void> {
    try {
      if (this.#lock !== undefined) yield* this.#lock.releaseSteps();
    } finally {
      for (const turn of this.#turns) turn.leave();
    }
  }
}

/** Calls on one file by its path: opened, used and closed within the call. */
import { type Buffers, sequenceOf } from '../buffers.js';
import { Counters, type Engine, type Steps } from '../engine.js';
import { invalidType, trueOrFalse } from '../errors.js';
import {
  appendSteps,
  callSteps,
  closing,
  type FileStat,
  Latch,
  modeOf,
  type OpenOptions,
  openSteps,
  readAllSteps,
  settingsOf,
  type Target,
} from '../file.js';
import { looking, refused } from '../held.js';
import { Code, errnoOf, Operation, type PathLike, type Place } from '../platform.js';
import { Dues, durably, type Fallback } from './dues.js';
import {
  checkDirectoryOptions,
  type DirectoryOptions,
  type DurableOptions,
  durableOf,
} from './options.js';
import type { Where } from './where.js';

const APPEND = 'append';
const INSPECT = 'inspect the file';
const READ = 'read the file';

export interface AppendOptions extends DurableOptions {
  /** Permissions of a file that is made, before the process' mask. Default 0o666. */
  readonly mode?: number | undefined;
}

export interface AppendReport {
  readonly path: string;
  /** Where the first byte landed. */
  readonly offset: number;
  readonly bytes: number;
  /** What a power cut from now on leaves: the bytes, and the name of a file that was made. */
  readonly durability: 'full' | 'none';
  readonly engine: string;
  readonly fallbacks: readonly Fallback[];
}

export interface StatFileOptions extends DirectoryOptions {
  /** Look at what a symbolic link leads to (default), or at the link. */
  readonly followSymlink?: boolean | undefined;
}

interface Open extends Target {
  readonly access: 'read' | 'append';
}

function* usingFile<T>(
  engine: Engine,
  place: Place,
  options: Pick<OpenOptions, 'create' | 'mode'> & { readonly access: Open['access'] },
  use: (file: Open) => Steps<T>,
): Steps<T> {
  const { fd } = yield* openSteps(engine, place, settingsOf(options));
  const file: Open = {
    engine,
    fd,
    path: place.path,
    access: options.access,
    latch: new Latch(),
    counters: new Counters(),
    directAlignment: undefined,
  };
  try {
    return yield* use(file);
  } finally {
    yield closing(fd);
  }
}

export function* readFileCall(
  where: Where,
  path: PathLike,
  options: DirectoryOptions,
): Steps<Uint8Array> {
  checkDirectoryOptions(options);
  const place = where.place(path, 'path', READ);
  return yield* usingFile(where.engine, place, { access: 'read' }, readAllSteps);
}

export function* statFileCall(
  where: Where,
  path: PathLike,
  options: StatFileOptions,
): Steps<FileStat> {
  checkDirectoryOptions(options);
  const follows = trueOrFalse(options.followSymlink, 'options.followSymlink', true);
  const place = where.place(path, 'path', INSPECT);
  const stat = looking(place);
  if (follows) stat.flags = 0;
  yield stat;
  if (stat.result >= 0) return stat.stat as FileStat;
  throw refused(stat, { action: INSPECT, step: 'inspect', path: place.path });
}

export function* appendFileCall(
  where: Where,
  path: PathLike,
  data: string | Buffers,
  options: AppendOptions,
): Steps<AppendReport> {
  const isDurable = durableOf(options);
  const mode = options.mode === undefined ? 0o666 : modeOf(options.mode, 'options.mode');
  const isBytes = typeof data === 'object' && data !== null;
  if (typeof data !== 'string' && !isBytes) {
    throw invalidType('data', 'a string, an ArrayBufferView or an iterable of them', data);
  }
  const sequence = sequenceOf(typeof data === 'string' ? Buffer.from(data) : data, 'data');
  const place = where.place(path, 'path', APPEND);
  const dues = new Dues(where.engine, isDurable);
  const steps = function* (): Steps<number> {
    if (isDurable) yield* owedForName(where, place, dues);
    const choices = { access: 'append', create: true, mode } as const;
    return yield* usingFile(where.engine, place, choices, function* (file) {
      const landed = yield* appendSteps(file, sequence);
      const sync = new Operation(Code.SyncData);
      if (isDurable) yield* callSteps(file, sync, 'sync the file');
      return landed;
    });
  };
  const offset = yield* durably(dues, APPEND, steps());
  const { durability, fallbacks } = dues;
  const engine = where.engine.name;
  return { path: place.path, offset, bytes: sequence.byteLength, durability, engine, fallbacks };
}

/* The directory owes a sync where the name is not there yet. */
function* owedForName(where: Where, place: Place, dues: Dues): Steps<void> {
  const look = looking(place);
  look.flags = 0;
  yield look;
  if (look.result !== errnoOf('ENOENT')) return;
  const { parent, place: name } = yield* where.spot(place, dues.purpose, APPEND);
  yield* dues.add(parent);
  const link = looking(name);
  yield link;
  if (link.result < 0) return;
  const reason = 'the file was made where a symbolic link leads';
  dues.fallbacks.push({ what: 'directory sync', reason });
}

/** Syncs a directory: the names in it. */
export function* syncDirectoryCall(
  where: Where,
  path: PathLike,
  options: DirectoryOptions,
): Steps<{ readonly primitive: 'fsync' | 'none'; readonly fallbacks: readonly Fallback[] }> {
  checkDirectoryOptions(options);
  const action = 'sync the directory';
  const place = where.place(path, 'path', action);
  const dues = new Dues(where.engine, true);
  yield* dues.add(yield* where.directory(place, 'all', action));
  yield* dues.settle(action);
  const { fallbacks, durability } = dues;
  return { primitive: durability === 'full' ? 'fsync' : 'none', fallbacks };
}

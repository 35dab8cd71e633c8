/** Opening lock files: made if absent, never followed, never anything but a file. */
import { Counters, drive, driveSync, type Engine, type Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { closing, type Identity, identityOf, Latch, type Lock, type LockHome } from '../file.js';
import {
  absolutePath,
  Code,
  environment,
  errnoOf,
  FD_OPENED_IN_RUN,
  type FileStat,
  linked,
  nameOf,
  OpenFlag,
  Operation,
  Place,
  refusal,
} from '../platform.js';
import { isForRecords, RECORD_BYTES } from './record.js';

const TRIES_MAX = 100;
const SAFE = OpenFlag.NoFollow | OpenFlag.NonBlocking;
const CLOSED_TO_US: readonly string[] = ['EACCES', 'EPERM', 'EROFS'];

/** How a lock file is opened. */
export interface OpenWish {
  readonly exclusive: boolean;
  /** Permissions of one that is made. */
  readonly mode: number;
}

/** An open lock file. */
export class LockFileHome implements LockHome {
  readonly engine: Engine;
  readonly latch: Latch = new Latch();
  readonly counters: Counters = new Counters();
  readonly directAlignment = undefined;
  readonly isClosed = false;
  readonly waiting: LockHome['waiting'] = new Set();
  readonly locks: Set<Lock> = new Set();
  readonly place: Place;
  readonly fd: number;
  readonly identity: Identity;
  readonly volumeType: number;
  /** Whether owners are written into it. */
  readonly hasRecords: boolean;

  constructor(engine: Engine, place: Place, opened: Opened) {
    this.engine = engine;
    this.place = place;
    this.fd = opened.fd;
    this.identity = opened.identity;
    this.volumeType = opened.volumeType;
    this.hasRecords = opened.hasRecords;
  }

  get path(): string {
    return this.place.path;
  }

  laterOn<T>(steps: () => Steps<T>, signal?: AbortSignal): Promise<T> {
    return drive(this.engine, steps(), signal);
  }

  nowOn<T>(steps: () => Steps<T>): T {
    return driveSync(this.engine, steps());
  }
}

interface Opened {
  readonly fd: number;
  readonly identity: Identity;
  readonly volumeType: number;
  readonly hasRecords: boolean;
}

/** The same place, wherever the process goes to: its lock is looked at again later. */
export function absolute(engine: Engine, place: Place): Place {
  const home = engine.name === 'simulated' ? '' : environment.workingDirectory();
  const text = place.encoding === 'utf8' ? home : Buffer.from(home).toString('latin1');
  return new Place(absolutePath(place.path, text), place.encoding);
}

interface Look {
  readonly open: Operation;
  readonly stat: Operation;
  readonly volume: Operation;
  readonly read: Operation;
}

function lookAt(place: Place, flags: number, mode: number): Look {
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = flags | SAFE;
  open.mode = mode;
  const stat = new Operation(Code.Stat);
  const volume = new Operation(Code.VolumeType);
  const read = new Operation(Code.Read);
  for (const operation of [stat, volume, read]) operation.fd = FD_OPENED_IN_RUN;
  read.offset = 0;
  read.length = RECORD_BYTES;
  read.payload = new Uint8Array(RECORD_BYTES);
  linked(open, stat, volume, read);
  return { open, stat, volume, read };
}

function refused(place: Place, operation: Operation, syscall: string, words?: string): IoError {
  const context = { action: 'lock the file', path: place.path, syscall, step: 'open' };
  const told = refusal(operation.result, context);
  if (words === undefined) return told;
  return new IoError({ ...context, code: told.code, errno: told.errno, words });
}

function homeOf(engine: Engine, place: Place, { open, stat, volume, read }: Look): LockFileHome {
  if (stat.result < 0) throw refused(place, stat, 'fstat');
  const { kind, size } = stat.stat as FileStat;
  if (kind !== 'file') {
    const words = `it is a ${kind}, not a regular file`;
    const fields = { action: 'lock the file', path: place.path, step: 'open', words };
    throw new IoError({ ...fields, code: 'ERR_WRONG_TYPE' });
  }
  const bytes = (read.payload as Uint8Array).subarray(0, Math.max(read.result, 0));
  const hasRecords = isForRecords(bytes, size);
  return new LockFileHome(engine, place, {
    fd: open.result,
    identity: identityOf(stat.stat as FileStat),
    volumeType: volume.result,
    hasRecords,
  });
}

/*
 * Without O_CREAT first: in /tmp and its like that flag is refused for a file of somebody else's,
 * even to root (proc(5), protected_regular).
 */
function* openedSteps(place: Place, { exclusive, mode }: OpenWish): Steps<Look> {
  const create = OpenFlag.ReadWrite | OpenFlag.Create | OpenFlag.Exclusive;
  let flags = OpenFlag.ReadWrite;
  for (let tries = 0; ; tries++) {
    const look = lookAt(place, flags, mode);
    yield look.open;
    const { result } = look.open;
    if (result >= 0) return look;
    const isAbsent = result === errnoOf('ENOENT') && flags === OpenFlag.ReadWrite;
    const isThere = result === errnoOf('EEXIST');
    const code = nameOf(result);
    const isClosed = CLOSED_TO_US.includes(code) && !exclusive && flags === OpenFlag.ReadWrite;
    if (tries < TRIES_MAX && (isAbsent || isThere || isClosed)) {
      flags = isAbsent ? create : isClosed ? OpenFlag.ReadOnly : OpenFlag.ReadWrite;
      continue;
    }
    const isLink = result === errnoOf('ELOOP');
    const words = isLink ? 'it is a symbolic link, or one leads to it too often' : undefined;
    throw refused(place, look.open, 'open', words);
  }
}

/** Opens a lock file. Errors: `IoError`; no descriptor is left then. */
export function* openLockFile(engine: Engine, place: Place, wish: OpenWish): Steps<LockFileHome> {
  const look = yield* openedSteps(place, wish);
  let isKept = false;
  try {
    const home = homeOf(engine, place, look);
    isKept = true;
    return home;
  } finally {
    if (!isKept) yield closing(look.open.result);
  }
}

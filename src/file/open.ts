/** Opening: options to flags, and the check that what was opened is a file with positions. */
import type { Steps } from '../engine.js';
import { invalidType, invalidValue, outOfRange } from '../errors.js';
import {
  Code,
  errnoOf,
  FD_OPENED_IN_RUN,
  type FileStat,
  linked,
  OpenFlag,
  Operation,
  type Place,
  refusal,
} from '../platform.js';

export type Access = 'read' | 'write' | 'read-write' | 'append';

export interface OpenSettings {
  readonly access: Access;
  readonly flags: number;
  readonly mode: number;
}

export interface OpenChoices {
  /** Default `read`. `append` writes at the end, wherever that is at the moment of the write. */
  readonly access?: Access | undefined;
  /** Create the file when it is absent; `exclusive` refuses when it is there. Default false. */
  readonly create?: boolean | 'exclusive' | undefined;
  /** Cut the file to nothing. Default false. */
  readonly truncate?: boolean | undefined;
  /** Permissions of a file that is created, before the process' mask. Default 0o666. */
  readonly mode?: number | undefined;
  /** Every write returns when it is durable: its data, or its data and metadata. */
  readonly sync?: 'data' | 'full' | undefined;
}

const ACCESS_FLAGS: Readonly<Record<Access, number>> = {
  read: OpenFlag.ReadOnly,
  write: OpenFlag.WriteOnly,
  'read-write': OpenFlag.ReadWrite,
  append: OpenFlag.WriteOnly | OpenFlag.Append,
};

function createFlags(create: unknown): number {
  if (create === undefined || create === false) return 0;
  if (create === true) return OpenFlag.Create;
  if (create === 'exclusive') return OpenFlag.Create | OpenFlag.Exclusive;
  throw invalidValue('options.create', "true, false or 'exclusive'", create);
}

function syncFlags(sync: unknown): number {
  if (sync === undefined) return 0;
  if (sync === 'data') return OpenFlag.DataSync;
  if (sync === 'full') return OpenFlag.FullSync;
  throw invalidValue('options.sync', "'data' or 'full'", sync);
}

/** Checks a mode given by the caller. */
export function modeOf(mode: unknown, argument: string): number {
  if (typeof mode !== 'number') throw invalidType(argument, 'a number', mode);
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) {
    throw outOfRange(argument, 'an integer from 0 to 0o7777', mode);
  }
  return mode;
}

function flag(value: unknown, argument: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw invalidType(argument, 'true or false', value);
}

/** Interprets the options. Errors: `TypeError`, `RangeError` naming the option. */
export function settingsOf(choices: OpenChoices): OpenSettings {
  if (typeof choices !== 'object' || choices === null) {
    throw invalidType('options', 'an object', choices);
  }
  const access = choices.access ?? 'read';
  const accessFlags: number | undefined = ACCESS_FLAGS[access];
  if (accessFlags === undefined) {
    throw invalidValue('options.access', "'read', 'write', 'read-write' or 'append'", access);
  }
  const truncate = flag(choices.truncate, 'options.truncate');
  const create = createFlags(choices.create);
  if (access === 'read' && (truncate || create !== 0)) {
    const option = truncate ? 'options.truncate' : 'options.create';
    throw invalidValue(option, "false for access 'read'", true);
  }
  const mode = choices.mode === undefined ? 0o666 : modeOf(choices.mode, 'options.mode');
  const truncates = truncate ? OpenFlag.Truncate : 0;
  return { access, mode, flags: accessFlags | create | truncates | syncFlags(choices.sync) };
}

export interface Opened {
  readonly fd: number;
  readonly stat: FileStat;
}

/** The operation that closes a descriptor. */
export function closing(fd: number): Operation {
  const close = new Operation(Code.Close);
  close.fd = fd;
  close.mustRun = true;
  return close;
}

interface OpeningRun {
  readonly open: Operation;
  readonly stat: Operation;
  readonly clear: Operation;
}

function openingRun(place: Place, settings: OpenSettings, nonBlocking: number): OpeningRun {
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = settings.flags | nonBlocking;
  open.mode = settings.mode;
  const stat = new Operation(Code.Stat);
  stat.fd = FD_OPENED_IN_RUN;
  const clear = new Operation(Code.SetStatusFlags);
  clear.fd = FD_OPENED_IN_RUN;
  clear.flags = settings.flags & OpenFlag.Append;
  linked(open, stat, clear);
  return { open, stat, clear };
}

const WRONG_KINDS: Readonly<Partial<Record<FileStat['kind'], string>>> = {
  directory: 'EISDIR',
  fifo: 'ESPIPE',
  socket: 'ENXIO',
};

/**
 * Opens a file. O_NONBLOCK keeps the open of a FIFO from waiting for its other end (fifo(7)); it
 * is cleared again, since a ring answers EAGAIN for descriptors that have it.
 *
 * Errors: `IoError`; kind `wrong-type` for a directory, a FIFO or a socket. No descriptor is left.
 */
export function* openSteps(place: Place, settings: OpenSettings): Steps<Opened> {
  let run = openingRun(place, settings, OpenFlag.NonBlocking);
  let isKept = false;
  try {
    yield run.open;
    if (run.open.result === errnoOf('EAGAIN')) {
      /* Somebody holds a lease (fcntl(2), F_SETLEASE): a plain open waits until it is given up. */
      run = openingRun(place, settings, 0);
      yield run.open;
    }
    const stat = checkOpened(run, place.path);
    isKept = true;
    return { fd: run.open.result, stat };
  } finally {
    if (!isKept && run.open.result >= 0) yield closing(run.open.result);
  }
}

function checkOpened(run: OpeningRun, path: string): FileStat {
  const context = { action: 'open the file', syscall: 'open', path, step: 'open' };
  if (run.open.result < 0) throw refusal(run.open.result, context);
  if (run.stat.result < 0) throw refusal(run.stat.result, { ...context, syscall: 'fstat' });
  const stat = run.stat.stat as FileStat;
  const code = WRONG_KINDS[stat.kind];
  if (code !== undefined) throw refusal(errnoOf(code), context);
  return stat;
}

/** Opening: options to flags, and the check that what was opened is a file with positions. */
import { type Engine, Pause, type Steps } from '../engine.js';
import { IoError, invalidType, invalidValue, outOfRange, trueOrFalse } from '../errors.js';
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
import type { Alignment } from './transfer.js';

export type Access = 'read' | 'write' | 'read-write' | 'append';

export interface OpenSettings {
  readonly access: Access;
  readonly flags: number;
  readonly mode: number;
  readonly direct: boolean | 'strict';
  readonly pipes: boolean;
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
  /**
   * Go round the page cache. `true` falls back where the file system refuses, and `file.direct`
   * tells; `strict` rejects there. Default false.
   */
  readonly direct?: boolean | 'strict' | undefined;
  /** Every write returns when it is durable: its data, or its data and metadata. */
  readonly sync?: 'data' | 'full' | undefined;
  /**
   * Also take what has no positions, such as a FIFO or a terminal: for streams, `read` and `write`.
   * Waits for somebody to read what is opened for writing. Default false.
   */
  readonly pipes?: boolean | undefined;
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

/* Never less than was asked for: a write that is not durable yet would be taken for one that is. */
function durableWrites(flag: number): number {
  if (flag !== 0) return flag;
  const words = 'this system has no writes that are durable when they return; a sync makes them so';
  throw new IoError({ action: 'open the file', code: 'ENOTSUP', syscall: 'open', words });
}

function syncFlags(sync: unknown): number {
  if (sync === undefined) return 0;
  if (sync === 'data') return durableWrites(OpenFlag.DataSync);
  if (sync === 'full') return durableWrites(OpenFlag.FullSync);
  throw invalidValue('options.sync', "'data' or 'full'", sync);
}

function directOf(direct: unknown): boolean | 'strict' {
  if (direct === undefined) return false;
  if (typeof direct === 'boolean' || direct === 'strict') return direct;
  throw invalidValue('options.direct', "true, false or 'strict'", direct);
}

/** Checks a mode given by the caller. */
export function modeOf(mode: unknown, argument: string): number {
  if (typeof mode !== 'number') throw invalidType(argument, 'a number', mode);
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) {
    throw outOfRange(argument, 'an integer from 0 to 0o7777', mode);
  }
  return mode;
}

/**
 * Interprets the options. Errors: `TypeError`, `RangeError` naming the option; `IoError` of kind
 * `unsupported` for what this system does not have.
 */
export function settingsOf(choices: OpenChoices): OpenSettings {
  if (typeof choices !== 'object' || choices === null) {
    throw invalidType('options', 'an object', choices);
  }
  const access = choices.access === undefined ? 'read' : choices.access;
  if (typeof access !== 'string' || !Object.hasOwn(ACCESS_FLAGS, access)) {
    throw invalidValue('options.access', "'read', 'write', 'read-write' or 'append'", access);
  }
  const truncate = trueOrFalse(choices.truncate, 'options.truncate');
  const create = createFlags(choices.create);
  if (access === 'read' && (truncate || create !== 0)) {
    const option = truncate ? 'options.truncate' : 'options.create';
    throw invalidValue(option, "false for access 'read'", true);
  }
  const mode = choices.mode === undefined ? 0o666 : modeOf(choices.mode, 'options.mode');
  const truncates = truncate ? OpenFlag.Truncate : 0;
  const direct = directOf(choices.direct);
  return {
    access,
    mode,
    direct,
    pipes: trueOrFalse(choices.pipes, 'options.pipes'),
    flags: ACCESS_FLAGS[access] | create | truncates | syncFlags(choices.sync),
  };
}

export interface Opened {
  readonly fd: number;
  readonly stat: FileStat;
  /** Set where direct I/O was asked for and is in force. */
  readonly alignment: Alignment | undefined;
  readonly fallbacks: readonly { readonly what: string; readonly reason: string }[];
}

/** The operation that closes a descriptor. */
export function closing(fd: number): Operation {
  const close = new Operation(Code.Close);
  close.fd = fd;
  close.mustRun = true;
  return close;
}

/*
 * open(2) refuses O_DIRECT before it cuts, and so does a strict open: the file is cut when direct
 * I/O is in force.
 */
function laterFlags(settings: OpenSettings): number {
  return settings.direct === 'strict' ? settings.flags & OpenFlag.Truncate : 0;
}

interface OpeningRun {
  readonly open: Operation;
  readonly stat: Operation;
  readonly setFlags: Operation;
  /* Asked only where the engine wants to know. */
  readonly volume: Operation;
}

/*
 * O_DIRECT is set after the open: an open(2) that has it and O_CREAT leaves an empty file behind
 * where the file system refuses it.
 */
function openingRun(
  engine: Engine,
  place: Place,
  settings: OpenSettings,
  nonBlocking: number,
): OpeningRun {
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = (settings.flags & ~laterFlags(settings)) | nonBlocking;
  open.mode = settings.mode;
  const stat = new Operation(Code.Stat);
  stat.fd = FD_OPENED_IN_RUN;
  const setFlags = new Operation(Code.SetStatusFlags);
  setFlags.fd = FD_OPENED_IN_RUN;
  const direct = settings.direct === false ? 0 : OpenFlag.Direct;
  setFlags.flags = (settings.flags & OpenFlag.Append) | direct;
  const volume = new Operation(Code.VolumeType);
  volume.fd = FD_OPENED_IN_RUN;
  linked(open, stat, setFlags);
  if (engine.learnVolume !== undefined) setFlags.next = volume;
  return { open, stat, setFlags, volume };
}

const READER_POLL_MS = 25;

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
export function* openSteps(engine: Engine, place: Place, settings: OpenSettings): Steps<Opened> {
  checkStrict(engine, settings, place.path);
  let run = openingRun(engine, place, settings, OpenFlag.NonBlocking);
  let isKept = false;
  try {
    yield run.open;
    if (run.open.result === errnoOf('EAGAIN')) {
      /* Somebody holds a lease (fcntl(2), F_SETLEASE): a plain open waits until it is given up. */
      run = openingRun(engine, place, settings, 0);
      yield run.open;
    }
    while (settings.pipes && (yield* isUnread(run.open, place))) {
      yield new Pause(READER_POLL_MS);
      run = openingRun(engine, place, settings, OpenFlag.NonBlocking);
      yield run.open;
    }
    checkOpened(run, place.path, settings.pipes);
    const opened = directOrNot(engine, run, settings, place.path);
    if (opened.alignment === undefined) yield* plainFlags(run, settings);
    if (settings.pipes && hasNoPositions(opened.stat)) yield* unblockedFlags(run, settings);
    if (laterFlags(settings) !== 0) yield* cutSteps(run.open.result, place.path);
    isKept = true;
    return { ...opened, fallbacks: [...opened.fallbacks, ...volumeFallbacks(engine, run)] };
  } finally {
    if (!isKept && run.open.result >= 0) yield closing(run.open.result);
  }
}

/* A run that stopped at O_DIRECT has not asked: the engine does, where it has to know. */
function volumeFallbacks(engine: Engine, { open, volume }: OpeningRun): Opened['fallbacks'] {
  if (volume.result === errnoOf('ECANCELED')) return [];
  const reason = engine.learnVolume?.(open.result, volume.result);
  return reason === undefined ? [] : [{ what: 'ring', reason }];
}

function* cutSteps(fd: number, path: string): Steps<void> {
  const cut = new Operation(Code.Truncate);
  cut.fd = fd;
  yield cut;
  if (cut.result >= 0) return;
  throw refusal(cut.result, { action: 'open the file', syscall: 'ftruncate', path, step: 'open' });
}

/* Refused with O_DIRECT, the flags are those of the open; taken for nothing, they go back to it. */
function* plainFlags(run: OpeningRun, settings: OpenSettings): Steps<void> {
  const setFlags = new Operation(Code.SetStatusFlags);
  setFlags.fd = run.open.result;
  setFlags.flags = settings.flags & OpenFlag.Append;
  if (settings.direct !== false) yield setFlags;
}

/* A FIFO that nobody reads answers ENXIO (fifo(7)); so does what is not to be opened at all. */
function* isUnread(open: Operation, place: Place): Steps<boolean> {
  if (open.result !== errnoOf('ENXIO')) return false;
  const stat = new Operation(Code.Stat);
  stat.place = place;
  yield stat;
  return stat.result >= 0 && stat.stat?.kind === 'fifo';
}

/* No thread is to wait for the other end: it is asked for again and again. */
function* unblockedFlags(run: OpeningRun, settings: OpenSettings): Steps<void> {
  const setFlags = new Operation(Code.SetStatusFlags);
  setFlags.fd = run.open.result;
  setFlags.flags = (settings.flags & OpenFlag.Append) | OpenFlag.NonBlocking;
  yield setFlags;
}

/** Whether bytes of it come and go in order, and have no place. */
export function hasNoPositions({ kind }: FileStat): boolean {
  return kind === 'fifo' || kind === 'socket' || kind === 'character-device';
}

function checkOpened(run: OpeningRun, path: string, takesPipes: boolean): void {
  const context = { action: 'open the file', syscall: 'open', path, step: 'open' };
  if (run.open.result < 0) throw refusal(run.open.result, context);
  if (run.stat.result < 0) throw refusal(run.stat.result, { ...context, syscall: 'fstat' });
  checkKind(run.stat.stat as FileStat, path, takesPipes);
}

/** Refuses what has no positions, unless it is wanted. Errors: `IoError` of kind `wrong-type`. */
export function checkKind(stat: FileStat, path: string | undefined, takesPipes: boolean): void {
  const code = WRONG_KINDS[stat.kind];
  if (code === undefined || (takesPipes && hasNoPositions(stat))) return;
  throw refusal(errnoOf(code), { action: 'open the file', syscall: 'open', path, step: 'open' });
}

/**
 * What direct I/O demands of a file; `undefined` where it is refused. Where the kernel does not
 * tell (before 6.1), the block of the file system is safe to ask for.
 */
export function alignmentOf(stat: FileStat): Alignment | undefined {
  const { direct, blockBytes } = stat;
  if (direct === undefined) {
    const block = Math.max(blockBytes, 512);
    return { memory: block, offset: block, length: block };
  }
  if (direct.memory === 0) return undefined;
  return { memory: direct.memory, offset: direct.offset, length: direct.offset };
}

function noDirect(engine: Engine): string | undefined {
  const reason = engine.capabilities['status-flags'];
  if (reason !== true) return reason;
  return OpenFlag.Direct === 0 ? 'the system has no flag for it' : undefined;
}

function directRefusal(engine: Engine, run: OpeningRun): string | undefined {
  const { setFlags, stat } = run;
  const absent = noDirect(engine);
  if (absent !== undefined) return absent;
  if (setFlags.result < 0) return refusal(setFlags.result, { action: 'set O_DIRECT' }).message;
  const alignment = alignmentOf(stat.stat as FileStat);
  return alignment === undefined ? 'the file system refuses it for this file' : undefined;
}

function directOrNot(
  engine: Engine,
  run: OpeningRun,
  settings: OpenSettings,
  path: string,
): Opened {
  const stat = run.stat.stat as FileStat;
  const opened = { fd: run.open.result, stat, alignment: undefined, fallbacks: [] };
  if (settings.direct === false) return opened;
  const reason = directRefusal(engine, run);
  if (reason === undefined) return { ...opened, alignment: alignmentOf(stat) };
  if (settings.direct !== 'strict') return { ...opened, fallbacks: [{ what: 'direct', reason }] };
  throw strictRefusal(reason, path);
}

function strictRefusal(reason: string, path: string): IoError {
  const words = `direct I/O is refused here: ${reason}`;
  const action = 'open the file';
  return new IoError({ action, code: 'ENOTSUP', syscall: 'fcntl', path, step: 'open', words });
}

/* What the engine cannot do is known before the file is touched. */
function checkStrict(engine: Engine, settings: OpenSettings, path: string): void {
  const reason = noDirect(engine);
  if (settings.direct === 'strict' && reason !== undefined) throw strictRefusal(reason, path);
}

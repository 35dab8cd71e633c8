/**
 * Words for failure: what the world refused, in one shape, with everything known about it.
 *
 * The caller's mistake is a `TypeError` or a `RangeError` before anything happens; the world's
 * refusal is an `IoError`; our own mistake is an `AssertionFailure`. One table says what each code
 * means; nobody else compares code strings to decide what kind of failure it was.
 *
 * Invariants: 1. Every code has one kind, one status and one sentence.
 *             2. `IoError.bytesDone` is what reached the file, never what was asked.
 * Not promised: the wording of messages; test `code` and `kind`.
 * Source: errno(3); the RatOS file I/O specification (statuses 0 to 9)
 */

/** Outcome of a queued operation: the ten statuses of the RatOS specification. */
export const Status = {
  Ok: 0,
  Unknown: 1,
  NotFound: 2,
  AccessDenied: 3,
  NoResources: 4,
  NotApplicable: 5,
  InvalidArgument: 6,
  Io: 7,
  Timeout: 8,
  Cancelled: 9,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** What sort of failure it was, for code that has to choose what to do next. */
export type ErrorKind =
  | 'not-found'
  | 'exists'
  | 'access'
  | 'read-only'
  | 'no-space'
  | 'quota'
  | 'too-large'
  | 'limit'
  | 'io'
  | 'busy'
  | 'interrupted'
  | 'wrong-type'
  | 'loop'
  | 'not-empty'
  | 'cross-device'
  | 'escape'
  | 'unsupported'
  | 'invalid'
  | 'stale'
  | 'closed'
  | 'broken'
  | 'corrupt'
  | 'timeout'
  | 'cancelled'
  | 'unknown';

/** Which content a later reader finds: `old`, `new`, or `unknown` after a crash. */
export type DurableState = 'old' | 'new' | 'unknown';

interface Meaning {
  readonly kind: ErrorKind;
  readonly status: Status;
  readonly words: string;
}

function means(kind: ErrorKind, status: Status, words: string): Meaning {
  return { kind, status, words };
}

const UNKNOWN: Meaning = means('unknown', Status.Unknown, 'the system refused');

/** The one table of codes. EDQUOT has no name in libuv; ERR_* are our own. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOENT: means('not-found', Status.NotFound, 'no such file or directory'),
  ENXIO: means('wrong-type', Status.NotApplicable, 'it cannot be opened as a file'),
  ENODEV: means('unsupported', Status.NotApplicable, 'the device cannot do this'),
  ENODATA: means('not-found', Status.NotFound, 'no such attribute'),
  EEXIST: means('exists', Status.InvalidArgument, 'it exists already'),
  EACCES: means('access', Status.AccessDenied, 'permission denied'),
  EPERM: means('access', Status.AccessDenied, 'not permitted'),
  EROFS: means('read-only', Status.AccessDenied, 'the file system is read-only'),
  ENOSPC: means('no-space', Status.NoResources, 'the device is full'),
  EDQUOT: means('quota', Status.NoResources, 'the quota is used up'),
  EFBIG: means('too-large', Status.NoResources, 'the file would be too large'),
  EMFILE: means('limit', Status.NoResources, 'the process has too many open files'),
  ENFILE: means('limit', Status.NoResources, 'the system has too many open files'),
  ENOMEM: means('limit', Status.NoResources, 'the system is out of memory'),
  EAGAIN: means('busy', Status.NoResources, 'the resource is busy for now'),
  EBUSY: means('busy', Status.NoResources, 'it is in use'),
  ETXTBSY: means('busy', Status.NoResources, 'it is a program that runs'),
  EIO: means('io', Status.Io, 'the device failed'),
  EREMOTEIO: means('io', Status.Io, 'the remote device failed'),
  ESTALE: means('stale', Status.Io, 'the file handle is stale'),
  EINTR: means('interrupted', Status.Unknown, 'a signal came in between'),
  EISDIR: means('wrong-type', Status.NotApplicable, 'it is a directory'),
  ENOTDIR: means('wrong-type', Status.NotApplicable, 'a part of the path is not a directory'),
  ESPIPE: means('wrong-type', Status.NotApplicable, 'it has no positions'),
  ELOOP: means('loop', Status.InvalidArgument, 'too many symbolic links'),
  ENOTEMPTY: means('not-empty', Status.InvalidArgument, 'the directory is not empty'),
  EXDEV: means('cross-device', Status.NotApplicable, 'it is on another file system'),
  ENOSYS: means('unsupported', Status.NotApplicable, 'the system lacks this call'),
  ENOTSUP: means('unsupported', Status.NotApplicable, 'the file system cannot do this'),
  EOPNOTSUPP: means('unsupported', Status.NotApplicable, 'the file system cannot do this'),
  EINVAL: means('invalid', Status.InvalidArgument, 'the system does not accept the request'),
  EFAULT: means('invalid', Status.InvalidArgument, 'the memory is not there'),
  EOVERFLOW: means('too-large', Status.InvalidArgument, 'a value does not fit'),
  ENAMETOOLONG: means('invalid', Status.InvalidArgument, 'the name is too long'),
  EILSEQ: means('invalid', Status.InvalidArgument, 'the name is not valid there'),
  ENOLCK: means('limit', Status.NoResources, 'the system has no more locks'),
  EDEADLK: means('busy', Status.NoResources, 'each would wait for the other'),
  EMLINK: means('limit', Status.NoResources, 'the file has too many links'),
  EPIPE: means('closed', Status.Io, 'nobody reads the other end'),
  EBADF: means('closed', Status.InvalidArgument, 'the descriptor is not open for this'),
  ETIMEDOUT: means('timeout', Status.Timeout, 'the time is up'),
  ECANCELED: means('cancelled', Status.Cancelled, 'it was cancelled'),
  ERANGE: means('invalid', Status.InvalidArgument, 'the value does not fit'),
  ENOTTY: means('unsupported', Status.NotApplicable, 'the system lacks this call'),
  ERR_WRONG_TYPE: means('wrong-type', Status.NotApplicable, 'it is not a regular file'),
  ERR_ESCAPE: means('escape', Status.AccessDenied, 'the path leads out of the root'),
  ERR_BUFFER_CHANGED: means('invalid', Status.InvalidArgument, 'a view changed its length'),
  ERR_INVALID_JSON: means('corrupt', Status.Io, 'it is not valid JSON'),
  ERR_JOURNAL_DAMAGED: means('corrupt', Status.Io, 'the journal is damaged'),
  ERR_JOURNAL_FORMAT: means('unsupported', Status.NotApplicable, 'the format is not known'),
  ERR_LOCK_RELEASED: means('closed', Status.InvalidArgument, 'the lock was released'),
  ERR_SOURCE_CHANGED: means('busy', Status.NoResources, 'the source changed while it was read'),
  ERR_IMAGE_DAMAGED: means('corrupt', Status.Io, 'the image is damaged'),
  ERR_IMAGE_VERSION: means('unsupported', Status.NotApplicable, 'the image is of another version'),
  ERR_IMAGE_LAYOUT: means('wrong-type', Status.InvalidArgument, 'the image has another layout'),
  ERR_IMAGE_SECTION: means('not-found', Status.NotFound, 'the section is not loaded'),
  ERR_IMAGE_CLOSED: means('closed', Status.InvalidArgument, 'the image was closed'),
  ERR_MAP_RELEASED: means('closed', Status.InvalidArgument, 'the map was released'),
  ERR_MAP_TORN: means('broken', Status.Io, 'the file was cut, or pages of it could not be had'),
  ERR_LEASE_RELEASED: means('closed', Status.InvalidArgument, 'the lease was released'),
};

/** The meaning of a code; unknown codes have kind `unknown`. */
export function meaningOf(code: string): Meaning {
  return (Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : undefined) ?? UNKNOWN;
}

export interface IoErrorFields {
  /** What was being done: `Cannot <action>`. */
  readonly action: string;
  readonly code: string;
  /** Where it is not the one the table gives the code. */
  readonly kind?: ErrorKind | undefined;
  readonly errno?: number | undefined;
  readonly syscall?: string | undefined;
  readonly path?: string | undefined;
  readonly dest?: string | undefined;
  readonly offset?: number | undefined;
  readonly bytesDone?: number | undefined;
  readonly step?: string | undefined;
  readonly durable?: DurableState | undefined;
  readonly cause?: unknown;
  /** Says more than the table does. */
  readonly words?: string | undefined;
}

/**
 * The world refused. `code`, `errno`, `syscall`, `path` and `dest` are as Node has them.
 *
 * Units: `offset` and `bytesDone` are bytes.
 * Durable: `durable` tells, for a replace, which content stands: `old`, `new` or `unknown`.
 */
export class IoError extends Error {
  override readonly name: string = 'IoError';
  readonly code: string;
  readonly kind: ErrorKind;
  readonly errno: number | undefined;
  readonly syscall: string | undefined;
  readonly path: string | undefined;
  readonly dest: string | undefined;
  readonly offset: number | undefined;
  readonly bytesDone: number | undefined;
  readonly step: string | undefined;
  readonly durable: DurableState | undefined;

  constructor(fields: IoErrorFields) {
    const meaning = meaningOf(fields.code);
    const words = fields.words ?? meaning.words;
    const { path, dest } = fields;
    const place = path === undefined ? '' : `, ${JSON.stringify(path)}`;
    const target = dest === undefined || dest === path ? '' : ` -> ${JSON.stringify(dest)}`;
    const cause = fields.cause === undefined ? undefined : { cause: fields.cause };
    super(`Cannot ${fields.action}: ${words} (${fields.code})${place}${target}`, cause);
    this.code = fields.code;
    this.kind = fields.kind ?? meaning.kind;
    this.errno = fields.errno;
    this.syscall = fields.syscall;
    this.path = fields.path;
    this.dest = fields.dest;
    this.offset = fields.offset;
    this.bytesDone = fields.bytesDone;
    this.step = fields.step;
    this.durable = fields.durable;
  }

  /** The status a completion queue would report for this failure. */
  get status(): Status {
    return meaningOf(this.code).status;
  }
}

/** The caller gave up: the same name and code as the errors of `AbortSignal`. */
export class AbortError extends Error {
  override readonly name: string = 'AbortError';
  readonly code: string = 'ABORT_ERR';
  readonly kind: ErrorKind = 'cancelled';
  readonly bytesDone: number;

  constructor(reason: unknown, bytesDone = 0) {
    super('The operation was aborted', { cause: reason });
    this.bytesDone = bytesDone;
  }
}

const TIME_IS_UP = { action: 'finish', code: 'ETIMEDOUT', words: 'the time given is up' };

/** The reason of a signal that stands for `timeoutMs`. */
export function timeIsUp(): IoError {
  return new IoError(TIME_IS_UP);
}

/** The error for a caller who gave up, or whose time is up, with the bytes moved by then. */
export function interruption(reason: unknown, bytesDone = 0): AbortError | IoError {
  const isTime = reason instanceof IoError && reason.code === TIME_IS_UP.code;
  return isTime ? new IoError({ ...TIME_IS_UP, bytesDone }) : new AbortError(reason, bytesDone);
}

/** An interruption of something that had moved bytes by then; other errors as they are. */
export function interruptedAt(error: unknown, bytesDone: number): unknown {
  if (error instanceof AbortError) return interruption(error.cause, bytesDone);
  const isTime = error instanceof IoError && error.code === TIME_IS_UP.code;
  return isTime ? interruption(error, bytesDone) : error;
}

/** The library's own mistake: a stated invariant does not hold. */
export class AssertionFailure extends Error {
  override readonly name: string = 'AssertionFailure';
  readonly code: string = 'ERR_INTERNAL_ASSERTION';
}

/** States an invariant. Errors: `AssertionFailure` when it does not hold. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionFailure(`Invariant does not hold: ${invariant}`);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value !== 'object' || value === null) return String(value);
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an object';
}

/** The caller gave a value of the wrong type: names the argument, the value, what was expected. */
export function invalidType(argument: string, expected: string, actual: unknown): TypeError {
  const error = new TypeError(`The "${argument}" must be ${expected}; got ${shown(actual)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

/** The caller gave a value of the right type that cannot be used. */
export function invalidValue(argument: string, expected: string, actual: unknown): TypeError {
  const error = new TypeError(`The "${argument}" must be ${expected}; got ${shown(actual)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

/** The caller gave a number out of its range. */
export function outOfRange(argument: string, expected: string, actual: unknown): RangeError {
  const error = new RangeError(`The "${argument}" must be ${expected}; got ${shown(actual)}`);
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' });
}

/** Takes an argument that is true or false. Errors: `TypeError` naming it. */
export function trueOrFalse(value: unknown, argument: string, standard = false): boolean {
  if (value === undefined) return standard;
  if (typeof value === 'boolean') return value;
  throw invalidType(argument, 'true or false', value);
}

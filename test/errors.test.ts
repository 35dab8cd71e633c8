/** The words for failure: every code has a kind, a status and a sentence; errors tell all. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { AbortError, IoError, Status } from 'holdfast';
import {
  AssertionFailure,
  assert,
  invalidType,
  invalidValue,
  meaningOf,
  outOfRange,
} from '#holdfast/errors.js';
import { errnoOf, refusal } from '#holdfast/platform.js';

/* What callers branch on: a change here breaks them. */
const KINDS: Readonly<Record<string, string>> = {
  ENOENT: 'not-found',
  EEXIST: 'exists',
  EACCES: 'access',
  EPERM: 'access',
  EROFS: 'read-only',
  ENOSPC: 'no-space',
  EDQUOT: 'quota',
  EFBIG: 'too-large',
  EMFILE: 'limit',
  ENFILE: 'limit',
  ENOMEM: 'limit',
  EBUSY: 'busy',
  EAGAIN: 'busy',
  EIO: 'io',
  EISDIR: 'wrong-type',
  ENOTDIR: 'wrong-type',
  ESPIPE: 'wrong-type',
  ENXIO: 'wrong-type',
  ELOOP: 'loop',
  ENOTEMPTY: 'not-empty',
  EXDEV: 'cross-device',
  ENOSYS: 'unsupported',
  EOPNOTSUPP: 'unsupported',
  EINVAL: 'invalid',
  ENAMETOOLONG: 'invalid',
  EBADF: 'closed',
  ESTALE: 'stale',
  EINTR: 'interrupted',
  ETIMEDOUT: 'timeout',
  ECANCELED: 'cancelled',
};

test('meaningOf() gives each code the kind that callers branch on', () => {
  for (const [code, kind] of Object.entries(KINDS)) equal(meaningOf(code).kind, kind, code);
});

test('meaningOf() gives each code a status of the ten and a sentence', () => {
  const statuses = Object.values(Status) as number[];
  for (const code of [...Object.keys(KINDS), 'EUNHEARDOF']) {
    const { status, words } = meaningOf(code);
    ok(statuses.includes(status), code);
    match(words, /^[a-z].*[^.]$/, code);
  }
});

test('meaningOf() knows nothing of unknown codes, nor of the names every object has', () => {
  for (const code of ['EUNHEARDOF', '', 'toString', 'constructor', '__proto__']) {
    const { kind, status } = meaningOf(code);
    deepEqual({ kind, status }, { kind: 'unknown', status: Status.Unknown }, code);
  }
});

test('Status has the ten statuses of the RatOS specification', () => {
  deepEqual(Status, {
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
  });
});

test('IoError carries every field it was given', () => {
  const cause = new Error('the first one');
  const fields = {
    code: 'ENOSPC',
    errno: -28,
    syscall: 'write',
    path: '/a',
    dest: '/b',
    offset: 4096,
    bytesDone: 512,
    step: 'write',
    durable: 'old',
    cause,
  } as const;
  const error = new IoError({ action: 'write 1024 bytes', ...fields });
  for (const [field, value] of Object.entries(fields)) {
    equal(error[field as keyof typeof fields], value, field);
  }
  equal(error.kind, 'no-space');
  equal(error.status, Status.NoResources);
  equal(error.name, 'IoError');
  ok(error instanceof Error);
});

test('IoError says the action, the state, the code and the path', () => {
  const error = new IoError({ action: 'open the file', code: 'ENOENT', path: '/a "b"' });
  equal(error.message, 'Cannot open the file: no such file or directory (ENOENT), "/a \\"b\\""');
  equal(new IoError({ action: 'x', code: 'EIO' }).message, 'Cannot x: the device failed (EIO)');
});

test('IoError takes a kind and words of its own before those of the table', () => {
  const words = 'the file is closed';
  const error = new IoError({ action: 'x', code: 'EBADF', kind: 'access', words });
  equal(error.kind, 'access');
  equal(error.message, 'Cannot x: the file is closed (EBADF)');
});

test('IoError has no cause when none was given', () => {
  equal(Object.hasOwn(new IoError({ action: 'x', code: 'EIO' }), 'cause'), false);
});

test('AbortError looks like the errors of AbortSignal and tells what was done', () => {
  const reason = new Error('enough');
  const error = new AbortError(reason, 7);
  equal(error.name, 'AbortError');
  equal(error.code, 'ABORT_ERR');
  equal(error.kind, 'cancelled');
  equal(error.bytesDone, 7);
  equal(error.cause, reason);
  equal(new AbortError(undefined).bytesDone, 0);
});

test('assert() states the invariant that does not hold', () => {
  assert(true, 'never seen');
  throws(
    () => assert(false, 'a window moves on'),
    (error: unknown) =>
      error instanceof AssertionFailure &&
      error.code === 'ERR_INTERNAL_ASSERTION' &&
      /a window moves on/.test(error.message),
  );
});

test('invalidType(), invalidValue() and outOfRange() name argument, expectation and value', () => {
  const wrong = invalidType('path', 'a string', 7);
  ok(wrong instanceof TypeError);
  equal((wrong as NodeJS.ErrnoException).code, 'ERR_INVALID_ARG_TYPE');
  equal(wrong.message, 'The "path" must be a string; got 7');
  const unusable = invalidValue('engine', "'pool'", 'steam');
  ok(unusable instanceof TypeError);
  equal((unusable as NodeJS.ErrnoException).code, 'ERR_INVALID_ARG_VALUE');
  equal(unusable.message, `The "engine" must be 'pool'; got "steam"`);
  const outside = outOfRange('offset', 'an integer', -1n);
  ok(outside instanceof RangeError);
  equal((outside as NodeJS.ErrnoException).code, 'ERR_OUT_OF_RANGE');
  equal(outside.message, 'The "offset" must be an integer; got -1n');
});

test('invalidType() can show any value', () => {
  const shown = (value: unknown): string => invalidType('x', 'y', value).message.split('got ')[1]!;
  equal(shown(null), 'null');
  equal(shown(undefined), 'undefined');
  equal(shown(Object.create(null)), 'an object');
  equal(shown(new Map()), 'an instance of Map');
  equal(shown(Symbol('s')), 'Symbol(s)');
  equal(
    shown(function named() {}),
    'function named',
  );
});

test('refusal() names every number this system has', () => {
  for (const [name, number] of Object.entries(constants.errno)) {
    const { code, errno } = refusal(-number, { action: 'x' });
    equal(errno, -number);
    /* Some numbers have two names: EAGAIN is EWOULDBLOCK. */
    const names = constants.errno as unknown as Record<string, number>;
    equal(names[code], number, `${name} came back as ${code}`);
  }
});

/*
 * EDQUOT (-122) has no name in libuv 1.48: util.getSystemErrorName(-122) throws. A full quota was
 * an error without a code; the table names it.
 */
test('refusal() names EDQUOT, and a number nobody knows', () => {
  const quota = refusal(-122, { action: 'write' });
  equal(quota.code, 'EDQUOT');
  equal(quota.kind, 'quota');
  const unknown = refusal(-9999, { action: 'write' });
  equal(unknown.code, 'ERRNO_9999');
  equal(unknown.kind, 'unknown');
});

test('errnoOf() gives the negative number, and -1 for a code the system lacks', () => {
  equal(errnoOf('ENOENT'), -constants.errno.ENOENT);
  equal(errnoOf('EDQUOT'), -122);
  equal(errnoOf('EUNHEARDOF'), -1);
});

/*
 * A number with two names lost one: `errnoOf('EOPNOTSUPP')` answered -1, which is EPERM, so that a
 * hole that was not permitted was told as one that the file system does not have.
 */
test('errnoOf() knows every name of a number', () => {
  for (const [name, number] of Object.entries(constants.errno)) equal(errnoOf(name), -number, name);
});

/** How the new file gets the target's name, and what happens where there is no such call. */
import { type Engine, Pause } from '../engine.js';
import { type IoError, IoError as Refusal } from '../errors.js';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_FOLLOW,
  Code,
  errnoOf,
  Operation,
  Place,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
} from '../platform.js';
import type { Draft } from './draft.js';
import type { Refused, Task } from './tasks.js';

/* What a file system without a flag of renameat2(2) says: man page, ERRORS, EINVAL; NFS, FUSE. */
const NO_SUCH_FLAG = ['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].map(errnoOf);
/* linkat(2), AT_EMPTY_PATH: ENOENT without CAP_DAC_READ_SEARCH before Linux 6.10. */
const NO_EMPTY_PATH = ['ENOENT', 'EPERM', 'EACCES', 'EINVAL', 'ENOSYS'].map(errnoOf);

/* What Windows says of a name whose file somebody has open without sharing that. */
const IN_USE = ['EBUSY', 'EACCES', 'EPERM'].map(errnoOf);
const PATIENCE_MS = 2000;
const PAUSE_MS_MAX = 100;

/* Engines on which an unnamed file has been named: it can be done here. */
const naming = new WeakSet<Engine>();

/** True once an unnamed file has been given a name on this engine. */
export function hasNamed(engine: Engine): boolean {
  return naming.has(engine);
}

/** Where open descriptors are files: with it an unnamed file can be named by anybody. */
export const DESCRIPTORS = '/proc/self/fd';

/*
 * Who looks for viruses, or makes an index, opens what is new for some milliseconds, and keeps its
 * name from changing meanwhile: asked again. That is known of Windows, not seen: docs/native.md.
 */
function patient(draft: Draft, refused: Refused): Refused {
  if (draft.engine.capabilities['names-of-open-files'] === true) return refused;
  let waitedMs = 0;
  let pauseMs = 1;
  return (operation) => {
    if (waitedMs >= PATIENCE_MS || !IN_USE.includes(operation.result)) return refused(operation);
    const pause = new Pause(pauseMs);
    waitedMs += pauseMs;
    pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX);
    return pause;
  };
}

function rename(draft: Draft, flags: number, refused: Refused): Task {
  const operation = new Operation(Code.Rename);
  operation.place = draft.temporary;
  operation.place2 = draft.spot.target;
  operation.flags = flags;
  const done = (): void => {
    draft.isNamed = true;
    draft.exists = false;
  };
  return { operation, done, refused: patient(draft, refused) };
}

function linkTasks(draft: Draft): Task[] {
  const link = new Operation(Code.Link);
  link.place = draft.temporary;
  link.place2 = draft.spot.target;
  const named = (): void => {
    draft.isNamed = true;
    draft.method = 'link';
  };
  const unlink = new Operation(Code.Unlink);
  unlink.place = draft.temporary;
  unlink.mustRun = true;
  const done = (): void => {
    draft.exists = false;
  };
  return [
    { operation: link, done: named, refused: draft.strict('rename') },
    { operation: unlink, done, refused: draft.noted('temporary name') },
  ];
}

function absentTasks(draft: Draft): Task[] {
  if (draft.engine.capabilities['rename-without-replacing'] !== true) return linkTasks(draft);
  const strict = draft.strict('rename');
  const task = rename(draft, RENAME_NOREPLACE, (operation) =>
    NO_SUCH_FLAG.includes(operation.result) ? linkTasks(draft) : strict(operation),
  );
  draft.method = 'rename without replacing';
  return [task];
}

/* By the descriptor itself; else by its file in /proc, which takes no privilege. */
function unnamedTask(draft: Draft): Task {
  const link = new Operation(Code.Link);
  link.place = new Place('', 'latin1', draft.fd, '');
  link.place2 = draft.spot.target;
  link.flags = AT_EMPTY_PATH;
  draft.method = 'link of an unnamed file';
  const done = (): void => {
    draft.isNamed = true;
    naming.add(draft.engine);
  };
  const strict = draft.strict('rename');
  const byTable = (): Task[] => {
    const again = new Operation(Code.Link);
    again.place = new Place(`${DESCRIPTORS}/${draft.fd}`, 'latin1', AT_FDCWD);
    again.place2 = draft.spot.target;
    again.flags = AT_SYMLINK_FOLLOW;
    const refused: Refused = (operation) => {
      draft.wantsName = NO_EMPTY_PATH.includes(operation.result);
      return strict(operation);
    };
    return [{ operation: again, done, refused }];
  };
  const refused: Refused = (operation) =>
    NO_EMPTY_PATH.includes(operation.result) ? byTable() : strict(operation);
  return { operation: link, done, refused };
}

/** An exchange that cannot be had here. */
export function noExchange(path: string, reason: string): IoError {
  const action = 'replace the file: exchange the names';
  const words = `the names cannot change places here: ${reason}`;
  return new Refusal({ action, code: 'ENOTSUP', path, words, step: 'exchange', durable: 'old' });
}

/*
 * The old file has the temporary name now, which a sweep would take for garbage in an hour: the
 * next call gives it one that is nobody's to remove.
 */
function exchangeTasks(draft: Draft): Task[] {
  const temporary = draft.temporary as Place;
  const strict = draft.strict('exchange');
  const { done: named, ...exchange } = rename(draft, RENAME_EXCHANGE, (operation) =>
    NO_SUCH_FLAG.includes(operation.result)
      ? noExchange(draft.path, 'the file system has no such call')
      : strict(operation),
  );
  draft.method = 'exchange';
  const aside = new Operation(Code.Rename);
  const { directory, target } = draft.spot;
  const kept = directory.child(temporary.name.replace(/\.tmp$/, '.old'), target.directory);
  aside.place = temporary;
  aside.place2 = kept;
  aside.mustRun = true;
  return [
    {
      ...exchange,
      done: () => {
        named?.();
        draft.oldPath = temporary.path;
      },
    },
    {
      operation: aside,
      done: () => {
        draft.oldPath = kept.path;
      },
      refused: draft.noted('name of the old file'),
    },
  ];
}

/** The tasks that give the new file the target's name. */
export function nameTasks(draft: Draft): Task[] {
  const { ifAbsent, exchange } = draft.settings;
  if (exchange) return exchangeTasks(draft);
  if (!ifAbsent) return [rename(draft, 0, draft.strict('rename'))];
  return draft.temporary === undefined ? [unnamedTask(draft)] : absentTasks(draft);
}

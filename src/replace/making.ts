/** The tasks that make the new file: open, begin its writing, sync, name, close, discard. */
import type { Steps } from '../engine.js';
import { closing } from '../file.js';
import {
  Code,
  errnoOf,
  FD_OPENED_IN_RUN,
  OPEN_UNNAMED,
  OpenFlag,
  Operation,
  Writeback,
} from '../platform.js';
import { oneCommitRefusal } from '../probe.js';
import type { Draft } from './draft.js';
import { nameTasks } from './names.js';
import type { Refused, Task } from './tasks.js';
import { lockOf } from './temporary.js';

/* open(2), O_TMPFILE: file systems and kernels without it. */
const NO_UNNAMED = ['EOPNOTSUPP', 'ENOTSUP', 'EISDIR', 'EINVAL', 'ENOENT', 'ENOSYS'].map(errnoOf);

const NAMED = OpenFlag.Create | OpenFlag.Exclusive | OpenFlag.NoFollow;

function hasLocks({ engine }: Draft): boolean {
  return engine.capabilities.locks === true;
}

/** Opens a file that nobody can foresee, 0600, locked; or one without a name. */
export function openTasks(draft: Draft): Task[] {
  const { temporary, spot } = draft;
  const open = new Operation(Code.Open);
  open.place = temporary ?? spot.directory.child('.', spot.target.directory);
  open.flags = OpenFlag.WriteOnly | (temporary === undefined ? OPEN_UNNAMED : NAMED);
  open.mode = 0o600;
  const done = (): void => {
    draft.fd = open.result;
    draft.exists = temporary !== undefined;
  };
  const strict = draft.strict('create the temporary file');
  const refused: Refused = (operation) => {
    draft.wantsName = temporary === undefined && NO_UNNAMED.includes(operation.result);
    return strict(operation);
  };
  const task = { operation: open, done, refused };
  if (temporary === undefined || !hasLocks(draft)) return [task];
  return [task, { operation: lockOf(FD_OPENED_IN_RUN), refused: () => undefined }];
}

/** Finds out whether one commit is enough, where that was asked for; tells why not. */
export function* decideCommits(draft: Draft): Steps<void> {
  if (!draft.settings.oneCommit) return;
  const reason = yield* twoCommitsReason(draft);
  if (reason === undefined) draft.isOneCommit = true;
  else draft.note('one commit', reason);
}

function* twoCommitsReason({ engine, spot }: Draft): Steps<string | undefined> {
  /* What a simulated disk calls a descriptor is another file's in the real world. */
  if (engine.name === 'simulated') return 'not proved for a simulated disk';
  const native = engine.capabilities['native-calls'];
  if (native !== true) return native;
  const stat = new Operation(Code.Stat);
  stat.fd = spot.descriptor;
  yield stat;
  return oneCommitRefusal(spot.descriptor, stat.stat?.mount);
}

/** Begins the writing: what is under way when the syncs come needs fewer commits. */
export function startTasks(draft: Draft): Task[] {
  if (draft.settings.durable === false) return [];
  return [draft.onFile(Code.StartWriteback, () => undefined, wholeFile(Writeback.Start))];
}

const wholeFile =
  (flags: number) =>
  (operation: Operation): void => {
    operation.offset = 0;
    operation.length = 0;
    operation.flags = flags;
  };

/**
 * Unless told not to. Before the rename the bytes have to be on the device, since anybody's sync
 * may commit the rename from then on. With one commit the size and the blocks get there together
 * with the name, by the sync of the directory, which empties the cache of the device first.
 */
export function syncTasks(draft: Draft): Task[] {
  if (draft.settings.durable === false) return [];
  if (draft.isOneCommit) {
    const strict = draft.strict('write the file out');
    return [draft.onFile(Code.StartWriteback, strict, wholeFile(Writeback.Whole))];
  }
  const sync = draft.onFile(Code.Sync, draft.strict('sync the file'));
  const done = (): void => {
    draft.durability = 'file';
  };
  return [{ ...sync, done }];
}

/**
 * Names it and closes it. The lock tells a sweep in another process that this one lives: it is held
 * until the file has its name. A close can tell of lost writes only where there was no sync.
 */
export function namingTasks(draft: Draft): Task[] {
  const names = nameTasks(draft);
  const isUnnamed = draft.temporary === undefined;
  const closesLate = isUnnamed || (draft.settings.durable !== false && hasLocks(draft));
  if (!closesLate) return [...closeFileTasks(draft), ...names];
  const closed = (): undefined => {
    draft.fd = -1;
  };
  return [...names, { operation: closing(draft.fd), done: closed, refused: closed }];
}

/** Closes it before it has its name. */
export function closeFileTasks(draft: Draft): Task[] {
  const done = (): void => {
    draft.fd = -1;
  };
  const strict = draft.strict('close the temporary file');
  /* A refused close has closed: the number may be another file's by now (close(2)). */
  const refused: Refused = (operation) => {
    done();
    return strict(operation);
  };
  return [{ ...draft.onFile(Code.Close, refused), done }];
}

/** Removes it. Never fails: the first error is the one to tell. */
export function* discard(draft: Draft): Steps<void> {
  if (draft.fd >= 0) yield closing(draft.fd);
  draft.fd = FD_OPENED_IN_RUN;
  draft.bytes = 0;
  if (!draft.exists || draft.temporary === undefined) return;
  const unlink = new Operation(Code.Unlink);
  unlink.place = draft.temporary;
  unlink.mustRun = true;
  yield unlink;
  draft.exists = false;
}

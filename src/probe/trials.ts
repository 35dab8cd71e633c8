/**
 * What cannot be asked is tried, on two files of our own with names nobody can foresee, which are
 * gone whatever happens. A killed process leaves at most these two; the sweep of `replaceFile`
 * takes their names.
 */
import type { Engine, Steps } from '../engine.js';
import { closing } from '../file.js';
import {
  Advice,
  AllocateMode,
  AT_SYMLINK_NOFOLLOW,
  Code,
  cloneQuestion,
  errnoOf,
  LOCK_EXCLUSIVE_NOW,
  OPEN_UNNAMED,
  OpenFlag,
  Operation,
  Place,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  randomName,
  refusal,
} from '../platform.js';
import {
  type DirectItems,
  type FeatureItems,
  known,
  no,
  type ProbeFeature,
  unknown,
} from './report.js';

/* A multiple of the block, and of the cluster, of every file system that mkfs makes by default. */
const UNIT_BYTES = 65536;
const LIFETIME_SHORT = 2;
/* Answers that mean "this file system has no such thing"; others tell of this moment only. */
const ABSENT = ['EOPNOTSUPP', 'ENOTSUP', 'ENOTTY', 'ENOSYS', 'EINVAL', 'EXDEV', 'EISDIR'];

export function codeOf(result: number): string {
  return refusal(result, { action: 'ask' }).code;
}

/** Files to try things on, side by side in one directory. */
export class Trial {
  readonly engine: Engine;
  /** The directory, held open, by which the names are reached. */
  readonly directory: Place;
  readonly first: Place;
  readonly second: Place;
  readonly fd: number;

  constructor(engine: Engine, directory: Place, descriptor: number) {
    this.engine = engine;
    this.directory = directory;
    this.fd = descriptor;
    this.first = directory.child(`.holdfast-${randomName()}.tmp`, descriptor);
    this.second = directory.child(`.holdfast-${randomName()}.tmp`, descriptor);
  }

  /** What an answer means for a feature. */
  feature(result: number, note?: string): ProbeFeature {
    if (result >= 0) return known(true, note);
    const code = codeOf(result);
    const native = this.engine.capabilities['native-calls'];
    if (code === 'ENOSYS' && native !== true) return unknown(native);
    const reason = `the system answers ${code}`;
    return ABSENT.includes(code) ? no(reason) : unknown(reason);
  }
}

export function creation(place: Place): Operation {
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = OpenFlag.ReadWrite | OpenFlag.Create | OpenFlag.Exclusive | OpenFlag.NoFollow;
  open.mode = 0o600;
  return open;
}

/** Removes both files, whichever are there. */
export function* removal(trial: Trial): Steps<void> {
  for (const place of [trial.first, trial.second]) {
    const unlink = new Operation(Code.Unlink);
    unlink.place = place;
    unlink.mustRun = true;
    yield unlink;
  }
}

function* asked(code: Code, fd: number, set: (operation: Operation) => void): Steps<number> {
  const operation = new Operation(code);
  operation.fd = fd;
  set(operation);
  yield operation;
  return operation.result;
}

function allocating(fd: number, mode: number, offset: number, length: number): Steps<number> {
  return asked(Code.Allocate, fd, (operation) => {
    operation.flags = mode;
    operation.offset = offset;
    operation.length = length;
  });
}

type Space = 'allocate' | 'allocateKeepingSize' | 'punchHole' | 'zeroRange' | 'collapseRange';

function* spaceSteps(trial: Trial, fd: number): Steps<Pick<FeatureItems, Space>> {
  const { KeepSize, PunchHole, ZeroRange, CollapseRange } = AllocateMode;
  const end = 3 * UNIT_BYTES;
  const allocate = yield* allocating(fd, 0, 0, end);
  /* The others work on a file of that size, reserved or not. */
  yield* asked(Code.Truncate, fd, (operation) => {
    operation.length = end;
  });
  const keeping = yield* allocating(fd, KeepSize, end, UNIT_BYTES);
  const punch = yield* allocating(fd, PunchHole | KeepSize, UNIT_BYTES, UNIT_BYTES);
  const zero = yield* allocating(fd, ZeroRange, UNIT_BYTES, UNIT_BYTES);
  const collapse = yield* allocating(fd, CollapseRange, 0, UNIT_BYTES);
  return {
    allocate: trial.feature(allocate),
    allocateKeepingSize: trial.feature(keeping),
    punchHole: trial.feature(punch),
    zeroRange: trial.feature(zero),
    collapseRange: trial.feature(collapse),
  };
}

function* hintSteps(
  trial: Trial,
  fd: number,
): Steps<Pick<FeatureItems, 'advise' | 'writeLifetime' | 'attributes' | 'locks'>> {
  const advise = yield* asked(Code.Advise, fd, (operation) => {
    operation.flags = Advice.normal;
    operation.offset = 0;
  });
  const lifetime = yield* asked(Code.SetLifetime, fd, (operation) => {
    operation.flags = LIFETIME_SHORT;
  });
  const attribute = yield* asked(Code.SetAttribute, fd, (operation) => {
    operation.attribute = 'user.holdfast.probe';
    operation.payload = new Uint8Array([1]);
  });
  const lock = yield* asked(Code.Lock, fd, (operation) => {
    operation.flags = LOCK_EXCLUSIVE_NOW;
  });
  const hint = 'taken; what comes of it is for the system and the device to decide';
  return {
    advise: trial.feature(advise, hint),
    writeLifetime: trial.feature(lifetime, hint),
    attributes: trial.feature(attribute),
    locks: trial.feature(lock),
  };
}

function* unnamedSteps(trial: Trial): Steps<ProbeFeature> {
  if (OPEN_UNNAMED === 0) return no('this system has no such files');
  const open = new Operation(Code.Open);
  open.place = trial.directory.child('.', trial.fd);
  open.flags = OPEN_UNNAMED | OpenFlag.ReadWrite;
  open.mode = 0o600;
  yield open;
  if (open.result >= 0) yield closing(open.result);
  return trial.feature(open.result);
}

function renaming(trial: Trial, flags: number): Steps<number> {
  return asked(Code.Rename, -1, (operation) => {
    operation.place = trial.first;
    operation.place2 = trial.second;
    operation.flags = flags;
  });
}

type Renames = Pick<FeatureItems, 'renameWithoutReplacing' | 'renameExchanging'>;

function* renameSteps(trial: Trial): Steps<Renames> {
  /* The kernel answers EEXIST before it asks the file system: only a true rename tells. */
  const alone = yield* renaming(trial, RENAME_NOREPLACE);
  const missing = creation(alone >= 0 ? trial.first : trial.second);
  yield missing;
  if (missing.result >= 0) yield closing(missing.result);
  const exchange = missing.result < 0 ? missing.result : yield* renaming(trial, RENAME_EXCHANGE);
  return {
    renameWithoutReplacing: trial.feature(alone),
    renameExchanging: trial.feature(exchange),
  };
}

function* cloneSteps(trial: Trial): Steps<ProbeFeature> {
  const clone = cloneQuestion(trial.first, trial.second);
  yield clone;
  const unlink = new Operation(Code.Unlink);
  unlink.place = trial.second;
  unlink.mustRun = true;
  yield unlink;
  return trial.feature(clone.result);
}

/** Tries everything on the first file, open as `fd`. It has its name no more afterwards. */
export function* featureSteps(trial: Trial, fd: number): Steps<FeatureItems> {
  const space = yield* spaceSteps(trial, fd);
  const hints = yield* hintSteps(trial, fd);
  const reflink = yield* cloneSteps(trial);
  const unnamedFiles = yield* unnamedSteps(trial);
  const renames = yield* renameSteps(trial);
  return { reflink, ...space, ...hints, unnamedFiles, ...renames };
}

/** Whether a file of ours is also seen in another directory: an overlay's upper layer. */
export function* isSeenIn(trial: Trial, directory: Place): Steps<boolean> {
  const stat = new Operation(Code.Stat);
  stat.place = new Place(`${directory.path}/${trial.first.name}`, directory.encoding);
  stat.flags = AT_SYMLINK_NOFOLLOW;
  yield stat;
  return stat.result >= 0;
}

/** Why nothing could be created, for the items that needed it. */
export function untried(result: number, directory: string): string {
  const code = codeOf(result);
  const isClosed = ['EACCES', 'EPERM', 'EROFS'].includes(code);
  if (isClosed) return `${directory} is not writable (${code})`;
  return `no file can be created in ${directory} (${code})`;
}

/** Opens a file with O_DIRECT and says what it demands. */
export function* directSteps(engine: Engine, place: Place, isOurs: boolean): Steps<DirectItems> {
  const hasFlag = OpenFlag.Direct !== 0;
  const native = hasFlag ? engine.capabilities['status-flags'] : 'the system has no flag for it';
  if (native !== true) {
    const item = unknown<number>(native);
    return { opens: no(native), memoryAlignmentBytes: item, offsetAlignmentBytes: item };
  }
  const open = new Operation(Code.Open);
  open.place = place;
  open.flags = OpenFlag.ReadOnly | OpenFlag.NonBlocking | OpenFlag.Direct;
  const stat = new Operation(Code.Stat);
  stat.place = place;
  stat.flags = 0;
  yield open;
  if (open.result >= 0) yield closing(open.result);
  yield stat;
  const direct = stat.stat?.direct;
  const told = (bytes: number | undefined) => {
    if (bytes === undefined) return unknown<number>('statx(2) does not tell it here');
    return bytes > 0 ? known(bytes) : no<number>('statx(2) says that direct I/O is refused');
  };
  const alignment = {
    memoryAlignmentBytes: told(direct?.memory),
    offsetAlignmentBytes: told(direct?.offset),
  };
  if (open.result < 0) return { opens: openedNot(open.result, isOurs), ...alignment };
  if (direct?.memory === 0) return { opens: no('statx(2) says it is refused'), ...alignment };
  return { opens: known(true), ...alignment };
}

function openedNot(result: number, isOurs: boolean): ProbeFeature {
  const code = codeOf(result);
  const what = isOurs ? 'a new file' : 'the file';
  const reason = `the system answers ${code} to open(2) of ${what} with O_DIRECT`;
  return result === errnoOf('EINVAL') ? no(reason) : unknown(reason);
}

/** Files made of descriptors that somebody else opened. */
import { type Engine, type MemoryMode, memoryModeOf, type Steps } from '../engine.js';
import { invalidType, invalidValue, outOfRange, trueOrFalse } from '../errors.js';
import { Code, errnoOf, type FileStat, OpenFlag, Operation, refusal } from '../platform.js';
import type { FileParts } from './core.js';
import { type Access, alignmentOf, checkKind, hasNoPositions } from './open.js';

export interface FromFdOptions {
  /** Whose the descriptor is from now on. */
  readonly ownership: 'take' | 'borrow' | 'duplicate';
  /** For messages. */
  readonly path?: string | undefined;
  /** Default: `defaultEngine()`. */
  readonly engine?: Engine | undefined;
  /** What becomes of views where a call does not say. */
  readonly memory?: MemoryMode | undefined;
  /** Also take what has no positions: a pipe, a socket, a terminal. Default false. */
  readonly pipes?: boolean | undefined;
}

const DESCRIPTOR_MAX = 2 ** 31 - 1;
const ACCESS_MASK = OpenFlag.WriteOnly | OpenFlag.ReadWrite;

function checkOptions(fd: unknown, options: FromFdOptions): void {
  if (typeof fd !== 'number') throw invalidType('fd', 'a number', fd);
  if (!Number.isInteger(fd) || fd < 0 || fd > DESCRIPTOR_MAX) {
    throw outOfRange('fd', `an integer from 0 to ${DESCRIPTOR_MAX}`, fd);
  }
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  if (!['take', 'borrow', 'duplicate'].includes(options.ownership)) {
    const expected = "'take', 'borrow' or 'duplicate'";
    throw invalidValue('options.ownership', expected, options.ownership);
  }
  if (options.path !== undefined && typeof options.path !== 'string') {
    throw invalidType('options.path', 'a string', options.path);
  }
  memoryModeOf(options.memory, 'options.memory');
}

/* Where nobody tells how a descriptor was opened, the kernel refuses what it does not allow. */
function accessOf(flags: number): Access {
  if (flags < 0) return 'read-write';
  if ((flags & ACCESS_MASK) === OpenFlag.ReadOnly) return 'read';
  if ((flags & OpenFlag.Append) !== 0) return 'append';
  return (flags & ACCESS_MASK) === OpenFlag.WriteOnly ? 'write' : 'read-write';
}

function* askSteps(operation: Operation, fd: number, path: string | undefined): Steps<number> {
  operation.fd = fd;
  yield operation;
  const { result } = operation;
  if (result >= 0 || result === errnoOf('ENOSYS')) return result;
  throw refusal(result, { action: `take descriptor ${fd} as a file`, syscall: 'fcntl', path });
}

function* duplicateSteps(fd: number, path: string | undefined): Steps<number> {
  const duplicate = new Operation(Code.Duplicate);
  const result = yield* askSteps(duplicate, fd, path);
  if (result >= 0) return result;
  throw refusal(result, { action: `duplicate descriptor ${fd}`, syscall: 'dup', path });
}

function* volumeSteps(engine: Engine, fd: number): Steps<FileParts['fallbacks']> {
  if (engine.learnVolume === undefined) return [];
  const volume = new Operation(Code.VolumeType);
  volume.fd = fd;
  yield volume;
  const reason = engine.learnVolume(fd, volume.result);
  return reason === undefined ? [] : [{ what: 'ring', reason }];
}

/** Checks a descriptor and makes it a file's. Errors: as `OpenFile.fromFd`. */
export function* fromFdSteps(engine: Engine, fd: number, options: FromFdOptions): Steps<FileParts> {
  checkOptions(fd, options);
  const pipes = trueOrFalse(options.pipes, 'options.pipes');
  const { ownership, path } = options;
  const stat = new Operation(Code.Stat);
  yield* askSteps(stat, fd, path);
  checkKind(stat.stat as FileStat, path, pipes);
  const flags = yield* askSteps(new Operation(Code.GetStatusFlags), fd, path);
  const isDirect = flags >= 0 && (flags & OpenFlag.Direct) !== 0;
  const own = ownership === 'duplicate' ? yield* duplicateSteps(fd, path) : fd;
  const isOwned = ownership !== 'borrow';
  const alignment = isDirect ? alignmentOf(stat.stat as FileStat) : undefined;
  const fallbacks = yield* volumeSteps(engine, own);
  const isPipe = pipes && hasNoPositions(stat.stat as FileStat);
  const pipe = isPipe ? { awaitsWriter: false } : undefined;
  const rest = { alignment, fallbacks, memory: options.memory, pipe, stat: stat.stat as FileStat };
  return { engine, fd: own, access: accessOf(flags), path, isOwned, ...rest };
}

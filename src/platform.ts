/**
 * THE WAIST: what the library asks of the world, and who answers. An `Operation` is one system
 * call asked for; the addon answers it natively, `node:fs` answers it portably, a simulated disk
 * answers it from memory. Hides operating systems, descriptors of directories and errno numbers.
 *
 * Invariants: 1. An operation's `result` is >= 0 or -errno; nobody above the engine sees it bare.
 *             2. A run of operations linked by `next` stops at the first refusal or short
 *                transfer; the rest answer -ECANCELED.
 *             3. What only the addon can do is a capability, absent with a reason.
 *             4. Time and chance come from here, so that a simulated world can have its own.
 * Not promised: that a variant has every operation: a missing one answers -ENOSYS.
 * Source: man 2 of each call; Node's fs documentation
 */

export { faultOfBinary, type Target } from './platform/binary.js';
export { type Capabilities, type Capability, capabilitiesOf } from './platform/capabilities.js';
export { checksum, type FramesPlace, sealFrames } from './platform/checksum.js';
export { errnoOf, nameOf, type RefusalContext, refusal } from './platform/errno.js';
export {
  Advice,
  AllocateMode,
  APPENDS,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  decodeEntries,
  decodeStat,
  entryKind,
  FD_OPENED_IN_RUN,
  GET_POSITION,
  HUGE_PAGES_VOLUME,
  kindOf,
  LOCK_EXCLUSIVE_NOW,
  LOCK_NONE,
  LOCK_SHARED_NOW,
  locksHere,
  MAP_READ_WRITE,
  MapAdvice,
  MapFlag,
  OpenFlag,
  RangeLock,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  Resolve,
  ringRefusal,
  SEEK_DATA,
  SEEK_HOLE,
  Writeback,
} from './platform/linux.js';
export { type LatencyHistogram, listen, newHistogram } from './platform/listening.js';
export {
  endedBefore,
  endWithMemory,
  mapBytesMax,
  mapLook,
  mapMemory,
  mapPageBytes,
  mapsGuarded,
  takeAway,
} from './platform/maps.js';
export {
  addressOf,
  libraryMemory,
  markUntransferable,
  PAGE_BYTES,
  pageMemory,
  scratchMemory,
  VIEW_BYTES_MAX,
  warn,
} from './platform/memory.js';
export {
  type Addon,
  type AddonState,
  hasRing,
  loadAddon,
  type RingAddon,
  untried,
} from './platform/native.js';
export {
  AT_ONCE_BYTES_MAX,
  Code,
  codeName,
  linked,
  Operation,
  opensDescriptor,
} from './platform/operation.js';
export {
  holderInTable,
  type ProcessState,
  processState,
  type ShownLock,
} from './platform/owners.js';
export { absolutePath, type PathLike, Place, placeOf, textOf } from './platform/paths.js';
export { portablePlatform } from './platform/portable.js';
export {
  cloneQuestion,
  linkInTable,
  machine,
  namesInTable,
  numbersOfFile,
  numbersOfNode,
  OPEN_PATH,
  OPEN_UNNAMED,
  Question,
  readTable,
  volumeQuestion,
  volumeSizes,
} from './platform/probing.js';
export type { FileKind, FileStat } from './platform/stat.js';
export { nodeStreams, type Readable, type Writable } from './platform/streams.js';
export {
  atExit,
  chance,
  environment,
  now,
  randomName,
  sleep,
  startTimer,
} from './platform/surroundings.js';

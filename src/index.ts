/**
 * The front door: what `import 'holdfast'` gives.
 *
 * Source: DESIGN of each room in its own door
 */

export {
  AlignedPool,
  type AlignedPoolOptions,
  alignedBuffer,
  isAligned,
  type Lease,
} from './aligned.js';
export {
  type Buffers,
  buffersCount,
  buffersLength,
  Cursor,
  copyBuffers,
  frontOf,
  GrowableBuffer,
  type GrowableBufferOptions,
  type PreparedBuffers,
  prepareBuffers,
  RingBuffer,
  sliceBuffers,
  splitBuffers,
} from './buffers.js';
export { alignDown, alignUp } from './bytes.js';
export {
  type CopyMethod,
  type CopyOptions,
  type CopyProgress,
  type CopyReport,
  CopyTreeError,
  type CopyTreeOptions,
  type CopyTreeProgress,
  type CopyTreeReport,
  copyFile,
  copyFileSync,
  copyTree,
  copyTreeSync,
  type Reflink,
  type TreeEntry,
} from './copy.js';
export {
  configure,
  defaultEngine,
  type Engine,
  type EngineName,
  type EngineOptions,
  type EngineStats,
  type MemoryMode,
} from './engine.js';
export { AbortError, type DurableState, type ErrorKind, IoError, Status } from './errors.js';
export {
  type Access,
  type AdviceName,
  type Alignment,
  AlignmentError,
  type AllocateOptions,
  type CallOptions,
  type FileExplanation,
  type FileStat,
  type FromFdOptions,
  type HintOptions,
  type HintReport,
  Lock,
  type LockChangeOptions,
  LockHeldError,
  type LockKindOptions,
  type LockOptions,
  type LockOwner,
  type LockPrimitive,
  type LockWaitOptions,
  OpenFile,
  type OpenOptions,
  openFile,
  openFileSync,
  type PathLike,
  type SeekOrigin,
  type SpaceReport,
  type SyncReport,
  type TryLockOptions,
  type WriteLifetime,
} from './file.js';
export { FileLock, type LockFileOptions, lockFile, lockFileSync } from './lock.js';
export {
  formatProbe,
  type ProbeFeature,
  type ProbeItem,
  type ProbeOptions,
  type ProbeReport,
  probe,
  probeSync,
  sectorBytes,
  sectorBytesSync,
} from './probe.js';
export {
  type PieceSource,
  type Pieces,
  type ReplaceEntry,
  type ReplaceEntryOptions,
  ReplaceFilesError,
  type ReplaceFilesOptions,
  type ReplaceOptions,
  type ReplaceReport,
  replaceFile,
  replaceFileSync,
  replaceFiles,
  replaceFilesSync,
} from './replace.js';
export {
  type Exclusion,
  type UpdateJsonOptions,
  type UpdateJsonReport,
  type UpdateOptions,
  type UpdateReport,
  updateFile,
  updateFileSync,
  updateJson,
  updateJsonSync,
} from './update.js';
export {
  type WriteFileAtomic,
  type WriteFileAtomicCallback,
  type WriteFileAtomicData,
  type WriteFileAtomicOptions,
  writeFileAtomic,
} from './write-file-atomic.js';

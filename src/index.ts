/**
 * The front door: what `import 'holdfast'` gives.
 *
 * Source: DESIGN of each room in its own door
 */

export {
  type Buffers,
  buffersCount,
  buffersLength,
  Cursor,
  copyBuffers,
  frontOf,
  sliceBuffers,
  splitBuffers,
} from './buffers.js';
export { alignDown, alignUp } from './bytes.js';
export {
  configure,
  defaultEngine,
  type Engine,
  type EngineName,
  type EngineOptions,
  type EngineStats,
} from './engine.js';
export { AbortError, type DurableState, type ErrorKind, IoError, Status } from './errors.js';
export {
  type Access,
  type CallOptions,
  type FileExplanation,
  type FileStat,
  OpenFile,
  type OpenOptions,
  openFile,
  openFileSync,
  type PathLike,
  type SyncReport,
} from './file.js';
export {
  type Pieces,
  type ReplaceOptions,
  type ReplaceReport,
  replaceFile,
  replaceFileSync,
} from './replace.js';
export {
  type WriteFileAtomic,
  type WriteFileAtomicCallback,
  type WriteFileAtomicOptions,
  writeFileAtomic,
} from './write-file-atomic.js';

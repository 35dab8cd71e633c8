/**
 * The front door: what `import 'holdfast'` gives.
 *
 * Source: DESIGN of each room in its own door
 */
export { alignDown, alignUp } from './bytes.js';
export {
  type Buffers,
  Cursor,
  buffersCount,
  buffersLength,
  copyBuffers,
  frontOf,
  sliceBuffers,
  splitBuffers,
} from './buffers.js';
export {
  type Engine,
  type EngineName,
  type EngineOptions,
  type EngineStats,
  configure,
  defaultEngine,
} from './engine.js';
export { AbortError, type DurableState, type ErrorKind, IoError, Status } from './errors.js';
export {
  type Access,
  type CallOptions,
  type FileExplanation,
  type FileStat,
  OpenFile,
  type OpenOptions,
  type PathLike,
  type SyncReport,
  openFile,
  openFileSync,
} from './file.js';

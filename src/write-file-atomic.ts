/**
 * The call shape of the npm package write-file-atomic over `replaceFile`: a drop-in that promises
 * more. Symbolic links are followed, mode and owner are kept, calls on one path take turns.
 *
 * Invariants: 1. A promise that resolves, or a callback without an error, is a replace that
 *                survives a power cut, unless `fsync: false` was asked for.
 * Not promised: the name of the temporary file, which the package derives from the target's and
 * which can be foreseen; `_getTmpname` and `_cleanupOnExit`, which its own tests use; that a
 * signal without a handler removes the temporary file: a later replace does (replace.ts).
 * Source: write-file-atomic 7, README and lib/index.js
 */
import type { Buffers } from './buffers.js';
import type { Engine } from './engine.js';
import { invalidType, invalidValue } from './errors.js';
import type { PathLike } from './file.js';
import { environment } from './platform.js';
import { type ReplaceOptions, replaceFile, replaceFileSync } from './replace.js';

export interface WriteFileAtomicOptions {
  readonly encoding?: BufferEncoding | null | undefined;
  /** `false` does not take over the permissions of the old file; text is octal. */
  readonly mode?: number | string | false | null | undefined;
  /** `false` does not take over the owner of the old file. Who may not give it away keeps it. */
  readonly chown?: { readonly uid: number; readonly gid: number } | false | null | undefined;
  /** Default true: file and directory are synced. */
  readonly fsync?: boolean | undefined;
  readonly tmpfileCreated?: ((path: string) => void | Promise<void>) | undefined;
  /** Beyond the package: ends it between system calls, never after the rename. */
  readonly signal?: AbortSignal | undefined;
  /** Beyond the package: milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Beyond the package: what performs it, such as a simulated disk. Default: `defaultEngine()`. */
  readonly engine?: Engine | undefined;
}

export type WriteFileAtomicCallback = (error: Error | null) => void;

type OptionsOrEncoding = WriteFileAtomicOptions | BufferEncoding | null | undefined;

function translated(options: OptionsOrEncoding): ReplaceOptions {
  if (options === undefined || options === null) return {};
  if (typeof options === 'string') return { encoding: options };
  if (typeof options !== 'object')
    throw invalidType('options', 'an object or an encoding', options);
  const { chown, mode } = options;
  const owner = chown ? { user: chown.uid, group: chown.gid, required: false } : chown;
  return {
    encoding: options.encoding ?? undefined,
    mode: modeOf(mode),
    owner: owner ?? undefined,
    durable: options.fsync === false ? false : 'full',
    onTemporary: options.tmpfileCreated,
    engine: options.engine,
    signal: options.signal,
    timeoutMs: options.timeoutMs,
  };
}

/* What stat(2) tells may be passed on: the kind of file in it is no permission. */
function modeOf(mode: WriteFileAtomicOptions['mode']): number | undefined {
  if (mode === false) return 0o666 & ~environment.modeMask();
  if (typeof mode === 'string') return octal(mode);
  return typeof mode === 'number' ? mode & 0o7777 : (mode ?? undefined);
}

function octal(mode: string): number {
  if (/^[0-7]{1,6}$/.test(mode)) return Number.parseInt(mode, 8) & 0o7777;
  throw invalidValue('options.mode', 'a number or octal digits', mode);
}

/** What the package writes: nothing for `undefined` and `null`, and what is no view as text. */
export type WriteFileAtomicData = string | Buffers | number | bigint | boolean | null | undefined;

function contentOf(data: WriteFileAtomicData): string | Buffers {
  if (data === undefined || data === null) return '';
  const isPlain = typeof data === 'number' || typeof data === 'bigint' || typeof data === 'boolean';
  return isPlain ? String(data) : data;
}

async function write(path: PathLike, data: WriteFileAtomicData, options: OptionsOrEncoding) {
  await replaceFile(path, contentOf(data), translated(options));
}

function callBack(done: Promise<void>, callback: WriteFileAtomicCallback): void {
  /* What the callback throws is the program's to see, not a rejection of ours. */
  done.then(
    () => queueMicrotask(() => callback(null)),
    (error) => queueMicrotask(() => callback(error)),
  );
}

/** The function of the npm package: promise, callback and `.sync`. */
export interface WriteFileAtomic {
  (path: PathLike, data: WriteFileAtomicData, options?: OptionsOrEncoding): Promise<void>;
  (path: PathLike, data: WriteFileAtomicData, callback: WriteFileAtomicCallback): void;
  (
    path: PathLike,
    data: WriteFileAtomicData,
    options: OptionsOrEncoding,
    callback: WriteFileAtomicCallback,
  ): void;
  /**
   * On the calling thread, and not in turn with calls of the same path that are under way.
   *
   * Durable: as `replaceFile`, unless `fsync: false`.
   * Errors: as `replaceFile`.
   */
  sync(path: PathLike, data: WriteFileAtomicData, options?: OptionsOrEncoding): void;
}

function atomically(
  path: PathLike,
  data: WriteFileAtomicData,
  options?: OptionsOrEncoding | WriteFileAtomicCallback,
  callback?: WriteFileAtomicCallback,
): Promise<void> | void {
  const back = typeof options === 'function' ? options : callback;
  if (back !== undefined && typeof back !== 'function') {
    throw invalidType('callback', 'a function', back);
  }
  const done = write(path, data, typeof options === 'function' ? undefined : options);
  if (back === undefined) return done;
  callBack(done, back);
}

function sync(path: PathLike, data: WriteFileAtomicData, options?: OptionsOrEncoding): void {
  replaceFileSync(path, contentOf(data), translated(options));
}

/**
 * Replaces a file as `write-file-atomic` does, and survives a power cut.
 *
 * Shapes: text, one view or views, numbers and the like as text, nothing for `undefined`; options
 * or an encoding; with a callback or as a promise.
 * Order: calls on one path end in the order of the calls.
 * Durable: as `replaceFile`, unless `fsync: false`.
 * Errors: as `replaceFile`.
 */
export const writeFileAtomic: WriteFileAtomic = Object.assign(
  atomically as Omit<WriteFileAtomic, 'sync'>,
  { sync },
) as WriteFileAtomic;

// biome-ignore lint/style/noDefaultExport: the package it stands in for is imported so
export { writeFileAtomic as default, writeFileAtomic as 'module.exports' };

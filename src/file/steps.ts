/** What doors above do with an open file as parts of their own steps. */
import type { Steps } from '../engine.js';
import { Code, Operation } from '../platform.js';
import type { FileCore } from './core.js';
import { restSteps, type Target, Transfer, transferSteps } from './transfer.js';

export type SyncCode = typeof Code.Sync | typeof Code.SyncData;

/** Bytes of a file into one view; answers how many there were. Errors: `IoError`. */
export function* readInto(file: Target, view: Uint8Array, offset: number): Steps<number> {
  if (view.length === 0) return 0;
  const sequence = { views: [view], byteLength: view.length };
  return yield* transferSteps(
    new Transfer(file, sequence, { code: Code.Read, offset, isWhole: true }),
  );
}

/** Writes one view whole. Errors: `IoError`. */
export function* writeFrom(file: Target, view: Uint8Array, offset: number): Steps<void> {
  const sequence = { views: [view], byteLength: view.length };
  yield* transferSteps(new Transfer(file, sequence, { code: Code.Write, offset, isWhole: true }));
}

/**
 * Makes a file durable: its data, or all about it. Errors: `IoError`; the file is broken then.
 */
export function* syncSteps(file: FileCore, code: SyncCode = Code.SyncData): Steps<void> {
  const sync = new Operation(code);
  sync.fd = file.fd;
  file.latch.check('sync the file', file.path);
  yield sync;
  file.counters.count(sync);
  if (sync.result < 0) throw file.syncRefused(code, sync.result);
}

/** What a call of a file does, as steps. */
export function stepsOf<T>(file: FileCore, call: () => Promise<T>): Steps<T> {
  return file.prepare(call).steps;
}

/** Closes files that were read. Never fails: nothing was written through them. */
export function* closeSteps(...files: readonly (FileCore | undefined)[]): Steps<void> {
  for (const file of files) {
    if (file === undefined || file.fd < 0) continue;
    const close = new Operation(Code.Close);
    close.fd = file.fd;
    close.mustRun = true;
    yield close;
  }
}

/**
 * Writes a view whole, and syncs behind it in the same run: one crossing where nothing goes wrong.
 * A write that came back short has stopped the run; what is left is written, then synced.
 */
export function* writeAndSyncSteps(
  file: FileCore,
  view: Uint8Array,
  offset: number,
  syncCode: SyncCode | undefined,
): Steps<void> {
  const { length } = view;
  const code = Code.Write;
  const write = new Operation(code);
  write.fd = file.fd;
  write.payload = view;
  write.offset = offset;
  write.length = length;
  write.isDirect = file.direct;
  let sync: Operation | undefined;
  if (syncCode !== undefined) {
    sync = new Operation(syncCode);
    sync.fd = file.fd;
    write.next = sync;
  }
  file.latch.check('write to the file', file.path);
  yield write;
  file.counters.countTransfer(code, false, length, write.result);
  if (write.result !== length) {
    yield* restSteps(file, { code, offset, length }, view, write.result);
    if (syncCode !== undefined) yield* syncSteps(file, syncCode);
    return;
  }
  if (sync === undefined) return;
  file.counters.count(sync);
  if (sync.result < 0) throw file.syncRefused(syncCode as SyncCode, sync.result);
}

/** Reads that are under way for as long as a test wants: from a FIFO nobody has written to yet. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Buffers, Engine, MemoryMode } from 'holdfast';
import { Counters, drive } from '#holdfast/engine.js';
import { heldSequence, Latch, type Target, Transfer, transferSteps } from '#holdfast/file.js';
import { Code } from '#holdfast/platform.js';
import { scratch, type Test } from '../support/scratch.js';

/** A read that waits in the system until `write` lets it end. */
export interface Waiting {
  readonly read: Promise<number>;
  /** Gives the read its bytes. */
  write(bytes: Uint8Array): void;
}

/** Begins a read and returns when it is surely with the system. */
export async function waitingRead(
  t: Test,
  engine: Engine,
  buffers: Buffers,
  memory: MemoryMode,
): Promise<Waiting> {
  const path = join(scratch(t), 'fifo');
  execFileSync('mkfifo', [path]);
  /* Open for both: nobody waits for the other end, and nothing is an end of the file. */
  const fd = openSync(path, 'r+');
  t.after(() => closeSync(fd));
  const target: Target = {
    engine,
    latch: new Latch(),
    counters: new Counters(),
    path,
    fd,
    directAlignment: undefined,
  };
  const options = { code: Code.Read, offset: -1, isWhole: false };
  const transfer = new Transfer(target, heldSequence(buffers, memory), options);
  const read = drive(engine, transferSteps(transfer));
  read.catch(() => undefined);
  await sleep(30);
  return { read, write: (bytes) => writeSync(fd, bytes) };
}

/** Operations handed to an engine without a file, and threads held for as long as a test likes. */
import { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Engine } from 'holdfast';
import { Code, LOCK_EXCLUSIVE_NOW, Operation } from '#holdfast/platform.js';

/** Hands a run over; answers when its waiter is told. */
export function handed(engine: Engine, run: Operation): Promise<Operation> {
  return new Promise((resolve, reject) => {
    engine.submit(run, { settle: () => resolve(run), fail: reject });
  });
}

export function nop(): Operation {
  return new Operation(Code.Nop);
}

/** `count` operations that do nothing, linked. */
export function nops(count: number): Operation {
  const head = nop();
  let last = head;
  for (let made = 1; made < count; made++) {
    last.next = nop();
    last = last.next;
  }
  return head;
}

/** The results of a run, in order. */
export function resultsOf(head: Operation): number[] {
  const results: number[] = [];
  for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
    results.push(at.result);
  }
  return results;
}

/** Lets the loop turn often enough for anything that can happen by itself. */
export async function longAfter(): Promise<void> {
  const end = performance.now() + 50;
  while (performance.now() < end) await setImmediate();
}

/** How many threads this process has. */
export function threadCount(): number {
  return readdirSync('/proc/self/task').length;
}

const LOCK_EXCLUSIVE = 2;

/** A lock that keeps whoever waits for it on its thread until it is released: flock(2). */
export class Barrier {
  readonly path: string;
  readonly #engine: Engine;
  readonly #holder: number;
  readonly #descriptors: number[] = [];
  #isHeld = true;

  constructor(engine: Engine, directory: string, name = 'barrier') {
    this.#engine = engine;
    this.path = join(directory, name);
    writeFileSync(this.path, '');
    this.#holder = openSync(this.path, 'r');
    const lock = this.#lock(this.#holder, LOCK_EXCLUSIVE_NOW);
    engine.perform(lock);
    if (lock.result !== 0) throw new Error(`flock answered ${lock.result}`);
  }

  /** A descriptor whose locks wait. */
  open(): number {
    const fd = openSync(this.path, 'r');
    this.#descriptors.push(fd);
    return fd;
  }

  /** Waits for the lock on a thread of the engine. */
  wait(fd: number): Promise<Operation> {
    return handed(this.#engine, this.#lock(fd, LOCK_EXCLUSIVE));
  }

  /** Closes the holder: one descriptor that waits gets the lock, the next when that is closed. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    closeSync(this.#holder);
  }

  /** A descriptor the test has closed itself. */
  forget(fd: number): void {
    this.#descriptors.splice(this.#descriptors.indexOf(fd), 1);
  }

  close(): void {
    this.release();
    for (const fd of this.#descriptors) closeSync(fd);
  }

  #lock(fd: number, flags: number): Operation {
    const lock = new Operation(Code.Lock);
    lock.fd = fd;
    lock.flags = flags;
    return lock;
  }
}

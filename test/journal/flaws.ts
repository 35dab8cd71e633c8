/** Engines that do what a wrong journal would have them do, to see whether that is seen. */
import type { Engine, EngineStats } from 'holdfast';
import { clockOf } from '#holdfast/engine.js';
import { Code, errnoOf, OpenFlag, Operation, randomName } from '#holdfast/platform.js';

type Waiter = Parameters<Engine['submit']>[1];

/** What becomes of an operation: left out, retried, believed whole. */
export interface Habits {
  readonly leavesOut?: (operation: Operation, engine: FlawedEngine) => boolean;
  /** Changes an operation before it is performed. */
  readonly changes?: (operation: Operation) => void;
  /** Changes an answer. */
  readonly answers?: (operation: Operation, engine: FlawedEngine) => void;
  readonly randomName?: () => string;
}

/** An engine with bad habits. */
export class FlawedEngine implements Engine {
  readonly name: Engine['name'];
  readonly reason = 'it is flawed';
  readonly viewCountMax: number;
  readonly capabilities: Engine['capabilities'];
  readonly threads = 0;
  readonly directories = new Set<number>();
  readonly inner: Engine;
  readonly #habits: Habits;

  constructor(inner: Engine, habits: Habits) {
    this.inner = inner;
    this.#habits = habits;
    this.name = inner.name;
    this.viewCountMax = inner.viewCountMax;
    this.capabilities = inner.capabilities;
  }

  stats(): EngineStats {
    return this.inner.stats();
  }

  now(): number {
    return clockOf(this.inner);
  }

  pause(milliseconds: number): void {
    this.inner.pause?.(milliseconds);
  }

  wait(timeoutMs: number): boolean {
    return this.inner.wait?.(timeoutMs) === true;
  }

  randomName(): string {
    return this.#habits.randomName?.() ?? this.inner.randomName?.() ?? randomName();
  }

  perform(run: Operation): void {
    const restore = this.#replaced(run);
    this.inner.perform(restore.head);
    restore.end();
  }

  submit(run: Operation, waiter: Waiter): void {
    const restore = this.#replaced(run);
    const settle = (): void => {
      restore.end();
      waiter.settle();
    };
    const fail = (error: unknown): void => waiter.fail?.(error);
    this.inner.submit(restore.head, { settle, fail });
  }

  /* The same run, with nothing in place of what is left out. */
  #replaced(run: Operation): { head: Operation; end: () => void } {
    const asked: Operation[] = [];
    for (let at: Operation | undefined = run; at !== undefined; at = at.next) asked.push(at);
    const done = asked.map((operation) => {
      this.#habits.changes?.(operation);
      return this.#habits.leavesOut?.(operation, this) ? new Operation(Code.Nop) : operation;
    });
    for (const [index, operation] of done.entries()) operation.next = done[index + 1];
    const end = (): void => {
      for (const [index, operation] of asked.entries()) {
        operation.next = asked[index + 1];
        const replaced = done[index] as Operation;
        if (replaced !== operation) operation.result = replaced.result;
        else this.#habits.answers?.(operation, this);
        const isDirectory = (operation.flags & OpenFlag.Directory) !== 0;
        if (operation.code === Code.Open && isDirectory) this.directories.add(operation.result);
        else if (operation.code === Code.Open) this.directories.delete(operation.result);
      }
    };
    return { head: done[0] as Operation, end };
  }
}

function isSync({ code }: Operation): boolean {
  return code === Code.Sync || code === Code.SyncData;
}

function withoutDataSync(operation: Operation): void {
  if (operation.code === Code.Open) operation.flags &= ~OpenFlag.FullSync;
}

/** What goes wrong in journals that others have written. */
export const flaws: Readonly<Record<string, Habits>> = {
  'acknowledged before the sync': {
    changes: withoutDataSync,
    leavesOut: (operation, { directories }) => isSync(operation) && !directories.has(operation.fd),
  },
  'no sync of the directory at a rotation': {
    leavesOut: (operation, { directories }) => isSync(operation) && directories.has(operation.fd),
  },
  'no cut behind a torn tail': {
    leavesOut: ({ code }) => code === Code.Truncate,
  },
  'a short write believed whole': {
    answers: (operation) => {
      const isShort = operation.code === Code.Write && operation.result > 0;
      if (isShort) operation.result = operation.length;
    },
  },
};

/** No flaw: as by node:fs, the page cache is never told to forget. */
export const neverAdvised: Habits = {
  answers: (operation) => {
    if (operation.code === Code.Advise) operation.result = errnoOf('ENOSYS');
  },
};

/** Every file that becomes a segment is given the same epoch. */
export const ignoresEpochs: Habits = { randomName: () => 'ab'.repeat(16) };

/** A failed sync asked for again, and believed the second time. */
export const retriesSyncs: Habits = {
  answers: (operation, { inner }) => {
    if (!isSync(operation) || operation.result >= 0) return;
    const again = new Operation(operation.code);
    again.fd = operation.fd;
    inner.perform(again);
    operation.result = again.result;
  },
};

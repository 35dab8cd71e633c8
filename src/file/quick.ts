/** The shortest way for the commonest call: one view, one system call, one promise. */
import { start, submit, type Waiter } from '../engine.js';
import { Code, Operation } from '../platform.js';
import { restSteps, type Target } from './transfer.js';

type TransferCode = typeof Code.Read | typeof Code.Write;

/** A file as a quick transfer needs it. */
export interface QuickTarget extends Target {
  /** Its place in the engine's table of registered files; -1: none. */
  readonly fixedPlace: number;
  readonly direct: boolean;
  readsAtOnce(length: number): boolean;
  letGo(): void;
}

/* Where the functions of the promise made last are: a closure for each would be garbage. */
let made: Pick<Quick, 'resolve' | 'reject'> = { resolve: () => undefined, reject: () => undefined };
const capture = (resolve: (bytes: number) => void, reject: (error: unknown) => void): void => {
  made.resolve = resolve;
  made.reject = reject;
};

const empty = new Uint8Array(0);
const free: Quick[] = [];

/** Used again when it has ended: what it leaves behind is its promise. */
class Quick implements Waiter {
  readonly #read: Operation = new Operation(Code.Read);
  readonly #write: Operation = new Operation(Code.Write);
  operation: Operation = this.#read;
  target: QuickTarget | undefined = undefined;
  view: Uint8Array = empty;
  resolve: (bytes: number) => void = () => undefined;
  reject: (error: unknown) => void = () => undefined;

  begin(code: TransferCode, target: QuickTarget, view: Uint8Array, offset: number): void {
    const operation = code === Code.Read ? this.#read : this.#write;
    const { length } = view;
    operation.fd = target.fd;
    operation.fixedFile = target.fixedPlace;
    operation.offset = offset;
    operation.length = length;
    operation.payload = view;
    operation.isDirect = target.direct;
    operation.triesNow = code === Code.Read && target.readsAtOnce(length);
    this.operation = operation;
    this.target = target;
    this.view = view;
    try {
      submit(target.engine, operation, this);
    } catch (error) {
      this.fail(error);
    }
  }

  /* There is no answer: the power of a simulated disk went. Never used again. */
  fail(error: unknown): void {
    this.target?.letGo();
    this.reject(error);
  }

  settle(): void {
    const { operation, view } = this;
    const { code, offset, result, length } = operation;
    const target = this.target as QuickTarget;
    const { resolve, reject } = this;
    operation.payload = undefined;
    this.target = undefined;
    this.view = empty;
    free.push(this);
    target.counters.countTransfer(code, false, length, result);
    if (result === length && view.length === length) {
      target.letGo();
      resolve(length);
      return;
    }
    const onEnd = (): void => target.letGo();
    try {
      const steps = restSteps(target, { code, offset, length }, view, result);
      start(target.engine, steps, { onEnd, resolve, reject });
    } catch (error) {
      onEnd();
      reject(error);
    }
  }
}

/** Reads or writes one view whole, on a file that was held for it and is let go of at the end. */
export function quickTransfer(
  code: TransferCode,
  target: QuickTarget,
  view: Uint8Array,
  offset: number,
): Promise<number> {
  const quick = free.pop() ?? new Quick();
  made = quick;
  const promise = new Promise<number>(capture);
  quick.begin(code, target, view, offset);
  return promise;
}

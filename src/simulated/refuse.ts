/** Refusing the n-th operation: the rule, and an engine around any engine that keeps it. */
import { type Buffers, sliceBuffers } from '../buffers.js';
import {
  cancelAfter,
  type Engine,
  type EngineStats,
  goesOn,
  isTransfer,
  type Waiter,
} from '../engine.js';
import { invalidType, invalidValue, outOfRange } from '../errors.js';
import {
  type Capabilities,
  Code,
  errnoOf,
  FD_OPENED_IN_RUN,
  Operation,
  opensDescriptor,
  Place,
} from '../platform.js';

/** The name of an operation, as `Code` has it: `Write`, `Sync`, `Rename`, ... */
export type OperationName = keyof typeof Code;

export interface RefuseOptions {
  /** From the n-th on, every one. Default false: only the n-th. */
  readonly sticky?: boolean | undefined;
  /** Count and refuse only these. Default: all; with `short`, reads and writes. */
  readonly operations?: readonly OperationName[] | undefined;
  /**
   * Let a read or write move only so many bytes; negative: so many fewer than asked. The code is
   * answered where that leaves none. Transfers that are not longer are not counted.
   */
  readonly short?: number | undefined;
}

/** A fault that was asked for. */
export interface Fault {
  /** How often it has struck. */
  readonly struckCount: number;
}

/** What becomes of one operation: an answer, or a limit to what it moves. */
export type Verdict = { readonly errno: number } | { readonly limit: number };

/** Counts operations and says what becomes of each. */
export class Rule implements Fault {
  struckCount = 0;
  readonly errno: number;
  readonly #codes: ReadonlySet<Code> | undefined;
  readonly #isSticky: boolean;
  readonly #short: number | undefined;
  #left: number;

  constructor(n: number, code: string, options: RefuseOptions = {}) {
    if (typeof n !== 'number') throw invalidType('n', 'a number', n);
    if (!Number.isSafeInteger(n) || n < 1) throw outOfRange('n', 'an integer from 1', n);
    if (typeof code !== 'string') throw invalidType('code', 'a string', code);
    this.errno = errnoOf(code);
    if (this.errno === -1 && code !== 'EPERM') {
      throw invalidValue('code', 'the code of an error of this system', code);
    }
    const { operations, short, sticky } = options;
    const codes = operations?.map((name) => Code[name]);
    if (codes?.includes(undefined as never)) {
      throw invalidValue('options.operations', 'names of operations', String(operations));
    }
    this.#codes = codes === undefined ? undefined : new Set(codes);
    this.#short = short;
    this.#isSticky = sticky === true;
    this.#left = n;
  }

  verdict({ code, length }: Operation): Verdict | undefined {
    if (this.#codes !== undefined && !this.#codes.has(code)) return undefined;
    const short = this.#short;
    let verdict: Verdict = { errno: this.errno };
    if (short !== undefined) {
      const limit = short < 0 ? length + short : short;
      if (!isTransfer(code) || limit >= length || limit < 0) return undefined;
      if (limit > 0) verdict = { limit };
    }
    if (--this.#left > 0 || (this.#left < 0 && !this.#isSticky)) return undefined;
    this.struckCount++;
    return verdict;
  }
}

/**
 * What a refusal answers in the end. Every engine calls again after EINTR, and takes a close that
 * was interrupted for one that happened (native/linux.c), so nobody above hears of it.
 */
export function answerTo(errno: number, code: Code): 'perform' | 'perform and refuse' | 'refuse' {
  if (errno === errnoOf('EINTR')) return 'perform';
  return code === Code.Close ? 'perform and refuse' : 'refuse';
}

function resolved(place: Place | undefined, opened: number): Place | undefined {
  if (place === undefined || place.directory !== FD_OPENED_IN_RUN) return place;
  return new Place(place.path, place.encoding, opened, place.name);
}

function copyOf(operation: Operation, opened: number): Operation {
  const copy = Object.assign(new Operation(operation.code), operation);
  copy.next = undefined;
  if (copy.fd === FD_OPENED_IN_RUN) copy.fd = opened;
  if (copy.fd2 === FD_OPENED_IN_RUN) copy.fd2 = opened;
  copy.place = resolved(copy.place, opened);
  copy.place2 = resolved(copy.place2, opened);
  return copy;
}

/** An engine around another that refuses what its rule says, and keeps the books. */
export class RefusingEngine implements Engine, Fault {
  readonly name: Engine['name'];
  readonly reason: string;
  readonly viewCountMax: number;
  readonly capabilities: Capabilities;
  readonly performTransfer?: NonNullable<Engine['performTransfer']>;
  readonly now?: NonNullable<Engine['now']>;
  readonly pause?: NonNullable<Engine['pause']>;
  readonly randomName?: NonNullable<Engine['randomName']>;
  readonly #inner: Engine;
  readonly #rule: Rule;
  readonly #open = new Set<number>();

  constructor(inner: Engine, rule: Rule) {
    this.#inner = inner;
    this.#rule = rule;
    this.name = inner.name;
    this.reason = `${inner.reason}; one of its operations is refused`;
    this.viewCountMax = inner.viewCountMax;
    this.capabilities = inner.capabilities;
    if (inner.performTransfer !== undefined) this.performTransfer = this.#performTransfer;
    if (inner.now !== undefined) this.now = () => inner.now?.() as number;
    if (inner.pause !== undefined) this.pause = (milliseconds) => inner.pause?.(milliseconds);
    if (inner.randomName !== undefined) this.randomName = () => inner.randomName?.() as string;
  }

  /** How often the fault has struck. */
  get struckCount(): number {
    return this.#rule.struckCount;
  }

  /** Descriptors opened through this engine that have not been closed. */
  get openDescriptors(): readonly number[] {
    return [...this.#open];
  }

  get threads(): number {
    return this.#inner.threads;
  }

  /** As of the engine inside. */
  stats(): EngineStats {
    return this.#inner.stats();
  }

  /** Performs a run on the calling thread, one operation at a time. */
  perform(head: Operation): void {
    let opened = errnoOf('EBADF');
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      const copy = copyOf(at, opened);
      if (this.#isPerformed(copy)) this.#inner.perform(copy);
      this.#take(at, copy);
      if (opensDescriptor(at.code)) opened = at.result;
      if (goesOn(at)) continue;
      cancelAfter(at);
      return;
    }
  }

  /** Performs a run elsewhere, one operation at a time. */
  submit(head: Operation, waiter: Waiter): void {
    this.#step(head, errnoOf('EBADF'), waiter);
  }

  #step(at: Operation, opened: number, waiter: Waiter): void {
    const copy = copyOf(at, opened);
    const settle = (): void => {
      this.#take(at, copy);
      const nowOpened = opensDescriptor(at.code) ? at.result : opened;
      if (goesOn(at) && at.next !== undefined) {
        this.#step(at.next, nowOpened, waiter);
        return;
      }
      cancelAfter(at);
      waiter.settle();
    };
    const fail = (error: unknown): void => waiter.fail?.(error);
    if (this.#isPerformed(copy)) this.#inner.submit(copy, { settle, fail });
    else queueMicrotask(settle);
  }

  readonly #performTransfer = (
    code: Code,
    fd: number,
    view: Uint8Array,
    offset: number,
  ): number => {
    const operation = new Operation(code);
    Object.assign(operation, { fd, offset, payload: view, length: view.length });
    this.perform(operation);
    return operation.result;
  };

  /* Puts the answer, or the shorter payload, into the copy. */
  #isPerformed(copy: Operation): boolean {
    const verdict = this.#rule.verdict(copy);
    if (verdict === undefined) return true;
    if ('limit' in verdict) {
      copy.payload = sliceBuffers(copy.payload as Buffers, 0, verdict.limit);
      copy.length = verdict.limit;
      return true;
    }
    const answer = answerTo(verdict.errno, copy.code);
    if (answer === 'perform') return true;
    if (answer === 'perform and refuse') this.#inner.perform(copyOf(copy, errnoOf('EBADF')));
    copy.result = verdict.errno;
    return false;
  }

  #take(at: Operation, copy: Operation): void {
    at.result = copy.result;
    at.stat = copy.stat;
    at.names = copy.names;
    at.kinds = copy.kinds;
    at.out = copy.out;
    const opens = opensDescriptor(at.code) || at.code === Code.Duplicate;
    if (opens && at.result >= 0) this.#open.add(at.result);
    if (at.code === Code.Close) this.#open.delete(copy.fd);
  }
}

/** The way down: from acceptance to the engine, and to the moment when an answer is there. */
import type { Engine } from '../engine.js';
import { IoError, invalidType, invalidValue } from '../errors.js';
import type { OpenFile } from '../file.js';
import { now, startTimer } from '../platform.js';
import {
  checkFile,
  checkTag,
  depthOf,
  plainOptions,
  type QueueOptions,
  queueEngineOf,
  type SubmitOptions,
  submitOptionsOf,
} from './arguments.js';
import { Chain } from './chain.js';
import type { Completion, Tag } from './completion.js';
import { Fifo } from './fifo.js';
import { Asked, type Home, Stage, Submission } from './submission.js';
import { MemoryInUse } from './use.js';

/** What is accepted is handed over, and what has ended is kept until it is retrieved. */
export abstract class Flow {
  readonly engine: Engine;
  protected readonly depth: number;
  protected readonly memory: MemoryInUse = new MemoryInUse();
  /** What has ended and was not retrieved. */
  protected readonly endedOnes: Fifo<Submission>;
  protected readonly counts = { accepted: 0, completed: 0, cancelled: 0, timedOut: 0 };
  protected readonly timed: Set<Submission> = new Set();
  protected inFlight = 0;
  protected isClosing = false;
  readonly #home: Home;
  readonly #staged: Fifo<Submission>;
  readonly #all: Submission[] = [];
  readonly #free: Submission[] = [];
  readonly #submitLater = (): void => {
    this.#isScheduled = false;
    this.submit();
  };
  /* Files that a close is queued for, and how many. */
  readonly #closings: Map<OpenFile, number> = new Map();
  #outstanding = 0;
  #isDraining = false;
  #isScheduled = false;
  #isHandingOver = false;
  /* Of the staged ones, those that a submit has seen: the others may have more to come. */
  #offered = 0;

  /**
   * Makes a queue.
   *
   * Errors: `TypeError`, `RangeError` for bad options, and for an engine that is not here.
   */
  constructor(options: QueueOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw invalidType('options', 'an object', options);
    }
    this.depth = depthOf(options.depth);
    this.engine = queueEngineOf(options.engine);
    this.#staged = new Fifo(this.depth);
    this.endedOnes = new Fifo(this.depth);
    const ended = (submission: Submission): void => this.#endedOne(submission);
    this.#home = { engine: this.engine, ended };
  }

  /** Submissions that may be outstanding. */
  get capacity(): number {
    return this.depth;
  }

  /** Submissions accepted whose completions were not retrieved yet. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Told when one more is there to be retrieved. */
  protected abstract oneEnded(): void;

  /** As `prepare`, for what works on an open file. */
  protected prepareOn(file: OpenFile, tag: Tag, options: SubmitOptions): Submission {
    checkFile(file);
    checkWorld(this.engine, file);
    const submission = this.prepare(tag, options);
    file.checkUsable(ACTION);
    if (this.#closings.has(file)) {
      const words = 'a close of the file is queued';
      throw new IoError({ action: ACTION, path: file.path, code: 'EBADF', kind: 'closed', words });
    }
    return submission;
  }

  /*
   * Looks at everything that may be refused; nothing is taken yet. No code of the caller's (an
   * iterator, a getter) may run between this and `accept`: it could queue, and be given the same
   * submission.
   */
  protected prepare(tag: Tag, options: SubmitOptions): Submission {
    checkTag(tag);
    const asked = options === plainOptions ? plainOptions : submitOptionsOf(options);
    this.checkOpen(ACTION);
    if (this.#outstanding === this.depth) {
      const words = `${this.depth} operations are outstanding; retrieve completions first`;
      throw new IoError({ action: ACTION, code: 'EAGAIN', words });
    }
    const submission = this.#free[this.#free.length - 1] ?? this.#newSubmission();
    submission.tag = tag;
    submission.isLinked = asked.link === true;
    submission.isDrained = asked.drain === true;
    submission.timeoutMs = asked.timeoutMs ?? 0;
    return submission;
  }

  #newSubmission(): Submission {
    const submission = new Submission(this.#home);
    this.#all.push(submission);
    this.#free.push(submission);
    return submission;
  }

  /* Cannot fail: what `prepare` has answered is accepted in the same breath. */
  protected accept(submission: Submission): void {
    const { file, closes } = submission;
    this.#free.pop();
    submission.stage = Stage.Staged;
    file?.hold();
    if (closes !== undefined) this.#closings.set(closes, (this.#closings.get(closes) ?? 0) + 1);
    submission.work?.reserve?.();
    this.#staged.push(submission);
    this.#outstanding++;
    this.counts.accepted++;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(this.#submitLater);
  }

  /**
   * Hands over what was queued; called by itself at the end of the tick. A chain ends here.
   *
   * Units: operations handed over. What has to wait for a drained one is handed over by itself.
   */
  submit(): number {
    this.#offered = this.#staged.count;
    return this.#handOver();
  }

  /* One that ends meanwhile, and lets go of a drain, is seen by the loop that is at work. */
  #handOver(): number {
    if (this.#isHandingOver) return 0;
    this.#isHandingOver = true;
    let handed = 0;
    while (this.#offered > 0) {
      const length = this.#chainLength();
      const isDrained = this.#isDrained(length);
      if (this.#isDraining || (this.inFlight > 0 && isDrained)) break;
      this.#isDraining = isDrained;
      this.inFlight += length;
      this.#offered -= length;
      handed += length;
      if (length === 1) this.#begin(this.#staged.shift() as Submission);
      else this.#beginChain(length);
    }
    this.#isHandingOver = false;
    this.engine.handOver?.();
    return handed;
  }

  #chainLength(): number {
    let length = 1;
    while (this.#staged.at(length - 1)?.isLinked === true && length < this.#offered) length++;
    return length;
  }

  #isDrained(length: number): boolean {
    for (let index = 0; index < length; index++) {
      if (this.#staged.at(index)?.isDrained === true) return true;
    }
    return false;
  }

  #begin(submission: Submission): void {
    submission.stage = Stage.UnderWay;
    if (submission.timeoutMs > 0) this.#startTimer(submission);
    submission.begin();
  }

  #beginChain(length: number): void {
    const members: Submission[] = [];
    for (let index = 0; index < length; index++) {
      const member = this.#staged.shift() as Submission;
      member.stage = Stage.UnderWay;
      if (member.timeoutMs > 0) this.#startTimer(member);
      members.push(member);
    }
    new Chain(this.engine, members).goOn();
  }

  /* The kernel has the time too where the engine heeds it; the rest is ended from here. */
  #startTimer(submission: Submission): void {
    const { timeoutMs, operation } = submission;
    if (submission.work === undefined) operation.timeoutMs = timeoutMs;
    submission.deadlineMs = now() + timeoutMs;
    submission.stopTimer = startTimer(timeoutMs, () => {
      this.end(submission, Asked.Time);
    });
    this.timed.add(submission);
  }

  /* Asks for the end of one that is staged or under way. */
  protected end(submission: Submission, why: Asked): void {
    if (submission.asked !== Asked.Nothing) return;
    submission.asked = why;
    if (submission.stage === Stage.UnderWay) submission.interrupt();
  }

  #endedOne(submission: Submission): void {
    const { key, keys, parts, stopTimer, error, closes } = submission;
    if (key !== undefined) this.memory.giveBack(key);
    if (keys !== undefined) for (const view of keys) this.memory.giveBack(view);
    parts?.giveBack(submission);
    if (stopTimer !== undefined) {
      stopTimer();
      submission.stopTimer = undefined;
      this.timed.delete(submission);
    }
    submission.file?.letGo();
    if (closes !== undefined) this.#closed(closes);
    this.counts.completed++;
    if (error?.code === 'ECANCELED') this.counts.cancelled++;
    if (error?.code === 'ETIMEDOUT') this.counts.timedOut++;
    this.endedOnes.push(submission);
    this.inFlight--;
    if (this.inFlight === 0 && this.#isDraining) this.#isDraining = false;
    if (this.inFlight === 0 && this.#offered > 0) this.#handOver();
    this.oneEnded();
  }

  #closed(file: OpenFile): void {
    const left = (this.#closings.get(file) as number) - 1;
    if (left > 0) this.#closings.set(file, left);
    else this.#closings.delete(file);
  }

  /** Hands out the completion that has been there the longest. */
  protected retrieve(completion: Completion): void {
    const submission = this.endedOnes.shift() as Submission;
    submission.release(completion);
    this.#free.push(submission);
    this.#outstanding--;
  }

  /**
   * Asks for the end of every submission with this tag. One that had not begun completes with
   * `Cancelled`, one under way with that or with what really came of it.
   *
   * Units: submissions found; 0 for a tag that is not outstanding.
   */
  cancel(tag: Tag): number {
    checkTag(tag);
    let found = 0;
    for (const submission of this.#all) {
      if (submission.tag !== tag || !isOpenStage(submission)) continue;
      found++;
      this.end(submission, Asked.Cancel);
    }
    return found;
  }

  /** Asks for the end of everything. */
  protected cancelAll(): void {
    for (const submission of this.#all) {
      if (isOpenStage(submission)) this.end(submission, Asked.Cancel);
    }
  }

  protected checkOpen(action: string): void {
    if (!this.isClosing) return;
    throw new IoError({ action, code: 'EBADF', kind: 'closed', words: 'the queue is closed' });
  }
}

const ACTION = 'queue an operation';

function isOpenStage({ stage }: Submission): boolean {
  return stage === Stage.Staged || stage === Stage.UnderWay;
}

/* A simulated world has descriptors of its own. */
export function checkWorld(engine: Engine, file: OpenFile): void {
  const isSimulated = engine.name === 'simulated' || file.engine.name === 'simulated';
  if (!isSimulated || engine === file.engine) return;
  throw invalidValue('file', `a file of the world of engine ${engine.name}`, file.path);
}

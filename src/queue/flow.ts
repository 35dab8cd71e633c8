/** The way down: from acceptance to the engine, and to the moment when an answer is there. */
import type { Engine } from '../engine.js';
import { IoError, invalidType, invalidValue } from '../errors.js';
import type { OpenFile } from '../file.js';
import { now, startTimer } from '../platform.js';
import {
  checkFile,
  checkSubmitOptions,
  checkTag,
  depthOf,
  plainOptions,
  type QueueOptions,
  queueEngineOf,
  type SubmitOptions,
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
  #outstanding = 0;
  #isDraining = false;
  #isScheduled = false;

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

  /* Looks at everything that may be refused; nothing is taken yet. */
  protected prepare(file: OpenFile | undefined, tag: Tag, options: SubmitOptions): Submission {
    this.checkOpen('queue an operation');
    if (file !== undefined) {
      checkFile(file);
      checkWorld(this.engine, file);
      file.checkUsable('queue an operation');
    }
    checkTag(tag);
    if (options !== plainOptions) checkSubmitOptions(options);
    if (this.#outstanding === this.depth) {
      const words = `${this.depth} operations are outstanding; retrieve completions first`;
      throw new IoError({ action: 'queue an operation', code: 'EAGAIN', words });
    }
    return this.#free[this.#free.length - 1] ?? this.#newSubmission();
  }

  #newSubmission(): Submission {
    const submission = new Submission(this.#home);
    this.#all.push(submission);
    this.#free.push(submission);
    return submission;
  }

  protected accept(submission: Submission, tag: Tag, options: SubmitOptions): void {
    this.#free.pop();
    submission.tag = tag;
    submission.isLinked = options.link === true;
    submission.isDrained = options.drain === true;
    submission.timeoutMs = options.timeoutMs ?? 0;
    submission.stage = Stage.Staged;
    submission.file?.hold();
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
    let handed = 0;
    for (let head = this.#staged.at(0); head !== undefined; head = this.#staged.at(0)) {
      const length = this.#chainLength();
      if (this.#isDraining || (this.inFlight > 0 && this.#isDrained(length))) break;
      this.#isDraining = this.#isDrained(length);
      this.inFlight += length;
      handed += length;
      if (length === 1) this.#begin(this.#staged.shift() as Submission);
      else this.#beginChain(length);
    }
    this.engine.handOver?.();
    return handed;
  }

  #chainLength(): number {
    let length = 1;
    while (this.#staged.at(length - 1)?.isLinked === true && length < this.#staged.count) length++;
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
    if (submission.stage === Stage.UnderWay && submission.work === undefined) {
      this.engine.cancel?.(submission.operation);
    }
  }

  #endedOne(submission: Submission): void {
    const { key, keys, stopTimer, error } = submission;
    submission.use?.giveBack();
    if (key !== undefined) this.memory.giveBack(key);
    if (keys !== undefined) for (const view of keys) this.memory.giveBack(view);
    if (stopTimer !== undefined) {
      stopTimer();
      submission.stopTimer = undefined;
      this.timed.delete(submission);
    }
    submission.file?.letGo();
    this.counts.completed++;
    if (error?.code === 'ECANCELED') this.counts.cancelled++;
    if (error?.code === 'ETIMEDOUT') this.counts.timedOut++;
    this.endedOnes.push(submission);
    this.inFlight--;
    if (this.inFlight === 0 && this.#isDraining) this.#isDraining = false;
    if (this.inFlight === 0 && this.#staged.count > 0 && !this.#isScheduled) this.submit();
    this.oneEnded();
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

function isOpenStage({ stage }: Submission): boolean {
  return stage === Stage.Staged || stage === Stage.UnderWay;
}

/* A simulated world has descriptors of its own. */
function checkWorld(engine: Engine, file: OpenFile): void {
  const isSimulated = engine.name === 'simulated' || file.engine.name === 'simulated';
  if (!isSimulated || engine === file.engine) return;
  throw invalidValue('file', `a file of the world of engine ${engine.name}`, file.path);
}

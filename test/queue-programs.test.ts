/**
 * Random programs of submissions, links, drains, cancels, time limits and waits: each accepted
 * submission gives one completion, nothing is left outstanding, all memory is free again, and the
 * file holds what the program determines.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import {
  type Completion,
  type CompletionQueue,
  IoError,
  type OpenFile,
  Status,
  type SubmitOptions,
} from 'holdfast';
import { programs, type Step } from './queue/program.js';
import { inWorlds, type World } from './queue/worlds.js';

const REGION_BYTES = 600;
const REGIONS = 8;
/* Where the position of the second file is: nothing else touches it. */
const POSITION_BYTES = 7;

/** Where a run of the programs begins, to see it again: HOLDFAST_SEED. */
const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Asked {
  readonly step: Step;
  readonly options: SubmitOptions;
  readonly tag: number;
}

interface Files {
  readonly file: OpenFile;
  readonly positioned: OpenFile;
  readonly others: readonly OpenFile[];
}

class Run {
  readonly #world: World;
  readonly #queue: CompletionQueue;
  readonly #file: OpenFile;
  readonly #positioned: OpenFile;
  readonly #others: readonly OpenFile[];
  readonly #asked: Asked[] = [];
  readonly #told = new Map<number, Completion>();
  /* By region: what each accepted write fills it with, and in which order they were told. */
  readonly #writes: Asked[][] = Array.from({ length: REGIONS }, () => []);
  readonly #views: Uint8Array[] = [];
  readonly #chainEnds = new Set<number>();

  constructor(world: World, queue: CompletionQueue, files: Files) {
    this.#world = world;
    this.#queue = queue;
    this.#file = files.file;
    this.#positioned = files.positioned;
    this.#others = files.others;
    queue.registerBuffers(Array.from({ length: REGIONS }, () => new Uint8Array(REGION_BYTES)));
  }

  async run(program: readonly Step[]): Promise<void> {
    /* What need not be waited for is not: submissions behind each other are of one tick. */
    for (const step of program) {
      const ended = this.#step(step);
      if (ended !== undefined) await ended;
    }
    const closing = this.#queue.close({ cancel: program.length % 5 === 0 });
    this.#take(await this.#queue.wait({ atLeast: Math.min(256, this.#queue.outstanding) }));
    await closing;
    this.#take(await this.#queue.wait());
  }

  #step(step: Step): Promise<unknown> | undefined {
    const queue = this.#queue;
    if ('limits' in step) return this.#submit(step);
    if (step.do === 'cancel') return this.#cancel(step.back);
    /* Here a chain may end, whatever its last member says. */
    this.#chainEnds.add(this.#asked.length - 1);
    switch (step.do) {
      case 'submit':
        queue.submit();
        return undefined;
      case 'poll':
        return this.#poll();
      case 'wait':
        return queue.wait({ timeoutMs: 50 }).then((told) => this.#take(told));
      case 'waitAll':
        return queue.wait({ atLeast: queue.outstanding }).then((told) => this.#take(told));
      case 'waitSync':
        return this.#waitSync();
      case 'turn':
        return setImmediate();
      default:
        return Promise.resolve();
    }
  }

  #cancel(back: number): undefined {
    const { tag } = this.#asked[this.#asked.length - 1 - back] ?? {};
    if (tag !== undefined) ok(this.#queue.cancel(tag) <= 1);
  }

  #poll(): undefined {
    const out: Completion[] = [];
    const count = this.#queue.poll(out);
    this.#take(out.slice(0, count));
  }

  #waitSync(): undefined {
    try {
      this.#take(this.#queue.waitSync());
    } catch (error) {
      ok(error instanceof IoError && error.kind === 'unsupported', String(error));
      equal(this.#world.name, 'portable');
    }
  }

  #submit(step: Extract<Step, { limits: unknown }>): undefined {
    const { link, drain, timeoutMs } = step.limits;
    const options: SubmitOptions = { link, drain, timeoutMs };
    const tag = this.#asked.length;
    const before = this.#queue.outstanding;
    try {
      this.#ask(step, tag, options);
    } catch (error) {
      equal(this.#queue.outstanding, before, 'what throws has not been accepted');
      const isBusy = error instanceof IoError && error.status === Status.NoResources;
      const isClosed = error instanceof IoError && error.kind === 'closed';
      const isInUse = (error as { code?: string }).code === 'ERR_INVALID_ARG_VALUE';
      ok(isBusy || isInUse || (isClosed && this.#mayBeClosed(step)), String(error));
      return;
    }
    equal(this.#queue.outstanding, before + 1);
    const asked = { step, options, tag };
    this.#asked.push(asked);
    if ('region' in step && step.do.startsWith('write')) this.#writes[step.region]?.push(asked);
  }

  /* Whether a close was accepted before: from then on nothing is, unless it is cancelled. */
  #mayBeClosed(step: Step): boolean {
    if (step.do !== 'writeOther') return false;
    return this.#asked.some((one) => one.step.do === 'closeOther' && one.step.other === step.other);
  }

  #ask(step: Extract<Step, { limits: unknown }>, tag: number, options: SubmitOptions): void {
    const queue = this.#queue;
    const file = this.#file;
    const bytes = new Uint8Array(REGION_BYTES).fill('fill' in step ? step.fill : 0);
    const halves = [bytes.subarray(0, 100), bytes.subarray(100)];
    const front = bytes.subarray(0, POSITION_BYTES);
    const slot = 'region' in step ? step.region : 0;
    const at = slot * REGION_BYTES;
    const there = this.#world.path('file');
    const absent = this.#world.path('absent');
    const other = this.#others['other' in step ? step.other : 0] as OpenFile;
    this.#views.push(bytes, ...halves);
    const asks: Readonly<Record<typeof step.do, () => void>> = {
      write: () => queue.write(file, bytes, at, tag, options),
      writeMany: () => queue.write(file, halves, at, tag, options),
      writeFixed: () => queue.writeFixed(file, slot, at, tag, options),
      read: () => queue.read(file, bytes, at, tag, options),
      readMany: () => queue.read(file, halves, at, tag, options),
      readFixed: () => queue.readFixed(file, slot, at, tag, options),
      position: () => queue.write(this.#positioned, front, null, tag, options),
      sync: () => queue.sync(file, 'full', tag, options),
      syncData: () => queue.sync(file, 'data', tag, options),
      nop: () => queue.nop(tag, options),
      fails: () => queue.unlink(absent, tag, options),
      open: () => queue.open(there, {}, tag, options),
      rename: () => queue.rename(there, there, tag, options),
      writeOther: () => queue.write(other, bytes, 0, tag, options),
      closeOther: () => queue.closeFile(other, tag, options),
    };
    asks[step.do]();
  }

  #take(completions: readonly Completion[]): void {
    for (const completion of completions) {
      const tag = completion.tag as number;
      ok(!this.#told.has(tag), `tag ${tag} completed twice`);
      this.#told.set(tag, completion);
      const { step, options } = this.#asked[tag] as Asked;
      const { status, bytes, error } = completion;
      equal(error === undefined, status === Status.Ok);
      const may: Status[] = [Status.Ok, Status.Cancelled];
      if (step.do === 'fails') may.push(Status.NotFound);
      if (options.timeoutMs === 1) may.push(Status.Timeout);
      ok(may.includes(status), `${step.do}: ${error}`);
      if ('fill' in step && status === Status.Ok) {
        equal(bytes, step.do === 'position' ? POSITION_BYTES : REGION_BYTES);
      }
      void completion.file?.close();
    }
  }

  /** After the end: what holds for every program. */
  async check(): Promise<void> {
    equal(this.#queue.outstanding, 0);
    deepEqual(
      [...this.#told.keys()].sort((one, two) => one - two),
      this.#asked.map(({ tag }) => tag),
    );
    this.#checkChains();
    this.#checkCloses();
    this.#checkRegions();
    this.#checkPosition();
    const queue = this.#world.queue();
    for (const view of this.#views.slice(0, 200)) {
      queue.read(this.#file, view, 0, 1);
      equal((await queue.wait())[0]?.status, Status.Ok);
    }
    await queue.close();
  }

  /* Where one of a chain did not do all it was asked to, what it was linked to was not done. */
  #checkChains(): void {
    for (const [index, { options, step }] of this.#asked.entries()) {
      const next = this.#told.get(index + 1);
      const here = this.#told.get(index) as Completion;
      if (options.link !== true || next === undefined || here.status === Status.Ok) continue;
      if (this.#chainEnds.has(index)) continue;
      ok(next.status === Status.Cancelled || next.status === Status.Timeout, `${step.do} ${index}`);
    }
  }

  /* A close that is Ok has closed; one that was cancelled has not, unless another has. */
  #checkCloses(): void {
    const statuses = this.#others.map((): Status[] => []);
    for (const { step, tag } of this.#asked) {
      if (step.do !== 'closeOther') continue;
      statuses[step.other]?.push(this.#told.get(tag)?.status as Status);
    }
    for (const [index, { fd, isClosed }] of this.#others.entries()) {
      const these = statuses[index] as Status[];
      if (these.includes(Status.Ok)) equal(fd, -1);
      if (these.every((status) => status === Status.Cancelled)) ok(!isClosed && fd >= 0);
    }
  }

  /* A region holds what one of the last writes wrote; of two without an order it may be either. */
  #checkRegions(): void {
    const content = this.#world.content('file');
    for (const [region, writes] of this.#writes.entries()) {
      const start = region * REGION_BYTES;
      const bytes = content.subarray(start, start + REGION_BYTES);
      const done = writes.filter(({ tag }) => this.#told.get(tag)?.status === Status.Ok);
      if (done.length === 0) continue;
      const fills = new Set(done.map(({ step }) => ('fill' in step ? step.fill : 0)));
      const isFixed = done.some(({ step }) => step.do === 'writeFixed');
      if (writes.length === 1 && !isFixed) {
        ok(
          bytes.every((byte) => byte === [...fills][0]),
          `region ${region}`,
        );
      } else if (!isFixed && done.length === writes.length) {
        ok(fills.has(bytes[0] as number), `region ${region} holds what nobody wrote`);
      }
    }
  }

  /* Writes at the position land one behind the other in the order of the calls. */
  #checkPosition(): void {
    const expected = this.#asked.flatMap(({ step, tag }) => {
      const isThere = step.do === 'position' && this.#told.get(tag)?.status === Status.Ok;
      return isThere ? new Array(POSITION_BYTES).fill(step.fill) : [];
    });
    deepEqual([...this.#world.content('positioned')], expected);
  }
}

inWorlds(
  ['ring', 'pool', 'portable', 'simulated'],
  'any program of submissions comes to its end',
  async (world) => {
    world.t.diagnostic(`HOLDFAST_SEED=${seed}`);
    const stopAt = Date.now() + 1200;
    const property = fc.asyncProperty(
      programs,
      fc.constantFrom(4, 16, 256),
      async (program, depth) => {
        if (Date.now() > stopAt) return;
        const file = await world.open('file', { truncate: true });
        const positioned = await world.open('positioned', { truncate: true });
        const others = await Promise.all(['one', 'two'].map((name) => world.open(name)));
        const queue = world.queue({ depth });
        const run = new Run(world, queue, { file, positioned, others });
        await run.run(program);
        await run.check();
        for (const each of [file, positioned, ...others]) await each.close();
      },
    );
    await fc.assert(property, { seed, numRuns: 400, endOnFailure: false });
  },
);

/** Random reads of 4 KiB, several in flight, by each way there is. */
import { close, open, read } from 'node:fs';
import { open as openHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { alignedBuffer, Completion, CompletionQueue, type EngineName, openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { looped } from '../harness/measure.js';
import type { Subject } from '../harness/question.js';

export const readBytes = 4096;
/** Submissions handed over, and completions waited for, at most at once: fio is told the same. */
export const batch = 16;

export interface Reads {
  readonly path: string;
  readonly fileBytes: number;
  readonly depth: number;
  readonly isDirect: boolean;
}

type Engines = Exclude<EngineName, 'simulated'>;

/** The same places for each subject: a generator of its own, begun anew with each round. */
export function placesIn(fileBytes: number): () => number {
  const blocks = fileBytes / readBytes;
  let seed = 1;
  return () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return ((seed >>> 8) % blocks) * readBytes;
  };
}

/** Keeps `depth` promises in flight until `count` have settled. */
async function keepInFlight(
  reads: Reads,
  count: number,
  readOne: (view: Uint8Array, offset: number) => Promise<unknown>,
): Promise<void> {
  const next = placesIn(reads.fileBytes);
  let left = count;
  const lane = async (): Promise<void> => {
    const view = alignedBuffer(readBytes);
    while (left-- > 0) await readOne(view, next());
  };
  await Promise.all(Array.from({ length: reads.depth }, lane));
}

/** `await file.readAt`. */
export async function fileSubject(name: string, engine: Engines, reads: Reads): Promise<Subject> {
  const { path, isDirect } = reads;
  const file = await openFile(path, { engine: engineNamed(engine), direct: isDirect });
  return looped({
    name,
    unit: 'us',
    run: (count) => keepInFlight(reads, count, (view, offset) => file.readAt(view, offset)),
    close: () => file.close(),
  });
}

export interface QueueChoices {
  readonly engine: Engines;
  /** Registered buffers and files. */
  readonly isFixed: boolean;
  /** Polls for what is there at once, or waits on the calling thread, or for a promise. */
  readonly retrieves: 'poll' | 'waitSync' | 'wait';
}

/** `CompletionQueue`. */
export async function queueSubject(
  name: string,
  choices: QueueChoices,
  reads: Reads,
): Promise<Subject> {
  const { path, isDirect, depth } = reads;
  const { engine, isFixed } = choices;
  const file = await openFile(path, { engine: engineNamed(engine), direct: isDirect });
  const queue = new CompletionQueue({ depth, engine });
  const views = Array.from({ length: depth }, () => alignedBuffer(readBytes));
  if (isFixed) {
    queue.registerBuffers(views);
    queue.registerFiles([file]);
  }
  const readOne = (tag: number, offset: number): void => {
    if (isFixed) queue.readFixed(file, tag, offset, tag);
    else queue.read(file, views[tag] as Uint8Array, offset, tag);
  };
  const run = choices.retrieves === 'poll' ? polled : waited(choices.retrieves);
  return looped({
    name,
    unit: 'us',
    run: (count) => run(queue, reads, count, readOne),
    close: async () => {
      await queue.close();
      await file.close();
    },
  });
}

type ReadOne = (tag: number, offset: number) => void;

function checked({ error }: Completion): void {
  if (error !== undefined) throw error;
}

function polled(queue: CompletionQueue, reads: Reads, count: number, readOne: ReadOne): void {
  const next = placesIn(reads.fileBytes);
  const out = Array.from({ length: reads.depth }, () => new Completion());
  const begun = Math.min(reads.depth, count);
  for (let tag = 0; tag < begun; tag++) readOne(tag, next());
  queue.submit();
  let left = count - begun;
  for (let retrieved = 0; retrieved < count; ) {
    const here = queue.poll(out);
    for (let index = 0; index < here; index++) {
      const completion = out[index] as Completion;
      checked(completion);
      if (left-- > 0) readOne(completion.tag as number, next());
    }
    retrieved += here;
    if (here > 0) queue.submit();
  }
}

function waited(by: 'wait' | 'waitSync') {
  return async (
    queue: CompletionQueue,
    reads: Reads,
    count: number,
    readOne: ReadOne,
  ): Promise<void> => {
    const next = placesIn(reads.fileBytes);
    const begun = Math.min(reads.depth, count);
    for (let tag = 0; tag < begun; tag++) readOne(tag, next());
    let left = count - begun;
    for (let retrieved = 0; retrieved < count; ) {
      const options = { atLeast: Math.min(batch, Math.ceil(reads.depth / 2)) };
      const here = by === 'waitSync' ? queue.waitSync(options) : await queue.wait(options);
      for (const completion of here) {
        checked(completion);
        if (left-- > 0) readOne(completion.tag as number, next());
      }
      retrieved += here.length;
    }
  };
}

/* O_DIRECT of open(2), which node:fs passes on. */
const O_DIRECT = 0o40000;

/** `FileHandle.read`. */
export async function handleSubject(name: string, reads: Reads): Promise<Subject> {
  const handle = await openHandle(reads.path, reads.isDirect ? O_DIRECT : 'r');
  return looped({
    name,
    unit: 'us',
    run: (count) =>
      keepInFlight(reads, count, (view, offset) => handle.read(view, 0, readBytes, offset)),
    close: () => handle.close(),
  });
}

/** `fs.read` with a callback. */
export async function callbackSubject(name: string, reads: Reads): Promise<Subject> {
  const fd = await promisify(open)(reads.path, reads.isDirect ? O_DIRECT : 'r');
  const readOne = (view: Uint8Array, offset: number): Promise<number> =>
    new Promise((resolve, reject) => {
      read(fd, view, 0, readBytes, offset, (error, bytes) =>
        error === null ? resolve(bytes) : reject(error),
      );
    });
  return looped({
    name,
    unit: 'us',
    run: (count) => keepInFlight(reads, count, readOne),
    close: () => promisify(close)(fd),
  });
}

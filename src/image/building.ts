/** An image under construction: what comes of a value, given out whole or piece by piece. */
import { invalidValue } from '../errors.js';
import { IovecWriter } from '../iovec.js';
import { type AnySchema, Emitter, encodeSteps, type Starts, type Wait } from '../struct.js';
import { endingOf, FRAME_BYTES, headerOf } from './format.js';
import { Summing } from './sums.js';

export class Building {
  readonly schema: AnySchema;
  readonly writer: IovecWriter = new IovecWriter({ alignment: 8 });
  readonly #header: Uint8Array;
  readonly #starts: Starts = [];
  readonly #summing = new Summing(this.#starts);
  readonly #emitter: Emitter;
  readonly #steps: Generator<Wait, number, unknown>;
  #isDone = false;

  constructor(schema: AnySchema, value: unknown) {
    this.schema = schema;
    this.#header = headerOf(schema.hash);
    this.writer.append(this.#header);
    const append = (bytes: Uint8Array): void => {
      this.#summing.add(bytes);
      this.writer.append(bytes);
    };
    this.#emitter = new Emitter({ append }, FRAME_BYTES);
    this.#steps = encodeSteps(schema, value, this.#emitter, this.#starts);
  }

  /** True when all of the image is in the writer. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Goes on to the end. Errors: what does not fit; `TypeError` for what comes bit by bit. */
  finish(): IovecWriter {
    let step = this.#steps.next();
    while (!step.done) {
      if (step.value !== undefined) {
        this.abandon();
        throw invalidValue(
          'value',
          'one that is all there, as writeImage alone can wait',
          'a promise',
        );
      }
      step = this.#steps.next();
    }
    return this.#end(step.value);
  }

  /** Goes on until something should be written, or to the end. Errors: what does not fit. */
  async advance(): Promise<void> {
    let step = this.#steps.next();
    while (!step.done && step.value !== undefined) {
      let next: unknown;
      try {
        next = await step.value;
      } catch (error) {
        step = this.#steps.throw(error);
        continue;
      }
      step = this.#steps.next(next);
    }
    if (step.done) this.#end(step.value);
  }

  /** What was given out is written: its memory is used again. */
  takeBack(): void {
    this.#emitter.takeBack();
  }

  /** Nobody wants the rest. */
  abandon(): void {
    this.#steps.return(0);
  }

  #end(root: number): IovecWriter {
    this.#isDone = true;
    const description = Buffer.from(this.schema.description, 'utf8');
    const sections = this.#summing.sections();
    const { sums } = this.#summing;
    const end = this.writer.offset;
    const header = this.#header;
    this.writer.append(endingOf({ root, end, description, sections, sums, header }));
    this.writer.finalize();
    return this.writer;
  }
}

/** Where a command speaks: answers on standard output, all else on standard error. */
import { engineNamed } from '../engine.js';
import { OpenFile } from '../index.js';
import { now } from '../platform.js';

const SHOWN_EVERY_MS = 100;
const BAR_COLUMNS = 24;
const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Colour = keyof typeof CODES;

export interface Wishes {
  readonly isJson: boolean;
  readonly isQuiet: boolean;
  readonly hasColour: boolean;
}

type Stream = NodeJS.WriteStream & { readonly fd: number };

/* no-color.org: any value that is not empty. */
function mayColour(stream: Stream): boolean {
  return stream.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

/*
 * Standard output where it is a file: written by the library, since Node's stream over a file takes
 * a short write for a whole one, and an answer cut by a full disk for one that was given.
 */
function fileOf(out: Stream): OpenFile | undefined {
  if (out.isTTY) return undefined;
  try {
    return OpenFile.fromFd(out.fd, {
      ownership: 'borrow',
      engine: engineNamed('portable'),
      path: '/dev/stdout',
    });
  } catch {
    /* A pipe, a socket, closed: the stream knows. */
    return undefined;
  }
}

export class Terminal {
  readonly isJson: boolean;
  readonly #isQuiet: boolean;
  readonly #out: Stream = process.stdout;
  readonly #file: OpenFile | undefined = fileOf(this.#out);
  readonly #err: Stream = process.stderr;
  readonly #hasColour: { readonly out: boolean; readonly err: boolean };
  #shownAt = 0;
  #isShowing = false;
  #isRefused = false;

  constructor({ isJson, isQuiet, hasColour }: Wishes) {
    this.isJson = isJson;
    this.#isQuiet = isQuiet;
    this.#hasColour = {
      out: hasColour && mayColour(this.#out),
      err: hasColour && mayColour(this.#err),
    };
  }

  get columns(): number {
    return this.#out.isTTY ? this.#out.columns : 100;
  }

  /** For people; nothing with `--json`. Errors: `IoError` where standard output is a file. */
  print(text: string): void {
    if (!this.isJson) this.#tell(`${text}\n`);
  }

  /**
   * The answer, as JSON with `--json`, else as `text` has it.
   *
   * Errors: `IoError` where standard output is a file; what comes after that is dropped.
   */
  answer(value: unknown, text: () => string): void {
    if (this.isJson) this.#tell(`${JSON.stringify(value, plain, 2)}\n`);
    else this.print(text());
  }

  /** For many answers, one after the other: waits for whoever reads them. Errors: as `answer`. */
  async emit(text: string | Uint8Array): Promise<void> {
    const out = this.#out;
    if (this.#file !== undefined) return this.#tell(text);
    if (out.destroyed || out.write(text)) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        out.off('drain', go).off('close', go);
        resolve();
      };
      out.on('drain', go).on('close', go);
    });
  }

  warn(text: string): void {
    this.clear();
    this.#write(this.#err, `${text}\n`);
  }

  /** Colours a word of the answer, where that may be. */
  paint(text: string, ...colours: readonly Colour[]): string {
    return painted(text, this.#hasColour.out, colours);
  }

  paintWarning(text: string, ...colours: readonly Colour[]): string {
    return painted(text, this.#hasColour.err, colours);
  }

  /** Shows how far long work is, on a terminal alone; `share` from 0 to 1, undefined: unknown. */
  progress(text: string, share?: number): void {
    if (this.#isQuiet || !this.#err.isTTY) return;
    const time = now();
    if (this.#isShowing && time - this.#shownAt < SHOWN_EVERY_MS) return;
    this.#shownAt = time;
    this.#isShowing = true;
    const line = share === undefined ? text : `${barOf(share)} ${text}`;
    this.#write(this.#err, `\r\u001b[K${line.slice(0, this.#err.columns - 1)}`);
  }

  /** Takes the progress away. */
  clear(): void {
    if (this.#isShowing) this.#write(this.#err, '\r\u001b[K');
    this.#isShowing = false;
  }

  /** Resolves when all was taken by whoever reads it. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#out.destroyed || this.#out.writableLength === 0) resolve();
      else this.#out.write('', () => resolve());
    });
  }

  #tell(text: string | Uint8Array): void {
    if (this.#isRefused) return;
    try {
      if (this.#file === undefined) this.#write(this.#out, text);
      else this.#file.writeSync(typeof text === 'string' ? Buffer.from(text) : text);
    } catch (error) {
      this.#isRefused = true;
      throw error;
    }
  }

  #write(stream: Stream, text: string | Uint8Array): void {
    if (!stream.destroyed) stream.write(text);
  }
}

function painted(text: string, isAllowed: boolean, colours: readonly Colour[]): string {
  if (!isAllowed) return text;
  return `${colours.map((name) => `\u001b[${CODES[name]}m`).join('')}${text}\u001b[0m`;
}

function barOf(share: number): string {
  const whole = Math.max(0, Math.min(1, share));
  const full = Math.round(whole * BAR_COLUMNS);
  const bar = '#'.repeat(full).padEnd(BAR_COLUMNS, '.');
  return `[${bar}] ${String(Math.floor(whole * 100)).padStart(3)}%`;
}

/* JSON has no big integers. */
function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Units: bytes, powers of 1024. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${UNITS[unit]}`;
}

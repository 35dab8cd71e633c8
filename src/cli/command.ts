/** What a command consists of, and what it is given when it runs. */
import type { Terminal } from './terminal.js';

/** What `holdfast` ends with; `lock` ends with what its command ended with. */
export const EXIT = {
  done: 0,
  /** The world refused: an `IoError`. */
  refused: 1,
  /** Wrong words: nothing was done. */
  usage: 2,
  /** Done, and what was looked for was found: something here loses data. */
  found: 3,
  /** Somebody else has the lock; EX_TEMPFAIL of sysexits(3). */
  held: 75,
  /** The command of `lock` cannot be run, is not there: as shells have it. */
  cannotRun: 126,
  notThere: 127,
  interrupted: 130,
  terminated: 143,
} as const;

/** A mistake in the words given. */
export class UsageError extends Error {}

export interface Option {
  readonly name: string;
  readonly short?: string;
  /** What stands for its value in the help; none: it is a switch. */
  readonly value?: string;
  readonly choices?: readonly string[];
  /** May be given more than once: `Options.all`. */
  readonly isMany?: boolean;
  readonly about: string;
}

/** The options as given, looked up by name; bad values are `UsageError`s. */
export class Options {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | undefined {
    return this.#values[name] as string | undefined;
  }

  all(name: string): readonly string[] {
    return (this.#values[name] as string[] | undefined) ?? [];
  }

  integer(name: string, { min, max }: { min: number; max: number }): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`);
  }

  /** Permissions, octal. */
  mode(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (/^(0o)?[0-7]{1,4}$/.test(text)) return Number.parseInt(text.replace('0o', ''), 8);
    throw new UsageError(`--${name} takes octal permissions such as 644, not "${text}"`);
  }

  /** Milliseconds, from `500ms`, `5s`, `2m`; a number alone is seconds. */
  milliseconds(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const [, number, unit = 's'] = /^(\d{1,9}(?:\.\d+)?)(ms|s|m)?$/.exec(text) ?? [];
    if (number !== undefined) return Number(number) * { ms: 1, s: 1000, m: 60_000 }[unit as 's'];
    throw new UsageError(`--${name} takes a time such as 500ms, 5s or 2m, not "${text}"`);
  }

  /** Bytes, from `4096`, `4k`, `64M`, `1G` (powers of 1024). */
  bytes(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : bytesIn(text, `--${name}`);
  }
}

/** Errors: `UsageError` naming `what`. */
export function bytesIn(text: string, what: string): number {
  const [, number, unit = ''] = /^(\d{1,12})([kKmMgG]?)(?:i?[bB])?$/.exec(text) ?? [];
  const power = ['', 'k', 'm', 'g'].indexOf(unit.toLowerCase());
  if (number !== undefined) return Number(number) * 1024 ** power;
  throw new UsageError(`${what} takes a size such as 4096, 64k or 1G, not "${text}"`);
}

export interface Given {
  readonly terminal: Terminal;
  /** Aborted by the first Ctrl-C, or SIGTERM. */
  readonly signal: AbortSignal;
  readonly options: Options;
  readonly operands: readonly string[];
  /** What stood behind `--`, for commands that take it. */
  readonly command: readonly string[];
}

export interface Command {
  readonly name: string;
  readonly about: string;
  /** Operands, as the help shows them. */
  readonly operands: string;
  readonly operandCount: readonly [least: number, most: number];
  readonly takesCommand?: boolean;
  /** Words that may stand as the first operand, for completion. */
  readonly choices?: readonly string[];
  readonly options: readonly Option[];
  /** Paragraphs below the options in the help. */
  readonly notes?: readonly string[];
  run(given: Given): Promise<number>;
}

/** What the kernel tells about itself, and the two calls about volumes that engines do not have. */
import * as fs from 'node:fs';
import { release } from 'node:os';
import { errnoOf } from './errno.js';
import { Code, Operation } from './operation.js';
import type { Place } from './paths.js';

/** For open(2): a handle of any file, without opening it: no rights to it needed, nothing begun. */
export const OPEN_PATH: number = process.platform === 'linux' ? 0o10000000 : 0;
/** For open(2): a file without a name (kernel 3.11); 0 where the system has none. */
export const OPEN_UNNAMED: number =
  process.platform === 'linux' ? 0o20000000 | (fs.constants.O_DIRECTORY ?? 0) : 0;

/** A table of the kernel's as text, one character a byte, or the code of the refusal. */
export type Told =
  | { readonly text: string; readonly code?: never }
  | { readonly text?: never; readonly code: string };

function told(ask: () => string): Told {
  try {
    return { text: ask() };
  } catch (error) {
    return { code: (error as NodeJS.ErrnoException).code ?? 'an error without a code' };
  }
}

/** Reads a file of /proc or /sys: they are memory of the kernel's and do not wait for a device. */
export function readTable(path: string): Told {
  return told(() => fs.readFileSync(path, 'latin1'));
}

/** The names in a directory of /proc or /sys; `undefined` where it is absent or closed to us. */
export function namesInTable(path: string): readonly string[] | undefined {
  try {
    return fs.readdirSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

/** Where a link of /proc or /sys leads. */
export function linkInTable(path: string): Told {
  return told(() => fs.readlinkSync(path, 'latin1'));
}

/* The layout in which Node answers device numbers on Linux (makedev(3)). */
function numbersOf(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

/** `major:minor` of the device that a node in /dev stands for; `undefined` for other files. */
export function numbersOfNode(path: string | Buffer): string | undefined {
  try {
    const stat = fs.statSync(path, { bigint: true });
    return stat.isBlockDevice() ? numbersOf(stat.rdev) : undefined;
  } catch {
    return undefined;
  }
}

/** `major:minor` of the device that an open file lies on. */
export function numbersOfFile(fd: number): string | undefined {
  try {
    return numbersOf(fs.fstatSync(fd, { bigint: true }).dev);
  } catch {
    return undefined;
  }
}

export interface Machine {
  readonly platform: string;
  readonly kernel: string;
  readonly node: string;
  /** The runtime that stands in for Node, if one does. */
  readonly runtime: string | undefined;
  readonly cpu: string;
}

/** The machine and the runtime. */
export function machine(): Machine {
  const { bun, deno } = process.versions as Readonly<Record<string, string | undefined>>;
  const other = deno === undefined ? undefined : `Deno ${deno}`;
  return {
    platform: process.platform,
    kernel: release(),
    node: process.version,
    runtime: bun === undefined ? other : `Bun ${bun}`,
    cpu: process.arch,
  };
}

type Calls = Readonly<Record<string, (...values: unknown[]) => unknown>>;

/**
 * A call of node:fs that engines do not have, in the shape of an operation: `ask` waits, `askLater`
 * calls back, once and never from inside itself. `result` is 0 or -errno.
 */
export class Question extends Operation {
  answer: unknown;
  readonly #name: string;
  readonly #values: readonly unknown[];

  constructor(name: string, values: readonly unknown[]) {
    super(Code.Nop);
    this.#name = name;
    this.#values = values;
  }

  ask(): void {
    const calls = fs as unknown as Calls;
    try {
      this.#answered(null, calls[`${this.#name}Sync`]?.(...this.#values));
    } catch (error) {
      this.#answered(error, undefined);
    }
  }

  askLater(done: () => void): void {
    const calls = fs as unknown as Calls;
    const back = (error: unknown, answer: unknown): void => {
      this.#answered(error, answer);
      done();
    };
    try {
      calls[this.#name]?.(...this.#values, back);
    } catch (error) {
      /* The permission model throws in place of calling back. */
      queueMicrotask(() => back(error, undefined));
    }
  }

  #answered(error: unknown, answer: unknown): void {
    this.answer = answer;
    if (error === null || error === undefined) this.result = 0;
    else this.result = (error as NodeJS.ErrnoException).errno ?? errnoOf('EACCES');
  }
}

/** Sizes as statfs(2) tells them, in bytes but for the `type`, a number of the system's. */
export interface VolumeSizes {
  readonly type: number;
  readonly blockBytes: number;
  readonly sizeBytes: number;
  /** What a user without privileges may still fill. */
  readonly freeBytes: number;
  /** False where the unit of the sizes is not told: Node before 26 leaves f_frsize out. */
  readonly isExact: boolean;
}

/** Asks statfs(2). */
export function volumeQuestion(path: string | Buffer): Question {
  return new Question('statfs', [path, { bigint: true }]);
}

/** What a `volumeQuestion` was answered. */
export function volumeSizes(question: Question): VolumeSizes {
  const answer = question.answer as fs.BigIntStatsFs & { readonly frsize?: bigint };
  const unit = answer.frsize ?? answer.bsize;
  return {
    type: Number(answer.type),
    blockBytes: Number(answer.bsize),
    sizeBytes: Number(unit * answer.blocks),
    freeBytes: Number(unit * answer.bavail),
    isExact: answer.frsize !== undefined,
  };
}

/** Asks for a second file that shares the blocks of the first (ioctl FICLONE, clonefile(2)). */
export function cloneQuestion(source: Place, target: Place): Question {
  const { COPYFILE_FICLONE_FORCE, COPYFILE_EXCL } = fs.constants;
  const mode = COPYFILE_FICLONE_FORCE | COPYFILE_EXCL;
  return new Question('copyFile', [source.nodePath, target.nodePath, mode]);
}

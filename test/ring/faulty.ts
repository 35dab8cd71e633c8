/** A file system that refuses what it is told to: test/ring/faulty.c, mounted for a test file. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { homeFolders, makeHome, removeHome, rigRefusal, Talker } from '../power/tools.js';
import { toolEnvironment } from '../support/child.js';
import { compiledProgram } from '../support/compile.js';

type Kind = 'read' | 'write' | 'sync' | 'close';

/** What becomes of the `first`-th to `last`-th of a kind; counted from `begin`. */
export interface Fault {
  readonly kind: Kind;
  readonly first: number;
  readonly last?: number;
  /** Answers this, or moves no more than so many bytes. */
  readonly code?: string;
  readonly moves?: number;
}

/** Why it cannot be had here, or undefined. */
export const faultyRefusal: () => string | undefined = () => rigRefusal();

function numberOf(code: string): number {
  const number = (constants.errno as Readonly<Record<string, number>>)[code];
  if (number === undefined) throw new RangeError(`there is no ${code}`);
  return number;
}

/** The file system, and the words it is told. */
export class Faulty {
  readonly path: string;
  readonly #home: string;
  readonly #program: Talker;

  private constructor(home: string) {
    this.#home = home;
    this.path = join(home, 'root', 'file');
    this.#program = new Talker(compiledProgram('ring/faulty'), [join(home, 'root')]);
  }

  static async mount(): Promise<Faulty> {
    const home = makeHome();
    for (const name of homeFolders) mkdirSync(join(home, name));
    const faulty = new Faulty(home);
    await faulty.#program.ask(undefined);
    return faulty;
  }

  /** From here on these faults and no others. */
  async begin(faults: readonly Fault[] = []): Promise<void> {
    await this.#program.tell('begin');
    for (const { kind, first, last = first, code, moves } of faults) {
      const what = code === undefined ? 'move' : 'answer';
      const number = code === undefined ? moves : numberOf(code);
      await this.#program.tell(`${what} ${kind[0]} ${first} ${last} ${number}`);
    }
  }

  /** A letter for each read, write and sync since `begin`; for closes where one is to fail. */
  async asked(): Promise<string> {
    return (await this.#program.ask('asked')).slice(1);
  }

  async unmount(): Promise<void> {
    spawnSync('umount', ['--lazy', join(this.#home, 'root')], { env: toolEnvironment });
    await this.#program.end();
    removeHome(this.#home);
  }
}

/**
 * What the rig stands on: a home in memory, the two programs in C, and children that are told
 * things by the line. Nothing outlives the test: the programs unmount when their stdin ends, which
 * it does however the test ends; what is left all the same the next run removes.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { hasTool, toolEnvironment } from '../support/child.js';
import { compiledProgram } from '../support/compile.js';

export type DiskKind = 'ext4' | 'xfs' | 'btrfs';

export const diskKinds: readonly DiskKind[] = ['ext4', 'xfs', 'btrfs'];

const answerMs = 60_000;
const prefix = 'holdfast-power-';

/** Why the rig cannot stand here, or undefined if it can. */
export function rigRefusal(kind?: DiskKind): string | undefined {
  if (process.platform !== 'linux') return `a logged disk needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'a logged disk needs root';
  for (const path of ['/dev/fuse', '/dev/loop-control']) {
    if (!isUsable(path)) return `a logged disk needs ${path}`;
  }
  for (const tool of ['cc', ...(kind === undefined ? [] : [`mkfs.${kind}`])]) {
    if (!hasTool(tool)) return `${tool} is not installed`;
  }
  return undefined;
}

function isUsable(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Runs a program to its end; throws with what it said. */
export function run(program: string, words: readonly string[]): void {
  const options = { encoding: 'utf8', env: toolEnvironment, timeout: answerMs } as const;
  const { status, stderr, error } = spawnSync(program, words, options);
  if (status !== 0) throw new Error(`${program} failed: ${(error?.message ?? stderr).trim()}`);
}

/** Compiles test/power/<name>.c if need be; answers the program. */
export function compiled(name: string): string {
  return compiledProgram(`power/${name}`);
}

/** A fresh folder, in memory if there is such a place. */
export function makeHome(): string {
  const under = isUsable('/dev/shm') ? '/dev/shm' : tmpdir();
  removeLeftovers(under);
  const home = mkdtempSync(join(under, `${prefix}${process.pid}-`));
  if (!isWatching) process.once('exit', removeHomes);
  isWatching = true;
  homes.add(home);
  return home;
}

const homes = new Set<string>();
let isWatching = false;

function removeHomes(): void {
  for (const home of homes) removeHome(home);
}

export const homeFolders = ['state', 'root', 'disk'] as const;

/** Unmounts whatever is mounted in a home and removes it. */
export function removeHome(home: string): void {
  if (!existsSync(home)) return;
  for (const name of homeFolders) {
    /* Not looked at before: the folder of a disk whose program has gone cannot be. */
    const words = ['--lazy', join(home, name)];
    spawnSync('umount', words, { env: toolEnvironment, timeout: answerMs });
  }
  rmSync(home, { recursive: true, force: true });
  homes.delete(home);
}

function removeLeftovers(under: string): void {
  for (const name of readdirSync(under)) {
    const owner = Number(name.startsWith(prefix) && name.slice(prefix.length).split('-')[0]);
    if (owner > 0 && !existsSync(`/proc/${owner}`)) removeHome(join(under, name));
  }
}

/** A program that answers each line with a line. */
export class Talker {
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #ended: Promise<void>;
  #said = '';

  constructor(program: string, words: readonly string[]) {
    /* In a group of its own: who kills ours leaves it alive to tidy up. */
    this.#process = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    this.#process.stdin?.on('error', () => undefined);
    this.#ended = new Promise((resolve) => {
      this.#process.once('error', () => resolve());
      this.#process.once('exit', () => resolve());
    });
    this.#lines = createInterface({ input: this.#process.stdout as NodeJS.ReadableStream });
  }

  /** Says a line; answers the next one. Rejects if the program ends or is silent for a minute. */
  async ask(line: string | undefined): Promise<string> {
    const heard = new Promise<string>((resolve) => {
      this.#lines.once('line', resolve);
    });
    if (line !== undefined) this.#process.stdin?.write(`${line}\n`);
    let timer: NodeJS.Timeout | undefined;
    const silent = new Promise<never>((_, reject) => {
      const give = (why: string) => () => reject(new Error(`${line ?? 'start'}: ${why}`));
      timer = setTimeout(give(`no answer in ${answerMs} ms`), answerMs);
      this.#ended.then(() => give(`the program ended: ${this.#said}`)());
    });
    try {
      return await Promise.race([heard, silent]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Says a line that has to be answered with "ok". */
  async tell(line: string): Promise<void> {
    const answer = await this.ask(line);
    if (answer !== 'ok') throw new Error(`${line.replaceAll('\t', ' ')}: ${answer}`);
  }

  /** Ends its stdin and waits for its end; kills it where that takes too long. */
  async end(): Promise<void> {
    this.#process.stdin?.end();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 10_000);
    await this.#ended;
    clearTimeout(timer);
    this.#lines.close();
  }
}

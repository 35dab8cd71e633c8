/**
 * What a workload promised by its marks, and whether a state keeps it.
 *
 * A mark is `<how> <name> begin <turn>` or `<how> <name> done <turn>`; turns of one name go up.
 * What docs/durability.md promises of the file of that name:
 *
 *   replace   the content of one turn, whole: at least the last done, at most the last begun
 *   append    the records of all turns done, in order; whatever comes after them
 *   write     the content of the last turn done, unless a later one had begun
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentOf } from '../replace/content.js';
import type { State } from './rig.js';

export type How = 'replace' | 'append' | 'write';

export interface Entry {
  readonly how: How;
  readonly name: string;
}

export const beginOf = ({ how, name }: Entry, turn: number): string =>
  `${how} ${name} begin ${turn}`;
export const doneOf = ({ how, name }: Entry, turn: number): string => `${how} ${name} done ${turn}`;

/** The record that a turn appends. */
export function recordOf(turn: number): Buffer {
  return Buffer.alloc(40 + ((turn * 101) % 3000), `${turn},`);
}

/** A content so small that ext4 with inline_data keeps it in the inode. */
export function tinyOf(turn: number): Buffer {
  return Buffer.alloc(20 + (turn % 100), `${turn},`);
}

/** A content of many pages. */
export function bulkOf(turn: number): Buffer {
  return Buffer.alloc(300_000 + ((turn * 7919) % 60_000), `${turn}:`);
}

/** What a turn replaces with: of ten turns eight middling ones, a small and a large one. */
export function mixedOf(turn: number): Buffer {
  if (turn % 10 === 3) return tinyOf(turn);
  return turn % 10 === 6 ? bulkOf(turn) : contentOf(turn);
}

interface Turns {
  begun: number;
  done: number;
}

function turnsIn(marks: readonly string[]): Map<string, Turns> {
  const all = new Map<string, Turns>();
  for (const mark of marks) {
    const [how, name, what, turn] = mark.split(' ');
    if (turn === undefined) continue;
    const key = `${how} ${name}`;
    const turns = all.get(key) ?? { begun: -1, done: -1 };
    turns.begun = Math.max(turns.begun, Number(turn));
    if (what === 'done') turns.done = Number(turn);
    all.set(key, turns);
  }
  return all;
}

/** What is wrong with the files below a path, given the marks; undefined if nothing is. */
export function faultIn(path: string, marks: readonly string[]): string | undefined {
  for (const [key, turns] of turnsIn(marks)) {
    const [how, name] = key.split(' ') as [How, string];
    const fault = checks[how](contentAt(join(path, name)), turns);
    if (fault !== undefined) {
      return `${how} ${name}, done ${turns.done}, begun ${turns.begun}: ${fault}`;
    }
  }
  return undefined;
}

function contentAt(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

type Check = (content: Buffer | undefined, turns: Turns) => string | undefined;

const checks: Readonly<Record<How, Check>> = {
  replace(content, { begun, done }) {
    if (content === undefined) return done >= 0 ? 'there is no such file' : undefined;
    const turn = turnIn(content);
    if (typeof turn === 'string') return turn;
    return turn < done || turn > begun ? `turn ${turn} is left` : undefined;
  },
  append(content, { done }) {
    if (done < 0) return undefined;
    const expected = Buffer.concat(Array.from({ length: done + 1 }, (_, turn) => recordOf(turn)));
    if (content === undefined) return 'there is no such file';
    if (content.length < expected.length) return `${content.length} of ${expected.length} bytes`;
    return content.compare(expected, 0, expected.length, 0, expected.length) === 0
      ? undefined
      : 'other bytes';
  },
  write(content, { begun, done }) {
    if (done < 0 || begun > done) return undefined;
    if (content === undefined) return 'there is no such file';
    return content.equals(contentOf(done)) ? undefined : `other bytes, ${content.length} of them`;
  },
};

function turnIn(content: Buffer): number | string {
  const turn = Number.parseInt(content.toString('latin1', 0, 16), 10);
  const contents = Number.isNaN(turn) ? [] : [contentOf(turn), mixedOf(turn)];
  if (contents.some((one) => one.equals(content))) return turn;
  return `torn: ${content.length} bytes that begin with turn ${turn}`;
}

/** Mounts a state and looks; answers what is wrong. So is what cannot be mounted or read. */
export async function faultOf(state: State): Promise<string | undefined> {
  let mounted: Awaited<ReturnType<State['mount']>> | undefined;
  try {
    mounted = await state.mount();
    const fault = faultIn(mounted.path, state.marks);
    return fault === undefined ? undefined : `${state.name}: ${fault}`;
  } catch (error) {
    return `${state.name}: ${(error as Error).message}`;
  } finally {
    await mounted?.unmount();
  }
}

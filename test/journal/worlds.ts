/** Where journals are tried: every engine, and a simulated disk. */
import { deepEqual } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type Buffers,
  type Engine,
  Journal,
  type JournalOptions,
  type JournalRecord,
} from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { engineNamed } from '#holdfast/engine.js';
import { scratch } from '../support/scratch.js';

export type WorldName = 'ring' | 'pool' | 'portable' | 'simulated';

export const worldNames: readonly WorldName[] = ['ring', 'pool', 'portable', 'simulated'];

/** An engine, and a directory that is not there yet. */
export interface World {
  readonly name: WorldName;
  readonly engine: Engine;
  readonly directory: string;
  /** Opens the journal; it is closed when the test ends. */
  open(options?: JournalOptions): Promise<Journal>;
  read(name: string): Uint8Array;
  put(name: string, bytes: Uint8Array): void;
}

export const segmentBytes = 65536;

function realWorld(t: TestContext, name: Exclude<WorldName, 'simulated'>): World | undefined {
  try {
    const engine = engineNamed(name);
    const directory = join(scratch(t), 'journal');
    return {
      name,
      engine,
      directory,
      open: opener(t, engine, directory),
      read: (file) => readFileSync(join(directory, file)),
      put: (file, bytes) => writeFileSync(join(directory, file), bytes),
    };
  } catch (error) {
    const { message } = error as Error;
    t.diagnostic(`NOT TESTED on ${name}: ${message}`);
    t.skip(message);
    return undefined;
  }
}

function simulatedWorld(t: TestContext): World {
  const disk = simulatedDisk(11);
  const directory = '/journal';
  return {
    name: 'simulated',
    engine: disk.engine,
    directory,
    open: opener(t, disk.engine, directory),
    read: (file) => disk.read(`${directory}/${file}`) as Uint8Array,
    put: (file, bytes) => disk.put(`${directory}/${file}`, bytes),
  };
}

function opener(t: TestContext, engine: Engine, directory: string): World['open'] {
  return async (options = {}) => {
    const journal = await Journal.open(directory, { segmentBytes, ...options, engine });
    t.after(() => journal.close().catch(() => undefined));
    return journal;
  };
}

/** One test in every world; where an engine is missing it is skipped aloud. */
export function everywhere(
  name: string,
  body: (t: TestContext, world: World) => unknown,
  worlds: readonly WorldName[] = worldNames,
): void {
  for (const worldName of worlds) {
    test(`${name} (${worldName})`, { timeout: 60_000 }, async (t) => {
      const world = worldName === 'simulated' ? simulatedWorld(t) : realWorld(t, worldName);
      if (world !== undefined) await body(t, world);
    });
  }
}

export async function all(
  records: AsyncIterable<JournalRecord>,
  count = Number.POSITIVE_INFINITY,
): Promise<JournalRecord[]> {
  const found: JournalRecord[] = [];
  for await (const record of records) {
    found.push(record);
    if (found.length >= count) break;
  }
  return found;
}

export function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString('latin1');
}

/** The records as text, in the order they are given. */
export async function texts(records: AsyncIterable<JournalRecord>): Promise<string[]> {
  return (await all(records)).map(({ data }) => textOf(data));
}

/** Fails unless the journal holds these records, forward and in reverse. */
export async function holds(journal: Journal, expected: readonly string[]): Promise<void> {
  deepEqual(await texts(journal.read()), expected);
  deepEqual(await texts(journal.read({ reverse: true })), [...expected].reverse());
}

export function bytesOf(text: string): Buffers {
  return Buffer.from(text, 'latin1');
}

/** Texts of many lengths, told apart by their beginning. */
export function manyTexts(count: number, length = (index: number): number => index % 40): string[] {
  return Array.from({ length: count }, (_, index) => `${index}:${'x'.repeat(length(index))}`);
}

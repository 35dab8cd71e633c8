/** Queues over every engine, and what their tests look at from beside them. */
import { deepEqual, equal } from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type Completion,
  CompletionQueue,
  type Engine,
  type OpenFile,
  openFile,
  type QueuedOpenOptions,
  type QueueOptions,
} from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { engineFor, engineNames } from '../file/doors.js';
import { scratch } from '../support/scratch.js';

const worldNames = [...engineNames, 'simulated'] as const;
export type WorldName = (typeof worldNames)[number];

/** A folder in the world of an engine, and queues over that engine. */
export class World {
  readonly t: TestContext;
  readonly name: WorldName;
  readonly engine: Engine;
  readonly directory: string;
  readonly content: (name: string) => Uint8Array;
  readonly put: (name: string, bytes: Uint8Array) => void;
  readonly names: () => string[];

  constructor(t: TestContext, name: WorldName, engine: Engine, directory = scratch(t)) {
    this.t = t;
    this.name = name;
    this.engine = engine;
    this.directory = directory;
    this.content = (file) => readFileSync(this.path(file));
    this.put = (file, bytes) => writeFileSync(this.path(file), bytes);
    this.names = () => readdirSync(this.directory).sort();
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** A queue that is closed, with whatever it still has under way, when the test ends. */
  queue(options: QueueOptions = {}): CompletionQueue {
    const queue = new CompletionQueue({ engine: this.engine, ...options });
    this.t.after(() => void queue.close({ cancel: true }));
    return queue;
  }

  async open(
    name: string,
    choices: QueuedOpenOptions = {},
    engine = this.engine,
  ): Promise<OpenFile> {
    const options = { access: 'read-write', create: true, ...choices, engine } as const;
    const file = await openFile(this.path(name), options);
    this.t.after(() => void file.close().catch(() => undefined));
    return file;
  }
}

function simulatedWorld(t: TestContext): World {
  const disk = simulatedDisk(1);
  const world = new World(t, 'simulated', disk.engine, '/place');
  disk.makeDirectory(world.directory);
  return Object.assign(world, {
    content: (file: string) => disk.read(world.path(file)) as Uint8Array,
    put: (file: string, bytes: Uint8Array) => disk.put(world.path(file), bytes),
    names: () => [...(disk.list(world.directory) ?? [])].sort(),
  });
}

function worldFor(t: TestContext, name: WorldName): World | undefined {
  if (name === 'simulated') return simulatedWorld(t);
  const engine = engineFor(t, name);
  return engine === undefined ? undefined : new World(t, name, engine);
}

/** One test for each engine. */
export function inWorlds(
  names: readonly WorldName[],
  criterion: string,
  body: (world: World) => unknown,
): void {
  for (const name of names) {
    test(`${criterion} (${name})`, { timeout: 60_000 }, async (t) => {
      const world = worldFor(t, name);
      if (world !== undefined) await body(world);
    });
  }
}

export function inEveryWorld(criterion: string, body: (world: World) => unknown): void {
  inWorlds(worldNames, criterion, body);
}

/** What a completion says, in one line. */
export function said({ tag, status, bytes, error }: Completion): string {
  const failed = error === undefined ? '' : ` ${error.code}`;
  return `${tag}: ${status}${failed}, ${bytes}`;
}

/** Everything outstanding, by tag. */
export async function all(queue: CompletionQueue): Promise<string[]> {
  const completions = await queue.wait({ atLeast: queue.outstanding });
  equal(queue.outstanding, 0);
  return completions.map(said).sort();
}

/** The one completion that is outstanding. */
export async function only(queue: CompletionQueue): Promise<Completion> {
  equal(queue.outstanding, 1);
  const completions = await queue.wait();
  equal(completions.length, 1);
  return completions[0] as Completion;
}

/** Everything that was accepted has completed, and its memory can be used again. */
export async function isFree(queue: CompletionQueue, views: readonly Uint8Array[], file: OpenFile) {
  equal(queue.outstanding, 0);
  for (const [index, view] of views.entries()) {
    queue.read(file, view, 0, index);
    await queue.wait();
  }
  const { accepted, completed } = queue.stats();
  deepEqual(accepted, completed);
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

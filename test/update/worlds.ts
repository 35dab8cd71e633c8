/** Both faces of the updates, in one shape. */
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type Engine,
  type UpdateOptions,
  updateFile,
  updateFileSync,
  updateJson,
  updateJsonSync,
} from 'holdfast';
import { realEngine } from '../lock/worlds.js';
import { scratch } from '../support/scratch.js';

/** What a callback of updateJson is given. */
export type Change<T> = (old: T | undefined) => unknown;

/** One face of the calls, and a folder. */
export interface World {
  readonly engine: Engine;
  readonly directory: string;
  readonly path: string;
  file(change: unknown, options?: UpdateOptions): Promise<unknown>;
  json(change: unknown, options?: UpdateOptions): Promise<unknown>;
}

export function worldOf(engine: Engine, directory: string, face: 'async' | 'sync'): World {
  const path = join(directory, 'state.json');
  const isSync = face === 'sync';
  return {
    engine,
    directory,
    path,
    file: async (change, options = {}) => {
      const call = isSync ? updateFileSync : updateFile;
      return call(path, change as () => string, { engine, ...options });
    },
    json: async (change, options = {}) => {
      const call = isSync ? updateJsonSync : updateJson;
      return call(path, change as () => unknown, { engine, ...options });
    },
  };
}

export function onBothFaces(name: string, body: (t: TestContext, world: World) => unknown): void {
  const lanes = [
    ['ring', 'async'],
    ['pool', 'async'],
    ['pool', 'sync'],
  ] as const;
  for (const [word, face] of lanes) {
    test(`${name}, ${face} (${word})`, { timeout: 60_000 }, async (t) => {
      const engine = realEngine(t, word);
      if (engine !== undefined) await body(t, worldOf(engine, scratch(t), face));
    });
  }
}

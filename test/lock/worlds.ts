/** Where locks are tried: engines that have them, both faces, and other processes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Engine, type Lock, type LockOptions, type OpenFile, openFile } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { engineNamed } from '#holdfast/engine.js';
import { Child } from '../support/child.js';
import { scratch } from '../support/scratch.js';

/** An engine, and a file on it. */
export interface World {
  readonly engine: Engine;
  readonly path: string;
  /** Opens the file; it is closed when the test ends. */
  open(access?: 'read' | 'write' | 'read-write' | 'append'): Promise<OpenFile>;
}

type Body = (t: TestContext, world: World) => unknown;

function worldOn(t: TestContext, engine: Engine, path: string): World {
  const open: World['open'] = async (access = 'read-write') => {
    const file = await openFile(path, { access, engine });
    t.after(() => file.close().catch(() => undefined));
    return file;
  };
  return { engine, path, open };
}

/** The engines with real locks. */
export const lockingWords: readonly ('ring' | 'pool')[] = ['ring', 'pool'];

/** An engine with real locks, or a skip that is heard. */
export function realEngine(t: TestContext, word: 'ring' | 'pool' = 'pool'): Engine | undefined {
  try {
    return engineNamed(word);
  } catch (error) {
    const { message } = error as Error;
    t.diagnostic(`NOT TESTED: ${message}`);
    t.skip(message);
    return undefined;
  }
}

/** One test on a real file by each engine that has locks. */
export function onRealFile(name: string, body: Body): void {
  for (const word of lockingWords) {
    test(`${name} (${word})`, { timeout: 60_000 }, async (t) => {
      const engine = realEngine(t, word);
      if (engine === undefined) return;
      const path = join(scratch(t), 'file');
      writeFileSync(path, 'content');
      await body(t, worldOn(t, engine, path));
    });
  }
}

/** As `onRealFile`, and one test on a simulated disk. */
export function onEveryLock(name: string, body: Body): void {
  onRealFile(name, body);
  test(`${name} (simulated)`, { timeout: 60_000 }, async (t) => {
    const disk = simulatedDisk(7);
    disk.put('/file', 'content');
    await body(t, worldOn(t, disk.engine, '/file'));
  });
}

/** Takes a lock by either face. */
export async function lockBy(
  face: 'async' | 'sync',
  file: OpenFile,
  options?: LockOptions,
): Promise<Lock> {
  return face === 'sync' ? file.lockSync(options) : file.lock(options);
}

/** Lets everything happen that needs no time. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Another process that holds a lock of a file and says so. */
export async function holder(
  t: TestContext,
  path: string,
  options: LockOptions = {},
): Promise<Child> {
  const child = new Child({
    source: `
      import { openFile } from 'holdfast';
      const file = await openFile(process.argv[1], { access: 'read-write' });
      const lock = await file.lock(JSON.parse(process.argv[2]));
      process.stdout.write('held');
      process.stdin.on('data', () => undefined);
      setTimeout(() => undefined, 30_000);
    `,
    args: [path, JSON.stringify(options)],
  });
  t.after(() => child.kill());
  await child.waitFor('held');
  return child;
}

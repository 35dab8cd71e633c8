/** Kills a process that replaces the image, again and again, and looks at what is left. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compare, type Item, Mismatch, readImage } from './image.js';
import { atEnd } from './scratch.js';

const REPLACER = fileURLToPath(new URL('replacer.js', import.meta.url));
/* Where one replace is shorter than this, the kill comes somewhere in many of them. */
const WINDOW_MS_MIN = 20;
const TEMPORARY = /^\.holdfast-.*\.tmp$/;

/** Where the kill met the replacer, as far as what it left tells. */
export type Moment = 'writing' | 'syncing' | 'between';

export interface Killed {
  readonly moment: Moment;
  /** The generation found, and the last one that had been acknowledged. */
  readonly found: number;
  readonly acknowledged: number;
}

export interface Plan {
  readonly path: string;
  readonly originals: readonly Item[];
  readonly imageBytes: number;
  /** How long one replace takes: the kill comes somewhere in two of them. */
  readonly replaceMs: number;
}

interface Replacer {
  readonly ready: Promise<void>;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  acknowledged: number;
  readonly child: ChildProcess;
}

function startReplacer(path: string, generation: number): Replacer {
  const child = spawn(process.execPath, [REPLACER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const forget = atEnd(() => child.kill('SIGKILL'));
  let tellReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    tellReady = resolve;
  });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on('close', (code, signal) => {
      forget();
      resolve(signal ?? code);
    });
  });
  const replacer = { child, ready, ended, acknowledged: generation };
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    if (line === 'ready') tellReady();
    else replacer.acknowledged = Number(line);
  });
  return replacer;
}

/* Removes what the dead left, as holdfast does once it is an hour old; tells how far it was. */
function remainsOf(path: string, imageBytes: number): Moment {
  const directory = dirname(path);
  const names = readdirSync(directory).filter((name) => TEMPORARY.test(name));
  if (names.length > 1) throw new Mismatch(`one writer left ${names.length} temporary files`);
  const [name] = names;
  if (name === undefined) return 'between';
  const { size } = statSync(join(directory, name));
  rmSync(join(directory, name));
  return size < imageBytes ? 'writing' : 'syncing';
}

/** Starts a replacer, kills it at a random moment, verifies the image. Throws `Mismatch`. */
export async function killOnce(plan: Plan, generation: number): Promise<Killed> {
  const { path, originals, imageBytes, replaceMs } = plan;
  const replacer = startReplacer(path, generation);
  await Promise.race([replacer.ready, replacer.ended]);
  const windowMs = Math.max(2 * replaceMs, WINDOW_MS_MIN);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * windowMs));
  replacer.child.kill('SIGKILL');
  const ending = await replacer.ended;
  if (ending !== 'SIGKILL') throw new Mismatch(`the replacer ended by itself (${ending})`);

  const moment = remainsOf(path, imageBytes);
  const image = await readImage(path);
  compare(image, originals);
  const { acknowledged } = replacer;
  const found = image.generation;
  if (found !== acknowledged && found !== acknowledged + 1) {
    throw new Mismatch(`generation ${acknowledged} was acknowledged, ${found} was found`);
  }
  return { moment, found, acknowledged };
}

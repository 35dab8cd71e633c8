/**
 * What holdfast is for, shown on real files:
 *
 *   npm run demo                     the TypeScript compiler that is installed here
 *   npm run demo -- <directory>      every regular file of a directory of yours
 *   npm run demo -- --corrupt        flips one bit of the image first: the demo must notice
 *   npm run demo -- --kills 200      more kills than 50
 *
 * Reads the files, writes all of them as one image with one gather call behind one durable replace,
 * opens it again and verifies every file by SHA-256, does the same job with node:fs, then kills a
 * process that replaces the image, and looks after each kill whether the image is whole. The layout
 * of the image stands in image.ts; it is the demo's own.
 */
import { readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  defaultEngine,
  type Engine,
  IoError,
  openFile,
  type ReplaceReport,
  replaceFile,
} from 'holdfast';
import { compare, Mismatch, readImage, viewsOf } from './image.js';
import { type Killed, killOnce, type Moment } from './kills.js';
import { race } from './peers.js';
import { fileSystemOf, makeScratch } from './scratch.js';
import {
  counted,
  heading,
  labelled,
  megabytes,
  milliseconds,
  Progress,
  say,
  speed,
  table,
} from './screen.js';
import { readSource, type Source, Unusable } from './source.js';

interface Wish {
  readonly directory: string;
  readonly kills: number;
  readonly corrupt: boolean;
}

const USAGE = 'npm run demo -- [directory] [--kills <count>] [--corrupt]';

function wishOf(args: readonly string[]): Wish {
  const options = {
    kills: { type: 'string', default: '50' },
    corrupt: { type: 'boolean', default: false },
  } as const;
  try {
    const given = parseArgs({ args: [...args], options, allowPositionals: true });
    const kills = Number(given.values.kills);
    if (!Number.isInteger(kills) || kills < 0) throw new Error('--kills takes a whole number');
    if (given.positionals.length > 1) throw new Error('one directory at a time');
    return { directory: directoryOf(given.positionals[0]), kills, corrupt: given.values.corrupt };
  } catch (error) {
    throw new Unusable(`${(error as Error).message}\n${USAGE}`);
  }
}

/* npm runs scripts in the project's folder and tells in INIT_CWD where the person was. */
function directoryOf(given: string | undefined): string {
  if (given !== undefined) return resolve(process.env.INIT_CWD ?? '.', given);
  return dirname(fileURLToPath(import.meta.resolve('typescript')));
}

function shownPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near !== '' && !near.startsWith('..') ? near : path;
}

/* The first to ask: HOLDFAST_ENGINE may name one that is not here. */
function engineHere(): Engine {
  try {
    return defaultEngine();
  } catch (error) {
    throw new Unusable((error as Error).message);
  }
}

function showMachine({ directory }: Wish, scratch: string): void {
  const { name, reason, threads, capabilities } = engineHere();
  const own = threads > 0 ? `, ${counted(threads, 'thread')} of its own` : '';
  say('holdfast: an acknowledged write is still there after a crash');
  say();
  labelled('files', shownPath(directory));
  labelled('scratch', `${shownPath(scratch)} on ${fileSystemOf(scratch)}; removed at the end`);
  labelled('node', `${process.version}, ${process.platform}-${process.arch}`);
  labelled('engine', `${name}${own}, because ${reason}`);
  const missing = Object.entries(capabilities).filter(([, reason]) => reason !== true);
  const list = missing.map(([what]) => what).join(', ');
  labelled('without', list || 'nothing: every capability is there');
}

async function readAll({ directory }: Wish): Promise<Source> {
  heading('Read every file');
  const progress = new Progress('read');
  const start = performance.now();
  const source = await readSource(directory, (done, of) => progress.show(done, of));
  const ms = performance.now() - start;
  progress.end();
  const { items, byteLength, leftOut } = source;
  const other = leftOut === 0 ? '' : `; ${leftOut} left out (links, devices and the like)`;
  say(
    `   ${counted(items.length, 'file')}, ${megabytes(byteLength)}, in ${milliseconds(ms)}${other}`,
  );
  return source;
}

/* In the order of a replace. */
const PURPOSES: Readonly<Record<string, string>> = {
  open: 'the directory, the temporary file',
  stat: 'what stands there now',
  listxattr: 'attributes to keep',
  pwrite: 'the content',
  pwritev: 'the content, gathered',
  fchown: 'the owner of the old file',
  fchmod: 'the mode',
  fsync: 'the file; after the rename, its directory',
  close: 'both again',
  rename: 'the new image takes the name',
  scandir: 'leftovers of killed processes; once a directory',
};
const ORDER: readonly string[] = Object.keys(PURPOSES);

const PROMISES: Readonly<Record<ReplaceReport['durability'], string>> = {
  full: 'a power cut from now on leaves this image',
  file: 'a power cut may still leave the old name',
  none: 'a power cut may leave anything',
};

async function writeImage(path: string, { items }: Source): Promise<ReplaceReport> {
  heading('Write them all: one gather call behind one durable replace');
  const views = viewsOf(items, 1);
  const before = defaultEngine().stats().systemCalls;
  const start = performance.now();
  const report = await replaceFile(path, views);
  const ms = performance.now() - start;

  const after = defaultEngine().stats().systemCalls;
  const rows = Object.entries(after)
    .map(([name, count]) => ({ name, count: count - (before[name] ?? 0) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name))
    .map(({ name, count }) => [name, String(count), PURPOSES[name] ?? '']);
  const rate = speed(report.bytes, ms);
  const { length } = views;
  say(`   ${length} views, ${megabytes(report.bytes)}, in ${milliseconds(ms)}: ${rate} MB/s`);
  say(`   durability ${report.durability}: ${PROMISES[report.durability]}`);
  for (const { what, reason } of report.fallbacks) say(`   fell back: ${what}: ${reason}`);
  table(['system call', ' times', 'for'], rows);
  return report;
}

async function verify(path: string, { items }: Source): Promise<void> {
  heading('Open it again and verify');
  const start = performance.now();
  const image = await readImage(path);
  compare(image, items);
  const ms = performance.now() - start;
  const { systemCalls } = image.stats;
  const calls = Object.entries(systemCalls).map(([name, count]) => `${count} ${name}`);
  say(`   ${items.length} of ${counted(items.length, 'file')} have their SHA-256`);
  say(`   ${milliseconds(ms)} with the hashing; calls: ${calls.join(', ')}`);
}

async function showRace(scratch: string, { items, byteLength }: Source): Promise<number> {
  heading('The same job beside node:fs');
  const progress = new Progress('run');
  const onProgress = (done: number, of: number): void => progress.show(done, of);
  const ways = await race({ directory: scratch, items, rounds: 3, onProgress });
  progress.end();
  table(
    ['way', ' calls', ' time', ' MB/s', 'atomic', 'durable'],
    ways.map(({ name, calls, ms, atomic, durable }) => {
      return [name, calls, milliseconds(ms), speed(byteLength, ms), atomic, durable];
    }),
  );
  say();
  say('   Median of 3 runs, in turns. atomic: a crash leaves the old or the new, whole.');
  say('   durable: there after a power cut; "data only": the file, but perhaps not its');
  say('   name. ~ reckoned from what it does on Node 20: node:fs does not count.');
  return ways[0]?.ms ?? 0;
}

const MOMENTS: Readonly<Record<Moment, string>> = {
  writing: 'while it wrote the new image',
  syncing: 'while it synced the new image, before the rename',
  between: 'after a rename, before the next image',
};

interface Siege {
  readonly path: string;
  readonly source: Source;
  readonly imageBytes: number;
  readonly replaceMs: number;
  readonly kills: number;
}

async function showKills({ path, source, imageBytes, replaceMs, kills }: Siege): Promise<void> {
  heading(`kill -9: a process that replaces the image, killed ${counted(kills, 'time')}`);
  const plan = { path, originals: source.items, imageBytes, replaceMs };
  const progress = new Progress('kill');
  const all: Killed[] = [];
  let generation = 1;
  for (let done = 1; done <= kills; done++) {
    const killed = await killOnce(plan, generation);
    generation = killed.found;
    all.push(killed);
    progress.show(done, kills, `, generation ${generation}: whole, every SHA-256 right`);
  }
  progress.end();
  const moments = Object.entries(MOMENTS).map(([moment, words]) => {
    return [words, String(all.filter((killed) => killed.moment === moment).length)];
  });
  table(['the kill came', ' times'], moments);
  const ahead = all.filter(({ found, acknowledged }) => found > acknowledged).length;
  say();
  say(`   ${kills} of ${kills} images whole, and no acknowledged generation lost.`);
  if (ahead > 0)
    say(`   ${counted(ahead, 'time')} the next stood already, whole, before it was told.`);
}

async function corrupt(path: string): Promise<void> {
  await using file = await openFile(path, { access: 'read-write' });
  const { size } = await file.stat();
  const place = Math.floor(Math.random() * size);
  const byte = new Uint8Array(1);
  await file.readAt(byte, place);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await file.writeAt(byte, place);
  say();
  say(`   --corrupt: one bit of byte ${place} flipped behind the demo's back`);
}

async function demo(wish: Wish): Promise<void> {
  const start = performance.now();
  const scratch = makeScratch();
  const path = join(scratch, 'image');
  showMachine(wish, scratch);
  const source = await readAll(wish);
  const { bytes } = await writeImage(path, source);
  if (wish.corrupt) await corrupt(path);
  await verify(path, source);
  const replaceMs = await showRace(scratch, source);
  const { kills } = wish;
  await showKills({ path, source, imageBytes: bytes, replaceMs, kills });

  const left = readdirSync(scratch).filter((name) => name.endsWith('.tmp'));
  if (left.length > 0) throw new Mismatch(`temporary files are left: ${left.join(', ')}`);
  say();
  say(`All of it held, in ${((performance.now() - start) / 1000).toFixed(1)} s.`);
}

/* Exit code 1 for what a person can mend and for a mismatch; a stack only for our mistakes. */
function tell(error: unknown): void {
  process.exitCode = 1;
  if (error instanceof Mismatch) say(`\nMISMATCH: ${error.message}`);
  else if (error instanceof Unusable || error instanceof IoError) say(`\n${error.message}`);
  else console.error(error);
}

try {
  await demo(wishOf(process.argv.slice(2)));
} catch (error) {
  tell(error);
}

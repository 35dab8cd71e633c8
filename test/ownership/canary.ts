/**
 * Reads into memory of every kind, many at once, most of it dropped while they are under way, under
 * GC pressure, with workers ended in the middle. Prints what was changed that nobody asked for.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type MemoryMode, openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { patterned } from '../file/bytes.js';
import { GUARD_BYTES, isUntouched, kinds } from './kinds.js';

const [directory = '', engineName = 'pool', total = '0'] = process.argv.slice(2);
const FILE_BYTES = 1 << 20;
const SHARED_BYTES = 65536;
const LANES = 32;
const STRANGER = 0x11;

const path = join(directory, 'file');
const content = patterned(FILE_BYTES);
writeFileSync(path, content);
const engine = engineNamed(engineName);
/* What went wrong, how often, and the first time it did. */
const wrong: Record<string, { count: number; first: string }> = {};
let reads = 0;
let workers = 0;

const modes: readonly MemoryMode[] = ['reference', 'mark', 'copy'];
/* Whatever is freed too early is given to one of these. */
let strangers: Uint8Array[] = [];

function check(isRight: boolean, what: string, first = ''): void {
  if (isRight) return;
  wrong[what] ??= { count: 0, first };
  wrong[what].count++;
}

function renewStrangers(): void {
  for (const stranger of strangers) {
    check(
      stranger.every((byte) => byte === STRANGER),
      'a stranger was written to',
    );
  }
  strangers = Array.from({ length: 200 }, (_, index) => {
    return new Uint8Array(128 + ((index * 331) % 16_384)).fill(STRANGER);
  });
}

const file = await openFile(path, { access: 'read-write', engine });
await file.sync();

/* The number of a read says all about it: kind, mode, length, place, how it is cut. */
async function readOne(number: number): Promise<void> {
  const length = 1 + ((number * 7919) % 12_000);
  const offset = (number * 104_729) % (FILE_BYTES - length);
  const spot = (kinds[number % kinds.length] as (typeof kinds)[number])(length);
  const memory = modes[Math.floor(number / kinds.length) % modes.length] as MemoryMode;
  const isMany = number % 5 === 0 && spot.view.length > 2;
  const cut = spot.view.length >> 1;
  const views = isMany ? [spot.view.subarray(0, cut), spot.view.subarray(cut)] : spot.view;
  const read = file.readAt(views, offset, { memory });
  if (number % 7 === 0) {
    /* Nobody holds the memory but the call. */
    await read;
    reads++;
    return;
  }
  const bytes = await read;
  reads++;
  const expected = content.subarray(offset, offset + spot.view.length);
  const what = `${spot.kind}, ${memory}, ${spot.view.length} bytes at ${offset}`;
  check(bytes === spot.view.length, 'a read was short', what);
  check(Buffer.compare(spot.view, expected) === 0, 'a read gave other bytes', what);
  check(isUntouched(spot), 'a guard was written to', what);
}

/* A worker is ended in the middle of its reads: when it is gone, nothing is written any more. */
async function endWorker(): Promise<void> {
  const shared = new SharedArrayBuffer(SHARED_BYTES + 2 * GUARD_BYTES);
  const all = new Uint8Array(shared).fill(0xc7);
  const guards = [all.subarray(0, GUARD_BYTES), all.subarray(GUARD_BYTES + SHARED_BYTES)];
  const workerData = { path, engineName, shared, from: GUARD_BYTES, bytes: SHARED_BYTES };
  const worker = new Worker(new URL('./lane.js', import.meta.url), { workerData });
  await once(worker, 'message');
  await sleep(10);
  await worker.terminate();
  const before = all.slice();
  await sleep(30);
  check(Buffer.compare(before, all) === 0, 'a worker that is gone still reads');
  check(isUntouched({ guards }), 'a guard was written to by a worker');
  workers++;
}

async function lane(first: number): Promise<void> {
  for (let number = first; number < Number(total); number += LANES) {
    /* What the page cache has is read at once, and under way for no time. */
    if (number % 8 === 0) await file.advise('dontneed');
    await readOne(number);
    if (number % 97 === 0) renewStrangers();
    if (number % 193 === 0) globalThis.gc?.();
  }
}

async function ending(): Promise<void> {
  for (let count = 0; count < 6; count++) await endWorker();
}

await Promise.all([ending(), ...Array.from({ length: LANES }, (_, first) => lane(first))]);
globalThis.gc?.();
renewStrangers();
await file.close();
console.log(JSON.stringify({ reads, wrong, workers }));

/**
 * Streams by chance: splits, high-water marks, short calls, ranges, refusals and aborts, on every
 * engine. What arrives is always a front of what was to arrive, and all of it where nothing failed.
 */
import { equal, ok } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AbortError, IoError } from 'holdfast';
import { Code, errnoOf, type Operation } from '#holdfast/platform.js';
import { patterned, seedOf } from './file/bytes.js';
import { type Doors, onBothEngines } from './file/doors.js';
import { isTransfer, type Verdict } from './file/faults.js';
import { bytesOf, chanceBy, closed, writeAll } from './stream/streams.js';
import { scratch } from './support/scratch.js';

const ROUNDS = 40;
const LENGTH_MAX = 400_000;
/* Bytes for each that may wait: a stream that may hold one is not given many. */
const TURNS_MAX = 500;

type Chance = (below: number) => number;

const sizes = [1, 2, 100, 4095, 4096, 65_535, 65_536, 65_537, 200_000, 1_000_000];

function sizeBy(chance: Chance): number {
  return chance(2) === 0 ? (sizes[chance(sizes.length)] as number) : 1 + chance(300_000);
}

function lengthBy(chance: Chance, highWaterMark: number): number {
  return chance(Math.min(LENGTH_MAX, TURNS_MAX * highWaterMark));
}

/** Cuts bytes by chance: into very many small views at times, never into an endless list. */
function cutBy(chance: Chance, bytes: Uint8Array): Uint8Array[] {
  const most = 1 + chance(chance(3) === 0 ? 50_000 : 2000);
  const views: Uint8Array[] = [];
  for (let done = 0; done < bytes.length; ) {
    const length = chance(10) === 0 ? 0 : 1 + chance(Math.max(most, bytes.length >> 10));
    views.push(bytes.subarray(done, done + length));
    done += length;
  }
  return views;
}

/** Short calls at times; one refusal at most. */
function judge(chance: Chance, refusal: { code: number; errno: string } | undefined) {
  const isShort = chance(2) === 0;
  let left = refusal === undefined ? -1 : 1 + chance(6);
  return (operation: Operation): Verdict => {
    if (operation.code === refusal?.code && --left === 0) {
      return { answers: errnoOf(refusal.errno) };
    }
    if (!isShort || !isTransfer(operation) || chance(3) > 0) return undefined;
    return { moves: 1 + chance(operation.length) };
  };
}

async function copyBy(doors: Doors, chance: Chance, directory: string, told: string) {
  const marks = [sizeBy(chance), sizeBy(chance)] as const;
  const bytes = patterned(lengthBy(chance, Math.min(...marks)), chance(1000));
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, bytes);
  writeFileSync(target, '');
  const refusal = [
    undefined,
    undefined,
    { code: Code.Write, errno: 'ENOSPC' },
    { code: Code.Read, errno: 'EIO' },
    { code: Code.SyncData, errno: 'EIO' },
  ][chance(5)];
  const judged = doors.judged(judge(chance, refusal));
  const start = chance(2) === 0 ? undefined : chance(bytes.length + 10);
  const end = chance(2) === 0 ? undefined : (start ?? 0) + chance(bytes.length + 10);
  const aborter = new AbortController();
  const isAborted = chance(4) === 0;
  const { signal } = aborter;
  const from = await judged.open(source);
  const to = await judged.open(target, { access: chance(3) === 0 ? 'append' : 'write' });
  const reading = from.createReadStream({ start, end, signal, highWaterMark: marks[0] });
  const writing = to.createWriteStream({ sync: 'data', signal, highWaterMark: marks[1] });
  if (isAborted) setTimeout(() => aborter.abort(), chance(4));
  const error = await pipeline(reading, writing).catch((caught) => caught);
  await Promise.all([from.close(), to.close()].map((closing) => closing.catch(() => undefined)));
  const wanted = bytes.subarray(start ?? 0, (end ?? LENGTH_MAX) + 1);
  const left = readFileSync(target);
  ok(left.equals(wanted.subarray(0, left.length)), `${told}: a front of it`);
  equal(writing.bytesWritten, left.length, `${told}: what is told is there`);
  if (error === undefined) {
    equal(left.length, wanted.length, `${told}: all of it`);
    equal(writing.synced?.primitive, 'fdatasync', told);
    return;
  }
  ok(error instanceof IoError ? error.code === refusal?.errno : isAborted, `${told}: ${error}`);
  ok(error instanceof IoError || error instanceof AbortError, `${told}: ${error}`);
  /* An abort may come too late. */
  const isWhole = left.length === wanted.length;
  ok(writing.synced === undefined || (isAborted && isWhole), told);
}

onBothEngines('streams of any shape move what they are given', async (t, doors) => {
  const seed = seedOf(t);
  const directory = scratch(t);
  for (let round = 0; round < ROUNDS; round++) {
    await copyBy(doors, chanceBy(seed + round), directory, `seed ${seed}, round ${round}`);
  }
});

onBothEngines('views of any length are written in order', async (t, doors) => {
  const seed = seedOf(t);
  const directory = scratch(t);
  for (let round = 0; round < ROUNDS / 2; round++) {
    const chance = chanceBy(seed + round);
    const told = `seed ${seed}, round ${round}`;
    const highWaterMark = sizeBy(chance);
    const bytes = patterned(lengthBy(chance, highWaterMark));
    /* A short direct call moves whole blocks: not by chance. */
    const direct = chance(4) === 0;
    const judged = direct ? doors : doors.judged(judge(chance, undefined));
    const file = await judged.create(join(directory, `file-${round}`), { direct });
    const stream = file.createWriteStream({ highWaterMark });
    const errors = closed(stream);
    await writeAll(stream, cutBy(chance, bytes));
    equal((await errors).length, 0, told);
    ok(readFileSync(file.path as string).equals(bytes), told);
    const reader = await doors.open(file.path as string, { direct });
    ok((await bytesOf(reader.createReadStream({ highWaterMark }))).equals(bytes), told);
  }
});

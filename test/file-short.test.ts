/** Short transfers: the system may move fewer bytes than asked, anywhere; all of them arrive. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OpenFile } from 'holdfast';
import { Code, type Operation } from '#holdfast/platform.js';
import { cutInto, joined, patterned, splitBy } from './file/bytes.js';
import { type Doors, onAllDoors } from './file/doors.js';
import { isTransfer, type Verdict } from './file/faults.js';
import { scratch } from './support/scratch.js';

/** Doors whose transfers move `moves()` bytes at most. */
function shortDoors(doors: Doors, moves: () => number) {
  return doors.judged((operation) => (isTransfer(operation) ? { moves: moves() } : undefined));
}

function open(doors: Doors): Promise<OpenFile> {
  return doors.create(join(scratch(doors.t), 'file'));
}

/** The first call is short by any number of bytes, the rest is whole. */
class Once {
  left = Number.POSITIVE_INFINITY;
  take = (): number => {
    const moves = this.left;
    this.left = Number.POSITIVE_INFINITY;
    return moves;
  };
}

onAllDoors(
  'writeAt() resumes after a short write at every byte of every split',
  async (_, doors) => {
    const once = new Once();
    const shorted = shortDoors(doors, once.take);
    const file = await open(shorted);
    const bytes = patterned(7);
    for (let mask = 0; mask < 64; mask++) {
      for (let moved = 1; moved < 7; moved++) {
        once.left = moved;
        equal(await shorted.writeAt(file, splitBy(mask, bytes), 0), 7);
        const written = readFileSync(file.path as string);
        ok(written.equals(bytes), `split ${mask}, short at ${moved}: ${[...written]}`);
        await doors.truncate(file, 0);
      }
    }
    equal(file.stats().shortTransfers, 64 * 6);
  },
);

onAllDoors('readAt() resumes after a short read at every byte of every split', async (_, doors) => {
  const once = new Once();
  const shorted = shortDoors(doors, once.take);
  const file = await open(shorted);
  const bytes = patterned(9);
  await doors.writeAt(file, bytes, 0);
  for (let mask = 0; mask < 64; mask++) {
    for (let moved = 1; moved < 7; moved++) {
      once.left = moved;
      const target = new Uint8Array(7);
      equal(await shorted.readAt(file, splitBy(mask, target), 2), 7);
      deepEqual(target, bytes.slice(2), `split ${mask}, short at ${moved}`);
    }
  }
});

onAllDoors('transfers of one byte at a time still move all', async (_, doors) => {
  const shorted = shortDoors(doors, () => 1);
  const file = await open(shorted);
  const bytes = patterned(300);
  const views = cutInto(bytes, [1, 2, 100, 0, 50]);
  equal(await shorted.writeAt(file, views, 0), 300);
  ok(readFileSync(file.path as string).equals(bytes));
  equal(await shorted.writeAt(file, bytes, 300), 300);
  const target = new Uint8Array(600);
  equal(await shorted.readAt(file, cutInto(target, [7, 290, 3]), 0), 600);
  ok(joined([target]).equals(joined([bytes, bytes])));
});

/* A short call inside a run of small views that were copied together resumes inside one of them. */
onAllDoors('writeAt() resumes inside views that were copied together', async (_, doors) => {
  const once = new Once();
  const shorted = shortDoors(doors, once.take);
  const file = await open(shorted);
  const lengths = [100, 511, 512, 513, 30, 2000, 1, 1, 600, 77];
  const bytes = patterned(lengths.reduce((sum, one) => sum + one, 0));
  const views = cutInto(bytes, lengths);
  const edges = [99, 100, 101, 611, 1123, 1636, 1666, 3666, 3667, 3668, 4268];
  const places = new Set([...edges, ...Array.from({ length: 110 }, (_, index) => index * 39 + 1)]);
  for (const moved of places) {
    once.left = moved;
    equal(await shorted.writeAt(file, views, 10), bytes.length);
    const written = readFileSync(file.path as string).subarray(10);
    ok(written.equals(bytes), `short at ${moved}`);
    await doors.truncate(file, 0);
  }
});

onAllDoors('a short call in any window of a long sequence is resumed', async (_, doors) => {
  let call = 0;
  let shortCall = -1;
  const judge = (operation: Operation): Verdict =>
    isTransfer(operation) && call++ === shortCall ? { moves: 1501 } : undefined;
  const judged = doors.judged(judge);
  const file = await open(judged);
  const bytes = patterned(3100 * 700);
  const views = cutInto(bytes, new Array<number>(3100).fill(700));
  for (shortCall = 0; shortCall < 4; shortCall++) {
    call = 0;
    equal(await judged.writeAt(file, views, 0), bytes.length);
    ok(readFileSync(file.path as string).equals(bytes), `write ${shortCall} was short`);
    const target = new Uint8Array(bytes.length);
    call = 0;
    const into = cutInto(target, new Array<number>(3100).fill(700));
    equal(await judged.readAt(file, into, 0), bytes.length);
    ok(joined([target]).equals(bytes), `read ${shortCall} was short`);
    await doors.truncate(file, 0);
  }
});

onAllDoors(
  'a refusal after a short write tells the bytes that reached the file',
  async (_, doors) => {
    let call = 0;
    const judge = (operation: Operation): Verdict => {
      if (operation.code !== Code.Write) return undefined;
      call++;
      return call === 1 ? { moves: 5 } : call === 2 ? { moves: 3 } : { answers: -28 };
    };
    const judged = doors.judged(judge);
    const file = await open(judged);
    const bytes = patterned(20);
    for (const [offset, buffers] of [
      [0, cutInto(bytes, [2, 9])],
      [100, bytes],
    ] as const) {
      call = 0;
      const error = await judged
        .writeAt(file, buffers, offset)
        .catch((refused: unknown) => refused);
      const { code, kind, bytesDone, syscall, path } = error as NodeJS.ErrnoException & {
        kind: string;
        bytesDone: number;
      };
      deepEqual(
        { code, kind, bytesDone, syscall, path },
        { code: 'ENOSPC', kind: 'no-space', bytesDone: 8, syscall: 'write', path: file.path },
      );
      equal((error as { offset: number }).offset, offset);
      const written = readFileSync(file.path as string).subarray(offset);
      deepEqual([...written], [...bytes.subarray(0, 8)]);
    }
  },
);

onAllDoors('a refusal after a short read tells the bytes that were read', async (_, doors) => {
  let call = 0;
  const judge = (operation: Operation): Verdict => {
    if (operation.code !== Code.Read) return undefined;
    return call++ === 0 ? { moves: 5 } : { answers: -5 };
  };
  const judged = doors.judged(judge);
  const file = await open(judged);
  await judged.writeAt(file, patterned(20), 0);
  for (const buffers of [new Uint8Array(20), [new Uint8Array(3), new Uint8Array(17)]]) {
    call = 0;
    const error = await judged.readAt(file, buffers, 0).catch((refused: unknown) => refused);
    const { code, bytesDone, syscall } = error as NodeJS.ErrnoException & { bytesDone: number };
    deepEqual({ code, bytesDone, syscall }, { code: 'EIO', bytesDone: 5, syscall: 'read' });
  }
});

/* A system that takes no byte and gives no reason would keep the loop going for ever. */
onAllDoors('writeAt() rejects when the system accepts nothing', async (_, doors) => {
  let call = 0;
  const judged = doors.judged((operation) => {
    if (operation.code !== Code.Write) return undefined;
    return call++ === 0 ? { moves: 4 } : { answers: 0 };
  });
  const file = await open(judged);
  for (const buffers of [patterned(20), [patterned(10), patterned(10)]]) {
    call = 0;
    const error = await judged.writeAt(file, buffers, 0).catch((refused: unknown) => refused);
    equal((error as { bytesDone: number }).bytesDone, 4);
    equal((error as Error).name, 'IoError');
  }
});

onAllDoors('an engine that takes two views a call still moves all', async (_, doors) => {
  const judged = doors.judged(() => undefined);
  judged.engine.viewCountMax = 2;
  const file = await open(judged);
  const bytes = patterned(9 * 1000);
  const views = cutInto(bytes, new Array<number>(9).fill(1000));
  equal(await judged.writeAt(file, views, 0), bytes.length);
  deepEqual(file.stats().systemCalls.pwritev, 5);
  ok(readFileSync(file.path as string).equals(bytes));
});

/** Bad input: refused before anything happens, with a word about what and where. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Buffers, configure, OpenFile, openFile, openFileSync } from 'holdfast';
import { cutEvery, patterned } from './file/bytes.js';
import { type Choices, type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import type { FaultyEngine } from './file/faults.js';
import { scratch } from './support/scratch.js';

const MAX = Number.MAX_SAFE_INTEGER;
const OUT_OF_RANGE: readonly unknown[] = [
  -1,
  -0.5,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  MAX + 1,
  2 ** 64,
  -1n,
  BigInt(MAX) + 1n,
  2n ** 64n,
];
const NO_NUMBERS: readonly unknown[] = ['0', '', null, undefined, {}, [], true, new Date(0)];

/** An open file of ten bytes, and a list of what reaches the system. */
async function watched(doors: Doors): Promise<{ file: OpenFile; watching: Watching }> {
  const watching = doors.judged(() => undefined);
  const file = await watching.create(join(scratch(doors.t), 'file'));
  await watching.writeAt(file, patterned(10), 0);
  return { file, watching };
}

type Watching = Doors & { readonly engine: FaultyEngine };

/** Nothing reached the system meanwhile, and the file is as it was. */
async function nothingHappens(
  { file, watching }: { file: OpenFile; watching: Watching },
  work: () => Promise<void>,
): Promise<void> {
  const before = watching.engine.asked.length;
  await work();
  deepEqual(watching.engine.asked.slice(before), []);
  deepEqual([...readFileSync(file.path as string)], [...patterned(10)]);
}

function transfers(doors: Doors, file: OpenFile) {
  return {
    readAt: (buffers: unknown, offset: unknown) =>
      doors.readAt(file, buffers as Buffers, offset as number),
    writeAt: (buffers: unknown, offset: unknown) =>
      doors.writeAt(file, buffers as Buffers, offset as number),
    readSomeAt: (buffers: unknown, offset: unknown) =>
      doors.readSomeAt(file, buffers as Buffers, offset as number),
    writeSomeAt: (buffers: unknown, offset: unknown) =>
      doors.writeSomeAt(file, buffers as Buffers, offset as number),
  };
}

onAllDoors('an offset that is none is refused', async (_, doors) => {
  const place = await watched(doors);
  const { file, watching } = place;
  await nothingHappens(place, async () => {
    for (const [name, call] of Object.entries(transfers(watching, file))) {
      for (const buffers of [new Uint8Array(3), [new Uint8Array(3), new Uint8Array(4)], []]) {
        for (const offset of OUT_OF_RANGE) {
          const expected = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE', message: /"offset"/ };
          await rejects(call(buffers, offset), expected, `${name} at ${String(offset)}`);
        }
        for (const offset of NO_NUMBERS) {
          const expected = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: /"offset"/ };
          await rejects(call(buffers, offset), expected, `${name} at ${String(offset)}`);
        }
      }
    }
  });
});

onAllDoors('a length to cut to that is none is refused', async (_, doors) => {
  const place = await watched(doors);
  const { file, watching } = place;
  await nothingHappens(place, async () => {
    for (const length of OUT_OF_RANGE) {
      await rejects(watching.truncate(file, length as number), RangeError);
    }
    for (const length of NO_NUMBERS) {
      await rejects(watching.truncate(file, length as number), TypeError);
    }
  });
});

onAllDoors('a range that ends beyond 2^53 - 1 is refused', async (_, doors) => {
  const place = await watched(doors);
  const { file, watching } = place;
  await nothingHappens(place, async () => {
    for (const call of Object.values(transfers(watching, file))) {
      for (const buffers of [new Uint8Array(3), [new Uint8Array(1), new Uint8Array(2)]]) {
        for (const offset of [MAX, MAX - 2, BigInt(MAX)]) {
          await rejects(call(buffers, offset), { name: 'RangeError', message: /"offset"/ });
        }
      }
    }
  });
});

onAllDoors('the largest offset there is goes to the system', async (_, doors) => {
  const { file } = await watched(doors);
  const error = await doors.writeAt(file, new Uint8Array(3), MAX - 3).catch((e: unknown) => e);
  const { name, code, bytesDone, offset } = error as Record<string, unknown>;
  equal(name, 'IoError');
  ok(code === 'EFBIG' || code === 'EINVAL', String(code));
  deepEqual([bytesDone, offset], [0, MAX - 3]);
  equal(await doors.readAt(file, new Uint8Array(3), 2 ** 52).catch(() => 0), 0);
});

onAllDoors('a bigint is an offset', async (_, doors) => {
  const { file } = await watched(doors);
  const target = new Uint8Array(3);
  equal(await doors.writeAt(file, Uint8Array.of(1, 2, 3), 10n), 3);
  equal(await doors.readAt(file, target, 10n), 3);
  deepEqual([...target], [1, 2, 3]);
  equal(await doors.readSomeAt(file, target, 11n), 2);
  equal(await doors.writeSomeAt(file, target, 0n), 3);
  await doors.truncate(file, 3n);
  deepEqual([...readFileSync(file.path as string)], [2, 3, 3]);
});

onAllDoors('what is no view is refused, and an index says which', async (_, doors) => {
  const place = await watched(doors);
  const { file, watching } = place;
  const strangers: readonly unknown[] = [null, undefined, 7, 7n, 'text', true, {}, Symbol('s')];
  const memory = [new ArrayBuffer(8), new SharedArrayBuffer(8), () => new Uint8Array(8)];
  const code = 'ERR_INVALID_ARG_TYPE';
  await nothingHappens(place, async () => {
    const calls = Object.values(transfers(watching, file));
    const append = (buffers: unknown) => watching.append(file, buffers as Buffers);
    for (const call of [...calls, append]) {
      for (const stranger of [...strangers, ...memory]) {
        const told = String(typeof stranger);
        await rejects(call(stranger, 0), { code, message: /"buffers"/ }, told);
        const inside = [new Uint8Array(2), new Uint8Array(2), stranger];
        await rejects(call(inside, 0), { code, message: /"buffers\[2\]"/ }, told);
        await rejects(call(new Set(inside), 0), { code, message: /"buffers\[2\]"/ }, told);
      }
      await rejects(call([[new Uint8Array(2)]], 0), { code, message: /"buffers\[0\]"/ });
      await rejects(call(new Map([[1, new Uint8Array(2)]]), 0), { code });
    }
  });
});

onAllDoors('an iterable that throws half way writes nothing', async (_, doors) => {
  const place = await watched(doors);
  const { file, watching } = place;
  function* torn(): Generator<Uint8Array> {
    for (let count = 0; count < 3000; count++) yield new Uint8Array(600);
    throw new Error('half way');
  }
  await nothingHappens(place, async () => {
    for (const call of Object.values(transfers(watching, file))) {
      await rejects(call(torn(), 0), /half way/);
    }
    await rejects(watching.append(file, torn()), /half way/);
  });
  equal(await watching.append(file, Uint8Array.of(1)), 10, 'the file goes on');
});

/* A detached view has length 0: taken for an empty one, a write would succeed and write nothing. */
onAllDoors('a view whose memory is gone is refused', async (_, doors) => {
  const place = await watched(doors);
  const { file, watching } = place;
  const views = [detached(new Uint8Array(8)), detached(new Float64Array(2)), outOfBounds()];
  const dataViewMemory = new ArrayBuffer(8);
  const window = new DataView(dataViewMemory);
  structuredClone(dataViewMemory, { transfer: [dataViewMemory] });
  const code = 'ERR_INVALID_ARG_VALUE';
  await nothingHappens(place, async () => {
    for (const call of Object.values(transfers(watching, file))) {
      for (const view of [...views, window]) {
        await rejects(call(view, 0), { name: 'TypeError', code, message: /"buffers"/ });
        const inside = [new Uint8Array(3), view];
        await rejects(call(inside, 0), { name: 'TypeError', code, message: /"buffers\[1\]"/ });
      }
    }
  });
});

function detached<View extends Uint8Array | Float64Array>(view: View): View {
  const { buffer } = view;
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  return view;
}

interface Resizable extends ArrayBuffer {
  resize(length: number): void;
}

function resizable(length: number, maxByteLength: number): Resizable {
  const Sized = ArrayBuffer as unknown as new (length: number, options: object) => Resizable;
  return new Sized(length, { maxByteLength });
}

function outOfBounds(): Uint8Array {
  const memory = resizable(16, 16);
  const view = new Uint8Array(memory, 8, 8);
  memory.resize(12);
  return view;
}

onAllDoors('a view that follows its buffer counts as what it is at the call', async (_, doors) => {
  const { file } = await watched(doors);
  const memory = resizable(4, 4096);
  const view = new Uint8Array(memory);
  memory.resize(3000);
  view.set(patterned(3000));
  equal(await doors.writeAt(file, view, 0), 3000);
  equal(await doors.writeAt(file, [view, view], 3000), 6000);
  memory.resize(10);
  equal(await doors.readAt(file, view, 3000), 10);
  deepEqual([...view], [...patterned(10)]);
  memory.resize(0);
  equal(await doors.writeAt(file, view, 0), 0);
  equal(readFileSync(file.path as string).length, 9000);
});

onBothEngines('a view cut between two calls of one write is told', async (t, doors) => {
  const memory = resizable(600, 600);
  let writes = 0;
  const judged = doors.judged(({ payload }) => {
    if (payload !== undefined && writes++ === 0) memory.resize(0);
    return undefined;
  });
  const file = await judged.create(join(scratch(t), 'file'));
  const views = [...cutEvery(patterned(1024 * 600), 600), new Uint8Array(memory)];
  const error = await file.writeAt(views, 0).catch((refused: unknown) => refused);
  const { name, code, kind, bytesDone } = error as Record<string, unknown>;
  deepEqual([name, code, kind], ['IoError', 'ERR_BUFFER_CHANGED', 'invalid']);
  equal(bytesDone, 1024 * 600);
  ok(readFileSync(file.path as string).equals(patterned(1024 * 600)));
});

const BAD_OPTIONS: readonly (readonly [unknown, RegExp])[] = [
  [null, /"options"/],
  ['read', /"options"/],
  [7, /"options"/],
  [{ access: 'readwrite' }, /"options.access"/],
  [{ access: '' }, /"options.access"/],
  [{ access: 7 }, /"options.access"/],
  [{ access: null }, /"options.access"/],
  [{ access: ['read'] }, /"options.access"/],
  [{ access: 'toString' }, /"options.access"/],
  [{ access: '__proto__' }, /"options.access"/],
  [{ access: 'write', create: 'yes' }, /"options.create"/],
  [{ access: 'write', create: 1 }, /"options.create"/],
  [{ access: 'write', create: null }, /"options.create"/],
  [{ create: true }, /"options.create"/],
  [{ truncate: true }, /"options.truncate"/],
  [{ access: 'write', truncate: 1 }, /"options.truncate"/],
  [{ access: 'write', truncate: 'yes' }, /"options.truncate"/],
  [{ access: 'write', mode: '644' }, /"options.mode"/],
  [{ access: 'write', mode: null }, /"options.mode"/],
  [{ access: 'write', mode: -1 }, /"options.mode"/],
  [{ access: 'write', mode: 0o10000 }, /"options.mode"/],
  [{ access: 'write', mode: 0.5 }, /"options.mode"/],
  [{ access: 'write', mode: Number.NaN }, /"options.mode"/],
  [{ access: 'write', sync: true }, /"options.sync"/],
  [{ access: 'write', sync: 'fast' }, /"options.sync"/],
];

onAllDoors('options that are none are refused, and named', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const judged = doors.judged(() => undefined);
  const { engine } = judged;
  for (const [options, says] of BAD_OPTIONS) {
    const given =
      typeof options === 'object' && options !== null ? { ...options, engine } : options;
    const work = async (): Promise<unknown> =>
      doors.face === 'sync'
        ? openFileSync(path, given as Choices)
        : openFile(path, given as Choices);
    const error = (await work().catch((refused: unknown) => refused)) as Error & { code: string };
    match(error.name, /^(TypeError|RangeError)$/, JSON.stringify(options));
    match(error.code, /^ERR_(INVALID_ARG_TYPE|INVALID_ARG_VALUE|OUT_OF_RANGE)$/);
    match(error.message, says, JSON.stringify(options));
  }
  deepEqual(engine.asked, []);
});

onAllDoors('an engine that is none is refused', async (t, doors) => {
  const path = join(scratch(t), 'file');
  for (const engine of [null, 7, 'pool', {}, () => undefined] as unknown[]) {
    const options = { engine } as never;
    const work = async (): Promise<unknown> =>
      doors.face === 'sync' ? openFileSync(path, options) : openFile(path, options);
    await rejects(work(), { name: 'TypeError', message: /"options.engine"/ });
  }
});

onBothEngines('configure() refuses what cannot be had, and changes nothing', async (t, doors) => {
  const wrong: readonly unknown[] = [
    null,
    'pool',
    { engine: 'steam' },
    { engine: null },
    { engine: 7 },
    { threads: 0 },
    { threads: 65 },
    { threads: 1.5 },
    { threads: '4' },
    { threads: Number.NaN },
    { engine: 'portable', threads: 0 },
  ];
  const { threads } = doors.engine;
  for (const options of wrong) {
    const refused = async (): Promise<void> => configure(options as never);
    const code = /^ERR_(INVALID_ARG_TYPE|INVALID_ARG_VALUE|OUT_OF_RANGE)$/;
    await rejects(refused(), { code }, JSON.stringify(options));
  }
  equal(doors.engine.threads, threads);
  ok(t);
});

onBothEngines('options of a call that are none are refused', async (_, doors) => {
  const place = await watched(doors);
  const { file } = place;
  const code = 'ERR_INVALID_ARG_TYPE';
  const calls: readonly ((options: never) => Promise<unknown>)[] = [
    (options) => file.readAt(new Uint8Array(3), 0, options),
    (options) => file.writeAt(new Uint8Array(3), 0, options),
    (options) => file.readSomeAt(new Uint8Array(3), 0, options),
    (options) => file.writeSomeAt(new Uint8Array(3), 0, options),
    (options) => file.append(new Uint8Array(3), options),
    (options) => file.readAll(options),
    (options) => file.stat(options),
    (options) => file.truncate(0, options),
    (options) => file.sync(options),
    (options) => file.syncData(options),
  ];
  await nothingHappens(place, async () => {
    for (const call of calls) {
      await rejects(call(null as never), { code, message: /"options"/ });
      await rejects(call(7 as never), { code, message: /"options"/ });
      for (const signal of [null, 7, 'now', {}, { aborted: true }]) {
        await rejects(call({ signal } as never), { code, message: /"options.signal"/ });
      }
    }
    await rejects(openFile(file.path as string, { signal: 7 } as never), { code });
  });
  ok(file instanceof OpenFile);
});

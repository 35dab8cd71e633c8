/**
 * Whose memory it is while the system may touch it: kept while it does, told when it was taken
 * away meanwhile, out of reach where that was asked for.
 */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { configure, IoError, type MemoryMode, OpenFile, openFile } from 'holdfast';
import { cutInto, joined, patterned, seedOf } from './file/bytes.js';
import { Doors, onBothEngines } from './file/doors.js';
import { isTransfer } from './file/faults.js';
import { waitingRead } from './ownership/fifo.js';
import { endsWorkers, outputOf } from './support/child.js';
import { scratch } from './support/scratch.js';

const MODES: readonly MemoryMode[] = ['reference', 'mark', 'copy'];
const unusable = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };

interface Resizable extends ArrayBuffer {
  resize(length: number): void;
}

interface Growing {
  readonly buffer: ArrayBuffer;
  grow(pages: number): void;
}

function resizable(length: number): Resizable {
  const Sized = ArrayBuffer as unknown as new (length: number, options: object) => Resizable;
  return new Sized(length, { maxByteLength: length });
}

function webAssemblyMemory(): Growing {
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { Memory: new (limits: object) => Growing };
  };
  return new WebAssembly.Memory({ initial: 1, maximum: 4 });
}

/** Takes the memory of a view away, as a program would by posting it. */
function takeAway(view: Uint8Array): Uint8Array {
  const memory = view.buffer as ArrayBuffer;
  return new Uint8Array(structuredClone(memory, { transfer: [memory] }));
}

const changed = (bytesDone: number) => (error: unknown) =>
  error instanceof IoError &&
  error.code === 'ERR_BUFFER_CHANGED' &&
  error.bytesDone === bytesDone &&
  error.path !== undefined;

/* -------------------------------------------------------------------------- while under way */

/*
 * A view transferred right after the call was empty when the pool crossed into C, so the system
 * read nothing, and the read resolved with 0 as if the file had ended.
 */
onBothEngines('readAt() of a view transferred right after the call is told', async (t, doors) => {
  const file = await doors.create(join(scratch(t), 'file'));
  await doors.writeAt(file, patterned(4096), 0);
  for (const views of [[new Uint8Array(4096)], [new Uint8Array(2048), new Uint8Array(2048)]]) {
    for (const at of views.keys()) {
      const read = file.readAt(views.length === 1 ? (views[0] as Uint8Array) : views, 0);
      takeAway(views[at] as Uint8Array);
      await rejects(read, { code: 'ERR_BUFFER_CHANGED', path: file.path, offset: 0 });
      views[at] = new Uint8Array(4096 / views.length);
    }
  }
});

onBothEngines('writeAt() of a view transferred right after the call is told', async (t, doors) => {
  const file = await doors.create(join(scratch(t), 'file'));
  const view = patterned(4096);
  const write = file.writeAt(view, 0);
  takeAway(view);
  await rejects(write, { code: 'ERR_BUFFER_CHANGED', path: file.path, offset: 0 });
  equal(file.latch.cause, undefined, 'what the file holds is known: what bytesDone says');
  equal(await file.writeAt(patterned(10), 0), 10);
});

onBothEngines('a read under way keeps its memory when nobody else does', async (t, { engine }) => {
  const memory = new ArrayBuffer(4096);
  const waiting = await waitingRead(t, engine, new Uint8Array(memory), 'reference');
  waiting.write(patterned(4096));
  equal(await waiting.read, 4096);
  deepEqual(new Uint8Array(memory), patterned(4096));
});

onBothEngines('a view transferred while the system reads into it is told', async (t, doors) => {
  const view = new Uint8Array(4096);
  const waiting = await waitingRead(t, doors.engine, view, 'reference');
  const owner = takeAway(view);
  waiting.write(patterned(4096));
  await rejects(waiting.read, changed(4096));
  equal(owner.length, 4096);
});

onBothEngines('a view cut while the system reads into it is told, not EFAULT', async (t, doors) => {
  const memory = resizable(65536);
  const waiting = await waitingRead(t, doors.engine, new Uint8Array(memory), 'reference');
  memory.resize(0);
  waiting.write(patterned(4096));
  await rejects(waiting.read, changed(0));
});

onBothEngines('a WebAssembly memory that grows during a read is told', async (t, doors) => {
  const memory = webAssemblyMemory();
  const view = new Uint8Array(memory.buffer, 0, 4096);
  const waiting = await waitingRead(t, doors.engine, view, 'reference');
  memory.grow(1);
  waiting.write(patterned(4096));
  await rejects(waiting.read, changed(4096));
});

onBothEngines("'copy' never touches memory that was taken away", async (t, doors) => {
  const view = new Uint8Array(4096);
  const waiting = await waitingRead(t, doors.engine, view, 'copy');
  const owner = takeAway(view);
  waiting.write(patterned(4096));
  await rejects(waiting.read, changed(4096));
  ok(owner.every((byte) => byte === 0));
});

onBothEngines("'mark' keeps memory from being taken away", async (t, doors) => {
  const view = new Uint8Array(4096);
  const waiting = await waitingRead(t, doors.engine, view, 'mark');
  try {
    takeAway(view);
  } catch {
    // Node 22 and later refuse; Node 20 copies.
  }
  waiting.write(patterned(4096));
  equal(await waiting.read, 4096);
  deepEqual(view, patterned(4096));
});

/* -------------------------------------------------------------------------------- the modes */

onBothEngines("'reference' leaves memory that can be posted afterwards", async (t, doors) => {
  const file = await doors.create(join(scratch(t), 'file'));
  for (const memory of ['reference', 'copy'] as const) {
    const view = patterned(4096);
    await file.writeAt(view, 0, { memory });
    await file.readAt(view, 0, { memory });
    deepEqual(takeAway(view), patterned(4096));
    equal(view.length, 0);
  }
});

onBothEngines('every mode moves every byte, however views are cut', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path);
  const lengths = fc.array(fc.nat(3000), { maxLength: 12 });
  const property = fc.asyncProperty(lengths, fc.constantFrom(...MODES), async (cuts, memory) => {
    const bytes = patterned(9000, cuts.length);
    await file.writeAt(cutInto(bytes.slice(), cuts), 0, { memory });
    deepEqual(readFileSync(path), Buffer.from(bytes));
    const views = cutInto(new Uint8Array(9000), cuts);
    equal(await file.readAt(views, 0, { memory }), 9000);
    deepEqual(joined(views), Buffer.from(bytes));
  });
  await fc.assert(property, { seed: seedOf(t), numRuns: 60 });
});

onBothEngines("'copy' goes on after short calls, over several blocks", async (t, doors) => {
  const path = join(scratch(t), 'file');
  const judged = new Doors(t, doors.engine, 'async').judged((operation) => {
    return isTransfer(operation) ? { moves: 700_001 } : undefined;
  });
  const file = await judged.create(path);
  const bytes = patterned(3_000_000);
  const cuts = [10, 1_500_000, 0, 1_048_576, 1];
  equal(await file.writeAt(cutInto(bytes, cuts), 3, { memory: 'copy' }), 3_000_000);
  deepEqual(readFileSync(path).subarray(3), Buffer.from(bytes));
  const views = cutInto(new Uint8Array(3_000_100), cuts);
  equal(await file.readAt(views, 3, { memory: 'copy' }), 3_000_000);
  deepEqual(joined(views).subarray(0, 3_000_000), Buffer.from(bytes));
  ok(
    joined(views)
      .subarray(3_000_000)
      .every((byte) => byte === 0),
  );
});

onBothEngines('append, read and write take a mode too', async (t, doors) => {
  const path = join(scratch(t), 'file');
  const file = await doors.create(path);
  for (const memory of MODES) {
    equal(await file.append(patterned(100), { memory }), 0);
    await file.seek(0);
    equal(await file.write(patterned(100, 1), { memory }), 100);
    await file.seek(0);
    const view = new Uint8Array(100);
    equal(await file.read(view, { memory }), 100);
    deepEqual(view, patterned(100, 1));
    await file.truncate(0);
    await file.seek(0);
  }
});

onBothEngines('a file opened with a mode uses it where a call names none', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(64));
  const { engine } = doors;
  const file = await openFile(path, { engine, memory: 'mark' });
  const borrowed = OpenFile.fromFd(file.fd, { ownership: 'borrow', engine, memory: 'mark' });
  t.after(() => file.close());
  for (const open of [file, borrowed]) {
    const marked = new Uint8Array(64);
    const plain = new Uint8Array(64);
    await open.readAt(marked, 0);
    await open.readAt(plain, 0, { memory: 'reference' });
    try {
      takeAway(marked);
    } catch {
      // Node 22 and later refuse; Node 20 copies.
    }
    equal(marked.length, 64);
    takeAway(plain);
    equal(plain.length, 0);
  }
});

test('configure({ memory }) is for files opened afterwards', async (t) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, patterned(64));
  t.after(() => configure({ memory: 'reference' }));
  const before = await openFile(path);
  configure({ memory: 'mark' });
  configure({ threads: 4 });
  const after = await openFile(path);
  const lengths: number[] = [];
  for (const file of [before, after]) {
    const view = new Uint8Array(64);
    await file.readAt(view, 0);
    try {
      takeAway(view);
    } catch {
      // Node 22 and later refuse; Node 20 copies.
    }
    lengths.push(view.length);
    await file.close();
  }
  deepEqual(lengths, [0, 64]);
});

onBothEngines('a mode that is none is refused, and names the option', async (t, doors) => {
  const file = await doors.create(join(scratch(t), 'file'));
  const refused = { ...unusable, message: /"options\.memory"/ };
  const memory = 'pin' as never;
  await rejects(file.readAt(new Uint8Array(1), 0, { memory }), refused);
  await rejects(openFile(file.path as string, { memory }), refused);
  throws(() => OpenFile.fromFd(file.fd, { ownership: 'borrow', memory }), refused);
  throws(() => configure({ memory }), { ...unusable, message: /"memory"/ });
});

/* --------------------------------------------------------------------------------- canaries */

for (const engine of ['pool', 'portable']) {
  test(`no foreign byte changes in 10,000 reads (${engine})`, { timeout: 60_000 }, async (t) => {
    const module = new URL('./ownership/canary.js', import.meta.url);
    const args = [scratch(t), engine, '10000'];
    const nodeArgs = ['--expose-gc', ...endsWorkers];
    const told = await outputOf({ module, args, nodeArgs, timeoutMs: 55_000 });
    t.diagnostic(told.trim());
    const { reads, wrong, workers } = JSON.parse(told) as Record<string, unknown>;
    equal(reads, 10_000);
    deepEqual(wrong, {});
    equal(workers, 6);
  });
}

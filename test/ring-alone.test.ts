/**
 * What a kernel seldom does: takes a part of what it is given, has no room for completions; and
 * ends that a program in JavaScript cannot arrange.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CompletionQueue, type EngineStats, openFile } from 'holdfast';
import { ringState } from '#holdfast/engine.js';
import { Code, Operation } from '#holdfast/platform.js';
import { handed } from './contract/engines.js';
import { engineFor } from './file/doors.js';
import { refuserRefusal, ringParts } from './ring/launchers.js';
import { outputOf } from './support/child.js';
import { compiledProgram } from './support/compile.js';
import { projectRoot, scratch } from './support/scratch.js';

/* EXT4_SUPER_MAGIC: statfs(2). */
const EXT4 = 0xef53;

const here = ringState();
const skip = here.isThere ? (refuserRefusal() ?? false) : here.reason;

/*
 * Closing a ring whose operations had time limits waited for ever for one completion more: those of
 * the time limits come last and say nothing. And 4096 completions that say nothing, of cancels that
 * found nobody, hid those behind them, which the kernel wakes for once.
 */
test('a ring by itself: silence, a run cut in two, a child, registered places, time limits', {
  skip,
}, () => {
  const parts = { headers: ['native'], sources: ringParts, included: ['native/ring.c'] };
  const program = compiledProgram('ring/alone', parts);
  const output = execFileSync(program, { encoding: 'utf8', timeout: 30_000 });
  deepEqual(output.trim().split('\n'), [
    'silence: 1 told',
    'cut run: 4 told, 1 1 -4096 -4096, 0 in flight',
    'child: ended with 0, 4 told',
    'registered: 0, 1 -14 -9',
    'time limits: closed',
  ]);
});

interface Told {
  readonly ring: NonNullable<EngineStats['ring']>;
}

async function told<T extends Told>(module: string, args: string[], isCut: boolean): Promise<T> {
  const library = compiledProgram('ring/partly', { isLibrary: true });
  const output = await outputOf({
    module: join(projectRoot, 'build', 'test', 'ring', `${module}.js`),
    args,
    env: isCut ? { LD_PRELOAD: library } : {},
    timeoutMs: 40_000,
  });
  const come = JSON.parse(output) as T;
  const wereCut = Object.keys(come.ring.refusals).some((what) => what.endsWith(': not taken'));
  equal(wereCut, isCut, JSON.stringify(come));
  return come;
}

/*
 * The kernel goes on behind a sync, a stat, a change of a name or of a size that it refuses: what a
 * run had left took place. And what was left answered that it had not been taken, where the kernel
 * had taken a part of the run only.
 */
for (const isCut of [false, true]) {
  const kernel = isCut ? 'a kernel that takes a part of each batch' : 'the kernel as it is';
  test(`runs on the ring come to what they come to elsewhere: ${kernel}`, { skip }, async (t) => {
    const seed = String(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`HOLDFAST_SEED=${seed}`);
    type Compared = Told & { readonly differences: readonly string[] };
    const { differences } = await told<Compared>('runs', [scratch(t), seed], isCut);
    deepEqual(differences, []);
  });
}

/* The descriptor is that of another file: what is read is what the registered place stands for. */
test('a registered file is the one that is read', { skip }, async (t) => {
  const engine = engineFor(t, 'ring');
  if (engine === undefined) return;
  const directory = scratch(t);
  const [one, two] = ['one', 'two'].map((name) => {
    writeFileSync(join(directory, name), name);
    return openSync(join(directory, name), 'r');
  }) as [number, number];
  t.after(() => [one, two].map(closeSync));
  await using queue = new CompletionQueue({ engine });
  const file = await openFile(join(directory, 'one'), { engine });
  t.after(() => file.close());
  queue.registerFiles([file]);
  ok(file.fixedPlace >= 0);
  engine.learnVolume?.(two, EXT4);
  const payload = new Uint8Array(3);
  const fields = { fd: two, fixedFile: file.fixedPlace, offset: 0, length: 3, payload };
  await handed(engine, Object.assign(new Operation(Code.Read), fields));
  equal(Buffer.from(payload).toString(), 'one');
});

test('a kernel that takes a part of each batch does it all, once', { skip }, async (t) => {
  type Ended = Told & { told: number; once: number; wrong: string[] };
  const { told: count, once, wrong } = await told<Ended>('interrupted', [scratch(t)], true);
  deepEqual([count, once, wrong], [480, 480, []]);
});

/** JSON lines: durable, whole, never welded, readable by anybody at any time. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type Engine,
  IoError,
  type Jsonl,
  type JsonlOptions,
  LockHeldError,
  openJsonl,
  openJsonlSync,
} from 'holdfast';
import { crashEverywhere, refuseNth, simulatedDisk } from 'holdfast/testing';
import { engineNamed } from '#holdfast/engine.js';
import { worldNames } from './journal/worlds.js';
import { Child } from './support/child.js';
import { scratch } from './support/scratch.js';

interface World {
  readonly engine: Engine;
  readonly path: string;
  open(options?: JsonlOptions): Promise<Jsonl>;
  read(): string;
  put(text: string): void;
  /** Names beside the file that begin with its own. */
  beside(): string[];
}

function worldOf(t: TestContext, name: (typeof worldNames)[number]): World | undefined {
  const disk = name === 'simulated' ? simulatedDisk(2) : undefined;
  let engine: Engine;
  try {
    engine = disk?.engine ?? engineNamed(name);
  } catch (error) {
    t.diagnostic(`NOT TESTED on ${name}: ${(error as Error).message}`);
    t.skip((error as Error).message);
    return undefined;
  }
  const directory = disk === undefined ? scratch(t) : '/lines';
  disk?.makeDirectory(directory);
  const path = `${directory}/log.jsonl`;
  const open: World['open'] = async (options) => {
    const lines = await openJsonl(path, { ...options, engine });
    t.after(() => lines.close().catch(() => undefined));
    return lines;
  };
  const read = (): string => Buffer.from(disk?.read(path) ?? readFileSync(path)).toString('latin1');
  const put = (text: string): void => {
    if (disk === undefined) writeFileSync(path, text, 'latin1');
    else disk.put(path, Buffer.from(text, 'latin1'));
  };
  const beside = (): string[] => disk?.list(directory) ?? readdirSync(directory).sort();
  return { engine, path, open, read, put, beside };
}

function everywhere(name: string, body: (t: TestContext, world: World) => Promise<unknown>): void {
  for (const world of worldNames) {
    test(`${name} (${world})`, { timeout: 60_000 }, async (t) => {
      const found = worldOf(t, world);
      if (found !== undefined) await body(t, found);
    });
  }
}

async function valuesOf(lines: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const value of lines) found.push(value);
  return found;
}

everywhere('append() writes one line for each value', async (_t, { open, read }) => {
  const lines = await open();
  equal(await lines.append({ a: 1 }), 0);
  equal(await lines.append('two\nlines'), 8);
  lines.append([null]);
  equal(await lines.append(3.5), 28);
  equal(read(), '{"a":1}\n"two\\nlines"\n[null]\n3.5\n');
  deepEqual(await valuesOf(lines), [{ a: 1 }, 'two\nlines', [null], 3.5]);
  await lines.close();
  const again = await open();
  equal(again.recovery.tail, 'clean');
  equal(again.appendSync('four'), 32);
  deepEqual((await valuesOf(again)).at(-1), 'four');
});

everywhere('append() in one turn is one write and one sync', async (_t, { open, engine }) => {
  const lines = await open();
  const before = engine.stats();
  const offsets = await Promise.all(
    Array.from({ length: 500 }, (_, n) => lines.append({ n, é: 'ü' })),
  );
  deepEqual(
    offsets,
    [...offsets].sort((one, two) => one - two),
  );
  const { systemCalls } = engine.stats();
  const calls = (name: string): number =>
    (systemCalls[name] ?? 0) - (before.systemCalls[name] ?? 0);
  equal(calls('pwrite'), 1);
  equal(calls('fdatasync'), 1);
  const found = (await valuesOf(lines)) as { n: number }[];
  deepEqual(
    found.map(({ n }) => n),
    [...Array(500).keys()],
  );
});

everywhere('a torn last line is put aside and cut, never welded', async (_t, world) => {
  for (const torn of ['{"b":', '12', 'tru', '{"b":1}\0\0', '"x']) {
    world.put(`{"a":1}\n${torn}`);
    const lines = await world.open();
    equal(lines.recovery.tail, 'torn line', torn);
    equal(lines.recovery.cutBytes, torn.length);
    ok(world.beside().includes((lines.recovery.keptPath as string).split('/').at(-1) as string));
    equal(world.read(), '{"a":1}\n');
    await lines.append('next');
    equal(world.read(), '{"a":1}\n"next"\n');
    await lines.close();
  }
});

everywhere('a last value that is whole gets its newline', async (_t, world) => {
  world.put('{"a":1}\n{"b":2}');
  const lines = await world.open();
  equal(lines.recovery.tail, 'no newline');
  equal(lines.recovery.keptPath, undefined);
  await lines.append(3);
  equal(world.read(), '{"a":1}\n{"b":2}\n3\n');
});

everywhere('zeros are cut at the end, and reported among the lines', async (_t, world) => {
  world.put(`1\n${'\0'.repeat(5000)}2\n\0\n3\n${'\0'.repeat(4096)}`);
  const lines = await world.open();
  equal(lines.recovery.tail, 'zeros');
  equal(lines.recovery.cutBytes, 4096);
  deepEqual(lines.recovery.nulRuns, [
    { offset: 2, length: 5000 },
    { offset: 5004, length: 1 },
  ]);
  await lines.append(4);
  deepEqual(await valuesOf(lines), [1, 2, 3, 4]);
  equal(world.read(), `1\n${' '.repeat(5000)}2\n \n3\n4\n`);
});

everywhere('a line that is not JSON is damage with a place', async (_t, world) => {
  world.put('1\n{oops}\n3\n');
  const lines = await world.open();
  const found: unknown[] = [];
  await rejects(
    async () => {
      for await (const value of lines) found.push(value);
    },
    { kind: 'corrupt', offset: 2 },
  );
  deepEqual(found, [1]);
});

everywhere('lines longer than any window come back', async (_t, { open }) => {
  const lines = await open();
  const long = 'x'.repeat(1_000_000);
  await lines.append(long);
  await lines.append('short');
  deepEqual(await valuesOf(lines), [long, 'short']);
});

everywhere('readOnly looks and changes nothing', async (_t, world) => {
  await rejects(world.open({ readOnly: true }), { kind: 'not-found' });
  world.put('1\n{"to');
  const lines = await world.open({ readOnly: true });
  equal(lines.recovery.tail, 'torn line');
  deepEqual(await valuesOf(lines), [1]);
  await rejects(lines.append(2), { kind: 'access' });
  throws(() => lines.appendSync(2), { kind: 'access' });
  await lines.close();
  equal(world.read(), '1\n{"to');
});

everywhere('calls refuse what cannot be meant', async (_t, { open }) => {
  const lines = await open();
  await rejects(lines.append(undefined), TypeError);
  await rejects(
    lines.append(() => 1),
    TypeError,
  );
  await rejects(lines.append(1n), TypeError);
  throws(() => lines.appendSync(undefined), TypeError);
  for (const [options, message] of [
    [{ sync: 'barrier' }, /sync/],
    [{ shared: 1 }, /shared/],
    [{ readOnly: true, create: true }, /create/],
    [{ mode: 'rw' }, /mode/],
    [{ lockTimeoutMs: -1 }, /lockTimeoutMs/],
  ] as const) {
    await rejects(open(options as never), { message });
  }
  const closed = lines.close();
  equal(lines.close(), closed);
  await closed;
  await rejects(lines.append(1), { kind: 'closed' });
  await rejects(valuesOf(lines), { kind: 'closed' });
});

test('appendSync() does not overtake an append that is under way', async (t) => {
  const lines = await openJsonl(join(scratch(t), 'log'), { engine: engineNamed('portable') });
  const first = lines.append(1);
  throws(() => lines.appendSync(2), { code: 'EBUSY' });
  await first;
  lines.appendSync(2);
  deepEqual(await valuesOf(lines), [1, 2]);
  await lines.close();
});

test('a second one who appends is told who has it', async () => {
  const { engine } = simulatedDisk(1);
  const lines = await openJsonl('/log', { engine });
  await rejects(openJsonl('/log', { engine, lockTimeoutMs: 0 }), LockHeldError);
  const reader = await openJsonl('/log', { engine, readOnly: true });
  await lines.append(1);
  deepEqual(await valuesOf(reader), [1]);
  await lines.close();
  const again = openJsonlSync('/log', { engine });
  equal(again.appendSync(2), 2);
  await again.close();
});

test('many processes append to one file, and no line is torn or lost', {
  timeout: 90_000,
}, async (t) => {
  const path = join(scratch(t), 'shared.jsonl');
  const each = 60;
  const children = [0, 1, 2, 3].map(
    (who) =>
      new Child({
        source: `
          import { openJsonl } from 'holdfast';
          const [path, who, each] = process.argv.slice(1);
          const lines = await openJsonl(path, { shared: true });
          for (let n = 0; n < each; n += 3) {
            const some = [n, n + 1, n + 2].map((n) => ({ who, n, pad: 'x'.repeat(n * 7) }));
            await Promise.all(some.map((value) => lines.append(value)));
          }
          await lines.close();
        `,
        args: [path, String(who), String(each)],
        timeoutMs: 80_000,
      }),
  );
  for (const child of children) {
    t.after(() => child.kill());
    const { code, stderr } = await child.ended;
    equal(code, 0, stderr);
  }
  const lines = await openJsonl(path, { readOnly: true });
  equal(lines.recovery.tail, 'clean');
  const found = (await valuesOf(lines)) as { who: string; n: number }[];
  for (const who of ['0', '1', '2', '3']) {
    const own = found.filter((value) => value.who === who).map(({ n }) => n);
    deepEqual(own, [...Array(each).keys()]);
  }
  await lines.close();
});

test('a torn line of another process is mended before the next append', async () => {
  const disk = simulatedDisk(3);
  const { engine } = disk;
  const one = await openJsonl('/log', { engine, shared: true });
  const two = await openJsonl('/log', { engine, shared: true });
  await one.append('first');
  disk.put('/log', `${Buffer.from(disk.read('/log') as Uint8Array)}{"half`);
  await two.append('second');
  equal(Buffer.from(disk.read('/log') as Uint8Array).toString(), '"first"\n"second"\n');
  ok(disk.list('/')?.includes('log.torn-1'));
  deepEqual(await valuesOf(one), ['first', 'second']);
});

test('shared needs locks, and says so', async (t) => {
  const path = join(scratch(t), 'log');
  const engine = engineNamed('portable');
  await rejects(openJsonl(path, { engine, shared: true }), { kind: 'unsupported' });
  const lines = await openJsonl(path, { engine });
  equal(lines.recovery.fallbacks[0]?.what, 'lock');
  await lines.close();
  appendFileSync(path, '1\n');
});

test('a full disk leaves the lines as they were, and the file usable', async () => {
  const disk = simulatedDisk(3);
  const lines = await openJsonl('/log', { engine: disk.engine });
  await lines.append('before');
  disk.refuseNth(2, 'ENOSPC', { operations: ['Write'] });
  disk.refuseNth(1, 'ENOSPC', { operations: ['Write'], short: 3 });
  await rejects(lines.append('torn by a full disk'), { kind: 'no-space' });
  equal(Buffer.from(disk.read('/log') as Uint8Array).toString(), '"before"\n');
  await lines.append('after');
  deepEqual(await valuesOf(lines), ['before', 'after']);
});

test('the first failed sync breaks it, for all who wait and all who come', async () => {
  const disk = simulatedDisk(3);
  const lines = await openJsonl('/log', { engine: disk.engine });
  await lines.append('before');
  disk.refuseNth(1, 'EIO', { operations: ['SyncData'] });
  const causes = await Promise.all(
    [1, 2].map((n) => lines.append(n).catch((error: unknown) => error)),
  );
  ok(causes[0] instanceof IoError && causes[0] === causes[1]);
  await rejects(lines.append(3), { kind: 'broken', cause: causes[0] });
  throws(() => lines.appendSync(3), { kind: 'broken' });
  await lines.close();
  deepEqual(disk.openDescriptors, []);
});

test('a short write is written to its end before it counts', async (t) => {
  const engine = refuseNth(engineNamed('pool'), 1, 'EIO', { operations: ['Write'], short: 5 });
  const lines = await openJsonl(join(scratch(t), 'log'), { engine });
  await lines.append('a value that is longer');
  equal(engine.struckCount, 1);
  deepEqual(await valuesOf(lines), ['a value that is longer']);
  await lines.close();
});

test('what was acknowledged survives a power cut anywhere', { timeout: 60_000 }, async () => {
  for (const shared of [false, true]) {
    let acknowledged = 0;
    await crashEverywhere({
      seed: 8,
      limit: 300,
      /* What ext4, xfs and btrfs show of blocks that never got there. */
      unwritten: 'zeros',
      run: async ({ engine }) => {
        acknowledged = 0;
        const lines = await openJsonl('/log', { engine, shared });
        for (let n = 0; n < 6; n++) {
          await Promise.all([
            lines.append({ n: 2 * n, x: 'x'.repeat(n * 90) }),
            lines.append({ n: 2 * n + 1 }),
          ]);
          acknowledged = 2 * n + 2;
        }
        await lines.close();
      },
      check: async (state) => {
        const lines = await openJsonl('/log', { engine: state.engine, shared });
        const found = ((await valuesOf(lines)) as { n: number }[]).map(({ n }) => n);
        deepEqual(found.slice(0, acknowledged), [...Array(acknowledged).keys()]);
        ok(
          found.every((n, index) => index === 0 || n > (found[index - 1] as number)),
          `${found}`,
        );
        await lines.append('after');
        equal((await valuesOf(lines)).at(-1), 'after');
        await lines.close();
        deepEqual(state.openDescriptors, []);
      },
    });
  }
});

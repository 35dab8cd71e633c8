/** The life of an engine: what keeps a process alive, what ends with a worker, what is left. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { Barrier } from './contract/engines.js';
import { engineFor, onBothEngines } from './file/doors.js';
import { Child, endsWorkers, outputOf, runChild } from './support/child.js';
import { scratch } from './support/scratch.js';

const HEAD = `
  import { openFile } from 'holdfast';
  import { engineNamed } from '#holdfast/engine.js';
  const [directory, name] = process.argv.slice(1);
  const engine = engineNamed(name);
  const options = { access: 'read-write', create: true, engine };
`;

onBothEngines('a process ends by itself when nothing is under way', async (t, { engine }) => {
  const source = `${HEAD}
    const file = await openFile(directory + '/file', options);
    await file.writeAt(new Uint8Array(100), 0);
    await file.sync();
    await file.readAt(new Uint8Array(100), 0, { timeoutMs: 600000 });
    const cut = await file.read(new Uint8Array(100), { timeoutMs: 600000 });
    console.log('left open', cut);
  `;
  const args = [scratch(t), engine.name];
  equal(await outputOf({ source, args, timeoutMs: 20_000 }), 'left open 100\n');
});

onBothEngines('a process stays alive while something is under way', async (t, { engine }) => {
  const source = `${HEAD}
    const lines = [];
    process.on('exit', () => console.log(lines.join(' ')));
    openFile(directory + '/file', options).then(async (file) => {
      lines.push('opened');
      await file.writeAt(Array.from({ length: 5000 }, () => new Uint8Array(600)), 0);
      lines.push('written');
      await file.sync();
      lines.push('synced');
      await file.readAt(new Uint8Array(3000000), 0);
      lines.push('read');
      await file.close();
      lines.push('closed');
    });
  `;
  const args = [scratch(t), engine.name];
  const told = await outputOf({ source, args, timeoutMs: 20_000 });
  equal(told, 'opened written synced read closed\n');
});

test('a process waits for an operation that takes its time', { timeout: 60_000 }, async (t) => {
  const engine = engineFor(t, 'pool');
  if (engine === undefined) return;
  const barrier = new Barrier(engine, scratch(t));
  t.after(() => barrier.close());
  const source = `
    import { openSync } from 'node:fs';
    import { engineNamed } from '#holdfast/engine.js';
    import { Code, Operation } from '#holdfast/platform.js';
    const lock = new Operation(Code.Lock);
    lock.fd = openSync(process.argv[1], 'r');
    lock.flags = 2;
    engineNamed('pool').submit(lock, { settle: () => console.log('got it', lock.result) });
    console.log('waiting');
  `;
  const child = new Child({ source, args: [barrier.path] });
  await child.waitFor('waiting');
  const early = await Promise.race([child.ended, after(300).then(() => 'alive')]);
  equal(early, 'alive');
  barrier.release();
  const { code, stdout } = await child.ended;
  deepEqual([code, stdout], [0, 'waiting\ngot it 0\n']);
});

interface Left {
  readonly threads: number;
  readonly descriptors: number;
  readonly rss: number;
}

/*
 * A thread that outlived its environment took the process along, one that was not joined stayed.
 * Fifty workers are ended with a thousand operations under way each. The descriptors that they had
 * open stayed open, and their locks taken: the border closes what it has opened (descriptors.h).
 */
onBothEngines(
  'workers ended with a thousand operations under way leave nothing',
  async (t, doors) => {
    const { code, signal, stdout, stderr } = await runChild({
      module: new URL('./contract/terminate.js', import.meta.url),
      nodeArgs: endsWorkers,
      args: [scratch(t), doors.engine.name, '60'],
      timeoutMs: 55_000,
    });
    equal(signal, null, stderr);
    equal(code, 0, stderr);
    const told = JSON.parse(stdout) as { ends: number[]; before: Left; after: Left };
    deepEqual(told.ends, new Array(60).fill(1));
    equal(told.after.threads, told.before.threads);
    ok(told.after.rss < told.before.rss + 100_000_000, JSON.stringify(told));
    equal(told.after.descriptors, told.before.descriptors);
  },
);

/*
 * Slots, jobs and queues are used again: what a million operations leave is what the first hundred
 * thousand did.
 */
onBothEngines('a million operations leave memory and descriptors alone', async (t, { engine }) => {
  const source = `${HEAD}
    import { readdirSync } from 'node:fs';
    import { Code, Operation } from '#holdfast/platform.js';
    const file = await openFile(directory + '/file', options);
    await file.writeAt(new Uint8Array(65536), 0);
    const bytes = new Uint8Array(16);
    async function lane(count) {
      for (let index = 0; index < count; index++) {
        if (index % 8 === 0) await file.readAt(bytes, index % 65536);
        else await new Promise((settle) => engine.submit(new Operation(Code.Nop), { settle }));
      }
    }
    async function measured(count) {
      await Promise.all(Array.from({ length: 64 }, () => lane(count / 64)));
      globalThis.gc();
      const { rss, heapUsed, external } = process.memoryUsage();
      return { rss, heapUsed, external, fds: readdirSync('/proc/self/fd').length };
    }
    await measured(128000);
    const before = await measured(128000);
    const after = await measured(1000000);
    console.log(JSON.stringify({ before, after }));
  `;
  const args = [scratch(t), engine.name];
  const nodeArgs = ['--expose-gc'];
  const told = JSON.parse(await outputOf({ source, args, nodeArgs, timeoutMs: 50_000 }));
  const { before, after: end } = told as Record<'before' | 'after', Record<string, number>>;
  const grown = (name: string): number => (end?.[name] as number) - (before?.[name] as number);
  equal(grown('fds'), 0);
  ok(grown('heapUsed') < 2_000_000, JSON.stringify(told));
  ok(grown('external') < 1_000_000, JSON.stringify(told));
  ok(grown('rss') < 32_000_000, JSON.stringify(told));
});

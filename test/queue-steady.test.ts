/** What a queue costs when it has found its pace: no garbage, and nothing left behind. */
import { equal, ok } from 'node:assert/strict';
import { inWorlds } from './queue/worlds.js';
import { outputOf } from './support/child.js';
import { scratch } from './support/scratch.js';

const HEAD = `
  import { readdirSync, writeFileSync } from 'node:fs';
  import { getHeapStatistics } from 'node:v8';
  import { PerformanceObserver } from 'node:perf_hooks';
  import { Completion, CompletionQueue, openFile } from 'holdfast';
  const [path, engine] = process.argv.slice(1);
  writeFileSync(path, new Uint8Array(1 << 20));
  const file = await openFile(path, { access: 'read-write' });
  const DEPTH = 32;
  const queue = new CompletionQueue({ engine, depth: DEPTH });
  queue.registerBuffers(Array.from({ length: DEPTH }, () => new Uint8Array(4096)));
  queue.registerFiles([file]);
  const views = Array.from({ length: DEPTH }, () => new Uint8Array(4096));
  const out = Array.from({ length: DEPTH }, () => new Completion());
`;

interface Cost {
  readonly bytesEach: number;
  readonly collections: number;
}

/*
 * What the heap grows by while nothing is collected, of many operations more than of few: what the
 * measuring itself takes is in both. The young generation is large enough to need no collection.
 */
const COST = `${HEAD}
  const count = Number(process.argv[3]);
  const how = process.argv[4];
  const ask = how === 'fixed'
    ? (slot, at) => queue.readFixed(file, slot, at, slot)
    : how === 'read' ? (slot, at) => queue.read(file, views[slot], at, slot)
    : (slot) => queue.nop(slot);
  function pump(total) {
    let begun = 0;
    for (; begun < DEPTH; begun++) ask(begun, (begun * 4096) & 0xfffff);
    let ended = 0;
    while (ended < total) {
      const came = queue.poll(out);
      for (let index = 0; index < came; index++) {
        if (begun < total) ask(out[index].tag, (begun++ * 4096) & 0xfffff);
      }
      ended += came;
    }
  }
  let collections = 0;
  new PerformanceObserver((list) => { collections += list.getEntries().length; })
    .observe({ entryTypes: ['gc'] });
  async function allocated(count) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
    collections = 0;
    const before = getHeapStatistics().used_heap_size;
    pump(count);
    const bytes = getHeapStatistics().used_heap_size - before;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return bytes;
  }
  for (let warm = 0; warm < 3; warm++) await allocated(100000);
  const few = await allocated(100000);
  const many = await allocated(100000 + count);
  const bytesEach = (many - few) / count;
  console.log(JSON.stringify({ bytesEach, collections }));
`;

for (const how of ['fixed', 'read', 'nop']) {
  inWorlds(
    ['ring', 'pool'],
    `an operation makes no garbage on the poll path: ${how}`,
    async (world) => {
      const nodeArgs = ['--expose-gc', '--max-semi-space-size=64', '--min-semi-space-size=64'];
      const args = [`${scratch(world.t)}/file`, world.name, '400000', how];
      const cost = JSON.parse(await outputOf({ source: COST, args, nodeArgs })) as Cost;
      world.t.diagnostic(JSON.stringify(cost));
      equal(cost.collections, 0, 'what was collected would not be counted');
      ok(cost.bytesEach < 1, JSON.stringify(cost));
    },
  );
}

interface Left {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly fds: number;
}

inWorlds(
  ['ring', 'pool', 'portable'],
  'hundreds of thousands of operations leave memory and descriptors alone',
  async (world) => {
    const source = `${HEAD}
    async function measured(count) {
      let begun = 0;
      let ended = 0;
      while (ended < count) {
        while (begun < count && queue.outstanding < DEPTH) {
          const kind = begun % 16;
          const slot = begun % DEPTH;
          if (kind === 0) queue.read(file, [new Uint8Array(8), new Uint8Array(8)], 0, begun);
          else if (kind === 1) queue.read(file, new Uint8Array(16), null, begun, { link: true });
          else if (kind === 2) queue.write(file, new Uint8Array(16), 0, begun, { timeoutMs: 6e4 });
          else if (kind === 3) queue.unlink(path + '-absent', begun);
          else if (kind === 4) { queue.nop(begun); queue.cancel(begun); }
          else queue.nop(begun);
          begun++;
        }
        ended += (await queue.wait()).length;
      }
      await file.seek(0);
      globalThis.gc();
      const { rss, heapUsed, external } = process.memoryUsage();
      return { rss, heapUsed, external, fds: readdirSync('/proc/self/fd').length };
    }
    const count = Number(process.argv[3]);
    await measured(count / 5);
    await measured(count / 5);
    const before = await measured(count / 5);
    const after = await measured(count);
    console.log(JSON.stringify({ before, after }));`;
    const count = world.name === 'portable' ? 60_000 : 300_000;
    const args = [`${scratch(world.t)}/file`, world.name, String(count)];
    /* Else the young generation grows when it likes, by more than a leak would show. */
    const nodeArgs = ['--expose-gc', '--max-semi-space-size=2'];
    const told = JSON.parse(await outputOf({ source, args, nodeArgs, timeoutMs: 50_000 }));
    world.t.diagnostic(JSON.stringify(told));
    const { before, after } = told as { readonly before: Left; readonly after: Left };
    equal(after.fds, before.fds);
    ok(after.heapUsed - before.heapUsed < 1_000_000, JSON.stringify(told));
    ok(after.external - before.external < 1_000_000, JSON.stringify(told));
    ok(after.rss - before.rss < 16_000_000, JSON.stringify(told));
  },
);

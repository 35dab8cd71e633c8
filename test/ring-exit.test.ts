/** Ends with operations under way: of the process, of a worker, of a child that it starts. */
import { deepEqual, equal } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { ringState } from '#holdfast/engine.js';
import { engineFor } from './file/doors.js';
import { type Ended, endsWorkers, outputOf, runChild } from './support/child.js';
import { scratch, type Test } from './support/scratch.js';

const here = ringState();
const skip = here.isThere ? false : here.reason;

/*
 * Reads of a FIFO that nobody writes to are with the kernel for as long as one likes; what they
 * read into is collected as far as the program goes.
 */
const HEAD = `
  import { openSync, writeSync } from 'node:fs';
  import { Worker, isMainThread } from 'node:worker_threads';
  import { CompletionQueue, openFile } from 'holdfast';
  import { engineNamed } from '#holdfast/engine.js';
  import { Code, Operation } from '#holdfast/platform.js';
  const directory = process.env.HOLDFAST_TEST_DIRECTORY;
  const engine = engineNamed('ring');
  const fifo = openSync(directory + '/fifo', 'r+');
  engine.learnVolume(fifo, 0x50495045);
  function waitForever(count) {
    for (let index = 0; index < count; index++) {
      const fields = { fd: fifo, offset: 0, payload: new Uint8Array(65536), length: 65536 };
      if (index % 2) fields.timeoutMs = 600_000;
      engine.submit(Object.assign(new Operation(Code.Read), fields), { settle: () => undefined });
    }
  }
  const file = await openFile(directory + '/file', { access: 'read-write', create: true, engine });
  const queue = new CompletionQueue({ engine: 'ring', depth: 2048 });
  function goOn() {
    for (let index = 0; index < 1000; index++) {
      const view = new Uint8Array(8192).fill(index);
      if (index % 2) queue.write(file, [view, view], index * 16384, index);
      else file.readAt(view, index * 8192).catch(() => undefined);
    }
    queue.sync(file, 'data', 1000);
    queue.submit();
  }
  const collect = () => {
    for (let time = 0; time < 3; time++) globalThis.gc();
    for (let index = 0; index < 200; index++) new Uint8Array(65536).fill(9);
  };
`;

function ending(t: Test, source: string): Promise<Ended> {
  const directory = scratch(t);
  execFileSync('mkfifo', [join(directory, 'fifo')]);
  return runChild({
    source: HEAD + source,
    nodeArgs: ['--expose-gc', ...endsWorkers],
    env: { HOLDFAST_TEST_DIRECTORY: directory },
    timeoutMs: 30_000,
  });
}

const ends: Readonly<Record<string, { readonly source: string; readonly code: number }>> = {
  'process.exit()': {
    source: 'waitForever(64); goOn(); collect(); process.exit(7);',
    code: 7,
  },
  'process.exit() in a later turn': {
    source: 'waitForever(64); goOn(); setTimeout(() => { collect(); process.exit(7); }, 5);',
    code: 7,
  },
  'an uncaught error': {
    source: 'waitForever(64); goOn(); collect(); throw new Error("planned");',
    code: 1,
  },
  'an uncaught error in a callback': {
    source: 'waitForever(64); goOn(); setImmediate(() => { throw new Error("planned"); });',
    code: 1,
  },
};

for (const [name, { source, code }] of Object.entries(ends)) {
  test(`${name} with reads and writes under way ends the process alone`, { skip }, async (t) => {
    const ended = await ending(t, source);
    deepEqual([ended.code, ended.signal, ended.timedOut], [code, null, false], ended.stderr);
  });
}

/*
 * A prototype that let go of what it read into was written to where something else stood by then
 * (SIGSEGV). The engine's table holds it until its completion has been told.
 */
test('memory that only the kernel still uses is not given to anybody else', { skip }, async (t) => {
  const source = `
    waitForever(64);
    engine.handOver();
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
    collect();
    const views = Array.from({ length: 2000 }, () => new Uint8Array(65536));
    for (let time = 0; time < 64; time++) {
      writeSync(fifo, new Uint8Array(4096).fill(255));
      await new Promise((resolve) => setImmediate(resolve));
    }
    console.log(views.every((view) => view.every((byte) => byte === 0)));
    process.exit(0);
  `;
  const ended = await ending(t, source);
  deepEqual([ended.code, ended.signal, ended.stdout], [0, null, 'true\n'], ended.stderr);
});

/*
 * What the kernel may still write to must not be given back before it cannot: a worker's memory is
 * freed with it. Afterwards the FIFO is written to, and whoever got the memory looks at it.
 */
test('a worker that ends takes its reads along', { skip }, async (t) => {
  const source = `
    if (isMainThread) {
      const code = process.execArgv.length > 0 ? process.env.HOLDFAST_TEST_SOURCE : '';
      const ends = [];
      for (let time = 0; time < 8; time++) {
        const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(code)));
        await new Promise((resolve, reject) => {
          worker.once('message', resolve).once('error', reject);
        });
        ends.push(await worker.terminate());
        const views = Array.from({ length: 64 }, () => new Uint8Array(65536));
        writeSync(fifo, new Uint8Array(4096).fill(255));
        await new Promise((resolve) => setTimeout(resolve, 5));
        ends.push(views.every((view) => view.every((byte) => byte === 0)));
        await new Promise((resolve) => {
          const drain = { fd: fifo, offset: 0, payload: new Uint8Array(4096), length: 4096 };
          engine.submit(Object.assign(new Operation(Code.Read), drain), { settle: resolve });
        });
      }
      console.log(JSON.stringify(ends));
    }
  `;
  const directory = scratch(t);
  execFileSync('mkfifo', [join(directory, 'fifo')]);
  const library = (name: string): string => new URL(`../doors/${name}.js`, import.meta.url).href;
  const worker = `
    import { parentPort } from 'node:worker_threads';
    ${HEAD.replace("'holdfast'", `'${library('index')}'`)
      .replace("'#holdfast/engine.js'", `'${library('engine')}'`)
      .replace("'#holdfast/platform.js'", `'${library('platform')}'`)}
    waitForever(64);
    engine.handOver();
    collect();
    parentPort.postMessage('going');
  `;
  const output = await outputOf({
    source: HEAD + source,
    nodeArgs: ['--expose-gc', ...endsWorkers],
    env: { HOLDFAST_TEST_DIRECTORY: directory, HOLDFAST_TEST_SOURCE: worker },
  });
  deepEqual(JSON.parse(output), new Array(8).fill([1, true]).flat());
});

test('a child started with operations under way has none of our descriptors', {
  skip,
}, async (t) => {
  const source = `
    import { spawnSync, spawn } from 'node:child_process';
    waitForever(8);
    goOn();
    const names = "ls -l /proc/self/fd | sed -n 's/.*-> //p'";
    const [sync] = [spawnSync('sh', ['-c', names], { encoding: 'utf8' }).stdout];
    let later = '';
    const child = spawn('sh', ['-c', names]);
    child.stdout.on('data', (text) => { later += text; });
    await new Promise((resolve) => child.once('close', resolve));
    const ended = [];
    while (ended.length < 501) ended.push(...await queue.wait());
    const isOurs = (name) => /uring|eventfd|fifo|\\/file$/.test(name);
    const ours = (text) => text.split('\\n').filter(isOurs);
    const isWell = ended.every(({ status }) => status === 0);
    console.log(JSON.stringify([ours(sync), ours(later), isWell]));
    process.exit(0);
  `;
  const ended = await ending(t, source);
  equal(ended.code, 0, ended.stderr);
  deepEqual(JSON.parse(ended.stdout), [[], [], true]);
});

/*
 * A worker that was terminated left open what it had open, one descriptor for each file, and its
 * locks were nobody's to give up. What it had borrowed is not its to close.
 */
for (const name of ['ring', 'pool'] as const) {
  test(`a worker that is ended leaves no descriptor and no lock (${name})`, async (t) => {
    if (engineFor(t, name) === undefined) return;
    const output = await outputOf({
      module: new URL('./ring/leaver.js', import.meta.url),
      args: [scratch(t), name, '8'],
      nodeArgs: endsWorkers,
      timeoutMs: 50_000,
    });
    const { told, before, after } = JSON.parse(output) as Record<string, unknown[]>;
    deepEqual(told, new Array(8).fill(1));
    deepEqual(after, before);
  });
}

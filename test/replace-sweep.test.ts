/** What killed processes leave beside a file, and who removes it. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { replaceFile } from 'holdfast';
import {
  type EngineWord,
  engineHere,
  everywhere,
  onEngines,
  temporaries,
} from './replace/worlds.js';
import { Child } from './support/child.js';
import { assertHoldsOnly, scratch } from './support/scratch.js';

const HOUR_MS = 3_600_000;

/**
 * Runs with the clock put forward: a file's time of change cannot be put back (utimensat(2)
 * sets it to now), so it is the reader's clock that has to be another.
 */
async function later<T>(t: TestContext, forwardMs: number, run: () => Promise<T>): Promise<T> {
  const now = performance.now.bind(performance);
  const restore = (): void => {
    Reflect.deleteProperty(performance, 'now');
  };
  t.after(restore);
  Object.defineProperty(performance, 'now', { configurable: true, value: () => now() + forwardMs });
  try {
    return await run();
  } finally {
    restore();
  }
}

function staleName(index: number): string {
  return `.holdfast-${index.toString(16).padStart(32, '0')}.tmp`;
}

/** A child in the middle of a streaming replace of `file`; it goes on when its stdin ends. */
async function writerOf(directory: string, word: EngineWord): Promise<Child> {
  const source = `
    import { replaceFile } from 'holdfast';
    import { engineNamed } from '#holdfast/engine.js';
    import { existsSync } from 'node:fs';
    async function* pieces() {
      yield Buffer.alloc(100000, 'half ');
      console.log('half');
      while (!existsSync(process.argv[1] + '/go')) await new Promise((r) => setTimeout(r, 5));
      yield 'the rest';
    }
    const options = { engine: engineNamed('${word}'), sweep: false };
    const done = replaceFile(process.argv[1] + '/file', pieces(), options);
    const told = ({ code, step, durable }) => ['refused', code, step, durable].join(' ');
    console.log(await done.then(() => 'done', told));`;
  const child = new Child({ source, args: [directory] });
  await child.waitFor('half');
  return child;
}

everywhere(
  'sweeps what a killed process left an hour ago, and tells',
  async (t, { replace, engine }) => {
    const directory = scratch(t);
    const path = join(directory, 'file');
    writeFileSync(path, 'old');
    const writer = await writerOf(directory, engine.name as EngineWord);
    await writer.kill();
    equal(readFileSync(path, 'latin1'), 'old');
    const [left] = temporaries(directory);
    ok(left, 'a kill leaves a temporary file');
    equal((await replace(path, 'young')).swept, 0);
    deepEqual(temporaries(directory), [left], 'younger than an hour: it may be in use');
    /* Once a process for each directory, as it is spelt: this one is new. */
    const again = `${directory}/./file`;
    const { swept } = await later(t, HOUR_MS + 60_000, () => replace(again, 'new'));
    equal(swept, 1);
    assertHoldsOnly(directory, ['file']);
    equal(readFileSync(path, 'latin1'), 'new');
  },
);

everywhere('sweeps once, and not when told not to', async (t, { replace }) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  const reports: number[] = [];
  const sweepLater = (options: object): Promise<void> =>
    later(t, 2 * HOUR_MS, async () => {
      reports.push((await replace(path, 'x', options)).swept);
    });
  writeFileSync(join(directory, staleName(1)), 'stale');
  await sweepLater({ sweep: false });
  await sweepLater({});
  writeFileSync(join(directory, staleName(2)), 'stale');
  await sweepLater({});
  deepEqual(reports, [0, 1, 0]);
  assertHoldsOnly(directory, ['file', staleName(2)]);
});

everywhere("leaves strangers' files, whatever their age", async (t, { replace }) => {
  const directory = scratch(t);
  const hex = '0123456789abcdef0123456789abcdef';
  const names = [
    `.holdfast-${hex}`,
    `.holdfast-${hex}.tmp~`,
    `.holdfast-${hex.slice(1)}.tmp`,
    `.holdfast-${hex}0.tmp`,
    `.holdfast-${hex.toUpperCase()}.tmp`,
    `.holdfast-${hex.replace('0', 'g')}.tmp`,
    `a.holdfast-${hex}.tmp`,
    `.holdfast-${hex}.tmp\n`,
    'file.1234',
  ];
  for (const name of names) writeFileSync(join(directory, name), 'mine');
  const [folder, link, fifo] = [staleName(1), staleName(2), staleName(3)];
  mkdirSync(join(directory, folder));
  symlinkSync('file.1234', join(directory, link));
  execFileSync('mkfifo', [join(directory, fifo)]);
  const path = join(directory, 'file');
  const { swept } = await later(t, 2 * HOUR_MS, () => replace(path, 'new'));
  equal(swept, 0);
  assertHoldsOnly(directory, ['file', folder, link, fifo, ...names]);
});

everywhere('sweeps a directory of thousands', async (t, { replace }) => {
  const directory = scratch(t);
  const padding = 'n'.repeat(60);
  for (let index = 0; index < 1500; index++) {
    writeFileSync(join(directory, `${padding}${index}`), '');
    if (index % 30 === 0) writeFileSync(join(directory, staleName(index)), '');
  }
  const { swept } = await later(t, 2 * HOUR_MS, () => replace(join(directory, 'file'), 'new'));
  equal(swept, 50);
  deepEqual(temporaries(directory), []);
});

onEngines('a writer that lives keeps its file while it is locked', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  const writer = await writerOf(directory, engine.name as EngineWord);
  const other = `${directory}/other`;
  const { swept } = await later(t, 2 * HOUR_MS, () => replaceFile(other, 'x', { engine }));
  writeFileSync(join(directory, 'go'), '');
  const { stdout } = await writer.ended;
  if (engine.capabilities.locks === true) {
    equal(swept, 0);
    match(stdout, /done/);
    match(readFileSync(path, 'latin1'), /^half .*the rest$/);
  } else {
    /* Without locks the age alone decides: who is robbed fails whole. */
    equal(swept, 1);
    match(stdout, /refused ENOENT rename old/);
    equal(readFileSync(path, 'latin1'), 'old');
  }
  deepEqual(temporaries(directory), []);
});

test('a writer robbed by an engine without locks fails whole', async (t) => {
  const pool = engineHere('pool');
  const portable = engineHere('portable');
  if (typeof pool === 'string' || typeof portable === 'string') {
    const reason = `needs both engines: ${pool}`;
    t.diagnostic(`NOT TESTED: ${reason}`);
    return t.skip(reason);
  }
  const directory = scratch(t);
  const path = join(directory, 'file');
  const writer = await writerOf(directory, 'pool');
  const other = join(directory, 'other');
  await later(t, 2 * HOUR_MS, () => replaceFile(other, 'x', { engine: portable }));
  writeFileSync(join(directory, 'go'), '');
  match((await writer.ended).stdout, /refused ENOENT rename old/);
  ok(!existsSync(path));
});

/** batch(): in order, until the first refusal, with one sync for each directory. */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AbortError, BatchError, batch, replaceFile } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { onAllDoors } from './directory/doors.js';
import { engineWords, missingHere } from './replace/worlds.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';
import { callsBetween, markSource, traceFor } from './support/strace.js';

onAllDoors('batch() does what was asked, in order, and tells', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  writeFileSync(join(home, 'old'), 'old');
  mkdirSync(join(home, 'tree/a'), { recursive: true });
  const { engine } = doors;
  const changes = batch({ engine })
    .makeDirectory(join(home, 'a/b'))
    .write(join(home, 'a/b/one'), 'one', { mode: 0o600 })
    .write(join(home, 'a/b/two'), [Buffer.from('t'), Buffer.from('wo')])
    .copy(join(home, 'a/b/one'), join(home, 'copy'))
    .move(join(home, 'a/b/two'), join(home, 'two'))
    .remove(join(home, 'old'))
    .remove(join(home, 'never'), { mustExist: false })
    .removeTree(join(home, 'tree'));
  equal(changes.count, 8);
  deepEqual(await doors.run(changes), {
    completed: 8,
    bytes: 9,
    directories: 3,
    durability: 'full',
    engine: engine.name,
    fallbacks: [],
  });
  deepEqual(readdirSync(home).sort(), ['a', 'copy', 'two']);
  deepEqual(readdirSync(join(home, 'a/b')), ['one']);
  equal(readFileSync(join(home, 'two'), 'utf8'), 'two');
  assertNoNewDescriptors(before);
});

onAllDoors('batch() stops at the first refusal and tells what is done', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  const changes = batch({ engine: doors.engine })
    .write(join(home, 'one'), 'one')
    .makeDirectory(join(home, 'two'))
    .remove(join(home, 'none'))
    .write(join(home, 'three'), 'three');
  await rejects(doors.run(changes), (error: unknown) => {
    ok(error instanceof BatchError);
    deepEqual([error.index, error.completed, error.operation], [2, 2, 'remove']);
    deepEqual([error.code, error.kind, error.step], ['ENOENT', 'not-found', 'unlink']);
    equal(error.path, join(home, 'none'));
    equal(error.completedDurable, true);
    ok(error.cause instanceof Error);
    return true;
  });
  deepEqual(readdirSync(home).sort(), ['one', 'two']);
  assertNoNewDescriptors(before);
});

for (const word of engineWords) {
  const skip = missingHere(word);
  test(`batch() syncs each directory once, after everything (${word})`, { skip }, async (t) => {
    const home = scratch(t);
    mkdirSync(join(home, 'a'));
    mkdirSync(join(home, 'b'));
    symlinkSync('../b/behind', join(home, 'a/link'));
    const source = `${markSource}
      import { batch, configure } from 'holdfast';
      configure({ engine: '${word}' });
      const home = process.argv[1];
      const some = (options) => {
        const one = batch(options);
        for (let n = 0; n < 20; n++) one.write(home + '/a/' + n, 'x').write(home + '/b/' + n, 'x');
        return one.remove(home + '/a/0').move(home + '/a/1', home + '/b/moved');
      };
      mark('durable'); some().write(home + '/a/link', 'x').runSync();
      mark('loose'); some({ durable: false }).runSync();
      mark('end');`;
    const calls = ['fsync', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat'];
    const trace = await traceFor(t, { source, args: [home], calls, stringBytesMax: 300 });
    if (trace === undefined) return;
    equal(trace.code, 0, trace.stderr);
    const made = callsBetween(trace.calls, 'durable', 'loose');
    const syncs = made.filter(({ name, args }) => name === 'fsync' && !args.includes('.tmp'));
    const synced = syncs.map(({ args }) => /<(.*)>/.exec(args)?.[1]);
    deepEqual(synced.sort(), [join(home, 'a'), join(home, 'b')]);
    equal(
      made.slice(-2).every(({ name }) => name === 'fsync'),
      true,
      'the last two calls',
    );
    equal(made.filter(({ name }) => name === 'fsync').length, 41 + 2, 'each file, too');
    const loose = callsBetween(trace.calls, 'loose', 'end');
    equal(loose.filter(({ name }) => name === 'fsync').length, 0);
    equal(readFileSync(join(home, 'b/behind'), 'utf8'), 'x');
  });
}

test('batch() of more directories than should be held syncs all of them', async () => {
  const disk = simulatedDisk(1, { descriptorsMax: 300 });
  const changes = batch({ engine: disk.engine });
  for (let index = 0; index < 700; index++) changes.write(`/d${index}/file`, 'x');
  for (let index = 0; index < 700; index++) disk.makeDirectory(`/d${index}`);
  const report = await changes.run();
  deepEqual([report.completed, report.directories], [700, 700]);
  const after = disk.crash({ keep: 'none' });
  for (let index = 0; index < 700; index++) ok(after.read(`/d${index}/file`), `${index}`);
  deepEqual(disk.openDescriptors, []);
});

test('batch() takes turns with replaces of the same path', async (t) => {
  const home = scratch(t);
  const path = join(home, 'file');
  const large = batch().write(path, 'x'.repeat(8_000_000)).run();
  const small = replaceFile(path, 'small');
  await Promise.all([large, small]);
  equal(readFileSync(path, 'utf8'), 'small', 'the later call ends later');
});

test('batch() that is aborted tells how far it came', async (t) => {
  const home = scratch(t);
  const controller = new AbortController();
  const changes = batch().write(join(home, 'one'), 'one').write(join(home, 'two'), 'two');
  const running = changes.run({ signal: controller.signal });
  controller.abort('enough');
  await rejects(running, (error: unknown) => {
    ok(error instanceof AbortError);
    const { completed, completedDurable } = error as AbortError & Partial<BatchError>;
    equal(typeof completed, 'number');
    equal(completedDurable, true);
    return true;
  });
  equal(existsSync(join(home, 'two')), false);
});

test('batch() refuses bad input at once, and runs once', async (t) => {
  const home = scratch(t);
  throws(() => batch({ durable: 'file' as 'full' }), /options.durable/);
  const changes = batch();
  throws(() => changes.write('', 'x'), /"path"/);
  throws(() => changes.write(join(home, 'a'), 7 as unknown as string), /"data"/);
  throws(() => changes.write(join(home, 'a'), 'x', { mode: -1 }), /options.mode/);
  throws(() => changes.move(join(home, 'a'), ''), /"target"/);
  equal(changes.count, 0);
  await changes.run();
  await rejects(changes.run(), TypeError);
  throws(() => changes.remove(join(home, 'a')), /runs once/);
  deepEqual(readdirSync(home), []);
});

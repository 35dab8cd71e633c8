/** moveFile(): by a rename, without replacing, over two names of one file, to another device. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { onAllDoors, refusedAs } from './directory/doors.js';
import { engineWords, missingHere } from './replace/worlds.js';
import { mountFor } from './support/mounts.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';
import { callsBetween, markSource, traceFor } from './support/strace.js';

onAllDoors('moveFile() gives a file another name and tells', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  mkdirSync(join(home, 'there'));
  writeFileSync(join(home, 'file'), 'content');
  const [source, target] = [join(home, 'file'), join(home, 'there/new')];
  deepEqual(await doors.move(source, target), {
    path: source,
    dest: target,
    method: 'rename',
    replaced: false,
    durability: 'full',
    engine: doors.engine.name,
    fallbacks: [],
  });
  equal(readFileSync(target, 'utf8'), 'content');
  writeFileSync(source, 'next');
  equal((await doors.move(source, target)).replaced, true);
  equal(readFileSync(target, 'utf8'), 'next');
  deepEqual(readdirSync(home), ['there']);
  assertNoNewDescriptors(before);
});

onAllDoors('moveFile() moves directories, links and any name', async (t, doors) => {
  const home = scratch(t);
  mkdirSync(join(home, 'a/b'), { recursive: true });
  symlinkSync('a', join(home, 'link'));
  await doors.move(`${home}/a/`, `${home}/c`);
  ok(statSync(join(home, 'c/b')).isDirectory());
  await doors.move(join(home, 'link'), join(home, 'c/link'));
  equal(readlinkSync(join(home, 'c/link')), 'a');
  const raw = Buffer.concat([Buffer.from(`${home}/`), Buffer.from([0xff, 0xfe])]);
  await doors.move(join(home, 'c/link'), raw);
  await doors.move(raw, join(home, 'n'.repeat(255)));
  deepEqual(readdirSync(home).sort(), ['c', 'n'.repeat(255)]);
});

onAllDoors('moveFile() with replace: false leaves what stands', async (t, doors) => {
  const home = scratch(t);
  const [source, target] = [join(home, 'source'), join(home, 'target')];
  writeFileSync(source, 'new');
  writeFileSync(target, 'old');
  const without = { replace: false };
  equal(await refusedAs(doors.move(source, target, without)), 'EEXIST exists inspect');
  equal(readFileSync(target, 'utf8'), 'old');
  const { method } = await doors.move(source, join(home, 'free'), without);
  equal(method, doors.engine.name === 'portable' ? 'link' : 'rename without replacing');
  deepEqual(readdirSync(home).sort(), ['free', 'target']);
});

/*
 * rename(2) of two names of one file does nothing and answers 0: the old name stays, and who trusts
 * it has not moved. mv(1) removes the old name then.
 */
onAllDoors('moveFile() over another name of the file removes the old one', async (t, doors) => {
  const home = scratch(t);
  const [source, target] = [join(home, 'source'), join(home, 'target')];
  writeFileSync(source, 'content');
  linkSync(source, target);
  equal((await doors.move(source, target)).method, 'unlink');
  deepEqual(readdirSync(home), ['target']);
  linkSync(target, source);
  equal((await doors.move(target, `${home}/./target`)).method, 'nothing');
  deepEqual(readdirSync(home).sort(), ['source', 'target'], 'one name is not two');
  equal((await doors.move(target, target)).method, 'nothing');
});

onAllDoors('moveFile() refuses what cannot be', async (t, doors) => {
  const home = scratch(t);
  const before = openDescriptors();
  mkdirSync(join(home, 'directory/under'), { recursive: true });
  writeFileSync(join(home, 'file'), '');
  const move = (source: string, target: string): Promise<string> => {
    return refusedAs(doors.move(join(home, source), join(home, target)));
  };
  equal(await move('none', 'file'), 'ENOENT not-found inspect');
  equal(await move('file', 'none/file'), 'ENOENT not-found open the directory');
  equal(await move('file', 'directory'), 'EISDIR wrong-type rename');
  equal(await move('directory', 'file'), 'ENOTDIR wrong-type rename');
  equal(await move('directory', 'directory/under/below'), 'EINVAL invalid rename');
  equal(await move('file', 'n'.repeat(256)), 'ENAMETOOLONG invalid rename');
  deepEqual(readdirSync(home).sort(), ['directory', 'file']);
  assertNoNewDescriptors(before);
});

for (const word of engineWords) {
  const skip = missingHere(word);
  test(`moveFile() syncs both directories, the target's first (${word})`, { skip }, async (t) => {
    const home = scratch(t);
    mkdirSync(join(home, 'there'));
    for (const name of ['one', 'two', 'three']) writeFileSync(join(home, name), '');
    const source = `${markSource}
      import { configure, moveFileSync } from 'holdfast';
      configure({ engine: '${word}' });
      const home = process.argv[1];
      mark('two'); moveFileSync(home + '/one', home + '/there/one');
      mark('one'); moveFileSync(home + '/two', home + '/other');
      mark('none'); moveFileSync(home + '/three', home + '/there/3', { durable: false });
      mark('end');`;
    const calls = ['rename', 'renameat', 'renameat2', 'fsync'];
    const trace = await traceFor(t, { source, args: [home], calls, stringBytesMax: 300 });
    if (trace === undefined) return;
    equal(trace.code, 0, trace.stderr);
    const story = (from: string, to: string): string[] =>
      callsBetween(trace.calls, from, to).map(({ name, args }) => {
        return name === 'fsync' ? (/<(.*)>/.exec(args)?.[1] ?? args) : 'rename';
      });
    deepEqual(story('two', 'one'), ['rename', join(home, 'there'), home]);
    deepEqual(story('one', 'none'), ['rename', home]);
    deepEqual(story('none', 'end'), ['rename']);
  });
}

onAllDoors('moveFile() to another file system copies first, then removes', async (t, doors) => {
  const home = scratch(t);
  const mount = mountFor(t, 'tmpfs');
  if (mount === undefined) return;
  const before = openDescriptors();
  const [source, target] = [join(home, 'file'), join(mount.path, 'file')];
  writeFileSync(source, 'content', { mode: 0o640 });
  const { mtimeMs } = statSync(source);
  const report = await doors.move(source, target);
  deepEqual([report.method, report.replaced], ['copy', false]);
  equal(readFileSync(target, 'utf8'), 'content');
  equal(statSync(target).mode & 0o7777, 0o640);
  ok(Math.abs(statSync(target).mtimeMs - mtimeMs) < 1, 'times are those of the old name');
  equal(existsSync(source), false);
  writeFileSync(source, 'next');
  equal(await refusedAs(doors.move(source, target, { replace: false })), 'EEXIST exists inspect');
  equal((await doors.move(source, target)).replaced, true);
  deepEqual(readdirSync(mount.path), ['file']);
  assertNoNewDescriptors(before);
});

onAllDoors('moveFile() takes links and trees to another file system', async (t, doors) => {
  const home = scratch(t);
  const mount = mountFor(t, 'tmpfs');
  if (mount === undefined) return;
  symlinkSync('some/where', join(home, 'link'));
  equal((await doors.move(join(home, 'link'), join(mount.path, 'link'))).method, 'copy');
  equal(readlinkSync(join(mount.path, 'link')), 'some/where');
  mkdirSync(join(home, 'tree/a'), { recursive: true });
  writeFileSync(join(home, 'tree/a/file'), 'content');
  symlinkSync('a/file', join(home, 'tree/link'));
  equal((await doors.move(join(home, 'tree'), join(mount.path, 'tree'))).method, 'copy');
  equal(readFileSync(join(mount.path, 'tree/link'), 'utf8'), 'content');
  ok(lstatSync(join(mount.path, 'tree/link')).isSymbolicLink());
  deepEqual(readdirSync(home), []);
  deepEqual(readdirSync(mount.path).sort(), ['link', 'tree']);
});

/** Names: symbolic links, planted files, long and strange names, targets that are no files. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { everywhere, needsRoot, onEngines, refusalOf, reports, worldOf } from './replace/worlds.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';

interface Maze {
  readonly root: string;
  /** Names of links that lead to `data/file`. */
  readonly links: readonly string[];
}

/** Links of every sort to one file. */
function maze(root: string): Maze {
  for (const name of ['data', 'links', 'deep', 'deep/er']) mkdirSync(join(root, name));
  const links: Readonly<Record<string, string>> = {
    'links/relative': '../data/file',
    'links/absolute': join(root, 'data/file'),
    'links/chain': 'relative',
    'links/long chain': './chain',
    beside: 'data/../data/./file',
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, name));
  /* `folder` leads to deep/er, so `folder/..` is deep and not the root. */
  symlinkSync('deep/er', join(root, 'folder'));
  symlinkSync('folder/../up', join(root, 'over'));
  symlinkSync('../data/file', join(root, 'deep/up'));
  const through = ['over', 'folder/../up', 'folder/../../data/file'];
  return { root, links: [...Object.keys(links), ...through] };
}

everywhere('writes to where a link leads, and keeps the link', async (t, { replace }) => {
  const { root, links } = maze(scratch(t));
  const path = join(root, 'data/file');
  writeFileSync(path, 'old');
  for (const name of links) {
    const report = await replace(`${root}/${name}`, `through ${name}`);
    equal(readFileSync(path, 'latin1'), `through ${name}`, name);
    reports(report, { replaced: true });
    assertHoldsOnly(join(root, 'data'), ['file']);
  }
  assertHoldsOnly(join(root, 'links'), ['absolute', 'chain', 'long chain', 'relative']);
  assertHoldsOnly(root, ['beside', 'data', 'deep', 'folder', 'links', 'over']);
  equal(readlinkSync(join(root, 'links/relative')), '../data/file');
});

everywhere('makes the target of a dangling link', async (t, { replace }) => {
  const { root, links } = maze(scratch(t));
  const path = join(root, 'data/file');
  for (const name of links) {
    if (existsSync(path)) execFileSync('rm', [path]);
    reports(await replace(`${root}/${name}`, 'made'), { replaced: false });
    equal(readFileSync(path, 'latin1'), 'made');
    ok(lstatSync(path).isFile());
  }
  symlinkSync('nowhere/file', join(root, 'lost'));
  const refused = replace(join(root, 'lost'), 'x');
  await refusalOf(refused, { code: 'ENOENT', kind: 'not-found', step: 'open the directory' });
});

everywhere('with ifAbsent makes the target of a dangling link once', async (t, { replace }) => {
  const root = scratch(t);
  symlinkSync('file', join(root, 'link'));
  await replace(join(root, 'link'), 'first', { ifAbsent: true });
  await refusalOf(replace(join(root, 'link'), 'second', { ifAbsent: true }), { code: 'EEXIST' });
  equal(readFileSync(join(root, 'file'), 'latin1'), 'first');
});

everywhere('refuses links that lead in a circle', async (t, { replace }) => {
  const root = scratch(t);
  const before = openDescriptors();
  symlinkSync('self', join(root, 'self'));
  symlinkSync('b', join(root, 'a'));
  symlinkSync('a', join(root, 'b'));
  for (const name of ['self', 'a', 'b', 'self/file']) {
    await refusalOf(replace(join(root, name), 'x'), { code: 'ELOOP', kind: 'loop' });
  }
  assertHoldsOnly(root, ['a', 'b', 'self']);
  assertNoNewDescriptors(before);
});

everywhere('follows 40 links and not 41', async (t, { replace }) => {
  const root = scratch(t);
  writeFileSync(join(root, '0'), 'old');
  for (let link = 1; link <= 41; link++) symlinkSync(`${link - 1}`, join(root, `${link}`));
  await replace(join(root, '40'), 'new');
  equal(readFileSync(join(root, '0'), 'latin1'), 'new');
  await refusalOf(replace(join(root, '41'), 'x'), { code: 'ELOOP' });
});

everywhere('puts a file in the place of a link when told not to follow', async (t, { replace }) => {
  const root = scratch(t);
  writeFileSync(join(root, 'file'), 'old', { mode: 0o600 });
  for (const target of ['file', 'nowhere', 'link', '.']) {
    const path = join(root, 'link');
    execFileSync('rm', ['-f', path]);
    symlinkSync(target, path);
    const { path: told } = await replace(path, 'in its place', { followSymlink: false });
    equal(told, path);
    ok(lstatSync(path).isFile());
    equal(readFileSync(path, 'latin1'), 'in its place');
  }
  equal(readFileSync(join(root, 'file'), 'latin1'), 'old');
  assertHoldsOnly(root, ['file', 'link']);
  execFileSync('rm', [join(root, 'link')]);
  symlinkSync('file', join(root, 'link'));
  const options = { followSymlink: false, ifAbsent: true };
  await refusalOf(replace(join(root, 'link'), 'x', options), { code: 'EEXIST' });
  equal(readlinkSync(join(root, 'link')), 'file');
});

/*
 * A link that leads to a name that is not UTF-8 was read as text: the content went to a file whose
 * name had U+FFFD in it, beside the one that was meant. What guards it: names as bytes.
 */
everywhere('follows a link to a name that is not UTF-8', async (t, { replace }) => {
  const root = scratch(t);
  const name = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff, 0xfe])]);
  writeFileSync(name, 'old');
  symlinkSync(name, join(root, 'link'));
  symlinkSync(Buffer.from([0x66, 0xff, 0xfe]), join(root, 'grün'));
  for (const link of ['link', 'grün']) {
    await replace(join(root, link), `through ${link}`);
    equal(readFileSync(name, 'utf8'), `through ${link}`);
  }
  equal(readdirSync(root).length, 3);
});

everywhere('takes names of any bytes', async (t, { replace }) => {
  const root = scratch(t);
  const names = [
    Buffer.from('new\nline'),
    Buffer.from('tab\t \\ "quoted" \u{1f33f}'),
    Buffer.from([0xff, 0xfe, 0x80]),
    Buffer.from('-rf'),
    Buffer.from('...'),
    Buffer.from('.holdfast-'),
    Buffer.from(' '),
  ];
  for (const [index, name] of names.entries()) {
    const path = Buffer.concat([Buffer.from(`${root}/`), name]);
    reports(await replace(path, 'first'), { replaced: false });
    reports(await replace(path, `content ${index}`), { replaced: true });
    equal(readFileSync(path, 'latin1'), `content ${index}`);
  }
  const made = readdirSync(root, { encoding: 'buffer' }).map((name) => name.toString('hex'));
  deepEqual(made.sort(), names.map((name) => name.toString('hex')).sort());
});

everywhere('works in a directory whose name is not UTF-8', async (t, { replace }) => {
  const directory = Buffer.concat([Buffer.from(`${scratch(t)}/`), Buffer.from([0xe4, 0x20])]);
  mkdirSync(directory);
  const path = Buffer.concat([directory, Buffer.from('/file')]);
  await replace(path, 'old');
  await replace(path, 'new');
  equal(readFileSync(path, 'latin1'), 'new');
  deepEqual(readdirSync(directory), ['file']);
});

everywhere('takes a name of 255 bytes and refuses one of 256', async (t, { replace }) => {
  const root = scratch(t);
  const long = 'n'.repeat(255);
  await replace(join(root, long), 'old');
  await replace(join(root, long), 'new');
  equal(readFileSync(join(root, long), 'latin1'), 'new');
  const refused = replace(join(root, `${long}n`), 'x');
  await refusalOf(refused, { code: 'ENAMETOOLONG', kind: 'invalid', step: 'inspect the target' });
  assertHoldsOnly(root, [long]);
});

everywhere('works in the working directory and refuses what is none', async (t, { replace }) => {
  const root = scratch(t);
  const was = process.cwd();
  process.chdir(root);
  t.after(() => process.chdir(was));
  await replace('file', 'a');
  await replace('./file', 'b');
  equal(readFileSync(join(root, 'file'), 'latin1'), 'b');
  for (const path of ['.', '..', './', 'file/', 'file/.', '/', `${root}/..`]) {
    await refusalOf(replace(path, 'x'), { code: 'EISDIR', kind: 'wrong-type', path });
  }
  assertHoldsOnly(root, ['file']);
  process.chdir(was);
});

everywhere('refuses targets that are no files', async (t, { replace }) => {
  const root = scratch(t);
  const before = openDescriptors();
  mkdirSync(join(root, 'directory'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  const server = createServer();
  t.after(() => void server.close());
  await new Promise<void>((resolve) => server.listen(join(root, 'socket'), resolve));
  await refusalOf(replace(join(root, 'directory'), 'x'), { code: 'EISDIR', kind: 'wrong-type' });
  for (const path of [join(root, 'fifo'), join(root, 'socket'), '/dev/null', '/dev/full']) {
    await refusalOf(replace(path, 'x'), { code: 'ERR_WRONG_TYPE', kind: 'wrong-type', path });
  }
  symlinkSync('fifo', join(root, 'link'));
  await refusalOf(replace(join(root, 'link'), 'x'), { code: 'ERR_WRONG_TYPE' });
  ok(lstatSync(join(root, 'fifo')).isFIFO());
  assertHoldsOnly(root, ['directory', 'fifo', 'link', 'socket']);
  server.close();
  await new Promise((resolve) => setImmediate(resolve));
  assertNoNewDescriptors(before);
});

everywhere('refuses a parent that is missing or no directory', async (t, { replace }) => {
  const root = scratch(t);
  writeFileSync(join(root, 'file'), 'old');
  const step = 'open the directory';
  const lost = join(root, 'missing/file');
  await refusalOf(replace(lost, 'x'), { code: 'ENOENT', kind: 'not-found', step, path: lost });
  const inside = join(root, 'file/inside');
  await refusalOf(replace(inside, 'x'), { code: 'ENOTDIR', kind: 'wrong-type', step });
  assertHoldsOnly(root, ['file']);
});

everywhere('refuses a target that is a mount point, and keeps it', async (t, { replace }) => {
  if (!needsRoot(t)) return;
  const root = scratch(t);
  writeFileSync(join(root, 'source'), 'mounted');
  writeFileSync(join(root, 'file'), 'below');
  execFileSync('mount', ['--bind', join(root, 'source'), join(root, 'file')]);
  try {
    const refused = replace(join(root, 'file'), 'x');
    await refusalOf(refused, { code: 'EBUSY', kind: 'busy', step: 'rename' });
    equal(readFileSync(join(root, 'file'), 'latin1'), 'mounted');
  } finally {
    execFileSync('umount', [join(root, 'file')]);
  }
  equal(readFileSync(join(root, 'file'), 'latin1'), 'below');
  assertHoldsOnly(root, ['file', 'source']);
});

/*
 * A peer follows a symbolic link planted at its temporary name, which can be foreseen, and so
 * overwrites any file that the writer may write. Ours cannot be foreseen; what stands at a name
 * is refused all the same (O_EXCL), as replace-order.test.ts sees.
 */
onEngines('a planted name is never used', async (t, engine) => {
  const root = scratch(t);
  writeFileSync(join(root, 'victim'), 'untouched');
  const { replace } = worldOf('replaceFile', engine);
  const names: string[] = [];
  const onTemporary = (name: string): void => {
    names.push(name);
    symlinkSync('victim', `${name}.next`);
  };
  for (let round = 0; round < 20; round++) {
    await replace(join(root, 'file'), `content ${round}`, { onTemporary });
    const planted = names.at(-1) as string;
    symlinkSync('victim', planted);
    writeFileSync(`${planted}~`, 'untouched');
  }
  equal(new Set(names).size, 20);
  equal(readFileSync(join(root, 'victim'), 'latin1'), 'untouched');
  equal(readFileSync(join(root, 'file'), 'latin1'), 'content 19');
});

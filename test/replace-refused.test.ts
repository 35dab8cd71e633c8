/** What administrators, other users and other processes put in the way: nothing is lost to them. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { replaceFile } from 'holdfast';
import { Code } from '#holdfast/platform.js';
import { FaultyEngine, type Judge } from './replace/faulty.js';
import {
  type EngineWord,
  engineHere,
  engineWords,
  everywhere,
  facesOn,
  fallbacksIn,
  modeAt,
  needsRoot,
  pieces,
  refusalOf,
  temporaries,
  worldOf,
} from './replace/worlds.js';
import { Child, hasTool, outputOf, toolEnvironment } from './support/child.js';
import { mountFor } from './support/mounts.js';
import { assertHoldsOnly, scratch } from './support/scratch.js';
import { straceRefusal } from './support/strace.js';

const NOBODY = 65534;

/** Runs lines in a child that is nobody; `told(path, data)` prints how each face ended. */
function asNobody(word: EngineWord, lines: string): Promise<string> {
  return outputOf({
    source: `import { configure, replaceFile, replaceFileSync } from 'holdfast';
      configure({ engine: '${word}' });
      process.setgroups([]); process.setgid(${NOBODY}); process.setuid(${NOBODY});
      const told = async (path, data) => {
        for (const replace of [replaceFile, replaceFileSync]) {
          try {
            const { fallbacks } = await replace(path, data, { sweep: false });
            console.log('done', fallbacks.map(({ what }) => what).join());
          } catch ({ code, kind, step, durable }) {
            console.log(code, kind, step, durable);
          }
        }
      };
      ${lines}`,
  });
}

function onWords(
  criterion: string,
  run: (t: TestContext, word: EngineWord) => Promise<void>,
): void {
  for (const word of engineWords) {
    test(`a replace ${criterion} (${word})`, async (t) => {
      if (!needsRoot(t)) return;
      const engine = engineHere(word);
      if (typeof engine !== 'string') return run(t, word);
      t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
      t.skip(engine);
    });
  }
}

/* path_resolution(7): in a sticky directory a name may be replaced by its owner alone. */
onWords("of another's file in a sticky directory is refused", async (t, word) => {
  const directory = scratch(t);
  chmodSync(directory, 0o1777);
  const path = join(directory, 'file');
  writeFileSync(path, 'old', { mode: 0o666 });
  chmodSync(path, 0o666);
  const told = await asNobody(word, `await told('${path}', 'new');`);
  deepEqual(told.trim().split('\n'), Array(2).fill('EPERM access rename old'));
  equal(readFileSync(path, 'latin1'), 'old');
  assertHoldsOnly(directory, ['file']);
});

onWords('in a directory that is not ours to write is refused', async (t, word) => {
  const directory = scratch(t);
  chmodSync(directory, 0o755);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  chownSync(path, NOBODY, NOBODY);
  const told = await asNobody(word, `await told('${path}', 'new');`);
  deepEqual(told.trim().split('\n'), Array(2).fill('EACCES access create the temporary file old'));
  equal(readFileSync(path, 'latin1'), 'old');
});

/* A link planted in a sticky directory, to make root write where the planter may not. */
onWords('through a link planted by another in a sticky directory is told', async (t, word) => {
  const root = scratch(t);
  chmodSync(root, 0o755);
  const directory = join(root, 'shared');
  mkdirSync(directory);
  chmodSync(directory, 0o1777);
  const precious = join(root, 'precious');
  writeFileSync(precious, 'old');
  const path = join(directory, 'state');
  await asNobody(word, `(await import('node:fs')).symlinkSync('${precious}', '${path}');`);
  const engine = engineHere(word);
  if (typeof engine === 'string') return;
  const report = await replaceFile(path, 'new', { engine, followSymlink: false });
  equal(report.path, path);
  equal(readFileSync(precious, 'latin1'), 'old');
  equal(readFileSync(path, 'latin1'), 'new');
});

everywhere('of an immutable file, or in such a directory, is refused', async (t, { replace }) => {
  if (!needsRoot(t)) return;
  if (!hasTool('chattr')) return t.skip('chattr (e2fsprogs) is not installed');
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const directory = join(mount.path, 'd');
  mkdirSync(directory);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  const change = (flags: string, of: string): unknown =>
    execFileSync('chattr', [flags, of], { env: toolEnvironment });
  for (const flag of ['i', 'a']) {
    change(`+${flag}`, path);
    await refusalOf(replace(path, 'new'), { code: 'EPERM', kind: 'access', step: 'rename' });
    change(`-${flag}`, path);
    equal(readFileSync(path, 'latin1'), 'old');
    assertHoldsOnly(directory, ['file']);
  }
  change('+i', directory);
  const step = 'create the temporary file';
  await refusalOf(replace(path, 'new'), { code: 'EPERM', kind: 'access', step });
  change('-i', directory);
  equal(readFileSync(path, 'latin1'), 'old');
  assertHoldsOnly(directory, ['file']);
});

/*
 * FAT has no such modes and says EPERM (fat_setattr): every new file was refused there. The kernel
 * of this test has no FAT, so the answer is made.
 */
everywhere('where there are no modes is done, and tells', async (t, { face, engine: inner }) => {
  for (const refuse of ['EPERM', 'ENOTSUP', 'ENOSYS', 'EINVAL', 'EIO']) {
    const judge: Judge = ({ code }) => (code === Code.SetMode ? { refuse } : undefined);
    const { replace } = worldOf(face, new FaultyEngine(inner, judge));
    const directory = scratch(t);
    const path = join(directory, 'file');
    if (refuse === 'EIO') {
      await refusalOf(replace(path, 'x'), { code: 'EIO', step: 'set the mode' });
      assertHoldsOnly(directory, []);
      continue;
    }
    const report = await replace(path, 'new');
    ok(fallbacksIn(report).includes('mode'), 'a mode that could not be set is told');
    equal(readFileSync(path, 'latin1'), 'new');
    equal(modeAt(path), 0o600, 'never more than the temporary file had');
    await refusalOf(replace(path, 'x', { mode: 0o640 }), { code: refuse, step: 'set the mode' });
    equal(readFileSync(path, 'latin1'), 'new');
    assertHoldsOnly(directory, ['file']);
  }
});

onWords('beyond a quota is refused and keeps the old', async (t, word) => {
  const mount = mountFor(t, 'btrfs');
  if (mount === undefined) return;
  const env = toolEnvironment;
  const btrfs = (...words: string[]): unknown =>
    execFileSync('btrfs', words, { env, stdio: 'pipe' });
  const home = join(mount.path, 'limited');
  btrfs('subvolume', 'create', home);
  btrfs('quota', 'enable', mount.path);
  btrfs('qgroup', 'limit', '2M', home);
  const path = join(home, 'file');
  writeFileSync(path, 'old', { flush: true });
  const engine = engineHere(word);
  if (typeof engine === 'string') return;
  for (const face of facesOn(engine)) {
    const { replace } = worldOf(face, engine);
    const error = await refusalOf(replace(path, Buffer.alloc(8_000_000, 1)), {
      code: 'EDQUOT',
      kind: 'quota',
    });
    ok(['write', 'sync the file'].includes(error.step as string), error.step);
    equal(readFileSync(path, 'latin1'), 'old');
    assertHoldsOnly(home, ['file']);
  }
  const pieceByPiece = replaceFile(path, pieces(...Array(200).fill(Buffer.alloc(40_000))), {
    engine,
  });
  await refusalOf(pieceByPiece, { code: 'EDQUOT', kind: 'quota' });
  equal(readFileSync(path, 'latin1'), 'old');
  assertHoldsOnly(home, ['file']);
});

/* --------------------------------------------------------------- sweeps and live writers */

const HOURS_MS = 7_200_000;

/** Replaces another file in the directory with a clock that is two hours on: it sweeps. */
async function sweepLater(t: TestContext, directory: string): Promise<number> {
  const now = performance.now.bind(performance);
  const value = (): number => now() + HOURS_MS;
  Object.defineProperty(performance, 'now', { configurable: true, value });
  const restore = (): void => {
    Reflect.deleteProperty(performance, 'now');
  };
  t.after(restore);
  try {
    return (await replaceFile(`${directory}/${'./'.repeat(++sweeps)}other`, 'x')).swept;
  } finally {
    restore();
  }
}

let sweeps = 0;

/*
 * The temporary file of a replace in one go had no lock: one that was stopped for an hour, by
 * SIGSTOP or a sleeping machine, lost its file to a sweep. What guards it: the lock, held from the
 * creation until the file has its name.
 */
test('a writer stopped just before its rename keeps its file', async (t) => {
  if (typeof engineHere('pool') === 'string') return t.skip('without the addon there are no locks');
  if (straceRefusal() !== undefined) return t.skip(straceRefusal());
  for (const face of ['replaceFile', 'replaceFileSync']) {
    const directory = scratch(t);
    const path = join(directory, 'file');
    writeFileSync(path, 'old');
    const writer = new Child({
      source: `
        import { ${face} } from 'holdfast';
        const told = await ${face}(process.argv[1], 'new', { sweep: false });
        console.log('done', told.durability);`,
      args: [path],
      under: [
        'strace',
        '-f',
        '-qq',
        '-o',
        '/dev/null',
        '-e',
        'inject=renameat2:delay_enter=700000',
      ],
    });
    while (temporaries(directory).length === 0) await new Promise((r) => setTimeout(r, 2));
    while (statSync(join(directory, temporaries(directory)[0] as string)).size === 0) {
      await new Promise((r) => setTimeout(r, 2));
    }
    equal(await sweepLater(t, directory), 0, 'a live writer is not robbed');
    equal(temporaries(directory).length, 1);
    match((await writer.ended).stdout, /done full/);
    equal(readFileSync(path, 'latin1'), 'new');
    assertHoldsOnly(directory, ['file', 'other']);
  }
});

test('a sweep takes what the killed left, beside writers that live', async (t) => {
  if (typeof engineHere('pool') === 'string') return t.skip('without the addon there are no locks');
  const directory = scratch(t);
  const writer = (name: string): Child =>
    new Child({
      source: `
        import { replaceFile } from 'holdfast';
        import { existsSync } from 'node:fs';
        async function* pieces() {
          yield Buffer.alloc(100_000, 1);
          console.log('half');
          while (!existsSync(process.argv[1] + '/go')) await new Promise((r) => setTimeout(r, 5));
        }
        await replaceFile(process.argv[1] + '/${name}', pieces(), { sweep: false });
        console.log('done');`,
      args: [directory],
    });
  const [killed, lives, stopped] = [writer('a'), writer('b'), writer('c')];
  await Promise.all([killed, lives, stopped].map((child) => child.waitFor('half')));
  equal(temporaries(directory).length, 3);
  await stopped.stop();
  await killed.kill();
  equal(await sweepLater(t, directory), 1, 'one of three is dead');
  equal(temporaries(directory).length, 2);
  process.kill(stopped.pid as number, 'SIGCONT');
  writeFileSync(join(directory, 'go'), '');
  match((await lives.ended).stdout, /done/);
  match((await stopped.ended).stdout, /done/);
  assertHoldsOnly(directory, ['b', 'c', 'go', 'other']);
});

/* Sweeps never follow what is planted, nor take what an exchange left aside. */
test('a sweep leaves planted links and old files of exchanges alone', async (t) => {
  const directory = scratch(t);
  const precious = join(scratch(t), 'precious');
  writeFileSync(precious, 'old');
  const hex = '0123456789abcdef'.repeat(2);
  symlinkSync(precious, join(directory, `.holdfast-${hex}.tmp`));
  writeFileSync(join(directory, `.holdfast-${hex}.old`), 'kept');
  equal(await sweepLater(t, directory), 0);
  equal(readFileSync(precious, 'latin1'), 'old');
  deepEqual(readdirSync(directory).sort(), [
    `.holdfast-${hex}.old`,
    `.holdfast-${hex}.tmp`,
    'other',
  ]);
  ok(modeAt(join(directory, 'other')) > 0);
});

/** The order and the number of system calls of a replace, as strace(1) sees them. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type EngineWord, engineHere, type Face, faces } from './replace/worlds.js';
import { assertHoldsOnly, scratch } from './support/scratch.js';
import { type Call, callsBetween, markSource, type Trace, traceFor } from './support/strace.js';

const CALLS = [
  'openat',
  'open',
  'write',
  'pwrite64',
  'writev',
  'pwritev',
  'pwritev2',
  'fchown',
  'fchmod',
  'fsync',
  'fdatasync',
  'close',
  'rename',
  'renameat',
  'renameat2',
  'link',
  'linkat',
  'unlink',
  'unlinkat',
  'sync_file_range',
  'ftruncate',
];

interface Combination {
  readonly face: Face;
  readonly word: EngineWord;
}

/** One test for each face on each engine whose calls strace(1) sees; it runs in a child. */
function traced(criterion: string, run: (t: TestContext, it: Combination) => Promise<void>): void {
  for (const word of ['pool', 'portable'] as const) {
    for (const face of faces) {
      test(`${face}() ${criterion} (${word})`, async (t) => {
        const engine = engineHere(word);
        if (typeof engine !== 'string') return run(t, { face, word });
        t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
        t.skip(engine);
      });
    }
  }
}

/** Runs lines of source in a child whose `replace(name, data, options)` is under strace. */
function traceOf(
  t: TestContext,
  { face, word }: Combination,
  directory: string,
  { lines, inject = [] }: { readonly lines: string; readonly inject?: readonly string[] },
): Promise<Trace | undefined> {
  const source = `${markSource}
    import { ${face}, configure } from 'holdfast';
    configure({ engine: '${word}', threads: 1 });
    const replace = async (name, data, options) =>
      ${face}(process.argv[1] + '/' + name, data, { sweep: false, ...options });
    const told = (error) => console.log(error.code, error.step, error.durable);
    ${lines}`;
  const env = { UV_THREADPOOL_SIZE: '1' };
  return traceFor(t, { source, args: [directory], calls: CALLS, inject, env, stringBytesMax: 300 });
}

/* A write to a descriptor that has no path is somebody waking the loop. */
function isOurs({ args }: Call, directory: string): boolean {
  return args.includes(`${directory}`);
}

const WORDS: Readonly<Record<string, string>> = {
  write: 'write',
  pwrite64: 'write',
  writev: 'gather',
  pwritev: 'gather',
  fchown: 'owner',
  fchmod: 'mode',
  rename: 'rename',
  renameat: 'rename',
  renameat2: 'rename',
  linkat: 'link',
  link: 'link',
  unlink: 'unlink',
  unlinkat: 'unlink',
};

function subjectOf(args: string): string {
  if (args.includes('.tmp')) return 'temporary';
  if (args.includes('O_TMPFILE') || args.includes('(deleted)')) return 'unnamed';
  return /\/(file|fresh|absent)>$/.test(args) ? 'file' : 'directory';
}

/** A call in a word; syncs, opens and closes say of what. */
function wordOf({ name, args }: Call): string {
  const of = subjectOf(args);
  if (name === 'openat' || name === 'open') return `open ${of}`;
  if (name === 'fsync' || name === 'close') return `${name} ${of}`;
  return WORDS[name] ?? name;
}

function storyOf(calls: readonly Call[], directory: string): string[] {
  return calls.filter((call) => isOurs(call, directory)).map(wordOf);
}

const MAKING = ['open directory', 'open temporary', 'write'];
/* The lock is held until the file has its name; where there are none, a close may still tell. */
const namingOn = (word: EngineWord): string[] =>
  word === 'portable' ? ['close temporary', 'rename'] : ['rename', 'close file'];
const KEPT = ['owner', 'mode'];

traced('makes exactly these calls in this order', async (t, it) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'file'), 'old');
  const lines = `
    mark('full'); await replace('file', 'new');
    mark('file'); await replace('file', 'new', { durable: 'file' });
    mark('none'); await replace('file', 'new', { durable: false });
    mark('fresh'); await replace('fresh', 'new', { mode: 0o600 });
    mark('empty'); await replace('file', '');
    mark('views'); await replace('file', [Buffer.alloc(600), Buffer.alloc(700)]);
    mark('absent'); await replace('absent', 'new', { ifAbsent: true });
    mark('end');`;
  const trace = await traceOf(t, it, directory, { lines });
  if (trace === undefined) return;
  equal(trace.code, 0, trace.stderr);
  const between = (from: string, to: string): Call[] => callsBetween(trace.calls, from, to);
  const story = (from: string, to: string): string[] => storyOf(between(from, to), directory);
  const synced = [...namingOn(it.word), 'fsync directory', 'close directory'];
  const whole = [...MAKING, ...KEPT, 'fsync temporary', ...synced];
  deepEqual(story('full', 'file'), whole);
  const unsynced = [...namingOn(it.word), 'close directory'];
  deepEqual(story('file', 'none'), [...MAKING, ...KEPT, 'fsync temporary', ...unsynced]);
  /* Without a sync it is the close that tells of a write that was lost. */
  const early = ['close temporary', 'rename', 'close directory'];
  deepEqual(story('none', 'fresh'), [...MAKING, ...KEPT, ...early]);
  const fresh = story('fresh', 'empty').filter((word) => word !== 'mode');
  deepEqual(fresh, [...MAKING, 'fsync temporary', ...synced]);
  const empty = whole.filter((word) => word !== 'write');
  deepEqual(story('empty', 'views'), empty);
  const gathered = whole.map((word) => (word === 'write' ? 'gather' : word));
  deepEqual(story('views', 'absent'), gathered);
  const last = ['fsync directory', 'close directory'];
  const linked = ['close temporary', 'link', 'unlink', ...last];
  const byName = [...MAKING, 'mode', 'fsync temporary', ...linked];
  const unnamed = ['open directory', 'open unnamed', 'write', 'mode', 'fsync unnamed', 'link'];
  const absent = it.word !== 'portable' ? [...unnamed, 'close unnamed', ...last] : byName;
  deepEqual(story('absent', 'end'), absent);
  checkCreated(between('full', 'end'), directory);
});

/** Every temporary file has a name of its own and is made so that nothing planted is used. */
function checkCreated(calls: readonly Call[], directory: string): void {
  const created = calls.filter((call) => wordOf(call) === 'open temporary');
  const names = created.map(({ args }) => /\.holdfast-[0-9a-f]{32}\.tmp/.exec(args)?.[0]);
  equal(new Set(names).size, created.length);
  for (const { args, result } of created) {
    match(args, /O_WRONLY\|O_CREAT\|O_EXCL\|O_NOFOLLOW\|O_CLOEXEC, 0600$/);
    ok(args.includes(directory), 'in the same directory');
    ok((result ?? -1) >= 0);
  }
}

traced('syncs the directory that a link leads to', async (t, it) => {
  const directory = scratch(t);
  mkdirSync(join(directory, 'here'));
  mkdirSync(join(directory, 'there'));
  writeFileSync(join(directory, 'there/file'), 'old');
  symlinkSync('../there/file', join(directory, 'here/link'));
  const lines = "mark('begin'); await replace('here/link', 'new'); mark('end');";
  const trace = await traceOf(t, it, directory, { lines });
  if (trace === undefined) return;
  const calls = callsBetween(trace.calls, 'begin', 'end');
  const syncs = calls.filter(({ name }) => name === 'fsync');
  equal(syncs.length, 2);
  ok(syncs[0]?.args.includes(`${directory}/there/.holdfast-`), syncs[0]?.args);
  ok(syncs[1]?.args.endsWith(`<${directory}/there>`), syncs[1]?.args);
  const [created] = calls.filter((call) => wordOf(call) === 'open temporary');
  match(created?.args ?? '', /there[>/]/);
});

/*
 * A peer writes once, ignores the count and renames. Here the kernel's answer is cut short, without
 * the engine's knowledge: nothing may be synced or renamed before the rest has been written.
 */
traced('resumes after a short write before anything else', async (t, it) => {
  const directory = scratch(t);
  const lines = "mark('begin'); await replace('file', 'abcdefgh'); mark('end');";
  const inject = ['pwrite64:retval=5:when=1'];
  const trace = await traceOf(t, it, directory, { lines, inject });
  if (trace === undefined) return;
  equal(trace.code, 0, trace.stderr);
  const calls = callsBetween(trace.calls, 'begin', 'end');
  const story = storyOf(calls, directory);
  deepEqual(story, [
    ...MAKING,
    'write',
    'mode',
    'fsync temporary',
    ...namingOn(it.word),
    'fsync directory',
    'close directory',
  ]);
  const [first, second] = calls.filter(({ name }) => name === 'pwrite64');
  match(first?.args ?? '', /"abcdefgh", 8, 0$/);
  match(second?.args ?? '', /"fgh", 3, 5$/);
  /* Five bytes were never written; the file shows that the resumed ones stand in their place. */
  equal(readFileSync(join(directory, 'file'), 'latin1'), '\0\0\0\0\0fgh');
});

const FAULTS: readonly [string, string, string[]][] = [
  ['pwrite64:error=ENOSPC:when=1', 'ENOSPC write old', ['write']],
  ['pwrite64:error=EIO:when=1', 'EIO write old', ['write']],
  ['fsync:error=EIO:when=1', 'EIO sync the file old', ['write', 'mode', 'fsync temporary']],
];

traced('stops at the first refusal and removes its file', async (t, it) => {
  for (const [fault, told, done] of FAULTS) {
    const directory = scratch(t);
    const lines = "mark('begin'); await replace('file', 'new').catch(told); mark('end');";
    const trace = await traceOf(t, it, directory, { lines, inject: [fault] });
    if (trace === undefined) return;
    equal(trace.stdout, `${told}\n`);
    const story = storyOf(callsBetween(trace.calls, 'begin', 'end'), directory);
    const undone = ['close temporary', 'unlink', 'close directory'];
    deepEqual(story, ['open directory', 'open temporary', ...done, ...undone]);
    assertHoldsOnly(directory, []);
  }
});

traced('tells a failed sync of the directory as unknown, and never repeats it', async (t, it) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'file'), 'old');
  const lines = "mark('begin'); await replace('file', 'new').catch(told); mark('end');";
  const trace = await traceOf(t, it, directory, { lines, inject: ['fsync:error=EIO:when=2'] });
  if (trace === undefined) return;
  equal(trace.stdout, 'EIO sync the directory unknown\n');
  const calls = callsBetween(trace.calls, 'begin', 'end');
  equal(calls.filter(({ name }) => name === 'fsync').length, 2);
  equal(readFileSync(join(directory, 'file'), 'latin1'), 'new');
  assertHoldsOnly(directory, ['file']);
});

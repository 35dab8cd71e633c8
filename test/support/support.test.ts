/** The helpers do what they say: a blind one would make every test that uses it blind. */
import { deepEqual, equal, match, notEqual, ok, rejects, throws } from 'node:assert/strict';
import { closeSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Child, limitsRefusal, outputOf, runChild } from './child.js';
import { Mount, type MountKind, mountFor, tryMount } from './mounts.js';
import { assertHoldsOnly, assertNoNewDescriptors, openDescriptors, scratch } from './scratch.js';
import { callsBetween, markSource, parseTrace, traceFor } from './strace.js';

test('assertHoldsOnly() notices a file too many and one too few', (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'a'), '');
  assertHoldsOnly(directory, ['a']);
  throws(() => assertHoldsOnly(directory, []));
  throws(() => assertHoldsOnly(directory, ['a', 'b']));
});

test('assertNoNewDescriptors() notices a leak', (t) => {
  const before = openDescriptors();
  if (before.size === 0) return t.skip('there is no /proc/self/fd');
  const fd = openSync(process.execPath, 'r');
  throws(() => assertNoNewDescriptors(before), /descriptors open/);
  closeSync(fd);
  assertNoNewDescriptors(before);
});

const roots: Readonly<Record<MountKind, number>> = {
  ext4: 0xef53,
  xfs: 0x58465342,
  btrfs: 0x9123683e,
  tmpfs: 0x01021994,
};

for (const kind of Object.keys(roots) as MountKind[]) {
  test(`mountFor() mounts ${kind}, read-only when told, and leaves nothing`, (t) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    equal(statfsSync(mount.path).type, roots[kind]);
    const path = join(mount.path, 'file');
    writeFileSync(path, 'x');
    mount.remount('read-only');
    throws(() => writeFileSync(path, 'y'), { code: 'EROFS' });
    mount.remount('read-write');
    if (kind !== 'tmpfs') {
      mount.reopen();
      equal(readFileSync(path, 'utf8'), 'x');
    }
    mount.unmount();
    ok(!readFileSync('/proc/mounts', 'utf8').includes(mount.path));
    throws(() => statfsSync(mount.path), { code: 'ENOENT' });
  });
}

for (const kind of ['ext4', 'xfs'] as const) {
  test(`cutPower() loses on ${kind} what was not synced`, (t) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const path = join(mount.path, 'file');
    writeFileSync(path, 'x');
    mount.cutPower();
    notEqual(contentOf(path), 'x');
    writeFileSync(path, 'y', { flush: true });
    mount.cutPower();
    equal(contentOf(path), 'y');
  });
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

test('tryMount() removes what a killed process left mounted', async (t) => {
  const probe = tryMount('tmpfs');
  if (!(probe instanceof Mount)) return t.skip(probe.reason);
  probe.unmount();
  const source = `
    const { tryMount } = await import('./build/test/support/mounts.js');
    console.log('at', tryMount('ext4').path);
    setInterval(() => {}, 1000);`;
  const child = new Child({ source });
  await child.waitFor(/at \S+/);
  await child.kill();
  const left = /at (\S+)/.exec(child.stdout)?.[1] ?? '';
  ok(readFileSync('/proc/mounts', 'utf8').includes(left));
  const next = await outputOf({
    source: `const { tryMount } = await import('./build/test/support/mounts.js');
      process.stdout.write(tryMount('tmpfs').path);`,
  });
  const mounts = readFileSync('/proc/mounts', 'utf8');
  ok(!mounts.includes(left), 'what the killed process left');
  ok(!mounts.includes(next), 'what a process left that ended by itself');
});

test('Child is killed with -9, and ends at its time limit', async () => {
  const child = new Child({ source: "console.log('ready'); setInterval(() => {}, 1000);" });
  await child.waitFor('ready');
  equal((await child.kill()).signal, 'SIGKILL');
  const late = await runChild({ source: 'setInterval(() => {}, 1000)', timeoutMs: 300 });
  ok(late.timedOut);
  await rejects(outputOf({ source: 'process.exit(3)' }), /ended with 3/);
  await rejects(new Child({ source: '' }).waitFor('never'), /ended without never/);
});

test('Limits hold: a short write, then EFBIG; EMFILE', async (t) => {
  const refusal = limitsRefusal();
  if (refusal !== undefined) return t.skip(refusal);
  const path = join(scratch(t), 'file');
  const source = `import fs from 'node:fs';
    const fd = fs.openSync(process.argv[1], 'w');
    const refused = (run) => { try { return run(); } catch (e) { return e.code; } };
    const once = () => refused(() => fs.writeSync(fd, Buffer.alloc(8192)));
    const open = () => refused(() => { for (;;) fs.openSync('/dev/null'); });
    console.log(once(), once(), open());`;
  const limits = { fileSizeBytes: 5000, openFiles: 40 };
  equal(await outputOf({ source, args: [path], limits }), '5000 EFBIG EMFILE\n');
});

test('traceFor() sees calls in order between two marks', async (t) => {
  const path = join(scratch(t), 'file');
  const source = `${markSource}
    import fs from 'node:fs';
    import { writeFile } from 'node:fs/promises';
    const fd = fs.openSync(process.argv[1], 'w');
    mark('begin');
    fs.writeSync(fd, 'abc', 7);
    fs.fsyncSync(fd);
    await writeFile(process.argv[1] + '2', 'x');
    mark('end');`;
  const calls = ['openat', 'pwrite64', 'write', 'fsync', 'rename'];
  const trace = await traceFor(t, { source, args: [path], calls });
  if (trace === undefined) return;
  equal(trace.code, 0, trace.stderr);
  const made = callsBetween(trace.calls, 'begin', 'end').filter(({ args }) => args.includes(path));
  deepEqual(
    made.map(({ name, error }) => [name, error]),
    [
      ['pwrite64', undefined],
      ['fsync', undefined],
      ['openat', undefined],
      ['write', undefined],
    ],
  );
  equal(made[0]?.result, 3);
  match(made[0]?.args ?? '', /"abc", 3, 7/);
  equal(trace.counts.rename, undefined);
});

test('traceFor() injects a fault', async (t) => {
  const path = join(scratch(t), 'file');
  const source = `import fs from 'node:fs';
    const fd = fs.openSync(process.argv[1], 'w');
    fs.fsyncSync(fd);
    try { fs.fsyncSync(fd) } catch (error) { console.log(error.code) }`;
  const inject = ['fsync:error=EIO:when=2'];
  const trace = await traceFor(t, { source, args: [path], calls: ['fsync'], inject });
  if (trace === undefined) return;
  equal(trace.stdout, 'EIO\n');
  deepEqual(
    trace.calls.filter(({ name }) => name === 'fsync').map(({ error }) => error),
    [undefined, 'EIO'],
  );
});

test('parseTrace() joins a call that another thread interrupted', () => {
  const text = [
    '10 fsync(3</tmp/a> <unfinished ...>',
    '11 pwrite64(4</tmp/b>, "x) = 1", 6, 0) = 6',
    '10 <... fsync resumed>)            = -1 EIO (Input/output error) (INJECTED)',
    '11 openat(AT_FDCWD</tmp>, "c", O_RDONLY) = 5</tmp/c>',
    '11 mmap(NULL, 4096) = 0x7f00',
    '11 exit_group(0) = ?',
    '11 +++ exited with 0 +++',
  ].join('\n');
  deepEqual(parseTrace(text), [
    { pid: 10, name: 'fsync', args: '3</tmp/a>', result: -1, error: 'EIO' },
    { pid: 11, name: 'pwrite64', args: '4</tmp/b>, "x) = 1", 6, 0', result: 6, error: undefined },
    {
      pid: 11,
      name: 'openat',
      args: 'AT_FDCWD</tmp>, "c", O_RDONLY',
      result: 5,
      error: undefined,
    },
    { pid: 11, name: 'mmap', args: 'NULL, 4096', result: 0x7f00, error: undefined },
    { pid: 11, name: 'exit_group', args: '0', result: undefined, error: undefined },
  ]);
});

test('scratch() is removed when its test has ended', async (t) => {
  let path = '';
  await t.test('inner', (inner) => {
    path = scratch(inner);
    writeFileSync(join(path, 'a'), '');
  });
  throws(() => rmSync(path), { code: 'ENOENT' });
});

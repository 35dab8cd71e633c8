/** probe() where things are refused: rights, full disks, every operation in its turn. */
import { equal, match, ok, rejects } from 'node:assert/strict';
import { chmodSync, chownSync, constants, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { IoError, type ProbeReport, probe, probeSync } from 'holdfast';
import { Code, errnoOf, type Operation } from '#holdfast/platform.js';
import { engineFor, engineNames } from './file/doors.js';
import { FaultyEngine } from './file/faults.js';
import { assertWhole, itemsOf, onAllProbers } from './probe/items.js';
import { outputOf, runChild } from './support/child.js';
import { mountFor } from './support/mounts.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';

const NOBODY = 65534;

/** Probes as a user without rights; answers the report, or the code of the refusal. */
async function asNobody(path: string): Promise<ProbeReport | { readonly code: string }> {
  const source = `
    import { probe } from 'holdfast';
    const become = () => {
      process.setgroups([]);
      process.setgid(${NOBODY});
      process.setuid(${NOBODY});
    };
    await probe('/');
    become();
    const [path] = process.argv.slice(-1);
    const report = await probe(path).catch(({ code }) => ({ code }));
    console.log(JSON.stringify(report));
  `;
  return JSON.parse(await outputOf({ source, args: [path] })) as ProbeReport;
}

test('probe() by a user who may not write knows all but what it cannot try', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root: it becomes another user');
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  chmodSync(join(mount.path, '..'), 0o755);
  chmodSync(mount.path, 0o755);
  const report = (await asNobody(mount.path)) as ProbeReport;
  assertWhole(report);
  equal(report.features.reflink.unknown, `${mount.path} is not writable (EACCES)`);
  equal(report.direct.opens.unknown, `${mount.path} is not writable (EACCES)`);
  equal(report.fileSystem.journal.value, true);
  equal(report.fileSystem.barriers.value, true);
  match(report.device.name.value ?? '', /^loop/);
  equal(report.device.logicalSectorBytes.value, 512);
  assertHoldsOnly(mount.path, ['lost+found']);
});

test('probe() by a user in a directory of their own tries everything', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root: it becomes another user');
  const directory = scratch(t);
  chownSync(directory, NOBODY, NOBODY);
  const report = (await asNobody(directory)) as ProbeReport;
  assertWhole(report);
  equal(report.features.allocate.value, true);
  equal(report.features.locks.value, true);
  assertHoldsOnly(directory, []);
});

/* The directory may be written but not listed: its sync needs it open for reading. */
test('probe() by a user in a directory that cannot be read says what is left', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root: it becomes another user');
  const directory = scratch(t);
  chmodSync(directory, 0o733);
  const report = (await asNobody(directory)) as ProbeReport;
  assertWhole(report);
  match(report.sync.directory.unknown ?? '', /cannot be opened for reading \(EACCES\)/);
  equal(report.features.locks.value, true);
  assertHoldsOnly(directory, []);
});

test('probe() of a path behind a closed directory is refused', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root: it becomes another user');
  const directory = scratch(t);
  mkdirSync(join(directory, 'inside'));
  const refused = (await asNobody(join(directory, 'inside'))) as { readonly code: string };
  equal(refused.code, 'EACCES');
});

test('probe() under --permission says what it may not see', async (t) => {
  const directory = scratch(t);
  const source = `
    import { probe } from 'holdfast';
    const report = await probe(${JSON.stringify(directory)});
    console.log(JSON.stringify(report));
  `;
  const flag = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  const root = new URL('../..', import.meta.url).pathname;
  const nodeArgs = [flag, `--allow-fs-read=${root}*`, `--allow-fs-read=${directory}*`];
  const ended = await runChild({ source, nodeArgs });
  equal(ended.code, 0, ended.stderr);
  const report = JSON.parse(ended.stdout) as ProbeReport;
  assertWhole(report);
  match(report.engine.addon.no ?? '', /permission model/);
  match(report.fileSystem.type.unknown ?? '', /ERR_ACCESS_DENIED/);
  ok(report.features.reflink.unknown);
  assertHoldsOnly(directory, []);
});

onAllProbers('probe() on a full disk calls nothing absent that is only full', async (t, p) => {
  const mount = mountFor(t, 'tmpfs', { sizeBytes: 65536 });
  if (mount === undefined) return;
  const report = await p.probe(mount.path);
  equal(report.features.allocate.no, undefined);
  match(report.features.allocate.unknown ?? '', p.isNative ? /ENOSPC/ : /portable engine/);
  assertHoldsOnly(mount.path, []);
});

/** Refused in its turn, an operation costs at most the items that hung on it. */
for (const name of engineNames) {
  for (const code of ['EIO', 'ENOSPC', 'EACCES', 'EMFILE']) {
    test(`probe() with every operation refused in its turn: ${code} (${name})`, async (t) => {
      const inner = engineFor(t, name);
      if (inner === undefined) return;
      const directory = scratch(t);
      await probe(directory, { engine: inner, measure: true });
      const before = openDescriptors();
      let isDone = false;
      for (let turn = 0; !isDone; turn++) {
        ok(turn < 300, 'it comes to an end');
        let count = 0;
        const engine: FaultyEngine = new FaultyEngine(inner, (operation: Operation) => {
          /* What is not removed or closed stays: that is no fault of ours. */
          if (operation.code === Code.Unlink || operation.code === Code.Close) return undefined;
          return count++ === turn ? { answers: errnoOf(code) } : undefined;
        });
        try {
          const measure = turn % 2 === 0;
          const report: ProbeReport =
            turn % 3 === 0
              ? probeSync(directory, { engine, measure })
              : await probe(directory, { engine, measure });
          assertWhole(report);
          const claims = itemsOf(report).filter(([, item]) => item.no?.includes(code));
          equal(claims.length, 0, 'a refusal of the moment is no "no"');
        } catch (error) {
          ok(error instanceof IoError, String(error));
          equal(error.code, code);
          ok(turn < 2, `only where the path is looked at, not at ${turn}`);
        }
        assertHoldsOnly(directory, []);
        isDone = count <= turn;
      }
      assertNoNewDescriptors(before);
    });
  }
}

test('probe() refuses a signal that is no signal, and obeys one that has fired', async (t) => {
  const directory = scratch(t);
  const signal = AbortSignal.abort();
  await rejects(probe(directory, { signal }), { name: 'AbortError' });
  await rejects(probe(directory, { timeoutMs: -1 }), { code: 'ERR_OUT_OF_RANGE' });
  assertHoldsOnly(directory, []);
});

/* An abort that is taken for a refusal of the file behind a loop device would go on to the end. */
test('probe() begins nothing after an abort but what cleans up', { timeout: 60_000 }, async (t) => {
  const inner = engineFor(t, 'pool');
  const mount = mountFor(t, 'ext4');
  if (inner === undefined || mount === undefined) return;
  const path = join(mount.path, 'file');
  writeFileSync(path, '');
  const before = openDescriptors();
  let total = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < total; turn++) {
    const controller = new AbortController();
    const allowed = new Set<Operation>();
    let count = 0;
    const engine: FaultyEngine = new FaultyEngine(inner, (operation: Operation) => {
      const isLate = controller.signal.aborted && !allowed.has(operation);
      ok(!isLate || operation.mustRun, `operation ${operation.code} after an abort at ${turn}`);
      if (count++ !== turn) return undefined;
      controller.abort();
      for (let at = operation.next; at !== undefined; at = at.next) allowed.add(at);
      return undefined;
    });
    await probe(path, { engine, signal: controller.signal }).catch((error) => {
      equal(error.name, 'AbortError', String(error));
    });
    assertHoldsOnly(mount.path, ['file', 'lost+found']);
    if (!controller.signal.aborted) total = turn;
    ok(turn < 300, 'it comes to an end');
  }
  assertNoNewDescriptors(before);
});

test('probe() creates files that are new, private and not to be guessed', async (t) => {
  const inner = engineFor(t, 'pool');
  if (inner === undefined) return;
  const directory = scratch(t);
  const names = new Set<string>();
  let creations = 0;
  const engine = new FaultyEngine(inner, (operation) => {
    const { O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    if (operation.code !== Code.Open || (operation.flags & O_CREAT) === 0) return undefined;
    creations++;
    equal(operation.flags & (O_EXCL | O_NOFOLLOW), O_EXCL | O_NOFOLLOW);
    equal(operation.mode, 0o600);
    const name = operation.place?.name ?? '';
    match(name, /^\.holdfast-[0-9a-f]{32}\.tmp$/, 'what the sweep of replaceFile() takes');
    names.add(name);
    return undefined;
  });
  for (let round = 0; round < 3; round++) await probe(directory, { engine });
  equal(creations, 6);
  equal(names.size, 3, 'the first name of each probe, twice: it was renamed in between');
});

test('probe() follows no more links than the kernel does', { timeout: 5000 }, async (t) => {
  const inner = engineFor(t, 'pool');
  if (inner === undefined) return;
  const directory = scratch(t);
  symlinkSync('b', join(directory, 'a'));
  symlinkSync('a', join(directory, 'b'));
  let opens = 0;
  /* As if what the links lead to came and went. */
  const engine = new FaultyEngine(inner, (operation) => {
    if (operation.code !== Code.Open) return undefined;
    return ++opens > 1000 ? undefined : { answers: errnoOf('ENOENT') };
  });
  await rejects(probe(join(directory, 'a'), { engine }), { name: 'IoError', code: 'ENOENT' });
  equal(opens, 41);
});

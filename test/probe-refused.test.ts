/** probe() where things are refused: rights, full disks, every operation in its turn. */
import { equal, match, ok, rejects } from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
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

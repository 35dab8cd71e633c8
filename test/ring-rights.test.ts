/** What a ring may do: what it was born for, with the rights that the process has by then. */
import { deepEqual } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { EngineStats } from 'holdfast';
import { ringState } from '#holdfast/engine.js';
import { otherRings, refuserRefusal, ringParts } from './ring/launchers.js';
import { outputOf } from './support/child.js';
import { compiledProgram } from './support/compile.js';
import { mountFor } from './support/mounts.js';
import { projectRoot, scratch } from './support/scratch.js';

const here = ringState();
const noRing = here.isThere ? false : here.reason;

type RingStats = NonNullable<EngineStats['ring']>;

/*
 * A program that has been taken over must not reach sockets or processes through our ring. The
 * border fills submissions from rows, so it has no way to ask for anything else; a program in C
 * that is linked with native/ring.c asks.
 */
test('the kernel refuses operations that the ring was not born for', { skip: noRing }, (t) => {
  const refusal = refuserRefusal();
  if (refusal !== undefined) return t.skip(refusal);
  const sources = ['native/ring.c', ...ringParts];
  const program = compiledProgram('ring/outside', { headers: ['native'], sources });
  const stdio = [openSync(join(projectRoot, 'package.json'), 'r'), 'pipe', 'inherit'] as const;
  const output = execFileSync(program, { stdio: [...stdio], encoding: 'utf8' });
  deepEqual(output.trim().split('\n'), [
    'whole: nop 0',
    'whole: socket -13',
    'whole: read 1',
    "whole: nop on a thread of the kernel's -13",
    'whole: register files -13',
    'without reads: nop 0',
    'without reads: socket -13',
    'without reads: read -13',
    "without reads: nop on a thread of the kernel's -13",
    'without reads: register files -13',
    'unrestricted: nop 0',
    'unrestricted: socket 0',
    'unrestricted: read 1',
    "unrestricted: nop on a thread of the kernel's 0",
    'unrestricted: register files -16',
  ]);
});

/*
 * CVE-2024-22017: after process.setuid() a ring made before went on with root's rights, since a
 * thread of the kernel's kept them (SQPOLL). There is none here, and an operation takes the rights
 * of the thread that submits it, also where the kernel goes on elsewhere: an open that creates, or
 * that has to look names up on the disk, does.
 */
test('a ring made before process.setuid() has no rights that the process has not', {
  skip: noRing,
}, async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root: it becomes another user');
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  chmodSync(join(mount.path, '..'), 0o755);
  chmodSync(mount.path, 0o755);
  for (const name of ['warm', 'cold', 'control']) {
    writeFileSync(join(mount.path, name), 'secret', { mode: 0o600 });
  }
  mount.reopen();
  const source = `
    import { engineNamed } from '#holdfast/engine.js';
    import { Code, nameOf, Operation, OpenFlag, placeOf } from '#holdfast/platform.js';
    const [directory] = process.argv.slice(-1);
    const engine = engineNamed('ring');
    const place = (name) => placeOf(directory + '/' + name);
    const asked = (code, fields) => new Promise((resolve) => {
      const operation = Object.assign(new Operation(code), fields);
      const settle = () => resolve(operation.result < 0 ? nameOf(operation.result) : 'done');
      engine.submit(operation, { settle });
    });
    const open = (name, flags) => asked(Code.Open, { place: place(name), flags, mode: 0o600 });
    const create = OpenFlag.WriteOnly | OpenFlag.Create;
    const told = [await open('warm', 0), await open('control', create)];
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    told.push(await open('warm', 0), await open('cold', 0));
    told.push(await open('warm', create | OpenFlag.Truncate), await open('new', create));
    const places = { place: place('warm'), place2: place('other') };
    told.push(await asked(Code.Rename, places), await asked(Code.Unlink, { place: place('cold') }));
    console.log(JSON.stringify([told, engine.stats().ring]));
  `;
  const output = await outputOf({ source, args: [mount.path] });
  const [told, ring] = JSON.parse(output) as [string[], RingStats];
  const refused = new Array(6).fill('EACCES');
  deepEqual(told, ['done', 'done', ...refused]);
  deepEqual([ring.submissions, ring.refusals], [8, {}], 'all of it went through the ring');
});

test('a worker has a ring of its own', { skip: noRing || otherRings }, async (t) => {
  const source = `
    import { Worker } from 'node:worker_threads';
    import { readdirSync, readlinkSync } from 'node:fs';
    import { engineNamed } from '#holdfast/engine.js';
    const count = () => readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync('/proc/self/fd/' + fd).includes('io_uring');
      } catch {
        return false;
      }
    }).length;
    engineNamed('ring');
    const before = count();
    const code = \`
      import { parentPort } from 'node:worker_threads';
      import { engineNamed } from '#holdfast/engine.js';
      parentPort.postMessage(engineNamed('ring').name);
      setInterval(() => 0, 1000);
    \`;
    const worker = new Worker(code, { eval: true });
    await new Promise((resolve) => worker.once('message', resolve));
    const during = count();
    await worker.terminate();
    engineNamed('ring');
    console.log(JSON.stringify([before, during, count()]));
  `;
  deepEqual(JSON.parse(await outputOf({ source, args: [scratch(t)] })), [1, 2, 1]);
});

/** A pool that can start no thread, as under a limit of processes that is reached. */
import { deepEqual, equal } from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadAddon } from '#holdfast/platform.js';
import { limitsRefusal, runChild } from './support/child.js';
import { scratch } from './support/scratch.js';

/*
 * The lock was taken on the calling thread, then the batch was refused for the sake of the
 * call beside it, and the lock with it: nobody knew that it was held.
 */
test('what was done at once is told, when what waits for a thread is refused', async (t) => {
  const { addon, reason } = loadAddon();
  const refusal = addon === undefined ? reason : limitsRefusal();
  if (refusal !== undefined) return t.skip(refusal);
  if (process.getuid?.() !== 0) return t.skip('only root can become somebody with a limit');
  const directory = scratch(t);
  chmodSync(directory, 0o777);
  const path = join(directory, 'file');
  writeFileSync(path, 'content');
  chmodSync(path, 0o666);
  const source = `
    import { openFileSync } from 'holdfast';
    import { engineNamed } from '#holdfast/engine.js';
    const engine = engineNamed('pool');
    const file = openFileSync(process.argv[1], { access: 'read-write', engine });
    file.lockSync().releaseSync();
    process.setgid(65534); process.setuid(65534);
    const told = await Promise.allSettled([
      file.stat(),
      file.tryLock(),
      file.readAt(new Uint8Array(3), 0),
    ]);
    const other = openFileSync(process.argv[1], { access: 'read-write', engine });
    const isFree = () => {
      const lock = other.tryLockSync();
      lock?.releaseSync();
      return lock !== undefined;
    };
    const before = isFree();
    told[1].value?.releaseSync();
    const codes = told.map(({ status, reason }) => reason?.code ?? status);
    console.log(JSON.stringify([codes, before, isFree()]));
  `;
  const child = { source, args: [path], under: ['prlimit', '--nproc=3', '--'] };
  const { code, stdout, stderr } = await runChild(child);
  equal(code, 0, stderr);
  deepEqual(JSON.parse(stdout), [['EAGAIN', 'fulfilled', 'fulfilled'], false, true]);
});

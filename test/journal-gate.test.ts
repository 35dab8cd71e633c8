/**
 * fsyncgate, on a device that really fails: after a failed sync the page cache shows bytes that the
 * device has not, and the next sync answers 0. A journal that is opened again must not believe
 * either.
 *
 * Source: Rebello et al., Can Applications Recover from fsync Failures?, ATC 2020
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { IoError, Journal } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { bytesOf, texts } from './journal/worlds.js';
import { Faulty, faultyRefusal } from './ring/faulty.js';
import { hasTool, toolEnvironment } from './support/child.js';

const mebibyte = 1048576;

function run(program: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(program, words, { env: toolEnvironment, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
}

interface Device {
  readonly faulty: Faulty;
  /** The root of an ext4 on it. */
  readonly path: string;
  remount(): void;
}

async function deviceFor(t: TestContext): Promise<Device | undefined> {
  const refusal = faultyRefusal() ?? (hasTool('mkfs.ext4') ? undefined : 'there is no mkfs.ext4');
  if (refusal !== undefined) {
    t.diagnostic(`NOT TESTED: ${refusal}`);
    t.skip(refusal);
    return undefined;
  }
  const faulty = await Faulty.mount();
  const path = join(tmpdir(), `holdfast-gate-${process.pid}`);
  mkdirSync(path);
  writeFileSync(faulty.path, '');
  truncateSync(faulty.path, 24 * mebibyte);
  run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0', faulty.path);
  run('mount', '-o', 'loop', faulty.path, path);
  t.after(async () => {
    spawnSync('umount', [path], { env: toolEnvironment });
    rmSync(path, { recursive: true, force: true });
    await faulty.unmount();
  });
  const remount = (): void => {
    run('umount', path);
    run('mount', '-o', 'loop', faulty.path, path);
  };
  return { faulty, path, remount };
}

test('a sync that failed is not believed, before and after the journal is opened again', {
  timeout: 60_000,
}, async (t) => {
  const device = await deviceFor(t);
  if (device === undefined) return;
  const { faulty, path, remount } = device;
  const directory = join(path, 'journal');
  const options = {
    engine: engineNamed('pool'),
    segmentBytes: 65536,
    preallocate: 'zeros',
  } as const;
  const journal = await Journal.open(directory, options);
  await journal.append(bytesOf('durable'.padEnd(5000)));
  await faulty.begin([{ kind: 'write', first: 1, last: 1, code: 'EIO' }]);
  const error: unknown = await journal.append(bytesOf('lost'.padEnd(5000))).catch((one) => one);
  ok(error instanceof IoError, 'the device did not fail');
  equal(error.code, 'EIO');
  await faulty.begin();
  await rejects(journal.append(bytesOf('refused')), { kind: 'broken' });
  await journal.close();
  const again = await Journal.open(directory, options);
  const before = (await texts(again.read())).map((text) => text.trim());
  await again.append(bytesOf('after'.padEnd(5000)));
  await again.close();
  remount();
  const last = await Journal.open(directory, options);
  const found = (await texts(last.read())).map((text) => text.trim());
  deepEqual(found, [...before, 'after'], 'what was read is on the device');
  equal(found[0], 'durable');
  await last.close();
});

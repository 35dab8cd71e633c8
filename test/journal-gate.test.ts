/**
 * fsyncgate, on a device that really fails: after a failed sync the page cache shows bytes that the
 * device has not, and the next sync answers 0. A journal that is opened again must not believe
 * either.
 *
 * Source: Rebello et al., Can Applications Recover from fsync Failures?, ATC 2020
 */
import { deepEqual, equal, notDeepEqual, ok, rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Engine, IoError, Journal, type Jsonl, openJsonl } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { FlawedEngine, type Habits, retriesSyncs } from './journal/flaws.js';
import { bytesOf, texts } from './journal/worlds.js';
import { Faulty, faultyRefusal } from './ring/faulty.js';
import { hasTool, toolEnvironment } from './support/child.js';

const mebibyte = 1048576;
let deviceCount = 0;

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
  const path = join(tmpdir(), `holdfast-gate-${process.pid}-${deviceCount++}`);
  mkdirSync(path);
  writeFileSync(faulty.path, '');
  truncateSync(faulty.path, 24 * mebibyte);
  run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0', faulty.path);
  run('mount', '-o', 'loop', faulty.path, path);
  t.after(async () => {
    /* A test that failed may have files open. */
    spawnSync('umount', ['--lazy', path], { env: toolEnvironment });
    rmSync(path, { recursive: true, force: true });
    await faulty.unmount();
  });
  const remount = (): void => {
    run('umount', path);
    run('mount', '-o', 'loop', faulty.path, path);
  };
  return { faulty, path, remount };
}

interface Lane {
  readonly name: string;
  readonly engine: Engine;
  readonly direct: boolean;
}

function lanes(): (Lane | string)[] {
  return ['ring', 'pool', 'portable'].flatMap((name): (Lane | string)[] => {
    try {
      const engine = engineNamed(name);
      return [false, true].map((direct) => ({ name, engine, direct }));
    } catch (error) {
      return [`${name}: ${(error as Error).message}`];
    }
  });
}

const large = (text: string): Buffer => Buffer.from(text.padEnd(5000));

async function trimmed(journal: Journal): Promise<string[]> {
  return (await texts(journal.read())).map((text) => text.trim());
}

for (const lane of lanes()) {
  const how = typeof lane === 'string' ? lane : `${lane.name}${lane.direct ? ', direct' : ''}`;
  test(`a sync that failed is not believed, before and after another opening (${how})`, {
    timeout: 60_000,
  }, async (t) => {
    if (typeof lane === 'string') return t.skip(lane);
    const device = await deviceFor(t);
    if (device !== undefined) await notBelieved(device, lane);
  });
}

async function notBelieved(device: Device, { engine, direct }: Lane): Promise<void> {
  const { faulty, path, remount } = device;
  const directory = join(path, 'journal');
  const options = { engine, direct, segmentBytes: 65536, preallocate: 'zeros' } as const;
  const journal = await Journal.open(directory, options);
  await journal.append(large('durable'));
  await faulty.begin([{ kind: 'write', first: 1, last: 1, code: 'EIO' }]);
  const error: unknown = await journal.append(large('lost')).catch((one) => one);
  ok(error instanceof IoError, 'the device did not fail');
  equal(error.code, 'EIO');
  await faulty.begin();
  await rejects(journal.append(bytesOf('refused')), { kind: 'broken' });
  await journal.close();
  const again = await Journal.open(directory, options);
  const before = await trimmed(again);
  await again.append(large('after'));
  await again.close();
  remount();
  const last = await Journal.open(directory, options);
  const found = await trimmed(last);
  deepEqual(found, [...before, 'after'], 'what was read is on the device');
  equal(found[0], 'durable');
  await last.close();
}

for (const lane of lanes()) {
  if (typeof lane === 'string' || lane.direct) continue;
  test(`lines of a sync that failed are not believed (${lane.name})`, {
    timeout: 60_000,
  }, async (t) => {
    const device = await deviceFor(t);
    if (device !== undefined) await linesNotBelieved(device, lane);
  });
}

/* By node:fs, which cannot tell the cache to forget, the line after the lost one was lost too. */
async function linesNotBelieved(device: Device, { engine }: Lane): Promise<void> {
  const { faulty, path, remount } = device;
  const file = join(path, 'log.jsonl');
  const valuesIn = async (lines: Jsonl): Promise<string[]> => {
    const values: string[] = [];
    for await (const value of lines) values.push(String(value).trim());
    return values;
  };
  const lines = await openJsonl(file, { engine });
  await lines.append('durable'.padEnd(5000));
  await faulty.begin([{ kind: 'write', first: 1, last: 1, code: 'EIO' }]);
  await rejects(lines.append('lost'.padEnd(5000)), { code: 'EIO' });
  await faulty.begin();
  await lines.close();
  const again = await openJsonl(file, { engine });
  deepEqual(await valuesIn(again), ['durable']);
  ok(again.recovery.cutBytes > 0);
  await again.append('after'.padEnd(5000));
  await again.close();
  remount();
  const last = await openJsonl(file, { engine });
  deepEqual(await valuesIn(last), ['durable', 'after']);
  equal(last.recovery.tail, 'clean');
  await last.close();
}

/** Appends where the sync of the group fails; answers what was acknowledged, and what is left. */
async function failedSync(device: Device, habits: Habits): Promise<[string[], string[]]> {
  const { faulty, path, remount } = device;
  const directory = join(path, 'journal');
  const engine = new FlawedEngine(engineNamed('pool'), habits);
  const options = { segmentBytes: 65536, preallocate: 'zeros' } as const;
  const journal = await Journal.open(directory, { ...options, engine });
  await journal.append(large('durable'));
  const acknowledged = ['durable'];
  /* What was written before goes by a write and a sync, not by one call. */
  journal.write(large('between'));
  while (journal.stats().bufferedBytes > 0) await new Promise(setImmediate);
  await faulty.begin([{ kind: 'write', first: 1, last: 1, code: 'EIO' }]);
  await journal.append(large('lost')).then(
    () => acknowledged.push('between', 'lost'),
    ({ code }) => equal(code, 'EIO'),
  );
  await faulty.begin();
  await journal.close().catch(() => undefined);
  remount();
  const after = await Journal.open(directory, { ...options, readOnly: true });
  const found = await trimmed(after).catch(({ kind }) => [`it is ${kind}`]);
  await after.close();
  return [acknowledged, found];
}

test('a failed sync that is asked for again is seen on a device', {
  timeout: 60_000,
}, async (t) => {
  const honest = await deviceFor(t);
  if (honest === undefined) return;
  const [acknowledged] = await failedSync(honest, {});
  deepEqual(acknowledged, ['durable']);
  const device = (await deviceFor(t)) as Device;
  const [told, found] = await failedSync(device, retriesSyncs);
  deepEqual(told, ['durable', 'between', 'lost']);
  notDeepEqual(found, told);
});

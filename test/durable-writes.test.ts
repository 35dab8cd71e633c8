/**
 * Regression: writes that are durable when they return, on macOS.
 *
 * The bug: a journal's lone append was one write with O_DSYNC, which on macOS reaches the drive's
 * cache and no further; `openFile({ sync })` likewise. It cost records that had been acknowledged
 * when the power went. What guards it now: to the library macOS has no such flag, so that the
 * journal writes and syncs (F_FULLFSYNC, by libuv and by the addon), and `sync` is refused.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { runChild } from './support/child.js';
import { scratch } from './support/scratch.js';

/* Told to be another system, in a process of its own. */
const SOURCE = `
  const [platform, path] = process.argv.slice(1);
  Object.defineProperty(process, 'platform', { value: platform });
  process.env.HOLDFAST_ENGINE = 'portable';
  const { defaultEngine, Journal, openFile, probe } = await import('holdfast');
  const journal = await Journal.open(path);
  await journal.append(Buffer.from('the first'));
  const before = defaultEngine().stats().systemCalls;
  for (let count = 0; count < 5; count++) await journal.append(Buffer.from('a record'));
  const { systemCalls } = defaultEngine().stats();
  const since = (name) => (systemCalls[name] ?? 0) - (before[name] ?? 0);
  await journal.close();
  const refusals = [];
  for (const sync of ['data', 'full']) {
    const options = { access: 'write', create: true, sync };
    const opened = await openFile(path + '/other', options).catch((error) => error);
    if (opened.close === undefined) refusals.push([opened.kind, opened.message]);
    else await opened.close();
  }
  const { sync } = await probe(path, { measure: true });
  console.log(JSON.stringify({ syncs: since('fdatasync'), refusals, measured: sync }));
`;

interface Told {
  readonly syncs: number;
  readonly refusals: readonly (readonly [kind: string, message: string])[];
  readonly measured: unknown;
}

async function told(path: string, platform: string): Promise<Told> {
  const { code, stdout, stderr } = await runChild({ source: SOURCE, args: [platform, path] });
  equal(code, 0, stderr);
  return JSON.parse(stdout);
}

test('append() syncs each lone record where no write is durable when it returns', async (t) => {
  const here = await told(join(scratch(t), 'journal'), 'linux');
  const macos = await told(join(scratch(t), 'journal'), 'darwin');
  equal(here.syncs, 0, 'on Linux one write does both');
  equal(macos.syncs, 5);
});

test('openFile() refuses `sync` where no write is durable when it returns', async (t) => {
  const { refusals } = await told(join(scratch(t), 'journal'), 'darwin');
  deepEqual(
    refusals.map(([kind]) => kind),
    ['unsupported', 'unsupported'],
  );
  for (const [, message] of refusals) match(message, /no writes that are durable when they return/);
  deepEqual((await told(join(scratch(t), 'journal'), 'linux')).refusals, []);
});

test('probe() measures no such write there', async (t) => {
  const { measured } = await told(join(scratch(t), 'journal'), 'darwin');
  ok(JSON.stringify(measured).includes('no write that is durable when it returns'));
});

/** Files of JSON lines are read by jq itself: while they are appended to, and after a crash. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openJsonl } from 'holdfast';
import { Child, hasTool } from './support/child.js';
import { scratch } from './support/scratch.js';

/** Appends for as long as it lives, and says what was acknowledged. */
const source = `
  import { writeSync } from 'node:fs';
  import { openJsonl } from 'holdfast';
  const [path, who, shared] = process.argv.slice(1);
  const lines = await openJsonl(path, { shared: shared === 'shared' });
  for (let n = 0; ; ) {
    const some = Array.from({ length: 1 + (n % 9) }, () => {
      const value = { who, n: n++, pad: 'x"\\\\'.repeat((n * 131) % 1500) };
      return lines.append(value);
    });
    await Promise.all(some);
    writeSync(1, n + '\\n');
  }`;

function hasJq(t: TestContext): boolean {
  if (hasTool('jq')) return true;
  t.diagnostic('NOT TESTED: jq is not installed');
  t.skip('jq is not installed');
  return false;
}

interface Seen {
  /** By writer, the numbers of its values in the order of the file. */
  readonly numbers: ReadonlyMap<string, readonly number[]>;
  /** It came upon the beginning of a line. */
  readonly isCut: boolean;
}

function jq(path: string): Seen {
  const words = ['-r', 'select(.pad | length >= 0) | "\\(.who) \\(.n)"', path];
  const { status, stdout, stderr } = spawnSync('jq', words, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) match(stderr, /error.*: Unfinished .* at EOF/);
  const numbers = new Map<string, number[]>();
  for (const line of stdout.split('\n').slice(0, -1)) {
    const [who, n] = line.split(' ') as [string, string];
    numbers.set(who, [...(numbers.get(who) ?? []), Number(n)]);
  }
  return { numbers, isCut: status !== 0 };
}

/* Each number once, in order, at least as many as were acknowledged. */
function isWhole(found: readonly number[] | undefined, acknowledged: number): void {
  deepEqual(found ?? [], [...(found ?? []).keys()]);
  ok((found ?? []).length >= acknowledged, `${found?.length} of ${acknowledged}`);
}

function acknowledgedBy(child: Child): number {
  return Number(child.stdout.split('\n').at(-2) ?? 0);
}

for (const [how, count] of [
  ['one process appends', 1],
  ['three processes append', 3],
] as const) {
  test(`jq reads whole lines while ${how}, and after all are killed`, {
    timeout: 60_000,
  }, async (t) => {
    if (!hasJq(t)) return;
    const path = join(scratch(t), 'log.jsonl');
    const shared = count > 1;
    const children = Array.from({ length: count }, (_, who) => {
      const args = [path, `w${who}`, shared ? 'shared' : 'own'];
      return new Child({ source, args, timeoutMs: 60_000 });
    });
    t.after(() => Promise.all(children.map((child) => child.kill())));
    for (const child of children) await child.waitFor('\n');
    let cutCount = 0;
    for (let turn = 0; turn < 25; turn++) {
      const before = children.map(acknowledgedBy);
      const { numbers, isCut } = jq(path);
      if (isCut) cutCount++;
      for (const [who, least] of before.entries()) isWhole(numbers.get(`w${who}`), least);
      /* What they say meanwhile is heard in the next turn of the loop. */
      await new Promise(setImmediate);
    }
    t.diagnostic(`${cutCount} of 25 readings met a line that was being written`);
    await Promise.all(children.map((child) => child.kill()));
    const lines = await openJsonl(path, { shared });
    await lines.append({ who: 'after', n: 0, pad: '' });
    await lines.close();
    const { numbers, isCut } = jq(path);
    ok(!isCut);
    for (const [who, child] of children.entries()) {
      isWhole(numbers.get(`w${who}`), acknowledgedBy(child));
    }
    deepEqual(numbers.get('after'), [0]);
  });
}

test('jq reads what is left when a torn tail, and zeros, have been mended', async (t) => {
  if (!hasJq(t)) return;
  const path = join(scratch(t), 'log.jsonl');
  const value = (n: number): string => `${JSON.stringify({ who: 'w', n, pad: 'x' })}\n`;
  const zeros = '\0'.repeat(600);
  for (const torn of ['{"who":"w","n', zeros, `{"who":"w"${zeros}`, '{"who":"w","n":4,"pad":"']) {
    writeFileSync(path, `${value(0)}${zeros}${value(1)}${zeros}\n${value(2)}`);
    appendFileSync(path, torn);
    const lines = await openJsonl(path);
    equal(lines.recovery.cutBytes, torn.length);
    deepEqual(jq(path), { numbers: new Map([['w', [0, 1, 2]]]), isCut: false });
    await lines.append({ who: 'w', n: 3, pad: '' });
    await lines.close();
    deepEqual(jq(path), { numbers: new Map([['w', [0, 1, 2, 3]]]), isCut: false });
    ok(!readFileSync(path).includes(0));
  }
});

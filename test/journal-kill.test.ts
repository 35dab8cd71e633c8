/** kill -9 in the middle of everything: what was acknowledged is there, the lock is not. */
import { deepEqual, ok } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Journal } from 'holdfast';
import { Child } from './support/child.js';
import { scratch } from './support/scratch.js';

const kills = Number(process.env.HOLDFAST_KILLS ?? 30);

test('a writer that is killed loses nothing it acknowledged', { timeout: 3_600_000 }, async (t) => {
  const directory = join(scratch(t), 'journal');
  let expected = 0;
  for (let turn = 0; turn < kills; turn++) {
    const module = fileURLToPath(new URL('./journal/killed.js', import.meta.url));
    const child = new Child({ module, args: [directory], timeoutMs: 60_000 });
    t.after(() => child.kill());
    await child.waitFor('\n');
    const rounds = 1 + ((turn * 7) % 40);
    while (child.stdout.split('\n').length < rounds + 2) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    child.kill();
    await child.ended;
    const told = child.stdout.split('\n').slice(1, -1).map(Number);
    expected = Math.max(expected, told.at(-1) ?? 0);
    const journal = await Journal.open(directory, { lockTimeoutMs: 1000, segmentBytes: 65536 });
    const found: number[] = [];
    for await (const { data } of journal.read()) {
      found.push(Number.parseInt(Buffer.from(data).toString(), 10));
    }
    deepEqual(found, [...found.keys()]);
    ok(found.length >= expected, `${found.length} of ${expected} after ${turn + 1} kills`);
    await journal.close();
  }
});

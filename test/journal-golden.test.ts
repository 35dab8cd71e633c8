/** Journals that earlier versions wrote: they stay readable, and go on. */
import { deepEqual, equal } from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Journal, verifyJournal } from 'holdfast';
import { all, bytesOf, texts } from './journal/worlds.js';
import { projectRoot, scratch } from './support/scratch.js';

const golden = join(projectRoot, 'test/golden/journal-1');

/** What was appended to it: `first`, nothing, a batch of three, forty records, `last`. */
function expected(): Buffer[] {
  const records = ['first', '', 'a', 'bb', 'ccc'].map((text) => Buffer.from(text));
  for (let index = 0; index < 40; index++) {
    records.push(
      Buffer.from(Array.from({ length: index * 10 }, (_, at) => (index * 31 + at) % 256)),
    );
  }
  return [...records, Buffer.from('last')];
}

test('a journal of version 1 is read, record by record', async () => {
  const journal = await Journal.open(golden, { readOnly: true });
  const records = await all(journal.read());
  deepEqual(
    records.map(({ data }) => Buffer.from(data)),
    expected(),
  );
  equal(records[0]?.lsn, 8);
  equal(records[1]?.lsn, 32);
  equal(journal.nextLsn, 8704);
  equal(journal.recovery.wasClosed, true);
  await journal.close();
  equal((await verifyJournal(golden)).isIntact, true);
});

test('a journal of version 1 goes on', async (t) => {
  const directory = join(scratch(t), 'journal');
  cpSync(golden, directory, { recursive: true });
  const journal = await Journal.open(directory);
  await journal.append(bytesOf('more'));
  await journal.close();
  const again = await Journal.open(directory);
  equal((await texts(again.read())).at(-1), 'more');
  await again.close();
});

test('the page about the format shows the bytes that are there', () => {
  const [name] = readdirSync(golden).sort();
  const bytes = readFileSync(join(golden, name as string));
  const page = readFileSync(join(projectRoot, 'docs/journal-format.md'), 'utf8');
  const magic = bytes.subarray(0, 8).toString('hex').replace(/../g, '$& ').trim();
  const mark = bytes.subarray(4096, 4104).toString('hex').replace(/../g, '$& ').trim();
  equal(page.split(magic).length, 2);
  equal(page.split(mark).length, 2);
  equal(bytes[8192 + 11], 0xa7);
});

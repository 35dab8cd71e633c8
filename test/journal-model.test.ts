/** Any sequence of calls, against a list: on a simulated disk, with reopening in between. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Journal } from 'holdfast';
import { simulatedDisk } from 'holdfast/testing';
import { all } from './journal/worlds.js';

type Call =
  | { readonly kind: 'append' | 'write'; readonly lengths: readonly number[] }
  | { readonly kind: 'batch'; readonly lengths: readonly number[] }
  | { readonly kind: 'trim' | 'get'; readonly share: number }
  | { readonly kind: 'read'; readonly from: number; readonly to: number; readonly reverse: boolean }
  | { readonly kind: 'reopen' };

const lengths = fc.array(fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 6000 })), {
  minLength: 1,
  maxLength: 8,
});
const share = fc.double({ min: 0, max: 1, noNaN: true });
const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('append', 'write'), lengths }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('batch'), lengths }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('trim', 'get'), share }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('read'),
      from: share,
      to: share,
      reverse: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen') }) },
) as fc.Arbitrary<Call>;

interface Known {
  readonly lsn: number;
  readonly text: string;
}

/** A journal, and the list it has to equal. */
class Pair {
  readonly #disk = simulatedDisk(21);
  #journal: Journal | undefined;
  #known: Known[] = [];
  #count = 0;

  async open(): Promise<void> {
    const options = { segmentBytes: 16384, bufferBytes: 65536, spareCount: 1 };
    this.#journal = await Journal.open('/journal', { ...options, engine: this.#disk.engine });
  }

  get #open(): Journal {
    return this.#journal as Journal;
  }

  #text(length: number): string {
    return `${this.#count++}:${'x'.repeat(length)}`;
  }

  async run(one: Call): Promise<void> {
    if (one.kind === 'append') await this.#append(one.lengths);
    else if (one.kind === 'write') await this.#write(one.lengths);
    else if (one.kind === 'batch') await this.#batch(one.lengths);
    else if (one.kind === 'trim') await this.#trim(one.share);
    else if (one.kind === 'get') await this.#get(one.share);
    else if (one.kind === 'read') await this.#read(one);
    else await this.reopen();
  }

  async #append(some: readonly number[]): Promise<void> {
    const added = some.map((length) => this.#text(length));
    const lsns = await Promise.all(added.map((text) => this.#open.append(Buffer.from(text))));
    for (const [index, text] of added.entries()) {
      this.#known.push({ lsn: lsns[index] as number, text });
    }
    equal(this.#open.syncedLsn, lsns.at(-1));
  }

  async #write(some: readonly number[]): Promise<void> {
    for (const length of some) {
      const text = this.#text(length);
      this.#known.push({ lsn: this.#open.write(Buffer.from(text)), text });
    }
    if (some.length % 2 === 0) await this.#open.syncThrough(this.#known.at(-1)?.lsn as number);
  }

  async #batch(some: readonly number[]): Promise<void> {
    const added = some.map((length) => this.#text(length));
    const { first, last } = await this.#open.appendBatch(added.map((text) => Buffer.from(text)));
    const found = await all(this.#open.read({ from: first, to: last }));
    deepEqual(
      found.map(({ data }) => Buffer.from(data).toString()),
      added,
    );
    equal(found[0]?.lsn, first);
    for (const [index, text] of added.entries()) {
      this.#known.push({ lsn: found[index]?.lsn as number, text });
    }
  }

  #at(part: number): Known | undefined {
    return this.#known[Math.min(Math.floor(part * this.#known.length), this.#known.length - 1)];
  }

  async #trim(part: number): Promise<void> {
    const one = this.#at(part);
    if (one === undefined) return;
    await this.#open.trimBefore(one.lsn);
    this.#known = this.#known.slice(this.#known.indexOf(one));
    equal(this.#open.firstLsn, one.lsn);
  }

  async #get(part: number): Promise<void> {
    const one = this.#at(part);
    if (one === undefined) return;
    equal(Buffer.from(await this.#open.get(one.lsn)).toString(), one.text);
    await rejects(this.#open.get(one.lsn + 1), RangeError);
  }

  async #read(asked: { from: number; to: number; reverse: boolean }): Promise<void> {
    const [low, high] = [Math.min(asked.from, asked.to), Math.max(asked.from, asked.to)];
    const [first, last] = [this.#at(low), this.#at(high)];
    if (first === undefined || last === undefined) return;
    const { reverse } = asked;
    const [from, to] = reverse ? [last.lsn, first.lsn] : [first.lsn, last.lsn];
    const found = await all(this.#open.read({ from, to, reverse }));
    const middle = this.#known.slice(this.#known.indexOf(first), this.#known.indexOf(last) + 1);
    const expected = reverse ? middle.reverse() : middle;
    deepEqual(
      found.map(({ lsn, data }) => ({ lsn, text: Buffer.from(data).toString() })),
      expected,
    );
  }

  async reopen(): Promise<void> {
    const { nextLsn } = this.#open;
    await this.#open.close();
    await this.open();
    equal(this.#open.nextLsn, nextLsn);
    ok(this.#open.recovery.wasClosed || this.#open.recovery.isNew);
    await this.#read({ from: 0, to: 1, reverse: false });
  }

  async close(): Promise<void> {
    await this.reopen();
    await this.#open.close();
    deepEqual(this.#disk.openDescriptors, []);
  }
}

test('any calls come to what a list comes to', { timeout: 100_000 }, async () => {
  const calls = fc.array(call, { maxLength: 40 });
  const property = fc.asyncProperty(calls, async (some) => {
    const pair = new Pair();
    await pair.open();
    for (const one of some) await pair.run(one);
    await pair.close();
  });
  await fc.assert(property, { numRuns: 150 });
});

/* The segment it was begun in had its name twice, and a trim took the only file for the older. */
test('a batch too large for a segment with nothing in it outlives a trim', async () => {
  const disk = simulatedDisk(21);
  const options = { segmentBytes: 16384, bufferBytes: 65536, spareCount: 1, engine: disk.engine };
  const journal = await Journal.open('/journal', options);
  const batch = [1689, 217, 2729, 3457].map((length) => Buffer.alloc(length, 'x'));
  const { first, last } = await journal.appendBatch(batch);
  await journal.trimBefore(first);
  equal((await all(journal.read())).length, 4);
  await journal.trimBefore(last);
  equal((await all(journal.read())).length, 1);
  await journal.close();
  const again = await Journal.open('/journal', options);
  deepEqual([again.firstLsn, (await all(again.read())).length], [last, 1]);
  await again.close();
});

test('such a segment, left empty by a crash, is followed by one that readers take', async () => {
  const settings = { segmentBytes: 16384, bufferBytes: 65536, spareCount: 0 };
  for (let operation = 1, crashed = true; crashed; operation++) {
    const disk = simulatedDisk(operation);
    const journal = await Journal.open('/journal', { ...settings, engine: disk.engine });
    await journal.append(Buffer.alloc(6000, 'a'));
    disk.crashAt(operation);
    crashed = await journal.append(Buffer.alloc(6000, 'b')).then(
      () => false,
      () => true,
    );
    const { engine } = disk.crash({ keep: 'all' });
    const after = await Journal.open('/journal', { ...settings, engine });
    const { first } = await after.appendBatch([Buffer.alloc(7000, 'c'), Buffer.alloc(7000, 'd')]);
    await after.close();
    const again = await Journal.open('/journal', { ...settings, engine });
    const letters = (await all(again.read())).map(({ data }) => String.fromCharCode(data[0] ?? 0));
    ok(['acd', 'abcd'].includes(letters.join('')), `${operation}: ${letters.join('')}`);
    await again.trimBefore(first);
    equal((await all(again.read())).length, 2);
    await again.close();
  }
});

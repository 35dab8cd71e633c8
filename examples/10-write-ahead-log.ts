/**
 * A store that logs before it answers: what was acknowledged is there after any crash, and many who
 * append at once share one sync.
 */
import { Journal } from 'holdfast/journal';
import './scratch.js';

async function open(): Promise<{ journal: Journal; state: Map<string, number> }> {
  const journal = await Journal.open('accounts');
  const state = new Map<string, number>();
  for await (const { data } of journal.read()) {
    const { who, balance } = JSON.parse(Buffer.from(data).toString());
    state.set(who, balance);
  }
  return { journal, state };
}

const { journal, state } = await open();
const put = async (who: string, balance: number): Promise<void> => {
  await journal.append(Buffer.from(JSON.stringify({ who, balance })));
  state.set(who, balance);
};

await Promise.all(
  Array.from({ length: 1000 }, (_, index) => put(`customer ${index % 100}`, index)),
);
const { recordCount, syncCount } = journal.stats();
console.log(`${recordCount} records, ${syncCount} sync`); // 1000 records, 1 sync

const batch = [
  { who: 'a', balance: 0 },
  { who: 'b', balance: 100 },
];
const { last } = await journal.appendBatch(batch.map((one) => Buffer.from(JSON.stringify(one))));
console.log(`durable: ${journal.syncedLsn >= last}`); // durable: true

await journal.close();
const again = await open();
const { tail } = again.journal.recovery;
console.log(`${again.state.size} customers, tail ${tail}`); // 102 customers, tail clean

/* A checkpoint elsewhere makes the log before it needless. */
await again.journal.trimBefore(last);
for await (const { data } of again.journal.read()) {
  console.log(Buffer.from(data).toString()); // {"who":"b","balance":100}
}
await again.journal.close();

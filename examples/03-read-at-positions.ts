/** Reads records by their position, many at once, and reads one place into several views. */
import './scratch.js';
import { writeFile } from 'node:fs/promises';
import { openFile } from 'holdfast';

const RECORD_BYTES = 8;
await writeFile('records.txt', 'record 0record 1record 2record 3the end');

await using file = await openFile('records.txt');
const records = [3, 0, 2].map(async (index) => {
  const record = Buffer.alloc(RECORD_BYTES);
  await file.readAt(record, index * RECORD_BYTES);
  return record.toString();
});
console.log((await Promise.all(records)).join(', ')); // record 3, record 0, record 2

// One call fills several views in order.
const word = Buffer.alloc(6);
const rest = Buffer.alloc(2);
await file.readAt([word, rest], RECORD_BYTES);
console.log([word.toString(), rest.toString()]); // [ 'record', ' 1' ]

// Fewer bytes than asked mean the end of the file, and nothing else does.
const large = Buffer.alloc(100);
console.log(await file.readAt(large, 4 * RECORD_BYTES)); // 7

// The synchronous twin is the fastest way when the file is in memory anyway.
console.log(file.readAtSync(word, 0)); // 6

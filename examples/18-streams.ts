/** Reads and writes a file as a stream: Node's and the Web's, durable at the end, and pipes. */
import './scratch.js';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { OpenFile, openFile } from 'holdfast';

await using file = await openFile('log.txt', { access: 'read-write', create: true });
await file.writeAt(Buffer.from('a line\n'.repeat(100_000)), 0);

// `finish` comes when the bytes are durable, not when they are in the page cache.
const target = await openFile('log.txt.gz', { access: 'write', create: true });
const writing = target.createWriteStream({ sync: 'data' });
await pipeline((await openFile('log.txt')).createReadStream(), createGzip(), writing);
console.log(writing.synced); // { primitive: 'fdatasync' }

// Streams close their file when they are over; several streams of one file leave it open.
let bytes = 0;
for await (const view of file.createReadStream({ start: 7, end: 13, autoClose: false })) {
  bytes += view.length;
}
console.log(bytes); // 7

// A byte stream of the Web fills the memory of its reader: nothing is copied, nothing allocated.
const reader = file.readable({ autoClose: false }).getReader({ mode: 'byob' });
const { value } = await reader.read(new Uint8Array(65536));
console.log(value?.length); // 65536
await reader.cancel();

// What has no positions is taken when it is asked for: FIFOs, pipes, terminals.
const errors = OpenFile.fromFd(2, { ownership: 'borrow', pipes: true });
console.log(errors.hasPositions); // false
await errors.close();

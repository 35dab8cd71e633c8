/** Keeps many operations under way at once, and makes a write durable with what is linked to it. */
import './scratch.js';
import { type Completion, CompletionQueue, openFile, Status } from 'holdfast';

const PAGE_BYTES = 4096;
await using file = await openFile('pages.db', { access: 'read-write', create: true });
const queue = new CompletionQueue({ depth: 64 });

// A chain: the sync begins when all bytes are written, and not at all if they are not.
for (let page = 0; page < 16; page++) {
  const bytes = new Uint8Array(PAGE_BYTES).fill(page);
  queue.write(file, bytes, page * PAGE_BYTES, page, { link: true });
}
queue.sync(file, 'data', 100);
const written = await queue.wait({ atLeast: 17 });
console.log(written.every(({ status }) => status === Status.Ok)); // true
console.log(written.at(-1)?.tag); // 100

// Registered memory costs the kernel nothing to find again. A tag says which one has ended.
const slots = queue.registerBuffers(Array.from({ length: 8 }, () => new Uint8Array(PAGE_BYTES)));
let next = 0;
let bytesRead = 0;
const ask = (slot: number): void => queue.readFixed(file, slot, next++ * PAGE_BYTES, slot);
for (const slot of slots) ask(slot);
while (queue.outstanding > 0) {
  for (const { tag, bytes } of await queue.wait()) {
    bytesRead += bytes;
    if (next < 16) ask(Number(tag));
  }
}
console.log(bytesRead); // 65536

// A failure is a completion too: a status for programs, an error for people.
queue.open('absent.db', {}, 1);
const [refused] = await queue.wait();
console.log(refused?.status === Status.NotFound, refused?.error?.code); // true ENOENT

// What has not begun can be called off; what has may still come to its end.
queue.nop(7);
console.log(queue.cancel(7)); // 1
const [cancelled] = await queue.wait();
console.log(cancelled?.status === Status.Cancelled); // true

// As a loop, until the queue is closed.
queue.sync(file, 'full', 2);
const closing = queue.close();
const told: Completion[] = [];
for await (const completion of queue) told.push(completion);
await closing;
console.log(told.length); // 1

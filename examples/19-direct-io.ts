/** Reads and writes round the page cache: what has to be aligned, and what falls back. */
import './scratch.js';
import { AlignedPool, AlignmentError, alignedBuffer, openFile } from 'holdfast';

// `true` falls back where a file system has no direct I/O, and says so; 'strict' refuses instead.
const options = { access: 'read-write', create: true, direct: true } as const;
await using file = await openFile('pages.db', options);
const { direct, fallbacks } = file.explain();
console.log(direct || fallbacks.some(({ what }) => what.includes('direct'))); // true

// Memory, offset and length are multiples of what the file tells; a page serves every disk.
const page = alignedBuffer(4096);
page.fill(7);
await file.writeAt(page, 0);
await file.syncData();
console.log(await file.readAt(page, 0)); // 4096

// What is off is named before anything is read; without direct I/O it is taken as it comes.
const off = await file.readAt(page.subarray(1), 0).catch((error: unknown) => error);
console.log(direct ? off instanceof AlignmentError : off === 4095); // true

// Many pages from one allocation: they are given back, not collected.
const pool = new AlignedPool({ bufferBytes: 4096, count: 64 });
const lease = pool.lease();
console.log(await file.readAt(lease.bytes, 0)); // 4096
lease.release();

/** Writes many pieces of memory with one system call, without joining them first. */
import './scratch.js';
import { openFile } from 'holdfast';

const header = new TextEncoder().encode('SAMPLES1');
const samples = Float64Array.of(1.5, 2.5, 3.5); // any view counts as its bytes: 24 of them

await using file = await openFile('samples.bin', { access: 'read-write', create: true });
const written = await file.writeAt([header, samples], 0); // all of them, or an IoError
await file.syncData(); // durable from here on

console.log(written); // 32
console.log(file.stats().systemCalls); // { fdatasync: 1, pwritev: 1 }

// A call takes 1024 views; more of them take more calls, and small neighbours go together.
const rows = Array.from({ length: 5000 }, (_, index) => Uint32Array.of(index, index * index));
await file.writeAt(rows, written);
console.log((await file.stat()).size); // 40032

/** Maps a file: its bytes as memory, without reading it, and writes through the map durably. */
import './scratch.js';
import { readFile, writeFile } from 'node:fs/promises';
import { IoError, mapFile, openFile } from 'holdfast';

await writeFile('table.bin', Float64Array.of(1.5, 2.5, 3.5));

const map = await mapFile('table.bin', { advise: 'sequential' });
const column = new Float64Array(map.bytes.buffer, map.bytes.byteOffset, 3);
console.log(column.reduce((sum, value) => sum + value)); // 7.5
console.log(map.intact); // true

// From here on no view of the map sees memory; `using` releases at the end of a block.
await map.release();
console.log(column.length); // 0

// A private map can be changed; the file stays as it is. Any part of a file will do.
await using draft = await mapFile('table.bin', { offset: 8, length: 8, write: 'private' });
draft.bytes.fill(0);
console.log((await readFile('table.bin')).readDoubleLE(8)); // 2.5

// A shared map writes to the file, where the engine can map; `sync` makes that durable.
async function setFirst(value: number): Promise<void> {
  const bytes = new Uint8Array(Float64Array.of(value).buffer);
  try {
    await using shared = await mapFile('table.bin', { write: 'shared' });
    shared.bytes.set(bytes);
    await shared.sync({ offset: 0, length: 8 });
  } catch (error) {
    if (!(error instanceof IoError) || error.kind !== 'unsupported') throw error;
    await using file = await openFile('table.bin', { access: 'read-write' });
    await file.writeAt(bytes, 0);
    await file.syncData();
  }
}
await setFirst(9.5);
console.log((await readFile('table.bin')).readDoubleLE(0)); // 9.5

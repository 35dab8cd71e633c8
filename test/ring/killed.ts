/**
 * Writes records, syncs, and says which are synced, with the next ones under way; until it is
 * killed. A record is its number, over and over.
 */
import { writeSync } from 'node:fs';
import { openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { recordOf } from './record.js';

const BATCH = 32;
const [path = '', first = '0'] = process.argv.slice(-2);
const engine = engineNamed('ring');
const file = await openFile(path, { access: 'read-write', create: true, engine });
await file.lock({ exclusive: true, timeoutMs: 5000 });

function writeBatch(from: number): Promise<unknown> {
  const records = Array.from({ length: BATCH }, (_, index) => recordOf(from + index));
  return Promise.all(
    records.map((record, index) => file.writeAt(record, (from + index) * record.length)),
  );
}

let written = writeBatch(Number(first));
for (let from = Number(first); ; from += BATCH) {
  await written;
  const synced = file.syncData();
  written = writeBatch(from + BATCH);
  await synced;
  writeSync(1, `synced ${from + BATCH}\n`);
}

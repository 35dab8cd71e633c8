/** Keeps a program's state in a file that is never half written, whatever happens. */
import './scratch.js';
import { readFile } from 'node:fs/promises';
import { IoError, replaceFile } from 'holdfast';

const state = { visits: 1 };
const report = await replaceFile('state.json', JSON.stringify(state));
console.log(report.durability); // full
console.log(report.replaced); // false

state.visits++;
await replaceFile('state.json', JSON.stringify(state));
console.log(await readFile('state.json', 'utf8')); // {"visits":2}

// An error tells which content stands: 'old' until the rename, 'unknown' only when everything was
// done and the last sync, that of the directory, failed.
try {
  await replaceFile('absent/state.json', JSON.stringify(state));
} catch (error) {
  if (!(error instanceof IoError)) throw error;
  console.log(error.code, error.kind, error.durable); // ENOENT not-found old
}

/** Stands in for the npm package write-file-atomic: the same calls, and a power cut survived. */
import './scratch.js';
import { readFileSync } from 'node:fs';
import writeFileAtomic from 'holdfast/write-file-atomic';

await writeFileAtomic('settings.json', '{"theme":"dark"}', { mode: 0o600 });
console.log(readFileSync('settings.json', 'utf8')); // {"theme":"dark"}

writeFileAtomic.sync('settings.json', '{"theme":"light"}');
console.log(readFileSync('settings.json', 'utf8')); // {"theme":"light"}

writeFileAtomic('settings.json', 'ffee', 'hex', (error) => {
  console.log(error, readFileSync('settings.json').length); // null 2
});

/** Makes a file larger than memory, and lets it appear only when it is whole. */
import './scratch.js';
import { readdir, readFile, stat } from 'node:fs/promises';
import { replaceFile } from 'holdfast';

async function* lines(count: number) {
  for (let line = 1; line <= count; line++) yield `${line}\n`;
}

const report = await replaceFile('export.txt', lines(1000));
console.log(report.bytes, (await stat('export.txt')).size); // 3893 3893

// Who gives up half way loses nothing: the old file stands, and no temporary file is left.
async function* interrupted() {
  yield 'the first part';
  throw new Error('the source has dried up');
}
try {
  await replaceFile('export.txt', interrupted());
} catch (error) {
  console.log((error as Error).message); // the source has dried up
}
console.log((await readFile('export.txt', 'utf8')).split('\n', 3)); // [ '1', '2', '3' ]
console.log(await readdir('.')); // [ 'export.txt' ]

/** Puts many files in place at once: none is named before all are on the disk. */
import './scratch.js';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { ReplaceFilesError, replaceFiles } from 'holdfast';

const reports = await replaceFiles([
  { path: 'settings.json', data: '{"theme":"dark"}' },
  { path: 'token', data: 'secret', mode: 0o600 },
  { path: 'log', data: Readable.from(['first\n', 'second\n']) },
]);
console.log(reports.map(({ bytes }) => bytes)); // [ 16, 6, 13 ]

// One that cannot be made leaves all as they were.
try {
  await replaceFiles([
    { path: 'settings.json', data: '{}' },
    { path: 'absent/file', data: 'x' },
  ]);
} catch (error) {
  if (!(error instanceof ReplaceFilesError)) throw error;
  console.log(error.code, error.index, error.replacedCount); // ENOENT 1 0
}
console.log(await readFile('settings.json', 'utf8')); // {"theme":"dark"}

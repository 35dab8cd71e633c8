/**
 * The process that is killed. Opens the image as the last one left it, then replaces it by its
 * next generation, for ever, and says so after each: `write` of a few bytes to a pipe is done when
 * it returns, so whoever reads knows exactly what had been acknowledged when the kill came.
 */
import { writeSync } from 'node:fs';
import { replaceFile } from 'holdfast';
import { readImage, viewsOf } from './image.js';

const path = process.argv[2] as string;
const image = await readImage(path);
writeSync(1, 'ready\n');
for (let generation = image.generation + 1; ; generation++) {
  await replaceFile(path, viewsOf(image.items, generation));
  writeSync(1, `${generation}\n`);
}

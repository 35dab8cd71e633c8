/** Writes a million nodes one way, and tells how much memory that took beyond the value itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { replaceFile } from 'holdfast';
import { writeImage } from 'holdfast/image';
import { Cache, codecs, nodesOf } from './nodes.js';

const [path = '', way = '', count = ''] = process.argv.slice(2);
const collectGarbage = (globalThis as { gc?: () => void }).gc;

/* The most memory the process had since the last time this was asked for (proc(5)). */
function peakKilobytes(): number {
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  writeFileSync('/proc/self/clear_refs', '5');
  return Number(peak);
}

const codec = (await codecs({ isQuick: false, directory: undefined, note: console.error })).find(
  ({ name }) => name === way,
);
const write = async (value: ReturnType<typeof nodesOf>): Promise<unknown> => {
  if (codec === undefined) return writeImage(path, Cache, value);
  return replaceFile(path, codec.encode(value));
};
/* The code and what it needs once are not what is asked about. */
await write(nodesOf(20_000));
const value = nodesOf(Number(count));
collectGarbage?.();
collectGarbage?.();
peakKilobytes();
const before = peakKilobytes();
await write(value);
console.log(peakKilobytes() - before);

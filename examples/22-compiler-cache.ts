/**
 * A compiler's cache both ways: gathered from where it lies, or copied into a buffer or into a map.
 * With a number of nodes it tells times and memory too, beside JSON and v8:
 *
 *     node --expose-gc build/examples/22-compiler-cache.js 1000000
 */
import './scratch.js';
import { readFileSync, writeFileSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';
import { mapFile, openFile } from 'holdfast';
import {
  encodeImage,
  type InputOf,
  list,
  openImage,
  struct,
  text,
  u8,
  u32,
  writeImage,
} from 'holdfast/image';

const Node = struct({
  kind: u8,
  flags: u8,
  first: u32,
  next: u32,
  start: u32,
  end: u32,
  name: u32,
});
const Module = struct({ path: text, imports: list(u32), root: u32 });
const Cache = struct({ modules: list(Module), nodes: list(Node), names: list(text) });

const asked = Number(process.argv[2] ?? 0);
const count = asked > 0 ? asked : 20_000;

function compiled(): InputOf<typeof Cache> {
  const nodes = Array.from({ length: count }, (_, n) => ({
    kind: n % 60,
    flags: n & 3,
    first: n * 2 + 1,
    next: n + 1,
    start: n * 7,
    end: n * 7 + 6,
    name: n % 1000,
  }));
  const names = Array.from({ length: 1000 }, (_, n) => `name${n}`);
  const modules = Array.from({ length: count / 1000 }, (_, n) => ({
    path: `src/module-${n}.ts`,
    imports: [n, n + 1],
    root: n * 1000,
  }));
  return { modules, nodes, names };
}

/* The most memory the process had since the last time this was asked for (proc(5)). */
function peakMegabytes(): number {
  try {
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    writeFileSync('/proc/self/clear_refs', '5');
    return Number(peak) / 1000;
  } catch {
    return Number.NaN; // not on this system
  }
}

async function measured<T>(name: string, work: () => Promise<T> | T): Promise<T> {
  if (asked === 0) return work();
  (globalThis as { gc?: () => void }).gc?.();
  peakMegabytes();
  const before = peakMegabytes();
  const start = performance.now();
  const result = await work();
  const ms = (performance.now() - start).toFixed(0);
  const more = (peakMegabytes() - before).toFixed(1);
  process.stdout.write(`${name.padEnd(32)} ${ms.padStart(6)} ms, ${more.padStart(6)} MB more\n`);
  return result;
}

async function synced(path: string, bytes: string | Uint8Array): Promise<void> {
  const file = await open(path, 'w');
  await file.writeFile(bytes);
  await file.sync();
  await file.close();
}

const cache = compiled();

await measured('image, durably', () => writeImage('durable.image', Cache, cache));

await measured('image, gathered', async () => {
  await using file = await openFile('gathered.image', { access: 'write', create: true });
  await file.writeAt(encodeImage(Cache, cache).buffers(), 0);
  await file.sync();
});

await measured('image, in a buffer', () => {
  return synced('buffer.image', encodeImage(Cache, cache).toBuffer());
});

const isMapped = await measured('image, in a map', async () => {
  const writer = encodeImage(Cache, cache);
  await writeFile('mapped.image', new Uint8Array(writer.byteLength));
  try {
    await using map = await mapFile('mapped.image', { write: 'shared' });
    writer.toBuffer(map.bytes);
    await map.sync();
    return true;
  } catch (error) {
    if ((error as { kind?: string }).kind !== 'unsupported') throw error;
    return false; // no maps here: the other ways do
  }
});

const images = await Promise.all(
  ['durable', 'gathered', 'buffer', ...(isMapped ? ['mapped'] : [])].map((name) =>
    readFile(`${name}.image`),
  ),
);
console.log(images.every((image) => image.equals(images[0] as Buffer))); // true

await measured('JSON.stringify, write, fsync', () => synced('cache.json', JSON.stringify(cache)));
await measured('v8.serialize, write, fsync', () => synced('cache.v8', serialize(cache)));

const last = count - 1;
const shown = await measured('open the image, look at a node', async () => {
  await using image = await openImage('durable.image', Cache);
  return image.nodes.at(last)?.start;
});
const parsed = await measured('read and JSON.parse', async () => {
  return JSON.parse(await readFile('cache.json', 'utf8')) as InputOf<typeof Cache>;
});
const revived = await measured('read and v8.deserialize', async () => {
  return deserialize(await readFile('cache.v8')) as InputOf<typeof Cache>;
});
const starts = [parsed, revived].map(({ nodes }) => (nodes as { start: number }[])[last]?.start);
console.log(starts.every((start) => start === shown)); // true

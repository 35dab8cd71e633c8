/**
 * Run as a process of its own: prints by how many bytes one gather of 1,000,000 x 16 B raises the
 * peak of resident memory over what stood before it, the views included in that.
 *
 *   node build/bench/gather/memory.js WRITER KIND FILE
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { makeViews, openWriter, type ViewKind, type WriterName } from './writers.js';

/** A line of /proc/self/status, in bytes. */
function statusBytes(name: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync('/proc/self/status', 'utf8');
  return Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(text)?.[1]) * 1024;
}

const [name, kind, path] = process.argv.slice(2) as [WriterName, ViewKind, string];
const writer = await openWriter(name, path);
await writer.write(makeViews(kind, 1, 16));
const views = makeViews(kind, 1_000_000, 16);
// 5: sets the peak back to what is resident now, see proc(5).
writeFileSync('/proc/self/clear_refs', '5');
const before = statusBytes('VmRSS');
await writer.write(views);
console.log(statusBytes('VmHWM') - before);
await writer.close();

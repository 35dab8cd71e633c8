/** Streams of a test: made of a file on an engine, run to their end, and what came of them. */
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

/** All bytes of a stream, whole, and the views they came in. */
async function viewsOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const views: Buffer[] = [];
  for await (const view of stream) views.push(Buffer.from(view));
  return views;
}

export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await viewsOf(stream));
}

/** Every event of a name that a stream emits, in order. */
export function listened(stream: Readable | Writable): string[] {
  const events: string[] = [];
  for (const name of ['end', 'finish', 'error', 'close', 'drain']) {
    stream.on(name, () => events.push(name));
  }
  return events;
}

/** Waits for `close`, whatever came before; answers the errors that were emitted. */
export async function closed(stream: Readable | Writable): Promise<unknown[]> {
  const errors: unknown[] = [];
  stream.on('error', (error) => errors.push(error));
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
  return errors;
}

/** Writes views one after the other, heeding back-pressure, and ends the stream. */
export async function writeAll(stream: Writable, views: Iterable<Uint8Array>): Promise<void> {
  for (const view of views) {
    if (!stream.write(view)) await once(stream, 'drain');
  }
  stream.end();
}

/** A number that comes again with its seed: mulberry32. */
export function chanceBy(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

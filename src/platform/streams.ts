/** The streams of Node, fetched when the first is made: an import would take its time from all. */
import type { Readable, Writable } from 'node:stream';
import { IoError } from '../errors.js';

export type { Readable, Writable };

export interface NodeStreams {
  readonly Readable: typeof Readable;
  readonly Writable: typeof Writable;
}

/** Errors: `IoError` of kind `unsupported` in a runtime that lacks `process.getBuiltinModule`. */
export function nodeStreams(): NodeStreams {
  const streams = process.getBuiltinModule?.('node:stream');
  if (streams !== undefined) return streams;
  const words = 'this runtime has no process.getBuiltinModule; take a Web stream';
  throw new IoError({ action: 'make a stream', code: 'ENOSYS', words });
}

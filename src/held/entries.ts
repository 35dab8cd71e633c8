/** The names in a directory that is held, with the kinds that the file system tells beside them. */
import type { Steps } from '../engine.js';
import { Code, entryKind, type FileKind, Operation } from '../platform.js';
import { type Held, refused } from './directories.js';

const READ_BYTES = 32768;

/** Names as they were read, one character a byte. */
export class Names {
  readonly names: readonly string[];
  /** False when there may be more. */
  readonly isWhole: boolean;
  /** By name, as `entryKind` takes it. */
  readonly kinds: Uint8Array;

  constructor({ names = [], kinds, result, out }: Operation) {
    this.names = names;
    this.kinds = kinds ?? new Uint8Array(names.length);
    /* The addon answers bytes, 0 at the end; node:fs and a simulated disk answer all at once. */
    this.isWhole = result === 0 || out === undefined;
  }

  /** Whether the file system tells the kind of every name. */
  get isTold(): boolean {
    return !this.kinds.includes(0);
  }

  /** `unknown` where the file system does not tell. */
  kindAt(index: number): FileKind {
    return entryKind(this.kinds[index] ?? 0);
  }
}

/** The operation that reads names. */
export function reading(
  { fd, place }: Held,
  out: Uint8Array = new Uint8Array(READ_BYTES),
): Operation {
  const read = new Operation(Code.ReadEntries);
  read.fd = fd;
  read.place = place;
  read.out = out;
  return read;
}

/** Reads the next names. Errors: `IoError`. */
export function* readSteps(held: Held, action: string): Steps<Names> {
  const read = reading(held);
  yield read;
  if (read.result >= 0) return new Names(read);
  throw refused(read, { action, step: 'read the directory', path: held.place.path });
}

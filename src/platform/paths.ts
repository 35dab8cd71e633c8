/** Paths: checked once, kept as text, crossing as bytes that end in NUL. */
import { win32 } from 'node:path';
import { fileURLToPath } from 'node:url';
import { invalidType, invalidValue } from '../errors.js';
import { AT_FDCWD } from './linux.js';

/** A path as Node takes it: text, the bytes of a name that is not UTF-8, or a `file:` URL. */
export type PathLike = string | Uint8Array | URL;

type TextEncoding = 'utf8' | 'latin1';

/**
 * A name, seen from a directory. Engines that have descriptors of directories use `directory` and
 * `name`; the others use `path`, which leads to the same place while nobody moves directories.
 *
 * Names that are not UTF-8 are held as latin1 text, one character a byte: cutting at `/` and adding
 * ASCII means the same there.
 */
export class Place {
  readonly directory: number;
  readonly name: string;
  readonly path: string;
  readonly encoding: TextEncoding;
  #bytes: Uint8Array | undefined;

  constructor(
    path: string,
    encoding: TextEncoding,
    directory: number = AT_FDCWD,
    name: string = path,
  ) {
    this.path = path;
    this.encoding = encoding;
    this.directory = directory;
    this.name = name;
  }

  /** `name` as the system takes it, ending in NUL. */
  get bytes(): Uint8Array {
    this.#bytes ??= Buffer.from(`${this.name}\0`, this.encoding);
    return this.#bytes;
  }

  /** `path` as node:fs takes it. */
  get nodePath(): string | Buffer {
    return this.encoding === 'utf8' ? this.path : Buffer.from(this.path, 'latin1');
  }

  /** The directory that holds the last part of the path, seen from where this place is. */
  parent(): Place {
    const { directory } = this.#split(this.path);
    if (this.directory === AT_FDCWD) return new Place(directory, this.encoding);
    return new Place(directory, this.encoding, this.directory, this.#split(this.name).directory);
  }

  /** The same name, seen from another directory. */
  seenFrom(descriptor: number): Place {
    return new Place(this.path, this.encoding, descriptor, this.name);
  }

  /** The same place without separators at its end. */
  trimmed(): Place {
    const root = win32Root(this.path);
    let end = this.path.length;
    while (end > Math.max(root.length, 1) && isSeparator(this.path, end - 1)) end--;
    if (end === this.path.length) return this;
    return new Place(this.path.slice(0, end), this.encoding, this.directory);
  }

  /** A name as it was read from this directory, one character a byte. */
  entry(name: string, descriptor: number): Place {
    if (isAscii(name)) return this.child(name, descriptor);
    const { text, encoding } = textOf(Buffer.from(name, 'latin1'));
    if (encoding === this.encoding) return this.child(text, descriptor);
    const path = recoded(this.path, this.encoding, 'latin1');
    return new Place(path, 'latin1').child(name, descriptor);
  }

  /** The last part of the path; empty where the path ends in a separator. */
  get base(): string {
    return this.#split(this.path).base;
  }

  /** A name inside this place, which is a directory open as `descriptor`. */
  child(name: string, descriptor: number): Place {
    const isWhole = isSeparator(this.path, this.path.length - 1);
    const path = this.path + (isWhole ? name : separatorOf(this.path) + name);
    return new Place(path, this.encoding, descriptor, name);
  }

  /**
   * Where a symbolic link at this place leads: nothing is normalised, `..` is the kernel's. One
   * that is relative is seen from `descriptor`, the directory that holds the link.
   */
  linkTarget(bytes: Uint8Array, descriptor: number = AT_FDCWD): Place {
    const link = textOf(bytes);
    const encoding = this.encoding === link.encoding ? link.encoding : 'latin1';
    const text = recoded(link.text, link.encoding, encoding);
    if (text.startsWith('/') || win32Root(text) !== '') return new Place(text, encoding);
    const directory = recoded(this.#split(this.path).directory, this.encoding, encoding);
    const path = `${directory}/${text}`;
    return new Place(path, encoding, descriptor, descriptor === AT_FDCWD ? path : text);
  }

  #split(path: string): { directory: string; base: string } {
    const root = win32Root(path);
    const rest = path.slice(root.length);
    const cut = Math.max(rest.lastIndexOf('/'), root === '' ? -1 : rest.lastIndexOf('\\'));
    const base = rest.slice(cut + 1);
    const head = root + rest.slice(0, Math.max(cut, 0));
    if (head !== '') return { directory: head, base };
    return { directory: cut === 0 ? '/' : '.', base };
  }
}

function isSeparator(path: string, at: number): boolean {
  return path[at] === '/' || (path[at] === '\\' && process.platform === 'win32');
}

/* Windows takes both: a path goes on as it was given. */
function separatorOf(path: string): string {
  return process.platform === 'win32' && path.includes('\\') ? '\\' : '/';
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return false;
  }
  return true;
}

function win32Root(path: string): string {
  return process.platform === 'win32' ? win32.parse(path).root : '';
}

function recoded(text: string, from: TextEncoding, to: TextEncoding): string {
  return from === to ? text : Buffer.from(text, from).toString(to);
}

/**
 * A path that means the same wherever the process goes: seen from `home`, unless it is whole. An
 * empty `home` is that of a simulated disk, whose paths are those of Linux.
 */
export function absolutePath(path: string, home: string): string {
  if (path.startsWith('/')) return path;
  return process.platform === 'win32' && home !== ''
    ? win32.resolve(home, path)
    : `${home}/${path}`;
}

/** Bytes as text: UTF-8 where they are, else latin1, one character a byte. */
export function textOf(bytes: Uint8Array): { text: string; encoding: TextEncoding } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString('utf8');
  if (Buffer.from(text, 'utf8').equals(buffer)) return { text, encoding: 'utf8' };
  return { text: buffer.toString('latin1'), encoding: 'latin1' };
}

/**
 * Takes an argument as a place.
 *
 * Errors: `TypeError` for another type, for an empty path and for one with a NUL in it.
 */
export function placeOf(path: PathLike, argument = 'path'): Place {
  let text: string;
  let encoding: TextEncoding = 'utf8';
  if (typeof path === 'string') text = path;
  else if (path instanceof Uint8Array) ({ text, encoding } = textOf(path));
  else if (path instanceof URL) text = fileURLToPath(path);
  else throw invalidType(argument, 'a string, a Uint8Array or a file: URL', path);
  if (text === '') throw invalidValue(argument, 'a path that is not empty', text);
  if (text.includes('\0')) throw invalidValue(argument, 'a path without NUL', text);
  return new Place(text, encoding);
}

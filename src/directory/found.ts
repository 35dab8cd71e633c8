/** What is answered of the names in a tree, and which directories are gone into. */
import { type Names, rawOf } from '../held.js';
import { entryKind, type FileKind, type Place } from '../platform.js';
import type { Glob, Match, State } from './glob.js';

/* Of text that has one character a byte. */
const NOT_ASCII = /[\u0080-\u00ff]/;

/** One name that was found. */
export interface DirectoryEntry {
  readonly name: string;
  /** From where the scan was told to begin: what other calls take. */
  readonly path: string;
  /** Of the name itself: a symbolic link is a `symlink`, wherever it leads. */
  readonly kind: FileKind;
  /** Where the path is not UTF-8, and `path` only shows it: its bytes, which other calls take. */
  readonly bytes?: Uint8Array;
}

export interface Wanted {
  readonly isRecursive: boolean;
  readonly match: Glob | undefined;
  readonly ignore: Glob | undefined;
  /** Kinds that are answered; `undefined` for all. */
  readonly kinds: ReadonlySet<FileKind> | undefined;
}

/** A directory that is to be read. */
export interface Pending {
  /** From the root, one character a byte; empty for the root. */
  readonly raw: string;
  /** What stands before each name in the paths answered. */
  readonly prefix: string;
  /** True while all of the prefix is UTF-8. */
  readonly isText: boolean;
  readonly match: State | undefined;
  readonly ignore: State | undefined;
}

/** Sorts names into entries to answer and directories to read. */
export class Finds {
  readonly pending: Pending[];
  entries: DirectoryEntry[] = [];
  readonly #wanted: Wanted;
  readonly #rawPrefix: string;

  /** `shown`: the directory as the caller wrote it. */
  constructor(shown: Place, wanted: Wanted) {
    this.#wanted = wanted;
    this.#rawPrefix = prefixOf(rawOf(shown));
    const isText = shown.encoding === 'utf8';
    const prefix = isText ? prefixOf(shown.path) : textOfRaw(this.#rawPrefix);
    const { match, ignore } = wanted;
    this.pending = [{ raw: '', prefix, isText, match: match?.start, ignore: ignore?.start }];
  }

  /** What has been found since the last time. */
  take(): DirectoryEntry[] {
    const { entries } = this;
    this.entries = [];
    return entries;
  }

  /** Considers all names that were read at once, of which the kinds are known. */
  considerAll(directory: Pending, { names, kinds }: Names): void {
    const { match, ignore, kinds: wanted } = this.#wanted;
    const isSelective = match !== undefined || ignore !== undefined || wanted !== undefined;
    if (!isSelective && directory.isText && !NOT_ASCII.test(names.join(''))) {
      this.#addAll(directory, names, kinds);
      return;
    }
    for (let index = 0; index < names.length; index++) {
      this.consider(directory, names[index] as string, entryKind(kinds[index] as number));
    }
  }

  /* Short on purpose: this loop is what a scan costs beside its system calls. */
  #addAll(directory: Pending, names: readonly string[], kinds: Uint8Array): void {
    const { entries } = this;
    const { prefix } = directory;
    const { isRecursive } = this.#wanted;
    for (let index = 0; index < names.length; index++) {
      const name = names[index] as string;
      const kind = entryKind(kinds[index] as number);
      entries.push({ name, path: prefix + name, kind });
      if (isRecursive && kind === 'directory') this.#descend(directory, name, name);
    }
  }

  /** Considers one name, as it was read. */
  consider(directory: Pending, raw: string, kind: FileKind): void {
    const { match, ignore, kinds, isRecursive } = this.#wanted;
    const name = NOT_ASCII.test(raw) ? textOfRaw(raw) : raw;
    const isDirectory = kind === 'directory';
    if (ignore !== undefined && directory.ignore !== undefined) {
      if (accepts(ignore.match(directory.ignore, name), isDirectory)) return;
    }
    if (isDirectory && isRecursive) this.#descend(directory, raw, name);
    let isWanted = kinds === undefined || kinds.has(kind);
    if (match !== undefined) {
      const found = match.match(directory.match as State, name);
      if (!accepts(found, isDirectory)) return;
      isWanted ||= found === 'directory';
    }
    if (isWanted) this.entries.push(this.#entryOf(directory, raw, name, kind));
  }

  #entryOf(directory: Pending, raw: string, name: string, kind: FileKind): DirectoryEntry {
    const path = directory.prefix + name;
    if (directory.isText && isSame(raw, name)) return { name, path, kind };
    const { raw: above } = directory;
    const rawPath = this.#rawPrefix + (above === '' ? raw : `${above}/${raw}`);
    return { name, path, kind, bytes: Buffer.from(rawPath, 'latin1') };
  }

  #descend(directory: Pending, raw: string, name: string): void {
    const { match, ignore } = this.#wanted;
    const matchBelow = match?.enter(directory.match as State, name);
    if (match !== undefined && matchBelow === undefined) return;
    const ignoreBelow = directory.ignore && ignore?.enter(directory.ignore, name);
    if (ignoreBelow !== undefined && ignore?.matchesAllBelow(ignoreBelow) === true) return;
    this.pending.push({
      raw: directory.raw === '' ? raw : `${directory.raw}/${raw}`,
      prefix: `${directory.prefix}${name}/`,
      isText: directory.isText && isSame(raw, name),
      match: matchBelow,
      ignore: ignoreBelow,
    });
  }
}

/* `.` is left out: a name in the working directory is a path already. */
function prefixOf(path: string): string {
  if (path === '.') return '';
  return path.endsWith('/') ? path : `${path}/`;
}

function accepts(match: Match, isDirectory: boolean): boolean {
  return match === 'any' || (match === 'directory' && isDirectory);
}

function textOfRaw(raw: string): string {
  return Buffer.from(raw, 'latin1').toString('utf8');
}

/* Whether the text says all that the bytes do: what is not UTF-8 was replaced in it. */
function isSame(raw: string, text: string): boolean {
  return raw === text || Buffer.from(text, 'utf8').toString('latin1') === raw;
}

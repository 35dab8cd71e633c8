/** Where a replace takes place: the directory, held open; the name in it; what stands there now. */
import type { Engine, Steps } from '../engine.js';
import { type IoError, IoError as Refusal } from '../errors.js';
import { closing } from '../file.js';
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  Code,
  codeName,
  errnoOf,
  FD_OPENED_IN_RUN,
  type FileStat,
  linked,
  nameOf,
  OpenFlag,
  Operation,
  type Place,
  refusal,
} from '../platform.js';
import type { ReplaceSettings } from './options.js';

/* As many as the kernel follows (path_resolution(7)). */
const LINKS_MAX = 40;
/* Enough for nearly every file; the most that Linux answers comes after ERANGE (xattr(7)). */
const ANSWER_BYTES = 1024;
const ANSWER_BYTES_MAX = 65536;

export interface Attribute {
  readonly name: string;
  readonly value: Uint8Array;
}

export interface Spot {
  readonly directory: Place;
  /** -1 where directories cannot be opened. */
  readonly descriptor: number;
  readonly target: Place;
  readonly old: FileStat | undefined;
  /** False for a directory that is held for others too, who close it. */
  readonly isOurs: boolean;
  /** A symbolic link stands there that is not to be followed. */
  readonly isLink: boolean;
  readonly attributes: readonly Attribute[];
  /** Attributes that are there and whose value we may not know. */
  readonly unread: readonly { readonly name: string; readonly reason: string }[];
  /** True when the directory gives every new file rights of its own (acl(5), default ACLs). */
  readonly givesRights: boolean;
  /** Why the attributes are not known, where they are not. */
  readonly attributesReason: string | undefined;
}

/** What a file has beside its content, to be given to another. */
export interface Traits extends Pick<Spot, 'attributes' | 'unread' | 'attributesReason'> {
  readonly stat: FileStat;
}

/* These belong to the content, which changes: a write in place would drop them too. */
const DROPPED = ['security.capability', 'security.ima', 'security.evm'];

export const NONE: Pick<Spot, 'attributes' | 'unread' | 'attributesReason'> = {
  attributes: [],
  unread: [],
  attributesReason: undefined,
};

/** An error of a replace that has not touched the target. */
export function untouched(operation: Operation, step: string, path: string): IoError {
  const action = `replace the file: ${step}`;
  const syscall = codeName(operation.code);
  return refusal(operation.result, { action, syscall, step, path, durable: 'old' });
}

/** The rights that a directory gives what is made in it. */
export function* rightsGiven(directory: Place, descriptor: number): Steps<Rights> {
  const rights = defaultRights(directory, descriptor);
  yield rights;
  return rightsIn(rights);
}

function wrongTarget(path: string, code: string, words?: string): IoError {
  const action = 'replace the file';
  return new Refusal({ action, code, path, words, step: 'inspect', durable: 'old' });
}

interface Look {
  readonly directory: Place;
  readonly name: string;
  /** The directory's descriptor, where it is held already. */
  readonly known: number | undefined;
  readonly open: Operation | undefined;
  readonly stat: Operation;
  /** `undefined`, with a reason, where attributes cannot be listed. */
  readonly list: Operation | undefined;
  readonly listReason: string | undefined;
  readonly rights: Operation | undefined;
  /** True where a new file is to have other rights than the directory gives. */
  readonly wantsRights: boolean;
}

/* By name, or by descriptor. */
function asking(code: Code, of: Place | number): Operation {
  const operation = new Operation(code);
  if (typeof of === 'number') operation.fd = of;
  else operation.place = of;
  return operation;
}

function listing(of: Place | number): Operation {
  const list = asking(Code.ListAttributes, of);
  list.out = new Uint8Array(ANSWER_BYTES);
  return list;
}

/* Last in its run: nearly every directory answers ENODATA. */
function defaultRights(directory: Place, descriptor: number): Operation {
  const get = new Operation(Code.GetAttribute);
  get.place = directory.child('.', descriptor);
  get.attribute = 'system.posix_acl_default';
  get.out = new Uint8Array(ANSWER_BYTES);
  return get;
}

interface Rights {
  readonly givesRights: boolean;
  readonly unread: Spot['unread'];
}

/* Without an ACL, or without ACLs at all, the answer is one of these. */
const NO_RIGHTS = ['ENODATA', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ECANCELED'];

function rightsIn(rights: Operation | undefined): Rights {
  if (rights === undefined) return { givesRights: false, unread: [] };
  if (rights.result >= 0 || rights.result === errnoOf('ERANGE')) {
    return { givesRights: true, unread: [] };
  }
  const code = nameOf(rights.result);
  if (NO_RIGHTS.includes(code)) return { givesRights: false, unread: [] };
  const name = 'system.posix_acl_default of the directory';
  return { givesRights: false, unread: [{ name, reason: code }] };
}

/** Directories that are held open for several replaces, by their paths. */
export class Held {
  /** All of them, to be closed by whoever made this. */
  readonly descriptors: number[] = [];
  readonly #byPath: Map<string, number> = new Map();
  readonly #rights: Map<number, Rights> = new Map();

  /** The rights a directory gives what is made in it, asked once. */
  *rightsGiven(directory: Place, descriptor: number): Steps<Rights> {
    const known = this.#rights.get(descriptor) ?? (yield* rightsGiven(directory, descriptor));
    this.#rights.set(descriptor, known);
    return known;
  }

  get(path: string): number | undefined {
    return this.#byPath.get(path);
  }

  add(path: string, descriptor: number): void {
    this.descriptors.push(descriptor);
    this.#byPath.set(path, descriptor);
  }
}

/** What a spot is looked for with. */
export interface Wish extends Pick<ReplaceSettings, 'followSymlink' | 'takesAfter'> {
  readonly held?: Held | undefined;
}

function lookAt(engine: Engine, place: Place, { held, takesAfter }: Wish): Look {
  const directory = place.parent();
  const name = place.base;
  const { capabilities } = engine;
  const holds = capabilities['directory-sync'] === true;
  const known = held?.get(directory.path);
  const seen = known ?? (holds ? FD_OPENED_IN_RUN : AT_FDCWD);
  const target = directory.child(name, seen);
  const stat = new Operation(Code.Stat);
  stat.place = target;
  stat.flags = AT_SYMLINK_NOFOLLOW;
  const hasAttributes = capabilities.attributes === true;
  const list = hasAttributes && takesAfter === undefined ? listing(target) : undefined;
  const listReason = hasAttributes ? undefined : String(capabilities.attributes);
  const rights = hasAttributes && holds ? defaultRights(directory, seen) : undefined;
  if (list !== undefined) linked(stat, list);
  if (rights !== undefined) linked(stat, rights);
  const wantsRights = takesAfter !== undefined && rights !== undefined;
  const look = { directory, name, known, stat, list, listReason, rights, wantsRights };
  if (!holds || known !== undefined) return { ...look, open: undefined };
  const open = new Operation(Code.Open);
  open.place = directory;
  open.flags = OpenFlag.ReadOnly | OpenFlag.Directory;
  linked(open, stat);
  return { ...look, open };
}

function* readLinkSteps(place: Place, target: Place): Steps<Place> {
  const read = new Operation(Code.ReadLink);
  read.place = target;
  read.out = new Uint8Array(4097);
  yield read;
  if (read.result < 0) throw untouched(read, 'follow the link', place.path);
  return place.linkTarget(read.out.subarray(0, read.result), target.directory);
}

type Known = Pick<Spot, 'attributes' | 'unread'>;

/* Asks once more, with all the room there can be, when the answer did not fit. */
function* askedAgain(operation: Operation): Steps<Operation> {
  if (operation.result !== errnoOf('ERANGE')) return operation;
  const again = new Operation(operation.code);
  again.fd = operation.fd;
  again.place = operation.place;
  again.attribute = operation.attribute;
  again.out = new Uint8Array(ANSWER_BYTES_MAX);
  yield again;
  return again;
}

function* valuesOf(of: Place | number, names: readonly string[]): Steps<Known> {
  const attributes: Attribute[] = [];
  const unread: { name: string; reason: string }[] = [];
  for (const name of names) {
    const get = asking(Code.GetAttribute, of);
    get.attribute = name;
    get.out = new Uint8Array(ANSWER_BYTES);
    yield get;
    const { result, out } = yield* askedAgain(get);
    if (result >= 0) attributes.push({ name, value: (out as Uint8Array).slice(0, result) });
    else unread.push({ name, reason: nameOf(result) });
  }
  return { attributes, unread };
}

function namesIn(list: Operation, dropped: readonly string[]): string[] {
  const text = Buffer.from(list.out as Uint8Array).toString('utf8', 0, list.result);
  return text.split('\0').filter((name) => name !== '' && !dropped.includes(name));
}

/* `undefined` where a file system that has no attributes said so. */
function noAttributes(listed: Operation, path: string): string | undefined {
  const code = nameOf(listed.result);
  if (code === 'ENOTSUP' || code === 'EOPNOTSUPP') return undefined;
  return untouched(listed, 'list the attributes', path).message;
}

/* This one seals the inode itself. */
const SEALS = ['security.evm'];

/** The traits of an open file. What cannot be read is told in them. */
export function* traitsOf(
  engine: Engine,
  file: { readonly fd: number; readonly stat: FileStat; readonly path: string },
): Steps<Traits> {
  const { fd, stat, path } = file;
  const { attributes } = engine.capabilities;
  if (attributes !== true) return { stat, ...NONE, attributesReason: attributes };
  const list = listing(fd);
  yield list;
  const listed = yield* askedAgain(list);
  if (listed.result < 0) return { stat, ...NONE, attributesReason: noAttributes(listed, path) };
  const names = listed.result === 0 ? [] : namesIn(listed, SEALS);
  return { stat, ...(yield* valuesOf(fd, names)), attributesReason: undefined };
}

function checkKind(stat: FileStat, path: string): void {
  if (stat.kind === 'file' || stat.kind === 'symlink') return;
  if (stat.kind === 'directory') throw wrongTarget(path, 'EISDIR');
  throw wrongTarget(path, 'ERR_WRONG_TYPE', `it is a ${stat.kind}, not a regular file`);
}

/**
 * Finds the spot, following symbolic links when asked to. The directory it answers is open. A link
 * that is relative is followed from the directory that was held when it was read.
 *
 * Errors: `IoError`; no descriptor is left then but those in `held`.
 */
export function* findSpot(engine: Engine, path: Place, wish: Wish): Steps<Spot> {
  const { followSymlink, held } = wish;
  let place = path;
  let before = -1;
  try {
    for (let links = 0; links <= LINKS_MAX; links++) {
      if (['', '.', '..'].includes(place.base)) throw wrongTarget(path.path, 'EISDIR');
      const look = lookAt(engine, place, wish);
      yield look.open ?? look.stat;
      const opened = look.open?.result ?? -1;
      if (opened >= 0 && held !== undefined) held.add(look.directory.path, opened);
      if (before >= 0) yield closing(before);
      before = held === undefined ? opened : -1;
      const spot = yield* spotOf(look, path.path, held);
      const isLink = spot.old?.kind === 'symlink';
      if (!isLink || !followSymlink) {
        before = -1;
        return { ...spot, ...(isLink ? { old: undefined, ...NONE } : {}), isLink, isOurs: !held };
      }
      place = yield* readLinkSteps(place, spot.target);
    }
    throw wrongTarget(path.path, 'ELOOP');
  } finally {
    if (before >= 0) yield closing(before);
  }
}

type Found = Omit<Spot, 'isLink' | 'isOurs'>;

function* spotOf(look: Look, path: string, held: Held | undefined): Steps<Found> {
  const { open, known, stat, list, directory } = look;
  if (open !== undefined && open.result < 0) {
    throw untouched(open, 'open the directory', path);
  }
  const descriptor = open?.result ?? known ?? -1;
  const target = directory.child(look.name, descriptor < 0 ? AT_FDCWD : descriptor);
  const spot = { directory, descriptor, target, ...NONE, ...rightsIn(look.rights) };
  if (stat.result === errnoOf('ENOENT')) {
    /* The run had stopped at the name. A new file has the directory's rights, but for a copy. */
    const asked = look.wantsRights ? (held?.rightsGiven ?? rightsGiven) : undefined;
    const rights = asked === undefined ? {} : yield* asked.call(held, directory, descriptor);
    return { ...spot, ...rights, old: undefined };
  }
  if (stat.result < 0) throw untouched(stat, 'inspect the target', path);
  const old = stat.stat as FileStat;
  checkKind(old, path);
  if (list === undefined) return { ...spot, old, attributesReason: look.listReason };
  list.place = target;
  const listed = yield* askedAgain(list);
  if (listed !== list && look.rights !== undefined) {
    /* The run had stopped at the list. */
    Object.assign(spot, yield* rightsGiven(directory, descriptor));
  }
  if (listed.result >= 0) {
    const names = listed.result === 0 ? [] : namesIn(listed, DROPPED);
    const { attributes, unread } = yield* valuesOf(target, names);
    return { ...spot, old, attributes, unread: [...spot.unread, ...unread] };
  }
  return { ...spot, old, attributesReason: noAttributes(listed, path) };
}

/**
 * The directory tree of a simulated disk: names now, names on the medium, and the changes between
 * the two that no directory sync has made durable yet.
 */
import { errnoOf } from '../platform.js';
import { Node, type NodeKind, type Traits } from './node.js';

export const ROOT = 1;
const LINKS_MAX = 40;
const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 4095;

/** One slot of one directory, before and after; 0 is no node. */
export interface NameChange {
  readonly directory: number;
  readonly name: string;
  readonly before: number;
  readonly after: number;
}

/** What one call changed: all of it reaches the medium, or none. */
export interface TreeChange {
  readonly words: string;
  readonly changes: readonly NameChange[];
}

/**
 * How the last part of a path is taken: a link there is followed, or stands for itself unless a
 * separator comes behind it, or stands for itself in any case (what renames and unlinks ask for).
 */
export type LastPart = 'follow' | 'look' | 'name';

/** Where a path leads. `name` is empty for `/`, `.` and `..`. */
export interface Spot {
  readonly directory: number;
  readonly name: string;
  /** 0 where nothing stands, -errno where nothing can. */
  readonly node: number;
  /** A separator follows: only a directory will do. */
  readonly isSlashed: boolean;
}

/** What a path may not do that is to stay beneath its start, as openat2(2) has it. */
export interface Bounds {
  readonly followsLinks: boolean;
}

export class Tree {
  readonly nodes: Map<number, Node>;
  /** Changes of names since the syncs of their directories, in order. */
  pending: TreeChange[] = [];
  /** Nodes that have something a crash could take away. */
  readonly unsynced: Set<number> = new Set();
  nextNumber: number;
  #token: object = {};

  constructor(nodes: Map<number, Node>, nextNumber: number) {
    this.nodes = nodes;
    this.nextNumber = nextNumber;
  }

  static empty(traits: Traits): Tree {
    const tree = new Tree(new Map(), ROOT);
    const root = tree.create('directory', traits);
    root.links = 1;
    root.mediumLinks = 1;
    root.parent = ROOT;
    root.mediumParent = ROOT;
    return tree;
  }

  /** Shares every node: from now on, both this tree and the other copy before they change one. */
  share(): void {
    this.#token = {};
  }

  get token(): object {
    return this.#token;
  }

  create(kind: NodeKind, traits: Traits): Node {
    const node = new Node(this.nextNumber++, kind, traits, this.#token);
    this.nodes.set(node.number, node);
    return node;
  }

  look(number: number): Node {
    return this.nodes.get(number) as Node;
  }

  /** The node, to be changed. */
  own(number: number): Node {
    const node = this.look(number);
    if (node.owner === this.#token) return node;
    const copy = node.copyFor(this.#token);
    this.nodes.set(number, copy);
    return copy;
  }

  /** Follows a path from a directory, or beneath it. Answers a spot or -errno. */
  walk(start: number, path: string, last: LastPart, bounds?: Bounds): Spot | number {
    if (path === '') return errnoOf('ENOENT');
    if (bounds !== undefined && path.startsWith('/')) return errnoOf('EXDEV');
    if (path.length > PATH_BYTES_MAX) return errnoOf('ENAMETOOLONG');
    const isSlashed = path.endsWith('/');
    const parts = (last === 'name' ? path.replace(/\/+$/, '') : path).split('/').reverse();
    let at = path.startsWith('/') ? ROOT : start;
    let spot: Spot = { directory: at, name: '', node: at, isSlashed: false };
    let linkCount = 0;
    while (parts.length > 0) {
      const part = parts.pop() as string;
      const directory = this.look(at);
      if (directory.names === undefined) return errnoOf('ENOTDIR');
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (bounds !== undefined && at === start) return errnoOf('EXDEV');
        at = directory.parent;
        spot = { directory: at, name: '', node: at, isSlashed: false };
        continue;
      }
      const isLong = part.length > NAME_BYTES_MAX;
      const number = directory.names.get(part);
      if (number === undefined) {
        const absent = isLong ? errnoOf('ENAMETOOLONG') : 0;
        if (parts.some((rest) => rest !== '')) return absent || errnoOf('ENOENT');
        return { directory: at, name: part, node: absent, isSlashed };
      }
      const node = this.look(number);
      if (node.kind === 'symlink' && (parts.length > 0 || last === 'follow')) {
        if (++linkCount > LINKS_MAX || bounds?.followsLinks === false) return errnoOf('ELOOP');
        if (bounds !== undefined && node.target.startsWith('/')) return errnoOf('EXDEV');
        if (node.target.startsWith('/')) at = ROOT;
        parts.push(...node.target.split('/').reverse());
        spot = { directory: at, name: '', node: at, isSlashed: false };
        continue;
      }
      spot = { directory: at, name: part, node: number, isSlashed };
      at = number;
    }
    return spot;
  }

  /** The path of a directory, or of a name in it, for words. */
  pathOf(directory: number, name = ''): string {
    const parts: string[] = name === '' ? [] : [name];
    for (let at = directory; at !== ROOT; ) {
      const node = this.nodes.get(at);
      if (node === undefined) return `?/${parts.join('/')}`;
      const { parent } = node;
      const found = [...(this.nodes.get(parent)?.names ?? [])].find(([, one]) => one === at);
      parts.unshift(found?.[0] ?? '?');
      at = parent;
    }
    return `/${parts.join('/')}`;
  }

  /** Changes names, in the cache: durable once their directory is synced. */
  change(words: string, changes: readonly NameChange[]): void {
    for (const { directory, name, before, after } of changes) {
      const names = this.own(directory).ownNames();
      if (after === 0) names.delete(name);
      else names.set(name, after);
      if (before !== 0) this.own(before).links--;
      if (after !== 0) {
        const node = this.own(after);
        node.links++;
        if (node.kind === 'directory') node.parent = directory;
      }
    }
    this.pending.push({ words, changes });
  }

  /** Makes the pending changes durable that touch a directory, and those they stand on. */
  syncNames(directory: number): void {
    this.#settle((change) => change.changes.some((one) => one.directory === directory));
  }

  /** Makes the names of one node durable, as some file systems do when it is synced. */
  syncNamesOf(node: number): void {
    this.#settle((change) => change.changes.some(({ after }) => after === node));
  }

  syncAllNames(): void {
    this.#settle(() => true);
  }

  #settle(isChosen: (change: TreeChange) => boolean): void {
    if (this.pending.length === 0) return;
    const needs = needsOf(this.pending, 'slot');
    const isSettled = this.pending.map(isChosen);
    for (let index = this.pending.length - 1; index >= 0; index--) {
      if (!isSettled[index]) continue;
      for (const need of needs[index] as readonly number[]) isSettled[need] = true;
    }
    const settled = this.pending.filter((_, index) => isSettled[index]);
    this.pending = this.pending.filter((_, index) => !isSettled[index]);
    for (const { changes } of settled) for (const change of changes) this.#reach(change);
    for (const { changes } of settled) {
      for (const { before, after } of changes) {
        this.forget(before);
        this.forget(after);
      }
    }
  }

  #reach({ directory, name, before, after }: NameChange): void {
    const names = this.own(directory).ownMediumNames();
    if (after === 0) names.delete(name);
    else names.set(name, after);
    if (before !== 0) this.own(before).mediumLinks--;
    if (after !== 0) {
      const node = this.own(after);
      node.mediumLinks++;
      node.mediumParent = directory;
    }
  }

  /** Lets a node go that nobody can reach any more, after a crash either. */
  forget(number: number): void {
    const node = this.nodes.get(number);
    if (node === undefined || node.links > 0 || node.mediumLinks > 0 || node.opens > 0) return;
    const isNamed = this.pending.some(({ changes }) =>
      changes.some(({ before, after }) => before === number || after === number),
    );
    if (isNamed) return;
    this.nodes.delete(number);
    this.unsynced.delete(number);
  }
}

/**
 * By change: the earlier ones without which it cannot be. `slot`: those of the same name;
 * `directory`: all those of the same directory, as a journal of the file system keeps them.
 */
export function needsOf(pending: readonly TreeChange[], by: 'slot' | 'directory'): number[][] {
  const last = new Map<string | number, number>();
  return pending.map(({ changes }, index) => {
    const needs: number[] = [];
    for (const { directory, name } of changes) {
      const key = by === 'slot' ? `${directory}/${name}` : directory;
      const before = last.get(key);
      if (before !== undefined && before !== index) needs.push(before);
      last.set(key, index);
    }
    return needs;
  });
}

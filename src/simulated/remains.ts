/**
 * What a power cut leaves: which of the unsynced changes reached the medium, and the tree that a
 * machine then finds. One choice of names, then one of each axis: a size, traits, a sector.
 */
import { Chance, mixed } from './chance.js';
import {
  type Content,
  type Node,
  putSector,
  SECTOR_BYTES,
  type Sector,
  type Traits,
  type Version,
} from './node.js';
import { Tree, type TreeChange } from './tree.js';

export type Unwritten = 'zeros' | 'garbage' | 'either';

/** One thing a power cut decides about: 0 is what the medium has, then what came after. */
export interface Axis {
  readonly node: number;
  readonly what: 'size' | 'traits' | 'sector';
  /** Of a sector: its index; of the others -1. */
  readonly index: number;
  readonly count: number;
}

/** What reached the medium: names by change, picks by axis. */
export interface Remains {
  readonly kept: readonly boolean[];
  readonly axes: readonly Axis[];
  readonly picks: readonly number[];
}

/** How often each node is named on the medium once the kept changes are. */
function linkChanges(tree: Tree, kept: readonly boolean[]): Map<number, number> {
  const sums = new Map<number, number>();
  tree.pending.forEach(({ changes }, index) => {
    if (!kept[index]) return;
    for (const { before, after } of changes) {
      if (before !== 0) sums.set(before, (sums.get(before) ?? 0) - 1);
      if (after !== 0) sums.set(after, (sums.get(after) ?? 0) + 1);
    }
  });
  return sums;
}

/** The axes that matter when these changes of names are kept: of nodes that have a name then. */
export function axesOf(tree: Tree, kept: readonly boolean[], unwritten: Unwritten): Axis[] {
  if (tree.unsynced.size === 0) return [];
  const sums = linkChanges(tree, kept);
  const axes: Axis[] = [];
  for (const number of tree.unsynced) {
    const node = tree.look(number);
    if (node.mediumLinks + (sums.get(number) ?? 0) <= 0) continue;
    const { sizes, traitVersions, versions } = node;
    if (sizes !== undefined) {
      axes.push({ node: number, what: 'size', index: -1, count: sizes.length + 1 });
    }
    if (traitVersions !== undefined) {
      axes.push({ node: number, what: 'traits', index: -1, count: traitVersions.length + 1 });
    }
    for (const [index, list] of versions ?? []) {
      const isNew = node.medium.sectors[index] === undefined;
      const garbage = isNew && unwritten === 'either' ? 1 : 0;
      axes.push({ node: number, what: 'sector', index, count: list.length + 1 + garbage });
    }
  }
  return axes;
}

/** The size a pick stands for. */
export function sizeAt(node: Node, pick: number): number {
  return pick === 0 ? node.medium.size : (node.sizes?.[pick - 1]?.size as number);
}

interface Picked {
  size: number;
  traits: number;
  readonly sectors: Map<number, number>;
}

function picksByNode({ axes, picks }: Remains): Map<number, Picked> {
  const byNode = new Map<number, Picked>();
  axes.forEach(({ node, what, index }, at) => {
    let picked = byNode.get(node);
    if (picked === undefined) {
      picked = { size: 0, traits: 0, sectors: new Map() };
      byNode.set(node, picked);
    }
    const pick = picks[at] as number;
    if (what === 'sector') picked.sectors.set(index, pick);
    else picked[what] = pick;
  });
  return byNode;
}

interface Medium {
  readonly unwritten: Unwritten;
  readonly seed: number;
}

function garbageFor(node: Node, index: number, seed: number): Uint8Array {
  const chance = new Chance(mixed(mixed(seed, node.number), index));
  const bytes = new Uint8Array(SECTOR_BYTES);
  for (let at = 0; at < SECTOR_BYTES; at++) bytes[at] = chance.next() & 0xff;
  return bytes;
}

/* What was cut off by a size that is kept is not there, whatever was written before the cut. */
function cutAfter(node: Node, sizePick: number, order: number): number {
  let cut = Number.POSITIVE_INFINITY;
  for (let at = 0; at < sizePick; at++) {
    const change = node.sizes?.[at];
    if (change !== undefined && change.order > order) cut = Math.min(cut, change.size);
  }
  return cut;
}

function sectorFor(node: Node, index: number, pick: number, medium: Medium): Sector {
  const list = node.versions?.get(index) as Version[];
  const isNew = node.medium.sectors[index] === undefined;
  const isGarbage = pick > list.length || (pick === 0 && medium.unwritten === 'garbage');
  if (isNew && isGarbage) return garbageFor(node, index, medium.seed);
  return pick === 0 ? node.medium.sectors[index] : list[pick - 1]?.bytes;
}

function contentFor(node: Node, picked: Picked, medium: Medium): Content {
  const size = sizeAt(node, picked.size);
  const sectors = node.medium.sectors.slice();
  const cut = cutAfter(node, picked.size, -1);
  for (let index = Math.ceil(cut / SECTOR_BYTES); index < sectors.length; index++) {
    sectors[index] = undefined;
  }
  for (const [index, pick] of picked.sectors) {
    const version = pick === 0 ? undefined : node.versions?.get(index)?.[pick - 1];
    if (version === undefined && pick === 0 && index * SECTOR_BYTES >= cut) continue;
    if (version !== undefined) {
      if (version.lie === 'lost') continue;
      if (cutAfter(node, picked.size, version.order) <= index * SECTOR_BYTES) {
        putSector(sectors, index, undefined);
        continue;
      }
    }
    const at = index + (typeof version?.lie === 'number' ? version.lie : 0);
    if (at >= 0) putSector(sectors, at, sectorFor(node, index, pick, medium));
  }
  const count = Math.ceil(size / SECTOR_BYTES);
  if (sectors.length > count) sectors.length = count;
  return { size, sectors };
}

function traitsFor(node: Node, pick: number): Traits {
  return pick === 0 ? node.mediumTraits : (node.traitVersions?.[pick - 1] as Traits);
}

const NOTHING: Picked = { size: 0, traits: 0, sectors: new Map() };

function nodeAfter(node: Node, owner: object, picked: Picked, medium: Medium): Node {
  const after = node.copyFor(owner);
  after.versions = undefined;
  after.sizes = undefined;
  after.traitVersions = undefined;
  after.isDivergent = false;
  after.opens = 0;
  after.parent = node.mediumParent;
  after.traits = traitsFor(node, picked.traits);
  after.mediumTraits = after.traits;
  if (node.kind === 'file') {
    after.cache = contentFor(node, picked, medium);
    after.medium = after.cache;
    after.allocatedCount = after.cache.sectors.filter((sector) => sector !== undefined).length;
  }
  if (node.kind === 'directory') {
    after.names = new Map(node.mediumNames);
    after.mediumNames = after.names;
  }
  return after;
}

function isUntouched(node: Node, links: number): boolean {
  return !node.isUnsynced && !node.isDivergent && node.opens === 0 && node.links === links;
}

/** The tree that is left. The old one goes on; what neither changed, both share. */
export function treeAfter(tree: Tree, remains: Remains, medium: Medium): Tree {
  tree.share();
  const sums = linkChanges(tree, remains.kept);
  const touched = new Set<number>();
  for (const { changes } of tree.pending) {
    for (const { directory, before, after } of changes) {
      touched.add(directory).add(before).add(after);
    }
  }
  const picked = picksByNode(remains);
  const left = new Tree(new Map(), tree.nextNumber);
  for (const [number, node] of tree.nodes) {
    const links = node.mediumLinks + (sums.get(number) ?? 0);
    if (links <= 0) continue;
    if (!touched.has(number) && isUntouched(node, links)) {
      left.nodes.set(number, node);
      continue;
    }
    const after = nodeAfter(node, left.token, picked.get(number) ?? NOTHING, medium);
    after.links = links;
    after.mediumLinks = links;
    left.nodes.set(number, after);
  }
  tree.pending.forEach(({ changes }, index) => {
    if (!remains.kept[index]) return;
    for (const { directory, name, after } of changes) {
      const names = left.nodes.get(directory)?.names;
      if (after === 0) names?.delete(name);
      else names?.set(name, after);
      const node = left.nodes.get(after);
      if (node?.kind === 'directory') {
        node.parent = directory;
        node.mediumParent = directory;
      }
    }
  });
  return left;
}

/** In words, for whoever has to understand a failure. */
export function wordsFor(pending: readonly TreeChange[], { kept, axes, picks }: Remains): string {
  const words: string[] = [];
  pending.forEach(({ words: change }, index) => {
    words.push(`${kept[index] ? 'kept' : 'lost'} ${change}`);
  });
  axes.forEach(({ node, what, index, count }, at) => {
    const name = what === 'sector' ? `sector ${index}` : what;
    words.push(`node ${node} ${name}: ${picks[at]} of ${count - 1}`);
  });
  return words.length === 0 ? 'nothing was unsynced' : words.join('; ');
}

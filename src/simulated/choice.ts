/** Choosing what a power cut leaves: one state by chance, or all of them, or a fair share. */
import type { Chance } from './chance.js';
import { SECTOR_BYTES } from './node.js';
import { type Axis, axesOf, type Remains, sizeAt, type Unwritten } from './remains.js';
import { needsOf, type Tree } from './tree.js';

/** How much of the directory changes may be lost: see `CrashOptions.names`. */
export type NameLoss = 'in order' | 'any';

export interface ChoiceOptions {
  readonly names: NameLoss;
  readonly unwritten: Unwritten;
}

export type Keep = 'none' | 'all' | 'random';

function needsIn(tree: Tree, { names }: ChoiceOptions): number[][] {
  return needsOf(tree.pending, names === 'any' ? 'slot' : 'directory');
}

/** Drops what stands on something that is not kept. */
function settled(wanted: boolean[], needs: readonly (readonly number[])[]): boolean[] {
  for (let index = 0; index < wanted.length; index++) {
    if (wanted[index]) wanted[index] = needs[index]?.every((need) => wanted[need]) ?? true;
  }
  return wanted;
}

/** Keeps what something kept stands on, too. */
function supported(wanted: boolean[], needs: readonly (readonly number[])[]): boolean[] {
  for (let index = wanted.length - 1; index >= 0; index--) {
    if (wanted[index]) for (const need of needs[index] ?? []) wanted[need] = true;
  }
  return wanted;
}

/** Sectors beyond the size that was picked make no difference: there the pick is 0. */
function isVisible(tree: Tree, axis: Axis, sizes: ReadonlyMap<number, number>): boolean {
  if (axis.what !== 'sector') return true;
  const size = sizes.get(axis.node) ?? tree.look(axis.node).medium.size;
  return axis.index * SECTOR_BYTES < size;
}

function pickEach(tree: Tree, axes: readonly Axis[], pick: (axis: Axis) => number): number[] {
  const sizes = new Map<number, number>();
  return axes.map((axis) => {
    const picked = isVisible(tree, axis, sizes) ? pick(axis) : 0;
    if (axis.what === 'size') sizes.set(axis.node, sizeAt(tree.look(axis.node), picked));
    return picked;
  });
}

/* The last version of a sector stands before the garbage. */
function newest(tree: Tree, { what, node, index, count }: Axis): number {
  return what === 'sector' ? (tree.look(node).versions?.get(index)?.length ?? 0) : count - 1;
}

function remainsOf(
  tree: Tree,
  kept: readonly boolean[],
  options: ChoiceOptions,
  pick: (axis: Axis, at: number) => number,
): Remains {
  const axes = axesOf(tree, kept, options.unwritten);
  let at = 0;
  const byAxis = new Map(axes.map((axis) => [axis, at++]));
  const picks = pickEach(tree, axes, (axis) => pick(axis, byAxis.get(axis) as number));
  return { kept, axes, picks };
}

/** One state. By chance, a quarter of the cuts keep everything or nothing of names or of data. */
export function choose(tree: Tree, chance: Chance, keep: Keep, options: ChoiceOptions): Remains {
  if (keep !== 'random') {
    const isKept = keep === 'all';
    const kept = tree.pending.map(() => isKept);
    return remainsOf(tree, kept, options, (axis) => (isKept ? newest(tree, axis) : 0));
  }
  const nameShare = [0, 1, 0.5, 0.85][chance.below(4)] as number;
  const dataShare = [0, 1, 0.5, 0.5][chance.below(4)] as number;
  const wanted = tree.pending.map(() => chance.isTrue(nameShare));
  const kept = wanted.length === 0 ? wanted : settled(wanted, needsIn(tree, options));
  return remainsOf(tree, kept, options, (axis) => {
    if (!chance.isTrue(dataShare)) return 0;
    return dataShare === 1 ? newest(tree, axis) : chance.below(axis.count);
  });
}

/** Every choice of names, or `undefined` when there are more than `limit`. */
function everyNames(needs: readonly (readonly number[])[], limit: number): boolean[][] | undefined {
  let all: boolean[][] = [[]];
  for (const need of needs) {
    const next: boolean[][] = [];
    for (const kept of all) {
      next.push([...kept, false]);
      if (need.every((index) => kept[index])) next.push([...kept, true]);
      if (next.length > limit) return undefined;
    }
    all = next;
  }
  return all;
}

/** Every state for one choice of names; stops early once there are more than `limit`. */
function everyPick(tree: Tree, axes: readonly Axis[], limit: number): number[][] | undefined {
  let all: { readonly picks: number[]; readonly sizes: ReadonlyMap<number, number> }[] = [
    { picks: [], sizes: new Map() },
  ];
  for (const axis of axes) {
    const next: typeof all = [];
    for (const { picks, sizes } of all) {
      const count = isVisible(tree, axis, sizes) ? axis.count : 1;
      for (let pick = 0; pick < count; pick++) {
        const isSize = axis.what === 'size';
        const size = isSize ? sizeAt(tree.look(axis.node), pick) : 0;
        const known = isSize ? new Map(sizes).set(axis.node, size) : sizes;
        next.push({ picks: [...picks, pick], sizes: known });
      }
      if (next.length > limit) return undefined;
    }
    all = next;
  }
  return all.map(({ picks }) => picks);
}

/** All states there are, or `undefined` when they are more than `limit`. */
export function everyRemains(
  tree: Tree,
  limit: number,
  options: ChoiceOptions,
): Remains[] | undefined {
  const names = everyNames(needsIn(tree, options), limit);
  if (names === undefined) return undefined;
  const all: Remains[] = [];
  for (const kept of names) {
    const axes = axesOf(tree, kept, options.unwritten);
    const picks = everyPick(tree, axes, limit - all.length);
    if (picks === undefined) return undefined;
    for (const one of picks) all.push({ kept, axes, picks: one });
  }
  return all;
}

/** The states that no sample may miss: nothing, all, each item alone, all but each. */
function* telling(tree: Tree, options: ChoiceOptions): Generator<Remains> {
  const needs = needsIn(tree, options);
  const noNames = tree.pending.map(() => false);
  const allNames = tree.pending.map(() => true);
  const old = (): number => 0;
  const recent = (axis: Axis): number => newest(tree, axis);
  for (const kept of [noNames, allNames]) {
    yield remainsOf(tree, kept, options, old);
    yield remainsOf(tree, kept, options, recent);
  }
  for (const index of tree.pending.keys()) {
    const alone = noNames.slice();
    alone[index] = true;
    const without = allNames.slice();
    without[index] = false;
    for (const kept of [supported(alone, needs), settled(without, needs)]) {
      yield remainsOf(tree, kept, options, old);
      yield remainsOf(tree, kept, options, recent);
    }
  }
  for (const kept of [noNames, allNames]) {
    const count = axesOf(tree, kept, options.unwritten).length;
    for (let chosen = 0; chosen < count; chosen++) {
      yield remainsOf(tree, kept, options, (axis, at) => (at === chosen ? recent(axis) : 0));
      yield remainsOf(tree, kept, options, (axis, at) => (at === chosen ? 0 : recent(axis)));
    }
  }
}

/** The same for the same state. */
function keyOf({ kept, picks }: Remains): string {
  return `${kept.map((one) => (one ? 1 : 0)).join('')}:${picks.join(',')}`;
}

export function* sampled(
  tree: Tree,
  limit: number,
  chance: Chance,
  options: ChoiceOptions,
): Generator<Remains> {
  const seen = new Set<string>();
  const isFresh = (remains: Remains): boolean => {
    const key = keyOf(remains);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  };
  for (const remains of telling(tree, options)) {
    if (seen.size >= limit) return;
    if (isFresh(remains)) yield remains;
  }
  for (let stale = 0; seen.size < limit && stale < limit; ) {
    const remains = choose(tree, chance, 'random', options);
    if (isFresh(remains)) {
      stale = 0;
      yield remains;
    } else stale++;
  }
}

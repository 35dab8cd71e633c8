/** Everything that depends on the place: its volume, its device, what can be tried there. */
import type { Engine, Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { closing } from '../file.js';
import { numbersOfNode, Place } from '../platform.js';
import { type Devices, devicesOf, noDevice } from './device.js';
import { leave, locate, type Spot, shown } from './locate.js';
import type { Mount } from './mounts.js';
import {
  type DirectItems,
  each,
  type FeatureItems,
  known,
  no,
  type PlaceItems,
  type ProbeItem,
  type ProbeReport,
  type SyncItems,
  unknown,
} from './report.js';
import { directorySyncSteps, doubted, measuredSyncs, syncItems, unmeasured } from './syncs.js';
import {
  creation,
  directSteps,
  featureSteps,
  isSeenIn,
  removal,
  Trial,
  untried,
} from './trials.js';
import { devicesOfMount, mountOf, volumeItems } from './volume.js';

export interface Wish {
  readonly engine: Engine;
  readonly asked: Place;
  readonly measure: boolean;
}

type SpotReport = Omit<ProbeReport, 'path' | 'machine' | 'engine'>;

const FEATURE_KEYS: readonly (keyof FeatureItems)[] = [
  'reflink',
  'allocate',
  'allocateKeepingSize',
  'punchHole',
  'zeroRange',
  'collapseRange',
  'advise',
  'writeLifetime',
  'attributes',
  'unnamedFiles',
  'renameWithoutReplacing',
  'renameExchanging',
  'locks',
];
const DIRECT_KEYS: readonly (keyof DirectItems)[] = [
  'opens',
  'memoryAlignmentBytes',
  'offsetAlignmentBytes',
];

/** What trying found. */
interface Tried {
  readonly features: FeatureItems;
  readonly sync: SyncItems;
  readonly direct: DirectItems | undefined;
  /** Our directory in the upper layer of an overlay, where it was seen; else why it was not. */
  readonly upper: Place | string;
}

function placeItems(spot: Spot): PlaceItems {
  const path = shown(spot.place);
  return {
    probed: known(path),
    exists: spot.isAsked ? known(true) : no(`not yet: its nearest existing parent is ${path}`),
    kind: known(spot.stat.kind),
  };
}

function nothingTried(reason: string): Tried {
  const item = unknown<true>(reason);
  return {
    features: each(FEATURE_KEYS, item) as FeatureItems,
    sync: unmeasured(syncItems(item), reason),
    direct: undefined,
    upper: reason,
  };
}

/* A file may be reached where its directory cannot, through a link in /proc. */
function* located(place: Place): Steps<Spot | string> {
  try {
    return yield* locate(place);
  } catch (error) {
    if (!(error instanceof IoError) || error.kind === 'timeout') throw error;
    return `${shown(place)} cannot be reached (${error.code})`;
  }
}

/** The directory in which to try, open; or why there is none. */
function* directoryOf(spot: Spot, mount: Mount | string): Steps<Spot | string> {
  const { kind } = spot.stat;
  if (kind === 'directory') return spot;
  const path = shown(spot.place);
  if (kind !== 'file') return `${path} is a ${kind}: nothing is tried beside it`;
  const parent = yield* located(spot.place.parent());
  if (typeof parent === 'string') return parent;
  const other = mountOf(parent);
  const isSame =
    typeof mount === 'string' || typeof other === 'string'
      ? parent.stat.device === spot.stat.device
      : mount.id === other.id;
  if (isSame) return parent;
  yield* leave(parent);
  return `${path} is mounted by itself: its directory is on another mount`;
}

/* The mount options name the upper layer as its mounter saw it: only our own file proves it. */
function* upperOf(trial: Trial, directory: Spot, mount: Mount | string): Steps<Place | string> {
  if (typeof mount === 'string' || mount.type !== 'overlay') return '';
  const upper = mount.options.find((option) => option.startsWith('upperdir='))?.slice(9);
  if (!upper?.startsWith('/')) return 'the mount does not name its upper layer by a whole path';
  const inside = directory.place.path.slice(mount.point === '/' ? 0 : mount.point.length);
  const root = mount.root === '/' ? '' : mount.root;
  const place = new Place(`${upper}${root}${inside}`, directory.place.encoding);
  if (yield* isSeenIn(trial, place)) return place;
  return `the upper layer ${upper} is not in sight of this process`;
}

function* tried(wish: Wish, directory: Spot, mount: Mount | string): Steps<Tried> {
  const { engine, measure } = wish;
  const trial = new Trial(engine, directory.place, directory.fd);
  const directorySync = yield* directorySyncSteps(trial);
  const create = creation(trial.first);
  try {
    yield create;
    if (create.result < 0) {
      const reason = untried(create.result, shown(directory.place));
      const sync = unmeasured(syncItems(directorySync), reason);
      return { ...nothingTried(reason), sync };
    }
    const upper = yield* upperOf(trial, directory, mount);
    const direct = yield* directSteps(engine, trial.first, true);
    const features = yield* featureSteps(trial, create.result);
    const plain = syncItems(directorySync);
    const sync = measure
      ? yield* measuredSyncs(trial, create.result, plain)
      : unmeasured(plain, 'ask with { measure: true }');
    return { features, sync, direct, upper };
  } finally {
    if (create.result >= 0) {
      yield closing(create.result);
      yield* removal(trial);
    }
  }
}

function* triedAt(wish: Wish, spot: Spot, mount: Mount | string): Steps<Tried> {
  const directory = yield* directoryOf(spot, mount);
  if (typeof directory === 'string') return nothingTried(directory);
  try {
    return yield* tried(wish, directory, mount);
  } finally {
    if (directory !== spot) yield* leave(directory);
  }
}

/* An overlay has no device; what is written goes to its upper layer. */
function* devicesAt(spot: Spot, mount: Mount | string, upper: Place | string): Steps<Devices> {
  if (spot.stat.kind === 'block-device') {
    const numbers = numbersOfNode(spot.place.nodePath);
    return numbers === undefined ? noDevice(unknown('gone by now')) : yield* devicesOf(numbers);
  }
  if (typeof mount === 'string') return noDevice(unknown(mount));
  if (mount.type !== 'overlay') return yield* devicesOfMount(mount);
  if (typeof upper === 'string') return noDevice(unknown(upper));
  const below = yield* locate(upper);
  try {
    const under = mountOf(below);
    if (typeof under === 'string') return noDevice(unknown(under));
    return yield* devicesOfMount(under);
  } finally {
    yield* leave(below);
  }
}

function* directAt(wish: Wish, spot: Spot, ours: Tried): Steps<DirectItems> {
  if (spot.stat.kind === 'file') {
    const own = yield* directSteps(wish.engine, spot.place, false);
    if (own.opens.unknown === undefined || ours.direct === undefined) return own;
  }
  if (ours.direct !== undefined) return ours.direct;
  const { reflink } = ours.features;
  const item: ProbeItem<never> = unknown(reflink.unknown ?? 'nothing could be opened');
  return each(DIRECT_KEYS, item) as DirectItems;
}

/** Finds all that depends on a path. Errors: `IoError` where the path leads nowhere. */
export function* spotItems(wish: Wish): Steps<SpotReport> {
  const spot = yield* locate(wish.asked);
  try {
    const mount = mountOf(spot);
    const ours = yield* triedAt(wish, spot, mount);
    const { device, below, memory } = yield* devicesAt(spot, mount, ours.upper);
    const fileSystem = yield* volumeItems(spot, mount, { device, below, memory });
    const direct = yield* directAt(wish, spot, ours);
    const { features } = ours;
    const sync = doubted(ours.sync, fileSystem);
    return { place: placeItems(spot), fileSystem, device, below, direct, features, sync };
  } finally {
    yield* leave(spot);
  }
}

/** What each item is called, and what it is good for, in words. */
import type {
  DeviceItems,
  DirectItems,
  EngineItems,
  FeatureItems,
  MachineItems,
  PlaceItems,
  SyncItems,
  VolumeItems,
} from './report.js';

/** A name, and what the item means; the note of a value is printed in its place. */
export type Words = readonly [label: string, meaning: string];
type Table<Items> = Readonly<Record<keyof Items, Words>>;

export const PLACE: Table<PlaceItems> = {
  probed: ['probed', 'where the path leads, links followed'],
  exists: ['exists', ''],
  kind: ['kind', ''],
};

export const MACHINE: Table<MachineItems> = {
  platform: ['platform', ''],
  kernel: ['kernel', ''],
  node: ['node', ''],
  cpu: ['cpu', ''],
};

export const ENGINE: Table<EngineItems> = {
  addon: ['addon', 'the native part of the library'],
  engine: ['engine', 'how operations run'],
  threads: ['threads', 'that run operations'],
  ring: ['ring (io_uring)', ''],
  maps: ['files as memory', 'mapFile maps here; where not, it reads'],
};

export const VOLUME: Table<VolumeItems> = {
  type: ['type', ''],
  medium: ['medium', 'what keeps the bytes'],
  mountPoint: ['mount point', ''],
  source: ['source', 'what is mounted there'],
  options: ['mount options', ''],
  readOnly: ['read-only', ''],
  syncMount: ['mounted sync', 'every write waits for the device where it is "yes"'],
  journal: ['journal', 'brings names and sizes back to one state after a crash'],
  dataMode: ['data mode', 'when bytes reach the device, seen from the journal'],
  barriers: ['barriers', 'a sync empties the cache of the device too'],
  oneCommit: ['one commit', 'a replace may wait for the journal once instead of twice'],
  sizeBytes: ['size', ''],
  freeBytes: ['free', ''],
  blockBytes: ['block', 'the unit in which space is given out'],
};

export const DEVICE: Table<DeviceItems> = {
  name: ['name', ''],
  writeCache: ['write cache', ''],
  fua: ['forced unit access', 'one durable write needs no second request'],
  logicalSectorBytes: ['logical sector', 'direct I/O is in multiples of it'],
  physicalSectorBytes: ['physical sector', 'less than it is read, changed and written'],
  rotational: ['rotational', ''],
  scheduler: ['scheduler', 'of the kernel, between requests'],
  discardMaxBytes: ['discard', 'the most that one request gives back'],
  dax: ['direct access (dax)', 'files can be mapped without a page cache'],
  atomicWriteMaxBytes: [
    'atomic write unit',
    'of the device; whether the file system passes it on is not asked yet',
  ],
  standsOn: ['stands on', ''],
};

export const DIRECT: Table<DirectItems> = {
  opens: ['opens with O_DIRECT', 'reads and writes go round the page cache'],
  memoryAlignmentBytes: ['alignment of memory', 'addresses are multiples of it'],
  offsetAlignmentBytes: ['alignment of offsets', 'offsets and lengths are multiples of it'],
};

export const FEATURES: Table<FeatureItems> = {
  reflink: ['reflink', 'a copy shares its blocks until one of the two changes'],
  allocate: ['allocate', 'blocks are reserved before they are written'],
  allocateKeepingSize: ['allocate, size kept', 'blocks are reserved beyond the end'],
  punchHole: ['punch a hole', 'blocks in the middle are given back'],
  zeroRange: ['zero a range', 'zeros without writing them'],
  collapseRange: ['collapse a range', 'a part is taken out, the rest moves up'],
  advise: ['advice on reading', ''],
  writeLifetime: ['write lifetime', ''],
  attributes: ['extended attributes', 'of users (user.*)'],
  unnamedFiles: ['files without a name', 'O_TMPFILE'],
  renameWithoutReplacing: ['rename, not replacing', 'RENAME_NOREPLACE'],
  renameExchanging: ['rename, exchanging', 'RENAME_EXCHANGE'],
  locks: ['locks', 'flock(2)'],
};

export const SYNC: Table<SyncItems> = {
  full: ['data and metadata', ''],
  data: ['data', ''],
  onWrite: ['on each write', ''],
  directory: ['names in a directory', ''],
};

/** The ways to make something durable, and what they cost where that is asked for. */
import type { Steps } from '../engine.js';
import { closing } from '../file.js';
import { Code, FD_OPENED_IN_RUN, linked, now, OpenFlag, Operation } from '../platform.js';
import {
  known,
  no,
  type ProbeItem,
  type SyncCost,
  type SyncItems,
  unknown,
  type VolumeItems,
} from './report.js';
import { codeOf, type Trial } from './trials.js';

const ROUNDS_MAX = 16;
const TIME_MS_MAX = 400;
const WRITE_BYTES = 4096;

const PRIMITIVES: Readonly<Record<keyof SyncItems, string>> = {
  full: 'fsync',
  data: 'fdatasync',
  onWrite: 'a write with O_DSYNC',
  directory: 'fsync of the directory',
};

/** What holds where nothing is measured. */
export function syncItems(directory: ProbeItem<true>): SyncItems {
  const of = (key: keyof SyncItems): ProbeItem<SyncCost> => known({ primitive: PRIMITIVES[key] });
  return {
    full: of('full'),
    data: of('data'),
    onWrite: of('onWrite'),
    directory: shaped(directory),
  };
}

function shaped(directory: ProbeItem<true>): ProbeItem<SyncCost> {
  if (directory.no !== undefined) return no(directory.no);
  if (directory.unknown !== undefined) return unknown(directory.unknown);
  return known({ primitive: PRIMITIVES.directory });
}

/** The same, with a reason why it was not measured. */
export function unmeasured(items: SyncItems, reason: string): SyncItems {
  const noted = Object.entries(items).map(([key, item]: [string, ProbeItem<SyncCost>]) => {
    return [key, item.value === undefined ? item : known(item.value, `not measured: ${reason}`)];
  });
  return Object.fromEntries(noted) as SyncItems;
}

/* Without a journal a sync has less to write; in memory it has nothing to do. */
function doubt({ medium, journal, type }: VolumeItems): string | undefined {
  if (medium.value === 'memory') return 'in memory: tells nothing of devices';
  const isBare = journal.no !== undefined && /^ext/.test(type.value ?? '');
  return isBare ? 'without a journal: cheaper than elsewhere' : undefined;
}

/** The same, with a warning where what was measured is less than what syncs do elsewhere. */
export function doubted(items: SyncItems, volume: VolumeItems): SyncItems {
  const warning = doubt(volume);
  if (warning === undefined) return items;
  const noted = Object.entries(items).map(([key, item]: [string, ProbeItem<SyncCost>]) => {
    if (item.value?.medianMs === undefined) return [key, item];
    return [key, known(item.value, item.note === undefined ? warning : `${item.note}; ${warning}`)];
  });
  return Object.fromEntries(noted) as SyncItems;
}

/** Whether a directory can be synced, before anything in it is changed: that costs least. */
export function* directorySyncSteps(trial: Trial): Steps<ProbeItem<true>> {
  const native = trial.engine.capabilities['directory-sync'];
  if (native !== true) return no(native);
  const open = directoryOpening(trial);
  const sync = new Operation(Code.Sync);
  sync.fd = FD_OPENED_IN_RUN;
  yield linked(open, sync);
  if (open.result < 0) {
    return unknown(`the directory cannot be opened for reading (${codeOf(open.result)})`);
  }
  yield closing(open.result);
  return trial.feature(sync.result);
}

function directoryOpening(trial: Trial): Operation {
  const open = new Operation(Code.Open);
  open.place = trial.directory.child('.', trial.fd);
  open.flags = OpenFlag.ReadOnly | OpenFlag.Directory;
  return open;
}

type Round = (round: number) => Operation;

/* The first round pays for what later ones find done: blocks, a place in the journal. */
function* costOf(primitive: string, round: Round): Steps<ProbeItem<SyncCost>> {
  const times: number[] = [];
  const start = now();
  for (let count = 0; count <= ROUNDS_MAX; count++) {
    const head = round(count);
    const before = now();
    yield head;
    for (let at: Operation | undefined = head; at !== undefined; at = at.next) {
      if (at.result < 0) return unknown(`the system answers ${codeOf(at.result)}`);
    }
    if (count > 0) times.push(now() - before);
    if (times.length > 0 && now() - start > TIME_MS_MAX) break;
  }
  times.sort((a, b) => a - b);
  const medianMs = Math.round((times[times.length >> 1] as number) * 1000) / 1000;
  return known({ primitive, medianMs, rounds: times.length });
}

function writing(fd: number): Operation {
  const write = new Operation(Code.Write);
  write.fd = fd;
  write.offset = 0;
  write.payload = new Uint8Array(WRITE_BYTES);
  write.length = WRITE_BYTES;
  return write;
}

function syncing(code: Code, fd: number): Operation {
  const sync = new Operation(code);
  sync.fd = fd;
  return sync;
}

function* onWriteCost(trial: Trial): Steps<ProbeItem<SyncCost>> {
  if (OpenFlag.DataSync === 0)
    return no('this system has no write that is durable when it returns');
  const open = new Operation(Code.Open);
  open.place = trial.first;
  open.flags = OpenFlag.WriteOnly | OpenFlag.NoFollow | OpenFlag.DataSync;
  yield open;
  if (open.result < 0) return unknown(`the system answers ${codeOf(open.result)}`);
  try {
    return yield* costOf(PRIMITIVES.onWrite, () => writing(open.result));
  } finally {
    yield closing(open.result);
  }
}

function* directoryCost(trial: Trial): Steps<ProbeItem<SyncCost>> {
  const open = directoryOpening(trial);
  yield open;
  if (open.result < 0) return unknown(`the system answers ${codeOf(open.result)}`);
  const names = [trial.first, trial.second];
  try {
    const cost = yield* costOf(PRIMITIVES.directory, (round) => {
      const rename = new Operation(Code.Rename);
      rename.place = names[round % 2];
      rename.place2 = names[(round + 1) % 2];
      return linked(rename, syncing(Code.Sync, open.result));
    });
    return cost.value === undefined ? cost : known(cost.value, 'and a rename before it');
  } finally {
    yield closing(open.result);
  }
}

/** Measures on the first file, open as `fd`: overwrites 4 KiB and syncs, repeatedly. */
export function* measuredSyncs(trial: Trial, fd: number, items: SyncItems): Steps<SyncItems> {
  const costs = {
    full: yield* costOf(PRIMITIVES.full, () => linked(writing(fd), syncing(Code.Sync, fd))),
    data: yield* costOf(PRIMITIVES.data, () => linked(writing(fd), syncing(Code.SyncData, fd))),
    onWrite: yield* onWriteCost(trial),
  };
  const isSynced = items.directory.value !== undefined;
  return { ...costs, directory: isSynced ? yield* directoryCost(trial) : items.directory };
}

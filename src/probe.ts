/**
 * What a place can do, and why not: machine, engine, file system, device, direct I/O, features,
 * syncs. Hides the kernel's tables, and the two files on which is tried what no table tells.
 *
 * Invariants: 1. What is told is told of the path given, never of the working directory: the
 *                kernel says which mount its descriptor belongs to.
 *             2. An item is a value, `no` with a reason or `unknown` with a reason; never a guess.
 *             3. Nothing stays: no file, no descriptor, whatever is refused in between.
 * Not promised: that a device tells the truth about its cache. A directory that can be written
 * has two files in it for some milliseconds, and its modification time changes.
 * Source: proc(5); statx(2); sysfs-block in the kernel's Documentation/ABI/stable
 */
import { defaultEngine, drive, driveSync, type Engine, engineOf, type Steps } from './engine.js';
import { invalidType, invalidValue, trueOrFalse } from './errors.js';
import { type CallOptions, OpenFile, type PathLike, signalOf } from './file.js';
import { placeOf } from './platform.js';
import { AskingEngine } from './probe/asking.js';
import { oneCommitOf, oneCommitRefusal } from './probe/commits.js';
import { formatted } from './probe/format.js';
import { shown } from './probe/locate.js';
import { engineItems, machineItems } from './probe/machine.js';
import { mountAmong, mountsIn } from './probe/mounts.js';
import type { ProbeFeature, ProbeItem, ProbeReport } from './probe/report.js';
import { sectorOfDescriptor, sectorSteps, sectorTold } from './probe/sector.js';
import { spotItems, type Wish } from './probe/spot.js';

export type { ProbeFeature, ProbeItem, ProbeReport };
export { mountAmong, mountsIn, oneCommitOf, oneCommitRefusal };

export interface ProbeOptions extends Omit<CallOptions, 'memory'> {
  /** Measures what a sync costs here: some tenths of a second, and writes. Default false. */
  readonly measure?: boolean | undefined;
  /** Default: `defaultEngine()`. */
  readonly engine?: Engine | undefined;
}

function wishOf(path: PathLike, options: ProbeOptions): Wish {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const engine = engineOf(options.engine);
  if (engine.name === 'simulated') {
    throw invalidValue('options.engine', 'an engine of the real world', engine.name);
  }
  const measure = trueOrFalse(options.measure, 'options.measure');
  return { engine: new AskingEngine(engine), asked: placeOf(path), measure };
}

function* probeSteps(wish: Wish): Steps<ProbeReport> {
  const spot = yield* spotItems(wish);
  const { place, ...rest } = spot;
  const machine = machineItems();
  return { path: shown(wish.asked), place, machine, engine: engineItems(wish.engine), ...rest };
}

/**
 * Finds what a place can do: the machine, the engine, the file system, the device, direct I/O,
 * features and syncs. Each item is a value, `no` with a reason, or `unknown` with a reason.
 *
 * Shapes: `path` is a file, a directory, or what does not exist yet: then its nearest existing
 * parent is looked at, and the report says so. Links are followed. Default: the working directory.
 * Durable: nothing is written to files of yours; what cannot be asked is tried on two files in the
 * directory, which are removed.
 * Errors: `TypeError`, `RangeError` for bad input; `IoError` where the path cannot be reached;
 * `AbortError`. What is refused further on is an item that says so.
 */
export async function probe(
  path: PathLike = '.',
  options: ProbeOptions = {},
): Promise<ProbeReport> {
  const wish = wishOf(path, options);
  return drive(wish.engine, probeSteps(wish), signalOf(options));
}

/** As `probe`, on the calling thread. Errors: as `probe`. */
export function probeSync(path: PathLike = '.', options: ProbeOptions = {}): ProbeReport {
  const wish = wishOf(path, options);
  return driveSync(wish.engine, probeSteps(wish));
}

/**
 * Lays a report out as a table for people: plain text, each line ended.
 *
 * Errors: `TypeError` for what is not a report.
 */
export function formatProbe(report: ProbeReport): string {
  if (typeof report !== 'object' || report === null || typeof report.path !== 'string') {
    throw invalidType('report', 'a report of probe()', report);
  }
  return formatted(report);
}

/* What a simulated disk calls a descriptor is another file's in the real world. */
function sectorHeld(file: OpenFile): number | undefined {
  return file.engine.name === 'simulated' ? undefined : sectorOfDescriptor(file.fd, '');
}

/**
 * The logical sector of the volume that holds a file: what direct I/O has to be a multiple of.
 *
 * Shapes: an open file, or a path as `probe` takes it, which need not exist yet.
 * Units: bytes: what statx(2) tells of the file, else what the device tells, else the block of the
 * file system, which is a multiple of it.
 * Errors: `TypeError` for bad input; `IoError` where the path cannot be reached or the file is
 * closed.
 */
export async function sectorBytes(path: PathLike | OpenFile): Promise<number> {
  if (path instanceof OpenFile) {
    const sector = sectorHeld(path);
    const stat = await path.stat();
    return sectorTold(stat) ?? sector ?? stat.blockBytes;
  }
  return drive(new AskingEngine(defaultEngine()), sectorSteps(placeOf(path)));
}

/** As `sectorBytes`, on the calling thread. Errors: as `sectorBytes`. */
export function sectorBytesSync(path: PathLike | OpenFile): number {
  if (path instanceof OpenFile) {
    const stat = path.statSync();
    return sectorTold(stat) ?? sectorHeld(path) ?? stat.blockBytes;
  }
  return driveSync(new AskingEngine(defaultEngine()), sectorSteps(placeOf(path)));
}

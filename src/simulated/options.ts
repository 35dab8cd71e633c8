/** What a simulated disk can be told, and what it is without being told. */
import type { Engine } from '../engine.js';
import { capabilitiesOf } from '../platform.js';
import { SECTOR_BYTES } from './node.js';
import type { WorldSettings } from './world.js';

export interface DiskOptions {
  /** Runs that are under way together take turns by chance. Default false: one after the other. */
  readonly reorderCompletions?: boolean | undefined;
  /** A sync of a file makes its name durable too, as some file systems do. Default false. */
  readonly namesWithFile?: boolean | undefined;
  /** Bytes of content before ENOSPC, and before EDQUOT. Default: no end. */
  readonly capacityBytes?: number | undefined;
  readonly quotaBytes?: number | undefined;
  /** Share of reads and writes, 0 to 1, that move fewer bytes than asked. Default 0. */
  readonly shortShare?: number | undefined;
  /** Descriptors before EMFILE. Default 65536. */
  readonly descriptorsMax?: number | undefined;
  /** Views one call takes: 1 to 1024. Default 1024. */
  readonly viewCountMax?: number | undefined;
  /** Capabilities that the engine is to lack, and the reason it gives. */
  readonly without?: Readonly<Partial<Engine['capabilities']>> | undefined;
  /** Who the process is. Default 0, 0. */
  readonly user?: number | undefined;
  readonly group?: number | undefined;
  /** Permissions a new file does not get. Default 0o022. */
  readonly modeMask?: number | undefined;
  /** Operations that `log()` remembers. Default 256. */
  readonly logCount?: number | undefined;
}

/** The options as the world takes them. */
export function worldSettings(options: DiskOptions): WorldSettings {
  return {
    user: options.user ?? 0,
    group: options.group ?? 0,
    modeMask: options.modeMask ?? 0o022,
    capacityBytes: options.capacityBytes ?? Number.POSITIVE_INFINITY,
    quotaBytes: options.quotaBytes ?? Number.POSITIVE_INFINITY,
    descriptorsMax: options.descriptorsMax ?? 65536,
    namesWithFile: options.namesWithFile ?? false,
    directAlignment: SECTOR_BYTES,
  };
}

let capabilities: Engine['capabilities'] | undefined;

/* What no world of JavaScript can have. */
const MAPS = 'a simulated disk is no memory of the system';

/** A world in memory lacks nothing else but what it is told to. */
export function capabilitiesWithout(without: DiskOptions['without']): Engine['capabilities'] {
  if (capabilities === undefined) {
    const names = Object.keys(capabilitiesOf({ addon: undefined, reason: '' }));
    const all = Object.fromEntries(names.map((name) => [name, true]));
    capabilities = { ...all, maps: MAPS } as Engine['capabilities'];
  }
  return without === undefined ? capabilities : { ...capabilities, ...without };
}

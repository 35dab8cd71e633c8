/** The shape of what is found: each item a value, a "no" with its reason, or "unknown" with one. */
import type { EngineName } from '../engine.js';
import type { FileKind } from '../platform.js';

/** A value, `no` with a reason, or `unknown` with a reason; never a guess. */
export type ProbeItem<T> =
  | { readonly value: T; readonly note?: string; readonly no?: never; readonly unknown?: never }
  | { readonly no: string; readonly value?: never; readonly note?: never; readonly unknown?: never }
  | {
      readonly unknown: string;
      readonly value?: never;
      readonly note?: never;
      readonly no?: never;
    };

/** Something that is there, or not. */
export type ProbeFeature = ProbeItem<true>;

export interface PlaceItems {
  /** What the path leads to, all links followed; the nearest parent where it does not exist. */
  readonly probed: ProbeItem<string>;
  readonly exists: ProbeFeature;
  readonly kind: ProbeItem<FileKind>;
}

export interface MachineItems {
  readonly platform: ProbeItem<string>;
  readonly kernel: ProbeItem<string>;
  readonly node: ProbeItem<string>;
  readonly cpu: ProbeItem<string>;
}

export interface EngineItems {
  readonly addon: ProbeFeature;
  readonly engine: ProbeItem<EngineName>;
  readonly threads: ProbeItem<number>;
  readonly ring: ProbeFeature;
  /** Whether `mapFile` maps here; else it reads. */
  readonly maps: ProbeFeature;
}

/** Who keeps the bytes: that decides what a sync can promise. */
export type Medium = 'device' | 'memory' | 'network' | 'kernel';

export interface VolumeItems {
  readonly type: ProbeItem<string>;
  readonly medium: ProbeItem<Medium>;
  readonly mountPoint: ProbeItem<string>;
  readonly source: ProbeItem<string>;
  readonly options: ProbeItem<readonly string[]>;
  readonly readOnly: ProbeItem<boolean>;
  readonly syncMount: ProbeItem<boolean>;
  readonly journal: ProbeFeature;
  readonly dataMode: ProbeItem<string>;
  readonly barriers: ProbeFeature;
  /** Whether `oneCommit` of a replace is taken here. */
  readonly oneCommit: ProbeFeature;
  readonly sizeBytes: ProbeItem<number>;
  readonly freeBytes: ProbeItem<number>;
  readonly blockBytes: ProbeItem<number>;
}

export interface DeviceItems {
  readonly name: ProbeItem<string>;
  readonly writeCache: ProbeItem<string>;
  readonly fua: ProbeFeature;
  readonly logicalSectorBytes: ProbeItem<number>;
  readonly physicalSectorBytes: ProbeItem<number>;
  readonly rotational: ProbeItem<boolean>;
  readonly scheduler: ProbeItem<string>;
  readonly discardMaxBytes: ProbeItem<number>;
  readonly dax: ProbeFeature;
  readonly atomicWriteMaxBytes: ProbeItem<number>;
  /** What it stands on, such as the file of a loop device. */
  readonly standsOn: ProbeItem<readonly string[]>;
}

export interface DirectItems {
  readonly opens: ProbeFeature;
  readonly memoryAlignmentBytes: ProbeItem<number>;
  readonly offsetAlignmentBytes: ProbeItem<number>;
}

export interface FeatureItems {
  readonly reflink: ProbeFeature;
  readonly allocate: ProbeFeature;
  readonly allocateKeepingSize: ProbeFeature;
  readonly punchHole: ProbeFeature;
  readonly zeroRange: ProbeFeature;
  readonly collapseRange: ProbeFeature;
  readonly advise: ProbeFeature;
  readonly writeLifetime: ProbeFeature;
  readonly attributes: ProbeFeature;
  readonly unnamedFiles: ProbeFeature;
  readonly renameWithoutReplacing: ProbeFeature;
  readonly renameExchanging: ProbeFeature;
  readonly locks: ProbeFeature;
}

/** A way to make something durable, and what it costs where that was measured. */
export interface SyncCost {
  readonly primitive: string;
  /** The median, in milliseconds, of `rounds`. */
  readonly medianMs?: number;
  readonly rounds?: number;
}

export interface SyncItems {
  readonly full: ProbeItem<SyncCost>;
  readonly data: ProbeItem<SyncCost>;
  readonly onWrite: ProbeItem<SyncCost>;
  readonly directory: ProbeItem<SyncCost>;
}

/** What this machine, file system and file can do, and why not. Nothing but JSON in it. */
export interface ProbeReport {
  /** As it was given. */
  readonly path: string;
  readonly place: PlaceItems;
  readonly machine: MachineItems;
  readonly engine: EngineItems;
  readonly fileSystem: VolumeItems;
  readonly device: DeviceItems;
  /** The devices that `device` stands on, nearest first. */
  readonly below: readonly DeviceItems[];
  readonly direct: DirectItems;
  readonly features: FeatureItems;
  readonly sync: SyncItems;
}

export function known<T>(value: T, note?: string): ProbeItem<T> {
  return note === undefined ? { value } : { value, note };
}

export function no<T>(reason: string): ProbeItem<T> {
  return { no: reason };
}

export function unknown<T>(reason: string): ProbeItem<T> {
  return { unknown: reason };
}

/** The same answer for each of these items. */
export function each<K extends string, T>(
  names: readonly K[],
  item: ProbeItem<T>,
): Record<K, ProbeItem<T>> {
  return Object.fromEntries(names.map((name) => [name, item])) as Record<K, ProbeItem<T>>;
}

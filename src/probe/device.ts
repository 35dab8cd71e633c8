/** A device as the kernel describes it in /sys, and what it stands on. */
import type { Steps } from '../engine.js';
import { IoError } from '../errors.js';
import { linkInTable, namesInTable, placeOf, readTable } from '../platform.js';
import { leave, locate, shown } from './locate.js';
import { mountOfDescriptor } from './mounts.js';
import { type DeviceItems, each, known, no, type ProbeItem, unknown } from './report.js';

const DEPTH_MAX = 8;

const DEVICE_KEYS: readonly (keyof DeviceItems)[] = [
  'name',
  'writeCache',
  'fua',
  'logicalSectorBytes',
  'physicalSectorBytes',
  'rotational',
  'scheduler',
  'discardMaxBytes',
  'dax',
  'atomicWriteMaxBytes',
  'standsOn',
];

/** A device, and those below it, nearest first. */
export interface Devices {
  readonly device: DeviceItems;
  readonly below: readonly DeviceItems[];
  /** Set where all of it lies in memory: says where. */
  readonly memory: string | undefined;
}

/** No device, or none that is known: the same answer for each item. */
export function noDevice(item: ProbeItem<never>): Devices {
  return { device: each(DEVICE_KEYS, item) as DeviceItems, below: [], memory: undefined };
}

/** A device in /sys. The queue of a partition is that of its disk. */
interface Node {
  readonly name: string;
  readonly folder: string;
  readonly disk: string;
}

function nodeAt(folder: string): Node | undefined {
  const link = linkInTable(folder).text;
  if (link === undefined) return undefined;
  const name = link.slice(link.lastIndexOf('/') + 1).replaceAll('!', '/');
  const isPart = namesInTable(`${folder}/queue`) === undefined;
  return { name, folder, disk: isPart ? `${folder}/..` : folder };
}

function nodeOfNumbers(numbers: string): Node | undefined {
  return nodeAt(`/sys/dev/block/${numbers}`);
}

/** A row of the device's queue as an item. */
function item<T>(node: Node, name: string, read: (text: string) => ProbeItem<T>): ProbeItem<T> {
  const told = readTable(`${node.disk}/queue/${name}`);
  if (told.text === undefined) return unknown(`the kernel does not tell (${name}: ${told.code})`);
  return read(told.text.trim());
}

/** A number that is 0 where the device cannot. */
function limit(node: Node, name: string, reason: string): ProbeItem<number> {
  return item(node, name, (text) => (Number(text) > 0 ? known(Number(text)) : no(reason)));
}

function number(node: Node, name: string): ProbeItem<number> {
  return item(node, name, (text) => {
    return Number(text) > 0 ? known(Number(text)) : unknown(`the kernel answers "${text}"`);
  });
}

const CACHES: Readonly<Record<string, string>> = {
  'write back': 'a power cut loses what is in it; a sync makes the device write it out',
  'write through': 'the device says it keeps nothing back, so the kernel does not ask it to',
};

function cacheItem(text: string): ProbeItem<string> {
  const note = CACHES[text];
  return note === undefined ? unknown(`the kernel answers "${text}"`) : known(text, note);
}

function itemsOf(node: Node, standsOn: ProbeItem<readonly string[]>): DeviceItems {
  const noFua = 'a durable write is a write and then a request to empty the cache';
  const isOne = (text: string, reason: string): ProbeItem<true> =>
    text === '1' ? known(true) : no(reason);
  return {
    name: known(node.name),
    writeCache: item(node, 'write_cache', cacheItem),
    fua: item(node, 'fua', (text) => isOne(text, noFua)),
    logicalSectorBytes: number(node, 'logical_block_size'),
    physicalSectorBytes: number(node, 'physical_block_size'),
    rotational: item(node, 'rotational', (text) => known(text === '1', 'as the device tells')),
    scheduler: item(node, 'scheduler', (text) => known(/\[(.+)\]/.exec(text)?.[1] ?? text)),
    discardMaxBytes: limit(node, 'discard_max_bytes', 'the device takes no discards'),
    dax: item(node, 'dax', (text) => isOne(text, 'the device is not memory of the machine')),
    atomicWriteMaxBytes: limit(
      node,
      'atomic_write_unit_max_bytes',
      'the device promises no write that is whole or absent after a power cut',
    ),
    standsOn,
  };
}

/* Compressed memory, and the RAM disk: block devices that are gone with the power. */
function memoryOf(node: Node): string | undefined {
  return /^(zram|ram)\d+$/.test(node.name) ? `${node.name} is a disk in memory` : undefined;
}

/* Of the device mapper and of RAID. */
function slavesOf(node: Node): Node[] {
  const names = namesInTable(`${node.folder}/slaves`) ?? [];
  return names.flatMap((name) => nodeAt(`/sys/class/block/${name}`) ?? []);
}

interface Backing {
  readonly file: string;
  readonly node: Node | undefined;
  readonly memory: string | undefined;
}

/** The file behind a loop device, as the kernel names it, and the device that holds that. */
function* backingOf(node: Node): Steps<Backing | undefined> {
  const told = readTable(`${node.disk}/loop/backing_file`);
  if (told.text === undefined) return undefined;
  const bytes = Buffer.from(told.text.replace(/\n$/, ''), 'latin1');
  const none = { file: bytes.toString('utf8'), node: undefined, memory: undefined };
  try {
    const spot = yield* locate(placeOf(bytes));
    const mount = mountOfDescriptor(spot.fd, spot.place.path);
    yield* leave(spot);
    /* A parent in place of the file: it was deleted, or is out of this process' sight. */
    if (typeof mount === 'string' || !spot.isAsked) return none;
    const file = `${shown(spot.place)} (${mount.type})`;
    const isMemory = MEMORY_TYPES.includes(mount.type);
    const memory = isMemory ? `${file}, the file below, is in memory` : undefined;
    return { file, node: nodeOfNumbers(mount.device), memory };
  } catch (error) {
    if (!(error instanceof IoError) || error.kind === 'timeout') throw error;
    return none;
  }
}

/** File systems that keep everything in memory. */
export const MEMORY_TYPES: readonly string[] = ['tmpfs', 'ramfs', 'rootfs', 'devtmpfs'];

interface Layer {
  readonly items: DeviceItems;
  readonly next: readonly Node[];
  readonly memory: string | undefined;
}

function* layerOf(node: Node): Steps<Layer> {
  const backing = yield* backingOf(node);
  if (backing !== undefined) {
    const names = backing.node === undefined ? [] : [backing.node.name];
    const next = backing.node === undefined ? [] : [backing.node];
    const items = itemsOf(node, known([backing.file, ...names]));
    return { items, next, memory: backing.memory ?? memoryOf(node) };
  }
  const next = slavesOf(node);
  const names = next.map(({ name }) => name);
  const standsOn = names.length > 0 ? known(names) : no<string[]>('the kernel knows nothing below');
  return { items: itemsOf(node, standsOn), next, memory: memoryOf(node) };
}

/**
 * The device of a number and all below it. Nothing is said of a device out of sight.
 */
export function* devicesOf(numbers: string): Steps<Devices> {
  const first = nodeOfNumbers(numbers);
  if (first === undefined) {
    return noDevice(unknown(`/sys does not show the device ${numbers}`));
  }
  const layers: Layer[] = [];
  let nodes: readonly Node[] = [first];
  const seen = new Set<string>();
  for (let depth = 0; depth < DEPTH_MAX && nodes.length > 0; depth++) {
    const next: Node[] = [];
    for (const node of nodes) {
      if (seen.has(node.name)) continue;
      seen.add(node.name);
      const layer = yield* layerOf(node);
      layers.push(layer);
      next.push(...layer.next);
    }
    nodes = next;
  }
  const [top, ...rest] = layers as [Layer, ...Layer[]];
  const memory = layers.find((layer) => layer.memory !== undefined)?.memory;
  return { device: top.items, below: rest.map(({ items }) => items), memory };
}

/** The logical sector of a device. */
export function sectorOfNumbers(numbers: string): number | undefined {
  const node = nodeOfNumbers(numbers);
  return node === undefined ? undefined : number(node, 'logical_block_size').value;
}

/** A btrfs that has a device by this name: its devices and the least it writes. */
export interface Btrfs {
  readonly devices: readonly string[];
  readonly sectorBytes: number | undefined;
}

/** Finds the btrfs of a device in /sys; `undefined` where it is not shown. */
export function btrfsOf(numbers: string): Btrfs | undefined {
  const name = nodeOfNumbers(numbers)?.name;
  for (const id of namesInTable('/sys/fs/btrfs') ?? []) {
    const devices = namesInTable(`/sys/fs/btrfs/${id}/devices`) ?? [];
    if (name === undefined || !devices.includes(name.replaceAll('/', '!'))) continue;
    const sector = Number(readTable(`/sys/fs/btrfs/${id}/sectorsize`).text);
    return { devices, sectorBytes: sector > 0 ? sector : undefined };
  }
  return undefined;
}

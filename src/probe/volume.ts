/** The file system that holds a place: what it is, how it is mounted, what it stands on. */
import type { Steps } from '../engine.js';
import { namesInTable, numbersOfNode, volumeQuestion, volumeSizes } from '../platform.js';
import { ext4OptionsOf, oneCommitOn } from './commits.js';
import { btrfsOf, type Devices, devicesOf, MEMORY_TYPES, noDevice } from './device.js';
import { heldPath, type Spot } from './locate.js';
import { type Mount, mountOfDescriptor } from './mounts.js';
import {
  each,
  known,
  type Medium,
  no,
  type ProbeFeature,
  type ProbeItem,
  unknown,
  type VolumeItems,
} from './report.js';

const NETWORK_TYPES =
  'nfs nfs4 cifs smb3 smbfs ceph 9p afs lustre gpfs beegfs virtiofs vboxsf prl_fs fuse.sshfs ' +
  'fuse.glusterfs fuse.cephfs fuse.rclone fuse.s3fs fuse.davfs';
const KERNEL_TYPES =
  'proc sysfs cgroup cgroup2 debugfs tracefs devpts securityfs pstore bpf mqueue configfs ' +
  'efivarfs nsfs binfmt_misc';
const network: ReadonlySet<string> = new Set(NETWORK_TYPES.split(' '));
const ofKernel: ReadonlySet<string> = new Set(KERNEL_TYPES.split(' '));
const SIZES = ['sizeBytes', 'freeBytes', 'blockBytes'] as const;

/** The mount of a spot, or why it is not known. */
export function mountOf(spot: Spot): Mount | string {
  if (spot.fd < 0) return 'this system shows no mounts to the library yet';
  return mountOfDescriptor(spot.fd, spot.place.path);
}

/** `major:minor` of the device that a mount stands on; `undefined` where it names none. */
export function numbersOfMount(mount: Mount): string | undefined {
  if (!mount.device.startsWith('0:')) return mount.device;
  /* btrfs has a number of its own for each subvolume, and names a device as its source. */
  return mount.source.startsWith('/dev/') ? numbersOfNode(mount.source) : undefined;
}

function withoutDevice(mount: Mount): Devices {
  const { type, source } = mount;
  if (MEMORY_TYPES.includes(type)) return noDevice(no(`${type} keeps everything in memory`));
  if (network.has(type)) return noDevice(no(`${type} leaves the bytes to ${source}`));
  if (ofKernel.has(type)) return noDevice(no(`${type} is a view into the kernel`));
  return noDevice(unknown(`${type} names "${source}" as its source, which is no device here`));
}

/** The devices a mount stands on. */
export function* devicesOfMount(mount: Mount): Steps<Devices> {
  const numbers = numbersOfMount(mount);
  if (numbers === undefined) return withoutDevice(mount);
  const devices = yield* devicesOf(numbers);
  const all = mount.type === 'btrfs' ? (btrfsOf(numbers)?.devices ?? []) : [];
  if (all.length < 2 || devices.device.name.value === undefined) return devices;
  const name = known(devices.device.name.value, `one of ${all.join(', ')}: the others may differ`);
  return { ...devices, device: { ...devices.device, name } };
}

function mediumOf(mount: Mount, devices: Devices): ProbeItem<Medium> {
  const { type } = mount;
  const gone = 'nothing survives a power cut, whatever is synced';
  if (MEMORY_TYPES.includes(type)) return known('memory', gone);
  if (devices.memory !== undefined) return known('memory', `${devices.memory}: ${gone}`);
  if (network.has(type)) {
    return known('network', 'what a sync means is decided by the other side');
  }
  if (ofKernel.has(type)) return known('kernel', 'nothing is stored here');
  if (devices.device.name.value !== undefined) return known('device');
  return unknown(devices.device.name.unknown ?? `nothing is known of where ${type} keeps bytes`);
}

/** What ext4 tells of its mount, defaults too; mountinfo leaves those out. */
function ext4Options(mount: Mount, devices: Devices): readonly string[] | undefined {
  const name = devices.device.name.value;
  return /^ext[34]$/.test(mount.type) && name !== undefined ? ext4OptionsOf(name) : undefined;
}

const NO_JOURNAL: Readonly<Record<string, string>> = {
  ext2: 'ext2 has none',
  btrfs: 'btrfs copies on write and needs none; its log tree serves syncs',
  zfs: 'zfs copies on write and needs none; its intent log serves syncs',
  f2fs: 'f2fs is a log itself',
  tmpfs: 'tmpfs keeps everything in memory',
  ramfs: 'ramfs keeps everything in memory',
};

function journalOf(mount: Mount, devices: Devices, all: readonly string[] | undefined) {
  const { type } = mount;
  const reason = NO_JOURNAL[type];
  if (reason !== undefined) return no<true>(reason);
  if (mount.options.includes('norecovery') || mount.options.includes('noload')) {
    return no<true>('the mount leaves it alone (norecovery)');
  }
  if (type === 'xfs') return known<true>(true, 'of metadata; xfs always has one');
  if (!/^ext[34]$/.test(type)) return unknown<true>(`${type} does not tell`);
  if (all?.some((option) => option.startsWith('data='))) return known<true>(true);
  const name = devices.device.name.value?.replaceAll('/', '!');
  const journals = namesInTable('/proc/fs/jbd2');
  if (journals?.some((journal) => journal.startsWith(`${name}-`))) return known<true>(true);
  if (all !== undefined) return no<true>('the file system was made or mounted without one');
  return unknown<true>('/proc/fs/ext4 and /proc/fs/jbd2 do not show this device');
}

function barriersOf(mount: Mount, all: readonly string[] | undefined): ProbeFeature {
  const options = all ?? mount.options;
  if (options.includes('nobarrier') || options.includes('barrier=0')) {
    return no('mounted without: a sync does not empty the cache of the device');
  }
  if (all !== undefined) {
    return all.includes('barrier') || all.includes('barrier=1')
      ? known(true)
      : unknown('/proc/fs/ext4 does not mention them');
  }
  /* Both show "nobarrier" where it is on; xfs dropped the option in kernel 4.19. */
  if (mount.type === 'xfs' || mount.type === 'btrfs') return known(true);
  return unknown(`${mount.type} does not tell`);
}

function dataModeOf(mount: Mount, all: readonly string[] | undefined): ProbeItem<string> {
  const mode = (all ?? mount.options).find((option) => option.startsWith('data='));
  if (mode !== undefined) return known(mode.slice(5));
  if (!/^ext[34]$/.test(mount.type)) return no(`${mount.type} has no such choice`);
  return all === undefined ? unknown('/proc/fs/ext4 does not show this device') : no('no journal');
}

function* sizesOf(
  spot: Spot,
  type: string | undefined,
): Steps<Pick<VolumeItems, 'sizeBytes' | 'freeBytes' | 'blockBytes'>> {
  const question = volumeQuestion(heldPath(spot));
  yield question;
  if (question.result < 0) return each(SIZES, unknown('statfs(2) was refused'));
  const { sizeBytes, freeBytes, blockBytes, isExact } = volumeSizes(question);
  /* FUSE alone counts in another unit than the block (f_frsize), which Node leaves out. */
  if (!isExact && (type?.startsWith('fuse') ?? true)) {
    const item = unknown<number>('Node does not tell the unit in which the sizes are counted');
    return { sizeBytes: item, freeBytes: item, blockBytes: known(blockBytes) };
  }
  if (sizeBytes === 0) {
    const item = no<number>('the file system tells no size');
    return { sizeBytes: item, freeBytes: item, blockBytes: known(blockBytes) };
  }
  const note = 'for users without privileges';
  return {
    sizeBytes: known(sizeBytes),
    freeBytes: known(freeBytes, note),
    blockBytes: known(blockBytes),
  };
}

const utf8 = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');

/** The items of a file system. `mount` is a reason where it is not known. */
export function* volumeItems(
  spot: Spot,
  mount: Mount | string,
  devices: Devices,
): Steps<VolumeItems> {
  if (typeof mount === 'string') {
    const sizes = yield* sizesOf(spot, undefined);
    return { ...each(MOUNT_KEYS, unknown(mount)), ...sizes } as VolumeItems;
  }
  const all = ext4Options(mount, devices);
  const part = mount.root === '/' ? undefined : `shows ${utf8(mount.root)} of the file system`;
  const { options } = mount;
  const isReadOnly = options.includes('ro');
  return {
    type: known(mount.type),
    medium: mediumOf(mount, devices),
    mountPoint: known(utf8(mount.point), part),
    source: known(utf8(mount.source)),
    options: known(options.map(utf8)),
    readOnly: known(isReadOnly),
    syncMount: known(options.includes('sync')),
    journal: journalOf(mount, devices, all),
    dataMode: dataModeOf(mount, all),
    barriers: barriersOf(mount, all),
    oneCommit: oneCommitOn(mount, devices.device.name.value),
    ...(yield* sizesOf(spot, mount.type)),
  };
}

const MOUNT_KEYS = [
  'type',
  'medium',
  'mountPoint',
  'source',
  'options',
  'readOnly',
  'syncMount',
  'journal',
  'dataMode',
  'barriers',
  'oneCommit',
] as const;

/**
 * Where the sync of a directory alone commits a file renamed into it, whose bytes were forced to
 * the device before (sync_file_range(2)): size, blocks and name in one commit of the journal.
 *
 * Only where that was tried by thousands of power cuts and follows from the kernel's code:
 * docs/decisions/0013-one-commit-where-it-is-proved.md. Anything not named here is a refusal.
 */
import { linkInTable, machine, namesInTable, now, readTable } from '../platform.js';
import { type Mount, mountOfDescriptor } from './mounts.js';
import { known, no, type ProbeFeature, unknown } from './report.js';

/* Since then the sync of a directory of ext4 is a full commit (fs/ext4/fsync.c, ext4_force_commit,
 * also with fast_commit), and a checkpoint of the xfs log empties the cache of the device. */
const KERNEL_MIN = [6, 4] as const;

/* Of the mount itself: they change nothing about what reaches the device. */
const OF_ANY_MOUNT =
  'rw relatime noatime strictatime nodiratime lazytime nosuid nodev noexec nosymfollow sync ' +
  'dirsync mand seclabel';
/* As /proc/fs/ext4/<device>/options and mountinfo have them. */
const OF_EXT4 =
  'data=ordered data=journal data=writeback barrier delalloc nodelalloc dioread_lock ' +
  'dioread_nolock auto_da_alloc noauto_da_alloc journal_checksum nojournal_checksum bsddf ' +
  'minixdf grpid nogrpid block_validity noblock_validity discard nodiscard warn_on_error ' +
  'nowarn_on_error user_xattr nouser_xattr acl noacl noquota quota usrquota grpquota prjquota ' +
  'i_version init_itable noinit_itable prefetch_block_bitmaps no_prefetch_block_bitmaps ' +
  'mb_optimize_scan data_err=abort data_err=ignore';
const OF_EXT4_WITH_VALUE =
  'resuid resgid errors commit min_batch_time max_batch_time stripe inode_readahead_blks ' +
  'init_itable max_dir_size_kb mb_optimize_scan sb';
const OF_XFS =
  'attr2 noattr2 inode32 inode64 ikeep noikeep grpid nogrpid bsdgroups sysvgroups noquota quota ' +
  'usrquota uquota uqnoenforce grpquota gquota gqnoenforce prjquota pquota pqnoenforce nouuid ' +
  'noalign wsync discard nodiscard largeio nolargeio swalloc filestreams lifetime nolifetime';
const OF_XFS_WITH_VALUE = 'logbufs logbsize sunit swidth allocsize';

interface Proved {
  readonly options: ReadonlySet<string>;
  readonly withValue: ReadonlySet<string>;
}

const wordsOf = (text: string): ReadonlySet<string> => new Set(text.split(' '));
const proved: Readonly<Record<string, Proved>> = {
  ext4: {
    options: wordsOf(`${OF_ANY_MOUNT} ${OF_EXT4}`),
    withValue: wordsOf(OF_EXT4_WITH_VALUE),
  },
  xfs: { options: wordsOf(`${OF_ANY_MOUNT} ${OF_XFS}`), withValue: wordsOf(OF_XFS_WITH_VALUE) },
};

function isOld(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map(Number);
  return major < KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor < KERNEL_MIN[1]);
}

/**
 * Whether one commit is enough on this mount. `all` is what ext4 tells of its mount, defaults too;
 * for other types it does not matter.
 */
export function oneCommitOf(
  mount: Pick<Mount, 'type' | 'options'>,
  all: readonly string[] | undefined,
  kernel: string,
): ProbeFeature {
  const table = Object.hasOwn(proved, mount.type) ? proved[mount.type] : undefined;
  if (table === undefined) return no(`not proved for ${mount.type}`);
  if (isOld(kernel)) return no(`not proved for Linux ${kernel}, before ${KERNEL_MIN.join('.')}`);
  if (mount.type === 'ext4' && all === undefined) {
    return unknown('/proc/fs/ext4 does not show this device');
  }
  const options = [...mount.options, ...(all ?? [])];
  const strange = options.find((option) => {
    return !table.options.has(option) && !table.withValue.has(option.split('=')[0] as string);
  });
  if (strange !== undefined) return no(`not proved for ${mount.type} with ${strange}`);
  const hasJournal = mount.type === 'xfs' || options.some((option) => option.startsWith('data='));
  return hasJournal ? known(true) : no('the file system was made or mounted without a journal');
}

/** What ext4 tells of the mount of a device, defaults too; mountinfo leaves those out. */
export function ext4OptionsOf(device: string): readonly string[] | undefined {
  const name = device.replaceAll('/', '!');
  return readTable(`/proc/fs/ext4/${name}/options`).text?.split('\n').filter(Boolean);
}

/* A journal on another device goes by the name of that one, a journal inside by its inode's too:
 * fs/jbd2/journal.c, jbd2_journal_init_dev and jbd2_journal_init_inode. */
function hasJournalInside(device: string): boolean {
  const prefix = `${device.replaceAll('/', '!')}-`;
  return namesInTable('/proc/fs/jbd2')?.some((name) => name.startsWith(prefix)) ?? false;
}

/** As `oneCommitOf`, asking the kernel what is missing. `device` is its name, where it is known. */
export function oneCommitOn(mount: Mount, device: string | undefined): ProbeFeature {
  const all = device === undefined ? undefined : ext4OptionsOf(device);
  const feature = oneCommitOf(mount, all, machine().kernel);
  if (feature.value !== true || mount.type !== 'ext4') return feature;
  return hasJournalInside(device as string) ? feature : no('the journal is not inside');
}

function oneCommitAt(fd: number): ProbeFeature {
  const mount = mountOfDescriptor(fd, '');
  if (typeof mount === 'string') return unknown(mount);
  const link = linkInTable(`/sys/dev/block/${mount.device}`).text;
  return oneCommitOn(mount, link?.slice(link.lastIndexOf('/') + 1));
}

/* A mount can be given other options. */
const REMEMBERED_MS = 1000;
const MOUNTS_MAX = 64;
const remembered = new Map<
  bigint,
  { readonly until: number; readonly reason: string | undefined }
>();

/**
 * Why one commit is not enough for what lies on the mount of an open file, or `undefined` where it
 * is. Asked of the kernel once a second for each mount; each time where mounts have no number that
 * is theirs for ever.
 */
export function oneCommitRefusal(fd: number, mount: bigint | undefined): string | undefined {
  const last = mount === undefined ? undefined : remembered.get(mount);
  if (last !== undefined && last.until > now()) return last.reason;
  const { no: not, unknown: unsure } = oneCommitAt(fd);
  const reason = not ?? unsure;
  if (mount !== undefined) {
    if (remembered.size >= MOUNTS_MAX) remembered.clear();
    remembered.set(mount, { until: now() + REMEMBERED_MS, reason });
  }
  return reason;
}

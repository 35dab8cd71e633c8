/** What this process can do, and why not. */
import { mapsRefusal } from './maps.js';
import type { AddonState } from './native.js';
import { heldDirectories } from './surroundings.js';

export type Capability =
  | 'native-calls'
  | 'one-job-runs'
  | 'held-directories'
  | 'paths-beneath'
  | 'attributes'
  | 'rename-without-replacing'
  | 'exchange-names'
  | 'unnamed-files'
  | 'append-in-place'
  | 'status-flags'
  | 'locks'
  | 'lock-upgrade'
  | 'kernel-copy'
  | 'maps'
  | 'directory-sync'
  | 'read-only-sync'
  | 'names-of-open-files'
  | 'owner';

/** `true`, or the reason why not. */
export type Capabilities = Readonly<Record<Capability, true | string>>;

type Lacks = Readonly<Partial<Record<Capability, string>>>;

/* What the kernel of a system does not have, so that its addon does not either. */
const LINUX_ONLY = {
  'paths-beneath': 'openat2(2) is of Linux',
  'unnamed-files': 'O_TMPFILE is of Linux',
  'append-in-place': 'pwritev2(2) is of Linux',
} as const;
const LACKS: Readonly<Record<string, Lacks>> = {
  darwin: {
    ...LINUX_ONLY,
    'kernel-copy': 'macOS clones a file only to a name that is new',
    maps: 'a fault in a map is not mended on macOS, so none is made',
  },
  win32: {
    'paths-beneath': LINUX_ONLY['paths-beneath'],
    'unnamed-files': LINUX_ONLY['unnamed-files'],
    'held-directories':
      'on Windows names lead out of a directory in ways nobody looks for: `\\`, `C:`, streams',
    'lock-upgrade': 'LockFileEx gives a shared lock up before it takes the exclusive one',
    'status-flags': 'Windows takes them at the open alone',
    attributes: 'Windows has no extended attributes of this kind',
    'exchange-names': 'Windows has no call that exchanges names',
    'kernel-copy': 'Windows clones on ReFS alone',
    maps: 'a file that is mapped cannot be cut on Windows, so none is mapped',
  },
};

/** The table for a process with this addon, or without one. */
export function capabilitiesOf(addon: AddonState): Capabilities {
  const lacks = LACKS[process.platform] ?? {};
  const isThere = addon.addon !== undefined;
  const native = (capability: Capability): true | string =>
    isThere ? (lacks[capability] ?? true) : addon.reason;
  const unix = process.platform !== 'win32';
  return {
    'native-calls': native('native-calls'),
    'one-job-runs': native('one-job-runs'),
    'held-directories': isThere ? native('held-directories') : heldDirectories,
    'paths-beneath': native('paths-beneath'),
    attributes: native('attributes'),
    'rename-without-replacing': native('rename-without-replacing'),
    'exchange-names': native('exchange-names'),
    'unnamed-files': native('unnamed-files'),
    'append-in-place': native('append-in-place'),
    'status-flags': native('status-flags'),
    locks: native('locks'),
    'lock-upgrade': native('lock-upgrade'),
    'kernel-copy': native('kernel-copy'),
    maps: isThere ? (lacks.maps ?? mapsRefusal() ?? true) : native('maps'),
    'directory-sync': unix || isThere ? true : 'node:fs cannot open directories on Windows',
    'read-only-sync': unix || isThere ? true : 'Windows syncs what is open for writing',
    'names-of-open-files': unix || 'Windows keeps the name of what is open without sharing it',
    owner: unix ? true : 'Windows has no owner numbers',
  };
}

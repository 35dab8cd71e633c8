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
  | 'kernel-copy'
  | 'maps'
  | 'directory-sync'
  | 'owner';

/** `true`, or the reason why not. */
export type Capabilities = Readonly<Record<Capability, true | string>>;

/** The table for a process with this addon, or without one. */
export function capabilitiesOf(addon: AddonState): Capabilities {
  const native: true | string = addon.addon !== undefined ? true : addon.reason;
  const unix = process.platform !== 'win32';
  return {
    'native-calls': native,
    'one-job-runs': native,
    'held-directories': native === true ? true : heldDirectories,
    'paths-beneath': native,
    attributes: native,
    'rename-without-replacing': native,
    'exchange-names': native,
    'unnamed-files': native,
    'append-in-place': native,
    'status-flags': native,
    locks: native,
    'kernel-copy': native,
    maps: native === true ? (mapsRefusal() ?? true) : native,
    'directory-sync': unix ? true : 'node:fs cannot open directories on Windows',
    owner: unix ? true : 'Windows has no owner numbers',
  };
}

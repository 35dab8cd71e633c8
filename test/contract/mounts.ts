/** A test on each file system that can be mounted here, by both faces of an engine. */
import { test } from 'node:test';
import { Doors, type EngineName, engineFor } from '../file/doors.js';
import { type MountKind, mountFor } from '../support/mounts.js';
import { scratch } from '../support/scratch.js';

export const mountKinds: readonly MountKind[] = ['ext4', 'xfs', 'btrfs', 'tmpfs'];

/** A folder on a file system, and doors that open files in it. */
export interface Ground {
  readonly kind: MountKind;
  readonly directory: string;
  readonly doors: Doors;
}

/** One test for each file system; the body runs once for each face. */
export function onMounts(
  name: string,
  engineName: EngineName,
  body: (ground: Ground) => unknown,
  kinds: readonly MountKind[] = mountKinds,
): void {
  for (const kind of kinds) {
    test(`${name} (${kind}, ${engineName})`, { timeout: 90_000 }, async (t) => {
      const engine = engineFor(t, engineName);
      const mount = engine && mountFor(t, kind);
      if (engine === undefined || mount === undefined) return;
      for (const face of ['async', 'sync'] as const) {
        const doors = new Doors(t, engine, face);
        await body({ kind, directory: scratch(t, mount.path), doors });
      }
    });
  }
}

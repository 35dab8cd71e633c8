/** Others who put new content under an old name: what is installed where bench is run, and Node. */
import { open, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { environment } from '../../platform.js';
import type { Work } from './work.js';

/** A peer that is not installed where bench is run. */
export class Missing extends Error {}

type Store = (path: string, bytes: Uint8Array) => Promise<unknown>;

interface Peer {
  readonly version?: string;
  /**
   * As seen when the power was cut right after the promise had resolved. write-file-atomic 7.0.1
   * and atomically 2.1.1 sync the file and never its directory (strace).
   */
  readonly durable: boolean;
  readonly store: Store;
}

/** The order that a power cut leaves whole, with what Node has: no mode, owner or links kept. */
async function inDurableOrder(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const directory = await open(dirname(path));
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function installed(name: string, memberOf: (module: never) => unknown): Peer {
  const load = createRequire(join(environment.workingDirectory(), 'noname.js'));
  const version = versionOf(name, load);
  if (version === undefined) throw new Missing('it is not installed here');
  try {
    return { version, durable: false, store: memberOf(load(name) as never) as Store };
  } catch (error) {
    throw new Missing(String((error as NodeJS.ErrnoException).code ?? error));
  }
}

/* By the path of its package.json, which its "exports" need not give away: atomically's do not. */
function versionOf(name: string, load: NodeJS.Require): string | undefined {
  for (const folder of load.resolve.paths(name) ?? []) {
    try {
      return (load(join(folder, name, 'package.json')) as { version: string }).version;
    } catch {
      /* The next folder up. */
    }
  }
  return undefined;
}

const peers: Readonly<Record<string, () => Peer>> = {
  'node:fs, in place': () => ({ durable: false, store: (path, bytes) => writeFile(path, bytes) }),
  'node:fs, the durable order': () => ({ durable: true, store: inDurableOrder }),
  'write-file-atomic': () => installed('write-file-atomic', (module) => module),
  atomically: () => installed('atomically', ({ writeFile }: { writeFile: Store }) => writeFile),
};

/** Errors: `Missing`. */
export function peerNamed(name: string, path: string, bytes: Uint8Array): Work {
  const { version, durable, store } = (peers[name] as () => Peer)();
  return {
    by: version === undefined ? name : `${name} ${version}`,
    durable,
    async operate() {
      await store(path, bytes);
      return bytes.byteLength;
    },
    close: async () => {},
  };
}

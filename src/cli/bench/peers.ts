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
  /** As seen when the power was cut right after the promise had resolved. */
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
  try {
    const { version } = load(`${name}/package.json`) as { version: string };
    return { version, durable: false, store: memberOf(load(name) as never) as Store };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'MODULE_NOT_FOUND' ? 'it is not installed here' : String(code ?? error);
    throw new Missing(why);
  }
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

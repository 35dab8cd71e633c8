/** The work of a job: what one operation does, on files of a scratch directory. */
import { join } from 'node:path';
import { alignedBuffer, type OpenFile, openFile, replaceFile } from '../../index.js';
import { Journal } from '../../journal.js';
import { chance } from '../../platform.js';
import type { Job } from './jobs.js';
import { peerNamed } from './peers.js';

export interface Work {
  readonly by: string;
  readonly durable?: boolean;
  /** One operation of the worker of this number; answers the bytes it moved. */
  operate(worker: number): Promise<number>;
  close(): Promise<void>;
}

export interface Place {
  readonly directory: string;
  /** Written once, with blocks that are all there. */
  readonly file: string;
  readonly sizeBytes: number;
}

const OURS = 'holdfast';
const FILL_BYTES = 1024 * 1024;

/** Bytes that no device makes less of. */
function noise(length: number): Uint8Array {
  const bytes = alignedBuffer(length);
  for (let index = 0; index < length; index++) bytes[index] = chance() * 256;
  return bytes;
}

/** Writes the file that jobs read and overwrite. Errors: `IoError`, of a full disk too. */
export async function filled(path: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
  await using file = await openFile(path, { access: 'write', create: true });
  const views = noise(FILL_BYTES);
  for (let at = 0; at < sizeBytes; at += FILL_BYTES) {
    const length = Math.min(FILL_BYTES, sizeBytes - at);
    await file.writeAt(views.subarray(0, length), at, { signal });
  }
  await file.sync({ signal });
}

/** Where operations go: anywhere, or one behind the other. */
function* places({ deed, blockBytes }: Job, sizeBytes: number): Generator<number, never> {
  const count = Math.max(1, Math.floor(sizeBytes / blockBytes));
  for (let next = 0; ; next++) {
    const index = deed.startsWith('rand') ? Math.floor(chance() * count) : next % count;
    yield index * blockBytes;
  }
}

function transfers(job: Job, file: OpenFile, sizeBytes: number): Work {
  const views = Array.from({ length: job.depth }, () => noise(job.blockBytes));
  const offsets = places(job, sizeBytes);
  const isRead = job.deed.endsWith('read');
  return {
    by: OURS,
    ...(isRead ? {} : { durable: false }),
    operate(worker) {
      const view = views[worker] as Uint8Array;
      const offset = offsets.next().value;
      return isRead ? file.readAt(view, offset) : file.writeAt(view, offset);
    },
    close: () => file.close(),
  };
}

function syncs(job: Job, file: OpenFile, sizeBytes: number): Work {
  const view = noise(job.blockBytes);
  const offsets = places(job, sizeBytes);
  const isAppend = job.deed === 'syncappend';
  return {
    by: OURS,
    durable: true,
    async operate() {
      if (isAppend) await file.append(view);
      else await file.writeAt(view, offsets.next().value);
      await file.syncData();
      return view.byteLength;
    },
    close: () => file.close(),
  };
}

/* As many commits under way as the job says: they share syncs as a program's own would. */
async function commits({ blockBytes }: Job, { directory }: Place): Promise<Work> {
  const journal = await Journal.open(join(directory, 'journal'));
  const record = noise(blockBytes);
  return {
    by: OURS,
    durable: true,
    async operate() {
      await journal.append(record);
      return record.byteLength;
    },
    close: () => journal.close(),
  };
}

async function replaces({ blockBytes, peer }: Job, { directory }: Place): Promise<Work> {
  const bytes = noise(blockBytes);
  const path = join(directory, 'replaced');
  if (peer !== undefined) return peerNamed(peer, path, bytes);
  return {
    by: OURS,
    durable: true,
    async operate() {
      await replaceFile(path, bytes);
      return bytes.byteLength;
    },
    close: async () => {},
  };
}

/**
 * Gets a job ready. Errors: `IoError` where the place cannot do it, such as direct I/O; `Missing`
 * for a peer that is not installed.
 */
export async function workOf(job: Job, place: Place): Promise<Work> {
  const { deed, direct } = job;
  if (deed === 'replace') return replaces(job, place);
  if (deed === 'journal') return commits(job, place);
  const path = deed === 'syncappend' ? join(place.directory, 'grown') : place.file;
  const access = deed === 'syncappend' ? 'append' : deed.endsWith('read') ? 'read' : 'read-write';
  const options = { access, create: access === 'append', direct: direct && 'strict' } as const;
  const file = await openFile(path, options);
  if (deed.startsWith('sync')) return syncs(job, file, place.sizeBytes);
  return transfers(job, file, place.sizeBytes);
}

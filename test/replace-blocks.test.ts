/**
 * A disk with 0 to 64 free blocks: whatever fits, what was acknowledged is there and whole, and
 * what was refused left the old. The row of the peers stands beside it.
 */
import { equal, ok } from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { IoError, replaceFile, replaceFiles } from 'holdfast';
import {
  engineHere,
  engineWords,
  facesOn,
  pieces,
  temporaries,
  worldOf,
} from './replace/worlds.js';
import { type MountKind, mountFor } from './support/mounts.js';
import { projectRoot } from './support/scratch.js';

const BLOCK = 4096;
const BLOCKS_MAX = 64;
const OLD = Buffer.alloc(4 * BLOCK, 'old content ');

type Write = (path: string, data: Buffer) => Promise<unknown>;

interface Row {
  readonly name: string;
  readonly write: Write;
  done: number;
  refused: number;
  /** Resolved, and the file is not what was written. */
  torn: number;
  /** Rejected, and the file is not what it was. */
  lost: number;
}

function row(name: string, write: Write): Row {
  return { name, write, done: 0, refused: 0, torn: 0, lost: 0 };
}

function ourRows(): Row[] {
  const rows: Row[] = [];
  for (const word of engineWords) {
    const engine = engineHere(word);
    if (typeof engine === 'string') continue;
    for (const face of facesOn(engine)) {
      const { replace } = worldOf(face, engine);
      rows.push(row(`${face} (${word})`, (path, data) => replace(path, data)));
    }
    rows.push(
      row(`pieces (${word})`, (path, data) =>
        replaceFile(path, pieces(data.subarray(0, 9000), data.subarray(9000)), { engine }),
      ),
      row(`replaceFiles (${word})`, (path, data) => replaceFiles([{ path, data }], { engine })),
    );
  }
  return rows;
}

type Peer = (path: string, data: Buffer) => Promise<void>;

/** Those that the benches have installed. */
async function peerRows(t: TestContext): Promise<Row[]> {
  const folder = join(projectRoot, 'bench/peers');
  if (!existsSync(join(folder, 'node_modules/write-file-atomic'))) {
    t.diagnostic('no row of the peers: `npm run bench -- replace` installs them');
    return [];
  }
  const { load } = await import(pathToFileURL(join(folder, 'load.mjs')).href);
  const { default: one } = (await load('write-file-atomic')) as { default: Peer };
  const { writeFile: two } = (await load('atomically')) as { writeFile: Peer };
  return [row('write-file-atomic', one), row('atomically', two)];
}

async function attempt(it: Row, path: string, data: Buffer): Promise<void> {
  const before = readFileSync(path);
  try {
    await it.write(path, data);
    it.done++;
    if (!readFileSync(path).equals(data)) it.torn++;
  } catch (error) {
    it.refused++;
    const isOld = readFileSync(path).equals(before);
    if (!isOld) it.lost++;
    if (error instanceof IoError && isOld) equal(error.durable, 'old');
  }
}

/** Takes all the room there is; answers what gives back block by block. */
function filled(mount: string): (blocks: number) => void {
  const fd = openSync(join(mount, 'filler'), 'w');
  let size = 0;
  for (let bytes = 16 * 1024 * 1024; bytes >= BLOCK; ) {
    try {
      size += writeSync(fd, Buffer.alloc(bytes, 1), 0, bytes, size);
      fsyncSync(fd);
    } catch (error) {
      equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
      bytes /= 2;
    }
  }
  closeSync(fd);
  return (blocks) => {
    const filler = openSync(join(mount, 'filler'), 'r+');
    ftruncateSync(filler, Math.max(size - blocks * BLOCK, 0));
    fsyncSync(filler);
    closeSync(filler);
  };
}

async function onKind(t: TestContext, kind: MountKind): Promise<void> {
  const mount = mountFor(t, kind);
  if (mount === undefined) return;
  const [ours, peers] = [ourRows(), await peerRows(t)];
  const [path, peerPath] = [join(mount.path, 'file'), join(mount.path, 'peer')];
  for (const one of [path, peerPath]) writeFileSync(one, OLD, { flush: true });
  const leave = filled(mount.path);
  for (let blocks = 0; blocks <= BLOCKS_MAX; blocks++) {
    leave(blocks);
    const it = ours[blocks % ours.length] as Row;
    await attempt(it, path, Buffer.alloc((BLOCKS_MAX + 16) * BLOCK, `too much ${blocks}`));
    await attempt(it, path, Buffer.alloc(blocks * 700 + 1, `perhaps ${blocks}`));
    const names = temporaries(mount.path);
    equal(names.length, 0, `${it.name} left ${names} at ${blocks} blocks`);
    for (const peer of peers) {
      await attempt(peer, peerPath, Buffer.alloc((BLOCKS_MAX + 16) * BLOCK, 'too much'));
      if (!readFileSync(peerPath).equals(OLD)) writeFileSync(peerPath, OLD.subarray(0, 1));
    }
  }
  for (const { name, done, refused, torn, lost } of [...ours, ...peers]) {
    const told = `${done} done, ${refused} refused, ${torn} torn though acknowledged, ${lost} lost`;
    t.diagnostic(`${kind}: ${name}: ${told}`);
  }
  for (const { name, refused, torn, lost } of ours) {
    equal(torn, 0, `${name} acknowledged what it had not written`);
    equal(lost, 0, `${name} refused and changed the file`);
    ok(refused > 0, `${name} was refused`);
  }
}

for (const kind of ['tmpfs', 'ext4', 'xfs', 'btrfs'] as const) {
  test(`a replace on ${kind} with 0 to 64 free blocks is whole or refused`, async (t) => {
    await onKind(t, kind);
  });
}

/** Copies on real file systems: reflinks where there are any, holes extent by extent, traits. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync as nodeCopy,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CopyMethod, CopyReport } from 'holdfast';
import {
  copyFaces,
  copying,
  copyWith,
  engineOr,
  engineWords,
  extentsOf,
  makeSparse,
  notedIn,
  refusedCopy,
  SPARSE,
  SPARSE_BYTES,
  wordsFor,
} from './copy/worlds.js';
import {
  accessOf,
  attributesOf,
  setAccess,
  setAttribute,
  setDefaultAccess,
} from './replace/attributes.js';
import { engineHere, modeAt, needsRoot, temporaries } from './replace/worlds.js';
import { type Mount, type MountKind, mountFor } from './support/mounts.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

const kinds: readonly MountKind[] = ['ext4', 'xfs', 'btrfs', 'tmpfs'];
const reflinks: readonly MountKind[] = ['xfs', 'btrfs'];

type Check = (mount: Mount, copy: ReturnType<typeof copyWith>, isNative: boolean) => Promise<void>;

async function onEach(t: TestContext, mount: Mount, check: Check): Promise<void> {
  const before = openDescriptors();
  for (const word of engineWords) {
    const engine = engineOr(word);
    if (typeof engine === 'string') {
      t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
      continue;
    }
    const faces = copyFaces.filter((face) => wordsFor(face).includes(word));
    for (const face of faces) await check(mount, copyWith(face, engine), word !== 'portable');
  }
  deepEqual(temporaries(mount.path), []);
  assertNoNewDescriptors(before);
}

function allocated(path: string): number {
  return statSync(path).blocks * 512;
}

for (const kind of kinds) {
  const isReflinked = reflinks.includes(kind);

  const verb = isReflinked ? 'reflinks' : 'copies';
  test(`copyFile() on ${kind} ${verb} and keeps every hole`, async (t) => {
    const mount = mountFor(t, kind, kind === 'tmpfs' ? { sizeBytes: 32 * 1048576 } : {});
    if (mount === undefined) return;
    const [source, target] = [join(mount.path, 'source'), join(mount.path, 'target')];
    makeSparse(source, SPARSE, SPARSE_BYTES);
    const map = extentsOf(source);
    ok(map.length > 1 && (map.at(-1)?.[1] ?? 0) < SPARSE_BYTES, 'it is sparse');
    const expected = (isNative: boolean): CopyMethod =>
      isReflinked ? 'reflink' : isNative ? 'copy_file_range' : 'read-write';
    await onEach(t, mount, async (_, copy, isNative) => {
      const same = (report: CopyReport, method: CopyMethod): void => {
        equal(report.method, method);
        ok(readFileSync(target).equals(readFileSync(source)), 'the same bytes');
        deepEqual(extentsOf(target), map, `${method}: the same map`);
        const data = map.reduce((sum, [start, end]) => sum + end - start, 0);
        if (method !== 'reflink' && isNative) equal(report.holeBytes, SPARSE_BYTES - data);
        ok(method === 'reflink' || (report.holeBytes as number) > 0);
      };
      same(await copy(source, target), expected(isNative));
      same(await copy(source, target, { reflink: 'never' }), 'read-write');
      if (isReflinked) same(await copy(source, target, { reflink: 'always' }), 'reflink');
      else {
        const error = await refusedCopy(copy(source, target, { reflink: 'always' }));
        deepEqual([error.kind, error.step, error.durable], ['unsupported', 'reflink', 'old']);
      }
    });
    const byNode = join(mount.path, 'by-node');
    nodeCopy(source, byNode);
    t.diagnostic(`blocks in bytes: fs.copyFile ${allocated(byNode)}, ours ${allocated(target)}`);
  });
}

/* Zeros that were written are data; where nobody tells of holes they may become some, no more. */
copying('makes holes of holes only, and keeps files that are all hole', async (t, copy) => {
  const directory = scratch(t);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, Buffer.alloc(300_000));
  await copy(source, target);
  equal(allocated(target), allocated(source), 'zeros are bytes');
  truncateSync(source, 0);
  truncateSync(source, 7_000_001);
  const report = await copy(source, target);
  equal(statSync(target).size, 7_000_001);
  ok(allocated(target) <= 8192);
  ok(report.method === 'reflink' || report.holeBytes === 7_000_001);
  const edges: readonly [number, number][] = [
    [0, 1],
    [4095, 4097],
    [8191, 12289],
    [6_999_999, 7_000_001],
  ];
  makeSparse(source, edges, 7_000_001);
  await copy(source, target);
  ok(readFileSync(target).equals(readFileSync(source)), 'data that begins and ends anywhere');
  makeSparse(source, [[100_000, 100_001]], 100_001);
  await copy(source, target);
  ok(readFileSync(target).equals(readFileSync(source)), 'no hole at the end');
});

copying('to another file system copies by reading', async (t, copy, engine) => {
  const mount = mountFor(t, 'tmpfs', { sizeBytes: 16 * 1048576 });
  if (mount === undefined) return;
  const source = join(scratch(t), 'source');
  const target = join(mount.path, 'target');
  makeSparse(source, SPARSE, SPARSE_BYTES);
  const report = await copy(source, target);
  equal(report.method, 'read-write');
  ok(notedIn(report).includes('reflink') && notedIn(report).includes('copy_file_range'));
  if (engine.name !== 'portable') {
    deepEqual(report.fallbacks.slice(0, 2), [
      { what: 'reflink', reason: 'EXDEV' },
      { what: 'copy_file_range', reason: 'EXDEV' },
    ]);
  }
  ok(readFileSync(target).equals(readFileSync(source)));
  deepEqual(extentsOf(target), extentsOf(source));
});

for (const kind of ['ext4', 'xfs', 'btrfs'] as const) {
  test(`copyFile() on ${kind} keeps attributes, ACL, mode and owner`, async (t) => {
    const mount = mountFor(t, kind);
    if (mount === undefined || !needsRoot(t)) return;
    const [source, target] = [join(mount.path, 'source'), join(mount.path, 'target')];
    await onEach(t, mount, async (_, copy, isNative) => {
      writeFileSync(source, 'content');
      writeFileSync(target, 'old');
      setAttribute(target, 'user.of-the-old', Buffer.from('gone'));
      setAttribute(source, 'user.one', Buffer.from([0, 1, 2]));
      setAttribute(source, 'user.large', Buffer.alloc(400, 7));
      chownSync(source, 1234, 4321);
      setAccess(source, 'u:99:rw', 'g:98:r');
      for (const reflink of ['auto', 'never'] as const) {
        const report = await copy(source, target, { reflink });
        equal(readFileSync(target, 'latin1'), 'content');
        const { uid, gid } = statSync(target);
        deepEqual([uid, gid], [1234, 4321]);
        equal(modeAt(target), modeAt(source));
        if (isNative) {
          deepEqual(attributesOf(target), attributesOf(source));
          deepEqual(accessOf(target), accessOf(source));
        } else ok(notedIn(report).includes('attributes'), 'told');
      }
    });
  });
}

/* A new file of a directory with a default ACL gets rights that its source never gave. */
test('copyFile() gives no rights that the source did not give', async (t) => {
  const mount = mountFor(t, 'ext4');
  if (mount === undefined) return;
  const engine = engineHere('pool');
  if (typeof engine === 'string') return t.skip(`needs the addon: ${engine}`);
  const source = join(scratch(t), 'source');
  writeFileSync(source, 'secret', { mode: 0o600 });
  chmodSync(source, 0o640);
  setDefaultAccess(mount.path, 'u:99:rwx', 'g:98:rwx');
  for (const face of copyFaces) {
    await copyWith(face, engine)(source, join(mount.path, 'target'));
    deepEqual(accessOf(join(mount.path, 'target')), ['user::rw-', 'group::r--', 'other::---']);
  }
});

/*
 * uv_fs_copyfile gives the copy the permissions of its source before the clone: a set-user-ID
 * program of another user would be ours for a moment. What guards it: no clone then, and told.
 */
test('copyFile() through node:fs does not lend its own rights to a copy', async (t) => {
  const mount = mountFor(t, 'xfs');
  if (mount === undefined || !needsRoot(t)) return;
  const engine = engineHere('portable');
  ok(typeof engine !== 'string');
  const [source, target] = [join(mount.path, 'source'), join(mount.path, 'target')];
  writeFileSync(source, 'program');
  chownSync(source, 1234, 1234);
  chmodSync(source, 0o4755);
  for (const face of copyFaces) {
    const report = await copyWith(face, engine)(source, target);
    equal(report.method, 'read-write');
    ok(report.fallbacks.some(({ what, reason }) => what === 'reflink' && /owner/.test(reason)));
    equal(modeAt(target), 0o4755);
    equal(statSync(target).uid, 1234);
    const error = await refusedCopy(copyWith(face, engine)(source, target, { reflink: 'always' }));
    equal(error.kind, 'unsupported');
  }
});

const MEBIBYTE = 1048576;

for (const kind of kinds) {
  test(`copyFile() to a full ${kind} keeps the old target`, async (t) => {
    const sizeBytes = { tmpfs: 24, ext4: 32, btrfs: 120, xfs: 300 }[kind] * MEBIBYTE;
    const mount = mountFor(t, kind, { sizeBytes });
    if (mount === undefined) return;
    const directory = scratch(t);
    const [source, target] = [join(directory, 'source'), join(mount.path, 'target')];
    writeFileSync(source, Buffer.alloc(20 * MEBIBYTE, 'new'));
    writeFileSync(target, 'old', { flush: true });
    fillAllBut(join(mount.path, 'filler'), 6 * MEBIBYTE);
    await onEach(t, mount, async (_, copy) => {
      const error = await refusedCopy(copy(source, target));
      deepEqual([error.code, error.kind, error.durable], ['ENOSPC', 'no-space', 'old']);
      equal(readFileSync(target, 'latin1'), 'old');
    });
  });
}

/** Fills a disk, then gives so much back. */
function fillAllBut(path: string, bytes: number): void {
  const fd = openSync(path, 'w');
  let size = 0;
  for (let step = 8 * MEBIBYTE; step >= 65536; ) {
    try {
      size += writeSync(fd, Buffer.alloc(step, 1), 0, step, size);
    } catch {
      step /= 2;
    }
  }
  closeSync(fd);
  truncateSync(path, Math.max(0, size - bytes));
}

for (const kind of ['ext4', 'xfs'] as const) {
  test(`copyFile() that has resolved survives a power cut on ${kind}`, async (t) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const [source, target] = [join(mount.path, 'source'), join(mount.path, 'target')];
    writeFileSync(source, Buffer.alloc(3 * MEBIBYTE, 's'), { flush: true });
    let turn = 0;
    for (const word of engineWords) {
      const engine = engineOr(word);
      if (typeof engine === 'string') continue;
      for (const face of copyFaces) {
        for (const reflink of ['auto', 'never'] as const) {
          const content = Buffer.alloc(MEBIBYTE + turn, `${turn++} `);
          /* Not synced: a reflink has to carry what is in the page cache only. */
          writeFileSync(source, content);
          const report = await copyWith(face, engine)(source, target, { reflink });
          equal(report.durability, 'full');
          mount.cutPower();
          ok(readFileSync(target).equals(content), `${word}, ${face}, ${report.method}`);
        }
      }
    }
  });
}

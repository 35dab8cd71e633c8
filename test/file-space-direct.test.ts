/**
 * Where a file system cannot zero a range, zeros are written; they lay in memory that direct I/O
 * does not take, so a direct file was refused what it had asked for. Aligned zeros guard it now.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { AlignmentError, alignedBuffer, openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { mountFor } from './support/mounts.js';

for (const kind of ['tmpfs', 'btrfs', 'ext4'] as const) {
  test(`zeroRange() and punchHole() on a direct file, ${kind}`, async (t) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const options = { access: 'read-write', create: true, direct: 'strict' } as const;
    const path = join(mount.path, 'file');
    const file = await openFile(path, { ...options, engine: engineNamed('pool') });
    const block = file.alignment.length;
    const bytes = alignedBuffer(4 * block).fill(7);
    await file.writeAt(bytes, 0);
    const { method } = await file.zeroRange(block, block);
    ok(method === 'fallocate' || method === 'zeros written');
    await file.punchHole(2 * block, block);
    const expected = Buffer.alloc(4 * block, 7).fill(0, block, 3 * block);
    deepEqual(Buffer.from(await file.readAll()), expected);
    if (method === 'zeros written') {
      const refused = await file.zeroRange(1, block).catch((error: unknown) => error);
      ok(refused instanceof AlignmentError);
      equal(refused.which, 'offset');
    }
    await file.close();
  });
}

/** Images on a file system of FUSE: opened by a map and by reads, and a read that fails is told. */
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { encodeImage, imageOf, openImage } from 'holdfast/image';
import { Faulty, faultyRefusal } from './ring/faulty.js';
import { Shape, shape } from './struct/schemas.js';

test('an image on FUSE is seen by each mode; a failed read is an error', async (t) => {
  const refusal = faultyRefusal();
  if (refusal !== undefined) return t.skip(refusal);
  const faulty = await Faulty.mount();
  t.after(() => faulty.unmount());
  await faulty.begin();
  const whole = encodeImage(Shape, shape).toBuffer();
  writeFileSync(faulty.path, whole);
  const plain = imageOf(whole, Shape).copy();
  for (const mode of ['map', 'read'] as const) {
    await using image = await openImage(faulty.path, Shape, { mode, verify: 'full' });
    deepEqual(image.copy(), plain);
    equal(image.intact, true);
  }
  await faulty.begin([{ kind: 'read', first: 1, last: 100, code: 'EIO' }]);
  await rejects(openImage(faulty.path, Shape, { mode: 'read' }), {
    code: 'EIO',
    path: faulty.path,
  });
});

/** The limits of the world, for real: file size, descriptors, a full disk. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cutEvery, patterned } from './file/bytes.js';
import { onAllDoors } from './file/doors.js';
import { refusalOf } from './file/told.js';
import { limitsRefusal, runChild } from './support/child.js';
import { mountFor } from './support/mounts.js';
import { scratch } from './support/scratch.js';

const BEYOND = `
  import { openFile } from 'holdfast';
  import { engineNamed } from '#holdfast/engine.js';
  import { cutEvery, patterned } from './build/test/file/bytes.js';
  const [path, name, face] = process.argv.slice(1);
  const engine = engineNamed(name);
  const told = [];
  const bytes = patterned(30 * 700);
  const shapes = { one: bytes, large: cutEvery(bytes, 700), small: cutEvery(bytes, 70) };
  for (const [shape, buffers] of Object.entries(shapes)) {
    for (const way of ['writeAt', 'append']) {
      const file = await openFile(path + shape + way, {
        access: 'read-write', create: true, engine,
      });
      const place = way === 'append' ? [] : [0];
      try {
        if (face === 'sync') file[way + 'Sync'](buffers, ...place);
        else await file[way](buffers, ...place);
      } catch ({ name, code, kind, bytesDone }) {
        told.push({ shape, way, name, code, kind, bytesDone });
      }
      const after = face === 'sync' ? file.writeAtSync(Uint8Array.of(9), 0)
        : await file.writeAt(Uint8Array.of(9), 0);
      if (after !== 1) told.push('the file does not go on');
      await file.close();
    }
  }
  console.log(JSON.stringify(told));
`;

/*
 * A write across RLIMIT_FSIZE is short first, and refused with EFBIG when it is resumed. Peers
 * ignored the count and resolved: a good file became a truncated one.
 */
onAllDoors(
  'a write beyond the size limit tells the bytes that reached the file',
  async (t, doors) => {
    const refusal = limitsRefusal();
    if (refusal !== undefined) return t.skip(refusal);
    const path = join(scratch(t), 'file-');
    const { code, stdout, stderr } = await runChild({
      source: BEYOND,
      args: [path, doors.engine.name, doors.face],
      limits: { fileSizeBytes: 10_000 },
    });
    equal(code, 0, stderr);
    const failure = { name: 'IoError', code: 'EFBIG', kind: 'too-large', bytesDone: 10_000 };
    const ways = ['one', 'large', 'small'].flatMap((shape) =>
      ['writeAt', 'append'].map((way) => ({ shape, way })),
    );
    deepEqual(
      JSON.parse(stdout),
      ways.map((way) => ({ ...way, ...failure })),
    );
    const expected = patterned(10_000);
    expected[0] = 9;
    for (const { shape, way } of ways) {
      ok(readFileSync(path + shape + way).equals(expected), `${shape} ${way}`);
    }
  },
);

const MANY = `
  import { readdirSync } from 'node:fs';
  import { openFile, openFileSync } from 'holdfast';
  import { engineNamed } from '#holdfast/engine.js';
  const [path, name, face] = process.argv.slice(1);
  const engine = engineNamed(name);
  const first = await openFile(path, { access: 'read-write', create: true, engine });
  await first.writeAt([Uint8Array.of(1), Uint8Array.of(2)], 0);
  const files = [];
  let told;
  for (let count = 0; count < 100 && told === undefined; count++) {
    try {
      const options = { engine };
      files.push(face === 'sync' ? openFileSync(path, options) : await openFile(path, options));
    } catch ({ name, code, kind, syscall, path: of }) {
      told = { name, code, kind, syscall, of };
    }
  }
  const wrote = await first.writeAt(Uint8Array.of(3), 0);
  for (const file of files) await file.close();
  const again = await openFile(path, { engine });
  await again.close();
  console.log(JSON.stringify({ told, wrote, opened: files.length > 5 }));
`;

onAllDoors('openFile() beyond the limit of descriptors is EMFILE, and passes', async (t, doors) => {
  const refusal = limitsRefusal();
  if (refusal !== undefined) return t.skip(refusal);
  const path = join(scratch(t), 'file');
  const { code, stdout, stderr } = await runChild({
    source: MANY,
    args: [path, doors.engine.name, doors.face],
    limits: { openFiles: 60 },
  });
  equal(code, 0, stderr);
  const told = { name: 'IoError', code: 'EMFILE', kind: 'limit', syscall: 'open', of: path };
  deepEqual(JSON.parse(stdout), { told, wrote: 1, opened: true });
});

/* fs.writev resolves short on ENOSPC: nobody is told. */
onAllDoors('a write to a full disk tells the bytes that reached the file', async (t, doors) => {
  const mount = mountFor(t, 'tmpfs', { sizeBytes: 2 * 1024 * 1024 });
  if (mount === undefined) return;
  const bytes = patterned(3 * 1024 * 1024);
  for (const [shape, buffers] of Object.entries({ one: bytes, many: cutEvery(bytes, 1000) })) {
    const path = join(mount.path, shape);
    const file = await doors.create(path);
    const error = await refusalOf(() => doors.writeAt(file, buffers, 0));
    deepEqual([error.code, error.kind, error.path], ['ENOSPC', 'no-space', path]);
    const { bytesDone } = error as { bytesDone: number };
    ok(bytesDone > 1024 * 1024 && bytesDone < bytes.length, `${bytesDone} bytes`);
    equal(statSync(path).size, bytesDone);
    ok(readFileSync(path).equals(bytes.subarray(0, bytesDone)));
    await doors.truncate(file, 0);
    equal(await doors.writeAt(file, patterned(1000), 0), 1000, 'there is room again');
    await doors.truncate(file, 0);
    await doors.close(file);
  }
});

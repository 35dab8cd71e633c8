/** sectorBytes(): of the volume of the path or the file, told by whoever knows best. */
import { equal, rejects, throws } from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  configure,
  defaultEngine,
  type OpenFile,
  openFile,
  sectorBytes,
  sectorBytesSync,
} from 'holdfast';
import { engineFor, engineNames } from './file/doors.js';
import { deviceOf, Home, runTool } from './probe/items.js';
import { mountFor, mountRefusal } from './support/mounts.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

type Ask = (path: string | OpenFile) => Promise<number>;

function onAllSides(name: string, body: (t: TestContext, ask: Ask) => Promise<void>): void {
  for (const engine of engineNames) {
    for (const face of ['async', 'sync'] as const) {
      test(`${name} (${engine}, ${face})`, { timeout: 60_000 }, async (t) => {
        if (engineFor(t, engine) === undefined) return;
        const before = defaultEngine().name;
        t.after(() => configure({ engine: before }));
        configure({ engine });
        await body(t, async (path) =>
          face === 'sync' ? sectorBytesSync(path) : sectorBytes(path),
        );
      });
    }
  }
}

for (const [kind, sector] of [
  ['ext4', 512],
  ['xfs', 512],
  ['btrfs', 4096],
  ['tmpfs', 4096],
] as const) {
  onAllSides(`sectorBytes() is ${sector} on ${kind}, whatever it is asked of`, async (t, ask) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const path = join(mount.path, 'file');
    writeFileSync(path, 'x');
    equal(await ask(mount.path), sector, 'a directory');
    equal(await ask(path), sector, 'a file');
    equal(await ask(join(mount.path, 'not', 'yet')), sector, 'what does not exist yet');
    await using file = await openFile(path);
    equal(await ask(file), sector, 'an open file');
  });
}

/*
 * All drives of most machines have the same sectors, so a probe of the wrong one goes unnoticed. A
 * loop device with sectors of 4096 bytes on a disk with 512 shows it.
 */
onAllSides('sectorBytes() is of the path, not of the working directory', async (t, ask) => {
  const refusal = mountRefusal('ext4');
  if (refusal !== undefined) return t.skip(refusal);
  const home = new Home(t);
  const image = join(home.path, 'image');
  runTool('truncate', ['-s', '32M', image]);
  const words = ['--find', '--show', '--sector-size', '4096', image];
  const loop = runTool('losetup', words).trim();
  t.after(() => runTool('losetup', ['-d', loop]));
  runTool('mkfs.ext4', ['-q', '-F', loop]);
  const point = home.mount([loop]);
  const other = mountFor(t, 'ext4');
  if (other === undefined) return;
  mkdirSync(join(point, 'deep'));
  writeFileSync(join(point, 'file'), 'x');
  symlinkSync(join(point, 'deep'), join(other.path, 'link'));
  equal(await ask(join(point, 'deep')), 4096);
  equal(await ask(join(other.path, 'link')), 4096, 'where the link leads');
  equal(await ask(other.path), 512);
  equal(await ask(loop), 4096, 'a device');
  equal(await ask(`/dev/${deviceOf(other.path)}`), 512);
  await using file = await openFile(join(point, 'file'));
  await using device = await openFile(loop);
  equal(await ask(file), 4096);
  equal(await ask(device), 4096);
});

onAllSides('sectorBytes() leaves no descriptor', async (t, ask) => {
  const directory = scratch(t);
  await ask(directory);
  const before = openDescriptors();
  for (let round = 0; round < 5; round++) await ask(join(directory, 'a', 'b'));
  await rejects(ask('/dev/null/x'), { name: 'IoError', code: 'ENOTDIR' });
  assertNoNewDescriptors(before);
});

onAllSides('sectorBytes() of a closed file says that it is closed', async (t, ask) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, '');
  const file = await openFile(path);
  await file.close();
  await rejects(ask(file), { name: 'IoError', code: 'EBADF', kind: 'closed' });
});

test('sectorBytes() refuses bad input', async () => {
  const bad: [unknown, string][] = [
    ['', 'ERR_INVALID_ARG_VALUE'],
    ['a\0b', 'ERR_INVALID_ARG_VALUE'],
    [undefined, 'ERR_INVALID_ARG_TYPE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
    [7, 'ERR_INVALID_ARG_TYPE'],
    [{ path: '/' }, 'ERR_INVALID_ARG_TYPE'],
  ];
  for (const [path, code] of bad) {
    await rejects(sectorBytes(path as string), { name: 'TypeError', code });
    throws(() => sectorBytesSync(path as string), { name: 'TypeError', code });
  }
});

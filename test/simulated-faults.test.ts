/** The ways in which a simulated disk lies, refuses and fills up. */
import { deepEqual, equal, notEqual, ok, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { IoError, openFile, openFileSync, replaceFile } from 'holdfast';
import { refuseNth, type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { Code, errnoOf } from '#holdfast/platform.js';
import { Calls, Create, ReadWrite, WriteOnly } from './simulated/calls.js';
import { content } from './simulated/programs.js';

function textOf(disk: SimulatedDisk, path = '/a'): string | undefined {
  const bytes = disk.read(path);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1');
}

function diskWith(text: string, options = {}): { disk: SimulatedDisk; calls: Calls; fd: number } {
  const disk = simulatedDisk(21, options);
  disk.put('/a', text);
  const calls = new Calls(disk.engine);
  return { disk, calls, fd: calls.open('/a', ReadWrite) };
}

test('a sync that fails leaves clean what is lost: the next answers 0, the old is back', () => {
  for (const code of ['EIO', 'ENOSPC', 'EDQUOT']) {
    const { disk, calls, fd } = diskWith('old');
    calls.write(fd, 'new', 0);
    const fault = disk.refuseNth(1, code, { operations: ['Sync', 'SyncData'] });
    equal(calls.ask(Code.SyncData, { fd }).result, errnoOf(code));
    equal(fault.struckCount, 1);
    equal(calls.ask(Code.SyncData, { fd }).result, 0, 'the second sync tells nothing');
    equal(textOf(disk), 'new', 'the cache shows the new bytes');
    equal(textOf(disk.crash({ keep: 'all' })), 'old');
    disk.dropCaches();
    equal(textOf(disk), 'old');
    calls.write(fd, 'two', 0);
    calls.sync(fd);
    equal(textOf(disk.crash({ keep: 'none' })), 'two', 'what is written again is synced again');
  }
});

test('a sync refused for another reason loses nothing', () => {
  const { disk, calls, fd } = diskWith('old');
  calls.write(fd, 'new', 0);
  disk.refuseNth(1, 'EAGAIN', { operations: ['Sync'] });
  equal(calls.ask(Code.Sync, { fd }).result, errnoOf('EAGAIN'));
  calls.sync(fd);
  equal(textOf(disk.crash({ keep: 'none' })), 'new');
});

test('an open file knows after a failed sync, and never says success again', async () => {
  const disk = simulatedDisk(3);
  disk.put('/a', 'old');
  const file = await openFile('/a', { access: 'write', engine: disk.engine });
  await file.writeAt(Buffer.from('new'), 0);
  disk.refuseNth(1, 'EIO', { operations: ['SyncData'] });
  await rejects(file.syncData(), { code: 'EIO' });
  await rejects(file.syncData(), { kind: 'broken' });
  await file.close();
  equal(textOf(disk.crash({ keep: 'all' })), 'old');
});

test('loseNth() acknowledges a write that no crash finds', () => {
  const { disk, calls, fd } = diskWith('old');
  const fault = disk.loseNth(2);
  calls.write(fd, 'one', 0);
  calls.sync(fd);
  calls.write(fd, 'two', 0);
  calls.sync(fd);
  equal(fault.struckCount, 1);
  equal(textOf(disk), 'two');
  for (const keep of ['all', 'none'] as const) equal(textOf(disk.crash({ keep })), 'one');
  disk.dropCaches();
  equal(textOf(disk), 'one');
});

test('misdirectNth() puts a write elsewhere on the medium', () => {
  const old = content(2048, 1);
  const fresh = content(512, 2);
  const { disk, calls, fd } = diskWith('');
  disk.put('/a', old);
  disk.misdirectNth(1, 2);
  calls.write(fd, fresh, 512);
  calls.sync(fd);
  const seen = old.slice();
  seen.set(fresh, 512);
  deepEqual(disk.read('/a'), seen, 'the cache shows it where it belongs');
  const left = old.slice();
  left.set(fresh, 1536);
  deepEqual(disk.crash().read('/a'), left);
});

test('bitRot() turns over one bit of one byte, for readers at once and after a crash', () => {
  const { disk } = diskWith('abc');
  disk.bitRot('/a', 1, 0);
  equal(textOf(disk), 'acc');
  equal(textOf(disk.crash()), 'acc');
  disk.bitRot('/a', 0);
  notEqual(textOf(disk)?.[0], 'a');
  throws(() => disk.bitRot('/a', 3), RangeError);
  throws(() => disk.bitRot('/none', 0), RangeError);
});

test('a full disk takes what fits and then answers ENOSPC, a used up quota EDQUOT', () => {
  for (const [options, code] of [
    [{ capacityBytes: 2048 }, 'ENOSPC'],
    [{ quotaBytes: 2048 }, 'EDQUOT'],
  ] as const) {
    const disk = simulatedDisk(1, options);
    const calls = new Calls(disk.engine);
    const fd = calls.open('/a', Create | WriteOnly);
    const payload = content(3000, 1);
    const ask = (offset: number): number =>
      calls.ask(Code.Write, { fd, payload, offset, length: payload.length }).result;
    equal(ask(0), 2048);
    equal(ask(2048), errnoOf(code));
    equal(calls.write(fd, content(100, 2), 0), 100, 'what is there may be overwritten');
    calls.truncate(fd, 512);
    equal(calls.write(fd, content(1536, 2), 512), 1536);
    calls.unlink('/a');
    equal(ask(2048), errnoOf(code), 'an unlinked file that is open keeps its space');
    calls.close(fd);
    calls.put('/b', 'x'.repeat(2048));
    equal(disk.crash({ keep: 'all' }).read('/b')?.length, 2048);
  }
});

test('replaceFile() on a full disk keeps the old content and leaves nothing', async () => {
  const disk = simulatedDisk(1, { capacityBytes: 4096 });
  disk.put('/d/a', 'x'.repeat(2048));
  const { engine } = disk;
  const bytesDone = 2048;
  const expected = { code: 'ENOSPC', durable: 'old', step: 'write', bytesDone };
  await rejects(replaceFile('/d/a', content(3000, 1), { engine }), expected);
  deepEqual(disk.list('/d'), ['a']);
  equal(textOf(disk, '/d/a'), 'x'.repeat(2048));
  deepEqual(disk.openDescriptors, []);
  equal((await replaceFile('/d/a', content(2048, 1), { engine })).bytes, 2048);
});

test('a disk without descriptors answers EMFILE', () => {
  const disk = simulatedDisk(1, { descriptorsMax: 2 });
  disk.put('/a', '');
  const files = [1, 2].map(() => openFileSync('/a', { engine: disk.engine }));
  throws(() => openFileSync('/a', { engine: disk.engine }), { code: 'EMFILE', kind: 'limit' });
  for (const file of files) file.closeSync();
  deepEqual(disk.openDescriptors, []);
});

test('shortShare makes transfers short, and a whole one of them all the same', () => {
  const disk = simulatedDisk(9, { shortShare: 1 });
  const file = openFileSync('/a', { access: 'read-write', create: true, engine: disk.engine });
  const bytes = content(1000, 1);
  file.writeAtSync(bytes, 0);
  const back = new Uint8Array(1000);
  equal(file.readAtSync(back, 0), 1000);
  deepEqual(back, bytes);
  ok(file.stats().shortTransfers > 2);
  file.closeSync();
});

test('shortShare makes whole sectors short by whole sectors', async () => {
  const disk = simulatedDisk(9, { shortShare: 1 });
  const calls = new Calls(disk.engine);
  const fd = calls.open('/a', ReadWrite | Create);
  const moved = new Set<number>();
  for (let time = 0; time < 50; time++) moved.add(calls.write(fd, 'x'.repeat(2048), 512));
  deepEqual([...moved].sort(), [1024, 1536, 512]);
  equal(calls.write(fd, 'x'.repeat(512), 0), 512);
});

test('EINTR comes to nothing, as in every engine', () => {
  const { disk, calls, fd } = diskWith('text');
  const fault = disk.refuseNth(1, 'EINTR', { sticky: true });
  equal(calls.read(fd, 9), 'text');
  calls.sync(fd);
  calls.close(fd);
  equal(fault.struckCount, 3);
  deepEqual(disk.openDescriptors, []);
});

test('a refused close has closed', () => {
  const { disk, calls, fd } = diskWith('text');
  disk.refuseNth(1, 'EIO', { operations: ['Close'] });
  equal(calls.ask(Code.Close, { fd }).result, errnoOf('EIO'));
  deepEqual(disk.openDescriptors, []);
  equal(calls.ask(Code.Close, { fd }).result, errnoOf('EBADF'));
});

test('refuseNth() counts what it is told to count, and strikes once or from then on', () => {
  const { disk, calls, fd } = diskWith('text');
  const once = disk.refuseNth(2, 'EIO', { operations: ['Read'] });
  const results = (): number[] =>
    [1, 2, 3].map(() => calls.ask(Code.Read, { fd, payload: new Uint8Array(4), offset: 0 }).result);
  for (let time = 0; time < 3; time++) calls.sync(fd);
  equal(once.struckCount, 0, 'a sync is not a read');
  deepEqual(results(), [4, errnoOf('EIO'), 4]);
  equal(once.struckCount, 1);
  const sticky = disk.refuseNth(2, 'EROFS', { operations: ['Read'], sticky: true });
  deepEqual(results(), [4, errnoOf('EROFS'), errnoOf('EROFS')]);
  equal(sticky.struckCount, 2);
});

test('refuseNth() with short moves so many bytes, or so many fewer', () => {
  for (const [short, moved] of [
    [1, 1],
    [-1, 999],
  ] as const) {
    const { disk, calls, fd } = diskWith('');
    const fault = disk.refuseNth(1, 'ENOSPC', { short });
    equal(calls.write(fd, content(1000, 1), 0), moved);
    equal(calls.write(fd, content(1000, 1), 0), 1000);
    equal(fault.struckCount, 1);
  }
});

test('refuseNth() refuses what it cannot do before anything happens', () => {
  const disk = simulatedDisk(1);
  for (const n of [0, -1, 1.5, Number.NaN]) throws(() => disk.refuseNth(n, 'EIO'), RangeError);
  throws(() => disk.refuseNth('1' as never, 'EIO'), { code: 'ERR_INVALID_ARG_TYPE' });
  throws(() => disk.refuseNth(1, 'EUNHEARDOF'), { code: 'ERR_INVALID_ARG_VALUE' });
  throws(() => disk.refuseNth(1, 5 as never), { code: 'ERR_INVALID_ARG_TYPE' });
  const operations = ['Rite'] as never;
  throws(() => refuseNth(disk.engine, 1, 'EIO', { operations }), { code: 'ERR_INVALID_ARG_VALUE' });
  for (const seed of [-1, 0.5, 2 ** 32, Number.NaN, '7']) {
    throws(() => simulatedDisk(seed as number), RangeError);
  }
});

test('refuseNth() around an engine keeps runs, and the books of descriptors', async () => {
  const disk = simulatedDisk(1);
  disk.put('/d/a', 'old');
  const engine = refuseNth(disk.engine, 1, 'EIO', { operations: ['Rename'] });
  await rejects(replaceFile('/d/a', 'new', { engine }), { code: 'EIO', durable: 'old' });
  equal(engine.struckCount, 1);
  deepEqual(engine.openDescriptors, []);
  deepEqual(disk.list('/d'), ['a']);
  const file = await openFile('/d/a', { engine });
  equal(engine.openDescriptors.length, 1);
  await file.close();
});

test('traits of a file need a sync, its data only a sync of data', () => {
  const { disk, calls, fd } = diskWith('old');
  calls.write(fd, 'new', 0);
  calls.setMode(fd, 0o600);
  calls.syncData(fd);
  const left = (): [string | undefined, number | undefined] => {
    const crashed = disk.crash({ keep: 'none' });
    return [textOf(crashed), new Calls(crashed.engine).modeOf('/a')];
  };
  deepEqual(left(), ['new', 0o644]);
  calls.sync(fd);
  deepEqual(left(), ['new', 0o600]);
});

test('collapse takes a range out, and needs whole blocks', () => {
  const { disk, calls, fd } = diskWith('');
  const bytes = content(3 * 4096, 1);
  disk.put('/a', bytes);
  const ask = (offset: number, length: number): number =>
    calls.ask(Code.Allocate, { fd, flags: 8, offset, length }).result;
  equal(ask(1, 4096), errnoOf('EINVAL'));
  equal(ask(4096, 2 * 4096), errnoOf('EINVAL'));
  equal(ask(4096, 4096), 0);
  deepEqual(disk.read('/a'), Uint8Array.of(...bytes.slice(0, 4096), ...bytes.slice(2 * 4096)));
});

test('the clock of a disk is its own', async () => {
  const disk = simulatedDisk(5);
  const before = disk.nowMs;
  ok(before < Date.UTC(2010, 0));
  disk.passTime(5000);
  equal(disk.nowMs, before + 5000);
  const file = openFileSync('/a', { access: 'write', create: true, engine: disk.engine });
  file.writeAtSync(Buffer.from('x'), 0);
  const { modifiedMs } = file.statSync();
  ok(Math.abs(modifiedMs - disk.nowMs) < 1, `${modifiedMs} at ${disk.nowMs}`);
  file.closeSync();
});

test('replaceFile() sweeps by the clock of the disk, and its names obey the seed', async () => {
  const names = new Set<string>();
  for (let round = 0; round < 2; round++) {
    const disk = simulatedDisk(5);
    const left = `.holdfast-${'0'.repeat(32)}.tmp`;
    disk.put(`/d/${left}`, 'of a killed process');
    const { engine } = disk;
    const options = { engine, onTemporary: (path: string) => void names.add(path) };
    equal((await replaceFile('/d/a', 'x', options)).swept, 0, 'it is young');
    const again = disk.crash();
    again.passTime(2 * 3_600_000);
    equal((await replaceFile('/d/a', 'x', { engine: again.engine })).swept, 1);
    deepEqual(again.list('/d'), ['a']);
  }
  equal(names.size, 1);
});

test('what cannot be opened is refused as by a system', async () => {
  const disk = simulatedDisk(1);
  disk.makeDirectory('/d');
  const { engine } = disk;
  await rejects(openFile('/d', { engine }), { code: 'EISDIR', kind: 'wrong-type' });
  await rejects(openFile(`/${'n'.repeat(256)}`, { engine }), { code: 'ENAMETOOLONG' });
  await rejects(openFile('/none', { engine }), (error) => error instanceof IoError);
  deepEqual(disk.openDescriptors, []);
});

/** Space: reserved, freed, zeroed and taken out, or what was done instead; hints that are told. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type OpenFile, openFileSync } from 'holdfast';
import { Code, errnoOf } from '#holdfast/platform.js';
import { callBy, toldBy } from './contract/call.js';
import { type Ground, onMounts } from './contract/mounts.js';
import { patterned } from './file/bytes.js';
import { type Doors, onAllDoors } from './file/doors.js';
import { refusalOf } from './file/told.js';
import { scratch } from './support/scratch.js';

const BLOCK = 4096;

async function fileOf(doors: Doors, directory: string, bytes: Uint8Array): Promise<OpenFile> {
  const path = join(directory, `file-${doors.face}`);
  writeFileSync(path, bytes);
  return doors.open(path, { access: 'read-write' });
}

const spaceOf = (file: OpenFile): number => file.statSync().allocatedBytes;
const isNative = ({ engine }: Doors): boolean => engine.capabilities['native-calls'] === true;

for (const engine of ['pool', 'portable'] as const) {
  onMounts('allocate() grows the file and reserves its blocks', engine, async (ground) => {
    const { doors, directory } = ground;
    const file = await fileOf(doors, directory, patterned(10));
    const report = await callBy(doors.face, file, 'allocate', 0, 10 * BLOCK);
    equal(statSync(file.path as string).size, 10 * BLOCK);
    if (isNative(doors)) {
      deepEqual(report, { method: 'fallocate', isExact: true });
      file.syncSync();
      ok(spaceOf(file) >= 10 * BLOCK);
    } else {
      equal(report.method, 'ftruncate');
      equal(report.isExact, false);
      match(report.reason ?? '', /ENOSYS.*nothing is reserved/);
    }
    ok(
      readFileSync(file.path as string)
        .subarray(0, 10)
        .equals(patterned(10)),
    );
    const again = await callBy(doors.face, file, 'allocate', 0, 10 * BLOCK);
    equal(again.method, isNative(doors) ? 'fallocate' : 'nothing to do');
    equal(statSync(file.path as string).size, 10 * BLOCK);
  });

  onMounts('allocate() that keeps the size keeps it', engine, async ({ doors, directory }) => {
    const file = await fileOf(doors, directory, patterned(10));
    const report = await callBy(doors.face, file, 'allocate', 0, 20 * BLOCK, { keepSize: true });
    equal(statSync(file.path as string).size, 10);
    equal(report.isExact, isNative(doors));
    equal(report.method, isNative(doors) ? 'fallocate' : 'nothing to do');
    file.syncSync();
    if (isNative(doors)) ok(spaceOf(file) >= 20 * BLOCK, `${spaceOf(file)}`);
    else match(report.reason ?? '', /nothing is reserved/);
  });

  onMounts('punchHole() reads as zeros, and tells if it frees', engine, async (ground) => {
    const { doors, directory } = ground;
    const bytes = patterned(32 * BLOCK);
    const file = await fileOf(doors, directory, bytes);
    file.syncSync();
    const before = spaceOf(file);
    const report = await callBy(doors.face, file, 'punchHole', 4 * BLOCK + 7, 16 * BLOCK);
    bytes.fill(0, 4 * BLOCK + 7, 20 * BLOCK + 7);
    ok(readFileSync(file.path as string).equals(bytes));
    file.syncSync();
    if (isNative(doors)) {
      deepEqual(report, { method: 'fallocate', isExact: true });
      ok(spaceOf(file) <= before - 14 * BLOCK, `${before} to ${spaceOf(file)}`);
    } else {
      deepEqual([report.method, report.isExact], ['zeros written', false]);
      match(report.reason ?? '', /the blocks stay taken/);
    }
  });

  onMounts('punchHole() across the end keeps the size', engine, async ({ doors, directory }) => {
    const file = await fileOf(doors, directory, patterned(100));
    await callBy(doors.face, file, 'punchHole', 90, 10_000);
    await callBy(doors.face, file, 'punchHole', 5000, 10_000);
    const expected = Buffer.concat([patterned(90), new Uint8Array(10)]);
    ok(readFileSync(file.path as string).equals(expected));
  });

  onMounts('zeroRange() reads as zeros and extends', engine, async ({ doors, directory }) => {
    const bytes = patterned(8 * BLOCK);
    const file = await fileOf(doors, directory, bytes);
    await callBy(doors.face, file, 'zeroRange', 100, 2 * BLOCK);
    bytes.fill(0, 100, 100 + 2 * BLOCK);
    ok(readFileSync(file.path as string).equals(bytes));
    const report = await callBy(doors.face, file, 'zeroRange', 7 * BLOCK, 2_500_000);
    bytes.fill(0, 7 * BLOCK);
    const grown = Buffer.concat([bytes, new Uint8Array(2_500_000 - BLOCK)]);
    ok(readFileSync(file.path as string).equals(grown));
    equal(report.isExact, true);
    ok(report.method === 'fallocate' || /the system answers/.test(report.reason ?? ''));
  });

  onMounts('collapseRange() moves up what stood behind', engine, async (ground) => {
    const { doors, directory, kind } = ground;
    const bytes = patterned(16 * BLOCK + 5);
    const file = await fileOf(doors, directory, bytes);
    const collapse = (offset: number, length: number) =>
      callBy(doors.face, file, 'collapseRange', offset, length);
    const expected = Buffer.concat([bytes.subarray(0, 4 * BLOCK), bytes.subarray(12 * BLOCK)]);
    if (!isNative(doors) || kind === 'tmpfs' || kind === 'btrfs') {
      const error = await refusalOf(() => collapse(4 * BLOCK, 8 * BLOCK));
      deepEqual([error.kind, error.syscall, error.offset], ['unsupported', 'fallocate', 4 * BLOCK]);
      ok(readFileSync(file.path as string).equals(bytes), 'it is as it was');
      return;
    }
    for (const [offset, length] of [
      [1, BLOCK],
      [0, 100],
      [4 * BLOCK, BLOCK + 1],
    ] as const) {
      equal((await refusalOf(() => collapse(offset, length))).kind, 'invalid');
    }
    equal((await refusalOf(() => collapse(8 * BLOCK, 16 * BLOCK))).kind, 'invalid');
    ok(readFileSync(file.path as string).equals(bytes), 'a refused one moves nothing');
    deepEqual(await collapse(4 * BLOCK, 8 * BLOCK), { method: 'fallocate', isExact: true });
    ok(readFileSync(file.path as string).equals(expected));
  });
}

/* ext4 grows the file as far as the blocks go before it answers ENOSPC. */
onMounts('allocate() beyond the disk leaves the file as it was', 'pool', async (ground) => {
  const { doors, directory, kind } = ground;
  const bytes = patterned(3 * BLOCK + 5);
  const file = await fileOf(doors, directory, bytes);
  for (const keepSize of [false, true]) {
    const far = () => callBy(doors.face, file, 'allocate', 0, 2 ** 30, { keepSize });
    const error = await refusalOf(far);
    deepEqual([error.code, error.kind, error.syscall], ['ENOSPC', 'no-space', 'fallocate']);
    equal(statSync(file.path as string).size, bytes.length, `the size (${kind})`);
    ok(readFileSync(file.path as string).equals(bytes));
    equal(await doors.writeAt(file, bytes, 0), bytes.length, 'the file goes on');
    /* What ext4 reserved before it had to give up is free again when the file is cut. */
    await doors.truncate(file, bytes.length);
  }
});

onAllDoors('nothing is done for a length of 0', async (t, doors) => {
  const file = await fileOf(doors, scratch(t), patterned(10));
  const before = file.stats().systemCallCount;
  for (const name of ['allocate', 'punchHole', 'zeroRange', 'collapseRange'] as const) {
    const report = await callBy(doors.face, file, name, 5, 0);
    deepEqual(report, { method: 'nothing to do', isExact: true });
  }
  equal(file.stats().systemCallCount, before);
});

onAllDoors(
  'space and ranges are refused where the access does not allow them',
  async (t, doors) => {
    const path = join(scratch(t), 'file');
    writeFileSync(path, patterned(10));
    const told = async (access: 'read' | 'append' | 'write') => {
      const file = await doors.open(path, { access });
      const answers: unknown[] = [];
      for (const name of ['allocate', 'punchHole', 'zeroRange'] as const) {
        const answer = await toldBy(() => callBy(doors.face, file, name, 0, 5));
        answers.push(typeof answer === 'string' ? answer : 'done');
      }
      return answers;
    };
    const no = 'EBADF access';
    deepEqual(await told('read'), [no, no, no]);
    deepEqual(await told('append'), ['done', no, no]);
    ok(readFileSync(path).equals(patterned(10)), 'nothing was touched');
    deepEqual(await told('write'), ['done', 'done', 'done']);
  },
);

onAllDoors('ranges, advice and lifetimes are checked first', async (t, doors) => {
  const file = await fileOf(doors, scratch(t), patterned(10));
  const before = file.stats().systemCallCount;
  const names = ['allocate', 'punchHole', 'zeroRange', 'collapseRange', 'startWriteback'] as const;
  const far = Number.MAX_SAFE_INTEGER;
  for (const name of names) {
    const told = (offset: unknown, length: unknown) =>
      toldBy(() => callBy(doors.face, file, name, offset as number, length as number));
    for (const wrong of [-1, 0.5, Number.NaN, 2 ** 53]) {
      equal(await told(wrong, 1), 'RangeError ERR_OUT_OF_RANGE');
      equal(await told(1, wrong), 'RangeError ERR_OUT_OF_RANGE');
    }
    equal(await told(far, 1), 'RangeError ERR_OUT_OF_RANGE');
    equal(await told('0', 1), 'TypeError ERR_INVALID_ARG_TYPE');
  }
  const advise = (advice: unknown) =>
    toldBy(() => callBy(doors.face, file, 'advise', advice as 'normal'));
  for (const advice of ['fast', '', 4, undefined, 'constructor']) {
    match(String(await advise(advice)), /^TypeError ERR_INVALID_ARG/);
  }
  const live = (lifetime: unknown) =>
    toldBy(() => callBy(doors.face, file, 'setWriteLifetime', lifetime as 'short'));
  for (const lifetime of ['forever', 2, undefined, 'toString']) {
    match(String(await live(lifetime)), /^TypeError ERR_INVALID_ARG/);
  }
  const keep = { keepSize: 1 } as unknown as { keepSize: boolean };
  const kept = await toldBy(() => callBy(doors.face, file, 'allocate', 0, 1, keep));
  equal(kept, 'TypeError ERR_INVALID_ARG_TYPE');
  equal(file.stats().systemCallCount, before, 'nothing reached the system');
});

async function hints(ground: Ground): Promise<void> {
  const { doors, directory } = ground;
  const file = await fileOf(doors, directory, patterned(100_000));
  const { face } = doors;
  const advices = ['normal', 'sequential', 'random', 'willneed', 'dontneed', 'noreuse'] as const;
  const lifetimes = ['none', 'short', 'medium', 'long', 'extreme'] as const;
  const give = async (strict: boolean): Promise<unknown[]> => {
    const told: unknown[] = [];
    const hint = async (work: () => Promise<unknown>) => told.push(await toldBy(work));
    for (const advice of advices) {
      await hint(() => callBy(face, file, 'advise', advice, 0, 0, { strict }));
    }
    for (const lifetime of lifetimes) {
      await hint(() => callBy(face, file, 'setWriteLifetime', lifetime, { strict }));
    }
    await hint(() => callBy(face, file, 'startWriteback', 0, 0, { strict }));
    return told;
  };
  const count = advices.length + lifetimes.length + 1;
  if (isNative(doors)) {
    for (const strict of [true, false]) {
      deepEqual(await give(strict), new Array(count).fill({ taken: true }));
    }
    return;
  }
  deepEqual(await give(true), new Array(count).fill('ENOSYS unsupported'));
  for (const report of (await give(false)) as { taken: boolean; reason: string }[]) {
    equal(report.taken, false);
    match(report.reason, /lacks this call \(ENOSYS\)/);
  }
}

for (const engine of ['pool', 'portable'] as const) {
  onMounts('hints are taken or told, and strict throws', engine, hints);
}

onAllDoors('a write-back that fails breaks the file, another hint does not', async (t, doors) => {
  const judged = doors.judged(({ code }) => {
    const isHint = code === Code.Advise || code === Code.StartWriteback;
    return isHint ? { answers: errnoOf('EIO') } : undefined;
  });
  const file = await fileOf(judged, scratch(t), patterned(10));
  const advised = await callBy(doors.face, file, 'advise', 'willneed');
  deepEqual([advised.taken, /EIO/.test(advised.reason ?? '')], [false, true]);
  equal(await doors.writeAt(file, patterned(3), 0), 3);
  const started = await toldBy(() => callBy(doors.face, file, 'startWriteback', 0, 0));
  equal(started, 'EIO io');
  equal(await toldBy(() => doors.writeAt(file, patterned(3), 0)), 'EIO broken');
});

onAllDoors('a device that fails is an error, not a fallback', async (t, doors) => {
  for (const [name, code] of [
    ['allocate', 'EIO'],
    ['punchHole', 'ENOSPC'],
    ['zeroRange', 'EDQUOT'],
    ['collapseRange', 'EIO'],
  ] as const) {
    const judged = doors.judged((operation) =>
      operation.code === Code.Allocate ? { answers: errnoOf(code) } : undefined,
    );
    const file = await fileOf(judged, scratch(t), patterned(10));
    equal((await refusalOf(() => callBy(doors.face, file, name, 0, 5))).code, code);
    ok(readFileSync(file.path as string).equals(patterned(10)));
  }
});

onAllDoors('zeros that are refused half way tell where', async (t, doors) => {
  let writes = 0;
  const judged = doors.judged(({ code }) => {
    if (code === Code.Allocate) return { answers: errnoOf('EOPNOTSUPP') };
    return code === Code.Write && ++writes === 2 ? { answers: errnoOf('ENOSPC') } : undefined;
  });
  const path = join(scratch(t), 'file');
  const file = openFileSync(path, { access: 'write', create: true, engine: judged.engine });
  t.after(() => file.close());
  const error = await refusalOf(() => callBy(doors.face, file, 'zeroRange', 100, 3_000_000));
  deepEqual([error.code, error.offset], ['ENOSPC', 100 + 1048576]);
});

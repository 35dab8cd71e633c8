/** Opening, reading, writing, appending, positions, syncs: what they come to on every engine. */
import { OpenFile } from 'holdfast';
import { Code, errnoOf } from '#holdfast/platform.js';
import { cutEvery, patterned } from '../file/bytes.js';
import type { Clause, Stage } from './suite.js';

const same = (one: Uint8Array | undefined, two: Uint8Array): boolean =>
  one !== undefined && Buffer.compare(one, two) === 0;

async function opens(stage: Stage): Promise<unknown> {
  const { doors, place } = stage;
  place.put('there', patterned(10));
  const told = (name: string, choices = {}) =>
    stage.tell(async () => (await doors.open(stage.path(name), choices)).access);
  await told('absent');
  await told('absent/below');
  await told('there/below');
  await told('absent', { access: 'write' });
  await told('there', { access: 'write', create: 'exclusive' });
  await told('.');
  await told('new', { access: 'write', create: 'exclusive' });
  await told('there', { access: 'read-write', create: true });
  await told(`${'n'.repeat(300)}`);
  const cut = await doors.open(stage.path('there'), { access: 'append', truncate: true });
  const { size, kind, links, mode } = await doors.stat(cut);
  const made = await doors.create(stage.path('made'), { mode: 0o640 });
  stage.told.push([size, kind, links], mode === (await doors.stat(cut)).mode);
  stage.told.push((await doors.stat(made)).mode.toString(8), place.names().sort());
  return stage.told;
}

async function reads(stage: Stage): Promise<unknown> {
  const { doors } = stage;
  const file = await stage.open(patterned(1000));
  for (const [offset, length] of [
    [0, 1000],
    [990, 100],
    [1000, 5],
    [5000, 5],
    [3, 0],
  ] as const) {
    const target = new Uint8Array(length);
    const moved = await doors.readAt(file, target, offset);
    stage.told.push(moved, same(target.subarray(0, moved), patterned(moved, offset)));
  }
  const target = new Uint8Array(1000);
  await stage.tell(() => doors.readAt(file, cutEvery(target, 1).slice(0, 1000), 0));
  stage.told.push(same(target, patterned(1000)), (await doors.readAll(file)).length);
  await stage.tell(() => doors.readAt(file, target, -1));
  await stage.tell(() => doors.readSomeAt(file, target, 900));
  return stage.told;
}

async function writes(stage: Stage): Promise<unknown> {
  const { doors, place } = stage;
  const file = await stage.open(patterned(10));
  await stage.tell(() => doors.writeAt(file, cutEvery(patterned(9000), 3), 5));
  stage.told.push(same(place.content('file')?.subarray(5), patterned(9000)));
  await stage.tell(() => doors.writeAt(file, patterned(10), 20_000));
  await stage.tell(() => doors.writeAt(file, [], 50_000));
  const content = place.content('file') ?? new Uint8Array(0);
  stage.told.push(content.length, same(content.subarray(9005, 20_000), new Uint8Array(10_995)));
  await stage.tell(() => doors.writeSomeAt(file, patterned(4), 1));
  const { bytesWritten, shortTransfers } = file.stats();
  stage.told.push(bytesWritten, shortTransfers);
  return stage.told;
}

async function accesses(stage: Stage): Promise<unknown> {
  const { doors, place } = stage;
  place.put('file', patterned(10));
  for (const access of ['read', 'write', 'append'] as const) {
    const file = await doors.open(stage.path('file'), { access });
    await stage.tell(() => doors.readAt(file, new Uint8Array(4), 0));
    await stage.tell(() => doors.writeAt(file, patterned(4), 0));
    await stage.tell(() => doors.append(file, patterned(1)));
    await stage.tell(() => doors.truncate(file, 10));
  }
  return stage.told;
}

async function appends(stage: Stage): Promise<unknown> {
  const { doors, place } = stage;
  place.put('file', patterned(7));
  for (const access of ['append', 'read-write', 'write'] as const) {
    const file = await doors.open(stage.path('file'), { access });
    await stage.tell(() => doors.append(file, patterned(5, 7)));
    await stage.tell(() => doors.append(file, cutEvery(patterned(3000), 1)));
    await stage.tell(() => doors.append(file, []));
    await doors.truncate(file, 7);
  }
  const file = await doors.open(stage.path('file'), { access: 'append' });
  const under = [10, 20, 30].map((length) => doors.append(file, patterned(length)));
  stage.told.push(await Promise.all(under), place.content('file')?.length);
  return stage.told;
}

async function positions(stage: Stage): Promise<unknown> {
  const file = await stage.open(patterned(100));
  const target = new Uint8Array(10);
  await stage.tell(() => stage.call(file, 'read', target));
  await stage.tell(() => stage.call(file, 'seek', 20, 'current'));
  await stage.tell(() => stage.call(file, 'write', patterned(5, 50)));
  await stage.tell(() => stage.call(file, 'seek', -3, 'end'));
  await stage.tell(() => stage.call(file, 'read', target));
  await stage.tell(() => stage.call(file, 'seek', -1, 'set'));
  await stage.tell(() => stage.call(file, 'seek', -101, 'end'));
  stage.told.push(
    file.position,
    same(stage.place.content('file')?.subarray(30, 35), patterned(5, 50)),
  );
  return stage.told;
}

async function cuts(stage: Stage): Promise<unknown> {
  const { doors, place } = stage;
  const file = await stage.open(patterned(100));
  for (const length of [50, 200, 0, -1, 2 ** 53]) {
    await stage.tell(async () => {
      await doors.truncate(file, length);
      const { size } = await doors.stat(file);
      return size;
    });
  }
  await doors.truncate(file, 30);
  stage.told.push(same(place.content('file'), new Uint8Array(30)));
  return stage.told;
}

async function syncs(stage: Stage): Promise<unknown> {
  const file = await stage.open(patterned(10));
  for (const name of ['sync', 'syncData', 'syncBarrier'] as const) {
    await stage.tell(() => stage.call(file, name));
  }
  const counts = file.stats().systemCalls;
  stage.told.push([counts.fsync, counts.fdatasync]);
  return stage.told;
}

async function closes(stage: Stage): Promise<unknown> {
  const { doors } = stage;
  const file = await stage.open(patterned(10));
  await doors.close(file);
  await doors.close(file);
  for (const call of Object.values(doors.everyCall(file))) await stage.tell(call);
  stage.told.push(file.fd, file.isClosed);
  return [...new Set(stage.told)];
}

async function shorts(stage: Stage): Promise<unknown> {
  let calls = 0;
  const doors = stage.doors.judged(({ code }) => {
    if (code !== Code.Write && code !== Code.Read) return undefined;
    calls++;
    return calls % 4 === 0 ? undefined : { moves: 100 * calls };
  });
  const file = await stage.open(new Uint8Array(0), 'file', doors);
  await stage.tell(() => doors.writeAt(file, cutEvery(patterned(5000), 70), 0));
  const target = new Uint8Array(6000);
  await stage.tell(() => doors.readAt(file, cutEvery(target, 70), 0));
  stage.told.push(same(target.subarray(0, 5000), patterned(5000)));
  return stage.told;
}

async function refusals(stage: Stage): Promise<unknown> {
  for (const code of ['ENOSPC', 'EDQUOT', 'EFBIG', 'EAGAIN', 'EROFS'] as const) {
    let calls = 0;
    const doors = stage.doors.judged((operation) => {
      if (operation.code !== Code.Write) return undefined;
      return ++calls === 1 ? { moves: 700 } : { answers: errnoOf(code) };
    });
    const file = await stage.open(new Uint8Array(0), code, doors);
    await stage.tell(() => doors.writeAt(file, cutEvery(patterned(2000), 300), 3));
    stage.told.push(stage.place.content(code)?.length);
  }
  return stage.told;
}

async function latches(stage: Stage): Promise<unknown> {
  for (const broken of [Code.Sync, Code.SyncData, Code.Write] as number[]) {
    const doors = stage.doors.judged(({ code }) =>
      code === broken ? { answers: errnoOf('EIO') } : undefined,
    );
    const file = await stage.open(patterned(10), `file-${broken}`, doors);
    const fails: Readonly<Record<number, () => Promise<unknown>>> = {
      [Code.Sync]: () => doors.sync(file),
      [Code.SyncData]: () => doors.syncData(file),
      [Code.Write]: () => doors.writeAt(file, patterned(5), 0),
    };
    await stage.tell(fails[broken] as () => unknown);
    const before = doors.engine.asked.length;
    const after: unknown[] = [];
    for (const call of Object.values(doors.everyCall(file))) {
      after.push(await call().catch(({ kind }) => kind));
    }
    stage.told.push([...new Set(after)], doors.engine.asked.length - before);
    await stage.tell(() => doors.close(file));
  }
  return stage.told;
}

async function foreigners(stage: Stage): Promise<unknown> {
  const { doors, engine } = stage;
  const file = await stage.open(patterned(10));
  const borrowed = OpenFile.fromFd(file.fd, { ownership: 'borrow', engine });
  stage.told.push(borrowed.access);
  await stage.tell(() => doors.readAt(borrowed, new Uint8Array(20), 3));
  await doors.close(borrowed);
  await stage.tell(() => doors.readAt(file, new Uint8Array(20), 3));
  const taken = OpenFile.fromFd(file.fd, { ownership: 'take', engine });
  await doors.close(taken);
  const gone = file.fd;
  await stage.tell(() => OpenFile.fromFd(gone, { ownership: 'take', engine }));
  return stage.told;
}

async function duplicates(stage: Stage): Promise<unknown> {
  const { doors, engine } = stage;
  const file = await stage.open(patterned(10));
  const other = OpenFile.fromFd(file.fd, { ownership: 'duplicate', engine });
  stage.told.push(other.fd === file.fd, other.access);
  await doors.close(file);
  await stage.tell(() => doors.readAt(other, new Uint8Array(20), 3));
  await doors.close(other);
  return stage.told;
}

async function directs(stage: Stage): Promise<unknown> {
  const { doors } = stage;
  const file = await doors.create(stage.path('file'), { direct: 'strict' });
  const { length } = file.alignment;
  stage.told.push(file.direct, length >= 512);
  await stage.tell(() => doors.writeAt(file, new Uint8Array(5), 1));
  await stage.tell(() => doors.readAt(file, new Uint8Array(length), 7));
  return stage.told;
}

async function aborts(stage: Stage): Promise<unknown> {
  const file = await stage.open(patterned(10));
  const signal = AbortSignal.abort();
  await stage.tell(() => file.readAt(new Uint8Array(5), 0, { signal }));
  await stage.tell(() => file.writeAt(new Uint8Array(5), 0, { timeoutMs: 0 }));
  await stage.tell(() => file.sync({ signal }));
  stage.told.push(same(stage.place.content('file'), patterned(10)));
  return stage.told;
}

const absent = 'ENOENT not-found';
const no = 'EBADF access';
const up = 'ETIMEDOUT timeout after 0';
const given = 'RangeError ERR_OUT_OF_RANGE';

export const fileClauses: readonly Clause[] = [
  {
    name: 'open: what is there, absent, of the wrong kind, made and cut',
    body: opens,
    comesTo: [
      absent,
      absent,
      'ENOTDIR wrong-type',
      absent,
      'EEXIST exists',
      'EISDIR wrong-type',
      'write',
      'read-write',
      'ENAMETOOLONG invalid',
      [0, 'file', 1],
      true,
      '640',
      ['made', 'new', 'there'],
    ],
  },
  {
    name: 'read: whole, across the end, beyond it, in pieces',
    body: reads,
    comesTo: [1000, true, 10, true, 0, true, 0, true, 0, true, 1000, true, 1000, given, 100],
  },
  {
    name: 'write: in pieces, beyond the end, nothing',
    body: writes,
    comesTo: [9000, true, 10, 0, 20_010, true, 4, 9014, 0],
  },
  {
    name: 'access: what is not allowed is refused',
    body: accesses,
    comesTo: [4, no, no, no, no, 4, 10, undefined, no, no, 10, undefined],
  },
  {
    name: 'append: tells where the bytes landed, in the order of the calls',
    body: appends,
    comesTo: [7, 12, 3012, 7, 12, 3012, 7, 12, 3012, [7, 17, 37], 67],
  },
  {
    name: 'position: goes on, and is sought',
    body: positions,
    comesTo: [10, 30, 5, 97, 3, given, given, 100, true],
  },
  {
    name: 'truncate: cuts, grows with zeros, checks',
    body: cuts,
    comesTo: [50, 200, 0, given, given, true],
  },
  {
    name: 'sync: tells its primitive and asks once',
    body: syncs,
    comesTo: [
      { primitive: 'fsync' },
      { primitive: 'fdatasync' },
      { primitive: 'fdatasync' },
      [1, 2],
    ],
  },
  {
    name: 'close: everything is refused after it',
    body: closes,
    comesTo: ['EBADF closed', -1, true],
  },
  { name: 'short transfers are resumed', body: shorts, comesTo: [5000, 5000, true] },
  {
    name: 'a refusal half way tells what reached the file',
    body: refusals,
    comesTo: [
      ...['ENOSPC no-space', 'EDQUOT quota', 'EFBIG too-large', 'EAGAIN busy', 'EROFS read-only'],
    ].flatMap((told) => [`${told} after 700`, 703]),
  },
  {
    name: 'a failed sync, and a failed write, break the file for good',
    body: latches,
    comesTo: [
      ...['EIO io', ['broken'], 0, undefined],
      ...['EIO io', ['broken'], 0, undefined],
      ...['EIO io after 0', ['broken'], 0, undefined],
    ],
  },
  {
    name: 'fromFd: borrows and takes',
    body: foreigners,
    comesTo: ['read-write', 7, 7, 'EBADF closed'],
  },
  {
    name: 'fromFd: duplicates',
    needs: ['native-calls'],
    body: duplicates,
    comesTo: [false, 'read-write', 7],
  },
  {
    name: 'direct: strict is in force, misaligned is refused',
    needs: ['status-flags'],
    body: directs,
    comesTo: [true, true, given, given],
  },
  {
    name: 'a call interrupted before does nothing',
    body: aborts,
    comesTo: ['ABORT_ERR cancelled after 0', up, 'ABORT_ERR cancelled after 0', true],
  },
];

/**
 * What a file system answers reaches the caller as the same outcome through io_uring, through
 * threads and on the calling thread: data whole, or an error that tells how much of it is.
 */
import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CompletionQueue, IoError, OpenFile, openFile } from 'holdfast';
import { engineNamed } from '#holdfast/engine.js';
import { Code, errnoOf, linked, Operation, placeOf } from '#holdfast/platform.js';
import { toldBy } from './contract/call.js';
import { handed, resultsOf } from './contract/engines.js';
import { cutEvery, patterned } from './file/bytes.js';
import { Doors, engineFor, type Face } from './file/doors.js';
import { type Fault, Faulty, faultyRefusal } from './ring/faulty.js';
import { scratch } from './support/scratch.js';

const refusal = faultyRefusal();
const BYTES = 3000;
let disk: Faulty | undefined;

before(async () => {
  if (refusal === undefined) disk = await Faulty.mount();
});
after(() => disk?.unmount());

interface Case {
  readonly name: string;
  readonly faults: readonly Fault[];
  readonly body: (doors: Doors, file: OpenFile) => Promise<unknown>;
  readonly comesTo: unknown;
  /** What the file system was asked for. */
  readonly asked: string;
  /** What it comes to where the ring takes it, if not to the same: EAGAIN is asked again. */
  readonly byCompletions?: readonly [comesTo: unknown, asked: string];
}

const whole = patterned(BYTES);
const isWhole = (bytes: Uint8Array): boolean =>
  Buffer.compare(bytes, whole.subarray(0, bytes.length)) === 0;

/* A read of everything: how it ended, and whether what is there is what was written. */
async function read(doors: Doors, file: OpenFile): Promise<unknown> {
  const target = new Uint8Array(BYTES);
  const told = await toldBy(() => doors.readAt(file, target, 0));
  return [told, isWhole(target)];
}

async function readCut(doors: Doors, file: OpenFile): Promise<unknown> {
  const target = new Uint8Array(BYTES);
  const told = await toldBy(() => doors.readAt(file, cutEvery(target, 1000), 0));
  return [told, isWhole(target)];
}

/* A write of everything behind the first, what stands there then, and whether the next is taken. */
async function write(doors: Doors, file: OpenFile): Promise<unknown> {
  const told = await toldBy(() => doors.writeAt(file, whole, BYTES));
  const next = await toldBy(() => doors.writeAt(file, patterned(1), 0));
  const after = readFileSync((disk as Faulty).path).subarray(BYTES);
  return [told, after.length, isWhole(after), next];
}

/* A sync, and whether the next is taken. */
async function sync(doors: Doors, file: OpenFile): Promise<unknown> {
  const tell = (): Promise<unknown> => toldBy(async () => (await doors.sync(file)).primitive);
  return [await tell(), await tell(), await toldBy(() => doors.writeAt(file, patterned(1), 0))];
}

const ever = { first: 1, last: 1000 };

const cases: readonly Case[] = [
  {
    name: 'a read that answers EIO',
    faults: [{ kind: 'read', first: 1, code: 'EIO' }],
    body: read,
    comesTo: ['EIO io after 0', false],
    asked: 'r',
  },
  {
    name: 'a short read, then EIO',
    faults: [
      { kind: 'read', first: 1, moves: 100 },
      { kind: 'read', first: 2, code: 'EIO' },
    ],
    body: read,
    comesTo: ['EIO io after 100', false],
    asked: 'rr',
  },
  {
    name: 'reads that come short',
    faults: [{ kind: 'read', first: 1, last: 3, moves: 7 }],
    body: read,
    comesTo: [BYTES, true],
    asked: 'rrrr',
  },
  {
    name: 'vectored reads that come short',
    faults: [{ kind: 'read', first: 1, last: 3, moves: 7 }],
    body: readCut,
    comesTo: [BYTES, true],
    asked: 'rrrr',
  },
  {
    name: 'a read that is interrupted twice',
    faults: [{ kind: 'read', first: 1, last: 2, code: 'EINTR' }],
    body: read,
    comesTo: [BYTES, true],
    asked: 'rrr',
  },
  {
    name: 'a read that answers EAGAIN',
    faults: [{ kind: 'read', first: 1, code: 'EAGAIN' }],
    body: read,
    comesTo: ['EAGAIN busy after 0', false],
    asked: 'r',
    byCompletions: [[BYTES, true], 'rr'],
  },
  {
    name: 'reads that answer EOPNOTSUPP',
    faults: [{ kind: 'read', ...ever, code: 'EOPNOTSUPP' }],
    body: read,
    comesTo: ['ENOTSUP unsupported after 0', false],
    asked: 'r',
  },
  {
    name: 'a write that answers EIO',
    faults: [{ kind: 'write', first: 1, code: 'EIO' }],
    body: write,
    comesTo: ['EIO io after 0', 0, true, 'EIO broken'],
    asked: 'wr',
  },
  {
    name: 'a short write, then a full disk',
    faults: [
      { kind: 'write', first: 1, moves: 100 },
      { kind: 'write', first: 2, code: 'ENOSPC' },
    ],
    body: write,
    comesTo: ['ENOSPC no-space after 100', 100, true, 1],
    asked: 'wwwr',
  },
  {
    name: 'writes that come short',
    faults: [{ kind: 'write', first: 1, last: 3, moves: 7 }],
    body: write,
    comesTo: [BYTES, BYTES, true, 1],
    asked: 'wwwwwr',
  },
  {
    name: 'a write that is interrupted twice',
    faults: [{ kind: 'write', first: 1, last: 2, code: 'EINTR' }],
    body: write,
    comesTo: [BYTES, BYTES, true, 1],
    asked: 'wwwwr',
  },
  ...Object.entries({ EDQUOT: 'quota', ENOSPC: 'no-space' }).map(([code, kind]) => ({
    name: `a write that answers ${code}`,
    faults: [{ kind: 'write', first: 1, code } as const],
    body: write,
    comesTo: [`${code} ${kind} after 0`, 0, true, 1],
    asked: 'wwr',
  })),
  {
    name: 'a write that answers EAGAIN',
    faults: [{ kind: 'write', first: 1, code: 'EAGAIN' }],
    body: write,
    comesTo: ['EAGAIN busy after 0', 0, true, 1],
    asked: 'wwr',
    byCompletions: [[BYTES, BYTES, true, 1], 'wwwr'],
  },
  ...['EIO', 'ENOSPC'].map((code) => ({
    name: `a sync that answers ${code}`,
    faults: [{ kind: 'sync', first: 1, code } as const],
    body: sync,
    comesTo: [`${code} ${code === 'EIO' ? 'io' : 'no-space'}`, `${code} broken`, `${code} broken`],
    asked: 's',
  })),
  {
    name: 'a sync that is interrupted',
    faults: [{ kind: 'sync', first: 1, code: 'EINTR' }],
    body: sync,
    comesTo: ['fsync', 'fsync', 1],
    asked: 'sssw',
  },
];

/*
 * Files of FUSE are not read and written through the ring (see below). Told that this one is of
 * another volume it does, so that errors come as completions.
 */
const ANOTHER_VOLUME = 0xef53;

interface Way {
  readonly name: 'ring' | 'pool';
  readonly isForced: boolean;
  readonly face: Face;
}

const ways: readonly Way[] = [
  { name: 'ring', isForced: true, face: 'async' },
  { name: 'ring', isForced: false, face: 'async' },
  { name: 'ring', isForced: false, face: 'sync' },
  { name: 'pool', isForced: false, face: 'async' },
  { name: 'pool', isForced: false, face: 'sync' },
];

const words = ({ name, isForced, face }: Way): string =>
  isForced ? `${name}, completions` : `${name}, ${face}`;

async function prepared(doors: Doors, way: Way): Promise<OpenFile> {
  const { path } = disk as Faulty;
  await disk?.begin();
  const file = await doors.open(path, { access: 'read-write', truncate: true });
  await doors.writeAt(file, whole, 0);
  if (way.isForced) doors.engine.learnVolume?.(file.fd, ANOTHER_VOLUME);
  return file;
}

/* What the kernel itself goes on after, there: short transfers, and EOPNOTSUPP without end. */
const goesOn = ({ faults }: Case): boolean =>
  faults.some(({ moves, code }) => moves !== undefined || code === 'EOPNOTSUPP');

for (const one of cases) {
  for (const way of ways) {
    if (way.isForced && goesOn(one)) continue;
    test(`${one.name} (${words(way)})`, { skip: refusal ?? false }, async (t) => {
      const engine = engineFor(t, way.name);
      if (engine === undefined) return;
      const doors = new Doors(t, engine, way.face);
      const file = await prepared(doors, way);
      await disk?.begin(one.faults);
      const other = way.isForced ? one.byCompletions : undefined;
      const expected = other ?? [one.comesTo, one.asked];
      deepEqual([await one.body(doors, file), await disk?.asked()], expected);
    });
  }
}

/*
 * On the ring it was asked for once more by a thread, and a second sync succeeds although the first
 * has lost data: a failed sync was called a success.
 */
for (const code of ['EAGAIN', 'EINVAL', 'EOPNOTSUPP']) {
  for (const name of ['ring', 'pool'] as const) {
    test(`a sync that answers ${code} is not asked for again (${name})`, async (t) => {
      if (refusal !== undefined) return t.skip(refusal);
      const engine = engineFor(t, name);
      if (engine === undefined) return;
      const doors = new Doors(t, engine, 'async');
      const file = await prepared(doors, { name, isForced: name === 'ring', face: 'async' });
      await disk?.begin([{ kind: 'sync', first: 1, code }]);
      await rejects(doors.sync(file), IoError);
      deepEqual(await disk?.asked(), 's');
    });
  }
}

/*
 * A close that answers anything has closed: asked for once more, by a thread, it closed whatever
 * had the number by then. Also one that was interrupted is done (close(2)).
 */
for (const code of ['EINTR', 'EAGAIN', 'EINVAL', 'EIO']) {
  for (const name of ['ring', 'pool'] as const) {
    test(`a close that answers ${code} is not asked for again (${name})`, async (t) => {
      if (refusal !== undefined) return t.skip(refusal);
      const engine = engineFor(t, name);
      if (engine === undefined) return;
      const file = await openFile((disk as Faulty).path, { engine });
      await disk?.begin([{ kind: 'close', first: 1, code }]);
      const told = await toldBy(() => file.close());
      match(String(told), code === 'EINTR' ? /^undefined$/ : new RegExp(`^${code} `));
      deepEqual(await disk?.asked(), 'c');
      const again = Object.keys(engine.stats().ring?.refusals ?? {});
      deepEqual(
        again.filter((what) => what.startsWith('close')),
        [],
      );
    });
  }
}

/*
 * io_uring goes on behind a sync that fails: a new content that had not reached the disk got the
 * name of the old one.
 */
for (const name of ['ring', 'pool'] as const) {
  test(`behind a sync that fails nothing of its run takes place (${name})`, async (t) => {
    if (refusal !== undefined) return t.skip(refusal);
    const engine = engineFor(t, name);
    if (engine === undefined) return;
    const file = await openFile((disk as Faulty).path, { access: 'read-write', engine });
    t.after(() => file.close());
    const directory = scratch(t);
    writeFileSync(join(directory, 'old'), 'old');
    writeFileSync(join(directory, 'new'), 'new');
    const place = placeOf(join(directory, 'new'));
    const place2 = placeOf(join(directory, 'old'));
    await disk?.begin([{ kind: 'sync', first: 1, code: 'EIO' }]);
    const sync = Object.assign(new Operation(Code.Sync), { fd: file.fd });
    const rename = Object.assign(new Operation(Code.Rename), { place, place2 });
    const run = await handed(engine, linked(sync, rename));
    deepEqual(resultsOf(run), [errnoOf('EIO'), errnoOf('ECANCELED')]);
    equal(readFileSync(join(directory, 'old'), 'latin1'), 'old');
  });
}

/*
 * 5000 bytes asked for 1000 before the end of a file of FUSE came as 5000 through the ring, five
 * times the same: the kernel reads on behind a short read from where it began, and does so on the
 * loop's own thread. Such files are read by threads, which `explain()` says.
 */
test('readAt() at the end of a file of FUSE ends there (ring)', async (t) => {
  if (refusal !== undefined) return t.skip(refusal);
  const engine = engineFor(t, 'ring');
  if (engine === undefined) return;
  const doors = new Doors(t, engine, 'async');
  const opened = await prepared(doors, { name: 'ring', isForced: false, face: 'async' });
  const { path } = disk as Faulty;
  const fd = openSync(path, 'r');
  t.after(() => closeSync(fd));
  const submissions = (): number | undefined => engine.stats().ring?.submissions;
  const files = {
    opened,
    'opened by the pool': await openFile(path, { engine: engineNamed('pool') }),
    duplicated: OpenFile.fromFd(fd, { ownership: 'duplicate', engine }),
    borrowed: OpenFile.fromFd(fd, { ownership: 'borrow', engine }),
  };
  await using queue = new CompletionQueue({ engine: 'ring' });
  for (const [name, file] of Object.entries(files)) {
    const target = new Uint8Array(5000);
    const before = submissions();
    equal(await file.readAt(target, 2000), 1000, name);
    queue.read(file, target, 2000, 1);
    const [completion] = await queue.wait();
    equal(completion?.bytes, 1000, name);
    deepEqual(target.subarray(0, 1000), whole.subarray(2000), name);
    equal(submissions(), before, `${name}: nothing of it went to the kernel as such`);
    const told = file.explain().fallbacks.find(({ what }) => what === 'ring');
    if (file.explain().engine === 'ring') match(told?.reason ?? '', /FUSE/, name);
    await file.close();
  }
});

test('a descriptor number that is given out again is asked about again (ring)', async (t) => {
  if (refusal !== undefined) return t.skip(refusal);
  const engine = engineFor(t, 'ring');
  if (engine === undefined) return;
  const other = join(scratch(t), 'file');
  writeFileSync(other, whole);
  const readEnd = async (path: string): Promise<[number, number]> => {
    const file = await openFile(path, { engine });
    const count = await file.readAt(new Uint8Array(5000), 2000);
    const { fd } = file;
    await file.close();
    return [fd, count];
  };
  const first = await readEnd(other);
  deepEqual(await readEnd((disk as Faulty).path), first);
  deepEqual(await readEnd(other), first);
});

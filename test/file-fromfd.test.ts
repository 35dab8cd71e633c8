/** Files made of descriptors: whose they are from then on, and what is no file. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type FromFdOptions, type IoError, OpenFile } from 'holdfast';
import { callBy, toldBy } from './contract/call.js';
import { patterned } from './file/bytes.js';
import { type Doors, onAllDoors, onBothEngines } from './file/doors.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';

interface Ready {
  readonly path: string;
  readonly fd: number;
  readonly make: (options: Omit<FromFdOptions, 'engine'>) => OpenFile;
}

/** A descriptor, and what makes a file of it. */
function ready(doors: Doors, flags: string | number = 'r+'): Ready {
  const path = join(scratch(doors.t), 'file');
  writeFileSync(path, patterned(100));
  const fd = openSync(path, flags);
  const { engine } = doors;
  return { path, fd, make: (options) => OpenFile.fromFd(fd, { ...options, engine }) };
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

onAllDoors('fromFd() that takes closes the descriptor with the file', async (_, doors) => {
  const { fd, make, path } = ready(doors);
  const file = make({ ownership: 'take', path });
  deepEqual([file.fd, file.path, file.access, file.direct], [fd, path, 'read-write', false]);
  equal(await doors.writeAt(file, patterned(10, 5), 0), 10);
  equal(await doors.append(file, patterned(3)), 100);
  await doors.close(file);
  equal(isOpen(fd), false);
  equal(await toldBy(() => doors.stat(file)), 'EBADF closed');
});

onAllDoors('fromFd() that borrows leaves the descriptor open', async (_, doors) => {
  const { fd, make } = ready(doors);
  const ways = [
    (file: OpenFile) => doors.close(file),
    (file: OpenFile) => file[Symbol.dispose](),
    (file: OpenFile) => file[Symbol.asyncDispose](),
  ];
  for (const close of ways) {
    const file = make({ ownership: 'borrow' });
    const target = new Uint8Array(10);
    equal(await doors.readAt(file, target, 50), 10);
    deepEqual(target, patterned(10, 50));
    await close(file);
    ok(file.isClosed && isOpen(fd));
    equal(await toldBy(() => doors.stat(file)), 'EBADF closed');
  }
  closeSync(fd);
});

onAllDoors('fromFd() that duplicates has a descriptor of its own', async (_, doors) => {
  const { fd, make } = ready(doors);
  const before = openDescriptors();
  if (doors.engine.capabilities['native-calls'] !== true) {
    const error = await refusal(() => make({ ownership: 'duplicate' }));
    deepEqual([error.code, error.kind, error.syscall], ['ENOSYS', 'unsupported', 'dup']);
    match(error.message, /duplicate descriptor \d+/);
    ok(isOpen(fd));
    assertNoNewDescriptors(before);
    closeSync(fd);
    return;
  }
  const one = make({ ownership: 'duplicate' });
  const two = make({ ownership: 'duplicate' });
  equal(new Set([fd, one.fd, two.fd]).size, 3);
  await doors.close(one);
  closeSync(fd);
  equal(await doors.readAt(two, new Uint8Array(10), 0), 10, 'the others are gone, it is not');
  const own = readFileSync(`/proc/self/fdinfo/${two.fd}`, 'latin1');
  const flags = Number.parseInt(/^flags:\s+(\d+)/m.exec(own)?.[1] as string, 8);
  ok((flags & 0o2000000) !== 0, 'children do not inherit it');
  await doors.close(two);
  equal(isOpen(two.fd), false);
});

async function refusal(work: () => unknown): Promise<IoError> {
  try {
    await work();
  } catch (error) {
    return error as IoError;
  }
  throw new Error('It was not refused');
}

onAllDoors('fromFd() tells the access from how it was opened', async (_, doors) => {
  const { O_APPEND, O_RDONLY, O_RDWR, O_WRONLY } = constants;
  const table = [
    [O_RDONLY, 'read', 10, 'EBADF access'],
    [O_WRONLY, 'write', 'EBADF access', 10],
    [O_RDWR, 'read-write', 10, 10],
    [O_WRONLY | O_APPEND, 'append', 'EBADF access', 'EBADF access'],
    [O_RDWR | O_APPEND, 'append', 'EBADF access', 'EBADF access'],
  ] as const;
  for (const [flags, access, read, write] of table) {
    const file = ready(doors, flags).make({ ownership: 'take' });
    equal(file.access, access);
    equal(await toldBy(() => doors.readAt(file, new Uint8Array(10), 0)), read);
    equal(await toldBy(() => doors.writeAt(file, new Uint8Array(10), 0)), write);
    const isAppended = access !== 'read';
    const appended = await toldBy(() => doors.append(file, new Uint8Array(1)));
    equal(appended, isAppended ? 100 : 'EBADF access');
    await doors.close(file);
  }
});

onAllDoors('fromFd() starts at position 0, wherever the descriptor is', async (_, doors) => {
  const { fd, make } = ready(doors);
  const { readSync } = await import('node:fs');
  readSync(fd, new Uint8Array(30), 0, 30, null);
  const file = make({ ownership: 'borrow' });
  const target = new Uint8Array(10);
  equal(await callBy(doors.face, file, 'read', target), 10);
  deepEqual(target, patterned(10), "the position is the file's own");
  const next = new Uint8Array(10);
  readSync(fd, next, 0, 10, null);
  deepEqual(next, patterned(10, 30), 'and that of the descriptor its own');
  closeSync(fd);
});

onBothEngines('fromFd() refuses what is not a descriptor', async (_, doors) => {
  const { fd, make } = ready(doors);
  closeSync(fd);
  for (const ownership of ['take', 'borrow', 'duplicate'] as const) {
    const error = await refusal(() => make({ ownership, path: 'some/path' }));
    deepEqual([error.name, error.code, error.kind], ['IoError', 'EBADF', 'closed']);
    equal(error.path, 'some/path');
  }
  const { engine } = doors;
  const from = (number: unknown, options: unknown = { ownership: 'take', engine }) =>
    toldBy(() => OpenFile.fromFd(number as number, options as FromFdOptions));
  for (const number of [-1, -100, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
    equal(await from(number), 'RangeError ERR_OUT_OF_RANGE');
  }
  for (const number of ['3', 3n, null, undefined, {}]) {
    equal(await from(number), 'TypeError ERR_INVALID_ARG_TYPE');
  }
});

onBothEngines('fromFd() checks its options and leaves the descriptor', async (_, doors) => {
  const { fd } = ready(doors);
  const { engine } = doors;
  const wrong = [
    undefined,
    null,
    {},
    { ownership: 'steal' },
    { ownership: 'take', path: 7 },
    { ownership: 'take', engine: 'pool' },
    { ownership: 'take', engine, memory: 'none' },
  ];
  for (const options of wrong) {
    throws(() => OpenFile.fromFd(fd, options as unknown as FromFdOptions), { name: 'TypeError' });
    ok(isOpen(fd));
  }
  closeSync(fd);
});

onBothEngines('fromFd() refuses what has no positions, and leaves it open', async (t, doors) => {
  const directory = scratch(t);
  spawnSync('mkfifo', [join(directory, 'fifo')]);
  const { O_NONBLOCK, O_RDWR } = constants;
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const handle = (server as unknown as { _handle: { fd: number } })._handle;
  const opened = {
    EISDIR: openSync(directory, 'r'),
    ESPIPE: openSync(join(directory, 'fifo'), O_RDWR | O_NONBLOCK),
    ENXIO: handle.fd,
  };
  const before = openDescriptors();
  for (const ownership of ['take', 'borrow', 'duplicate'] as const) {
    for (const [code, fd] of Object.entries(opened)) {
      const make = () => OpenFile.fromFd(fd, { ownership, engine: doors.engine });
      equal(await toldBy(make), `${code} wrong-type`);
      ok(isOpen(fd));
    }
  }
  assertNoNewDescriptors(before);
  server.close();
  closeSync(opened.EISDIR);
  closeSync(opened.ESPIPE);
});

/* A device may have positions (/dev/zero, a disk) or not (a terminal): the calls tell. */
onAllDoors('fromFd() takes a character device', async (_, doors) => {
  const fd = openSync('/dev/zero', 'r+');
  const file = OpenFile.fromFd(fd, { ownership: 'take', engine: doors.engine });
  equal((await doors.stat(file)).kind, 'character-device');
  const target = patterned(10);
  equal(await doors.readAt(file, target, 0), 10);
  deepEqual(target, new Uint8Array(10));
  await doors.close(file);
});

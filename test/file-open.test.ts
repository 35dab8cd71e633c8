/** Opening: what each option means, and what is refused without waiting and without a leak. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Access, OpenFile } from 'holdfast';
import { Code, errnoOf } from '#holdfast/platform.js';
import { patterned } from './file/bytes.js';
import { type Doors, onAllDoors } from './file/doors.js';
import { refusalOf, refusedAs } from './file/told.js';
import { runChild } from './support/child.js';
import { mountFor } from './support/mounts.js';
import { assertNoNewDescriptors, openDescriptors, scratch } from './support/scratch.js';
import { traceFor } from './support/strace.js';

const ACCESSES: readonly Access[] = ['read', 'write', 'read-write', 'append'];

/** Flags of a descriptor as the system has them (man 5 proc, fdinfo). */
function flagsOf(file: OpenFile): number {
  const info = readFileSync(`/proc/self/fdinfo/${file.fd}`, 'utf8');
  return Number.parseInt(/^flags:\s+(\d+)/m.exec(info)?.[1] as string, 8);
}

const O_NONBLOCK = 0o4000;
const O_APPEND = 0o2000;
const O_DSYNC = 0o10000;
const O_SYNC = 0o4010000;
const O_CLOEXEC = 0o2000000;

describe('openFile() access', () => {
  onAllDoors('lets do what it says and refuses the rest', async (t, doors) => {
    const path = join(scratch(t), 'file');
    writeFileSync(path, 'content');
    const refused = 'EBADF access';
    const allowed = async (work: () => Promise<unknown>): Promise<string> =>
      work().then(
        () => 'allowed',
        () => refusedAs(work),
      );
    const bytes = new Uint8Array(2);
    for (const access of ACCESSES) {
      const file = await doors.open(path, { access });
      equal(file.access, access);
      const reads = access === 'read' || access === 'read-write' ? 'allowed' : refused;
      const writes = access === 'read' ? refused : 'allowed';
      equal(await allowed(() => doors.readAt(file, bytes, 0)), reads, access);
      equal(await allowed(() => doors.readSomeAt(file, [bytes, bytes], 0)), reads, access);
      equal(await allowed(() => doors.readAll(file)), reads, access);
      equal(await allowed(() => doors.append(file, bytes)), writes, access);
      equal(await allowed(() => doors.truncate(file, 5)), writes, access);
      equal(await allowed(() => doors.stat(file)), 'allowed', access);
    }
  });

  /*
   * pwrite(2), BUGS: with O_APPEND Linux appends whatever the offset says. A positioned write to
   * such a file would land elsewhere without a word; it is refused.
   */
  onAllDoors('append refuses writes at a position', async (t, doors) => {
    const path = join(scratch(t), 'file');
    writeFileSync(path, 'content');
    const file = await doors.open(path, { access: 'append' });
    const bytes = new Uint8Array(2);
    for (const buffers of [bytes, [bytes, bytes]]) {
      equal(await refusedAs(() => doors.writeAt(file, buffers, 0)), 'EBADF access');
      equal(await refusedAs(() => doors.writeSomeAt(file, buffers, 0)), 'EBADF access');
    }
    equal(readFileSync(path, 'utf8'), 'content');
  });

  onAllDoors('is read when nothing is said', async (t, doors) => {
    const path = join(scratch(t), 'file');
    writeFileSync(path, 'content');
    const file = await doors.open(path);
    equal(file.access, 'read');
    equal(file.path, path);
    equal(flagsOf(file) & 3, 0);
  });

  onAllDoors('leaves the descriptor blocking and closed on exec', async (t, doors) => {
    const path = join(scratch(t), 'file');
    for (const access of ACCESSES) {
      const file = await doors
        .open(path, { access, ...(access !== 'read' && { create: true }) })
        .catch(async () => {
          writeFileSync(path, '');
          return doors.open(path, { access });
        });
      const flags = flagsOf(file);
      equal((flags & O_APPEND) !== 0, access === 'append');
      ok((flags & O_CLOEXEC) !== 0, 'a child process does not inherit it');
      if (doors.engine.capabilities['status-flags'] === true) equal(flags & O_NONBLOCK, 0);
    }
  });
});

describe('openFile() create, truncate, mode, sync', () => {
  onAllDoors('create makes the file or takes the one that is there', async (t, doors) => {
    const directory = scratch(t);
    const path = join(directory, 'file');
    equal(await refusedAs(() => doors.open(path, { access: 'write' })), 'ENOENT not-found');
    deepEqual(readdirSync(directory), []);
    for (const access of ['write', 'read-write', 'append'] as const) {
      await doors.open(join(directory, access), { access, create: true });
      equal(statSync(join(directory, access)).size, 0);
    }
    writeFileSync(path, 'content');
    await doors.open(path, { access: 'write', create: true });
    equal(readFileSync(path, 'utf8'), 'content');
  });

  onAllDoors('create exclusive refuses what is there, also a dangling link', async (t, doors) => {
    const directory = scratch(t);
    const path = join(directory, 'file');
    const choices = { access: 'write', create: 'exclusive' } as const;
    await doors.open(path, choices);
    equal(await refusedAs(() => doors.open(path, choices)), 'EEXIST exists');
    symlinkSync('nowhere', join(directory, 'link'));
    equal(await refusedAs(() => doors.open(join(directory, 'link'), choices)), 'EEXIST exists');
    deepEqual(readdirSync(directory).sort(), ['file', 'link']);
  });

  onAllDoors('truncate cuts the file to nothing', async (t, doors) => {
    const path = join(scratch(t), 'file');
    for (const access of ['write', 'read-write', 'append'] as const) {
      writeFileSync(path, 'content');
      await doors.open(path, { access });
      equal(statSync(path).size, 7);
      await doors.open(path, { access, truncate: true });
      equal(statSync(path).size, 0);
    }
  });

  onAllDoors('mode is for a new file, less the mask of the process', async (t, doors) => {
    const directory = scratch(t);
    const before = process.umask(0o027);
    t.after(() => process.umask(before));
    for (const [mode, expected] of [
      [undefined, 0o640],
      [0o777, 0o750],
      [0o600, 0o600],
      [0, 0],
    ] as const) {
      const path = join(directory, `file-${mode}`);
      await doors.open(path, { access: 'write', create: true, mode });
      equal(statSync(path).mode & 0o7777, expected);
    }
    const old = join(directory, 'old');
    writeFileSync(old, '', { mode: 0o600 });
    await doors.open(old, { access: 'write', create: true, mode: 0o777 });
    equal(statSync(old).mode & 0o7777, 0o600, 'a file that is there keeps its own');
  });

  onAllDoors('sync makes each write durable: the flags are there', async (t, doors) => {
    const path = join(scratch(t), 'file');
    const options = { access: 'write', create: true } as const;
    equal(flagsOf(await doors.open(path, options)) & O_SYNC, 0);
    equal(flagsOf(await doors.open(path, { ...options, sync: 'data' })) & O_SYNC, O_DSYNC);
    equal(flagsOf(await doors.open(path, { ...options, sync: 'full' })) & O_SYNC, O_SYNC);
  });

  const OPENS = `
    import { openFile, openFileSync } from 'holdfast';
    import { engineNamed } from '#holdfast/engine.js';
    const [path, name, face] = process.argv.slice(1);
    const engine = engineNamed(name);
    for (const sync of ['data', 'full']) {
      const options = { access: 'write', create: true, sync, engine };
      const file = face === 'sync' ? openFileSync(path, options) : await openFile(path, options);
      await file.close();
    }
  `;

  onAllDoors('sync is O_DSYNC and O_SYNC, as strace sees them', async (t, doors) => {
    const path = join(scratch(t), 'file');
    const args = [path, doors.engine.name, doors.face];
    const trace = await traceFor(t, { source: OPENS, args, calls: ['openat', 'open'] });
    if (trace === undefined) return;
    equal(trace.code, 0, trace.stderr);
    const opens = trace.calls.filter(({ args }) => args.includes(`"${path}"`));
    equal(opens.length, 2);
    match(opens[0]?.args ?? '', /\|O_DSYNC/);
    match(opens[1]?.args ?? '', /\|O_SYNC/);
  });
});

describe('openFile() paths', () => {
  onAllDoors('takes a file: URL', async (t, doors) => {
    const path = join(scratch(t), 'a file % of ü?');
    writeFileSync(path, 'content');
    const file = await doors.open(pathToFileURL(path));
    equal(Buffer.from(await doors.readAll(file)).toString(), 'content');
    equal(file.path, path);
  });

  onAllDoors('takes the bytes of a name that is not UTF-8', async (t, doors) => {
    const directory = scratch(t);
    const name = Buffer.from([0x66, 0xff, 0xfe, 0xe9]);
    const path = Buffer.concat([Buffer.from(`${directory}/`), name]);
    const file = await doors.create(path);
    await doors.writeAt(file, Buffer.from('content'), 0);
    const [made] = readdirSync(directory, { encoding: 'buffer' });
    ok(made?.equals(name));
    equal(readFileSync(path, 'utf8'), 'content');
    const utf8 = Buffer.from(join(directory, 'ünïcode'));
    equal((await doors.create(utf8)).path, utf8.toString());
    ok(readdirSync(directory).includes('ünïcode'));
  });

  onAllDoors('follows symbolic links', async (t, doors) => {
    const directory = scratch(t);
    writeFileSync(join(directory, 'file'), 'content');
    symlinkSync('file', join(directory, 'link'));
    symlinkSync('loop', join(directory, 'loop'));
    symlinkSync('nowhere', join(directory, 'dangling'));
    const file = await doors.open(join(directory, 'link'));
    equal(Buffer.from(await doors.readAll(file)).toString(), 'content');
    equal(await refusedAs(() => doors.open(join(directory, 'loop'))), 'ELOOP loop');
    equal(await refusedAs(() => doors.open(join(directory, 'dangling'))), 'ENOENT not-found');
  });

  onAllDoors(
    'refuses what leads nowhere, with code, path and call as Node has them',
    async (t, doors) => {
      const directory = scratch(t);
      const path = join(directory, 'missing', 'file');
      const error = await refusalOf(() => doors.open(path, { access: 'write', create: true }));
      const { code, errno, syscall, kind } = error;
      const told = { code, errno, syscall, path: error.path, kind };
      deepEqual(told, { code: 'ENOENT', errno: -2, syscall: 'open', path, kind: 'not-found' });
      writeFileSync(join(directory, 'file'), '');
      const below = join(directory, 'file', 'below');
      equal(await refusedAs(() => doors.open(below)), 'ENOTDIR wrong-type');
      const long = join(directory, 'x'.repeat(300));
      equal(await refusedAs(() => doors.open(long)), 'ENAMETOOLONG invalid');
      const deep = `${directory}/${'y/'.repeat(4000)}`;
      equal(await refusedAs(() => doors.open(deep)), 'ENAMETOOLONG invalid');
    },
  );

  onAllDoors('refuses paths that are none before anything happens', async (t, doors) => {
    const judged = doors.judged(() => undefined);
    const values = [
      '',
      'a\0b',
      Buffer.from('a\0b'),
      new Uint8Array(0),
      null,
      undefined,
      7,
      {},
      ['/tmp'],
    ];
    for (const path of [...values, new URL('https://example.org/file')] as unknown[]) {
      await rejects(judged.open(path as string), TypeError, String(path));
    }
    deepEqual(judged.engine.asked, []);
    ok(t);
  });
});

describe('openFile() of what is no file', () => {
  const kinds = async (doors: Doors, path: string): Promise<string[]> => {
    const told: string[] = [];
    const before = openDescriptors();
    for (const access of ACCESSES) {
      told.push((await refusalOf(() => doors.open(path, { access }))).kind);
    }
    assertNoNewDescriptors(before);
    return told;
  };
  const wrong = new Array<string>(4).fill('wrong-type');

  /* An open of a FIFO waits for the other end: for ever, when there is none (fifo(7)). */
  onAllDoors('does not wait for the other end of a FIFO', async (t, doors) => {
    const path = join(scratch(t), 'fifo');
    equal(spawnSync('mkfifo', [path]).status, 0);
    deepEqual(await kinds(doors, path), wrong);
  });

  onAllDoors('refuses a socket', async (t, doors) => {
    const path = join(scratch(t), 'socket');
    const server = createServer().listen(path);
    t.after(() => server.close());
    await once(server, 'listening');
    deepEqual(await kinds(doors, path), wrong);
  });

  onAllDoors('refuses a directory', async (t, doors) => {
    const path = join(scratch(t), 'directory');
    mkdirSync(path);
    deepEqual(await kinds(doors, path), wrong);
    const error = await refusalOf(() => doors.open(path));
    deepEqual([error.code, error.path, error.syscall], ['EISDIR', path, 'open']);
    const creating = { access: 'write', create: true } as const;
    equal(await refusedAs(() => doors.open(path, creating)), 'EISDIR wrong-type');
  });

  onAllDoors('takes a device: /dev/full is full, /dev/zero has no end', async (_, doors) => {
    const full = await doors.open('/dev/full', { access: 'read-write' });
    for (const buffers of [patterned(10), [patterned(10), patterned(600)]]) {
      const error = await refusalOf(() => doors.writeAt(full, buffers, 0));
      deepEqual([error.code, error.kind, error.bytesDone], ['ENOSPC', 'no-space', 0]);
    }
    const zero = await doors.open('/dev/zero');
    equal(await doors.readAt(zero, [new Uint8Array(10), new Uint8Array(5000)], 0), 5010);
    equal((await doors.stat(zero)).kind, 'character-device');
  });
});

/* A lease of somebody else (fcntl(2), F_SETLEASE) answers EAGAIN to an open that may not wait. */
onAllDoors('openFile() waits for a lease to be given up', async (t, doors) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'content');
  const flags: number[] = [];
  const judged = doors.judged((operation) => {
    if (operation.code !== Code.Open) return undefined;
    flags.push(operation.flags & O_NONBLOCK);
    return flags.length === 1 ? { answers: errnoOf('EAGAIN') } : undefined;
  });
  const file = await judged.open(path);
  equal(Buffer.from(await judged.readAll(file)).toString(), 'content');
  deepEqual(flags, [O_NONBLOCK, 0], 'the second may wait');
});

describe('openFile() without the right', () => {
  const AS_NOBODY = `
    import { openFile, openFileSync } from 'holdfast';
    import { engineNamed } from '#holdfast/engine.js';
    const [path, name, face] = process.argv.slice(1);
    const engine = engineNamed(name);
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
    const told = [];
    for (const access of ['read', 'write', 'read-write', 'append']) {
      try {
        const options = { access, engine };
        if (face === 'sync') openFileSync(path, options);
        else await openFile(path, options);
        told.push('opened');
      } catch ({ name, code, kind }) {
        told.push([name, code, kind].join(' '));
      }
    }
    console.log(JSON.stringify(told));
  `;

  onAllDoors('is EACCES for another user', async (t, doors) => {
    if (process.getuid?.() !== 0) return t.skip('needs root: it becomes another user');
    const path = join(scratch(t), 'file');
    writeFileSync(path, 'content', { mode: 0o600 });
    const args = [path, doors.engine.name, doors.face];
    const { code, stdout, stderr } = await runChild({ source: AS_NOBODY, args });
    equal(code, 0, stderr);
    deepEqual(JSON.parse(stdout), new Array(4).fill('IoError EACCES access'));
  });

  onAllDoors('is EROFS on a read-only file system', async (t, doors) => {
    const mount = mountFor(t, 'tmpfs');
    if (mount === undefined) return;
    const path = join(mount.path, 'file');
    writeFileSync(path, 'content');
    mount.remount('read-only');
    for (const access of ['write', 'read-write', 'append'] as const) {
      equal(await refusedAs(() => doors.open(path, { access })), 'EROFS read-only');
    }
    const creating = { access: 'write', create: true } as const;
    equal(await refusedAs(() => doors.open(`${path}-new`, creating)), 'EROFS read-only');
    const file = await doors.open(path);
    equal(Buffer.from(await doors.readAll(file)).toString(), 'content');
    await doors.close(file);
  });
});

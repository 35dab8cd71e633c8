/** Disks that are full, too small, read-only; processes at their limits: the old content stays. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { IoError, replaceFile } from 'holdfast';
import {
  engineHere,
  engineWords,
  facesOn,
  onEngines,
  pieces,
  refusalOf,
  worldOf,
} from './replace/worlds.js';
import { limitsRefusal, outputOf } from './support/child.js';
import { type MountKind, mountFor } from './support/mounts.js';
import {
  assertHoldsOnly,
  assertNoNewDescriptors,
  openDescriptors,
  scratch,
} from './support/scratch.js';

const MEBIBYTE = 1024 * 1024;
const OLD = Buffer.alloc(100_000, 'old content ');

/** More than the file system holds, as one view, as many, and bit by bit. */
async function overfill(t: TestContext, kind: MountKind, bytes: number): Promise<void> {
  const mount = mountFor(t, kind);
  if (mount === undefined) return;
  const path = join(mount.path, 'file');
  const views = Array.from({ length: Math.ceil(bytes / 65536) }, () => Buffer.alloc(65536, 'new'));
  const large = Buffer.alloc(bytes, 'new');
  writeFileSync(path, OLD, { flush: true });
  const kept = new Set(['lost+found', 'file']);
  for (const word of engineWords) {
    const engine = engineHere(word);
    if (typeof engine === 'string') continue;
    const before = openDescriptors();
    const check = async (done: Promise<unknown>): Promise<void> => {
      const error = await refusalOf(done, { code: 'ENOSPC', kind: 'no-space', path });
      ok(['write', 'sync the file', 'create the temporary file'].includes(error.step as string));
      ok(readFileSync(path).equals(OLD), 'the old content stands');
      assertHoldsOnly(mount.path, namesBeside(mount.path, kept));
    };
    for (const face of facesOn(engine)) {
      const { replace } = worldOf(face, engine);
      await check(replace(path, large));
      await check(replace(path, views));
      await check(replace(path, large, { durable: false }));
    }
    await check(replaceFile(path, pieces(...views.map((view) => [view])), { engine }));
    assertNoNewDescriptors(before);
    const small = Buffer.alloc(1000, word);
    equal((await replaceFile(path, small, { engine })).durability, 'full', 'there is room again');
    ok(readFileSync(path).equals(small));
    writeFileSync(path, OLD, { flush: true });
  }
}

function namesBeside(directory: string, kept: ReadonlySet<string>): string[] {
  const hasLost = kept.has('lost+found') && exists(join(directory, 'lost+found'));
  return [...kept].filter((name) => name !== 'lost+found' || hasLost);
}

function exists(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

/*
 * write-file-atomic 7/8 and atomically 2 write once, ignore the count and rename: on a full tmpfs
 * or btrfs they replace a good file by a truncated one and resolve. What guards it: these and the
 * short writes of replace-order.test.ts and replace-faults.test.ts.
 */
const SIZES: Readonly<Record<MountKind, number>> = {
  tmpfs: 12 * MEBIBYTE,
  ext4: 20 * MEBIBYTE,
  btrfs: 140 * MEBIBYTE,
  xfs: 320 * MEBIBYTE,
};

for (const kind of ['tmpfs', 'ext4'] as const) {
  test(`replaceFile() keeps the old content on a full ${kind}`, async (t) => {
    await overfill(t, kind, SIZES[kind]);
  });
}

for (const kind of ['btrfs', 'xfs'] as const) {
  test(`replaceFile() keeps the old content on a full ${kind}`, async (t) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const path = join(mount.path, 'file');
    writeFileSync(path, OLD, { flush: true });
    fill(join(mount.path, 'filler'));
    for (const word of engineWords) {
      const engine = engineHere(word);
      if (typeof engine === 'string') continue;
      for (const face of facesOn(engine)) {
        const { replace } = worldOf(face, engine);
        const refused = replace(path, Buffer.alloc(8 * MEBIBYTE, 'new'));
        await refusalOf(refused, { code: 'ENOSPC', kind: 'no-space', path });
        ok(readFileSync(path).equals(OLD), 'the old content stands');
        assertHoldsOnly(mount.path, ['file', 'filler']);
      }
    }
    rmSync(join(mount.path, 'filler'));
    await replaceFile(path, 'room again');
    equal(readFileSync(path, 'latin1'), 'room again');
  });
}

/** Takes all the room there is, and leaves a little less than nothing. */
function fill(path: string): void {
  for (let bytes = 64 * MEBIBYTE; bytes >= 4096; bytes /= 2) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(bytes, 1), { flag: 'a', flush: true });
    } catch (error) {
      equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
  }
}

for (const kind of ['ext4', 'tmpfs'] as const) {
  onEngines(`a replace on a read-only ${kind} is refused and leaves nothing`, async (t, engine) => {
    const mount = mountFor(t, kind);
    if (mount === undefined) return;
    const path = join(mount.path, 'file');
    writeFileSync(path, 'old');
    mount.remount('read-only');
    const step = 'create the temporary file';
    for (const face of facesOn(engine)) {
      const { replace } = worldOf(face, engine);
      const expected = { code: 'EROFS', kind: 'read-only', step, path };
      await refusalOf(replace(path, 'new'), expected);
    }
    const streamed = replaceFile(path, pieces('new'), { engine });
    await refusalOf(streamed, { code: 'EROFS', step });
    equal(readFileSync(path, 'latin1'), 'old');
  });
}

interface Told {
  readonly code: string;
  readonly kind: string;
  readonly step: string;
  readonly durable: string;
  readonly bytesDone: number | null;
}

/** What replaces of a file tell in a child with limits: one for each face and way. */
async function toldUnder(
  word: string,
  path: string,
  { limits, before = '' }: { readonly limits: object; readonly before?: string },
): Promise<Told[]> {
  const output = await outputOf({
    source: `import fs from 'node:fs';
      import { configure, replaceFile, replaceFileSync } from 'holdfast';
      configure({ engine: '${word}' });
      const path = process.argv[1];
      const one = Buffer.alloc(20000, 1);
      const many = Array.from({ length: 3000 }, () => Buffer.alloc(7, 1));
      async function* pieces() { for (let at = 0; at < 20; at++) yield Buffer.alloc(1000, 1); }
      await replaceFile(path + '-warm', 'x');
      replaceFileSync(path + '-warm', 'x');
      fs.unlinkSync(path + '-warm');
      const open = () => fs.readdirSync('/proc/self/fd').length;
      const told = [];
      ${before}
      const attempt = async (run) => {
        try { await run(); told.push({}); } catch (error) {
          const { code, kind, step, durable, bytesDone = null } = error;
          told.push({ code, kind, step, durable, bytesDone });
        }
      };
      await attempt(() => replaceFile(path, one));
      await attempt(() => replaceFileSync(path, one));
      await attempt(() => replaceFile(path, many));
      await attempt(() => replaceFileSync(path, many));
      await attempt(() => replaceFile(path, pieces()));
      process.stdout.write(JSON.stringify(told));`,
    args: [path],
    limits,
  });
  return JSON.parse(output) as Told[];
}

onEngines('a short write and EFBIG keep the old', async (t, engine) => {
  const refusal = limitsRefusal();
  if (refusal !== undefined) return t.skip(refusal);
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  const told = await toldUnder(engine.name, path, { limits: { fileSizeBytes: 10_000 } });
  equal(told.length, 5);
  for (const { bytesDone, ...rest } of told) {
    deepEqual(rest, { code: 'EFBIG', kind: 'too-large', step: 'write', durable: 'old' });
  }
  deepEqual(
    told.slice(0, 4).map(({ bytesDone }) => bytesDone),
    [10_000, 10_000, 10_000, 10_000],
  );
  equal(readFileSync(path, 'latin1'), 'old');
  assertHoldsOnly(directory, ['file']);
});

onEngines('a replace without a descriptor to be had keeps the old', async (t, engine) => {
  const refusal = limitsRefusal();
  if (refusal !== undefined) return t.skip(refusal);
  const directory = scratch(t);
  const path = join(directory, 'file');
  /* One left: the directory takes it. None left: not even that. */
  for (const [left, step] of [
    [0, 'open the directory'],
    [1, 'create the temporary file'],
  ] as const) {
    writeFileSync(path, 'old');
    const before = `
      const taken = [];
      try { for (;;) taken.push(fs.openSync('/dev/null')); } catch {}
      for (let at = 0; at < ${left}; at++) fs.closeSync(taken.pop());`;
    const told = await toldUnder(engine.name, path, { limits: { openFiles: 64 }, before });
    equal(told.length, 5);
    for (const { bytesDone, ...rest } of told) {
      deepEqual(rest, { code: 'EMFILE', kind: 'limit', step, durable: 'old' });
    }
    equal(readFileSync(path, 'latin1'), 'old');
    assertHoldsOnly(directory, ['file']);
  }
});

onEngines('a source that fails half way keeps the old', async (t, engine) => {
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  await replaceFile(path, 'old', { engine });
  const before = openDescriptors();
  const wrong: readonly [unknown, string][] = [
    [new Error('the source broke'), 'the source broke'],
    [undefined, ''],
  ];
  for (const [thrown, message] of wrong) {
    const source = (async function* () {
      yield Buffer.alloc(100_000, 1);
      throw thrown;
    })();
    let caught: unknown = 'nothing';
    await replaceFile(path, source, { engine }).catch((error: unknown) => {
      caught = error;
    });
    equal(caught, thrown);
    equal((caught as Error | undefined)?.message ?? '', message);
  }
  for (const piece of [7, null, {}, ['text'], [1]]) {
    const source = (async function* () {
      yield 'half';
      yield piece as unknown as string;
    })();
    let caught: unknown;
    await replaceFile(path, source, { engine }).catch((error: unknown) => {
      caught = error;
    });
    ok(caught instanceof TypeError && !(caught instanceof IoError), `${caught}`);
  }
  equal(readFileSync(path, 'latin1'), 'old');
  assertHoldsOnly(directory, ['file']);
  assertNoNewDescriptors(before);
});

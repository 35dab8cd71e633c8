/** What a file keeps when its content is replaced: mode, owner, attributes, times. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  accessOf,
  attributesOf,
  setAccess,
  setAttribute,
  setAttributes,
  setDefaultAccess,
} from './replace/attributes.js';
import {
  type EngineWord,
  engineHere,
  engineWords,
  everywhere,
  type Face,
  facesOn,
  fallbacksIn,
  modeAt,
  needsRoot,
} from './replace/worlds.js';
import { outputOf } from './support/child.js';
import { mountFor } from './support/mounts.js';
import { scratch } from './support/scratch.js';

const NOBODY = 65534;

everywhere('keeps the mode of a file', async (t, { replace }) => {
  const path = join(scratch(t), 'file');
  for (const mode of [0o600, 0o640, 0o644, 0o755, 0o400, 0o000, 0o666, 0o4755, 0o2755, 0o1644]) {
    writeFileSync(path, 'old');
    chmodSync(path, mode);
    const { fallbacks } = await replace(path, 'new');
    equal(modeAt(path).toString(8), mode.toString(8));
    ok(!fallbacks.some(({ what }) => what === 'owner'));
    chmodSync(path, 0o600);
    equal(readFileSync(path, 'latin1'), 'new');
  }
});

everywhere('takes the mode it is given', async (t, { replace }) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'file'), 'old', { mode: 0o600 });
  for (const name of ['file', 'fresh']) {
    for (const mode of [0o600, 0o640, 0o777, 0o444, 0, 0o4711]) {
      await replace(join(directory, name), 'new', { mode });
      equal(modeAt(join(directory, name)).toString(8), mode.toString(8));
    }
  }
});

everywhere('takes the owner it is given, or leaves ours', async (t, { replace }) => {
  if (!needsRoot(t)) return;
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'old');
  chownSync(path, 1, 2);
  const ownerAt = (): number[] => [statSync(path).uid, statSync(path).gid];
  deepEqual(fallbacksIn(await replace(path, 'new')).includes('owner'), false);
  deepEqual(ownerAt(), [1, 2], 'kept');
  await replace(path, 'new', { owner: { user: 3, group: 4 } });
  deepEqual(ownerAt(), [3, 4], 'given');
  await replace(path, 'new', { owner: false });
  deepEqual(ownerAt(), [process.getuid?.(), process.getgid?.()], 'ours');
  await replace(`${path}2`, 'new', { owner: { user: 5, group: 6 } });
  equal(statSync(`${path}2`).uid, 5);
});

everywhere('keeps setuid with the owner', async (t, { replace }) => {
  if (!needsRoot(t)) return;
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'old');
  chownSync(path, 1, 2);
  chmodSync(path, 0o6755);
  await replace(path, 'new');
  deepEqual([statSync(path).uid, modeAt(path)], [1, 0o6755]);
});

everywhere('keeps the times when told, else sets new ones', async (t, { replace, engine }) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'old');
  const times: [number, number][] = [
    [1_000_000_000.25, 1_234_567_890.123456],
    [-1.5, -86400.25],
    [0, 4_000_000_000.5],
  ];
  for (const [accessed, modified] of times) {
    utimesSync(path, accessed, modified);
    const old = statSync(path, { bigint: true });
    await replace(path, 'new', { keepTimes: true });
    const kept = statSync(path, { bigint: true });
    /* node:fs takes seconds as a double: microseconds are what it can say. */
    const off = engine.name === 'portable' ? 1000n : 0n;
    for (const name of ['atimeNs', 'mtimeNs'] as const) {
      const apart = kept[name] - old[name];
      ok(apart <= off && -apart <= off, `${name} is ${apart} ns off`);
    }
  }
  await replace(path, 'new');
  ok(statSync(path).mtimeMs > 4e12 === false && statSync(path).mtimeMs > 1.5e12);
});

everywhere('keeps attributes, or tells that it did not', async (t, { replace, engine }) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'old');
  setAttribute(path, 'user.note', Buffer.from('grün'));
  setAttribute(path, 'user.empty', Buffer.alloc(0));
  setAttribute(path, 'user.binary', Buffer.from([0, 255, 0]));
  setAttribute(path, 'user.long', Buffer.alloc(1500, 7));
  const old = attributesOf(path);
  equal(Object.keys(old).length, 4);
  const report = await replace(path, 'new');
  equal(readFileSync(path, 'latin1'), 'new');
  if (engine.capabilities.attributes === true) {
    deepEqual(attributesOf(path), old);
    deepEqual(report.fallbacks, []);
  } else {
    deepEqual(fallbacksIn(report), ['attributes']);
  }
});

/*
 * Forty attributes made a run longer than the rows of a synchronous call: what did not fit was
 * left out without a word. What guards it: more of them than any batch takes.
 */
everywhere('keeps more attributes than a batch has rows', async (t, { replace, engine }) => {
  if (engine.capabilities.attributes !== true) return;
  const mount = mountFor(t, 'tmpfs');
  if (mount === undefined) return;
  const path = join(mount.path, 'file');
  for (const count of [40, 1500]) {
    writeFileSync(path, 'old');
    setAttributes(
      path,
      Array.from({ length: count }, (_, index) => `user.n${count}.${index}`),
    );
    const old = attributesOf(path);
    ok(Object.keys(old).length >= count);
    await replace(path, 'new');
    deepEqual(attributesOf(path), old);
    equal(readFileSync(path, 'latin1'), 'new');
  }
});

everywhere('keeps an access control list, or tells that it did not', async (t, world) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'old', { mode: 0o640 });
  setAccess(path, 'u:1:rw', 'g:2:r', 'm::rw');
  const old = accessOf(path);
  const report = await world.replace(path, 'new');
  equal(modeAt(path), 0o660, 'the mask stands where the rights of the group do');
  if (world.engine.capabilities.attributes === true) deepEqual(accessOf(path), old);
  else deepEqual(fallbacksIn(report), ['attributes']);
});

/*
 * In a directory with a default ACL the temporary file got the entries of that ACL, and with its
 * name so did the target: a user who could not read the old content could read the new. The ACL of
 * the old mode alone, set before the rename, guards it now.
 */
everywhere("keeps out whom the directory's default ACL lets in", async (t, world) => {
  if (world.engine.capabilities.attributes !== true) return;
  const directory = scratch(t);
  const path = join(directory, 'file');
  writeFileSync(path, 'old', { mode: 0o640 });
  const old = accessOf(path);
  setDefaultAccess(directory, 'u:1:rw', 'g:2:rw');
  deepEqual(fallbacksIn(await world.replace(path, 'new')), []);
  deepEqual(accessOf(path), old);
  const born = join(directory, 'born');
  await world.replace(born, 'new');
  ok(accessOf(born).some((line) => line.startsWith('user:') && !line.startsWith('user::')));
});

everywhere('drops what belongs to the content alone', async (t, world) => {
  if (!needsRoot(t) || world.engine.capabilities.attributes !== true) return;
  const path = join(scratch(t), 'file');
  writeFileSync(path, 'old');
  /* cap_net_raw+ep, version 2 (capability.h): a write in place would drop it too. */
  const rights = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  setAttribute(path, 'security.capability', rights);
  ok('security.capability' in attributesOf(path));
  await world.replace(path, 'new');
  ok(!('security.capability' in attributesOf(path)));
});

interface Unprivileged {
  readonly word: EngineWord;
  readonly face: Face;
  readonly umask?: number;
}

/** Runs lines in a child that is nobody; `replace(path, data, options)` answers what it told. */
function asNobody({ word, face, umask }: Unprivileged, lines: string): Promise<string> {
  return outputOf({
    source: `import { configure, ${face} } from 'holdfast';
      configure({ engine: '${word}' });
      process.umask(${umask ?? 0o022});
      process.setgroups([]); process.setgid(${NOBODY}); process.setuid(${NOBODY});
      const told = async (path, data, options) => {
        try {
          const { fallbacks } = await ${face}(path, data, options);
          console.log('done', fallbacks.map(({ what, reason }) => what + ' ' + reason).join());
        } catch (error) {
          console.log(error.code, error.kind, error.step, error.durable);
        }
      };
      ${lines}`,
  });
}

/** One test for each face on each engine, in children that are not root. */
function unprivileged(
  criterion: string,
  run: (it: Unprivileged, directory: string) => Promise<void>,
): void {
  for (const word of engineWords) {
    for (const face of facesOn({ name: word })) {
      test(`${face}() ${criterion} (${word})`, async (t) => {
        if (!needsRoot(t)) return;
        const engine = engineHere(word);
        if (typeof engine === 'string') {
          t.diagnostic(`NOT TESTED on ${word}: ${engine}`);
          return t.skip(engine);
        }
        const directory = scratch(t);
        chmodSync(directory, 0o777);
        await run({ word, face }, directory);
      });
    }
  }
}

unprivileged('tells an owner it may not keep, and drops the powers', async (it, directory) => {
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  chownSync(path, 1, 2);
  for (const mode of [0o644, 0o6755, 0o4755, 0o2750]) {
    chownSync(path, 1, 2);
    chmodSync(path, mode);
    const told = await asNobody(it, `await told('${path}', 'new', { sweep: false });`);
    const powers = (mode & 0o6000) === 0 ? '' : ',mode set-user-ID and set-group-ID .*';
    ok(new RegExp(`^done .*owner EPERM${powers}\n$`).test(told), told);
    const { uid } = statSync(path);
    deepEqual([uid, modeAt(path)], [NOBODY, mode & 0o777]);
  }
  chownSync(path, 1, 2);
  const given = await asNobody(it, `await told('${path}', 'x', { owner: { user: 1, group: 2 } })`);
  equal(given, 'EPERM access set the owner old\n');
  equal(readFileSync(path, 'latin1'), 'new');
});

unprivileged('tells attributes it may not read', async ({ word, face }, directory) => {
  const path = join(directory, 'file');
  writeFileSync(path, 'old', { mode: 0o600 });
  setAttribute(path, 'user.secret', Buffer.from('x'));
  const told = await asNobody({ word, face }, `await told('${path}', 'new');`);
  const lost = word === 'portable' ? /attributes / : /attribute user\.secret EACCES/;
  ok(lost.test(told), told);
  equal(readFileSync(path, 'latin1'), 'new');
});

unprivileged('is refused by a directory it may not write to', async (it, directory) => {
  mkdirSync(join(directory, 'closed'), { mode: 0o755 });
  const path = join(directory, 'closed/file');
  writeFileSync(path, 'old', { mode: 0o666 });
  chmodSync(path, 0o666);
  const told = await asNobody(it, `await told('${path}', 'new');`);
  equal(told, 'EACCES access create the temporary file old\n');
  chmodSync(join(directory, 'closed'), 0o700);
  const blind = await asNobody(it, `await told('${path}', 'new');`);
  equal(blind, 'EACCES access open the directory old\n');
  equal(readFileSync(path, 'latin1'), 'old');
});

unprivileged('gives a new file 0666 less the mask', async (it, directory) => {
  for (const umask of [0o022, 0o027, 0o077, 0, 0o177]) {
    const path = join(directory, `new-${umask}`);
    await asNobody({ ...it, umask }, `await told('${path}', 'new', { sweep: false });`);
    equal(modeAt(path).toString(8), (0o666 & ~umask).toString(8));
  }
});

/*
 * The temporary file is made 0600 less the mask, and 0600 was then taken for set: under a mask that
 * takes rights from the owner the new file had none. What guards it: the strangest mask there is.
 */
unprivileged('keeps a mode of 0600 under any mask', async (it, directory) => {
  const path = join(directory, 'file');
  writeFileSync(path, 'old');
  chownSync(path, NOBODY, NOBODY);
  chmodSync(path, 0o600);
  await asNobody({ ...it, umask: 0o777 }, `await told('${path}', 'new', { sweep: false });`);
  equal(readFileSync(path, 'latin1'), 'new');
  equal(modeAt(path).toString(8), '600');
});

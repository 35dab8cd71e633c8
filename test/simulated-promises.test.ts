/**
 * The promise of a replace on a disk that lies: the power goes before each operation, and for every
 * state that may be left there is the old content or the new one, whole; once it has resolved,
 * the new one. Protocols that are wrong are found out by the same check.
 */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';
import {
  type OpenFile,
  openFile,
  openFileSync,
  replaceFile,
  replaceFileSync,
  writeFileAtomic,
} from 'holdfast';
import {
  CrashFailure,
  type CrashScenario,
  crashEverywhere,
  crashStates,
  type DiskOptions,
  SimulatedCrash,
  type SimulatedDisk,
  simulatedDisk,
} from 'holdfast/testing';
import { pieces } from './replace/worlds.js';
import { Calls, Create, Truncate, WriteOnly } from './simulated/calls.js';

const OLD = 'old '.repeat(400);
const NEW = 'new!'.repeat(450);

function textOf(disk: SimulatedDisk, path: string): string | undefined {
  const bytes = disk.read(path);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1');
}

/** Old or new, whole; new once it is done. */
function checkReplaced(old: string | undefined, path = '/data/file'): CrashScenario['check'] {
  return (state, isDone) => {
    const found = textOf(state, path);
    if (found === NEW || (!isDone && found === old)) return;
    throw new Error(`${isDone ? 'after' : 'before'} the end: ${found?.slice(0, 20)}`);
  };
}

type Way = (disk: SimulatedDisk) => unknown;

const ways: Readonly<Record<string, Way>> = {
  'replaceFile()': ({ engine }) => replaceFile('/data/file', NEW, { engine }),
  'replaceFileSync()': ({ engine }) => replaceFileSync('/data/file', NEW, { engine }),
  'replaceFile() of pieces': ({ engine }) =>
    replaceFile('/data/file', pieces(NEW.slice(0, 700), NEW.slice(700)), { engine }),
  'replaceFile() of many views': ({ engine }) => {
    const views = Array.from({ length: 18 }, () => Buffer.from('new!'.repeat(25)));
    return replaceFile('/data/file', views, { engine });
  },
  'writeFileAtomic()': ({ engine }) => writeFileAtomic('/data/file', NEW, { engine }),
  'writeFileAtomic.sync()': ({ engine }) => writeFileAtomic.sync('/data/file', NEW, { engine }),
  'replaceFile() told its temporary name': ({ engine }) =>
    replaceFile('/data/file', NEW, { engine, onTemporary: () => undefined }),
};

const disks: Readonly<Record<string, DiskOptions>> = {
  'a plain disk': {},
  'short writes': { shortShare: 0.5 },
  'few views': { viewCountMax: 3 },
  'no held directories': {
    without: {
      'held-directories': 'not here',
      attributes: 'not here',
      'rename-without-replacing': 'not here',
    },
  },
};

for (const [name, run] of Object.entries(ways)) {
  test(`${name} cut short anywhere leaves old or new, and new once done`, async () => {
    for (const [kind, options] of Object.entries(disks)) {
      for (const loss of ['in order', 'any'] as const) {
        const report = await crashEverywhere({
          seed: 1,
          disk: options,
          names: loss,
          prepare: (disk) => disk.put('/data/file', OLD),
          run,
          check: checkReplaced(OLD),
        });
        ok(report.operationCount >= 10, `${kind}: ${report.operationCount} operations`);
        ok(report.stateCount >= 100, `${kind}: ${report.stateCount} states`);
      }
    }
  });
}

test('replaceFile() of a new file leaves none or all of it', async () => {
  for (const ifAbsent of [false, true]) {
    for (const without of [undefined, { 'rename-without-replacing': 'not here' }]) {
      await crashEverywhere({
        seed: 2,
        disk: { without },
        prepare: (disk) => disk.makeDirectory('/data'),
        run: ({ engine }) => replaceFile('/data/file', NEW, { engine, ifAbsent }),
        check: checkReplaced(undefined),
      });
    }
  }
});

test('replaceFile() through a link keeps the link and replaces what it leads to', async () => {
  await crashEverywhere({
    seed: 3,
    prepare: (disk) => {
      disk.put('/data/file', OLD);
      disk.makeLink('/elsewhere/link', '../data/file');
    },
    run: ({ engine }) => replaceFile('/elsewhere/link', NEW, { engine }),
    check: (state, isDone) => {
      equal(state.target('/elsewhere/link'), '../data/file');
      checkReplaced(OLD)(state, isDone);
    },
  });
});

test('replaceFile() keeps mode, owner and attributes of the old file through a crash', async () => {
  await crashEverywhere({
    seed: 4,
    prepare: ({ engine }) => {
      const calls = new Calls(engine);
      calls.put('/file', OLD);
      const fd = calls.open('/file', WriteOnly);
      calls.setMode(fd, 0o640);
      calls.sync(fd);
      calls.close(fd);
      calls.syncDirectory('/');
    },
    run: ({ engine }) => replaceFile('/file', NEW, { engine }),
    check: (state, isDone) => {
      checkReplaced(OLD, '/file')(state, isDone);
      equal(new Calls(state.engine).modeOf('/file'), 0o640);
    },
  });
});

test('replaces one after the other leave one of them, never an older one', async () => {
  let done = -1;
  const content = (index: number): string => `${index}`.repeat(600);
  await crashEverywhere({
    seed: 5,
    limit: 200,
    prepare: (disk) => {
      done = -1;
      disk.put('/file', OLD);
    },
    run: async ({ engine }) => {
      for (let index = 0; index < 3; index++) {
        await replaceFile('/file', content(index), { engine });
        done = index;
      }
    },
    check: (state) => {
      const found = textOf(state, '/file');
      const allowed = [done < 0 ? OLD : content(done), content(done + 1)];
      ok(found !== undefined && allowed.includes(found), `${found?.slice(0, 9)} after ${done}`);
    },
  });
});

/* ---------------------------------------------------------------------- planted violations */

const wrong: Readonly<Record<string, Way>> = {
  'no sync of the file': ({ engine }) => {
    const calls = new Calls(engine);
    calls.put('/data/new', NEW, { syncs: false });
    calls.rename('/data/new', '/data/file');
    calls.syncDirectory('/data');
  },
  'no sync of the directory': ({ engine }) => {
    const calls = new Calls(engine);
    calls.put('/data/new', NEW);
    calls.rename('/data/new', '/data/file');
  },
  'the directory is synced before the rename': ({ engine }) => {
    const calls = new Calls(engine);
    calls.put('/data/new', NEW);
    calls.syncDirectory('/data');
    calls.rename('/data/new', '/data/file');
  },
  'the rename before the write': ({ engine }) => {
    const calls = new Calls(engine);
    const fd = calls.open('/data/new', Create | WriteOnly);
    calls.rename('/data/new', '/data/file');
    calls.write(fd, NEW, 0);
    calls.sync(fd);
    calls.close(fd);
    calls.syncDirectory('/data');
  },
  'a write in place': ({ engine }) => {
    new Calls(engine).put('/data/file', NEW);
  },
  'cut to nothing and written again': ({ engine }) => {
    new Calls(engine).put('/data/file', NEW, { flags: Truncate | WriteOnly });
  },
  'the old one unlinked first': ({ engine }) => {
    const calls = new Calls(engine);
    calls.put('/data/new', NEW);
    calls.unlink('/data/file');
    calls.rename('/data/new', '/data/file');
    calls.syncDirectory('/data');
  },
  'replaceFile() with durable: file': ({ engine }) =>
    replaceFile('/data/file', NEW, { engine, durable: 'file' }),
  'replaceFile() with durable: false': ({ engine }) =>
    replaceFile('/data/file', NEW, { engine, durable: false }),
  'writeFileAtomic() with fsync: false': ({ engine }) =>
    writeFileAtomic('/data/file', NEW, { engine, fsync: false }),
};

for (const [name, run] of Object.entries(wrong)) {
  test(`crashEverywhere() finds a protocol wrong: ${name}`, async () => {
    const scenario = {
      seed: 6,
      prepare: (disk: SimulatedDisk) => disk.put('/data/file', OLD),
      run,
      check: checkReplaced(OLD),
    };
    let failure: unknown;
    try {
      await crashEverywhere(scenario);
    } catch (error) {
      failure = error;
    }
    ok(failure instanceof CrashFailure, `it was not found: ${failure}`);
    equal(failure.seed, 6);
    match(failure.message, /seed 6, power cut before operation \d+/);
    match(failure.message, /\d+ (open|write|rename) /);
  });
}

test('the same protocol done right by hand passes', async () => {
  await crashEverywhere({
    seed: 6,
    prepare: (disk) => disk.put('/data/file', OLD),
    run: ({ engine }) => {
      const calls = new Calls(engine);
      calls.put('/data/new', NEW);
      calls.rename('/data/new', '/data/file');
      calls.syncDirectory('/data');
    },
    check: checkReplaced(OLD),
  });
});

test('a name that a sync of the file makes durable needs no sync of the directory', async () => {
  const run: Way = ({ engine }) => {
    const calls = new Calls(engine);
    const fd = calls.open('/fresh', Create | WriteOnly);
    calls.write(fd, NEW, 0);
    calls.sync(fd);
  };
  const check: CrashScenario['check'] = (state, isDone) => {
    if (isDone) equal(textOf(state, '/fresh'), NEW);
  };
  await crashEverywhere({ seed: 7, disk: { namesWithFile: true }, run, check });
  await rejects(crashEverywhere({ seed: 7, run, check }), CrashFailure);
});

/* --------------------------------------------------------------------------- open files */

test('sync() makes durable what was written before it, whatever the crash', async () => {
  let synced = '';
  let written = '';
  const put = async (file: OpenFile, text: string): Promise<void> => {
    written += text;
    await file.append(Buffer.from(text));
  };
  const report = await crashEverywhere({
    seed: 8,
    limit: 500,
    prepare: (disk) => {
      synced = '';
      written = '';
      disk.put('/log', '');
    },
    run: async ({ engine }) => {
      const file = await openFile('/log', { access: 'append', engine });
      for (let round = 0; round < 3; round++) {
        await put(file, `${round}`.repeat(300));
        await put(file, 'x'.repeat(300));
        await (round === 1 ? file.syncData() : file.sync());
        synced = written;
      }
      await file.close();
    },
    check: (state) => ok(textOf(state, '/log')?.startsWith(synced), 'what was synced stands'),
  });
  ok(report.operationCount > 10);
});

test('writes of a file opened with sync: data are durable one by one', async () => {
  const done: number[] = [];
  await crashEverywhere({
    seed: 9,
    prepare: (disk) => {
      done.length = 0;
      disk.put('/log', 'o'.repeat(3000));
    },
    run: async ({ engine }) => {
      const file = await openFile('/log', { access: 'write', sync: 'data', engine });
      for (const offset of [0, 700, 2000, 3500]) {
        await file.writeAt(Buffer.from('N'.repeat(600)), offset);
        done.push(offset);
      }
    },
    check: (state) => {
      for (const offset of done) {
        equal(textOf(state, '/log')?.slice(offset, offset + 600), 'N'.repeat(600));
      }
    },
  });
});

test('a sync under way beside a write does not wait for it, when runs take turns', async () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 40; seed++) {
    const disk = simulatedDisk(seed, { reorderCompletions: true });
    disk.put('/log', 'old');
    const file = await openFile('/log', { access: 'write', engine: disk.engine });
    await Promise.all([file.writeAt(Buffer.from('new'), 0), file.sync()]);
    for (const state of crashStates(disk)) outcomes.add(textOf(state, '/log') as string);
    await file.close();
  }
  deepEqual([...outcomes].sort(), ['new', 'old']);
});

test('after crashAt() everything under way and everything later is a SimulatedCrash', async () => {
  const disk = simulatedDisk(1);
  disk.put('/a', 'text');
  const file = await openFile('/a', { access: 'read-write', engine: disk.engine });
  disk.crashAt(2);
  const calls = [1, 2, 3].map(() => file.readAt(new Uint8Array(4), 0));
  const settled = await Promise.allSettled(calls);
  deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  );
  for (const one of settled.slice(1)) {
    ok(one.status === 'rejected' && one.reason instanceof SimulatedCrash);
    match(one.reason.message, /seed 1/);
  }
  await rejects(openFile('/a', { engine: disk.engine }), SimulatedCrash);
  for (let time = 0; time < 2; time++) {
    throws(() => openFileSync('/a', { engine: disk.engine }), SimulatedCrash);
  }
  await rejects(file.close(), SimulatedCrash);
});

/*
 * A crash left such a write undone or whole: no journal was tried with a commit that was torn. The
 * commit of a journal is one write with O_DSYNC.
 */
test('crashAt() tears a write that is durable when it returns', async () => {
  const outcomes = new Set<string>();
  const disk = simulatedDisk(1);
  disk.put('/a', 'o'.repeat(1024));
  const file = await openFile('/a', { access: 'write', sync: 'data', engine: disk.engine });
  disk.crashAt(1);
  await rejects(file.writeAt(Buffer.from('n'.repeat(1024)), 0), SimulatedCrash);
  for (const state of crashStates(disk)) {
    const text = textOf(state, '/a') as string;
    outcomes.add(`${text[0]}${text[512]}`);
    equal(text.length, 1024);
  }
  deepEqual([...outcomes].sort(), ['nn', 'no', 'on', 'oo']);
});

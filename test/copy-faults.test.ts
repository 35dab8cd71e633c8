/**
 * A copy with its k-th operation refused, for every k: the target is old or the copy, never
 * neither, nothing is left, and the error says which. And sources that change meanwhile.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type CopyOptions, type CopyReport, copyFile, type Engine, IoError } from 'holdfast';
import { Code, codeName } from '#holdfast/platform.js';
import {
  type CopyFace,
  copyWith,
  facesOn,
  makeSparse,
  onEngines,
  refusedCopy,
} from './copy/worlds.js';
import { setAttribute } from './replace/attributes.js';
import { FaultyEngine, type Judge } from './replace/faulty.js';
import { temporaries } from './replace/worlds.js';
import { scratchInMemory } from './support/scratch.js';

const OLD = 'old content';

interface Scenario {
  readonly name: string;
  readonly options?: CopyOptions;
  readonly isFresh?: boolean;
  readonly prepare?: (source: string) => void;
}

const scenarios: readonly Scenario[] = [
  { name: 'an old target' },
  { name: 'a new target', isFresh: true },
  { name: 'replace: false', isFresh: true, options: { replace: false } },
  { name: 'reflink: never, times', options: { reflink: 'never', keepTimes: true } },
  { name: 'not durable', options: { durable: false } },
  {
    name: 'an attribute and a hole',
    prepare: (source) => {
      makeSparse(source, [[65536, 70000]], 200_000);
      setAttribute(source, 'user.holdfast', Buffer.from('kept'));
    },
  },
];

interface Outcome {
  readonly engine: FaultyEngine;
  readonly report: CopyReport | undefined;
  readonly error: unknown;
  readonly source: string;
  readonly target: string;
  readonly directory: string;
}

let caseCount = 0;

interface Under {
  readonly inner: Engine;
  readonly face: CopyFace;
  readonly judge: (paths: { source: string; target: string }) => Judge;
}

async function outcomeOf(root: string, scenario: Scenario, under: Under): Promise<Outcome> {
  const directory = join(root, `case-${caseCount++}`);
  mkdirSync(directory);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, 'new content!'.repeat(1000));
  scenario.prepare?.(source);
  if (scenario.isFresh !== true) writeFileSync(target, OLD);
  const engine = new FaultyEngine(under.inner, under.judge({ source, target }));
  let report: CopyReport | undefined;
  let error: unknown;
  try {
    report = await copyWith(under.face, engine)(source, target, scenario.options);
  } catch (thrown) {
    error = thrown;
  }
  return { engine, report, error, source, target, directory };
}

function contentAt(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

/** What may be refused without the copy being refused, and is told then. */
const TOLD: readonly Code[] = [
  Code.SetOwner,
  Code.SetAttribute,
  Code.ListAttributes,
  Code.GetAttribute,
];
/** What may be refused without a word: hints, a lock against sweeps, closes after the rename. */
const QUIET: readonly Code[] = [Code.Lock, Code.StartWriteback, Code.SetStatusFlags];

function checkOutcome(outcome: Outcome, scenario: Scenario, refused: number): void {
  const { engine, report, error, source, target, directory } = outcome;
  const { asked } = engine;
  const code = asked[refused] as Code;
  deepEqual([...engine.open], [], 'every descriptor is closed');
  equal(engine.wrongCloses, 0, 'no descriptor is closed twice');
  const isNameless = report?.fallbacks.some(({ what }) => what === 'temporary name') ?? false;
  if (!isNameless) deepEqual(temporaries(directory), []);
  const old = scenario.isFresh === true ? undefined : OLD;
  const naming = asked.findIndex((one) => one === Code.Rename || one === Code.Link);
  if (report !== undefined) {
    equal(contentAt(target), contentAt(source));
    equal(report.durability, scenario.options?.durable === false ? 'none' : 'full');
    if (naming > refused && !QUIET.includes(code)) {
      ok(TOLD.includes(code), `${codeName(code)} was refused and the copy was not`);
      ok(report.fallbacks.length > 0, `a refused ${codeName(code)} is told`);
    }
    return;
  }
  ok(error instanceof IoError, `${error}`);
  equal(error.path, source);
  equal(error.dest, target);
  ok(error.step !== undefined && error.kind !== 'unknown');
  if (error.durable === 'unknown') {
    ok(code === Code.Sync && naming >= 0 && naming < refused, 'the sync of the directory');
    equal(contentAt(target), contentAt(source));
  } else {
    equal(error.durable, 'old');
    equal(contentAt(target), old);
  }
}

onEngines(
  'a copy whose k-th operation is refused leaves the old or the copy, for every k',
  async (t, inner) => {
    const root = scratchInMemory(t);
    let count = 0;
    for (const scenario of scenarios) {
      for (const face of facesOn(inner)) {
        for (const refuse of scenario === scenarios[0] ? ['EIO', 'ENOSPC'] : ['EIO']) {
          for (let k = 0; ; k++) {
            const judge = (): Judge => (_, index) => (index === k ? { refuse } : undefined);
            const outcome = await outcomeOf(root, scenario, { inner, face, judge });
            if (outcome.engine.asked.length <= k) break;
            count++;
            const names = outcome.engine.names.join(' ');
            try {
              checkOutcome(outcome, scenario, k);
            } catch (cause) {
              throw new Error(`${face}, ${scenario.name}, ${refuse} at ${k} of ${names}`, {
                cause,
              });
            }
          }
        }
      }
    }
    ok(count > 80 * facesOn(inner).length, `${count} cases`);
  },
);

/*
 * copy_file_range(2) is refused or does nothing in many places: between file systems before 5.3,
 * by those without it since 5.19 (EXDEV, EOPNOTSUPP), for files under /proc and /sys from 5.3 to
 * 5.18, where it answered 0 and left an empty copy. What guards it: the copy is whole all the same.
 */
for (const refuse of ['EXDEV', 'EOPNOTSUPP', 'EINVAL', 'ENOSYS', 'EPERM', 'ETXTBSY', 'nothing']) {
  onEngines(`a copy goes on by reading after ${refuse} of the faster ways`, async (t, inner) => {
    const root = scratchInMemory(t);
    for (const scenario of [scenarios[0], scenarios[5]] as const) {
      for (const face of facesOn(inner)) {
        const judge =
          (): Judge =>
          ({ code, length }) => {
            if (code === Code.Clone) return { refuse: refuse === 'nothing' ? 'ENOSYS' : refuse };
            if (code === Code.Seek && refuse !== 'nothing') return { refuse: 'EINVAL' };
            if (code !== Code.CopyRange) return undefined;
            return refuse === 'nothing' && length > 0 ? { shortBytes: 0 } : { refuse };
          };
        const outcome = await outcomeOf(root, scenario as Scenario, { inner, face, judge });
        equal(outcome.error, undefined);
        equal(contentAt(outcome.target), contentAt(outcome.source));
        equal(outcome.report?.method, 'read-write');
        const noted = outcome.report?.fallbacks.map(({ what }) => what) ?? [];
        ok(noted.includes('reflink') && noted.includes('copy_file_range'), noted.join());
        deepEqual([...outcome.engine.open], []);
      }
    }
  });
}

onEngines('reflink: always refuses where there is none, the target untouched', async (t, inner) => {
  const root = scratchInMemory(t);
  for (const face of facesOn(inner)) {
    const judge =
      (): Judge =>
      ({ code }) =>
        code === Code.Clone ? { refuse: 'ENOTTY' } : undefined;
    const scenario: Scenario = { name: 'always', options: { reflink: 'always' } };
    const { error, target, engine } = await outcomeOf(root, scenario, { inner, face, judge });
    const { step, kind, durable } = error as IoError;
    deepEqual([step, kind, durable], ['reflink', 'unsupported', 'old']);
    equal(contentAt(target), OLD);
    ok(!engine.asked.includes(Code.CopyRange));
  }
});

type Change = (source: string) => void;

const changes: Readonly<Record<string, Change>> = {
  'is cut short': (source) => truncateSync(source, 3000),
  'is cut to nothing': (source) => truncateSync(source, 0),
  grows: (source) => appendFileSync(source, 'more'),
  'is written in place': (source) => writeFileSync(source, 'other bytes', { flag: 'r+' }),
  'is cut and grown again': (source) => {
    truncateSync(source, 0);
    truncateSync(source, 12000);
  },
};

/*
 * fs.copyFile spins for ever when its source shrinks under it: it asks sendfile(2) for the bytes
 * that the first stat promised. Others answer a mixture of two states. What guards it: an error.
 */
for (const [words, change] of Object.entries(changes)) {
  onEngines(`a source that ${words} under a copy ends it`, async (t, inner) => {
    const root = scratchInMemory(t);
    for (const at of [Code.Lock, Code.Read, Code.CopyRange, Code.Seek]) {
      for (const face of facesOn(inner)) {
        let isDone = false;
        const judge =
          ({ source }: { source: string }): Judge =>
          ({ code }) => {
            if (code === Code.Clone) return { refuse: 'EXDEV' };
            if (code !== at || isDone) return undefined;
            isDone = true;
            change(source);
            return undefined;
          };
        const prepare = (source: string): void => utimesSync(source, 1000, 1000);
        const scenario: Scenario = { name: words, prepare };
        const outcome = await outcomeOf(root, scenario, { inner, face, judge });
        if (!isDone) continue;
        const error = outcome.error as IoError;
        ok(error instanceof IoError, `${words} at ${codeName(at)}: ${error}`);
        deepEqual([error.code, error.kind, error.durable], ['ERR_SOURCE_CHANGED', 'busy', 'old']);
        equal(contentAt(outcome.target), OLD);
        deepEqual(temporaries(outcome.directory), []);
        deepEqual([...outcome.engine.open], []);
      }
    }
  });
}

/*
 * A log that was empty at first and is written as fast as it is read has no end. What guards it: a
 * look at the source after each piece.
 */
onEngines('a copy does not follow a source that was empty and grows', async (t, inner) => {
  const root = scratchInMemory(t);
  for (const face of facesOn(inner)) {
    let reads = 0;
    const judge =
      ({ source }: { source: string }): Judge =>
      ({ code }) => {
        if (code === Code.Read && reads++ < 200) appendFileSync(source, Buffer.alloc(65536, 1));
        return undefined;
      };
    const prepare = (source: string): void => truncateSync(source, 0);
    const scenario: Scenario = { name: 'an empty source', prepare };
    const outcome = await outcomeOf(root, scenario, { inner, face, judge });
    const { code, kind, durable } = outcome.error as IoError;
    deepEqual([code, kind, durable], ['ERR_SOURCE_CHANGED', 'busy', 'old']);
    ok(reads < 100, `${reads} reads`);
    equal(contentAt(outcome.target), OLD);
    reads = 0;
  }
});

onEngines('a refused write tells how far the copy was', async (t, inner) => {
  const root = scratchInMemory(t);
  const directory = join(root, 'd');
  mkdirSync(directory);
  const source = join(directory, 'source');
  writeFileSync(source, Buffer.alloc(40_000_000, 'x'));
  let count = 0;
  const judge: Judge = ({ code }) => {
    if (code === Code.Clone) return { refuse: 'EXDEV' };
    const isWrite = code === Code.Write || code === Code.CopyRange;
    return isWrite && ++count === 2 ? { refuse: 'EFBIG' } : undefined;
  };
  const engine = new FaultyEngine(inner, judge);
  const error = await refusedCopy(copyFile(source, join(directory, 'target'), { engine }));
  deepEqual([error.code, error.kind, error.step], ['EFBIG', 'too-large', 'write']);
  ok((error.bytesDone as number) > 0 && (error.bytesDone as number) < 40_000_000);
});

/*
 * Pieces are read and written in turn in one run: a short call in the middle leaves the rest of it
 * undone, and what goes on from there must neither skip nor repeat.
 */
onEngines('a copy by reading resumes after any short call', async (t, inner) => {
  const root = scratchInMemory(t);
  const [source, target] = [join(root, 'source'), join(root, 'target')];
  const tile = Buffer.from(Array.from({ length: 4099 }, (_, at) => 1 + ((at * 7) % 251)));
  const content = Buffer.alloc(1_500_001, tile);
  writeFileSync(source, content);
  for (const face of facesOn(inner)) {
    for (const every of [1, 2, 3]) {
      for (const cut of [1, 100_000]) {
        let count = 0;
        const judge: Judge = ({ code, length }) => {
          const moves = code === Code.Read || code === Code.Write;
          if (!moves || length <= cut || ++count % every !== 0) return undefined;
          return count > 40 ? undefined : { shortBytes: length - cut };
        };
        const engine = new FaultyEngine(inner, judge);
        const report = await copyWith(face, engine)(source, target, { reflink: 'never' });
        equal(report.bytes, content.length);
        ok(readFileSync(target).equals(content), `${face}: every ${every}., by ${cut} bytes`);
        ok(count > 10);
      }
    }
  }
});

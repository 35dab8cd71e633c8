/**
 * The refuse loop: every operation of every door fails at its first, second, ... n-th call, with
 * each code and short by each measure, once and from then on, until nothing notices. Nothing leaks,
 * nothing is left, and what the error says is so.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { IoError } from 'holdfast';
import { refuseNth, simulatedDisk } from 'holdfast/testing';
import { NEW, OLD, type Scenario, type Site, scenarios } from './refuse/scenarios.js';
import { type EngineWord, engineHere } from './replace/worlds.js';
import { scratchInMemory } from './support/scratch.js';

interface Fault {
  readonly code: string;
  readonly short?: number;
}

const faults: readonly Fault[] = [
  ...['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'EINTR', 'EAGAIN'].map((code) => ({ code })),
  { code: 'ENOSPC', short: 1 },
  { code: 'ENOSPC', short: -1 },
];

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
before(() => process.on('unhandledRejection', note));
after(() => process.off('unhandledRejection', note));

/** One run of a scenario with one operation refused. */
interface Trial extends Site {
  /** How often the fault has struck. */
  readonly struckCount: () => number;
  readonly openDescriptors: () => readonly number[];
  /** Names beside the file. */
  readonly others: () => readonly string[];
}

/** The lock file of an update stays. */
const isOther = (name: string): boolean => name !== 'file' && name !== '.file.lock';

type Make = (scenario: Scenario, n: number, fault: Fault, sticky: boolean) => Trial;

function simulatedTrial(scenario: Scenario, n: number, fault: Fault, sticky: boolean): Trial {
  const disk = simulatedDisk(n);
  disk.makeDirectory('/d');
  if (scenario.old !== undefined) disk.put('/d/file', scenario.old);
  const rule = disk.refuseNth(n, fault.code, { sticky, short: fault.short });
  return {
    engine: disk.engine,
    path: '/d/file',
    read: () => {
      const bytes = disk.read('/d/file');
      return bytes === undefined ? undefined : Buffer.from(bytes);
    },
    struckCount: () => rule.struckCount,
    openDescriptors: () => disk.openDescriptors,
    others: () => (disk.list('/d') ?? []).filter(isOther),
  };
}

function realTrials(word: EngineWord, home: string): Make | string {
  const inner = engineHere(word);
  if (typeof inner === 'string') return inner;
  let count = 0;
  return (scenario, n, fault, sticky) => {
    const directory = join(home, `${count++}`);
    const path = join(directory, 'file');
    mkdirSync(directory);
    if (scenario.old !== undefined) writeFileSync(path, scenario.old);
    const engine = refuseNth(inner, n, fault.code, { sticky, short: fault.short });
    const here = (): string[] => readdirSync(directory);
    return {
      engine,
      path,
      read: () => (here().includes('file') ? readFileSync(path) : undefined),
      struckCount: () => engine.struckCount,
      openDescriptors: () => engine.openDescriptors,
      others: () => here().filter(isOther),
    };
  };
}

/** Codes that stay when sticky: then the unlink of the temporary file is refused as well. */
function mayLeaveFile({ code, short }: Fault, sticky: boolean): boolean {
  return sticky && short === undefined && code !== 'EINTR';
}

async function runTrial(scenario: Scenario, trial: Trial): Promise<unknown> {
  try {
    await scenario.run(trial);
    return undefined;
  } catch (error) {
    return error;
  }
}

async function refuseLoop(scenario: Scenario, make: Make): Promise<number> {
  let trialCount = 0;
  for (const fault of faults) {
    for (const sticky of [false, true]) {
      for (let n = 1; ; n++) {
        const trial = make(scenario, n, fault, sticky);
        const error = await runTrial(scenario, trial);
        trialCount++;
        try {
          scenario.check(trial, error);
          deepEqual(trial.openDescriptors(), [], 'no descriptor is left open');
          if (!mayLeaveFile(fault, sticky)) checkNothingLeft(trial, error);
          checkResumed(fault, sticky, error);
        } catch (cause) {
          const words = `${fault.code} ${fault.short ?? ''} at ${n}${sticky ? ', sticky' : ''}`;
          throw new Error(`${scenario.name}, ${words}: ${(cause as Error).message}`, { cause });
        }
        if (trial.struckCount() === 0) {
          equal(error, undefined);
          break;
        }
        ok(n < 200, 'the loop comes to its end');
      }
    }
  }
  return trialCount;
}

/*
 * Short is not refused; but the last byte is, when each transfer is to leave one, and so is the
 * read of one byte that looks for the end of a file.
 */
function checkResumed({ code, short }: Fault, sticky: boolean, error: unknown): void {
  if (short === undefined) return;
  const isLast = sticky || /^Cannot read/.test((error as IoError | undefined)?.message ?? '');
  if (isLast && short < 0) equal((error as IoError | undefined)?.code ?? code, code);
  else equal(error, undefined, 'short is not refused');
}

/* A refused unlink, or a refused close of a link that has been made, leaves its name. */
function checkNothingLeft(trial: Trial, error: unknown): void {
  const others = trial.others();
  if (others.length === 0) return;
  equal(error, undefined, `${others} is left`);
  equal(trial.struckCount(), 1);
  equal(trial.read()?.toString(), NEW);
}

const makes: Readonly<Record<string, (t: Parameters<typeof scratchInMemory>[0]) => Make | string>> =
  {
    simulated: () => simulatedTrial,
    /* On the calling thread it is the pool. */
    ring: (t) => realTrials('ring', scratchInMemory(t)),
    pool: (t) => realTrials('pool', scratchInMemory(t)),
    portable: (t) => realTrials('portable', scratchInMemory(t)),
  };

for (const [word, trials] of Object.entries(makes)) {
  for (const scenario of scenarios) {
    if (word === 'ring' && /Sync\(|\.sync\(|, waiting/.test(scenario.name)) continue;
    test(`${scenario.name} survives the refuse loop (${word})`, async (t) => {
      const make = trials(t);
      if (typeof make === 'string') return t.skip(`needs the engine ${word}: ${make}`);
      const trialCount = await refuseLoop(scenario, make);
      ok(trialCount > 60, `${trialCount} trials`);
      await new Promise((resolve) => setImmediate(resolve));
      deepEqual(unhandled, []);
    });
  }
}

test('the refuse loop notices a door that leaks or lies', async () => {
  const { openFile } = await import('holdfast');
  const leaking: Scenario = {
    name: 'planted',
    old: OLD,
    run: async ({ engine, path }) => {
      const file = await openFile(path, { engine });
      await file.stat();
      await file.close();
    },
    check: () => undefined,
  };
  let failure: unknown;
  await refuseLoop(leaking, simulatedTrial).catch((error) => {
    failure = error;
  });
  ok(failure instanceof Error && /no descriptor is left open/.test(failure.message), `${failure}`);
});

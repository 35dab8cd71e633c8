/** A workload of everything that is promised to survive, by every engine and face. */
import { closeSync, fsyncSync, mkdirSync, openSync, symlinkSync, unlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import {
  defaultEngine,
  type Engine,
  openFile,
  type ReplaceReport,
  replaceFile,
  replaceFileSync,
  replaceFiles,
  writeFileAtomic,
} from 'holdfast';
import { contentOf } from '../replace/content.js';
import { engineHere, engineWords, pieces } from '../replace/worlds.js';
import { beginOf, doneOf, type Entry, mixedOf, recordOf } from './ledger.js';
import type { Site } from './rig.js';

export interface Input {
  readonly rounds: number;
  /** Replaces with `oneCommit`, which has to be taken. */
  readonly oneCommit?: boolean;
}

type Put = (path: string, turn: number, ifAbsent: boolean) => unknown;

/** The engine that a program gets which asks for none, and those that it can ask for. */
function enginesHere(): Set<Engine> {
  const named = engineWords.map(engineHere).filter((engine) => typeof engine !== 'string');
  return new Set([defaultEngine(), ...named]);
}

function waysToPut(oneCommit: boolean): Put[] {
  const ways: Put[] = [];
  const taken = (report: ReplaceReport): void => {
    if (report.oneCommit !== oneCommit) throw new Error(JSON.stringify(report));
  };
  for (const engine of enginesHere()) {
    if (oneCommit && engine.capabilities['native-calls'] !== true) continue;
    const how = (ifAbsent: boolean) => ({ engine, ifAbsent, oneCommit });
    ways.push(
      async (path, turn, ifAbsent) => taken(await replaceFile(path, mixedOf(turn), how(ifAbsent))),
      (path, turn, ifAbsent) => taken(replaceFileSync(path, mixedOf(turn), how(ifAbsent))),
      async (path, turn, ifAbsent) => {
        taken(await replaceFile(path, pieces(mixedOf(turn)), how(ifAbsent)));
      },
    );
  }
  if (!oneCommit) ways.push((path, turn) => writeFileAtomic(path, mixedOf(turn)));
  return ways;
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

/** Somebody else who syncs a file now and then, which commits what others have left undone. */
function meddler(path: string): () => Promise<void> {
  let goesOn = true;
  const work = async (): Promise<void> => {
    const file = await open(path, 'w');
    while (goesOn) {
      await file.write('x');
      await file.sync();
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    await file.close();
  };
  const done = work();
  return () => {
    goesOn = false;
    return done;
  };
}

interface Together {
  readonly at: (name: string) => string;
  readonly marked: (entry: Entry, turn: number, run: () => unknown) => Promise<void>;
  readonly mark: Site['mark'];
  readonly turn: number;
  readonly oneCommit: boolean;
}

/** Replaces that share the sync of their directory, many in one call, one in exchange. */
async function together({ at, marked, mark, turn, oneCommit }: Together): Promise<void> {
  const data = contentOf(turn);
  const beside = ['beside-0', 'beside-1', 'real/beside', 'beside-2', 'beside-3'];
  await Promise.all(
    beside.map((name) =>
      marked({ how: 'replace', name }, turn, () => replaceFile(at(name), data, { oneCommit })),
    ),
  );
  const batch = ['batch-0', 'real/batch', 'batch-1'].map(
    (name): Entry => ({ how: 'replace', name }),
  );
  for (const entry of batch) mark(beginOf(entry, turn));
  await replaceFiles(
    batch.map(({ name }) => ({ path: at(name), data })),
    { oneCommit },
  );
  for (const entry of batch) mark(doneOf(entry, turn));
  const engine = engineHere('pool');
  if (typeof engine === 'string') return;
  await marked({ how: 'replace', name: 'exchanged' }, turn, async () => {
    const exchange = turn > 0;
    const { oldPath } = await replaceFile(at('exchanged'), data, { engine, exchange, oneCommit });
    if (oldPath !== undefined && turn % 3 > 0) unlinkSync(oldPath);
  });
}

export async function work({ path, input, mark }: Site): Promise<void> {
  const { rounds, oneCommit = false } = input as Input;
  const at = (name: string): string => join(path, name);
  const marked = async (entry: Entry, turn: number, run: () => unknown): Promise<void> => {
    mark(beginOf(entry, turn));
    await run();
    mark(doneOf(entry, turn));
  };
  for (const name of ['real', 'links', 'made']) mkdirSync(at(name));
  symlinkSync('../real/state', at('links/state'));
  for (const name of ['', 'real', 'links', 'made']) syncDirectory(at(name));
  const log = await openFile(at('log'), { access: 'append', create: true });
  const inPlace = await openFile(at('in-place'), { access: 'write', create: true, sync: 'data' });
  syncDirectory(path);
  const stop = meddler(at('meddler'));
  mark('start');
  const ways = waysToPut(oneCommit);
  for (let turn = 0; turn < rounds; turn++) {
    const put = ways[turn % ways.length] as Put;
    await marked({ how: 'replace', name: 'state' }, turn, () => put(at('state'), turn, false));
    const fresh = `fresh-${turn}`;
    await marked({ how: 'replace', name: fresh }, turn, () => put(at(fresh), turn, turn % 2 > 0));
    const linked = { how: 'replace', name: 'real/state' } as const;
    await marked(linked, turn, () => put(at('links/state'), turn, false));
    await together({ at, marked, mark, turn, oneCommit });
    await marked({ how: 'append', name: 'log' }, turn, async () => {
      await log.append(recordOf(turn));
      await log.syncData();
    });
    await marked({ how: 'write', name: 'in-place' }, turn, async () => {
      const content = contentOf(turn);
      await inPlace.truncate(0);
      await inPlace.writeAt(content, 0);
    });
    await marked({ how: 'write', name: `made/${turn}` }, turn, async () => {
      const file = await openFile(at(`made/${turn}`), { access: 'write', create: 'exclusive' });
      await file.writeAt(contentOf(turn), 0);
      await file.sync();
      await file.close();
      syncDirectory(at('made'));
    });
  }
  mark('end');
  await stop();
  await log.close();
  await inPlace.close();
}

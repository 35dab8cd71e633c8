/** A workload of everything that is promised to survive, by every engine and face. */
import { closeSync, fsyncSync, mkdirSync, openSync, symlinkSync, unlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import {
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

/** Every way to replace in one commit of the journal; only the addon can. */
function waysInOneCommit(): Put[] {
  const engine = engineHere('pool');
  if (typeof engine === 'string') throw new Error(engine);
  const taken = ({ oneCommit, fallbacks }: ReplaceReport): void => {
    if (!oneCommit) throw new Error(JSON.stringify(fallbacks));
  };
  const all = (ifAbsent: boolean) => ({ engine, ifAbsent, oneCommit: true });
  return [
    async (path, turn, ifAbsent) => taken(await replaceFile(path, mixedOf(turn), all(ifAbsent))),
    (path, turn, ifAbsent) => taken(replaceFileSync(path, mixedOf(turn), all(ifAbsent))),
    async (path, turn, ifAbsent) => {
      taken(await replaceFile(path, pieces(mixedOf(turn)), all(ifAbsent)));
    },
  ];
}

function waysToPut(): Put[] {
  const ways: Put[] = [(path, turn) => writeFileAtomic(path, mixedOf(turn))];
  for (const word of engineWords) {
    const engine = engineHere(word);
    if (typeof engine === 'string') continue;
    ways.push(
      (path, turn, ifAbsent) => replaceFile(path, mixedOf(turn), { engine, ifAbsent }),
      (path, turn, ifAbsent) => replaceFileSync(path, mixedOf(turn), { engine, ifAbsent }),
      (path, turn, ifAbsent) => replaceFile(path, pieces(mixedOf(turn)), { engine, ifAbsent }),
    );
  }
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
  const ways = oneCommit ? waysInOneCommit() : waysToPut();
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

/** The two ways to drive a tree: one thing after the other, or several at the same time. */
import { drive, type Interrupt, type Steps } from '../engine.js';
import { invalidType } from '../errors.js';
import type { Entry } from './entries.js';
import { entryOf, type Found, type Job, type Tree } from './tree.js';
import type { CopyTreeReport } from './tree-options.js';

function isAdmitted(answer: unknown): boolean {
  if (typeof answer === 'boolean') return answer;
  throw invalidType('options.filter()', 'true or false', answer);
}

/** Copies a tree, one thing after the other; the filter has to answer at once. */
export function* treeSteps(tree: Tree): Steps<CopyTreeReport> {
  const { filter } = tree.settings;
  const admit = (found: Found): void => {
    const { folder, entries } = found;
    const admitted = entries.filter((one) => !filter || isAdmitted(filter(entryOf(folder, one))));
    tree.leaveOut(entries.length - admitted.length);
    tree.admit(found, admitted);
  };
  try {
    admit(yield* tree.begin());
    for (let job = tree.next(); job !== undefined; job = tree.next()) {
      const found = yield* tree.steps(job);
      if (found !== undefined) admit(found);
      tree.done(job);
    }
    return yield* tree.finish();
  } catch (error) {
    yield* tree.abandon();
    throw tree.told(error);
  }
}

/** Copies a tree, several things at the same time. The first failure ends what has not begun. */
export async function run(tree: Tree, signal: Interrupt | undefined): Promise<CopyTreeReport> {
  const { engine } = tree;
  try {
    await admit(tree, await drive(engine, tree.begin(), signal));
    await drained(tree, signal);
    return await drive(engine, tree.finish(), signal);
  } catch (error) {
    await drive(engine, tree.abandon());
    throw tree.told(error);
  }
}

async function admit(tree: Tree, found: Found): Promise<void> {
  const { filter } = tree.settings;
  if (filter === undefined) {
    tree.admit(found, found.entries);
    return;
  }
  const admitted: Entry[] = [];
  for (const entry of found.entries) {
    if (isAdmitted(await filter(entryOf(found.folder, entry)))) admitted.push(entry);
  }
  tree.leaveOut(found.entries.length - admitted.length);
  tree.admit(found, admitted);
}

async function perform(tree: Tree, job: Job, signal: Interrupt | undefined): Promise<void> {
  const found = await drive(tree.engine, tree.steps(job), signal);
  if (found !== undefined) await admit(tree, found);
  tree.done(job);
}

/* Settles when nothing is under way any more, also after a failure: nothing is left behind. */
function drained(tree: Tree, signal: Interrupt | undefined): Promise<void> {
  const { concurrency } = tree.settings;
  return new Promise((resolve, reject) => {
    let running = 0;
    let failure: { readonly error: unknown } | undefined;
    const settle = (): void => {
      running--;
      pump();
    };
    const fail = (error: unknown): void => {
      failure ??= { error };
      settle();
    };
    const pump = (): void => {
      while (failure === undefined && running < concurrency) {
        const job = tree.next();
        if (job === undefined) break;
        running++;
        perform(tree, job, signal).then(settle, fail);
      }
      if (running > 0) return;
      if (failure === undefined) resolve();
      else reject(failure.error);
    };
    pump();
  });
}

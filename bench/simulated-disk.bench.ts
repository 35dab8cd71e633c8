/**
 * The simulated disk: one cycle is a fresh disk with an old file, a replace cut short before a
 * random operation (or not at all), a crash, and the check that old or new is left.
 */
import { replaceFileSync } from 'holdfast';
import { crashStates, SimulatedCrash, type SimulatedDisk, simulatedDisk } from 'holdfast/testing';
import { looped } from './harness/measure.js';
import type { Question } from './harness/question.js';

const OLD = 'the old content of a small file';
const NEW = Buffer.from('the new content of a small file');
/** A little more than a replace has, so that some cycles come to their end. */
const OPERATIONS = 15;

export const question: Question = {
  description: 'crash-and-recover cycles of a small replace on the simulated disk, one core',
  async *cases() {
    const disk = simulatedDisk(1);
    disk.put('/data/file', OLD);
    let cycle = 0;
    yield {
      name: 'replaceFileSync, crash at random, check old or new',
      unit: 'us',
      higherIsBetter: false,
      subjects: [
        looped({
          name: 'one crash a replace',
          unit: 'us',
          roundMs: 200,
          run: (count) => {
            for (let done = 0; done < count; done++) oneCycle(disk, cycle++);
          },
        }),
        looped({
          name: 'every state a crash may leave, each checked',
          unit: 'us',
          roundMs: 200,
          run: (count) => {
            for (let done = 0; done < count; ) done += everyState(disk, cycle++);
          },
        }),
      ],
      goals: [{ subject: 'one crash a replace', valueAtMost: 100 }],
    };
  },
};

/** Starts from a copy, which a crash of a synced disk is; answers whether the replace ended. */
function replaced(disk: SimulatedDisk, cycle: number): boolean {
  disk.crashAt(1 + ((cycle * 7919) % OPERATIONS));
  try {
    replaceFileSync('/data/file', NEW, { engine: disk.engine });
    return true;
  } catch (error) {
    if (error instanceof SimulatedCrash) return false;
    throw error;
  }
}

function check(state: SimulatedDisk, isDone: boolean): void {
  const found = Buffer.from(state.read('/data/file') ?? []);
  if (found.equals(NEW) || (!isDone && found.equals(Buffer.from(OLD)))) return;
  throw new Error(`${state.origin}: ${found}`);
}

function oneCycle(origin: SimulatedDisk, cycle: number): void {
  const disk = origin.crash();
  const isDone = replaced(disk, cycle);
  check(disk.crash(), isDone);
}

function everyState(origin: SimulatedDisk, cycle: number): number {
  const disk = origin.crash();
  const isDone = replaced(disk, cycle);
  let count = 0;
  for (const state of crashStates(disk)) {
    check(state, isDone);
    count++;
  }
  return count;
}

/**
 * `npm run power -- --states 10000`: many power cuts, on the file systems and with the options
 * asked for. docs/testing.md has the options.
 */
import { parseArgs } from 'node:util';
import { journalFaultOf } from './journals.js';
import { faultOf } from './ledger.js';
import {
  type DiskKind,
  diskKinds,
  type RecordOptions,
  record,
  rigRefusal,
  type Workload,
} from './rig.js';

/** States of one recording; the next one has other times and other places on the disk. */
const perRecording = 250;
const faultsShownMax = 10;

const { values } = parseArgs({
  options: {
    states: { type: 'string', default: '1000' },
    fs: { type: 'string', multiple: true },
    seed: { type: 'string' },
    rounds: { type: 'string', default: '20' },
    'one-commit': { type: 'boolean', default: false },
    journal: { type: 'boolean', default: false },
    command: { type: 'string' },
    mount: { type: 'string', default: '' },
    make: { type: 'string', default: '' },
  },
});

const wordsOf = (text: string): string[] => text.split(' ').filter((word) => word !== '');

const wanted = numberOf('states');
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : numberOf('seed');
const options: RecordOptions = { mount: values.mount, make: wordsOf(values.make) };
const workload = workloadOf();
const look = values.journal ? journalFaultOf : faultOf;

function workloadOf(): Workload {
  const rounds = numberOf('rounds');
  if (values.command !== undefined) return { command: wordsOf(values.command) };
  if (values.journal) {
    return { module: new URL('./journals.js', import.meta.url), input: { rounds } };
  }
  const input = { rounds, oneCommit: values['one-commit'] };
  return { module: new URL('./promises.js', import.meta.url), input };
}

function numberOf(name: 'states' | 'seed' | 'rounds'): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`--${name} is a whole number, not ${values[name]}`);
}

for (const kind of values.fs ?? diskKinds) {
  if (!(diskKinds as readonly string[]).includes(kind)) {
    throw new RangeError(`--fs is one of ${diskKinds.join(', ')}, not ${kind}`);
  }
  const reason = rigRefusal(kind as DiskKind);
  if (reason === undefined) await cut(kind as DiskKind);
  else console.log(`NOT TESTED on ${kind}: ${reason}`);
}

async function cut(kind: DiskKind): Promise<void> {
  const began = performance.now();
  let [looked, wrong, recordings] = [0, 0, 0];
  while (looked < wanted) {
    const recording = await record(kind, workload, options);
    const states = recording.states(seed + recordings, Math.min(perRecording, wanted - looked));
    for (const state of states) {
      const fault = await look(state);
      if (fault === undefined) continue;
      if (++wrong <= faultsShownMax) console.log(`  seed ${seed + recordings}, ${fault}`);
    }
    await recording.close();
    recordings++;
    looked += states.length;
    if (states.length === 0) throw new Error('The workload left no state to look at');
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const how = [kind, values.make, values.mount].filter((word) => word !== '').join(' ');
  const from = `${recordings} recordings, seed ${seed}, ${seconds} s`;
  console.log(`${how}: ${wrong} of ${looked} states wrong, ${from}`);
  if (wrong > 0) process.exitCode = 1;
}

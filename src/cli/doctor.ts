/** `holdfast doctor`: what would be lost here, and whether anything can be done about it. */
import { type ProbeItem, type ProbeReport, probe } from '../index.js';
import { type Command, EXIT } from './command.js';
import { bytesText, type Colour } from './terminal.js';

/** `lost`: what was acknowledged can be lost. `doubt`: it depends on what nobody tells here. */
type Level = 'lost' | 'doubt' | 'fine';

interface Finding {
  readonly level: Level;
  readonly what: string;
  readonly why: string;
}

const FREE_BYTES_LOW = 64 * 1024 * 1024;
const COLOURS: Readonly<Record<Level, Colour>> = { lost: 'red', doubt: 'yellow', fine: 'green' };

function finding(level: Level, what: string, why: string): Finding {
  return { level, what, why };
}

function* ofMedium({ fileSystem }: ProbeReport): Generator<Finding> {
  const type = fileSystem.type.value ?? 'a file system of unknown type';
  const { value, unknown } = fileSystem.medium;
  if (value === 'memory') {
    yield finding('lost', type, 'it lies in memory: all of it is gone when the machine goes');
  } else if (value === 'kernel') {
    yield finding('lost', type, 'it keeps nothing: the kernel makes up what is read');
  } else if (value === 'network') {
    yield finding('doubt', type, 'a sync promises what the server does; ask who runs it');
  } else if (value === undefined) {
    yield finding('doubt', type, `nobody tells what keeps the bytes: ${unknown}`);
  } else {
    yield finding('fine', type, 'a device keeps the bytes');
  }
  if (fileSystem.readOnly.value === true) {
    yield finding('doubt', 'read-only', 'nothing can be written here');
  }
}

function* ofCache({ fileSystem, device, below }: ProbeReport): Generator<Finding> {
  if (fileSystem.medium.value !== 'device') return;
  const { barriers } = fileSystem;
  for (const { name, writeCache } of [device, ...below]) {
    const what = `write cache of ${name.value ?? 'the device'}`;
    if (writeCache.value === undefined) {
      yield finding('doubt', what, `unknown: ${writeCache.no ?? writeCache.unknown}`);
    } else if (writeCache.value !== 'write back') {
      yield finding('fine', what, writeCache.value);
    } else if (barriers.value === true) {
      yield finding('fine', what, 'write back; each sync makes the device write it out');
    } else if (barriers.no !== undefined) {
      yield finding('lost', what, `write back, and a sync leaves it full: ${barriers.no}`);
    } else {
      yield finding('doubt', what, `write back; whether a sync empties it: ${barriers.unknown}`);
    }
  }
}

function* ofJournal({ fileSystem }: ProbeReport): Generator<Finding> {
  if (fileSystem.medium.value !== 'device') return;
  const { journal, dataMode } = fileSystem;
  if (journal.value) {
    yield finding('fine', 'journal', journal.note ?? 'names and sizes change whole');
  } else if (journal.no !== undefined) {
    const why = 'after a power cut a check of the file system decides what is left of names';
    yield finding('doubt', 'journal', `${journal.no}: ${why}`);
  } else {
    yield finding('doubt', 'journal', journal.unknown ?? '');
  }
  if (dataMode.value === 'writeback') {
    const why = 'files that were not synced may hold old bytes of others after a power cut';
    yield finding('doubt', 'data=writeback', why);
  }
}

function* ofSyncs({ sync }: ProbeReport): Generator<Finding> {
  const all: readonly (readonly [string, ProbeItem<{ readonly primitive: string }>, string])[] = [
    ['sync of a file', sync.full, 'no write is ever acknowledged by the disk'],
    ['sync of a directory', sync.directory, 'a new name can be gone after a power cut'],
  ];
  for (const [what, { value, no, unknown }, else_] of all) {
    if (value !== undefined) yield finding('fine', what, value.primitive);
    else if (no !== undefined) yield finding('lost', what, `${no}: ${else_}`);
    else yield finding('doubt', what, unknown ?? '');
  }
}

function* ofRest({ engine, features, fileSystem }: ProbeReport): Generator<Finding> {
  const { value, note = '' } = engine.engine;
  if (value === 'portable') {
    yield finding('doubt', 'engine', `portable, with fewer capabilities: ${note}`);
  } else {
    yield finding('fine', 'engine', `${value}: ${note}`);
  }
  const { locks } = features;
  if (!locks.value) yield finding('doubt', 'locks', locks.no ?? locks.unknown ?? '');
  const free = fileSystem.freeBytes.value;
  if (free !== undefined && free < FREE_BYTES_LOW) {
    const why = `${bytesText(free)}: a replace needs room for the old and the new file`;
    yield finding('doubt', 'free space', why);
  }
}

function findingsIn(report: ProbeReport): Finding[] {
  const parts = [ofMedium, ofCache, ofJournal, ofSyncs, ofRest];
  const found = parts.flatMap((part) => [...part(report)]);
  const order: readonly Level[] = ['lost', 'doubt', 'fine'];
  return found.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
}

function doubtsIn(findings: readonly Finding[]): string {
  const count = findings.filter(({ level }) => level === 'doubt').length;
  return count === 0 ? '' : `; ${count} in doubt`;
}

export const doctor: Command = {
  name: 'doctor',
  about: 'tell what a power cut would take from files under a path, and what that hangs on',
  operands: '[path]',
  operandCount: [0, 1],
  options: [],
  notes: [
    'Ends with 3 if what was acknowledged can be lost here. What a device or a host says of ' +
      'itself is believed: only pulling the plug shows whether it is true.',
  ],
  async run({ terminal, signal, operands: [path = '.'] }) {
    const report = await probe(path, { signal });
    const findings = findingsIn(report);
    const isLost = findings.some(({ level }) => level === 'lost');
    const probed = report.place.probed.value;
    terminal.answer({ path, probed, safe: !isLost, findings }, () => {
      const width = Math.max(...findings.map(({ what }) => what.length)) + 2;
      const lines = findings.map(
        ({ level, what, why }) =>
          `  ${terminal.paint(level.padEnd(7), COLOURS[level])}${what.padEnd(width)}${why}`,
      );
      const verdict = isLost
        ? terminal.paint('What was acknowledged can be lost here.', 'bold', 'red')
        : `Nothing that is known here loses what was acknowledged${doubtsIn(findings)}.`;
      return [terminal.paint(`${path} (${probed ?? 'unknown'})`, 'bold'), ...lines, verdict].join(
        '\n',
      );
    });
    return isLost ? EXIT.found : EXIT.done;
  },
};

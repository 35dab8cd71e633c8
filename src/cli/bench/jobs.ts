/** The jobs of bench: those it has by name, and those of a line such as fio has. */
import { bytesIn, UsageError } from '../command.js';
import { hintFor } from '../parse.js';

export type Deed =
  | 'randread'
  | 'randwrite'
  | 'read'
  | 'write'
  | 'syncwrite'
  | 'syncappend'
  | 'journal'
  | 'replace';

export interface Job {
  readonly name: string;
  readonly group: string;
  readonly deed: Deed;
  readonly blockBytes: number;
  readonly depth: number;
  readonly direct: boolean;
  /** Who does it; only replaces have peers. */
  readonly peer?: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const DEPTHS = [1, 4, 16, 64];
const PEERS = [
  'node:fs, in place',
  'node:fs, the durable order',
  'write-file-atomic',
  'atomically',
];

function swept(
  group: string,
  deed: Deed,
  direct: boolean,
  depths: readonly number[],
  blockBytes = 4 * KIB,
): Job[] {
  return depths.map((depth) => ({
    name: `${group}-qd${depth}`,
    group,
    deed,
    blockBytes,
    depth,
    direct,
  }));
}

function single(name: string, deed: Deed, blockBytes: number, direct = false): Job {
  return { name, group: name, deed, blockBytes, depth: 1, direct };
}

/** What is run unless something else is asked for. */
export const JOBS: readonly Job[] = [
  ...swept('random-read', 'randread', false, DEPTHS),
  ...swept('random-read-direct', 'randread', true, DEPTHS),
  ...swept('random-write-direct', 'randwrite', true, DEPTHS),
  single('read', 'read', MIB),
  single('read-direct', 'read', MIB, true),
  single('write', 'write', MIB),
  single('write-direct', 'write', MIB, true),
  single('sync-overwrite', 'syncwrite', 4 * KIB),
  single('sync-append', 'syncappend', 4 * KIB),
  ...swept('journal-commit', 'journal', false, DEPTHS, 128),
  single('replace', 'replace', 4 * KIB),
  ...PEERS.map((peer) => ({
    ...single(`replace by ${peer}`, 'replace', 4 * KIB),
    group: 'replace',
    peer,
  })),
];

const DEEDS: readonly Deed[] = [
  'randread',
  'randwrite',
  'read',
  'write',
  'syncwrite',
  'syncappend',
  'journal',
  'replace',
];
const KEYS = ['name', 'rw', 'bs', 'iodepth', 'direct'];

function pairsIn(line: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const word of line.split(/[,\s]+/).filter(Boolean)) {
    const [key = '', value = '1'] = word.split('=');
    if (!KEYS.includes(key)) {
      throw new UsageError(`a job has no "${key}"${hintFor(key, KEYS)}; it has ${KEYS.join(', ')}`);
    }
    pairs.set(key, value);
  }
  return pairs;
}

/** A job from `name=mine,rw=randread,bs=8k,iodepth=16,direct=1`. Errors: `UsageError`. */
export function jobIn(line: string): Job {
  const pairs = pairsIn(line);
  const deed = (pairs.get('rw') ?? 'randread') as Deed;
  if (!DEEDS.includes(deed)) {
    throw new UsageError(`rw is one of ${DEEDS.join(', ')}, not "${deed}"${hintFor(deed, DEEDS)}`);
  }
  const blockBytes = bytesIn(pairs.get('bs') ?? '4k', 'bs');
  const depth = Number(pairs.get('iodepth') ?? '1');
  if (!(Number.isInteger(depth) && depth >= 1 && depth <= 1024)) {
    throw new UsageError(`iodepth is a whole number from 1 to 1024, not "${pairs.get('iodepth')}"`);
  }
  if (blockBytes < 1 || blockBytes > 64 * MIB) throw new UsageError('bs is from 1 to 64M');
  const isSingle = deed.startsWith('sync') || deed === 'replace';
  if (isSingle && depth !== 1) throw new UsageError(`${deed} is done one by one: iodepth=1`);
  const direct = pairs.get('direct') === '1';
  const name = pairs.get('name') ?? `${deed}-${pairs.get('bs') ?? '4k'}-qd${depth}`;
  return { name, group: name, deed, blockBytes, depth, direct };
}

/** The jobs by name or group. Errors: `UsageError` for a name there is not. */
export function jobsNamed(names: readonly string[]): Job[] {
  return names.flatMap((name) => {
    const found = JOBS.filter((job) => job.name === name || job.group === name);
    if (found.length > 0) return found;
    const known = [...new Set(JOBS.flatMap(({ name, group }) => [name, group]))];
    throw new UsageError(`there is no job "${name}"${hintFor(name, known)}`);
  });
}

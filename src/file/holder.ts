/** Who holds a lock that is refused: words for a message, looked up when it is needed. */
import type { Engine } from '../engine.js';
import { IoError } from '../errors.js';
import { environment, holderInTable, processState, type ShownLock } from '../platform.js';
import { type Claim, type LockRange, overlaps } from './claims.js';

/** Whoever holds a lock, as far as it can be told. */
export interface LockOwner {
  readonly pid: number;
  /** The host it runs on, where that was told. */
  readonly host?: string | undefined;
  /** Since when, in milliseconds since 1970, where that is known. */
  readonly sinceMs?: number | undefined;
  readonly program?: string | undefined;
  /** `gone`: no such process is seen from here, its lock may be about to be given up. */
  readonly state: 'running' | 'stopped' | 'gone' | 'unknown';
  readonly isThisProcess: boolean;
}

/** A lock that could not be had in time, or at all, and who holds it. */
export class LockHeldError extends IoError {
  readonly owner: LockOwner | undefined;

  constructor(fields: ConstructorParameters<typeof IoError>[0], owner: LockOwner | undefined) {
    super(fields);
    this.owner = owner;
  }
}

/* More is not worth a message: the calling thread looks. */
const LOOKING_MS = 100;

/** What is known of a process of this host. */
export function ownerByNumber(pid: number, told: Partial<LockOwner> = {}): LockOwner {
  const isThisProcess = pid === environment.processNumber;
  const seen = processState(pid);
  const state = seen === undefined ? 'gone' : seen.isStopped ? 'stopped' : 'running';
  return { ...told, pid, program: seen?.program, state, isThisProcess };
}

/** A claim of this process as an owner. */
export function ownClaim({ heldSinceMs }: Claim): LockOwner {
  const pid = environment.processNumber;
  return { pid, sinceMs: heldSinceMs, state: 'running', isThisProcess: true };
}

/** A lock that was refused. */
export interface Refused {
  readonly engine: Engine;
  readonly file: { readonly device: bigint; readonly inode: bigint };
  readonly range: LockRange;
  readonly exclusive: boolean;
  readonly isFlock: boolean;
}

/** A process that is seen to hold what stands in the way; where there are several, the first. */
export function ownerSeen({ engine, file, ...wanted }: Refused): LockOwner | undefined {
  if (engine.name === 'simulated') return undefined;
  const { device, inode } = file;
  const matters = (lock: ShownLock): boolean => {
    if (lock.isFlock !== wanted.isFlock || !overlaps(lock, wanted.range)) return false;
    return wanted.exclusive || lock.isExclusive;
  };
  const pid = holderInTable({ device, inode, matters }, LOOKING_MS);
  return pid === undefined ? undefined : ownerByNumber(pid);
}

function nameOf({ pid, program, host, isThisProcess, state }: LockOwner): string {
  if (isThisProcess) return 'this process';
  const details = [program, host === undefined ? undefined : `on ${host}`, wordsOf[state]];
  const known = details.filter((detail) => detail !== undefined);
  return known.length === 0 ? `pid ${pid}` : `pid ${pid} (${known.join(', ')})`;
}

const wordsOf: Readonly<Record<LockOwner['state'], string | undefined>> = {
  running: undefined,
  stopped: 'stopped',
  gone: 'not to be seen from here',
  unknown: undefined,
};

/** `held by pid 123 (node) since 2026-01-01T00:00:00.000Z`. */
export function heldWords(owner: LockOwner | undefined): string {
  if (owner === undefined) return 'held by a process that cannot be told';
  const { sinceMs } = owner;
  const since = sinceMs === undefined ? '' : ` since ${new Date(sinceMs).toISOString()}`;
  return `held by ${nameOf(owner)}${since}`;
}

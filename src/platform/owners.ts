/** Which processes hold locks, as Linux shows it: for messages, never for decisions. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { now } from './surroundings.js';

export interface ProcessState {
  /** The first 15 bytes of its name. */
  readonly program: string | undefined;
  /** Stopped by a signal, or by whoever traces it. */
  readonly isStopped: boolean;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/* No signal is sent by number 0; a process of somebody else's answers EPERM (kill(2)). */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * What a process is doing; `undefined` for one that cannot be seen from here (proc(5), stat). Only
 * Linux tells more than that it is there.
 */
export function processState(pid: number): ProcessState | undefined {
  if (process.platform !== 'linux') {
    return isThere(pid) ? { program: undefined, isStopped: false } : undefined;
  }
  const text = textOf(`/proc/${pid}/stat`);
  const [, program, state] = /^\d+ \((.*)\) (\S)/s.exec(text ?? '') ?? [];
  /* Z and X have ended: what they held is given up. */
  if (program === undefined || state === 'Z' || state === 'X') return undefined;
  return { program, isStopped: state === 'T' || state === 't' };
}

function isSameFile(path: string, device: bigint, inode: bigint): boolean {
  try {
    const stat = statSync(path, { bigint: true });
    return stat.dev === device && stat.ino === inode;
  } catch {
    return false;
  }
}

/** A lock that is shown for a file. `end` is the byte after its last; infinite for all bytes. */
export interface ShownLock {
  readonly isFlock: boolean;
  readonly isExclusive: boolean;
  readonly start: number;
  readonly end: number;
}

/* `lock:\t1: OFDLCK ADVISORY  WRITE -1 fe:01:4711 0 EOF`: proc_locks(5). */
const LINE =
  /^lock:\s+\d+: (FLOCK|POSIX|OFDLCK) +\S+ +(READ|WRITE) +\S+ \w+:\w+:(\d+) (\d+) (\d+|EOF)/gm;

function locksIn(text: string, inode: bigint): ShownLock[] {
  if (!text.includes('lock:')) return [];
  const found: ShownLock[] = [];
  for (const [, kind, type, number, start, last] of text.matchAll(LINE)) {
    if (number !== String(inode)) continue;
    const end = last === 'EOF' ? Number.POSITIVE_INFINITY : Number(last) + 1;
    const isExclusive = type === 'WRITE';
    found.push({ isFlock: kind === 'FLOCK', isExclusive, start: Number(start), end });
  }
  return found;
}

/** A file, and which of its locks are looked for. */
export interface LockQuestion {
  readonly device: bigint;
  readonly inode: bigint;
  readonly matters: (lock: ShownLock) => boolean;
}

/*
 * The lock of an open file description names no process (l_pid and /proc/locks say -1), but the
 * kernel shows it beside each descriptor: proc(5), fdinfo. The device it shows there is not the one
 * of stat(2) on btrfs, so the file itself is looked at.
 */
function holdsLock(pid: string, { device, inode, matters }: LockQuestion): boolean {
  return namesIn(`/proc/${pid}/fdinfo`).some((fd) => {
    const text = textOf(`/proc/${pid}/fdinfo/${fd}`) ?? '';
    return locksIn(text, inode).some(matters) && isSameFile(`/proc/${pid}/fd/${fd}`, device, inode);
  });
}

/**
 * A process that holds a lock of a file, as far as this one may look into others and finds it
 * within `milliseconds`: the thread is kept that long at most. The youngest are looked at first.
 */
export function holderInTable(question: LockQuestion, milliseconds: number): number | undefined {
  const endMs = now() + milliseconds;
  const pids = namesIn('/proc').filter((name) => /^\d+$/.test(name));
  for (const pid of pids.sort((one, two) => Number(two) - Number(one))) {
    if (now() > endMs) break;
    if (holdsLock(pid, question)) return Number(pid);
  }
  return undefined;
}

/** Time, chance and the process: the only doors to them. */
import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';

const NAME_BYTES = 16;
const POOL_BYTES = 1024;
let pool: Buffer | undefined;
let poolUsed = 0;

/** 128 bits nobody can foresee, as 32 hexadecimal digits: for names that must not be guessed. */
export function randomName(): string {
  if (pool === undefined || poolUsed === POOL_BYTES) {
    /* The global takes 1 ms at its first use; importing node:crypto takes 3.5 ms at once. */
    pool = Buffer.from(crypto.getRandomValues(new Uint8Array(POOL_BYTES)).buffer);
    poolUsed = 0;
  }
  const start = poolUsed;
  poolUsed += NAME_BYTES;
  const name = pool.toString('hex', start, poolUsed);
  pool.fill(0, start, poolUsed);
  return name;
}

/** Milliseconds since 1970. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** A number from 0 to less than 1 that anybody may foresee. */
export function chance(): number {
  return Math.random();
}

/** Calls back after so many milliseconds; answers what calls that off. Keeps the process alive. */
export function startTimer(milliseconds: number, run: () => void): () => void {
  const timer = setTimeout(run, milliseconds);
  return () => clearTimeout(timer);
}

const atEnd = new Set<() => void>();

function endAll(): void {
  for (const run of atEnd) run();
}

/**
 * Runs something when the process ends by itself (`process.exit`, nothing left to do), not when a
 * signal kills it; answers what calls that off.
 */
export function atExit(run: () => void): () => void {
  if (atEnd.size === 0) process.on('exit', endAll);
  atEnd.add(run);
  return () => {
    atEnd.delete(run);
    if (atEnd.size === 0) process.off('exit', endAll);
  };
}

let host: string | undefined;
let sleeping: Int32Array | undefined;

/** Stops the calling thread for so many milliseconds. */
export function sleep(milliseconds: number): void {
  sleeping ??= new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(sleeping, 0, 0, milliseconds);
}

/*
 * process.umask() without an argument sets the mask to 0 for a moment, for every thread
 * (nodejs.org, DEP0139); Linux shows it without touching it (man 5 proc, status).
 */
function modeMask(): number {
  try {
    const digits = /^Umask:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
    if (digits !== undefined) return Number.parseInt(digits, 8);
  } catch {
    /* No /proc: the next line is what there is. */
  }
  return process.umask();
}

/** What the process was told through its environment and its rights. */
export const environment: {
  readonly forcedEngine: string | undefined;
  readonly ringWithout: readonly string[];
  readonly isNodeProper: boolean;
  readonly modeMask: () => number;
  readonly workingDirectory: () => string;
  readonly onWindows: boolean;
  readonly processNumber: number;
  readonly hostName: () => string;
} = {
  get forcedEngine(): string | undefined {
    /* Set to nothing is not set. */
    return process.env.HOLDFAST_ENGINE || undefined;
  },
  get ringWithout(): readonly string[] {
    return (process.env.HOLDFAST_RING_WITHOUT ?? '').split(',').filter((name) => name !== '');
  },
  /* Bun and Deno have functions named as libuv's, which abort the process. */
  isNodeProper: process.versions.bun === undefined && !('Deno' in globalThis),
  modeMask,
  workingDirectory: () => process.cwd(),
  onWindows: process.platform === 'win32',
  processNumber: process.pid,
  hostName: () => {
    host ??= hostname();
    return host;
  },
};

function heldThroughProc(): true | string {
  if (process.platform !== 'linux') return 'node:fs sees names from the working directory alone';
  if ('permission' in process && process.permission !== undefined) {
    return 'the permission model knows paths alone';
  }
  return statSync('/proc/self/fd', { throwIfNoEntry: false }) ? true : '/proc is not mounted';
}

/**
 * Whether `node:fs` can see names from a directory that is held open, or the reason why not: on
 * Linux, /proc has a path for every descriptor (proc(5)).
 */
export const heldDirectories: true | string = heldThroughProc();

/**
 * The system calls of a child, counted and in order, as strace(1) sees them. What a ring does in
 * the kernel is no system call and is not seen.
 */
import { readFileSync } from 'node:fs';
import { type ChildOptions, type Ended, hasTool, runChild } from './child.js';
import { scratch, type Test } from './scratch.js';

/** One system call that returned. */
export interface Call {
  readonly pid: number;
  readonly name: string;
  /** As strace prints them; a descriptor is followed by its path: `21</tmp/x>, "data", 4, 0`. */
  readonly args: string;
  /** -1 for a failure; undefined if the call never returned. */
  readonly result: number | undefined;
  /** `ENOSPC` and its like. */
  readonly error: string | undefined;
}

export interface TraceOptions extends ChildOptions {
  /** Names or classes: `fsync`, `pwritev`, `%file`. Default: all calls. */
  readonly calls?: readonly string[];
  /** Faults, as in strace(1): `fdatasync:error=EIO:when=2`. Counted for each thread. */
  readonly inject?: readonly string[];
  /** How much of each string is kept. Default: 64. */
  readonly stringBytesMax?: number;
}

export interface Trace extends Ended {
  /** In the order in which they began. */
  readonly calls: readonly Call[];
  readonly counts: Readonly<Record<string, number>>;
}

const marker = '/holdfast-mark/';

/**
 * For the head of a child's source: defines `mark(name)`, which leaves a mark in the trace by
 * looking at a path that does not exist.
 */
export const markSource = `
import { accessSync } from 'node:fs';
const mark = (name) => { try { accessSync('${marker}' + name); } catch {} };
`;

/** Why nothing can be traced here, or undefined if it can. */
export function straceRefusal(): string | undefined {
  return hasTool('strace') ? undefined : 'strace is not installed';
}

/** Runs a child under strace. Where that cannot be, skips the test, says why, answers undefined. */
export async function traceFor(
  t: Test,
  { calls, inject, stringBytesMax, ...child }: TraceOptions,
): Promise<Trace | undefined> {
  const refusal = straceRefusal();
  if (refusal !== undefined) {
    t.diagnostic(`NOT TESTED: ${refusal}`);
    t.skip(refusal);
    return undefined;
  }
  const output = `${scratch(t)}/trace`;
  const filters = calls ? ['-e', `trace=${[...calls, '?access', '?faccessat'].join(',')}`] : [];
  for (const fault of inject ?? []) filters.push('-e', `inject=${fault}`);
  const under = ['strace', '-f', '-qq', '-y', '-s', String(stringBytesMax ?? 64)];
  under.push('-e', 'signal=none', '-o', output, ...filters, '--');
  const ended = await runChild({ ...child, under });
  if (ended.code === null && ended.stderr.includes('ptrace')) {
    t.skip(`strace may not trace here: ${ended.stderr}`);
    return undefined;
  }
  const made = withHeldPaths(parseTrace(readFileSync(output, 'utf8')));
  return { ...ended, calls: made, counts: countCalls(made) };
}

/** Shows the directory in place of `/proc/self/fd/N`, by which node:fs sees names from it. */
function withHeldPaths(calls: readonly Call[]): Call[] {
  const paths = new Map<string, string>();
  return calls.map((call) => {
    const args = call.args.replace(/\/proc\/self\/fd\/(\d+)/g, (text, fd: string) => {
      return paths.get(fd) ?? text;
    });
    const opened = /^open(at)?$/.test(call.name) ? /"([^"]*)"/.exec(args)?.[1] : undefined;
    if (opened !== undefined && (call.result ?? -1) >= 0) paths.set(String(call.result), opened);
    return { ...call, args };
  });
}

/** The calls that began between two marks, the marks left out. */
export function callsBetween(calls: readonly Call[], from: string, to: string): Call[] {
  const at = (name: string): number => {
    const index = calls.findIndex(({ args }) => args.includes(`"${marker}${name}"`));
    if (index < 0) throw new Error(`The trace has no mark ${name}`);
    return index;
  };
  return calls.slice(at(from) + 1, at(to));
}

/** How often each call was made. */
export function countCalls(calls: readonly Call[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { name } of calls) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** What `strace -f -o` wrote: a call another thread came between stands in two lines. */
export function parseTrace(text: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, { readonly index: number; readonly head: string }>();
  for (const line of text.split('\n')) {
    const resumed = /^(\d+) +<\.\.\. (\w+) resumed>(.*)$/.exec(line);
    if (resumed) {
      const [, pid, name, tail] = resumed as unknown as [string, string, string, string];
      const begun = unfinished.get(pid + name);
      if (begun) calls[begun.index] = callOf(pid, name, begun.head + tail);
      unfinished.delete(pid + name);
      continue;
    }
    const began = /^(\d+) +(\w+)\((.*)$/.exec(line);
    if (!began) continue;
    const [, pid, name, rest] = began as unknown as [string, string, string, string];
    const head = rest.replace(/ <unfinished \.\.\.>\)?$/, '');
    if (head !== rest) unfinished.set(pid + name, { index: calls.length, head });
    calls.push(callOf(pid, name, head));
  }
  return calls;
}

function callOf(pid: string, name: string, rest: string): Call {
  const returned = /^(.*)\) += +(0x[0-9a-f]+|-?\d+|\?)(?:<.*?>)?(?: (E[A-Z0-9]+))?.*$/s.exec(rest);
  const [, args = rest, result = '?', error] = returned ?? [];
  return {
    pid: Number(pid),
    name,
    args,
    result: result === '?' ? undefined : Number(result),
    error,
  };
}

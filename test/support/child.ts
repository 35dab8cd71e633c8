/** Node children that can be killed, starved of descriptors or disk, and never outlive the test. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from './scratch.js';

/** Resource limits of the child, see prlimit(1) and setrlimit(2). */
export interface Limits {
  /** A write beyond this position ends short, the next one fails with EFBIG. */
  readonly fileSizeBytes?: number;
  /** Opens beyond this number fail with EMFILE; Node itself needs about 20. */
  readonly openFiles?: number;
  readonly lockedBytes?: number;
  readonly addressSpaceBytes?: number;
}

export interface ChildOptions {
  /** A compiled module: a path or a file URL. This or `source`. */
  readonly module?: string | URL;
  /** Text of an ES module, run in the project, so that it can import 'holdfast'. */
  readonly source?: string;
  readonly args?: readonly string[];
  readonly nodeArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly limits?: Limits;
  /** A command that runs the rest of its arguments, such as strace; outside the limits. */
  readonly under?: readonly string[];
  /** After so long the child is killed and its end says `timedOut`. Default: 30 s. */
  readonly timeoutMs?: number;
}

/** How a child ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

/** PATH as root has it: mkfs, losetup and their like are not on everyone's. */
export const toolEnvironment = {
  ...process.env,
  PATH: [process.env.PATH, '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter),
  LC_ALL: 'C',
};

/** Whether a program can be run here. */
export function hasTool(name: string): boolean {
  const found = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { env: toolEnvironment });
  return found.status === 0;
}

/** Why `Limits` cannot be set here, or undefined if they can. */
export function limitsRefusal(): string | undefined {
  return hasTool('prlimit') ? undefined : 'prlimit (util-linux) is not installed';
}

/** Runs a child to its end; a failure is in the answer, not thrown. */
export function runChild(options: ChildOptions): Promise<Ended> {
  return new Child(options).ended;
}

/** Runs a child that has to succeed; answers its stdout, or throws with its stderr. */
export async function outputOf(options: ChildOptions): Promise<string> {
  const ended = await runChild(options);
  if (ended.code === 0) return ended.stdout;
  const how = ended.timedOut ? 'took too long' : `ended with ${ended.signal ?? ended.code}`;
  throw new Error(`The child ${how}: ${ended.stderr || ended.stdout}`);
}

const alive = new Set<Child>();
process.on('exit', () => {
  for (const child of alive) child.kill();
});

/** A running child, in a process group of its own. */
export class Child {
  readonly ended: Promise<Ended>;
  readonly #process: ChildProcess;
  #stdout = '';
  #stderr = '';
  #timedOut = false;

  constructor(options: ChildOptions) {
    const [program, ...args] = commandOf(options);
    this.#process = spawn(program as string, args, {
      cwd: options.cwd ?? projectRoot,
      env: { ...toolEnvironment, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    alive.add(this);
    this.ended = this.#end(options.timeoutMs ?? 30_000);
  }

  get stdout(): string {
    return this.#stdout;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Resolves when the pattern stands in stdout; rejects if the child ends before it does. */
  async waitFor(pattern: string | RegExp): Promise<void> {
    const isThere = (): boolean =>
      typeof pattern === 'string' ? this.#stdout.includes(pattern) : pattern.test(this.#stdout);
    while (!isThere()) {
      if (this.#process.stdout?.readableEnded ?? true) {
        const { stdout, stderr } = await this.ended;
        if (isThere()) return;
        throw new Error(`The child ended without ${pattern}: ${stdout}${stderr}`);
      }
      await Promise.race([once(this.#process.stdout as NodeJS.ReadableStream, 'data'), this.ended]);
    }
  }

  /** Ends the child and all it started with SIGKILL: no handler runs, nothing is written out. */
  kill(): Promise<Ended> {
    const { pid } = this.#process;
    try {
      /* Windows has no groups of processes. */
      if (process.platform === 'win32') this.#process.kill('SIGKILL');
      else if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    } catch {
      // ESRCH: it has ended by itself.
    }
    return this.ended;
  }

  /** Stops the child: resolves when it stands, since a signal that was sent is not yet heard. */
  async stop(): Promise<void> {
    process.kill(this.pid as number, 'SIGSTOP');
    while (!this.#stands()) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  /* proc(5): the state follows the name, which may hold anything. */
  #stands(): boolean {
    const tasks = `/proc/${this.pid}/task`;
    return readdirSync(tasks).every((task) => {
      return /\) T [^)]*$/s.test(readFileSync(`${tasks}/${task}/stat`, 'latin1'));
    });
  }

  async #end(timeoutMs: number): Promise<Ended> {
    const timer = setTimeout(() => {
      this.#timedOut = true;
      void this.kill();
    }, timeoutMs);
    try {
      const [code, signal] = (await once(this.#process, 'close')) as [
        number | null,
        NodeJS.Signals | null,
      ];
      const { stdout } = this;
      return { code, signal, stdout, stderr: this.#stderr, timedOut: this.#timedOut };
    } catch (error) {
      // 'error': the program could not be started.
      return { code: null, signal: null, stdout: '', stderr: String(error), timedOut: false };
    } finally {
      clearTimeout(timer);
      alive.delete(this);
    }
  }
}

function commandOf(options: ChildOptions): string[] {
  const { module, source } = options;
  if ((module === undefined) === (source === undefined)) {
    throw new TypeError('A child runs either a module or a source');
  }
  const program = module
    ? [module instanceof URL ? fileURLToPath(module) : module]
    : ['--input-type=module', '--eval', source as string, '--'];
  return [
    ...(options.under ?? []),
    ...limitWords(options.limits ?? {}),
    process.execPath,
    ...(options.nodeArgs ?? []),
    ...program,
    ...(options.args ?? []),
  ];
}

/**
 * For children that end workers at any moment. Node 20.20.2 may abort by itself then (ForIsolate in
 * node_platform.cc): a thread that compiles for the worker asks for a collection when its isolate
 * is gone. Seen once in some ten runs of the gate, with no frame of ours in it.
 */
export const endsWorkers: readonly string[] = ['--no-concurrent-recompilation'];

function limitWords(limits: Limits): string[] {
  const flags: string[] = [];
  const add = (flag: string, value: number | undefined): void => {
    if (value !== undefined) flags.push(`--${flag}=${value}`);
  };
  add('fsize', limits.fileSizeBytes);
  add('nofile', limits.openFiles);
  add('memlock', limits.lockedBytes);
  add('as', limits.addressSpaceBytes);
  return flags.length > 0 ? ['prlimit', ...flags, '--'] : [];
}

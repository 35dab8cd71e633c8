/** `holdfast lock`: a command that no two run at once. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { type FileLock, LockHeldError, lockFile } from '../index.js';
import { type Command, EXIT, type Given } from './command.js';

/* Ctrl-C reaches the whole group of a terminal, the command too; SIGTERM reaches us alone. */
const PASSED_ON = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

/** Runs a program to its end with our own standard streams; answers what a shell would. */
function ended(words: readonly string[], lock: FileLock, terminal: Given['terminal']) {
  const [program = '', ...rest] = words;
  return new Promise<number>((resolve) => {
    const child = spawn(program, rest, {
      stdio: 'inherit',
      env: { ...process.env, HOLDFAST_LOCK: lock.path ?? '' },
    });
    const passers = PASSED_ON.map((signal) => ({ signal, pass: () => child.kill(signal) }));
    for (const { signal, pass } of passers) process.on(signal, pass);
    const end = (code: number): void => {
      for (const { signal, pass } of passers) process.off(signal, pass);
      resolve(code);
    };
    child.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      terminal.warn(`holdfast lock: ${message}`);
      end(code === 'ENOENT' ? EXIT.notThere : EXIT.cannotRun);
    });
    child.on('exit', (code, signal) => {
      end(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

function whoHas({ owner, path }: LockHeldError): string {
  if (owner === undefined) return `${path} is held by another process`;
  const { pid, program, host, sinceMs } = owner;
  const since = sinceMs === undefined ? '' : ` since ${new Date(sinceMs).toISOString()}`;
  return `${path} is held by process ${pid}${program ? ` (${program})` : ''}${
    host ? ` on ${host}` : ''
  }${since}`;
}

export const lock: Command = {
  name: 'lock',
  about: 'run a command while holding a lock: no two at once, on this machine',
  operands: '<lock file> -- <command …>',
  operandCount: [1, 1],
  takesCommand: true,
  options: [
    { name: 'shared', short: 's', about: 'share the lock with others who share it' },
    { name: 'no-wait', short: 'n', about: 'end with 75 if somebody else has it' },
    { name: 'timeout', short: 't', value: 'time', about: 'wait so long: 500ms, 5s, 2m' },
  ],
  notes: [
    "The lock is the kernel's: it ends with this process, however it ends. The file stays, and " +
      'says who has it. The command finds its name in HOLDFAST_LOCK.',
    'Example: holdfast lock --timeout 10s backup.lock -- rsync -a data/ backup/',
  ],
  async run({ terminal, signal, options, operands: [path = ''], command }) {
    const timeoutMs = options.has('no-wait') ? 0 : options.milliseconds('timeout');
    let held: FileLock;
    try {
      const exclusive = !options.has('shared');
      terminal.progress(`waiting for ${path}`);
      held = await lockFile(path, { exclusive, signal, timeoutMs });
    } catch (error) {
      if (!(error instanceof LockHeldError)) throw error;
      terminal.clear();
      const { owner, code, message } = error;
      terminal.warn(`holdfast lock: ${whoHas(error)}`);
      if (terminal.isJson) terminal.answer({ error: { code, message, owner } }, String);
      return EXIT.held;
    }
    terminal.clear();
    try {
      return await ended(command, held, terminal);
    } finally {
      await held.release();
    }
  },
};

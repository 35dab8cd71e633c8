/** From the words of a shell to an exit code. */
import { AbortError, configure, type EngineName, IoError } from '../index.js';
import { now, startTimer } from '../platform.js';
import { type Command, EXIT, UsageError } from './command.js';
import { commands, version } from './commands.js';
import { helpOf, helpOfAll } from './help.js';
import { hintFor, parse } from './parse.js';
import { Terminal } from './terminal.js';

/* No exit code, but the mark of work that was aborted. */
const ABORTED = -1;

/** Runs a command. What is refused is told, never thrown; answers the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  const interruption = new Interruption();
  let code: number;
  try {
    code = await interruption.ended(toRun(words, interruption.signal));
  } finally {
    interruption.stop();
  }
  return code;
}

async function toRun(words: readonly string[], signal: AbortSignal): Promise<number> {
  const [name, ...rest] = words;
  const own = wantsJson(words);
  const terminal = new Terminal({
    isJson: own,
    isQuiet: words.includes('--quiet') || words.includes('-q'),
    hasColour: !words.includes('--no-color'),
  });
  const command = commands.find((one) => one.name === name);
  try {
    if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
      return help(terminal, rest[0]);
    }
    if (name === '--version' || name === 'version') {
      terminal.answer({ version: version() }, version);
      return EXIT.done;
    }
    if (command === undefined) {
      const names = commands.map((one) => one.name);
      throw new UsageError(`there is no command "${name}"${hintFor(name, names)}`);
    }
    return await run(command, rest, terminal, signal);
  } catch (error) {
    terminal.clear();
    return told(error, command, terminal);
  } finally {
    await terminal.drained();
  }
}

function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end < 0 ? words : words.slice(0, end)).includes('--json');
}

async function run(
  command: Command,
  words: readonly string[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const { options, operands, command: behind } = parse(command, words);
  if (options.has('help')) return help(terminal, command.name);
  const engine = options.text('engine');
  if (engine !== undefined) configure({ engine: engine as EngineName });
  const code = await command.run({ terminal, signal, options, operands, command: behind });
  terminal.clear();
  return code;
}

function help(terminal: Terminal, name: string | undefined): number {
  const command = commands.find((one) => one.name === name);
  const text = command === undefined ? helpOfAll(commands) : helpOf(command);
  terminal.answer({ help: text }, () => text);
  return EXIT.done;
}

function told(error: unknown, command: Command | undefined, terminal: Terminal): number {
  const label = terminal.paintWarning(`holdfast${command ? ` ${command.name}` : ''}:`, 'red');
  const { name, message, code } = error as NodeJS.ErrnoException;
  if (error instanceof AbortError || name === 'AbortError') return ABORTED;
  terminal.warn(`${label} ${message}`);
  if (error instanceof IoError) {
    const { kind, path, dest, durable, step, syscall } = error;
    if (durable !== undefined) terminal.warn(wordsOf(durable));
    const fields = { code, kind, message, syscall, path, dest, step, durable };
    if (terminal.isJson) terminal.answer({ error: fields }, String);
    return EXIT.refused;
  }
  if (terminal.isJson) terminal.answer({ error: { code: code ?? 'USAGE', message } }, String);
  if (isOfWords(error)) {
    terminal.warn(`\`holdfast ${command ? `${command.name} ` : ''}--help\` tells what it takes`);
    return EXIT.usage;
  }
  if (code === undefined || error instanceof TypeError)
    terminal.warn(String((error as Error).stack));
  return EXIT.refused;
}

function isOfWords(error: unknown): boolean {
  if (error instanceof UsageError) return true;
  const { code } = error as NodeJS.ErrnoException;
  return ['ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE'].includes(`${code}`);
}

function wordsOf(durable: 'old' | 'new' | 'unknown'): string {
  if (durable === 'old') return 'The old content stands.';
  if (durable === 'new') return 'The new content stands.';
  return 'Which content a power cut would leave is not known.';
}

/* timeout(1) signals its child, then the child's group: one wish, heard twice. */
const SAME_WISH_MS = 300;

/**
 * Ctrl-C and SIGTERM abort, a second one ends at once. Whoever closes the pipe that is written to
 * wants no more: the work is aborted, too. An answer that could not be written otherwise was not
 * given: that is a refusal.
 */
class Interruption {
  readonly #controller = new AbortController();
  #code: number | undefined;
  #endedAt = 0;
  #unwritten: NodeJS.ErrnoException | undefined;
  readonly #onInt = (): void => this.#end(EXIT.interrupted);
  readonly #onTerm = (): void => this.#end(EXIT.terminated);
  readonly #onPipe = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') this.#unwritten ??= error;
    this.#controller.abort();
  };

  constructor() {
    process.on('SIGINT', this.#onInt);
    process.on('SIGTERM', this.#onTerm);
    process.stdout.on('error', this.#onPipe);
    process.stderr.on('error', () => this.#controller.abort());
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /* Aborted by nobody's signal: nobody reads on, and that is how `head` ends whoever it reads. */
  async ended(work: Promise<number>): Promise<number> {
    const code = await work;
    /* An error of a stream is told in the next turn. */
    await new Promise((resolve) => startTimer(0, () => resolve(undefined)));
    if (this.#unwritten !== undefined) {
      process.stderr.write(`holdfast: the answer cannot be written: ${this.#unwritten.message}\n`);
      return EXIT.refused;
    }
    return code === ABORTED ? (this.#code ?? EXIT.done) : code;
  }

  stop(): void {
    process.off('SIGINT', this.#onInt);
    process.off('SIGTERM', this.#onTerm);
  }

  #end(code: number): void {
    const time = now();
    if (this.#code !== undefined && time - this.#endedAt > SAME_WISH_MS) process.exit(code);
    if (this.#code !== undefined) return;
    this.#code = code;
    this.#endedAt = time;
    this.#controller.abort();
  }
}

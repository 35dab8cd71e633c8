/** Words of a shell to a command and its options; what is not understood is told with a hint. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type Command, type Option, Options, UsageError } from './command.js';

/** Taken by every command. */
export const COMMON: readonly Option[] = [
  { name: 'json', about: 'answer with one JSON value on standard output' },
  {
    name: 'engine',
    value: 'name',
    choices: ['ring', 'pool', 'portable'],
    about: 'work on this engine instead of the best one',
  },
  { name: 'quiet', short: 'q', about: 'show no progress' },
  { name: 'no-color', about: 'no colours; NO_COLOR in the environment does the same' },
  { name: 'help', short: 'h', about: 'show this help' },
];

export interface Parsed {
  readonly options: Options;
  readonly operands: readonly string[];
  readonly command: readonly string[];
}

/** How many letters have to change to make one word of the other. */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const changed = (row[j - 1] as number) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[other.length] as number;
}

/** `; did you mean …?`, or nothing. */
export function hintFor(word: string, names: readonly string[]): string {
  const near = names
    .map((name) => ({ name, distance: distanceOf(word, name) }))
    .filter(({ name, distance }) => distance < Math.min(3, name.length))
    .sort((a, b) => a.distance - b.distance)[0];
  return near === undefined ? '' : `; did you mean "${near.name}"?`;
}

function configOf(options: readonly Option[]): NonNullable<ParseArgsConfig['options']> {
  return Object.fromEntries(
    options.map(({ name, short, value, isMany = false }) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: isMany,
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
}

/* Node's words: "Unknown option '--jsn'. To specify a positional argument …". */
function saidOf(error: unknown, options: readonly Option[]): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const unknown = /^Unknown option '(-+)([^']*)'/.exec(message);
  if (code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION' || unknown === null) {
    return (message.split('\n')[0] as string).replace(/\.$/, '');
  }
  const [, dashes = '', name = ''] = unknown;
  const names = options.map((one) => `--${one.name}`);
  return `there is no option ${dashes}${name}${hintFor(`--${name}`, names)}`;
}

function checkChoices(values: Readonly<Record<string, unknown>>, options: readonly Option[]): void {
  for (const { name, choices } of options) {
    const value = values[name];
    if (choices === undefined || value === undefined) continue;
    if (!choices.includes(value as string)) {
      const hint = hintFor(String(value), choices);
      throw new UsageError(`--${name} takes one of ${choices.join(', ')}, not "${value}"${hint}`);
    }
  }
}

/** Errors: `UsageError` for what the command does not take. */
export function parse(command: Command, words: readonly string[]): Parsed {
  const options = [...command.options, ...COMMON];
  const end = command.takesCommand === true ? words.indexOf('--') : -1;
  const own = end < 0 ? words : words.slice(0, end);
  let parsed: ReturnType<typeof parseArgs>;
  try {
    const config = { options: configOf(options), allowPositionals: true, strict: true };
    parsed = parseArgs({ ...config, args: [...own] });
  } catch (error) {
    throw new UsageError(saidOf(error, options));
  }
  const { values, positionals } = parsed;
  checkChoices(values, options);
  if (values.help !== true) checkOperands(command, positionals);
  const rest = end < 0 ? [] : words.slice(end + 1);
  if (command.takesCommand === true && rest.length === 0 && values.help !== true) {
    throw new UsageError('there is no command behind --');
  }
  return { options: new Options(values), operands: positionals, command: rest };
}

function checkOperands(
  { operands, operandCount, choices }: Command,
  given: readonly string[],
): void {
  const [least, most] = operandCount;
  if (given.length < least) throw new UsageError(`something is missing: ${operands}`);
  if (given.length > most) throw new UsageError(`"${given[most]}" is one word too many`);
  const [first = ''] = given;
  if (choices !== undefined && !choices.includes(first)) {
    const hint = hintFor(first, choices);
    throw new UsageError(`"${first}" is none of ${choices.join(', ')}${hint}`);
  }
  if (given.includes('')) throw new UsageError('a path is empty');
}

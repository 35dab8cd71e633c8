/** The help: of all commands, and of each. */
import type { Command, Option } from './command.js';
import { COMMON } from './parse.js';

const COLUMNS_MAX = 96;

function wrapped(text: string, indent: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) as string;
    if (last !== '' && indent + last.length + 1 + word.length > COLUMNS_MAX) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join(`\n${' '.repeat(indent)}`);
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 4;
  return rows
    .map(([name, about]) => `  ${name.padEnd(width)}${wrapped(about, width + 2)}`)
    .join('\n');
}

function rowOf({ name, short, value, choices, about }: Option): [string, string] {
  const letter = short === undefined ? '    ' : `-${short}, `;
  const shown = value === undefined ? '' : ` ${choices?.join('|') ?? `<${value}>`}`;
  return [`${letter}--${name}${shown}`, about];
}

const EXIT_ROWS: readonly (readonly [string, string])[] = [
  ['0', 'done'],
  ['1', 'refused by the system; the reason stands on standard error'],
  ['2', 'wrong words; nothing was done'],
  ['3', 'done, and something was found: data could be lost here, a journal or an image is damaged'],
  ['75', 'lock: somebody else has it'],
  ['126, 127', 'lock: the command cannot be run, is not there; else its own exit code'],
  ['130, 143', 'ended by Ctrl-C or SIGTERM; nothing half-made is left'],
];

/** Of everything. */
export function helpOfAll(commands: readonly Command[]): string {
  return [
    'holdfast <command> [options]',
    '',
    'Storage-grade file I/O: an acknowledged write is still there after a crash.',
    '',
    'Commands',
    table(commands.map(({ name, about }) => [name, about])),
    '',
    'Options of every command',
    table(COMMON.map(rowOf)),
    '',
    'Exit codes',
    table(EXIT_ROWS),
    '',
    '`holdfast <command> --help` tells more. `holdfast --version` tells the version.',
  ].join('\n');
}

/** Of one command. */
export function helpOf(command: Command): string {
  const words = [command.name, '[options]', command.operands].filter((word) => word !== '');
  const paragraphs = (command.notes ?? []).flatMap((note) => ['', wrapped(note, 0)]);
  return [
    `holdfast ${words.join(' ')}`,
    '',
    wrapped(`${command.about[0]?.toUpperCase()}${command.about.slice(1)}.`, 0),
    '',
    'Options',
    table([...command.options, ...COMMON].map(rowOf)),
    ...paragraphs,
  ].join('\n');
}

/** `holdfast completion`: what a shell needs to know to complete our words. */
import { type Command, EXIT, type Option } from './command.js';
import { COMMON } from './parse.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

const optionsOf = (command: Command): readonly Option[] => [...command.options, ...COMMON];

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const words = optionsOf(command).map(({ name }) => `--${name}`);
    return `    ${command.name}) words="${[...words, ...(command.choices ?? [])].join(' ')}" ;;`;
  });
  const values = [...new Map(commands.flatMap(optionsOf).map((one) => [one.name, one])).values()]
    .filter(({ choices }) => choices !== undefined)
    .map(({ name, choices }) => `    --${name}) words="${choices?.join(' ')}"; plain=1 ;;`);
  return `# bash completion of holdfast: eval "$(holdfast completion bash)"
_holdfast() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words="" plain=""
  case "$COMP_CWORD:\${COMP_WORDS[1]}" in
    1:*) COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')} help" -- "$word"))
      return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  case "$before" in
${values.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [ -n "$plain" ] || [ "\${word#-}" != "$word" ] || COMPREPLY+=($(compgen -f -- "$word"))
}
complete -o filenames -F _holdfast holdfast
`;
}

const quoted = (text: string): string => text.replaceAll("'", "'\\''");

function zsh(commands: readonly Command[]): string {
  const escaped = (text: string): string => quoted(text).replace(/[[\]:]/g, '\\$&');
  const specs = ({ name, short, value, choices, about }: Option): string[] => {
    const action =
      value === undefined ? '' : `:${value}:${choices ? `(${choices.join(' ')})` : ''}`;
    const letters = short === undefined ? [] : [`'-${short}[${escaped(about)}]${action}'`];
    return [`'--${name}[${escaped(about)}]${action}'`, ...letters];
  };
  const cases = commands.map((command) => {
    const last = command.choices ? `':word:(${command.choices.join(' ')})'` : "'*:file:_files'";
    const words = [...optionsOf(command).flatMap(specs), last];
    return `    ${command.name}) _arguments ${words.join(' ')} ;;`;
  });
  const names = commands.map(({ name, about }) => `'${name}:${escaped(about)}'`);
  return `#compdef holdfast
# zsh completion of holdfast: source <(holdfast completion zsh)
_holdfast() {
  local -a commands
  commands=(${names.join(' ')})
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  shift words; (( CURRENT-- ))
  case "$words[1]" in
${cases.join('\n')}
  esac
}
compdef _holdfast holdfast
`;
}

function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => {
    const when = `-n '__fish_seen_subcommand_from ${command.name}'`;
    const first = `complete -c holdfast -f -n __fish_use_subcommand -a ${command.name}`;
    const options = optionsOf(command).map(({ name, short, value, choices, about }) => {
      const letter = short === undefined ? '' : ` -s ${short}`;
      const takes = value === undefined ? '' : choices ? ` -x -a '${choices.join(' ')}'` : ' -r';
      return `complete -c holdfast ${when} -l ${name}${letter}${takes} -d '${quoted(about)}'`;
    });
    const words = command.choices ?? [];
    const choices =
      words.length > 0 ? [`complete -c holdfast ${when} -f -a '${words.join(' ')}'`] : [];
    return [`${first} -d '${quoted(command.about)}'`, ...options, ...choices];
  });
  return `# fish completion of holdfast: holdfast completion fish | source\n${lines.join('\n')}\n`;
}

const writers: Readonly<Record<Shell, (commands: readonly Command[]) => string>> = {
  bash,
  zsh,
  fish,
};

/** The command; it completes those that `commands` tells, itself among them. */
export function completion(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    about: 'print a completion script for bash, zsh or fish',
    operands: SHELLS.join('|'),
    operandCount: [1, 1],
    choices: SHELLS,
    options: [],
    notes: ['Example: eval "$(holdfast completion bash)"'],
    async run({ terminal, operands: [shell = ''] }) {
      const text = writers[shell as Shell](commands());
      terminal.answer({ shell, script: text }, () => text.trimEnd());
      return EXIT.done;
    },
  };
}

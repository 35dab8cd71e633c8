/** `holdfast replace`: standard input under a name, durably, whole or not at all. */
import { replaceFile } from '../index.js';
import { type Command, EXIT, UsageError } from './command.js';
import { bytesText } from './terminal.js';

export const replace: Command = {
  name: 'replace',
  about: 'put standard input in the place of a file: the old content or the new, never a mix',
  operands: '<path>',
  operandCount: [1, 1],
  options: [
    { name: 'mode', value: 'octal', about: 'permissions of the new file; else those of the old' },
    { name: 'if-absent', about: 'refuse a file that exists' },
    { name: 'exchange', about: 'keep the old file beside it, under a name that is told' },
    { name: 'one-commit', about: 'wait for the journal once, where that is proved to be enough' },
    { name: 'no-follow', about: 'put a file in the place of a symbolic link' },
    { name: 'no-sync', about: 'do not wait for the disk; a power cut may leave an empty file' },
  ],
  notes: [
    'The file changes when standard input has ended and all of it is on the disk. A command ' +
      'before the pipe that fails ends its output early, too: use `set -o pipefail` and look.',
    'Example: jq .version=2 state.json | holdfast replace state.json',
  ],
  async run({ terminal, signal, options, operands: [path = ''] }) {
    if (process.stdin.isTTY)
      throw new UsageError('standard input is a terminal: pipe something in');
    let bytes = 0;
    const shown = async function* (): AsyncGenerator<Uint8Array> {
      for await (const view of process.stdin) {
        bytes += (view as Uint8Array).byteLength;
        terminal.progress(`${bytesText(bytes)} taken`);
        yield view as Uint8Array;
      }
    };
    const report = await replaceFile(path, shown(), {
      mode: options.mode('mode'),
      ifAbsent: options.has('if-absent'),
      exchange: options.has('exchange'),
      oneCommit: options.has('one-commit'),
      followSymlink: !options.has('no-follow'),
      durable: options.has('no-sync') ? false : 'full',
      signal,
    }).finally(() => process.stdin.destroy());
    terminal.clear();
    const old = report.oldPath === undefined ? [] : [`  the old file is ${report.oldPath}`];
    const fallbacks = report.fallbacks.map(({ what, reason }) => `  not ${what}: ${reason}`);
    terminal.answer(report, () =>
      [
        `${report.path}: ${bytesText(report.bytes)}, durability ${report.durability}`,
        ...old,
        ...fallbacks,
      ].join('\n'),
    );
    return EXIT.done;
  },
};

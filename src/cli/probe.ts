/** `holdfast probe`: what a place can do. */
import { formatProbe, probe as probePlace } from '../index.js';
import { type Command, EXIT } from './command.js';

export const probe: Command = {
  name: 'probe',
  about: 'tell what the disk under a path can do, and why not',
  operands: '[path]',
  operandCount: [0, 1],
  options: [{ name: 'measure', about: 'measure what a sync costs here; writes for half a second' }],
  notes: [
    'The path need not exist: its nearest parent is looked at. Two files stand there for some ' +
      'milliseconds.',
  ],
  async run({ terminal, signal, options, operands: [path = '.'] }) {
    const report = await probePlace(path, { measure: options.has('measure'), signal });
    terminal.answer(report, () => headed(formatProbe(report).trimEnd(), terminal.paint));
    return EXIT.done;

    function headed(text: string, paint: typeof terminal.paint): string {
      return text.replace(/^\S.*$/gm, (title) => paint.call(terminal, title, 'bold'));
    }
  },
};

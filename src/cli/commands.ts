/** The commands there are. */
import { readFileSync } from '../index.js';
import { bench } from './bench.js';
import type { Command } from './command.js';
import { completion } from './completion.js';
import { copy } from './copy.js';
import { doctor } from './doctor.js';
import { image } from './image.js';
import { journal } from './journal.js';
import { lock } from './lock.js';
import { probe } from './probe.js';
import { replace } from './replace.js';

/** As the package has it. */
export function version(): string {
  const bytes = readFileSync(new URL('../package.json', import.meta.url));
  return (JSON.parse(Buffer.from(bytes).toString()) as { version: string }).version;
}

export const commands: readonly Command[] = [
  probe,
  doctor,
  bench(version),
  copy,
  replace,
  lock,
  journal,
  image,
  completion(() => commands),
];

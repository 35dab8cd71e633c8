/** Replacing files: the same content, the same report, nothing left over, on every engine. */
import { type ReplaceOptions, replaceFile, replaceFileSync, writeFileAtomic } from 'holdfast';
import { patterned } from '../file/bytes.js';
import type { Clause, Stage } from './suite.js';

async function replaces(stage: Stage): Promise<unknown> {
  const { doors, engine, place } = stage;
  const replace = (name: string, data: string | Uint8Array[], options: ReplaceOptions = {}) => {
    const whole = { ...options, engine };
    const path = stage.path(name);
    return doors.face === 'sync'
      ? replaceFileSync(path, data, whole)
      : replaceFile(path, data, whole);
  };
  const told = (name: string, data: string | Uint8Array[], options?: ReplaceOptions) =>
    stage.tell(async () => {
      const { bytes, durability, replaced } = await replace(name, data, options);
      return [bytes, durability, replaced];
    });
  await told('new', 'first');
  await told('new', [patterned(10), patterned(20_000, 10)]);
  stage.told.push(Buffer.compare(place.content('new') ?? new Uint8Array(0), patterned(20_010)));
  await told('new', 'third', { ifAbsent: true });
  await told('other', 'x', { durable: 'file', ifAbsent: true });
  await told('other', 'xy', { durable: false });
  await told('absent/below', 'x');
  await told('new/below', 'x');
  stage.told.push(place.names().sort(), Buffer.from(place.content('other') ?? []).toString());
  return stage.told;
}

async function atomically(stage: Stage): Promise<unknown> {
  const { doors, engine, place } = stage;
  const path = stage.path('file');
  for (const text of ['one', 'two and more']) {
    if (doors.face === 'sync') writeFileAtomic.sync(path, text, { engine });
    else await writeFileAtomic(path, text, { engine });
    stage.told.push(Buffer.from(place.content('file') ?? []).toString());
  }
  stage.told.push(place.names());
  return stage.told;
}

export const replaceClauses: readonly Clause[] = [
  {
    name: 'replaceFile: content, report, refusals, nothing left over',
    body: replaces,
    comesTo: [
      [5, 'full', false],
      [20_010, 'full', true],
      0,
      'EEXIST exists',
      [1, 'file', false],
      [2, 'none', true],
      'ENOENT not-found',
      'ENOTDIR wrong-type',
      ['new', 'other'],
      'xy',
    ],
  },
  {
    name: 'writeFileAtomic: content, nothing left over',
    body: atomically,
    comesTo: ['one', 'two and more', ['file']],
  },
];

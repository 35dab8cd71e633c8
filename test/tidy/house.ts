/**
 * The shape of the house as data: who may know whom, and who may do what. The rules beside this
 * file read it; to move a wall, change it here and in ARCHITECTURE.md.
 */

/** A room imports only rooms of a lower rank. A private folder has the rank of its door. */
export const ranks: Readonly<Record<string, number>> = {
  errors: 0,
  bytes: 1,
  buffers: 2,
  iovec: 3,
  struct: 3,
  platform: 3,
  aligned: 4,
  engine: 4,
  frames: 4,
  file: 5,
  simulated: 5,
  mapped: 6,
  queue: 6,
  lock: 6,
  held: 6,
  probe: 6,
  observation: 6,
  replace: 7,
  journal: 7,
  copy: 8,
  update: 8,
  'write-file-atomic': 8,
  jsonl: 8,
  image: 8,
  directory: 9,
  index: 10,
  otel: 10,
  testing: 10,
  cli: 11,
};

/** Doors that package.json leads to: what they export is for users. */
export const entrances: ReadonlySet<string> = new Set(
  ['cli', 'image', 'index', 'journal', 'otel', 'queue', 'testing', 'write-file-atomic'].map(
    (room) => `src/${room}.ts`,
  ),
);

/** Rooms that touch the world: any builtin of Node, the clock, chance, `process`. */
export const worldly: ReadonlySet<string> = new Set(['platform', 'engine']);

/** Builtins the other rooms may import: pure ones. */
export const pureBuiltins: ReadonlySet<string> = new Set(['node:path']);

/** Builtins that one room may import besides: the command speaks to a terminal and to programs. */
export const builtinsOf: Readonly<Record<string, readonly string[]>> = {
  cli: [
    'node:child_process',
    /* Of the peers that bench measures. */
    'node:fs/promises',
    'node:module',
    'node:os',
    'node:perf_hooks',
    'node:util',
  ],
};

/** What a room outside the worldly ones may take from `process`. */
export const processMembers: Readonly<Record<string, readonly string[]>> = {
  cli: ['argv', 'env', 'exit', 'exitCode', 'hrtime', 'off', 'on', 'stderr', 'stdin', 'stdout'],
};

/** Doors whose shape an existing package dictates: a default export is part of that shape. */
export const borrowedShapes: ReadonlySet<string> = new Set(['write-file-atomic']);

export const functionLinesMax = 70;
export const lineColumnsMax = 100;
export const fileLinesMax = 500;

interface Word {
  /** Matches one lower-case word of a camelCase name. */
  readonly not: RegExp;
  readonly use: string;
  /** The rooms where the word is wrong; everywhere if left out. */
  readonly rooms?: readonly string[];
}

/** The table of STYLE.md, as far as a wrong word can be told from a right one by its spelling. */
export const vocabulary: readonly Word[] = [
  { not: /^chunk(s|ed|ing)?$/, use: 'view' },
  { not: /^vectors?$/, use: 'buffers or sequence' },
  { not: /^(flush(es|ed|ing)?|persist(s|ed|ing)?)$/, use: 'sync' },
  { not: /^(swap(s|ped|ping)?|sav(e|es|ed|ing))$/, use: 'replace' },
  { not: /^partial(ly)?$/, use: 'short, or torn after a crash' },
  { not: /^cookies?$/, use: 'tag' },
  { not: /^(poison(s|ed)?|dead)$/, use: 'broken' },
  {
    not: /^(entry|entries|messages?|blocks?)$/,
    use: 'record',
    rooms: ['frames', 'journal', 'jsonl'],
  },
  { not: /^events?$/, use: 'completion', rooms: ['queue'] },
];

/** Names the outside dictates, whole and as they are written there. */
export const borrowedNames: ReadonlySet<string> = new Set([]);

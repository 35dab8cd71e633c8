/** `holdfast cp`: a file or a tree, by the best way there is, durably. */
import { basename, join } from 'node:path';
import { copyFile, copyTree, IoError, type Reflink, statFile } from '../index.js';
import { type Command, EXIT, type Given, UsageError } from './command.js';
import { bytesText } from './terminal.js';

interface Way {
  readonly source: string;
  readonly target: string;
}

async function kindOf(path: string): Promise<string | undefined> {
  try {
    return (await statFile(path)).kind;
  } catch (error) {
    if (error instanceof IoError && error.kind === 'not-found') return undefined;
    throw error;
  }
}

/* A directory as the target takes the source under its own name, as in cp(1). */
async function wayOf([source = '', target = '']: readonly string[]): Promise<Way> {
  const isInside = (await kindOf(target)) === 'directory';
  return { source, target: isInside ? join(target, basename(source)) : target };
}

const told = (fallbacks: readonly { what: string; reason: string }[]): string[] =>
  fallbacks.map(({ what, reason }) => `  not ${what}: ${reason}`);

async function copyOne({ source, target }: Way, given: Given): Promise<number> {
  const { terminal, signal, options } = given;
  const report = await copyFile(source, target, {
    ...commonOf(given),
    replace: !options.has('no-replace'),
    signal,
    onProgress: ({ bytes, total }) => {
      const share = total > 0 ? bytes / total : undefined;
      terminal.progress(`${bytesText(bytes)} of ${bytesText(total)}  ${source}`, share);
    },
  });
  terminal.clear();
  const { path, method, bytes, durability } = report;
  terminal.answer(report, () =>
    [
      `${path}: ${bytesText(bytes)} by ${method}, durability ${durability}`,
      ...told(report.fallbacks),
    ].join('\n'),
  );
  return EXIT.done;
}

async function copyAll({ source, target }: Way, given: Given): Promise<number> {
  const { terminal, signal, options } = given;
  const report = await copyTree(source, target, {
    ...commonOf(given),
    replace: !options.has('no-replace'),
    special: options.has('skip-special') ? 'skip' : 'refuse',
    signal,
    onProgress: ({ files, bytes, path }) =>
      terminal.progress(`${files} files, ${bytesText(bytes)}  ${path}`),
  });
  terminal.clear();
  const { path, files, directories, links, bytes, durability, methods } = report;
  const ways = Object.entries(methods).filter(([, count]) => count > 0);
  terminal.answer(report, () =>
    [
      `${path}: ${files} files, ${directories} directories, ${links} links, ${bytesText(bytes)}, ` +
        `durability ${durability}`,
      ...ways.map(([method, count]) => `  ${count} by ${method}`),
    ].join('\n'),
  );
  return EXIT.done;
}

function commonOf({ options }: Given) {
  return {
    reflink: options.text('reflink') as Reflink | undefined,
    keepTimes: options.has('keep-times'),
    durable: options.has('no-sync') ? (false as const) : ('full' as const),
  };
}

export const copy: Command = {
  name: 'cp',
  about: 'copy a file or a tree: by a reflink where the disk can, whole or not at all, durably',
  operands: '<source> <target>',
  operandCount: [2, 2],
  options: [
    { name: 'recursive', short: 'r', about: 'copy a directory and all in it' },
    { name: 'no-replace', short: 'n', about: 'refuse a target that exists' },
    { name: 'keep-times', short: 'p', about: 'keep the times of access and modification' },
    {
      name: 'reflink',
      value: 'when',
      choices: ['auto', 'always', 'never'],
      about: 'share blocks where the file system can (auto)',
    },
    { name: 'skip-special', about: 'with -r: leave FIFOs, sockets and devices out' },
    { name: 'no-sync', about: 'do not wait for the disk; a power cut may lose the copy' },
  ],
  notes: [
    'Permissions, owner, attributes, ACLs and holes come along. A target that is a directory ' +
      'takes the source under its own name. Each file is put in place whole; Ctrl-C leaves ' +
      'none half copied.',
  ],
  async run(given) {
    const way = await wayOf(given.operands);
    const isTree = (await kindOf(way.source)) === 'directory';
    if (isTree && !given.options.has('recursive')) {
      throw new UsageError(`${way.source} is a directory: give --recursive`);
    }
    return isTree ? copyAll(way, given) : copyOne(way, given);
  },
};

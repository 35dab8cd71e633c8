/** `holdfast bench`: how fast this disk is, and what durability costs on it. */
import { dirname, join } from 'node:path';
import { IoError, removeFile, replaceFile, statFile } from '../index.js';
import { randomName } from '../platform.js';
import { type Command, EXIT, type Given, UsageError } from './command.js';

const MIB = 1024 * 1024;

/* Loaded when something is measured: other commands start sooner. */
const parts = () => import('./bench/parts.js');

async function compare({ operands, options, terminal }: Given): Promise<number> {
  const { compared, comparisonText, resultIn, storePage } = await parts();
  const [before, after] = operands;
  if (before === undefined || after === undefined) {
    throw new UsageError('--compare takes two results of --output');
  }
  const page = options.text('html');
  if (page !== undefined) await checkTarget(page);
  const found = compared(await resultIn(before), await resultIn(after));
  if (page !== undefined) await storePage(page, found);
  const { jobs, alone } = found;
  terminal.answer({ jobs, alone }, () => comparisonText(jobs, alone, terminal));
  if (page !== undefined) terminal.print(`\nThe report: ${page}`);
  return EXIT.done;
}

async function list({ terminal }: Given): Promise<number> {
  const { JOBS } = await parts();
  terminal.answer(JOBS, () => JOBS.map(({ name }) => name).join('\n'));
  return EXIT.done;
}

async function measure(given: Given, version: string): Promise<number> {
  const { terminal, signal, options, operands } = given;
  const { benched, JOBS, jobIn, jobsNamed, resultText, storePage } = await parts();
  if (operands.length > 1) throw new UsageError(`"${operands[1]}" is one word too many`);
  const isQuick = options.has('quick');
  const lines = options.all('job').map(jobIn);
  const named = jobsNamed((options.text('jobs') ?? '').split(',').filter(Boolean));
  const asked = [...named, ...lines];
  const plan = {
    path: operands[0] ?? '.',
    jobs: asked.length > 0 ? asked : JOBS,
    sizeBytes: sizeOf(options.bytes('size') ?? (isQuick ? 16 : 128) * MIB),
    rounds: options.integer('rounds', { min: 1, max: 100 }) ?? (isQuick ? 1 : 3),
    roundMs: options.milliseconds('time') ?? (isQuick ? 150 : 700),
    warmUpMs: isQuick ? 50 : 200,
    version,
  };
  if (plan.roundMs < 10) throw new UsageError('--time is at least 10ms');
  const [page, output] = [options.text('html'), options.text('output')];
  for (const path of [page, output]) if (path !== undefined) await checkTarget(path);
  const result = await benched(plan, terminal, signal);
  terminal.clear();
  if (output !== undefined) await replaceFile(output, `${JSON.stringify(result)}\n`);
  if (page !== undefined) await storePage(page, result);
  terminal.answer(result, () => resultText(result, terminal));
  if (page !== undefined) terminal.print(`\nThe report: ${page}`);
  return EXIT.done;
}

/* Rather now than after a minute. What may not be written is tried, beside it. */
async function checkTarget(path: string): Promise<void> {
  const folder = await statFile(dirname(path));
  if (folder.kind !== 'directory') throw new UsageError(`${dirname(path)} is no directory`);
  if (path.endsWith('/')) throw new UsageError(`${path} is no name of a file`);
  const isDirectory = await statFile(path).then(
    ({ kind }) => kind === 'directory',
    () => false,
  );
  if (isDirectory) throw new UsageError(`${path} is a directory`);
  const trial = join(dirname(path), `.holdfast-bench-${randomName()}`);
  try {
    await replaceFile(trial, '', { durable: false });
    await removeFile(trial, { durable: false });
  } catch (error) {
    const { code, kind, syscall } = error as IoError;
    throw new IoError({ action: 'write the file', code, kind, syscall, path, cause: error });
  }
}

function sizeOf(bytes: number): number {
  if (bytes >= MIB && bytes <= 2 ** 40) return bytes;
  throw new UsageError('--size is from 1M to 1024G');
}

/** The command; results tell the version of the package. */
export function bench(version: () => string): Command {
  return {
    name: 'bench',
    about: 'measure the disk under a path: reads, writes, syncs, replaces, beside others',
    operands: '[path] | --compare <before.json> <after.json>',
    operandCount: [0, 2],
    options: [
      { name: 'quick', about: 'a few seconds instead of a minute: to look, not to be quoted' },
      { name: 'html', value: 'file', about: 'write a report with charts: one file, no network' },
      { name: 'output', short: 'o', value: 'file', about: 'write the result as JSON' },
      { name: 'compare', about: 'compare two results instead of measuring; --html too' },
      { name: 'jobs', value: 'names', about: 'run these alone: names or groups, with commas' },
      {
        name: 'job',
        value: 'line',
        isMany: true,
        about: 'run a job of your own: name=mine,rw=randread,bs=8k,iodepth=16,direct=1',
      },
      { name: 'list', about: 'tell the names of the jobs' },
      { name: 'size', value: 'bytes', about: 'of the file that is read and overwritten (128M)' },
      { name: 'rounds', value: 'count', about: 'rounds of each job (3)' },
      { name: 'time', value: 'time', about: 'how long a round is (700ms)' },
    ],
    notes: [
      'rw is one of randread, randwrite, read, write, syncwrite (over old blocks), ' +
        'syncappend, journal, replace. Everything happens in a directory made below the path, ' +
        'and is removed. Buffered jobs read what the page cache has.',
      'write-file-atomic and atomically are measured where they are installed: in node_modules ' +
        'of the working directory.',
    ],
    run(given) {
      if (given.options.has('compare')) return compare(given);
      return given.options.has('list') ? list(given) : measure(given, version());
    },
  };
}

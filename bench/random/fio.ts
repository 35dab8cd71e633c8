/** fio, the measure of what the kernel can give: one sample is the mean of a run of its own. */
import { spawnSync } from 'node:child_process';
import type { Subject } from '../harness/question.js';

export interface FioChoices {
  readonly name: string;
  readonly path: string;
  readonly depth: number;
  readonly isDirect: boolean;
  /** Submissions handed over, and completions reaped, at most at once. */
  readonly batch: number;
  /** `mean`: microseconds an operation; `p50`: its median latency, from its submission on. */
  readonly tells: 'mean' | 'p50';
}

interface FioReport {
  readonly jobs: readonly {
    readonly read: {
      readonly iops: number;
      readonly lat_ns: { readonly percentile?: Readonly<Record<string, number>> };
    };
  }[];
}

const runSeconds = 1;

function argumentsFor({ path, depth, isDirect, batch }: FioChoices): string[] {
  const settings: Readonly<Record<string, string | number>> = {
    name: 'random',
    filename: path,
    rw: 'randread',
    bs: '4k',
    ioengine: 'io_uring',
    iodepth: depth,
    iodepth_batch_submit: Math.min(batch, depth),
    iodepth_batch_complete_min: 1,
    iodepth_batch_complete_max: Math.min(batch, depth),
    fixedbufs: 1,
    registerfiles: 1,
    direct: isDirect ? 1 : 0,
    time_based: 1,
    runtime: runSeconds,
    norandommap: 1,
    randrepeat: 0,
    invalidate: 0,
    lat_percentiles: 1,
    'output-format': 'json',
  };
  return Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
}

/** Whether fio is here. */
export function hasFio(): boolean {
  return spawnSync('fio', ['--version']).status === 0;
}

/** Random reads of 4 KiB with registered buffers and files. */
export function fioSubject(choices: FioChoices): Subject {
  return {
    name: choices.name,
    round() {
      const { stdout, status } = spawnSync('fio', argumentsFor(choices), { encoding: 'utf8' });
      if (status !== 0) throw new Error(`fio ended with ${status}`);
      const { read } = (JSON.parse(stdout) as FioReport).jobs[0] as FioReport['jobs'][0];
      if (choices.tells === 'mean') return [1e6 / read.iops];
      return [(read.lat_ns.percentile?.['50.000000'] ?? Number.NaN) / 1000];
    },
  };
}

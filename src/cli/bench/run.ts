/** Runs the jobs in a scratch directory that is gone afterwards, however it ends. */
import { join } from 'node:path';
import {
  AbortError,
  IoError,
  makeDirectory,
  type ProbeReport,
  probe,
  removeTree,
} from '../../index.js';
import { now, randomName } from '../../platform.js';
import { bytesText, type Terminal } from '../terminal.js';
import type { Job } from './jobs.js';
import { measured, type Settings } from './measure.js';
import { Missing } from './peers.js';
import { type BenchResult, FORMAT, FORMAT_VERSION, type JobResult } from './result.js';
import { filled, type Place, workOf } from './work.js';

export interface Plan extends Settings {
  readonly path: string;
  readonly jobs: readonly Job[];
  readonly sizeBytes: number;
  readonly version: string;
}

/* Opened or asked for, and not to be had: told, and the other jobs go on. */
function isNotHere(error: unknown): boolean {
  if (error instanceof Missing) return true;
  return error instanceof IoError && ['unsupported', 'alignment', 'invalid'].includes(error.kind);
}

async function resultOf(
  job: Job,
  place: Place,
  plan: Plan,
  signal: AbortSignal,
  onRound: (round: number) => void,
): Promise<JobResult> {
  const work = await workOf(job, place);
  try {
    const figures = await measured(work, job.depth, plan, signal, onRound);
    const { name, group, blockBytes, depth, direct } = job;
    const { by, durable } = work;
    const told = durable === undefined ? {} : { durable };
    return { name, group, by, blockBytes, depth, direct, ...told, ...figures };
  } finally {
    await work.close();
  }
}

/* Before it is filled for everybody else. */
function checkSpace(path: string, sizeBytes: number, { fileSystem }: ProbeReport): void {
  const free = fileSystem.freeBytes.value;
  if (free === undefined || free >= sizeBytes) return;
  const words = `it would be ${bytesText(sizeBytes)}, and ${bytesText(free)} are free`;
  throw new IoError({ action: 'make the file that is measured', code: 'ENOSPC', words, path });
}

/** Errors: `IoError` of the place, of a full disk too; `AbortError`. */
export async function benched(
  plan: Plan,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<BenchResult> {
  const { path, sizeBytes, rounds, roundMs, warmUpMs } = plan;
  const report = await probe(path, { signal });
  checkSpace(path, sizeBytes, report);
  const directory = join(path, `.holdfast-bench-${randomName()}`);
  await makeDirectory(directory, { recursive: false, durable: false });
  const jobs: JobResult[] = [];
  const notes: string[] = [];
  try {
    const place = { directory, file: join(directory, 'file'), sizeBytes };
    terminal.progress('writing the file that is read', 0);
    await filled(place.file, sizeBytes, signal);
    for (const [index, job] of plan.jobs.entries()) {
      if (signal.aborted) throw new AbortError(signal.reason);
      const onRound = (round: number): void =>
        terminal.progress(job.name, (index + round / rounds) / plan.jobs.length);
      try {
        jobs.push(await resultOf(job, place, plan, signal, onRound));
      } catch (error) {
        if (!isNotHere(error)) throw error;
        notes.push(`NOT MEASURED: ${job.name}: ${(error as Error).message}`);
      }
    }
  } finally {
    await removeTree(directory, { durable: false });
  }
  const takenAt = new Date(now()).toISOString();
  const settings = { sizeBytes, rounds, roundMs, warmUpMs };
  const whole = { takenAt, holdfast: plan.version, path, settings, probe: report, jobs, notes };
  return { format: FORMAT, version: FORMAT_VERSION, ...whole };
}

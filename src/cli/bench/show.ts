/** Results as tables for a terminal. */
import { bytesText, type Terminal } from '../terminal.js';
import type { BenchResult, Compared, JobResult } from './result.js';

type Row = readonly string[];

/** Columns as wide as they have to be; the first to the left, the others to the right. */
function tableOf(head: Row, rows: readonly Row[], terminal: Terminal): string {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)),
  );
  const lineOf = (row: Row): string =>
    row
      .map((cell, column) => {
        const width = widths[column] as number;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd();
  return [terminal.paint(lineOf(head), 'bold'), ...rows.map(lineOf)].join('\n');
}

function countText(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** Units: microseconds. */
function timeText(us: number): string {
  if (us >= 1e6) return `${(us / 1e6).toFixed(2)} s`;
  if (us >= 1000) return `${(us / 1000).toFixed(us >= 100_000 ? 0 : 2)} ms`;
  return `${us.toFixed(us >= 100 ? 0 : 1)} us`;
}

const DURABLE = { true: 'yes', false: 'no', undefined: '' } as const;

function rowOf({
  name,
  by,
  perSecond,
  bytesPerSecond,
  latency,
  durable,
  timeline,
}: JobResult): Row {
  const stalls = timeline.filter(([, , , isStall]) => isStall).length;
  const who = by === 'holdfast' || name.includes(by) ? name : `replace by ${by}`;
  return [
    who,
    countText(perSecond),
    `${bytesText(Math.round(bytesPerSecond))}/s`,
    timeText(latency.p50),
    timeText(latency.p99),
    timeText(latency.p999),
    timeText(latency.max),
    stalls === 0 ? '' : String(stalls),
    DURABLE[`${durable}`],
  ];
}

const HEAD = ['job', 'op/s', 'bytes', 'p50', 'p99', 'p99.9', 'max', 'stalls', 'durable'];

export function resultText({ jobs, notes }: BenchResult, terminal: Terminal): string {
  const lines = notes.map((note) => terminal.paint(note, 'yellow'));
  return [tableOf(HEAD, jobs.map(rowOf), terminal), ...lines].join('\n');
}

function change(ratio: number): string {
  const percent = (ratio - 1) * 100;
  return `${percent >= 0 ? '+' : ''}${percent.toFixed(1)}%`;
}

export function comparisonText(
  jobs: readonly Compared[],
  alone: readonly string[],
  terminal: Terminal,
): string {
  const rows = jobs.map(({ name, before, after, rate, p99, verdict }) => [
    name,
    countText(before.perSecond),
    countText(after.perSecond),
    change(rate),
    verdict,
    timeText(before.latency.p99),
    timeText(after.latency.p99),
    change(p99),
  ]);
  const head = ['job', 'op/s', 'op/s', 'change', '', 'p99', 'p99', 'change'];
  const others = alone.length === 0 ? [] : [`In one of them alone: ${alone.join(', ')}`];
  return [tableOf(head, rows, terminal), ...others].join('\n');
}

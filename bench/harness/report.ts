/** What was measured, for people (text, Markdown) and for programs (one JSON object a line). */
import { cpus, release, totalmem } from 'node:os';
import { type Judged, judge, type Measured, type Summary, summarize } from './measure.js';
import type { Case, Goal, Statistic } from './question.js';

/** One line of --json. */
export interface Row {
  readonly question: string;
  readonly case: string;
  readonly subject: string;
  readonly value: number;
  readonly unit: string;
  readonly higherIsBetter: boolean;
  readonly spread: readonly [number, number];
  readonly durable?: boolean;
  /** For a row that compares: what was to be reached, and whether it was. */
  readonly goal?: number;
  readonly isReached?: boolean;
}

export interface CaseReport {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly table: readonly (readonly string[])[];
  readonly goals: readonly string[];
}

/** Everything there is to say of one case. */
export function reportCase(
  question: string,
  whole: Case,
  measured: readonly Measured[],
): CaseReport {
  const statistics = whole.statistics ?? ['median'];
  const rows = statistics.flatMap((statistic) =>
    measured.map((one) => rowOf(question, whole, one, statistic)),
  );
  const judged = (whole.goals ?? []).flatMap((goal) => judge(goal, whole, measured) ?? []);
  return {
    name: whole.name,
    rows: [...rows, ...judged.map((one) => goalRowOf(question, whole, one))],
    table: tableOf(whole, measured, statistics),
    goals: judged.map(goalLine),
  };
}

function caseName({ name }: Case, statistic: Statistic): string {
  return statistic === 'median' ? name : `${name}, ${statistic}`;
}

function rowOf(question: string, whole: Case, one: Measured, statistic: Statistic): Row {
  const { subject } = one;
  return {
    question,
    case: caseName(whole, statistic),
    subject: subject.name,
    ...rounded(summarize(one, statistic)),
    unit: whole.unit,
    higherIsBetter: whole.higherIsBetter,
    ...(subject.durable === undefined ? {} : { durable: subject.durable }),
  };
}

function goalRowOf(question: string, whole: Case, { goal, isReached, ...summary }: Judged): Row {
  const statistic = goal.statistic ?? whole.statistics?.[0] ?? 'median';
  return {
    question,
    case: caseName(whole, statistic),
    subject: `${goal.subject}, ${wordsOf(goal)}`,
    ...rounded(summary),
    unit: 'against' in goal ? 'x' : whole.unit,
    higherIsBetter: 'rateAtLeast' in goal,
    goal: boundOf(goal),
    isReached,
  };
}

function rounded({ value, spread }: Summary): Summary {
  const round = (x: number): number => Number(x.toPrecision(4));
  return { value: round(value), spread: [round(spread[0]), round(spread[1])] };
}

function wordsOf(goal: Goal): string {
  if (!('against' in goal)) return 'value';
  return `${'rateAtLeast' in goal ? 'rate' : 'time'} against ${goal.against}`;
}

function boundOf(goal: Goal): number {
  if ('rateAtLeast' in goal) return goal.rateAtLeast;
  return 'timeAtMost' in goal ? goal.timeAtMost : goal.valueAtMost;
}

function goalLine({ goal, value, spread, isReached }: Judged): string {
  const times = 'against' in goal ? 'x' : '';
  const range = `${brief(spread[0])}..${brief(spread[1])}`;
  const bound = `${'rateAtLeast' in goal ? '>=' : '<='} ${boundOf(goal)}${times}`;
  const outcome = isReached ? 'reached' : 'MISSED';
  const reading = `${wordsOf(goal)} ${brief(value)}${times} (${range})`;
  return `${goal.subject}: ${reading}, goal ${bound}: ${outcome}`;
}

function tableOf(
  { unit }: Case,
  measured: readonly Measured[],
  statistics: readonly Statistic[],
): string[][] {
  const isDurable = measured.some(({ subject }) => subject.durable !== undefined);
  const head = ['subject'];
  for (const statistic of statistics) head.push(`${statistic}, ${unit}`, 'rounds');
  if (isDurable) head.push('durable');
  const body = measured.map((one) => {
    const cells = [one.subject.name];
    for (const statistic of statistics) {
      const { value, spread } = summarize(one, statistic);
      cells.push(brief(value), `${brief(spread[0])}..${brief(spread[1])}`);
    }
    if (isDurable) cells.push(one.subject.durable ? 'yes' : 'no');
    return cells;
  });
  return [head, ...body];
}

/** Three digits that count. */
function brief(value: number): string {
  if (!Number.isFinite(value)) return '-';
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/** A case for the terminal. */
export function textOf({ name, table, goals }: CaseReport): string {
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((cells) => (cells[column] ?? '').length)),
  );
  const lines = table.map((cells) =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  '),
  );
  return [`\n${name}`, ...lines, ...goals.map((line) => `-> ${line}`)].join('\n');
}

/** A case for bench/results. */
export function markdownOf({ name, table, goals }: CaseReport): string {
  const [head = [], ...body] = table;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  const list = goals.map((goal) => `- ${goal}`);
  return [`### ${name}`, '', ...[head, rule, ...body].map(line), '', ...list, ''].join('\n');
}

/** What it ran on, without a name of the machine or a path. */
export function machineLine(): string {
  const [kernel = ''] = /^[\d.]+/.exec(release()) ?? [];
  const system = process.platform === 'linux' ? 'Linux' : process.platform;
  const processors = cpus();
  const model = processors[0]?.model.trim() || 'unknown processor';
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return (
    `${model}, ${processors.length} CPUs, ${memoryGib} GiB, ` +
    `${system} ${kernel} ${process.arch}, Node ${process.versions.node}`
  );
}

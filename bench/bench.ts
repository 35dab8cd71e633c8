/**
 * Measures holdfast beside its peers.
 *
 *   npm run bench                               lists the questions
 *   npm run bench -- <question> [options]
 *     --json       one JSON object a line on stdout, everything else on stderr
 *     --quick      fewer rounds: to see that it runs, not to be quoted
 *     --dir PATH   measure on the file system of this directory
 *     --save       writes bench/results/<question>.md
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measure } from './harness/measure.js';
import { root } from './harness/peers.js';
import type { Question, Surroundings } from './harness/question.js';
import { type CaseReport, machineLine, markdownOf, reportCase, textOf } from './harness/report.js';

interface Flags {
  readonly json: boolean;
  readonly quick: boolean;
  readonly save: boolean;
  readonly dir?: string | undefined;
}

const suffix = '.bench.js';

function questionNames(): string[] {
  return readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length))
    .sort();
}

async function loadQuestion(name: string): Promise<Question> {
  return ((await import(`./${name}${suffix}`)) as { question: Question }).question;
}

async function listQuestions(): Promise<void> {
  for (const name of questionNames()) {
    console.log(`${name.padEnd(12)}  ${(await loadQuestion(name)).description}`);
  }
  console.log('\nnpm run bench -- <question> [--json] [--quick] [--dir PATH] [--save]');
}

async function ask(name: string, flags: Flags): Promise<void> {
  const question = await loadQuestion(name);
  const say = flags.json ? console.error : console.log;
  const notes: string[] = [];
  const note = (line: string): void => {
    notes.push(line);
    say(line);
  };
  const surroundings: Surroundings = { isQuick: flags.quick, directory: flags.dir, note };
  say(`${name}: ${question.description}\n${machineLine()}`);
  note(await engineLine());
  const reports: CaseReport[] = [];
  for await (const whole of question.cases(surroundings)) {
    const measured = await measure(whole, flags.quick, (subject, error) => {
      process.exitCode = 1;
      note(`NOT MEASURED: ${subject.name} in ${whole.name}: ${messageOf(error)}`);
    });
    const report = reportCase(name, whole, measured);
    reports.push(report);
    say(textOf(report));
    if (flags.json) for (const row of report.rows) console.log(JSON.stringify(row));
  }
  if (reports.length === 0) process.exitCode = 1;
  if (flags.save) publish({ name, question, notes, reports });
}

/** What of holdfast is measured: its figures mean nothing without. */
async function engineLine(): Promise<string> {
  try {
    const { defaultEngine } = await import('holdfast');
    const { name, reason } = defaultEngine();
    return `holdfast on engine ${name}: ${reason}.`;
  } catch (error) {
    return `NOT MEASURED: holdfast, it cannot be imported: ${messageOf(error)}`;
  }
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n')[0] ?? '').replaceAll(root, '');
}

function publish(result: {
  readonly name: string;
  readonly question: Question;
  readonly notes: readonly string[];
  readonly reports: readonly CaseReport[];
}): void {
  const { name, question, notes, reports } = result;
  const head = [
    `# ${name}`,
    question.description,
    `${machineLine()}; ${new Date().toISOString().slice(0, 10)}.`,
    ...notes,
    `\`npm run bench -- ${name}\``,
  ];
  const path = join('bench', 'results', `${name}.md`);
  mkdirSync(join(root, 'bench', 'results'), { recursive: true });
  writeFileSync(join(root, path), `${head.join('\n\n')}\n\n${reports.map(markdownOf).join('\n')}`);
  console.error(`bench: wrote ${path}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      dir: { type: 'string' },
    },
  });
  const [name] = positionals;
  if (name === undefined) return listQuestions();
  if (!questionNames().includes(name)) {
    console.error(`There is no question ${name}: ${questionNames().join(', ')}`);
    process.exitCode = 2;
    return;
  }
  if (values.save && values.quick) {
    console.error('A quick run is not for publishing: leave out --quick or --save');
    process.exitCode = 2;
    return;
  }
  await ask(name, values);
}

await main();

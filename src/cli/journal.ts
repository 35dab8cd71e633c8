/** `holdfast journal`: what is in a journal, whether it is whole, and mending it. */
import { IoError, listDirectory } from '../index.js';
import { Journal, type JournalDamage, type JournalRecord, verifyJournal } from '../journal.js';
import { type Command, EXIT, type Given, UsageError } from './command.js';
import { bytesText, type Terminal } from './terminal.js';

const PREVIEW_BYTES = 64;
const LSN_MAX = Number.MAX_SAFE_INTEGER;

function damageText({ segment, offset, lsn, problem, resumesAt }: JournalDamage): string {
  const after =
    resumesAt === undefined ? 'nothing readable is known behind it' : `on from LSN ${resumesAt}`;
  return `  ${segment} at offset ${offset}, LSN ${lsn}: ${problem}; ${after}`;
}

async function inspect({ terminal, signal, operands: [, path = ''] }: Given): Promise<number> {
  const journal = await Journal.open(path, { readOnly: true, signal });
  try {
    const { recovery, firstLsn, nextLsn, syncedLsn } = journal;
    const { tail, wasClosed, cutBytes, lost, damage, strangers } = recovery;
    terminal.answer({ path, firstLsn, nextLsn, syncedLsn, recovery }, () =>
      [
        `${path}: LSN ${firstLsn} to below ${nextLsn}, durable up to ${syncedLsn}`,
        `  the tail is ${tail}${wasClosed ? ', the journal was closed' : ''}`,
        ...(cutBytes > 0 ? [`  ${cutBytes} bytes behind the last whole record`] : []),
        ...(lost ? [`  LOST, once durable: LSN ${lost.fromLsn} to below ${lost.toLsn}`] : []),
        ...damage.map(damageText),
        ...strangers.map((name) => `  not the journal's: ${name}`),
      ].join('\n'),
    );
    return damage.length > 0 || lost !== undefined ? EXIT.found : EXIT.done;
  } finally {
    await journal.close();
  }
}

/* As `inspect` has it: who names the wrong directory is not told that all is well in it. */
async function checkThere(path: string, action: string): Promise<void> {
  const names = await listDirectory(path);
  if (names.some((name) => name.endsWith('.segment'))) return;
  const words = 'there is no journal in the directory';
  throw new IoError({ action, code: 'ENOENT', words, path });
}

async function verify({ terminal, signal, operands: [, path = ''] }: Given): Promise<number> {
  await checkThere(path, 'verify the journal');
  const report = await verifyJournal(path, {
    signal,
    onProgress: ({ bytesDone, bytesTotal }) =>
      terminal.progress(
        `${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`,
        bytesDone / bytesTotal,
      ),
  });
  terminal.clear();
  const { isIntact, tail, recordCount, segmentCount, bytes, gapCount, damage } = report;
  const verdict = isIntact ? 'intact' : terminal.paint('DAMAGED', 'bold', 'red');
  terminal.answer(report, () =>
    [
      `${path}: ${verdict}, the tail is ${tail}`,
      `  ${recordCount} records in ${segmentCount} segments, ${bytesText(bytes)}`,
      ...(gapCount > 0 ? [`  ${gapCount} places that a repair had to skip`] : []),
      ...damage.map(damageText),
    ].join('\n'),
  );
  return isIntact ? EXIT.done : EXIT.found;
}

async function repair({ terminal, signal, operands: [, path = ''] }: Given): Promise<number> {
  await checkThere(path, 'repair the journal');
  const journal = await Journal.open(path, { repair: true, create: false, signal });
  const { recovery, nextLsn } = journal;
  await journal.close();
  const { damage, cutBytes, keptPath, lost } = recovery;
  terminal.answer({ path, nextLsn, recovery }, () =>
    [
      damage.length === 0 ? `${path}: nothing was damaged` : `${path}: mended`,
      ...damage.map(damageText),
      ...(cutBytes > 0
        ? [`  a torn tail of ${cutBytes} bytes was cut, and kept in ${keptPath}`]
        : []),
      ...(lost ? [`  LOST, once durable: LSN ${lost.fromLsn} to below ${lost.toLsn}`] : []),
    ].join('\n'),
  );
  return EXIT.done;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

function textIn(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

type Form = 'json' | 'lines' | 'raw' | 'table';

/** A record as it is printed. */
function written({ lsn, data }: JournalRecord, form: Form): string | Uint8Array {
  if (form === 'raw') return data;
  if (form === 'lines') return Buffer.concat([data, Buffer.of(10)]);
  const text = textIn(data);
  if (form === 'json') {
    const content =
      text === undefined ? { base64: Buffer.from(data).toString('base64') } : { text };
    return `${JSON.stringify({ lsn, ...content })}\n`;
  }
  const shown =
    text === undefined
      ? Buffer.from(data.subarray(0, PREVIEW_BYTES / 2)).toString('hex')
      : JSON.stringify(text.slice(0, PREVIEW_BYTES));
  return `${String(lsn).padStart(12)}  ${String(data.byteLength).padStart(9)}  ${shown}\n`;
}

async function print(
  records: AsyncIterable<JournalRecord>,
  form: Form,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  let last = -1;
  for await (const record of records) {
    signal.throwIfAborted();
    await terminal.emit(written(record, form));
    last = record.lsn;
  }
  return last;
}

async function tail({ terminal, signal, options, operands: [, path = ''] }: Given) {
  const count = options.integer('count', { min: 0, max: 1e6 }) ?? 10;
  const form = (terminal.isJson ? 'json' : options.text('format')) ?? 'table';
  const journal = await Journal.open(path, { readOnly: true, signal });
  try {
    const end = journal.nextLsn;
    const last: JournalRecord[] = [];
    const records = journal.read({ reverse: true, signal });
    while (last.length < count) {
      const { value, done } = await records.next();
      if (done === true) break;
      last.unshift({ lsn: value.lsn, data: value.data.slice() });
    }
    await records.return?.();
    for (const record of last) await terminal.emit(written(record, form as Form));
    if (options.has('follow')) {
      await print(journal.follow({ from: end, signal }), form as Form, terminal, signal);
    }
    return EXIT.done;
  } finally {
    await journal.close();
  }
}

async function exported({ terminal, signal, options, operands: [, path = ''] }: Given) {
  const from = options.integer('from', { min: 0, max: LSN_MAX });
  const to = options.integer('to', { min: 0, max: LSN_MAX });
  const form = (options.text('format') ?? 'json') as Form;
  const journal = await Journal.open(path, { readOnly: true, signal });
  try {
    await print(journal.read({ from, to, signal }), form, terminal, signal);
    return EXIT.done;
  } finally {
    await journal.close();
  }
}

const deeds: Readonly<Record<string, (given: Given) => Promise<number>>> = {
  inspect,
  verify,
  tail,
  repair,
  export: exported,
};

/* What an option is for; with another word it would be passed over. */
const OWN: Readonly<Record<string, readonly string[]>> = {
  count: ['tail'],
  follow: ['tail'],
  from: ['export'],
  to: ['export'],
  format: ['tail', 'export'],
};

function checkOptions({ options, operands: [deed = ''] }: Given): void {
  for (const [name, deeds] of Object.entries(OWN)) {
    const isGiven = options.has(name) || options.text(name) !== undefined;
    if (isGiven && !deeds.includes(deed)) {
      throw new UsageError(`--${name} is for ${deeds.join(' and ')}, not for ${deed}`);
    }
  }
}

export const journal: Command = {
  name: 'journal',
  about: 'look into a journal, verify it, follow it, mend it, write its records out',
  operands: 'inspect|verify|tail|repair|export <directory>',
  operandCount: [2, 2],
  choices: Object.keys(deeds),
  options: [
    { name: 'count', short: 'n', value: 'count', about: 'tail: how many records (10)' },
    { name: 'follow', short: 'f', about: 'tail: go on with records as they become durable' },
    { name: 'from', value: 'lsn', about: 'export: from this LSN' },
    { name: 'to', value: 'lsn', about: 'export: to this LSN, its own record included' },
    {
      name: 'format',
      value: 'form',
      choices: ['json', 'lines', 'raw', 'table'],
      about: 'tail, export: JSON lines; a line for each record as it is; its bytes alone; a table',
    },
  ],
  notes: [
    'inspect, verify, tail and export change nothing and work beside a writer. verify reads all ' +
      'of it; it and inspect end with 3 where something is damaged.',
    'repair needs the journal to itself: what can be read stays under its LSN, what cannot is ' +
      'put aside in the directory and skipped from then on.',
    'In JSON lines a record is { lsn, text } where it is UTF-8, else { lsn, base64 }.',
  ],
  run(given) {
    checkOptions(given);
    const deed = deeds[given.operands[0] as string] as (given: Given) => Promise<number>;
    return deed(given);
  },
};

/** A report as a table: item, answer, words. */
import type { ProbeItem, ProbeReport, SyncCost } from './report.js';
import {
  DEVICE,
  DIRECT,
  ENGINE,
  FEATURES,
  MACHINE,
  PLACE,
  SYNC,
  VOLUME,
  type Words,
} from './words.js';

const COLUMNS_MAX = 100;
const ANSWER_MAX = 28;
const WORDS_MIN = 30;

interface Row {
  readonly label: string;
  readonly answer: string;
  readonly words: string;
}

interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  /* Sectors and blocks are known by their number of bytes. */
  while (value >= 1024 && bytes > 65536 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit === 0 || Number.isInteger(value) ? String(value) : value.toFixed(1);
  return `${text} ${UNITS[unit]}`;
}

function costText(cost: SyncCost): string {
  return cost.medianMs === undefined ? cost.primitive : `${cost.medianMs} ms`;
}

/* A control character in the name of a file would reach the terminal. */
function safe(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function valueText(key: string, value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return key.endsWith('Bytes') ? bytesText(value) : String(value);
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'object' && value !== null) return costText(value as SyncCost);
  return String(value);
}

function costWords(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return '';
  const { primitive, rounds } = value as SyncCost;
  return rounds === undefined ? '' : `${primitive}, median of ${rounds}`;
}

function rowOf(key: string, item: ProbeItem<unknown>, [label, meaning]: Words): Row {
  if (item.no !== undefined) return { label, answer: 'no', words: safe(item.no) };
  if (item.unknown !== undefined) return { label, answer: 'unknown', words: safe(item.unknown) };
  const note = item.value === false ? (item.note ?? '') : (item.note ?? meaning);
  const words = [costWords(item.value), note].filter((part) => part !== '').join('; ');
  return { label, answer: safe(valueText(key, item.value)), words: safe(words) };
}

function sectionOf(title: string, items: object, words: Readonly<Record<string, Words>>): Section {
  const rows = Object.entries(words).map(([key, own]) => {
    return rowOf(key, (items as Record<string, ProbeItem<unknown>>)[key] ?? { unknown: '' }, own);
  });
  return { title, rows };
}

/** Breaks text between words; a word longer than the width stands alone. */
function lines(text: string, width: number): string[] {
  const broken: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      broken.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...broken, line];
}

function rowText(row: Row, labelWidth: number, answerWidth: number): string {
  const left = `  ${row.label.padEnd(labelWidth)}  `;
  const isLong = row.answer.length > answerWidth;
  const indent = left.length + (isLong ? 0 : answerWidth + 2);
  const wordsWidth = Math.max(COLUMNS_MAX - indent, WORDS_MIN);
  const words = row.words === '' ? [] : lines(row.words, wordsWidth);
  if (isLong) {
    const all = [...lines(row.answer, COLUMNS_MAX - indent), ...words];
    return all.map((line, index) => (index === 0 ? left : ' '.repeat(indent)) + line).join('\n');
  }
  const first = `${left}${row.answer.padEnd(answerWidth)}  ${words[0] ?? ''}`.trimEnd();
  return [first, ...words.slice(1).map((line) => ' '.repeat(indent) + line)].join('\n');
}

/** Lays a report out. */
export function formatted(report: ProbeReport): string {
  const device = `Device ${report.device.name.value ?? ''}`.trimEnd();
  const sections = [
    sectionOf('Place', report.place, PLACE),
    sectionOf('Machine', report.machine, MACHINE),
    sectionOf('Engine', report.engine, ENGINE),
    sectionOf('File system', report.fileSystem, VOLUME),
    sectionOf(device, report.device, DEVICE),
    ...report.below.map((items) =>
      sectionOf(`Device below: ${items.name.value ?? ''}`, items, DEVICE),
    ),
    sectionOf('Direct I/O', report.direct, DIRECT),
    sectionOf('Features', report.features, FEATURES),
    sectionOf('Syncs', report.sync, SYNC),
  ];
  const rows = sections.flatMap((section) => section.rows);
  const labelWidth = Math.max(...rows.map(({ label }) => label.length));
  const short = rows.map(({ answer }) => answer.length).filter((width) => width <= ANSWER_MAX);
  const answerWidth = Math.max(...short, 7);
  const text = sections.map(({ title, rows: own }) => {
    return [title, ...own.map((row) => rowText(row, labelWidth, answerWidth))].join('\n');
  });
  return `Probe of ${safe(report.path)}\n\n${text.join('\n\n')}\n`;
}

/** What the demo prints: plain text, a line that moves on a terminal and few lines elsewhere. */

const { stdout } = process;
const MOVES_EVERY_MS = 50;
const SAYS_EVERY_MS = 2000;
const COLUMNS = 80;

export function say(line = ''): void {
  stdout.write(`${line}\n`);
}

let number = 0;

export function heading(title: string): void {
  say();
  say(`${++number}. ${title}`);
}

/** A count on its way: a moving line on a terminal, a line every two seconds elsewhere. */
export class Progress {
  readonly #what: string;
  #lastMs: number = performance.now();

  constructor(what: string) {
    this.#what = what;
  }

  show(done: number, of: number, more = ''): void {
    const now = performance.now();
    if (now - this.#lastMs < (stdout.isTTY ? MOVES_EVERY_MS : SAYS_EVERY_MS)) return;
    this.#lastMs = now;
    const line = `   ${this.#what} ${String(done).padStart(String(of).length)} of ${of}${more}`;
    if (stdout.isTTY) stdout.write(`\r\x1b[K${line.slice(0, (stdout.columns ?? COLUMNS) - 1)}`);
    else say(line);
  }

  /** Takes the moving line away. */
  end(): void {
    if (stdout.isTTY) stdout.write('\r\x1b[K');
  }
}

/** Prints a label and words beside it, broken where the line would be too long. */
export function labelled(label: string, words: string): void {
  let line = `   ${label.padEnd(8)}`;
  const indent = line.length;
  for (const word of words.split(' ')) {
    if (line.length > indent && line.length + word.length >= COLUMNS) {
      say(line);
      line = ' '.repeat(indent);
    }
    line += ` ${word}`;
  }
  say(line);
}

/** Prints rows under a header. Columns whose title begins with a blank stand to the right. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = titles.map((title, column) =>
    Math.max(title.trim().length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return titles[column]?.startsWith(' ') ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  say();
  say(`   ${line(titles.map((title) => title.trim()))}`);
  say(`   ${widths.map((width) => '-'.repeat(width)).join('  ')}`);
  for (const row of rows) say(`   ${line(row)}`);
}

export function megabytes(bytes: number): string {
  if (bytes < 1e4) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function milliseconds(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

export function speed(bytes: number, ms: number): string {
  const perSecond = bytes / 1e3 / Math.max(ms, 1e-3);
  return perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond));
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** JSON for files: what cannot be read is told with its place, what cannot be kept is refused. */
import { IoError, invalidType, invalidValue } from '../errors.js';

/** How a value is written. */
export type Indent = number | string | undefined;

const BACKSLASH = 0x5c;
const QUOTE = 0x22;

/* RFC 8259. Only for what JSON.parse has refused: its message has no position on Node 20. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Where the text stops being JSON; its length where something is missing at the end. */
  fault(): number {
    const open: ('[' | '{')[] = [];
    for (;;) {
      if (!this.#opened(open)) return this.#at;
      /* A value has ended: a comma and the next, or the end of what it stands in. */
      while (open.length > 0 && !this.#takes(',')) {
        if (!this.#takes(open.at(-1) === '[' ? ']' : '}')) return this.#at;
        open.pop();
      }
      if (open.length === 0) return this.#skipped();
      if (open.at(-1) === '{' && !this.#key()) return this.#at;
    }
  }

  /* Up to and with the next value that holds no other. */
  #opened(open: ('[' | '{')[]): boolean {
    for (;;) {
      if (this.#takes('[')) {
        if (this.#takes(']')) return true;
        open.push('[');
      } else if (this.#takes('{')) {
        if (this.#takes('}')) return true;
        open.push('{');
        if (!this.#key()) return false;
      } else return this.#scalar();
    }
  }

  #key(): boolean {
    this.#skipped();
    return this.#string() && this.#takes(':');
  }

  #skipped(): number {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? 'x')) this.#at++;
    return this.#at;
  }

  #takes(character: string): boolean {
    this.#skipped();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #matches(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }

  #scalar(): boolean {
    this.#skipped();
    if (this.#text.charCodeAt(this.#at) === QUOTE) return this.#string();
    return this.#matches(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y);
  }

  #string(): boolean {
    if (this.#text.charCodeAt(this.#at) !== QUOTE) return false;
    this.#at++;
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code < 0x20) return false;
      if (code === BACKSLASH) {
        if (!this.#matches(/\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y)) return false;
        this.#at--;
      } else if (code === QUOTE) {
        this.#at++;
        return true;
      }
    }
    return false;
  }
}

function unreadable(path: string, words: string, offset: number, cause?: unknown): IoError {
  const fields = { action: 'update the file', code: 'ERR_INVALID_JSON', path, step: 'read' };
  return new IoError({ ...fields, words, offset, durable: 'old', cause });
}

function textIn(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    /* What is no UTF-8 comes back as other bytes: the first of those is where it begins. */
    const again = Buffer.from(Buffer.from(bytes).toString('utf8'));
    const offset = again.findIndex((byte, at) => byte !== bytes[at]);
    throw unreadable(path, `it is not UTF-8 at byte ${offset}`, offset, cause);
  }
}

/** The value in a file. Errors: `IoError` of kind `corrupt` with the byte where it goes wrong. */
export function valueIn(bytes: Uint8Array, path: string): unknown {
  const whole = textIn(bytes, path);
  const text = whole.startsWith('\ufeff') ? whole.slice(1) : whole;
  try {
    return JSON.parse(text);
  } catch (cause) {
    const before = whole.slice(0, new Scanner(text).fault() + whole.length - text.length);
    const offset = Buffer.byteLength(before);
    if (bytes.length === 0) throw unreadable(path, 'it is empty, not JSON', 0, cause);
    const lines = before.split('\n');
    const where = `line ${lines.length}, column ${(lines.at(-1) as string).length + 1}`;
    const end = offset === bytes.length ? ', where it ends' : '';
    const words = `it is not valid JSON at byte ${offset} (${where}${end})`;
    throw unreadable(path, words, offset, cause);
  }
}

const ARGUMENT = 'value that was returned';
const EXPECTED = 'one that JSON has';

/** A value as text that ends in a line feed. Errors: `TypeError` for what JSON does not have. */
export function textOf(value: unknown, indent: Indent): string {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw invalidValue(ARGUMENT, EXPECTED, value);
  }
  /* A promise would be written as {}: nobody waits for it here. */
  if (typeof (value as { then?: unknown } | null | undefined)?.then === 'function') {
    throw invalidType(ARGUMENT, `${EXPECTED}, not a promise`, value);
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(value, undefined, indent);
  } catch (cause) {
    /* A BigInt or a cycle; what a toJSON of the caller's throws is the caller's. */
    if (!(cause instanceof TypeError)) throw cause;
    throw Object.assign(invalidValue(ARGUMENT, `${EXPECTED} (${cause.message})`, value), { cause });
  }
  if (text === undefined) throw invalidValue(ARGUMENT, EXPECTED, value);
  return `${text}\n`;
}

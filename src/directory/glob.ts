/**
 * Globs: `*`, `?`, `[]`, `{}` within a name, `**` across directories. No pattern costs more than
 * its length times the length of what it is matched with: braces are expanded up to a bound, names
 * are matched with one place to go back to, and paths by the set of places a pattern can be at.
 *
 * Source: glob(7); Cox, Glob Matching Can Be Simple And Fast Too, 2017
 */
import { invalidType, invalidValue, outOfRange } from '../errors.js';

const PATTERN_CHARACTERS_MAX = 4096;
const EXPANSIONS_MAX = 1024;
const EXPANDED_CHARACTERS_MAX = 65_536;

type Item =
  | { readonly kind: 'star' }
  | { readonly kind: 'any' }
  | { readonly kind: 'one'; readonly character: string }
  | { readonly kind: 'class'; readonly isNegated: boolean; readonly ranges: readonly Range[] };

type Range = readonly [from: number, to: number];

/** One name's worth of a pattern. */
interface NamePart {
  readonly items: readonly Item[];
  /** Set where it is text alone, or a star and then text alone: what most are. */
  readonly text: string | undefined;
  readonly hasStar: boolean;
  readonly beginsWithDot: boolean;
}

type Part = NamePart | '**';

const STAR: Item = { kind: 'star' };
const ANY: Item = { kind: 'any' };

/** Where patterns can be after the directories walked so far. */
export type State = readonly (readonly number[])[];

/** A pattern that was compiled. */
interface Pattern {
  readonly parts: readonly Part[];
  readonly wantsDirectory: boolean;
}

/**
 * What a set of patterns says of a name. `directory`: matched by patterns alone that end in a
 * separator, so that only a directory will do.
 */
export type Match = 'none' | 'any' | 'directory';

export interface GlobOptions {
  /** Let wildcards match names that begin with a dot. */
  readonly dotfiles: boolean;
}

/** A set of patterns; a name matches when it matches one of them. */
export class Glob {
  readonly #patterns: readonly Pattern[];
  readonly #dotfiles: boolean;

  /** Errors: `TypeError`, `RangeError` naming the argument. */
  constructor(patterns: unknown, argument: string, { dotfiles }: GlobOptions) {
    const list = typeof patterns === 'string' ? [patterns] : patterns;
    if (!Array.isArray(list)) throw invalidType(argument, 'a string or strings', patterns);
    const expanded = list.flatMap((pattern) => alternatives(pattern, argument));
    if (expanded.length > EXPANSIONS_MAX) throw tooMany(argument, expanded.length);
    const characters = expanded.reduce((sum, { length }) => sum + length, 0);
    if (characters > EXPANDED_CHARACTERS_MAX) {
      const expected = `patterns of at most ${EXPANDED_CHARACTERS_MAX} characters without braces`;
      throw outOfRange(argument, expected, characters);
    }
    this.#patterns = expanded.map((text) => compiled(text, argument));
    this.#dotfiles = dotfiles;
  }

  get start(): State {
    return this.#patterns.map(({ parts }) => spread(parts, [0]));
  }

  /** Whether a name in a directory with this state matches. */
  match(state: State, name: string): Match {
    let match: Match = 'none';
    for (let index = 0; index < this.#patterns.length; index++) {
      const { parts, wantsDirectory } = this.#patterns[index] as Pattern;
      for (const place of state[index] as readonly number[]) {
        if (!this.#ends(parts, place, name)) continue;
        if (!wantsDirectory) return 'any';
        match = 'directory';
        break;
      }
    }
    return match;
  }

  /** The state in a directory of this name; `undefined` where nothing below can match. */
  enter(state: State, name: string): State | undefined {
    let canMatch = false;
    const next = this.#patterns.map(({ parts }, index) => {
      const at = state[index] as readonly number[];
      const after = at.flatMap((place) => this.#after(parts, place, name));
      const places = spread(parts, [...new Set(after)]);
      canMatch ||= places.length > 0;
      return places;
    });
    return canMatch ? next : undefined;
  }

  /** Whether everything below a directory with this state matches. */
  matchesAllBelow(state: State): boolean {
    return this.#patterns.some(({ parts }, index) => {
      const at = state[index] as readonly number[];
      return this.#dotfiles && at.some((place) => isLastDeep(parts, place));
    });
  }

  #ends(parts: readonly Part[], place: number, name: string): boolean {
    const part = parts[place];
    if (part === undefined) return false;
    const isLast = place === parts.length - 1;
    if (part === '**') return isLast && !this.#isHidden(name);
    return isLast && this.#matchesName(part, name);
  }

  #after(parts: readonly Part[], place: number, name: string): number[] {
    const part = parts[place];
    if (part === undefined) return [];
    if (part === '**') return this.#isHidden(name) ? [] : [place];
    return this.#matchesName(part, name) ? [place + 1] : [];
  }

  #isHidden(name: string): boolean {
    return !this.#dotfiles && name.startsWith('.');
  }

  #matchesName(part: NamePart, name: string): boolean {
    if (this.#isHidden(name) && !part.beginsWithDot) return false;
    const { text } = part;
    if (text === undefined) return matches(part.items, name);
    return part.hasStar ? name.endsWith(text) : name === text;
  }
}

function isLastDeep(parts: readonly Part[], place: number): boolean {
  return place === parts.length - 1 && parts[place] === '**';
}

/* `**` stands for no directory too: whoever is at it is also behind it. */
function spread(parts: readonly Part[], places: readonly number[]): readonly number[] {
  const all = new Set(places);
  for (const place of all) if (parts[place] === '**') all.add(place + 1);
  return [...all].filter((place) => place < parts.length);
}

/*
 * The last star is the only one worth going back to: what an earlier one could take, it can too. So
 * a name is looked at once for each of its characters and each item, and never more.
 */
function matches(items: readonly Item[], name: string): boolean {
  let item = 0;
  let at = 0;
  let star = -1;
  let starAt = 0;
  while (at < name.length) {
    const code = name.codePointAt(at) as number;
    const length = code > 0xffff ? 2 : 1;
    const one = items[item];
    if (one?.kind === 'star') {
      star = item++;
      starAt = at;
    } else if (one !== undefined && takes(one, code)) {
      item++;
      at += length;
    } else if (star >= 0) {
      item = star + 1;
      starAt += (name.codePointAt(starAt) as number) > 0xffff ? 2 : 1;
      at = starAt;
    } else return false;
  }
  while (items[item]?.kind === 'star') item++;
  return item === items.length;
}

function takes(item: Item, code: number): boolean {
  if (item.kind === 'any') return true;
  if (item.kind === 'one') return item.character.codePointAt(0) === code;
  if (item.kind !== 'class') return false;
  return item.ranges.some(([from, to]) => from <= code && code <= to) !== item.isNegated;
}

/* ---------------------------------------------------------------------------------- reading */

function tooMany(argument: string, count: number): RangeError {
  return outOfRange(argument, `at most ${EXPANSIONS_MAX} alternatives in braces`, count);
}

function compiled(text: string, argument: string): Pattern {
  const parts: Part[] = [];
  for (const name of text.split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') throw invalidValue(argument, 'a pattern without a part ".."', text);
    const isRepeated = name === '**' && parts.at(-1) === '**';
    if (!isRepeated) parts.push(name === '**' ? '**' : partOf(name));
  }
  if (parts.length === 0) throw invalidValue(argument, 'a pattern that is not empty', text);
  return { parts, wantsDirectory: text.endsWith('/') };
}

function partOf(name: string): NamePart {
  const items = itemsOf(name);
  const hasStar = items[0] === STAR;
  const rest = hasStar ? items.slice(1) : items;
  let text: string | undefined = '';
  for (const item of rest) {
    text = text !== undefined && item.kind === 'one' ? text + item.character : undefined;
  }
  const [first] = items;
  const beginsWithDot = first?.kind === 'one' && first.character === '.';
  return { items, text, hasStar, beginsWithDot };
}

function itemsOf(name: string): Item[] {
  const items: Item[] = [];
  const characters = [...name];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] as string;
    if (character === '*') {
      if (items.at(-1) !== STAR) items.push(STAR);
    } else if (character === '?') items.push(ANY);
    else if (character === '\\' && at + 1 < characters.length) {
      items.push({ kind: 'one', character: characters[++at] as string });
    } else {
      const set = character === '[' ? classAt(characters, at) : undefined;
      items.push(set?.item ?? { kind: 'one', character });
      at = set?.end ?? at;
    }
  }
  return items;
}

/* A bracket that is not closed stands for itself (glob(7)). */
function classAt(characters: readonly string[], start: number) {
  let at = start + 1;
  const isNegated = characters[at] === '!' || characters[at] === '^';
  if (isNegated) at++;
  const first = at;
  const ranges: Range[] = [];
  const next = (): number => {
    if (characters[at] === '\\' && at + 1 < characters.length) at++;
    return (characters[at++] as string).codePointAt(0) as number;
  };
  while (at < characters.length) {
    if (characters[at] === ']' && at > first) {
      const item: Item = { kind: 'class', isNegated, ranges };
      return { item, end: at };
    }
    const from = next();
    const isRange = characters[at] === '-' && at + 1 < characters.length;
    if (!isRange || characters[at + 1] === ']') ranges.push([from, from]);
    else {
      at++;
      ranges.push([from, next()]);
    }
  }
  return undefined;
}

/* Expands braces from the left; each step is one alternative more, and those are bounded. */
function alternatives(pattern: unknown, argument: string): string[] {
  if (typeof pattern !== 'string') throw invalidType(argument, 'a string or strings', pattern);
  if (pattern.length > PATTERN_CHARACTERS_MAX) {
    const expected = `a pattern of at most ${PATTERN_CHARACTERS_MAX} characters`;
    throw outOfRange(argument, expected, pattern.length);
  }
  if (pattern.startsWith('/')) {
    throw invalidValue(argument, 'a pattern that does not begin with "/"', pattern);
  }
  const done: string[] = [];
  const waiting = [pattern];
  while (waiting.length > 0) {
    const text = waiting.pop() as string;
    const brace = braceIn(text);
    if (brace === undefined) done.push(text);
    else {
      const { start, end, choices } = brace;
      for (const choice of choices.reverse()) {
        waiting.push(text.slice(0, start) + choice + text.slice(end + 1));
      }
    }
    if (done.length + waiting.length > EXPANSIONS_MAX) {
      throw tooMany(argument, done.length + waiting.length);
    }
  }
  return done;
}

interface Brace {
  readonly start: number;
  readonly end: number;
  readonly choices: string[];
}

/* The first pair of braces with a comma between; others stand for themselves, as in a shell. */
function braceIn(text: string): Brace | undefined {
  const open: { readonly start: number; readonly commas: number[] }[] = [];
  const found: Brace[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '\\') at++;
    else if (character === '{') open.push({ start: at, commas: [] });
    else if (character === ',') open.at(-1)?.commas.push(at);
    else if (character === '}') {
      const brace = open.pop();
      if (brace === undefined || brace.commas.length === 0) continue;
      const cuts = [brace.start, ...brace.commas, at];
      const choices = cuts
        .slice(1)
        .map((cut, index) => text.slice((cuts[index] as number) + 1, cut));
      found.push({ start: brace.start, end: at, choices });
    }
  }
  return found.sort((a, b) => a.start - b.start)[0];
}

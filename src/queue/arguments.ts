/** What a queue is told, checked before anything happens. */
import type { EngineName } from '../engine.js';
import { type Engine, engineNamed, memoryModeOf } from '../engine.js';
import { invalidType, invalidValue, outOfRange, trueOrFalse } from '../errors.js';
import { OpenFile, type OpenOptions, settingsOf } from '../file.js';
import type { Tag } from './completion.js';

/* IORING_MAX_ENTRIES of Linux: more rings at once than anybody has been seen to keep busy. */
const DEPTH_MAX = 32768;
const DEPTH_DEFAULT = 256;
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

export interface QueueOptions {
  /** Operations accepted and not retrieved, at most: 1 to 32768. Default 256. */
  readonly depth?: number | undefined;
  /** Default `auto`: what files use. */
  readonly engine?: 'auto' | EngineName | Engine | undefined;
}

export interface SubmitOptions {
  /**
   * Milliseconds after which the operation is ended, as far as it can be: status `Timeout`. Counted
   * from when it is handed over.
   */
  readonly timeoutMs?: number | undefined;
  /** The next submission begins when this one has done all it was asked to, and only then. */
  readonly link?: boolean | undefined;
  /** Begins when everything accepted before has ended; what is accepted later waits for it. */
  readonly drain?: boolean | undefined;
}

/** What a submission has that is told nothing. */
export const plainOptions: SubmitOptions = {};

export interface FixedOptions extends SubmitOptions {
  /** Bytes; where in the registered buffer the transfer begins. Default 0. */
  readonly start?: number | undefined;
  /** Bytes. Default: to the end of the registered buffer. */
  readonly length?: number | undefined;
}

export interface WaitOptions {
  /** Completions to wait for. Default 1. */
  readonly atLeast?: number | undefined;
  /** Milliseconds; what is there by then is answered. Default: no limit. */
  readonly timeoutMs?: number | undefined;
}

/** What a queued open is told; its time and its end are the submission's. */
export type QueuedOpenOptions = Omit<OpenOptions, 'engine' | 'signal' | 'timeoutMs'>;

/** A copy: they are needed later. Errors: `TypeError`, `RangeError` naming the option. */
export function openChoicesOf(choices: unknown): QueuedOpenOptions {
  const { engine, signal, timeoutMs, ...rest } = (choices ?? {}) as OpenOptions;
  const strays = { engine, signal, timeoutMs };
  for (const [name, value] of Object.entries(strays)) {
    if (value === undefined) continue;
    throw invalidValue(`choices.${name}`, 'left to the queue and its submissions', value);
  }
  settingsOf(typeof choices === 'object' && choices !== null ? rest : (choices as OpenOptions));
  memoryModeOf(rest.memory, 'options.memory');
  return rest;
}

/** Errors: `TypeError`, `RangeError` naming the depth. */
export function depthOf(depth: unknown): number {
  if (depth === undefined) return DEPTH_DEFAULT;
  return countOf(depth, 'options.depth', 1, DEPTH_MAX);
}

function countOf(value: unknown, argument: string, min: number, max: number): number {
  if (typeof value !== 'number') throw invalidType(argument, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(argument, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

/** Errors: `TypeError` for what is no engine, or one that is not here. */
export function queueEngineOf(engine: unknown): Engine {
  if (engine === undefined) return engineNamed('auto', 'options.engine');
  const isEngine = typeof engine === 'object' && engine !== null && 'submit' in engine;
  return isEngine ? (engine as Engine) : engineNamed(engine, 'options.engine');
}

/** Errors: `TypeError` for a tag that could not be told from another. */
export function checkTag(tag: unknown): asserts tag is Tag {
  if (typeof tag === 'bigint' || Number.isSafeInteger(tag)) return;
  throw invalidType('tag', 'a safe integer or a bigint', tag);
}

/** Errors: `TypeError` for anything but an open file. */
export function checkFile(file: unknown): asserts file is OpenFile {
  if (!(file instanceof OpenFile)) throw invalidType('file', 'an OpenFile', file);
}

/** Errors: `TypeError`, `RangeError` naming the option. */
function timeoutOf(timeoutMs: unknown, min: number): number {
  if (typeof timeoutMs !== 'number') throw invalidType('options.timeoutMs', 'a number', timeoutMs);
  if (timeoutMs >= min && timeoutMs <= TIMEOUT_MS_MAX) return timeoutMs;
  throw outOfRange('options.timeoutMs', `from ${min} to ${TIMEOUT_MS_MAX}`, timeoutMs);
}

/** Looks at each once. Errors: `TypeError`, `RangeError` naming the option. */
export function submitOptionsOf(options: unknown): SubmitOptions {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { timeoutMs, link, drain } = options as SubmitOptions;
  if (timeoutMs !== undefined) timeoutOf(timeoutMs, 1);
  trueOrFalse(link, 'options.link');
  trueOrFalse(drain, 'options.drain');
  return { timeoutMs, link, drain };
}

/** Errors: `TypeError`, `RangeError` naming the option. */
export function waitOf(
  options: WaitOptions,
  depth: number,
): { atLeast: number; timeoutMs: number } {
  if (typeof options !== 'object' || options === null) {
    throw invalidType('options', 'an object', options);
  }
  const { atLeast = 1, timeoutMs } = options;
  return {
    atLeast: countOf(atLeast, 'options.atLeast', 0, depth),
    timeoutMs: timeoutMs === undefined ? -1 : timeoutOf(timeoutMs, 0),
  };
}

/** Where in a registered buffer. Errors: `TypeError`, `RangeError` naming the option. */
export function startOf(view: Uint8Array, start: unknown): number {
  return start === undefined ? 0 : countOf(start, 'options.start', 0, view.length);
}

/** How much of it. Errors: `TypeError`, `RangeError` naming the option. */
export function lengthOf(view: Uint8Array, start: number, length: unknown): number {
  const rest = view.length - start;
  return length === undefined ? rest : countOf(length, 'options.length', 0, rest);
}
